package cpu

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// A task of a group norm is one image: the pixels are read twice, the second time from the cache. With few images, a task of the
// forward pass is some rows of one, in two passes, and of the gradient a share of the channels, of whole groups.

// normParts is how many parts of rows an image is cut into, whose sums are added up: a number that depends on the shape of one image
// alone, so that its statistics do not depend on how many there are.
func normParts(s backend.Shape) int { return max(1, min(8, s[1], s[1]*s[2]*s[3]/normPart)) }

const (
	normPart = 8 << 10 // elements of a part, at least
	normFew  = 4       // images from which each is a task
)

// normBlocks is how many shares an image's channels are cut into.
func normBlocks(s backend.Shape, groups int) int {
	b := max(1, min(groups, 8/s[0], s[3]/16))
	for groups%b != 0 {
		b--
	}
	return b
}

func init() {
	kernels["group_norm"] = kernel{
		scratch: func(_ *Backend, s *backend.Step) int {
			n, c := s.In[0].Shape[0], s.In[0].Shape[3]
			if s.Tallied > 0 {
				return 2 * n * c
			}
			return 2*n*c + tallyShape(n, normParts(s.In[0].Shape), c).Elems()
		},
		prepare: prepareGroupNorm,
	}
	kernels["group_norm_again"] = kernel{
		again:   true,
		scratch: func(_ *Backend, s *backend.Step) int { return 2 * s.In[0].Shape[0] * s.In[0].Shape[3] },
		prepare: prepareGroupNormAgain,
	}
	kernels["group_norm_grad"] = kernel{
		scratch: func(_ *Backend, s *backend.Step) int { return 7 * s.In[0].Shape[0] * s.In[0].Shape[3] },
		prepare: prepareGroupNormGrad,
	}
}

// vectors cuts k vectors of C floats for image n out of scratch.
func (c *call) vectors(k, n, C int) [][]float32 {
	v := make([][]float32, k)
	for i := range v {
		v[i] = c.scratch[(n*k+i)*C:][:C]
	}
	return v
}

func prepareGroupNorm(c *call) func() {
	a := c.step.Attrs.(backend.Norm)
	x, y := c.in[0].image(), c.out[0].image()
	gamma, beta, stats := c.in[1].f32(), c.in[2].f32(), c.out[1].f32()
	parts, per := normParts(c.in[0].v.Shape), x.c/a.Groups // channels of a group
	all := make([][][]float32, x.n)
	for n := range all {
		all[n] = c.vectors(2, n, x.c)
	}
	rows := func(part int) (from, to int) { return part * x.h / parts, (part + 1) * x.h / parts }
	told := c.tallied != nil
	if !told {
		c.tallied = []*tally{{c.scratch[2*x.n*x.c:], parts, x.c}}
	}
	sums := func(n, part int) {
		from, to := rows(part)
		c.tallied[0].read(c, &x, n, part, from, to)
	}
	affine := func(n int) {
		scale, shift := all[n][0], all[n][1]
		c.moments(n, scale, shift)
		pixels := float64(x.h * x.w)
		m := pixels * float64(per)
		for g := range a.Groups {
			means, m2s := scale[g*per:][:per], shift[g*per:][:per]
			mean, m2 := 0.0, 0.0
			for k, v := range means {
				mean += float64(v)
				m2 += float64(m2s[k])
			}
			mean /= float64(per)
			for _, v := range means {
				m2 += pixels * (float64(v) - mean) * (float64(v) - mean)
			}
			if math.IsNaN(m2) { // squares beyond float32's range; of numbers that are no numbers the mean is none either
				m2 = math.Inf(1)
			}
			at := (n*a.Groups + g) * 2
			stats[at], stats[at+1] = float32(mean), float32(1/math.Sqrt(max(0, m2/m)+float64(a.Eps)))
		}
		normAffine(scale, shift, gamma, beta, stats[n*a.Groups*2:], per)
	}
	apply := func(n, part int) {
		h, to := rows(part)
		for ; h < to; h++ {
			c.vec.AffineSiLU(y.row(n, h), y.c, x.row(n, h), x.pixs, all[n][0], all[n][1], x.w, a.SiLU)
		}
	}
	if parts == 1 || x.n >= normFew {
		task := func(_, n int) {
			for part := range parts {
				if !told {
					sums(n, part)
				}
			}
			affine(n)
			for part := range parts {
				apply(n, part)
			}
		}
		return func() { c.pool.run(x.n, task) }
	}
	first := func(_, i int) { sums(i/parts, i%parts) }
	second := func(_, i int) { apply(i/parts, i%parts) }
	return func() {
		if !told {
			c.pool.run(x.n*parts, first)
		}
		for n := range x.n {
			affine(n)
		}
		c.pool.run(x.n*parts, second)
	}
}

