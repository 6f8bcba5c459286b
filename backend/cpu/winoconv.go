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
// are made once, and each task takes a panel of output channels: it makes the kernel's planes part by part, and multiplies. With no more
// tiles than Wino.Product computes, where there is that, a forward pass does both at once and the kernel's planes stay in registers.
//
// Weights that stay are kept for many runs as planes or, with few tiles, as what planes are made from.
type winoConv struct {
	form                   *simd.Wino
	planes                 int
	tiles                  winoTiles
	in, out                int // channels
	mr, nr                 int
	lanes                  int // channels of a panel that are turned together: nr, or those of Wino.Product; a task has nr all the same, on which tallies depend
	few, kept, fused       bool
	block, group           int // tiles, and panels of nr output channels, of a task,
	wide                   int // and panels that are multiplied before they are transformed
	partIn, parts          int // of the kernel, which is transformed partIn input channels at a time
	uPlane, vPlane, mPlane int // floats of a plane: of the kernel or a part, of a block's inputs, of its products with a panel
	threads                int
}

const (
	fusedIn    = 64           // input channels of a part for Wino.Product, about what stays in the first-level cache
	partFloats = 64 * 32 * 36 // of a part's planes, about
	fewTiles   = 32           // at most, or
	fewMore    = 64           // with many output channels: the products of a panel stay in the second-level cache
	fewWide    = 128          // output channels that are not many yet
	fewKernel  = 8 << 10      // elements of [in, out] at least: with fewer, the kernel's planes do
	keptKernel = 32 << 10     // elements of [in, out] at most whose planes are kept with many tiles
	winoBlock  = 32           // tiles of a task: with fewer, a plane of the kernel is read too often, with more, a block's planes leave the second-level cache
	winoWide   = 4            // panels that are multiplied while the tiles of a plane are in the first-level cache
	winoTasks  = 4            // wanted of each worker, where a block is cut among several: each transforms its inputs for itself
)

func (b *Backend) newWinoConv(form *simd.Wino, tiles winoTiles, in, out int, data bool) winoConv {
	c := winoConv{
		form: form, planes: form.Patch() * form.Patch(), tiles: tiles, in: in, out: out, mr: b.tile.MR, nr: b.tile.NR, lanes: b.tile.NR, threads: b.pool.n,
	}
	c.partIn = partFloats / c.planes / c.nr
	c.few = in*out >= fewKernel && (tiles.count() <= fewTiles || tiles.count() <= fewMore && out > fewWide)
	if c.fused = c.few && !data && form.Product != nil && tiles.count() <= simd.WinoTiles; c.fused {
		c.lanes, c.partIn = form.Lanes, fusedIn
	}
	c.parts = ceil(in, c.partIn)
	if c.few {
		c.block, c.group, c.wide = ceil(tiles.count(), c.mr)*c.mr, 1, 1
		if !c.fused {
			c.uPlane = c.partIn*c.nr + planeGap
		}
	} else {
		c.block = ceil(min(winoBlock, tiles.count()), c.step()) * c.step()
		if c.group = c.panels(); c.blocks()%c.threads != 0 { // else each worker has as many whole blocks
			c.group = min(ceil(c.panels()*c.blocks(), winoTasks*c.threads), c.group)
		}
		c.wide = min(winoWide, c.group)
		c.uPlane = c.panels()*in*c.nr + planeGap
	}
	c.vPlane, c.mPlane = c.block*in+planeGap, c.block*c.nr+planeGap
	return c
}

// winoStep is the convolution of a step with op conv2d or, for data, conv2d_data.
func (b *Backend) winoStep(s *backend.Step, data bool) winoConv {
	x, w := s.In[0].Shape, s.In[1].Shape
	in, out := w[3], w[0]
	form := b.winograd(s.Attrs.(backend.Conv), in, out)
	if data {
		in, out = out, in
		form = b.winogradData(s.Attrs.(backend.Conv), x[0], in, out)
	}
	c := b.newWinoConv(form, tilesOf(form, x[0], x[1], x[2]), in, out, data)
	c.kept = !s.Packed.Absent()
	return c
}

