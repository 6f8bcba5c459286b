package data

import (
	"image"
	"math/rand/v2"
)

// A Set is a loaded image set.
type Set struct {
	Name     string // where it came from, safe to print
	Size     int    // side of every picture, H = W
	Channels int    // C: 3, or 1 for grey
	N        int
	Pixels   []byte // [N,H,W,C] uint8, NHWC, sRGB

	// Labels has N class numbers, or is nil where the source has none. CIFAR-10 and MNIST bring theirs; in a folder or
	// an archive the first folder of each path is the class, if every picture lies in one and there are two or more.
	Labels  []int
	Classes []string // names of the classes, safe to print

	Skipped      []Skip // files left out, by name; at most 10,000 of them
	SkippedTotal int    // all of them

	// Hash names the list the set was made from: the SHA-256, in hex, of these lines, each ended by \n:
	//	ddpm-tui image set 1
	//	size S channels C max M
	//	and, for each file in the byte order of the names: strconv.Quote(name), a space, its size in bytes
	// S is the side in use, also where it was chosen by the first picture; M is Options.MaxImages. The files are those
	// that were candidates, read or skipped, but not hidden ones and links that lead nowhere. The bytes of the files are
	// not in it, and neither is the path of the source: a set that was moved is the same set.
	Hash string

	Sources []SizeCount // sizes that the pictures had, the most frequent first
	Formats []Count     // formats they came in, the most frequent first

	files  []string // names of the files that gave pictures, in order, escaped
	origin []span   // which picture came from which file, in order
}

// A SizeCount is how many pictures had a size, after EXIF orientation.
type SizeCount struct {
	W int `json:"width"`
	H int `json:"height"`
	N int `json:"images"`
}

// A Count is how many pictures have a property.
type Count struct {
	Name string `json:"name"`
	N    int    `json:"images"`
}

// span says that the pictures from first on, up to the next span, come from a file.
type span struct{ first, file int }

// Bytes returns the bytes of picture i, [H,W,C]. They are the set's own: do not write.
func (s *Set) Bytes(i int) []byte {
	n := s.Size * s.Size * s.Channels
	return s.Pixels[i*n : (i+1)*n : (i+1)*n]
}

// Image returns a copy of picture i.
func (s *Set) Image(i int) *image.RGBA { return rgba(s.Bytes(i), s.Size, s.Channels) }

// File returns the name of the file that picture i came from, safe to print.
func (s *Set) File(i int) string {
	lo, hi := 0, len(s.origin)
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; s.origin[mid].first <= i {
			lo = mid
		} else {
			hi = mid
		}
	}
	if lo >= len(s.origin) {
		return ""
	}
	return s.files[s.origin[lo].file]
}

// Mean returns the mean picture, [H,W,C], each value from 0 to 255. An empty set has none.
func (s *Set) Mean() []float64 {
	n := s.Size * s.Size * s.Channels
	if s.N == 0 {
		return nil
	}
	sum := make([]uint64, n) // integers: the order of the pictures does not matter
	for i := range s.N {
		for k, v := range s.Pixels[i*n : (i+1)*n] {
			sum[k] += uint64(v)
		}
	}
	mean := make([]float64, n)
	for k, v := range sum {
		mean[k] = float64(v) / float64(s.N)
	}
	return mean
}

// MeanImage returns the mean picture as one that can be drawn.
func (s *Set) MeanImage() *image.RGBA {
	mean := s.Mean()
	p := make([]byte, s.Size*s.Size*s.Channels)
	for k, v := range mean {
		p[k] = byte(v + 0.5)
	}
	return rgba(p, s.Size, s.Channels)
}

// ContactSheet draws pictures of a set in rows and columns without gaps. They are drawn by lot, each at most once, and
// the same seed draws the same ones; what the set cannot fill stays white.
func ContactSheet(s *Set, rows, cols int, seed uint64) *image.RGBA {
	rows, cols = max(rows, 1), max(cols, 1)
	m := image.NewRGBA(image.Rect(0, 0, cols*s.Size, rows*s.Size))
	for i := range m.Pix {
		m.Pix[i] = 255
	}
	for k, i := range sample(s.N, rows*cols, seed) {
		paste(m, k%cols*s.Size, k/cols*s.Size, s.Bytes(i), s.Size, s.Channels)
	}
	return m
}

// sample draws k of n numbers without putting back (Floyd's way), in the order drawn.
func sample(n, k int, seed uint64) []int {
	rng := rand.New(rand.NewPCG(seed, 0x64617461))
	k = min(k, n)
	seen := make(map[int]bool, k)
	out := make([]int, 0, k)
	for j := n - k; j < n; j++ {
		v := rng.IntN(j + 1)
		if seen[v] {
			v = j
		}
		seen[v] = true
		out = append(out, v)
	}
	rng.Shuffle(len(out), func(a, b int) { out[a], out[b] = out[b], out[a] })
	return out
}
