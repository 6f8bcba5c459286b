package metrics

import (
	"context"
	"math"
	"slices"
	"sync"

	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// The sliced Wasserstein distance of Karras et al. 2018 ("Progressive Growing of GANs", section 5).
const (
	swdPatch      = 7    // pixels a side of a patch
	swdPatches    = 128  // of each picture and level
	swdDirections = 256  // that patches are projected on
	swdForError   = 16   // of which serve the error bar
	swdBlock      = 16   // of which are computed at a time, and kept together
	swdSmallest   = 16   // side of the last level
	swdMost       = 8192 // pictures on each side, whose patches take 2 GB of memory
	swdScale      = 1000 // distances are told times this, as in the paper
)

// SlicedWasserstein is the distance between two sets of pictures of one size by level of the Laplacian pyramid, finest first, and
// their mean. Of both the first N, the lesser number and at most swdMost, are used. Errors are the jackknife's over pictures of both sets.
func SlicedWasserstein(ctx context.Context, w *Work, a, b Images, seed uint64) (levels []Estimate, mean Estimate, err error) {
	n := min(a.N, b.N, swdMost)
	a, b = a.First(n), b.First(n)
	pyramid := sync.OnceValue(func() [2][][][]float32 { return [2][][][]float32{pyramids(a), pyramids(b)} }) // not if all was kept
	var sets [2]descriptors
	level := -1 // that sets are of
	const each = swdDirections / swdBlock
	rows, err := pieces(ctx, w, "sliced Wasserstein distance", []any{a.hash(), b.hash(), seed, swdPatch, swdPatches, swdDirections, swdForError, swdBlock}, pyramidLevels(a.Size)*each, func(i int, _ func(float64)) ([]float64, error) {
		l := i / each
		if l != level {
			for k, p := range pyramid() {
				sets[k] = patches(p[l], a.Size>>l, a.Channels, uint64(l), seed)
			}
			level = l
		}
		return sliced(sets[0], sets[1], i%each*swdBlock, uint64(l), seed), nil
	})
	if err != nil {
		return nil, mean, err
	}
	count := len(rows) / each
	without := make([]float64, jackknifeGroups)
	for l := range count {
		value, left := 0.0, make([]float64, jackknifeGroups)
		for k, v := range slices.Concat(rows[l*each : (l+1)*each]...) { // groups of a distance and those with groups left out
			if k %= 1 + jackknifeGroups; k == 0 {
				value += swdScale * v / swdDirections
			} else {
				left[k-1] += swdScale * v / swdForError
			}
		}
		levels = append(levels, Estimate{value, jackknife(left), n})
		mean.Value += value / float64(count)
		for g, v := range left {
			without[g] += v / float64(count)
		}
	}
	mean.Err, mean.N = jackknife(without), n
	return levels, mean, nil
}

// pyramidLevels is how many levels the pyramid of a picture of a side has.
func pyramidLevels(side int) int {
	n := 1
	for ; side%2 == 0 && side/2 >= swdSmallest; side /= 2 {
		n++
	}
	return n
}

// pyramids are the Laplacian pyramids of pictures: [level][picture], each [s,s,C] of values of [-1,1] and their differences.
func pyramids(m Images) [][][]float32 {
	levels := pyramidLevels(m.Size)
	out := make([][][]float32, levels)
	for l := range out {
		out[l] = make([][]float32, m.N)
	}
	parallel(m.N, func(i int) {
		x, s := m.floats(i, i+1), m.Size
		for l := range levels - 1 {
			small := pyramidDown(x, s, m.Channels)
			up := pyramidUp(small, s/2, m.Channels)
			for k := range x {
				x[k] -= up[k]
			}
			out[l][i] = x
			x, s = small, s/2
		}
		out[levels-1][i] = x
	})
	return out
}

// binomial is the filter of Burt & Adelson's pyramid.
var binomial = [5]float32{1. / 16, 4. / 16, 6. / 16, 4. / 16, 1. / 16}

// mirrored is where index i of 0..n-1 lies if it is outside.
func mirrored(i, n int) int {
	if n == 1 {
		return 0
	}
	for i < 0 || i >= n {
		if i < 0 {
			i = -i
		} else {
			i = 2*n - 2 - i
		}
	}
	return i
}

// filter blurs rows or columns: y[p] is the sum of f[k] x[at + (k-2) step], mirrored at the borders.
func filter(x []float32, s, C int, f [5]float32, vertical bool) []float32 {
	y := make([]float32, len(x))
	for r := range s {
		for c := range s {
			for k, w := range f {
				rr, cc := r, c
				if vertical {
					rr = mirrored(r+k-2, s)
				} else {
					cc = mirrored(c+k-2, s)
				}
				for ch := range C {
					y[(r*s+c)*C+ch] += w * x[(rr*s+cc)*C+ch]
				}
			}
		}
	}
	return y
}

func blur(x []float32, s, C int, f [5]float32) []float32 {
	return filter(filter(x, s, C, f, false), s, C, f, true)
}

// pyramidDown blurs and takes every other pixel. x: [s,s,C]
func pyramidDown(x []float32, s, C int) []float32 {
	b := blur(x, s, C, binomial)
	h := s / 2
	y := make([]float32, h*h*C)
	for r := range h {
		for c := range h {
			copy(y[(r*h+c)*C:][:C], b[(2*r*s+2*c)*C:])
		}
	}
	return y
}

// pyramidUp puts zeros between the pixels and blurs. x: [s,s,C]
func pyramidUp(x []float32, s, C int) []float32 {
	d := 2 * s
	y := make([]float32, d*d*C)
	for r := range s {
		for c := range s {
			copy(y[(2*r*d+2*c)*C:][:C], x[(r*s+c)*C:])
		}
	}
	twice := binomial
	for i := range twice {
		twice[i] *= 2
	}
	return blur(y, d, C, twice)
}

// descriptors are patches [pictures*swdPatches, len], each channel with mean 0 and deviation 1 over all of them.
type descriptors struct {
	v      []float32
	length int
}

func patches(level [][]float32, s, C int, stream, seed uint64) descriptors {
	p := min(swdPatch, s)
	d := descriptors{length: p * p * C}
	d.v = make([]float32, len(level)*swdPatches*d.length)
	parallel(len(level), func(i int) {
		for k := range swdPatches {
			w := rng.Block(seed, rng.StreamEval, uint32(k), uint32(i), 1+stream)
			r, c := int(rng.Below(w[0], uint32(s-p+1))), int(rng.Below(w[1], uint32(s-p+1)))
			to := d.v[(i*swdPatches+k)*d.length:]
			for row := range p {
				copy(to[row*p*C:][:p*C], level[i][((r+row)*s+c)*C:])
			}
		}
	})
	for ch := range C {
		var sum, sq float64
		for i := ch; i < len(d.v); i += C {
			sum += float64(d.v[i])
			sq += float64(d.v[i]) * float64(d.v[i])
		}
		n := float64(len(d.v) / C)
		m := sum / n
		std := math.Sqrt(max(sq/n-m*m, 1e-20))
		for i := ch; i < len(d.v); i += C {
			d.v[i] = float32((float64(d.v[i]) - m) / std)
		}
	}
	return d
}

// sliced are distances between the sorted projections on swdBlock random directions from the first on, and after each the same with each
// group of pictures left out: 0 but for the first swdForError directions, [swdBlock * (1 + groups)].
func sliced(a, b descriptors, first int, stream, seed uint64) []float64 {
	const row = 1 + jackknifeGroups
	out := make([]float64, swdBlock*row)
	parallel(swdBlock, func(i int) {
		k := first + i
		dir := make([]float32, a.length)
		rng.Normals(dir, seed, rng.StreamEvalNoise, uint32(k), 1<<40+stream)
		norm := 0.0
		for _, v := range dir {
			norm += float64(v) * float64(v)
		}
		for i := range dir {
			dir[i] /= float32(math.Sqrt(norm))
		}
		pa, pb := a.project(dir), b.project(dir)
		for g := 0; g < jackknifeGroups && k < swdForError; g++ {
			out[i*row+1+g] = distance1(leaveOut(pa, g), leaveOut(pb, g))
		}
		out[i*row] = distance1(pa, pb)
	})
	return out
}

// project gives each patch's coordinate along dir.
func (d descriptors) project(dir []float32) []float32 {
	out := make([]float32, len(d.v)/d.length)
	for i := range out {
		row := d.v[i*d.length:][:d.length]
		var s0, s1, s2, s3 float32
		k := 0
		for ; k+4 <= len(row); k += 4 {
			s0 += row[k] * dir[k]
			s1 += row[k+1] * dir[k+1]
			s2 += row[k+2] * dir[k+2]
			s3 += row[k+3] * dir[k+3]
		}
		for ; k < len(row); k++ {
			s0 += row[k] * dir[k]
		}
		out[i] = s0 + s1 + s2 + s3
	}
	return out
}

// leaveOut copies the projections of the pictures that are not of group g.
func leaveOut(p []float32, g int) []float32 {
	out := make([]float32, 0, len(p))
	for i := 0; i < len(p); i += swdPatches {
		if groupOf(i/swdPatches) != g {
			out = append(out, p[i:i+swdPatches]...)
		}
	}
	return out
}

// distance1 is the Wasserstein-1 distance of two samples of one size: the mean difference of the sorted values. It sorts them.
func distance1(a, b []float32) float64 {
	slices.Sort(a)
	slices.Sort(b)
	sum := 0.0
	for i := range a {
		sum += math.Abs(float64(a[i]) - float64(b[i]))
	}
	return sum / float64(len(a))
}
