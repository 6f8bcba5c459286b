package rng

import "math"

// The elementary functions of Box-Muller, in float32, for the argument ranges
// that it needs and no others. Errors (every possible argument is tested):
// logf 1 ulp, sqrtf 1 ulp, sin and cos 1e-7 absolute.

// logf returns ln x for normal x > 0. x = m * 2^e with m in [sqrt(1/2), sqrt(2));
// ln(1+f) = f - f^2/2 + f^3 P(f), P from Cephes' logf (S. Moshier).
func logf(x float32) float32 {
	// Adding before the shift moves the split between exponents to sqrt(1/2).
	const sqrtHalf = 0x3f3504f3
	ix := math.Float32bits(x) - sqrtHalf
	e := float32(int32(ix) >> 23)
	f := math.Float32frombits(ix&0x007fffff+sqrtHalf) - 1

	p := float32(7.0376836292e-2)
	p = float32(p*f) - 1.1514610310e-1
	p = float32(p*f) + 1.1676998740e-1
	p = float32(p*f) - 1.2420140846e-1
	p = float32(p*f) + 1.4249322787e-1
	p = float32(p*f) - 1.6668057665e-1
	p = float32(p*f) + 2.0000714765e-1
	p = float32(p*f) - 2.4999993993e-1
	p = float32(p*f) + 3.3333331174e-1

	// ln 2 in two parts: e * 0.693359375 is exact.
	z := float32(f * f)
	y := float32(float32(p*f) * z)
	y = y + float32(e*-2.12194440e-4)
	y = y - float32(0.5*z)
	return float32(e*0.693359375) + (f + y)
}

// sqrtf returns the square root of normal x > 0: a guess of 1/sqrt(x) from the
// bits, two Newton steps on it, and one on the root itself.
func sqrtf(x float32) float32 {
	r := math.Float32frombits(0x5f3759df - math.Float32bits(x)>>1)
	h := float32(0.5 * x)
	r = float32(r * (1.5 - float32(float32(h*r)*r)))
	r = float32(r * (1.5 - float32(float32(h*r)*r)))
	y := float32(x * r)
	return y + float32(float32(0.5*r)*(x-float32(y*y)))
}

// sincosTurn returns sin(2 pi x) and cos(2 pi x) for x = m / 2^24, 0 <= m < 2^24.
// The reduction to an eighth of a turn is in integers, so it is exact.
func sincosTurn(m uint32) (sin, cos float32) {
	q := (m + 1<<21) >> 22                          // nearest quarter turn, 0..4
	x := float32(float32(int32(m-q<<22)) * 0x1p-22) // in [-1/2, 1/2], in quarter turns
	s := float32(x * x)

	// sin(pi/2 x) = x (pi/2 + p(s)): the first coefficient is the low part of
	// pi/2 that its float32 lacks. Near-minimax fits on s in [0, 1/4].
	p := float32(-0.004602149128913879)
	p = float32(p*s) + 0.07968021929264069
	p = float32(p*s) - 0.6459634900093079
	p = float32(p*s) - 4.8553051357203e-08
	sn := float32(x*1.5707963705062866) + float32(x*p)

	// cos(pi/2 x) = 1 + s q(s).
	c := float32(0.0009067399078048766)
	c = float32(c*s) - 0.02086152881383896
	c = float32(c*s) + 0.253669410943985
	c = float32(c*s) - 1.2337005138397217
	cs := 1 + float32(s*c)

	if q&1 != 0 {
		sn, cs = cs, -sn
	}
	if q&2 != 0 {
		sn, cs = -sn, -cs
	}
	return sn, cs
}
