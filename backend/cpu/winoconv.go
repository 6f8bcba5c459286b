package cpu

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// winoConv is the shape of a forward convolution, or of a data gradient, which is a convolution with the kernel turned around.
//
// With many tiles, the kernel's planes are made once. Then each task takes a block of tiles and a group of panels of output
// channels: it transforms the block's inputs, multiplies, and transforms back panel by panel, all in the second-level cache.
//
// With few tiles and many channels, the kernel's planes would go out to memory to be read once. So it is the inputs' planes that
// are made once, and each task takes a panel of output channels: it makes the kernel's planes part by part, and multiplies.
type winoConv struct {
	tiles                  winoTiles
	in, out                int // channels
	mr, nr                 int
	few                    bool
	kept                   bool // the kernel's planes were made before, once for many runs; not with few tiles
	block, group           int  // tiles, and panels of nr output channels, of a task
	parts                  int  // of the kernel, which is transformed partIn input channels at a time
	uPlane, vPlane, mPlane int  // floats of a plane: of the kernel or a part, of a block's inputs, of its products with a panel
	threads                int
}

const (
	partIn     = 64
	fewTiles   = 64       // at most: the products of a panel stay in the second-level cache
	fewKernel  = 32 << 10 // elements of [in, out] at least: with fewer, the kernel's planes do
	winoFloats = 64 << 10 // of the transformed inputs of a block, about
	winoTasks  = 32       // wanted
	winoGroup  = 128      // least output channels of a task, which make up for transforming its inputs
)

func (b *Backend) newWinoConv(tiles winoTiles, in, out int) winoConv {
	c := winoConv{tiles: tiles, in: in, out: out, mr: b.tile.MR, nr: b.tile.NR, parts: ceil(in, partIn), threads: b.pool.n}
	if c.few = tiles.count() <= fewTiles && in*out >= fewKernel; c.few {
		c.block, c.group = ceil(tiles.count(), c.mr)*c.mr, 1
		c.uPlane = partIn*c.nr + planeGap
	} else {
		c.block = ceil(min(max(winoFloats/(planes*in), 16), 64, tiles.count()), c.mr) * c.mr
		c.group = max(ceil(c.panels()*c.blocks(), winoTasks), ceil(winoGroup, c.nr))
		c.uPlane = c.panels()*in*c.nr + planeGap
	}
	c.vPlane, c.mPlane = c.block*in+planeGap, c.block*c.nr+planeGap
	return c
}

// winoStep is the convolution of a step with op conv2d or, for data, conv2d_data.
func (b *Backend) winoStep(s *backend.Step, data bool) winoConv {
	x, w := s.In[0].Shape, s.In[1].Shape
	in, out := w[3], w[0]
	if data {
		in, out = out, in
	}
	c := b.newWinoConv(winoTiles{x[0], x[1] / 4, x[2] / 4}, in, out)
	c.kept = !s.Packed.Absent()
	return c
}

func (c *winoConv) panels() int { return ceil(c.out, c.nr) }
func (c *winoConv) blocks() int { return ceil(c.tiles.count(), c.block) }
func (c *winoConv) groups() int { return ceil(c.panels(), c.group) }

// raw is the floats of a part of the kernel before it is transformed.
func (c *winoConv) raw() int { return 9 * partIn * c.nr }

// floats is the scratch memory: the planes that are made once, and what each worker has for itself.
func (c *winoConv) floats() int {
	once, each := c.uPlane, c.vPlane
	if c.few {
		once, each = each, once
	} else if c.kept {
		once = 0
	}
	return planes*once + c.threads*(planes*(each+c.mPlane)+c.raw()+simd.WinoScratch)
}

// winoRun is a winoConv with its memory.
type winoRun struct {
	winoConv
	c      *call
	x, y   image
	w      *float32 // [out, 3, 3, in], or for data [in, 3, 3, out]
	data   bool
	bias   *float32 // [out], or nil
	worker []winoWorker
}

// winoWorker is what a worker uses: u [planes][panels][in][nr], the same for all, or with few tiles [planes][partIn][nr]; v
// [planes][block][in], with few tiles the same for all; m [planes][block][nr]; raw [9][partIn][nr].
type winoWorker struct{ u, v, m, raw, scratch []float32 }

// prepareWinoConv returns what computes the convolution of the call's first input with its second.
func prepareWinoConv(c *call, data bool) func() {
	r := &winoRun{winoConv: c.winoStep(c.step, data), c: c, y: c.out[0].image(), w: (*float32)(c.in[1].p), data: data}
	if !data && !c.in[2].absent() {
		r.bias = (*float32)(c.in[2].p)
	}
	rest := c.scratch
	take := func(floats int) (s []float32) {
		s, rest = cut(rest, floats)
		return s
	}
	r.worker = make([]winoWorker, r.threads)
	for i := range r.worker {
		w := &r.worker[i]
		*w = r.worker[0]
		if i == 0 || !r.few {
			w.v = take(planes * r.vPlane)
		}
		if r.kept {
			w.u = c.kept
		} else if i == 0 || r.few {
			w.u = take(planes * r.uPlane)
		}
		w.m, w.raw, w.scratch = take(planes*r.mPlane), take(r.raw()), take(simd.WinoScratch)
	}
	var refresh func()
	r.x, refresh = c.padded(c.in[0].image(), 1, rest)
	if c.step.Pack {
		return func() { c.pool.run(r.panels()*r.parts, r.kernelTask) }
	}
	first, firstTasks, second, secondTasks := r.kernelTask, r.panels()*r.parts, r.blockTask, r.blocks()*r.groups()
	if r.few {
		first, firstTasks, second, secondTasks = r.inputTask, ceil(r.tiles.count(), r.mr), r.panelTask, r.panels()
	} else if r.kept {
		firstTasks = 0
	}
	return func() {
		if refresh != nil {
			refresh()
		}
		c.pool.run(firstTasks, first)
		c.pool.run(secondTasks, second)
	}
}

