package backend

import "math"

// ToHalf rounds to the nearest half (IEEE binary16), to the even one of two; what is too large becomes infinite.
func ToHalf(f float32) uint16 {
	b := math.Float32bits(f)
	sign, a := uint16(b>>16&0x8000), b&0x7fffffff
	switch {
	case a > 0x7f800000: // NaN
		return sign | 0x7e00
	case a >= 0x477ff000: // 65520, half way from the largest half to the next that there would be
		return sign | 0x7c00
	case a < 0x38800000: // 2^-14, subnormal: multiples of 2^-24
		return sign | uint16(math.RoundToEven(float64(math.Float32frombits(a))*(1<<24)))
	}
	a += 0xfff + a>>13&1 // the carry of the rounding goes into the exponent
	return sign | uint16(a>>13-(127-15)<<10)
}

// FromHalf widens a half, exactly.
func FromHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp, frac := uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exp {
	case 0: // zero and subnormals: frac * 2^-24
		return math.Float32frombits(sign | math.Float32bits(float32(frac)*0x1p-24))
	case 0x1f: // infinity and NaN
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+127-15)<<23 | frac<<13)
}
