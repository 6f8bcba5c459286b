package cpu

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
)

// Kernels of a training step around the network: the batch, the noise, the loss, the optimizer.

// control reads the control buffer.
func control(t tensor) (seed, step uint64, sample uint32) {
	w := t.u32()
	return uint64(w[backend.CtlSeed]) | uint64(w[backend.CtlSeedHi])<<32, uint64(w[backend.CtlStep]) | uint64(w[backend.CtlStepHi])<<32, w[backend.CtlSample]
}

func init() {
	kernels["random_normal"] = kernel{dense: true, prepare: func(c *call) func() {
		a, y := c.step.Attrs.(backend.Random), c.out[0]
		per := y.elems() / a.Shape[0]
		return c.blocks(a.Shape[0], max(1, 4096/per), func(from, to int) {
			seed, step, first := control(c.in[0])
			for n := from; n < to; n++ {
				c.vec.Normals(y.f32()[n*per:][:per], seed, a.Stream, first+uint32(n), step)
			}
		})
	}}
	kernels["random_timesteps"] = kernel{prepare: func(c *call) func() {
		a := c.step.Attrs.(backend.Random)
		return func() {
			seed, step, first := control(c.in[0])
			for n := range c.out[0].u32() {
				c.out[0].u32()[n] = rng.Below(rng.Uint32(seed, rng.StreamTimestep, 0, first+uint32(n), step), uint32(a.Limit))
			}
		}
	}}
	kernels["batch_indices"] = kernel{prepare: func(c *call) func() {
		a := c.step.Attrs.(backend.Random)
		return func() {
			seed, step, first := control(c.in[0])
			for n := range c.out[0].u32() {
				at, size := step*uint64(a.Batch)+uint64(first)+uint64(n), uint64(a.Limit)
				c.out[0].u32()[n] = rng.Permute(uint32(at%size), uint32(size), seed, at/size)
			}
		}
	}}
	kernels["batch_images"] = kernel{prepare: func(c *call) func() {
		a, images, index, y := c.step.Attrs.(backend.Random), c.in[0].u8(), c.in[1].u32(), c.out[0].image()
		per := y.h * y.w * y.c
		return c.blocks(y.n, 1, func(n, _ int) {
			seed, step, first := control(c.in[2])
			flip := a.Flip && rng.Uint32(seed, rng.StreamFlip, 0, first+uint32(n), step)>>31 == 1
			src := images[int(index[n])*per:][:per]
			dy, dx := 0, 0
			if a.Crop > 0 {
				w, span := rng.Block(seed, rng.StreamCrop, 0, first+uint32(n), step), uint32(2*a.Crop+1)
				dy, dx = int(rng.Below(w[0], span))-a.Crop, int(rng.Below(w[1], span))-a.Crop
			}
			for h := range y.h {
				row := y.row(n, h)
				line := src[reflect(h+dy, y.h)*y.w*y.c:][:y.w*y.c]
				c.vec.ImageToFloat(row, line)
				if dx != 0 {
					shiftRow(row, line, y.c, dx)
				}
				if flip {
					mirror(row, y.c)
				}
			}
		})
	}}
	kernels["mix"] = kernel{prepare: func(c *call) func() {
		x, z, y := c.in[0].image(), c.in[1].image(), c.out[0].image()
		return c.eachRow(y, func(n, h int) {
			t := c.in[4].u32()[n]
			c.vec.Axpby(y.row(n, h), x.row(n, h), c.in[2].f32()[t], z.row(n, h), c.in[3].f32()[t])
		})
	}}
	kernels["gather"] = kernel{dense: true, prepare: func(c *call) func() {
		table, index, y := c.in[0].f32(), c.in[1].u32(), c.out[0].f32()
		C := c.in[0].v.Shape[1]
		return func() {
			for n, i := range index {
				copy(y[n*C:][:C], table[int(i)*C:])
			}
		}
	}}
	kernels["gather_grad"] = kernel{dense: true, prepare: func(c *call) func() {
		index, dy, dt := c.in[0].u32(), c.in[1].f32(), c.out[0].f32()
		C := c.in[1].v.Shape[3]
		return func() {
			clear(dt)
			for n, i := range index {
				row := dt[int(i)*C:][:C]
				c.vec.Add(row, row, dy[n*C:][:C])
			}
		}
	}}
	kernels["mse"] = kernel{prepare: func(c *call) func() {
		p, q, loss, each := c.in[0].image(), c.in[1].image(), c.out[0].f32(), c.out[1].f32()
		run := c.blocks(p.n, 1, func(n, _ int) {
			sum := 0.0
			for h := range p.h {
				sum += c.vec.SumSqDiff(p.row(n, h), q.row(n, h))
			}
			each[n] = float32(sum / float64(p.h*p.w*p.c))
		})
		return func() {
			run()
			sum := 0.0
			for _, v := range each {
				sum += float64(v)
			}
			loss[0] = float32(sum / float64(p.n))
		}
	}}
	kernels["mse_grad"] = kernel{prepare: func(c *call) func() {
		k := 2 / float64(c.in[0].elems())
		return c.runs(func(s [][]float32) {
			f := float32(k * float64(c.in[2].f32()[0]))
			c.vec.Axpby(s[0], s[1], f, s[2], -f)
		}, c.out[0], c.in[0], c.in[1])
	}}
	kernels["global_norm"] = kernel{prepare: func(c *call) func() {
		x := c.in[0].f32()
		sums := make([]float64, ceil(len(x), grain))
		run := c.blocks(len(x), grain, func(from, to int) { sums[from/grain] = c.vec.SumSq(x[from:to]) })
		return func() {
			run()
			total := 0.0
			for _, s := range sums {
				total += s
			}
			c.out[0].f32()[0] = float32(math.Sqrt(total))
		}
	}}
	kernels["schedule"] = kernel{prepare: func(c *call) func() {
		h, s := c.in[1].f32(), c.out[0].f32()
		return func() {
			_, step, _ := control(c.in[0])
			k := float64(step)
			clear(s)
			lr := float64(h[backend.HypLR])
			if warm := float64(h[backend.HypWarmup]); k+1 < warm {
				lr *= (k + 1) / warm
			} else if kind := h[backend.HypLRKind]; kind != backend.LRConstant {
				u := min(1, (k+1-warm)/max(1, float64(h[backend.HypLRSteps])-warm))
				left := 1 - u
				if kind == backend.LRCosine {
					left = (1 + math.Cos(math.Pi*u)) / 2
				}
				floor := float64(h[backend.HypLRFloor])
				lr *= floor + (1-floor)*left
			}
			s[backend.SclLR] = float32(lr)
			s[backend.SclBias1] = float32(1 - math.Pow(float64(h[backend.HypBeta1]), k+1))
			s[backend.SclBias2] = float32(1 - math.Pow(float64(h[backend.HypBeta2]), k+1))
			s[backend.SclEMA] = float32(min(float64(h[backend.HypEMA]), 1-math.Pow(1+k, -float64(h[backend.HypEMAPower]))))
		}
	}}
	kernels["adamw"] = kernel{prepare: func(c *call) func() {
		p, m, v, ema, g := c.out[0].f32(), c.out[1].f32(), c.out[2].f32(), c.out[3].f32(), c.in[4].f32()
		h, s := c.in[6].f32(), c.in[7].f32()
		return c.blocks(len(p), grain, func(from, to int) {
			norm, clip := float64(c.in[5].f32()[0]), 1.0
			if math.IsNaN(norm) || math.IsInf(norm, 0) {
				return
			}
			if h[backend.HypClip] > 0 {
				clip = min(1, float64(h[backend.HypClip])/(norm+1e-6))
			}
			if !c.step.In[8].Absent() {
				clip *= float64(c.in[8].f32()[0])
			}
			c.vec.AdamW(p[from:to], g[from:to], m[from:to], v[from:to], ema[from:to], simd.AdamScalars{
				LR: float64(s[backend.SclLR]), Beta1: float64(h[backend.HypBeta1]), Beta2: float64(h[backend.HypBeta2]),
				Eps: float64(h[backend.HypEps]), WeightDecay: float64(h[backend.HypDecay]),
				Bias1: float64(s[backend.SclBias1]), Bias2: float64(s[backend.SclBias2]), ClipScale: clip, EMADecay: float64(s[backend.SclEMA]),
			})
		})
	}}
	kernels["ema_power"] = kernel{prepare: func(c *call) func() {
		ema, p, gamma := c.out[0].f32(), c.in[1].f32(), float64(c.step.Attrs.(backend.PowerEMA).Gamma)
		return c.blocks(len(ema), grain, func(from, to int) {
			if norm := float64(c.in[3].f32()[0]); math.IsNaN(norm) || math.IsInf(norm, 0) {
				return
			}
			_, step, _ := control(c.in[2])
			rate := 1.0 // the first step copies
			if step > 0 {
				rate = -math.Expm1((gamma + 1) * math.Log1p(-1/float64(step+1)))
			}
			c.vec.Axpby(ema[from:to], ema[from:to], float32(1-rate), p[from:to], float32(rate))
		})
	}}
	kernels["dropout"] = kernel{prepare: func(c *call) func() {
		a, x, y := c.step.Attrs.(backend.Dropout), c.in[0].image(), c.out[0].image()
		return c.eachRow(y, func(n, h int) {
			seed, step, first := control(c.in[1])
			c.vec.Dropout(y.row(n, h), x.row(n, h), a.P, seed, rng.StreamDropout, a.First+uint32(h*y.w*y.c), first+uint32(n), step)
		})
	}}
	kernels["loss_scale"] = kernel{prepare: func(c *call) func() {
		s, taken, norm, copied := c.out[0].f32(), c.out[1].u32(), c.in[2].f32(), c.out[2].f32()
		growth := float32(c.step.Attrs.(backend.LossScale).Growth)
		return func() {
			if f := float64(norm[0]); math.IsNaN(f) || math.IsInf(f, 0) {
				s[backend.LscScale] /= 2
				s[backend.LscGood] = 0
				s[backend.LscSkipped]++
			} else {
				if taken[backend.CtlStep]++; taken[backend.CtlStep] == 0 {
					taken[backend.CtlStepHi]++
				}
				if s[backend.LscGood]++; s[backend.LscGood] >= growth {
					s[backend.LscScale] = min(2*s[backend.LscScale], backend.MaxLossScale)
					s[backend.LscGood] = 0
				}
			}
			s[backend.LscInverse] = 1 / s[backend.LscScale]
			copy(copied, s)
		}
	}}
	kernels["advance"] = kernel{prepare: func(c *call) func() {
		w := c.out[0].u32()
		return func() {
			if w[backend.CtlStep]++; w[backend.CtlStep] == 0 {
				w[backend.CtlStepHi]++
			}
		}
	}}
}

// mirror turns a row of pixels of C channels around.
func mirror(row []float32, C int) {
	for i, j := 0, len(row)-C; i < j; i, j = i+C, j-C {
		for k := range C {
			row[i+k], row[j+k] = row[j+k], row[i+k]
		}
	}
}

// reflect is where index i of 0..n-1 comes from if it lies outside by less than n.
func reflect(i, n int) int {
	if i < 0 {
		i = -i
	}
	if i >= n {
		i = 2*n - 2 - i
	}
	return i
}

// shiftRow makes row what src, pixels of C channels, is when it is shifted by dx.
func shiftRow(row []float32, src []uint8, C, dx int) {
	pixels := len(row) / C
	for w := range pixels {
		from := src[reflect(w+dx, pixels)*C:][:C]
		for k, v := range from {
			row[w*C+k] = float32(v)/127.5 - 1
		}
	}
}