// step is what the tiles of a block are a multiple of: whole rows of tiles, where a block can have them.
func (c *winoConv) step() int {
	step := c.mr
	for step%c.tiles.w != 0 {
		step += c.mr
	}
	if step > tallyBlock {
		return c.mr
	}
	return step
}

// wholeRows reports whether all tasks have whole rows of tiles.
func (c *winoConv) wholeRows() bool { return c.step()%c.tiles.w == 0 }

func (c *winoConv) panels() int { return ceil(c.out, c.nr) }
func (c *winoConv) blocks() int { return ceil(c.tiles.count(), c.block) }
func (c *winoConv) groups() int { return ceil(c.panels(), c.group) }

// raw is the floats of a part of the kernel before it is transformed.
func (c *winoConv) raw() int { return 9 * c.partIn * c.nr }

// keeps is the floats of what is kept of weights that stay. Planes that do not stay in the cache are not: to read four times the
// weights from memory takes longer than to make them.
func (c *winoConv) keeps() int {
	switch {
	case c.few:
		return c.panels() * 9 * c.in * c.nr
	case c.in*c.out < keptKernel:
		return c.planes * c.uPlane
	}
	return 0
}

// floats is the scratch memory: the planes that are made once, and what each worker has for itself.
func (c *winoConv) floats() int {
	once, each := c.uPlane, c.vPlane
	if c.few {
		once, each = each, once
	} else if c.kept {
		once = 0
	}
	return c.planes*once + c.threads*(c.planes*(each+c.wide*c.mPlane)+c.raw()+simd.WinoScratch)
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
// [planes][block][in], with few tiles the same for all; m [wide][planes][block][nr]; raw, a part of the
// kernel, turned.
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
			w.v = take(r.planes * r.vPlane)
		}
		if r.kept && !r.few {
			w.u = c.kept
		} else if i == 0 || r.few {
			w.u = take(r.planes * r.uPlane)
		}
		w.m, w.raw, w.scratch = take(r.wide*r.planes*r.mPlane), take(r.raw()), take(simd.WinoScratch)
	}
	var refresh func()
	r.x, refresh = c.padded(c.in[0].image(), 1, rest)
	kernelTask, kernelTasks := r.kernelTask, r.panels()*r.parts
	if c.step.Pack {
		if r.few {
			kernelTask = r.keepTask
		}
		return func() { c.pool.run(kernelTasks, kernelTask) }
	}
	first, firstTasks, second, secondTasks := kernelTask, kernelTasks, r.blockTask, r.blocks()*r.groups()
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
	panel, from := i/r.parts, i%r.parts*r.partIn
	r.transformKernel(worker, panel, from, (panel*r.in+from)*r.nr)
}

// keepTask turns a part of a panel of weights that stay.
func (r *winoRun) keepTask(_, i int) {
	panel, from := i/r.parts, i%r.parts*r.partIn
	r.turn(r.turned(panel, from), panel, from)
}

// blockTask computes a block of tiles for a group of panels. A group's tasks follow each other, so that a worker reads few panels.
func (r *winoRun) blockTask(worker, i int) {
	group, block := i/r.blocks(), i%r.blocks()
	from, to := block*r.block, min((block+1)*r.block, r.tiles.count())
	r.transformInputs(worker, from, to, 0)
	end := min((group+1)*r.group, r.panels())
	for panel := group * r.group; panel < end; panel += r.wide {
		count := min(r.wide, end-panel)
		r.multiply(worker, panel, count, to-from, 0, r.in, panel*r.in*r.nr, nil)
		for k := range count {
			r.transformOutputs(worker, from, to, panel+k, k)
		}
	}
}

// inputTask makes mr rows of v.
func (r *winoRun) inputTask(worker, i int) {
	r.transformInputs(worker, i*r.mr, min((i+1)*r.mr, r.tiles.count()), i*r.mr)
}

