package main

import "math"

// The one-dimensional transforms, as in simd/wino_generic.go: each takes the
// elements of a vector and returns those of its transform. It may overwrite
// what it is given.

var (
	a = math.Sqrt(0.5)
	b = math.Sqrt(2)
)

func (e *emitter) input(x []vec) []vec {
	v0 := e.subProduct(e.sum(x[0], x[4]), 2.5, x[2])
	v5 := e.subProduct(e.sum(x[1], x[5]), 2.5, x[3])
	v1, v2 := e.plusMinus(e.subProduct(e.dup(x[4]), 2, x[2]), a, e.subProduct(e.dup(x[3]), 2, x[1]))
	v3, v4 := e.plusMinus(e.subProduct(x[4], 0.5, x[2]), b, e.subProduct(x[3], 0.5, x[1]))
	return []vec{v0, v1, v2, v3, v4, v5}
}

func (e *emitter) output(x []vec) []vec {
	s, d, t, c := e.sum(x[1], x[2]), e.difference(x[1], x[2]), e.sum(x[3], x[4]), e.difference(x[3], x[4])
	y0 := e.sum(x[0], e.sum(s, t))
	y1 := e.addProduct(e.times(a, d), b, c)
	y2 := e.addProduct(e.times(0.5, s), 2, t)
	y3 := e.addProduct(e.addProduct(x[5], a/2, d), 2*b, c)
	return []vec{y0, y1, y2, y3}
}

func (e *emitter) weights(x []vec) []vec {
	u1, u2 := e.plusMinus(e.addProduct(e.times(-2./3, x[0]), -1./3, x[2]), -2*a/3, x[1])
	u3, u4 := e.plusMinus(e.addProduct(e.times(1./6, x[0]), 1./3, x[2]), b/6, x[1])
	return []vec{x[0], u1, u2, u3, u4, x[2]}
}

func (e *emitter) outputGrad(x []vec) []vec {
	w1, w2 := e.plusMinus(e.addProduct(e.dup(x[0]), 0.5, x[2]), a, e.addProduct(e.dup(x[1]), 0.5, x[3]))
	w3, w4 := e.plusMinus(e.addProduct(e.dup(x[0]), 2, x[2]), b, e.addProduct(x[1], 2, x[3]))
	return []vec{x[0], w1, w2, w3, w4, x[3]}
}

func (e *emitter) weightsGrad(x []vec) []vec {
	s, d, t, c := e.sum(x[1], x[2]), e.difference(x[1], x[2]), e.sum(x[3], x[4]), e.difference(x[3], x[4])
	g0 := e.addProduct(e.addProduct(x[0], -2./3, s), 1./6, t)
	g1 := e.addProduct(e.times(-2*a/3, d), b/6, c)
	g2 := e.addProduct(e.addProduct(x[5], -1./3, s), 1./3, t)
	return []vec{g0, g1, g2}
}

// The same for tiles of 2x2.

func (e *emitter) input2(x []vec) []vec {
	return []vec{e.difference(x[0], x[2]), e.sum(x[1], x[2]), e.difference(x[2], x[1]), e.difference(x[3], x[1])}
}

func (e *emitter) output2(x []vec) []vec {
	return []vec{e.sum(x[0], e.sum(x[1], x[2])), e.sum(e.difference(x[1], x[2]), x[3])}
}

func (e *emitter) weights2(x []vec) []vec {
	u1, u2 := e.plusMinus(e.times(0.5, e.sum(x[0], x[2])), 0.5, x[1])
	return []vec{x[0], u1, u2, x[2]}
}

func (e *emitter) outputGrad2(x []vec) []vec {
	return []vec{x[0], e.sum(x[0], x[1]), e.difference(x[0], x[1]), x[1]}
}

func (e *emitter) weightsGrad2(x []vec) []vec {
	s := e.sum(x[1], x[2])
	return []vec{e.addProduct(x[0], 0.5, s), e.times(0.5, e.difference(x[1], x[2])), e.addProduct(x[3], 0.5, s)}
}