// kernelTask makes a part of a panel of u.
func (r *winoRun) kernelTask(worker, i int) {
	panel, from := i/r.parts, i%r.parts*partIn
	r.transformKernel(worker, panel, from, (panel*r.in+from)*r.nr)
}

// blockTask computes a block of tiles for a group of panels.
func (r *winoRun) blockTask(worker, i int) {
	block, group := i/r.groups(), i%r.groups()
	from, to := block*r.block, min((block+1)*r.block, r.tiles.count())
	r.transformInputs(worker, from, to, 0)
	for panel := group * r.group; panel < min((group+1)*r.group, r.panels()); panel++ {
		r.multiply(worker, to-from, 0, r.in, panel*r.in*r.nr)
		r.transformOutputs(worker, from, to, panel)
	}
}

// inputTask makes mr rows of v.
func (r *winoRun) inputTask(worker, i int) {
	r.transformInputs(worker, i*r.mr, min((i+1)*r.mr, r.tiles.count()), i*r.mr)
}

// panelTask computes a panel for all tiles.
func (r *winoRun) panelTask(worker, panel int) {
	for from := 0; from < r.in; from += partIn {
		r.transformKernel(worker, panel, from, 0)
		r.multiply(worker, r.tiles.count(), from, min(partIn, r.in-from), 0)
	}
	r.transformOutputs(worker, 0, r.tiles.count(), panel)
}

// transformKernel makes a part of a panel, at a place in each plane of u. For the data gradient, taps count backwards.
func (r *winoRun) transformKernel(worker, panel, from, at int) {
	n, cols := min(partIn, r.in-from), min(r.nr, r.out-panel*r.nr)
	mem, a := &r.worker[worker], &r.c.workers[worker].wino
	*a = simd.WinoArgs{Dst: &mem.u[at], DstRow: 6 * r.uPlane, DstCol: r.uPlane, Scratch: &mem.scratch[0]}
	if r.data {
		a.Src, a.SrcRow, a.SrcCol, a.SrcNext = ptr(r.w, (from*9+8)*r.out+panel*r.nr), -3*r.out, -r.out, 9*r.out
		a.DstNext, a.N, a.Count = r.nr, cols, n
	} else {
		for tap := range 9 {
			r.c.packRows(mem.raw[tap*n*r.nr:], ptr(r.w, (panel*r.nr*9+tap)*r.in+from), n, cols, 9*r.in, r.nr, 0)
		}
		a.Src, a.SrcRow, a.SrcCol, a.N, a.Count = &mem.raw[0], 3*n*r.nr, n*r.nr, n*r.nr, 1
	}
	r.c.wino.Weights(a)
}

// transformInputs makes the rows of v for the tiles [from, to), from a row on.
func (r *winoRun) transformInputs(worker, from, to, row int) {
	mem, a := &r.worker[worker], &r.c.workers[worker].wino
	*a = simd.WinoArgs{
		SrcRow: r.x.rows, SrcCol: r.x.pixs, SrcNext: 4 * r.x.pixs,
		DstRow: 6 * r.vPlane, DstCol: r.vPlane, DstNext: r.in, N: r.in, Scratch: &mem.scratch[0],
	}
	r.tiles.runs(from, to, func(i, n, y, x, count int) {
		a.Src, a.Dst, a.Count = r.x.patch(n, y, x, 1), &mem.v[(row+i)*r.in], count
		r.c.wino.Input(a)
	})
}

// transformOutputs writes a panel of the tiles [from, to) from m.
func (r *winoRun) transformOutputs(worker, from, to, panel int) {
	mem, a := &r.worker[worker], &r.c.workers[worker].wino
	*a = simd.WinoArgs{
		SrcRow: 6 * r.mPlane, SrcCol: r.mPlane, SrcNext: r.nr,
		DstRow: r.y.rows, DstCol: r.y.pixs, DstNext: 4 * r.y.pixs, N: min(r.nr, r.out-panel*r.nr), Scratch: &mem.scratch[0],
	}
	if r.bias != nil {
		a.Bias = ptr(r.bias, panel*r.nr)
	}
	r.tiles.runs(from, to, func(i, n, y, x, count int) {
		a.Src, a.Dst, a.Count = &mem.m[i*r.nr], ptr(r.y.patch(n, y, x, 0), panel*r.nr), count
		r.c.wino.Output(a)
		for h := 4 * y; h < 4*y+4; h++ {
			r.c.finish(r.y, n, h, 4*x, 1, 4*count, panel*r.nr, panel*r.nr+a.N)
		}
	})
}

// multiply computes, or after from 0 adds to, the products of the first rows of v with a panel of u: of n input channels, which
// lie at a place in each plane of u. What v holds behind the last row, up to a whole tile of rows, goes into rows of m that
// nobody reads.
func (r *winoRun) multiply(worker, rows, from, n, at int) {
	mem, g := &r.worker[worker], &r.c.workers[worker].gemm
	*g = simd.GEMMArgs{Taps: &oneTap[0], NTaps: 1, KC: n, Acc: from > 0}
	for i := range r.mr {
		g.Pix[i], g.Out[i] = i*r.in, i*r.nr
	}
	for p := range planes {
		g.B = &mem.u[p*r.uPlane+at]
		for row := 0; row < rows; row += r.mr {
			g.A, g.C = &mem.v[p*r.vPlane+row*r.in+from], &mem.m[p*r.mPlane+row*r.nr]
			r.c.tile.GEMM(g)
		}
	}
}

// oneTap is the table of taps of a product of matrices.
var oneTap = []int{0}
