package lab

import (
	"slices"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// A Bank is the masks that training draws from: [N,side,side,C], 255 where a value is known and 0 where it is hidden. They are sorted
// by how much they hide, from little to everything, so that the loss by mask is a curve like the loss by timestep.
type Bank struct {
	Masks  []byte
	Hidden []int // values that each hides
}

// NewBank makes n masks for images of side x side pixels and C channels. How much they hide is spread evenly, which makes the mean
// loss over them the bits a value of an image drawn value by value (Hoogeboom et al. 2021, eq. 4). What they show is what is known at
// some time in some order: four in ten show the beginning of a random order of the pixels, four that of a row of blocks of 1, 2, 4 or 8
// pixels a side, two that of a lattice. Half of them show a part of some pixels more, as partly says. One in sixteen hides all. n = 1
// is that mask alone.
func NewBank(n, side, C int, seed uint64) *Bank {
	pixels, per := side*side, side*side*C
	b := &Bank{Masks: make([]byte, n*per), Hidden: make([]int, n)}
	var orders [][]int // of pixels
	for _, k := range []int{1, 2, 4, 8} {
		if g, err := Groups(Blocks, side, k*k, 0); err == nil {
			orders = append(orders, slices.Concat(g...))
		}
	}
	nBlocks := len(orders)
	for _, k := range []int{2, 4, 8} {
		if g, err := Groups(Lattice, side, k*k, 0); err == nil {
			orders = append(orders, slices.Concat(g...))
		}
	}
	for j := range n {
		shown := pixels - 1 - j*pixels/n
		all := j%16 == 15 || j == n-1
		if all {
			shown = 0
		}
		word := rng.Uint32(seed, rng.StreamOrder, 0, uint32(j), orderEpoch)
		var order []int
		switch kind := word / 8 % 10; {
		case kind < 4:
			order = shuffled(pixels, seed+uint64(j)+1)
		case kind < 8 || nBlocks == len(orders):
			order = orders[int(word/128)%nBlocks]
		default:
			order = orders[nBlocks+int(word/128)%(len(orders)-nBlocks)]
		}
		mask := b.Masks[j*per:][:per]
		for _, p := range order[:shown] {
			for c := range C {
				mask[p*C+c] = 255
			}
		}
		if !all && word%2 == 0 {
			partly(mask, order[shown:], C, int(word/2%4), seed+uint64(j))
		}
		for _, v := range mask {
			if v == 0 {
				b.Hidden[j]++
			}
		}
	}
	return b.sorted(per)
}

// partly shows some channels of hidden pixels, in their order: of the first, as one meets it where an image is drawn value by value, and
// of every 16th, every 4th or each of the others, by kind 1, 2 and 3. One pixel among hundreds would teach a network too little of what
// the channels of a pixel say of each other.
func partly(mask []byte, hidden []int, C, kind int, seed uint64) {
	every := []uint32{0, 16, 4, 1}[kind]
	for i, p := range hidden {
		word := rng.Uint32(seed, rng.StreamOrder, uint32(i), 0, orderEpoch+1)
		if C > 1 && (i == 0 || every > 0 && word%every == 0) {
			for c := range 1 + int(word>>8)%(C-1) {
				mask[p*C+c] = 255
			}
		}
	}
}

// sorted orders the masks by what they hide.
func (b *Bank) sorted(per int) *Bank {
	n := len(b.Hidden)
	start := make([]int, per+2)
	for _, h := range b.Hidden {
		start[h+1]++
	}
	for h := range per {
		start[h+1] += start[h]
	}
	s := &Bank{Masks: make([]byte, len(b.Masks)), Hidden: make([]int, n)}
	for j, h := range b.Hidden {
		at := start[h]
		start[h]++
		copy(s.Masks[at*per:][:per], b.Masks[j*per:])
		s.Hidden[at] = h
	}
	return s
}

// Table is the rows of a table of time embeddings [T,width] that belong to the masks: [N,width].
func (b *Bank) Table(table []float32, width int) []float32 {
	per, T := len(b.Masks)/len(b.Hidden), len(table)/width
	rows := make([]float32, 0, len(b.Hidden)*width)
	for _, h := range b.Hidden {
		t := TimeOf(h, per, T)
		rows = append(rows, table[t*width:(t+1)*width]...)
	}
	return rows
}

// Coords are what the network sees of where a pixel lies, for n images: [n,side,side,channels] with x and y in the last two channels,
// from -1 to 1, and zeros before them.
func Coords(n, side, channels int) []float32 {
	out := make([]float32, n*side*side*channels)
	for i := range n * side * side {
		x, y := i%side, i/side%side
		out[i*channels+channels-2] = coord(x, side)
		out[i*channels+channels-1] = coord(y, side)
	}
	return out
}

func coord(i, side int) float32 { return float32(2*i+1)/float32(side) - 1 }

// Assemble writes the network's input for one image: what is known of it, or black, the mask, the coordinates.
// image, known: [side,side,C], x: [side,side,2C+2].
func Assemble(x, image []float32, known []bool, side, C int) {
	in := 2*C + 2
	for i := range side * side {
		px := x[i*in:][:in]
		for c := range C {
			px[c], px[C+c] = -1, 0
			if known[i*C+c] {
				px[c], px[C+c] = image[i*C+c], 1
			}
		}
		px[2*C], px[2*C+1] = coord(i%side, side), coord(i/side, side)
	}
}

// AssembleNoise writes the network's input for a noisy image, which has no mask.
func AssembleNoise(x, noisy []float32, side, C int) {
	in := 2*C + 2
	for i := range side * side {
		px := x[i*in:][:in]
		copy(px, noisy[i*C:][:C])
		clear(px[C : 2*C])
		px[2*C], px[2*C+1] = coord(i%side, side), coord(i/side, side)
	}
}
