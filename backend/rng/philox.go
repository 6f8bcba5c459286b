// Package rng is the project's only source of randomness: the counter-based
// generator Philox 4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as
// 1, 2, 3", SC 2011) and uniforms, normals and permutations made from it.
//
// A number is a pure function of where it is used: the key is (seed, stream),
// the counter is (block of four elements, global sample index, step). Nothing
// is stored, so a resumed run needs no saved generator, the number of workers
// or machines changes nothing, and any element can be computed alone.
//
// Shaders compute the same numbers, bit for bit. Everything in float32 here is
// therefore built from +, -, *, integer operations and bit casts only, which
// Vulkan rounds correctly; its division, sqrt, log, sin and cos are coarser and
// are not used. Products that can reach a sum are written float32(a*b): the
// conversion forbids the fused multiply-add that arm64 would otherwise use, even
// across statements (GLSL says the same with `precise`).
package rng

import "math/bits"

// Multipliers and Weyl constants of Philox 4x32.
const (
	philoxM0 = 0xD2511F53
	philoxM1 = 0xCD9E8D57
	philoxW0 = 0x9E3779B9 // golden ratio
	philoxW1 = 0xBB67AE85 // sqrt(3) - 1
)

// Philox returns the four 32-bit words of Philox 4x32-10 for a counter and key.
func Philox(ctr [4]uint32, key [2]uint32) [4]uint32 {
	c0, c1, c2, c3 := ctr[0], ctr[1], ctr[2], ctr[3]
	k0, k1 := key[0], key[1]
	for range 10 {
		hi0, lo0 := bits.Mul32(philoxM0, c0)
		hi1, lo1 := bits.Mul32(philoxM1, c2)
		c0, c1, c2, c3 = hi1^c1^k0, lo1, hi0^c3^k1, lo0
		k0 += philoxW0
		k1 += philoxW1
	}
	return [4]uint32{c0, c1, c2, c3}
}

// Streams keep the uses of randomness apart: with equal counters, different
// streams are independent. The values are part of the format of a run (a
// resumed run must draw the same numbers), so they never change.
const (
	StreamTimestep    uint32 = 1 // t of a training sample
	StreamNoise       uint32 = 2 // eps of a training sample
	StreamFlip        uint32 = 3 // horizontal flip of a training sample
	StreamOrder       uint32 = 4 // the epoch's permutation
	StreamInit        uint32 = 5 // initial weights; sample is the parameter's index
	StreamSample      uint32 = 6 // x_T of a generated sample
	StreamSampleNoise uint32 = 7 // z of a generated sample, one step of the sampler each
	StreamDropout     uint32 = 8 // dropout masks
	StreamCrop        uint32 = 9 // shifts of a training sample

	StreamEval      uint32 = 10 // timesteps, places and lots of an evaluation
	StreamEvalNoise uint32 = 11 // its noise and directions

	StreamAugment uint32 = 12 // what happens to the image of a training sample
)

// Key is Philox's key for a seed and a stream: the low half of the seed, and
// the high half xored with stream * 0x9E3779B9 (an odd constant, so that
// streams differ in many bits).
func Key(seed uint64, stream uint32) [2]uint32 {
	return [2]uint32{uint32(seed), uint32(seed>>32) ^ stream*philoxW0}
}

// Block returns the four words for elements 4*block .. 4*block+3 of a sample at
// a step.
func Block(seed uint64, stream, block, sample uint32, step uint64) [4]uint32 {
	return Philox([4]uint32{block, sample, uint32(step), uint32(step >> 32)}, Key(seed, stream))
}

// Uint32 returns the word of one element: lane e%4 of block e/4.
func Uint32(seed uint64, stream, e, sample uint32, step uint64) uint32 {
	return Block(seed, stream, e/4, sample, step)[e%4]
}

// Below maps a word to 0..n-1 as floor(u * n / 2^32). The probabilities differ
// by at most 2^-32, far below what any run could see; no word is rejected, so
// that the count of draws is fixed.
func Below(u, n uint32) uint32 {
	hi, _ := bits.Mul32(u, n)
	return hi
}

// Uniform maps a word to the open interval (0,1): (2k+1) / 2^24 with k the top
// 23 bits. Never 0 and never 1; exact in float32, with no rounding anywhere.
func Uniform(u uint32) float32 {
	return float32(float32(u>>9<<1|1) * 0x1p-24)
}