// panelTask computes a panel for all tiles.
func (r *winoRun) panelTask(worker, panel int) {
	for from := 0; from < r.in; from += r.partIn {
		if r.fused {
			r.product(worker, panel, from)
			continue
		}
		r.transformKernel(worker, panel, from, 0)
		r.multiply(worker, panel, 1, r.tiles.count(), from, min(r.partIn, r.in-from), 0, r.following(panel, from))
	}
	r.transformOutputs(worker, 0, r.tiles.count(), panel, 0)
}

// product adds a part of a panel's products, for all tiles. What it needs next lies behind what it reads, if that is kept.
func (r *winoRun) product(worker, panel, from int) {
	mem, a, g, n := &r.worker[worker], &r.c.workers[worker].product, r.part(worker, panel, from), min(r.partIn, r.in-from)
	*a = simd.WinoProductArgs{V: &mem.v[from], VPlane: r.vPlane, VTile: r.in, MPlane: r.mPlane, MTile: r.nr, KC: n, Acc: from > 0}
	for j := 0; j < min(r.nr, r.out-panel*r.nr); j += r.lanes {
		a.G, a.M, a.Ahead = &g[9*n*j], &mem.m[j], &g[9*n*j]
		if next := 9 * n * (j + r.lanes); r.kept && next < len(g) {
			a.Ahead = &g[next]
		}
		r.form.Product(a)
	}
}

// part is a part of a panel of weights, turned.
func (r *winoRun) part(worker, panel, from int) []float32 {
	if r.kept && r.few {
		return r.turned(panel, from)
	}
	raw := r.worker[worker].raw
	r.turn(raw, panel, from)
	return raw
}

// turned is where a part of a panel of weights that stay is kept.
func (r *winoRun) turned(panel, from int) []float32 { return r.c.kept[(panel*r.in+from)*9*r.nr:] }

// following is what is kept of the part that a worker needs after this one, most likely; nil where nothing is kept.
func (r *winoRun) following(panel, from int) []float32 {
	if from += r.partIn; from >= r.in {
		panel, from = panel+1, 0
	}
	if !r.kept || panel >= r.panels() {
		return nil
	}
	return r.turned(panel, from)[:9*min(r.partIn, r.in-from)*r.nr]
}

// turn makes dst, [nr/lanes][channels of the part][9][lanes], of a part of a panel of a forward convolution's kernel.
func (r *winoRun) turn(dst []float32, panel, from int) {
	n, cols := min(r.partIn, r.in-from), min(r.nr, r.out-panel*r.nr)
	for j := 0; j < cols; j += r.lanes {
		rows := min(r.lanes, cols-j)
		for tap := range 9 {
			r.c.vec.Transpose(dst[9*n*j+tap*r.lanes:], 9*r.lanes, at(r.w, ((panel*r.nr+j)*9+tap)*r.in+from, (rows-1)*9*r.in+n), 9*r.in, rows, n)
		}
	}
}

// transformKernel makes a part of a panel, at a place in each plane of u. For the data gradient, taps count backwards.
func (r *winoRun) transformKernel(worker, panel, from, at int) {
	n, cols := min(r.partIn, r.in-from), min(r.nr, r.out-panel*r.nr)
	mem, a := &r.worker[worker], &r.c.workers[worker].wino
	*a = simd.WinoArgs{
		Dst: &mem.u[at], DstRow: r.form.Patch() * r.uPlane, DstCol: r.uPlane, DstNext: r.nr, N: cols, Count: n, Scratch: &mem.scratch[0],
	}
	if r.data {
		a.Src, a.SrcRow, a.SrcCol, a.SrcNext = ptr(r.w, (from*9+8)*r.out+panel*r.nr), -3*r.out, -r.out, 9*r.out
	} else {
		a.Src, a.SrcRow, a.SrcCol, a.SrcNext = &r.part(worker, panel, from)[0], 3*r.nr, r.nr, 9*r.nr
	}
	r.form.Weights(a)
}

