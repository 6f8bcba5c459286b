package ddpm

import "math"

// Slerp writes the point at share u of the way from noise a to noise b along the
// great circle between them, in place of dst, which may be either. A straight
// line would pass through noise that is too weak: half of two independent
// normals has variance 1/2, and the network knows only 1.
func Slerp(dst, a, b []float32, u float64) {
	var aa, bb, ab float64
	for i := range a {
		x, y := float64(a[i]), float64(b[i])
		aa, bb, ab = aa+float64(x*x), bb+float64(y*y), ab+float64(x*y)
	}
	wa, wb := 1-u, u
	if norm := math.Sqrt(aa * bb); norm > 0 {
		angle := math.Acos(min(max(ab/norm, -1), 1))
		if sine := math.Sin(angle); sine > 1e-6 {
			wa, wb = math.Sin((1-u)*angle)/sine, math.Sin(u*angle)/sine
		}
	}
	combine(dst, wa, a, wb, b)
}
