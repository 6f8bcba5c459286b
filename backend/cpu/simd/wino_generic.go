package simd

// The one-dimensional transforms, in the places of x: each is applied to the
// columns of a matrix and then to the rows. See Wino for the matrices.

const (
	winoA = 0.70710678118654752440 // sqrt(1/2)
	winoB = 1.41421356237309504880 // sqrt(2)
)

type winoVector = [6]float32

func winoInput(x *winoVector) {
	e, o := x[4]-2*x[2], winoA*(x[3]-2*x[1])
	f, p := x[4]-0.5*x[2], winoB*(x[3]-0.5*x[1])
	*x = winoVector{x[0] + x[4] - 2.5*x[2], e + o, e - o, f + p, f - p, x[1] + x[5] - 2.5*x[3]}
}

func winoOutput(x *winoVector) {
	e, o, f, p := x[1]+x[2], x[1]-x[2], x[3]+x[4], x[3]-x[4]
	*x = winoVector{x[0] + e + f, winoA*o + winoB*p, 0.5*e + 2*f, x[5] + winoA/2*o + 2*winoB*p}
}

func winoWeights(x *winoVector) {
	e, o := -2./3*x[0]-1./3*x[2], -2*winoA/3*x[1]
	f, p := 1./6*x[0]+1./3*x[2], winoB/6*x[1]
	*x = winoVector{x[0], e + o, e - o, f + p, f - p, x[2]}
}

func winoOutputGrad(x *winoVector) {
	e, o := x[0]+0.5*x[2], winoA*(x[1]+0.5*x[3])
	f, p := x[0]+2*x[2], winoB*(x[1]+2*x[3])
	*x = winoVector{x[0], e + o, e - o, f + p, f - p, x[3]}
}

func winoWeightsGrad(x *winoVector) {
	e, o, f, p := x[1]+x[2], x[1]-x[2], x[3]+x[4], x[3]-x[4]
	*x = winoVector{x[0] - 2./3*e + 1./6*f, -2*winoA/3*o + winoB/6*p, x[5] - 1./3*e + 1./3*f}
}

// The same for tiles of 2x2.

func winoInput2(x *winoVector) {
	*x = winoVector{x[0] - x[2], x[1] + x[2], x[2] - x[1], x[3] - x[1]}
}

func winoOutput2(x *winoVector) { *x = winoVector{x[0] + (x[1] + x[2]), x[1] - x[2] + x[3]} }

func winoWeights2(x *winoVector) {
	e, o := 0.5*(x[0]+x[2]), 0.5*x[1]
	*x = winoVector{x[0], e + o, e - o, x[2]}
}

func winoOutputGrad2(x *winoVector) { *x = winoVector{x[0], x[0] + x[1], x[0] - x[1], x[1]} }

func winoWeightsGrad2(x *winoVector) {
	e := 0.5 * (x[1] + x[2])
	*x = winoVector{x[0] + e, 0.5 * (x[1] - x[2]), x[3] + e}
}

// genericLanes are 8: fewer channels are not worth it.
const genericLanes = 8

func genericWino(tile int) Wino {
	if tile == 2 {
		return Wino{
			Tile: 2, Lanes: genericLanes,
			Input:       func(a *WinoArgs) { winoGeneric(a, 4, 4, winoInput2) },
			Output:      func(a *WinoArgs) { winoGeneric(a, 4, 2, winoOutput2) },
			Weights:     func(a *WinoArgs) { winoGeneric(a, 3, 4, winoWeights2) },
			OutputGrad:  func(a *WinoArgs) { winoGeneric(a, 2, 4, winoOutputGrad2) },
			WeightsGrad: func(a *WinoArgs) { winoGeneric(a, 4, 3, winoWeightsGrad2) },
		}
	}
	return Wino{
		Tile: 4, Lanes: genericLanes,
		Input:       func(a *WinoArgs) { winoGeneric(a, 6, 6, winoInput) },
		Output:      func(a *WinoArgs) { winoGeneric(a, 6, 4, winoOutput) },
		Weights:     func(a *WinoArgs) { winoGeneric(a, 3, 6, winoWeights) },
		OutputGrad:  func(a *WinoArgs) { winoGeneric(a, 4, 6, winoOutputGrad) },
		WeightsGrad: func(a *WinoArgs) { winoGeneric(a, 6, 3, winoWeightsGrad) },
	}
}

// winoGeneric transforms matrices of from x from vectors to to x to.
func winoGeneric(a *WinoArgs, from, to int, transform func(*winoVector)) {
	for m := range a.Count {
		for c := range a.N {
			var x [6]winoVector // columns after the first pass
			for j := range from {
				for i := range from {
					x[j][i] = *at(a.Src, m*a.SrcNext+i*a.SrcRow+j*a.SrcCol+c)
				}
				transform(&x[j])
			}
			bias := float32(0)
			if a.Bias != nil {
				bias = *at(a.Bias, c)
			}
			for i := range to {
				var row winoVector
				for j := range from {
					row[j] = x[j][i]
				}
				transform(&row)
				for j := range to {
					*at(a.Dst, m*a.DstNext+i*a.DstRow+j*a.DstCol+c) = row[j] + bias
				}
			}
		}
	}
}
