package simd

//go:generate go run -C ../asm ./dot -pkg simd -out ../simd/dot_amd64.s -stubs ../simd/dot_amd64.go

import "math"

// Dot holds the kernels of products in bf16, the upper half of a float32. Like VCVTNEPS2BF16, what rounds goes to the nearest, to
// even in the middle, and takes a denormal number for zero.
type Dot struct {
	Name  string // amx, avx512_bf16, or go
	Tiles bool   // AMX: many times as fast as products in float32, Winograd's among them
	Run   func(*DotArgs)
	round func(dst *uint16, src *float32, blocks int)                    // of 32 elements
	pair  func(dst *uint16, ds int, a, b *float32, ss, blocks, rows int) // of 16 elements; rows are so many bytes apart
}

// DotPlain is plain Go, for tests on any machine.
var DotPlain = Dot{Name: "go", Run: dotGeneric}

// Round rounds src to dst, as long.
func (d *Dot) Round(dst []uint16, src []float32) {
	i := 0
	if n := len(src) / 32; d.round != nil && n > 0 {
		i = 32 * n
		d.round(&dst[:i][0], &src[0], n)
	}
	for ; i < len(src); i++ {
		dst[i] = ToBF16(src[i])
	}
}

// Pair rounds a and b, as long as each other, to dst, in turns.
func (d *Dot) Pair(dst []uint16, a, b []float32) {
	i := 0
	if n := len(a) / 16; d.pair != nil && n > 0 {
		i = 16 * n
		d.pair(&dst[:2*i][0], 0, &a[0], &b[:i][0], 0, n, 1)
	}
	for ; i < len(a); i++ {
		dst[2*i], dst[2*i+1] = ToBF16(a[i]), ToBF16(b[i])
	}
}

// PairRows is Pair for rows: of each two rows of src, n elements long and ss apart, it makes one of dst; those are ds apart.
func (d *Dot) PairRows(dst []uint16, ds int, src []float32, ss, n, pairs int) {
	if pairs <= 0 || n == 0 {
		return
	}
	_, _ = dst[(pairs-1)*ds+2*n-1], src[(2*pairs-1)*ss+n-1]
	if d.pair != nil && n%16 == 0 {
		d.pair(&dst[0], 2*ds, &src[0], &src[ss], 8*ss, n/16, pairs)
		return
	}
	for k := range pairs {
		d.Pair(dst[k*ds:][:2*n], src[2*k*ss:][:n], src[(2*k+1)*ss:][:n])
	}
}

// ToBF16 rounds a number.
func ToBF16(f float32) uint16 {
	u := math.Float32bits(f)
	switch u >> 23 & 0xff {
	case 0: // zero, or denormal
		return uint16(u >> 16 & 0x8000)
	case 0xff:
		if u<<9 != 0 { // stays no number
			return uint16(u>>16 | 0x40)
		}
	}
	return uint16((u + 0x7fff + u>>16&1) >> 16)
}

// FromBF16 is the number as a float32.
func FromBF16(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }
