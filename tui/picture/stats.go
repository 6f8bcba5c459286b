package picture

import (
	"image"
	"math"
)

// Stats sums a tile up for a screen without pictures. Values run from 0 to 1 over all colour channels.
type Stats struct {
	Mean, Deviation, Min, Max float64
}

// Stats is the summary of every tile, row by row.
func (s Sheet) Stats() []Stats {
	tiles := s.Tiles()
	out := make([]Stats, 0, len(tiles))
	if len(tiles) == 0 {
		return out
	}
	img := pixels(s.Image)
	shift := s.Image.Bounds().Min.Mul(-1)
	for _, t := range tiles {
		out = append(out, stats(img, t.Add(shift)))
	}
	return out
}

func stats(img *image.RGBA, t image.Rectangle) Stats {
	sum, squares, n := 0.0, 0.0, 0.0
	low, high := 255, 0
	for y := t.Min.Y; y < t.Max.Y; y++ {
		row := img.Pix[img.PixOffset(t.Min.X, y):][:4*t.Dx()]
		for i, c := range row {
			if i&3 == 3 {
				continue
			}
			v := float64(c)
			sum += v
			squares += v * v
			n++
			low, high = min(low, int(c)), max(high, int(c))
		}
	}
	if n == 0 {
		return Stats{}
	}
	mean := sum / n
	return Stats{
		Mean:      mean / 255,
		Deviation: math.Sqrt(max(0, squares/n-mean*mean)) / 255,
		Min:       float64(low) / 255,
		Max:       float64(high) / 255,
	}
}