// normAffine makes of the mean and rstd of each group of per channels, of gamma and of beta what each channel is multiplied with, and
// what is added. It starts from the statistics as they are kept, so that the same comes out of them again.
func normAffine(scale, shift, gamma, beta, stats []float32, per int) {
	for k := range scale {
		mean, rstd := float64(stats[k/per*2]), float64(stats[k/per*2+1])
		f := float64(gamma[k]) * rstd
		scale[k], shift[k] = float32(f), float32(float64(beta[k])-mean*f)
	}
}

// prepareGroupNormAgain is the second pass of a group norm alone.
func prepareGroupNormAgain(c *call) func() {
	a := c.step.Attrs.(backend.Norm)
	x, y := c.in[0].image(), c.out[0].image()
	gamma, beta, stats := c.in[1].f32(), c.in[2].f32(), c.in[3].f32()
	all := make([][][]float32, x.n)
	for n := range all {
		all[n] = c.vectors(2, n, x.c)
	}
	run := c.eachRow(x, func(n, h int) {
		c.vec.AffineSiLU(y.row(n, h), y.c, x.row(n, h), x.pixs, all[n][0], all[n][1], x.w, a.SiLU)
	})
	return func() {
		for n := range x.n {
			normAffine(all[n][0], all[n][1], gamma, beta, stats[n*a.Groups*2:], x.c/a.Groups)
		}
		run()
	}
}

// prepareGroupNormGrad: with z = gamma xhat + beta, dz = dy f'(z), m elements a group and sums over the group,
//
//	dx = rstd (gamma dz - sum(gamma dz)/m - xhat sum(gamma dz xhat)/m)
//
// which is dz times one number a channel, plus x times one number a group, plus one number a group.
func prepareGroupNormGrad(c *call) func() {
	a := c.step.Attrs.(backend.Norm)
	x, dy, dx := c.in[0].image(), c.in[4].image(), c.out[0].image()
	gamma, beta, stats := c.in[1].f32(), c.in[2].f32(), c.in[3].f32()
	dgamma, dbeta := c.out[1].f32(), c.out[2].f32()
	blocks := normBlocks(c.in[0].v.Shape, a.Groups)
	groups, per, tellRows := a.Groups/blocks, x.c/a.Groups, tallyRows(x.h, x.w)
	all := make([][][]float32, x.n)
	for n := range all {
		all[n] = c.vectors(7, n, x.c)
	}
	task := func(worker, i int) {
		n, block := i/blocks, i%blocks
		from := block * groups * per
		to := from + groups*per
		v := all[n]
		s1, s2, scale, shift := v[0][from:to], v[1][from:to], v[2][from:to], v[3][from:to]
		ca, cb, cc := v[4][from:to], v[5][from:to], v[6][from:to]
		normAffine(scale, shift, gamma[from:], beta[from:], stats[(n*a.Groups+block*groups)*2:], per)
		clear(s1)
		clear(s2)
		for h := range x.h {
			c.vec.AffineSiLUGradSums(s1, s2, dx.row(n, h)[from:], dx.c, x.row(n, h)[from:], x.pixs, dy.row(n, h)[from:], dy.c, scale, shift, x.w, a.SiLU)
		}
		for g := range groups {
			at := (n*a.Groups + block*groups + g) * 2
			mean, rstd := float64(stats[at]), float64(stats[at+1])
			d, dxhat := 0.0, 0.0 // sum(gamma dz), sum(gamma dz xhat)
			for k := g * per; k < (g+1)*per; k++ {
				z, zx := float64(s1[k]), float64(s2[k])
				zxhat := (zx - mean*z) * rstd
				d += float64(gamma[from+k]) * z
				dxhat += float64(gamma[from+k]) * zxhat
				s2[k] = float32(zxhat) // what dgamma adds up
			}
			m := float64(x.h * x.w * per)
			slope := -rstd * rstd * dxhat / m
			for k := g * per; k < (g+1)*per; k++ {
				ca[k], cb[k], cc[k] = float32(float64(gamma[from+k])*rstd), float32(slope), float32(-rstd*d/m-slope*mean)
			}
		}
		for h := range x.h {
			dz, stride := dy.row(n, h)[from:], dy.c
			if a.SiLU { // the sums have left it there
				dz, stride = dx.row(n, h)[from:], dx.c
			}
			c.vec.AffineGrad(dx.row(n, h)[from:], dx.c, x.row(n, h)[from:], x.pixs, dz, stride, ca, cb, cc, x.w)
			c.finish(dx, n, h, 0, 1, x.w, from, to)
			if t := c.tally; t != nil && (h+1)%tellRows == 0 {
				t.add(c, worker, &dx, n, h/tellRows, (h+1-tellRows)*x.w, (h+1)*x.w, from, to)
			}
		}
	}
	return func() {
		c.pool.run(x.n*blocks, task)
		copy(dgamma, all[0][1])
		copy(dbeta, all[0][0])
		for n := 1; n < x.n; n++ {
			c.vec.Add(dgamma, dgamma, all[n][1])
			c.vec.Add(dbeta, dbeta, all[n][0])
		}
	}
}