// transformInputs makes the rows of v for the tiles [from, to), from a row on.
func (r *winoRun) transformInputs(worker, from, to, row int) {
	mem, a := &r.worker[worker], &r.c.workers[worker].wino
	*a = simd.WinoArgs{
		SrcRow: r.x.rows, SrcCol: r.x.pixs, SrcNext: r.form.Tile * r.x.pixs,
		DstRow: r.form.Patch() * r.vPlane, DstCol: r.vPlane, DstNext: r.in, N: r.in, Scratch: &mem.scratch[0],
	}
	r.tiles.runs(from, to, func(i, n, y, x, count int) {
		a.Src, a.Dst, a.Count = r.x.patch(r.form, n, y, x, 1), &mem.v[(row+i)*r.in], count
		r.form.Input(a)
	})
}

// transformOutputs writes a panel of the tiles [from, to) from the k-th of m.
func (r *winoRun) transformOutputs(worker, from, to, panel, k int) {
	mem, a := &r.worker[worker], &r.c.workers[worker].wino
	*a = simd.WinoArgs{
		SrcRow: r.form.Patch() * r.mPlane, SrcCol: r.mPlane, SrcNext: r.nr,
		DstRow: r.y.rows, DstCol: r.y.pixs, DstNext: r.form.Tile * r.y.pixs, N: min(r.nr, r.out-panel*r.nr), Scratch: &mem.scratch[0],
	}
	if r.bias != nil {
		a.Bias = ptr(r.bias, panel*r.nr)
	}
	m := r.form.Tile
	r.tiles.runs(from, to, func(i, n, y, x, count int) {
		a.Src, a.Dst, a.Count = &mem.m[k*r.planes*r.mPlane+i*r.nr], ptr(r.y.patch(r.form, n, y, x, 0), panel*r.nr), count
		r.form.Output(a)
		for h := m * y; h < m*y+m; h++ {
			r.c.finish(r.y, n, h, m*x, 1, m*count, panel*r.nr, panel*r.nr+a.N)
		}
		if t := r.c.tally; t != nil { // a run is a whole row of tiles
			t.add(r.c, worker, &r.y, n, y, m*y*r.y.w, m*(y+1)*r.y.w, panel*r.nr, panel*r.nr+a.N)
		}
	})
}

// multiply computes, or after from 0 adds to, the products of the first rows of v with some panels of u: of n input channels, which
// lie at a place in each plane of u. What v holds behind the last row, up to a whole tile of rows, goes into rows of m that
// nobody reads. Meanwhile ahead, or without it the part of u that is next, is fetched, or as much of it as there is time for.
func (r *winoRun) multiply(worker, panel, panels, rows, from, n, at int, ahead []float32) {
	mem, g := &r.worker[worker], &r.c.workers[worker].gemm
	*g = simd.GEMMArgs{Taps: &oneTap[0], NTaps: 1, KC: n, Acc: from > 0}
	for i := range r.mr {
		g.Pix[i], g.Out[i] = i*r.in, i*r.nr
	}
	total := r.planes * panels
	part := func(i int) []float32 { return mem.u[i/panels*r.uPlane+at+i%panels*r.in*r.nr:] }
	for i := range total {
		p, k := i/panels, i%panels
		g.B = &part(i)[0]
		next := ahead
		if next == nil && i+1 < total {
			next = part(i + 1)[:n*r.nr]
		}
		for row := 0; row < rows; {
			gemm, height, _ := r.c.tile.For(rows-row, r.out-(panel+k)*r.nr)
			if g.Ahead = nil; len(next) > 0 {
				g.Ahead = &next[0]
				next = next[min(simd.Fetched(n), len(next)):]
			}
			g.A, g.C = &mem.v[p*r.vPlane+row*r.in+from], &mem.m[(k*r.planes+p)*r.mPlane+row*r.nr]
			gemm(g)
			row += height
		}
		if ahead != nil {
			ahead = next
		}
	}
}

// oneTap is the table of taps of a product of matrices.
var oneTap = []int{0}
