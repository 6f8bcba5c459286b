package picture

import (
	"image"
	"math"
)

// A Sheet is an image made of equal tiles, edge to edge. Because the tiles are known, the sheet can be laid out anew for the shape of
// the box it is shown in.
type Sheet struct {
	Image      image.Image
	Rows, Cols int // below 1 means 1
}

// Tiles are the rectangles of the tiles, row by row, in the image's coordinates.
func (s Sheet) Tiles() []image.Rectangle {
	if s.Image == nil {
		return nil
	}
	b := s.Image.Bounds()
	rows, cols := max(1, s.Rows), max(1, s.Cols)
	tw, th := b.Dx()/cols, b.Dy()/rows
	if tw <= 0 || th <= 0 {
		return []image.Rectangle{b}
	}
	tiles := make([]image.Rectangle, 0, rows*cols)
	for r := range rows {
		for c := range cols {
			p := b.Min.Add(image.Pt(c*tw, r*th))
			tiles = append(tiles, image.Rectangle{p, p.Add(image.Pt(tw, th))})
		}
	}
	return tiles
}

// arrange lays the sheet out for a box of pixels. Where tiles would get smaller than minTile some are left out: of a strip (one row)
// evenly, of other sheets the last. A strip stays one row, unless some of its tiles would not fit into that and all of them do, twice as
// large as minTile, in several; other sheets get as many columns as make the tiles largest. Pixels between the tiles stay transparent.
// The picture is borrowed.
func (s Sheet) arrange(boxW, boxH, gap, minTile int) *image.RGBA {
	tiles := s.Tiles()
	if len(tiles) == 0 || tiles[0].Empty() || boxW <= 0 || boxH <= 0 {
		return nil
	}
	src := pixels(s.Image)
	shift := s.Image.Bounds().Min.Mul(-1)
	tw, th := tiles[0].Dx(), tiles[0].Dy()
	cols := 1
	if s.Rows <= 1 {
		all := tiles
		tiles = thin(tiles, boxW, boxH, tw, th, gap, minTile)
		cols = len(tiles)
		if len(tiles) < len(all) {
			c := bestColumns(len(all), boxW, boxH, tw, th, gap, 1)
			r := (len(all) + c - 1) / c
			if w, _ := fit(tw, th, (boxW-(c-1)*gap)/c, (boxH-(r-1)*gap)/r); r > 1 && w >= 2*minTile {
				tiles, cols = all, c
			}
		}
	} else {
		tiles = tiles[:enough(len(tiles), boxW, boxH, min(minTile, tw), min(minTile, th), gap)]
		cols = bestColumns(len(tiles), boxW, boxH, tw, th, gap, max(1, s.Cols))
	}
	rows := (len(tiles) + cols - 1) / cols
	w, h := fit(tw, th, (boxW-(cols-1)*gap)/cols, (boxH-(rows-1)*gap)/rows)
	if w <= 0 || h <= 0 {
		if gap > 0 {
			return s.arrange(boxW, boxH, 0, minTile)
		}
		// More tiles than pixels: the sheet as one picture.
		w, h = fit(src.Rect.Dx(), src.Rect.Dy(), boxW, boxH)
		dst := borrowRGBA(w, h)
		scaleInto(dst, dst.Rect, src, src.Rect)
		return dst
	}
	dst := borrowRGBA(cols*w+(cols-1)*gap, rows*h+(rows-1)*gap)
	for i, t := range tiles {
		at := image.Pt(i%cols*(w+gap), i/cols*(h+gap))
		scaleInto(dst, image.Rectangle{at, at.Add(image.Pt(w, h))}, src, t.Add(shift))
	}
	return dst
}

// enough is how many of n tiles fit at a size of w by h; n where even one does not.
func enough(n, boxW, boxH, w, h, gap int) int {
	if fit := (boxW + gap) / (w + gap) * ((boxH + gap) / (h + gap)); fit > 0 {
		return min(n, fit)
	}
	return n
}

// bestColumns is the number of columns that makes the tiles largest. Among equals it prefers a full last row, then own, the sheet's
// own number.
func bestColumns(n, boxW, boxH, tw, th, gap, own int) int {
	best, bestScore := own, math.Inf(-1)
	for c := 1; c <= n; c++ {
		r := (n + c - 1) / c
		w, _ := fit(tw, th, (boxW-(c-1)*gap)/c, (boxH-(r-1)*gap)/r)
		score := float64(w)
		if n%c != 0 {
			score -= .25 // a ragged last row is worth less than no pixel
		}
		if c == own {
			score += .125
		}
		if score > bestScore {
			best, bestScore = c, score
		}
	}
	return best
}

// thin keeps as many tiles of a strip as fit at the height of the box without getting narrower than minTile, always with the first
// and the last.
func thin(tiles []image.Rectangle, boxW, boxH, tw, th, gap, minTile int) []image.Rectangle {
	w, _ := fit(tw, th, boxW, boxH)
	w = max(1, w, minTile)
	keep := min(len(tiles), max(1, (boxW+gap)/(w+gap)))
	if keep == len(tiles) {
		return tiles
	}
	if keep == 1 {
		return tiles[len(tiles)-1:]
	}
	out := make([]image.Rectangle, keep)
	for i := range out {
		out[i] = tiles[i*(len(tiles)-1)/(keep-1)]
	}
	return out
}
