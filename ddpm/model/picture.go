package model

import (
	"image"
	"math"
)

// Grid puts images x: [N,H,W,C] in [-1,1], C of 1 or 3, side by side: cols a row, N of them.
func Grid(x []float32, n, size, channels, cols int) *image.RGBA {
	cols = min(cols, n)
	rows := (n + cols - 1) / cols
	m := image.NewRGBA(image.Rect(0, 0, cols*size, rows*size))
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	per := size * size * channels
	for k := range n {
		for y := range size {
			for xx := range size {
				at := m.PixOffset(k%cols*size+xx, k/cols*size+y)
				for c := range 3 {
					m.Pix[at+c] = Byte(x[k*per+(y*size+xx)*channels+min(c, channels-1)])
				}
			}
		}
	}
	return m
}

// Byte is a value of [-1,1] as a pixel's.
func Byte(v float32) uint8 {
	return uint8(math.RoundToEven(min(max((float64(v)+1)*127.5, 0), 255)))
}

// Columns is how many images a row of a grid of n has: as square as can be, wider rather than higher.
func Columns(n int) int { return int(math.Ceil(math.Sqrt(float64(n)))) }

// Strip picks frames of one trajectory: steps indices of 0..total-1, evenly spaced, the last one included.
func Strip(total, frames int) []int {
	frames = min(frames, total)
	at := make([]int, frames)
	for i := range at {
		at[i] = (i + 1) * total / frames
		at[i]--
	}
	return at
}
