package rng

// boxMuller turns two words into two independent standard normals:
// sqrt(-2 ln u0) (cos 2 pi u1, sin 2 pi u1). With u0 >= 2^-24 the largest
// magnitude is 5.77; the 8e-9 of probability beyond it is cut off.
func boxMuller(w0, w1 uint32) (float32, float32) {
	r := sqrtf(float32(-2 * logf(Uniform(w0))))
	sin, cos := sincosTurn(w1>>9<<1 | 1) // the 2k+1 of Uniform
	return float32(r * cos), float32(r * sin)
}

// NormalBlock returns the normals of elements 4*block .. 4*block+3: words 0 and
// 1 of the Philox block make the first two, words 2 and 3 the others.
func NormalBlock(seed uint64, stream, block, sample uint32, step uint64) [4]float32 {
	w := Block(seed, stream, block, sample, step)
	a, b := boxMuller(w[0], w[1])
	c, d := boxMuller(w[2], w[3])
	return [4]float32{a, b, c, d}
}

// Normal returns the normal of one element: lane e%4 of block e/4.
func Normal(seed uint64, stream, e, sample uint32, step uint64) float32 {
	return NormalBlock(seed, stream, e/4, sample, step)[e%4]
}

// Normals fills dst with the normals of elements 0 .. len(dst)-1 of one sample
// at one step.
func Normals(dst []float32, seed uint64, stream, sample uint32, step uint64) {
	block := uint32(0)
	for ; len(dst) >= 4; dst = dst[4:] {
		n := NormalBlock(seed, stream, block, sample, step)
		copy(dst[:4], n[:])
		block++
	}
	if len(dst) > 0 {
		n := NormalBlock(seed, stream, block, sample, step)
		copy(dst, n[:])
	}
}
