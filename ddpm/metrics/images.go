package metrics

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"

	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// Images are pictures as bytes: [N,S,S,C].
type Images struct {
	N, Size, Channels int
	Pixels            []byte
	from              string // what they were made from, which names them too; "" if that is not known
}

// Per is the bytes of one picture.
func (m Images) Per() int { return m.Size * m.Size * m.Channels }

// At is picture i, [S,S,C].
func (m Images) At(i int) []byte { return m.Pixels[i*m.Per() : (i+1)*m.Per()] }

// First is at most the first n pictures.
func (m Images) First(n int) Images {
	m.N = min(n, m.N)
	m.Pixels = m.Pixels[:m.N*m.Per()]
	return m
}

// Grid draws them side by side, cols a row.
func (m Images) Grid(cols int) *image.RGBA {
	return model.Grid(m.floats(0, m.N), m.N, m.Size, m.Channels, cols)
}

// floats are pictures [from,to) in [-1,1].
func (m Images) floats(from, to int) []float32 {
	v := make([]float32, (to-from)*m.Per())
	for i, p := range m.Pixels[from*m.Per() : to*m.Per()] {
		v[i] = float32(float64(p)/127.5 - 1)
	}
	return v
}

// hash names the pictures. Those that were made from something else are named before all of them are there.
func (m Images) hash() string {
	if m.from != "" {
		return fmt.Sprint(m.N, " of ", m.from)
	}
	sum := sha256.Sum256(m.Pixels)
	return hex.EncodeToString(sum[:8])
}

// Split takes n pictures out of a set, evenly spaced by index, and returns the others and them. The same set and n give the same
// split, always.
func Split(m Images, n int) (rest, held Images) {
	rest, held = m, m
	rest.from, held.from = "", ""
	rest.N, held.N = m.N-n, n
	rest.Pixels, held.Pixels = make([]byte, 0, rest.N*m.Per()), make([]byte, 0, n*m.Per())
	next := 0 // of the held-out pictures
	for i := range m.N {
		if next < n && i == (2*next+1)*m.N/(2*n) {
			held.Pixels = append(held.Pixels, m.At(i)...)
			next++
		} else {
			rest.Pixels = append(rest.Pixels, m.At(i)...)
		}
	}
	return rest, held
}

// FromFloats makes pictures of x: [n,size,size,channels] in [-1,1].
func FromFloats(x []float32, n, size, channels int) Images {
	m := Images{N: n, Size: size, Channels: channels, Pixels: make([]byte, len(x))}
	for i, v := range x {
		m.Pixels[i] = model.Byte(v)
	}
	return m
}

// packed are bytes as numbers that a chunk keeps: three a float32, which holds 24 bits exactly.
func packed(p []byte) []float32 {
	v := make([]float32, (len(p)+2)/3)
	for i, b := range p {
		v[i/3] += float32(uint32(b) << (8 * (i % 3)))
	}
	return v
}

// unpacked are the first n bytes of what packed returned.
func unpacked(v []float32, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(uint32(v[i/3]) >> (8 * (i % 3)))
	}
	return p
}
