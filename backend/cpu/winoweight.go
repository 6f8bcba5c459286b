package cpu

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// winoWeight is the shape of a weight gradient in the transposed form of Winograd's algorithm: for each plane, the sum over all
// tiles of the transformed dy, [out], times the transformed patch of x, [in]; the sums, transformed, are the gradient.
//
// A task has a block of input and a block of output channels, and a share of the tiles. It transforms a few tiles, adds their
// products to its sums, and so on; all of that stays in the second-level cache. At the end it transforms the sums. With more
// than one share the results, which are a quarter of the sums, are added up in order.
//
// With many blocks and so few tiles that they are one chunk, where each block would transform the same ones again, they are transformed
// once, before.
type winoWeight struct {
	form            *simd.Wino
	planes          int
	tiles           winoTiles
	in, out         int
	mr, nr          int
	inBlock, blocks int // input channels of a task; blocks of input and output channels
	outBlock        int
	shares          int // of the tiles
	once            bool
	chunk           int // tiles transformed at a time
	vRow, wRow      int // floats from one tile to the next in a plane of transformed x and dy
	vPlane, wPlane  int // floats of a plane: of x, of dy
	sPlane          int // and of the sums
	threads         int
}

const (
	weightBlock = 64 // channels of a block, about: 36 planes of sums are half a MiB
	weightChunk = 32 // tiles: the planes of a chunk are as much again
	weightTasks = 16 // wanted
	shareTiles  = 64 // of a share, at least

	onceBlocks = 16 // at least, for the tiles of one chunk to be transformed once: with more tiles, to read them from the third level costs as much
	onceTiles  = 4  // of a task
)

// winoWeightForm is the form that the step, with op conv2d_weight, takes, or nil.
func (b *Backend) winoWeightForm(s *backend.Step) *simd.Wino {
	return b.winogradWeight(s.Attrs.(backend.Conv), s.In[0].Shape[0], s.In[0].Shape[3], s.In[1].Shape[3])
}

// evenly cuts n channels into blocks of about so many: multiples of lanes, all but the last the same.
func evenly(n, about, lanes int) int { return ceil(ceil(n, max(1, (n+about/2)/about)), lanes) * lanes }

func (b *Backend) winoWeightStep(s *backend.Step) winoWeight {
	x, in, out, form := s.In[0].Shape, s.In[0].Shape[3], s.In[1].Shape[3], b.winoWeightForm(s)
	w := winoWeight{
		form: form, planes: form.Patch() * form.Patch(), tiles: tilesOf(form, x[0], x[1], x[2]), in: in, out: out,
		mr: b.tile.MR, nr: b.tile.NR, threads: b.pool.n,
	}
	w.inBlock, w.outBlock = evenly(in, weightBlock, max(form.Lanes, w.nr)), evenly(out, weightBlock, form.Lanes)
	w.blocks = w.inBlocks() * ceil(out, w.outBlock)
	tiles := w.tiles.count()
	w.shares = max(1, min(ceil(weightTasks, w.blocks), tiles/shareTiles))
	w.chunk = min(weightChunk, ceil(tiles, w.shares))
	vChannels, wChannels := w.inBlock, w.outBlock
	if w.once = w.blocks >= onceBlocks && tiles <= w.chunk; w.once {
		vChannels, wChannels = in, out
	}
	// The rows are a cache line longer than they need be: rows a power of two apart would share a few sets of the cache.
	w.vRow, w.wRow = vChannels+planeGap, wChannels+planeGap
	w.vPlane, w.wPlane = w.chunk*w.vRow+planeGap, w.chunk*w.wRow+planeGap
	w.sPlane = ceil(w.outBlock, w.mr)*w.mr*ceil(w.inBlock, w.nr)*w.nr + planeGap
	return w
}

func (w *winoWeight) inBlocks() int { return ceil(w.in, w.inBlock) }

// partial is the floats of the shares' results.
func (w *winoWeight) partial() int {
	if w.shares == 1 {
		return 0
	}
	return w.shares * 9 * w.in * w.out
}

// floats is the scratch memory: those, and what each worker has for itself.
func (w *winoWeight) floats() int {
	tiles := w.planes * (w.vPlane + w.wPlane)
	if !w.once {
		tiles *= w.threads
	}
	return tiles + w.threads*(w.planes*w.sPlane+simd.WinoScratch) + w.partial()
}

// winoWeightRun is a winoWeight with its memory.
type winoWeightRun struct {
	winoWeight
	c      *call
	x, dy  image
	dw     []float32 // [shares][out, 3, 3, in]: of a single share, the result
	worker []winoWeightWorker
}

// winoWeightWorker is what a worker uses: v [planes][chunk][vRow], w [planes][chunk][wRow], or of all channels and the same for all; s
// [planes][wide][narrow][mr][nr], where narrow and wide are the tiles of sums down the output channels and across the input channels.
type winoWeightWorker struct{ v, w, s, scratch []float32 }

func prepareWinoWeight(c *call) func() {
	r := &winoWeightRun{winoWeight: c.winoWeightStep(c.step), c: c, dy: c.in[1].image()}
	rest := c.scratch
	take := func(floats int) (s []float32) {
		s, rest = cut(rest, floats)
		return s
	}
	r.worker = make([]winoWeightWorker, r.threads)
	for i := range r.worker {
		w := &r.worker[i]
		if *w = r.worker[0]; i == 0 || !r.once {
			w.v, w.w = take(r.planes*r.vPlane), take(r.planes*r.wPlane)
		}
		w.s, w.scratch = take(r.planes*r.sPlane), take(simd.WinoScratch)
	}
	dw := c.out[0].f32()
	if r.dw = take(r.partial()); r.shares == 1 {
		r.dw = dw
	}
	var refresh func()
	r.x, refresh = c.padded(c.in[0].image(), 1, rest)
	sum := c.blocks(len(dw), grain, func(from, to int) {
		c.vec.Add(dw[from:to], r.dw[from:to], r.dw[len(dw)+from:][:to-from])
		for k := 2; k < r.shares; k++ {
			c.vec.Add(dw[from:to], dw[from:to], r.dw[k*len(dw)+from:][:to-from])
		}
	})
	task, before, parts := r.task, r.before, 0 // here: a method value is memory
	if r.once {
		parts = ceil(r.tiles.count(), onceTiles)
	}
	return func() {
		if refresh != nil {
			refresh()
		}
		c.pool.run(parts, before)
		c.pool.run(r.blocks*r.shares, task)
		if r.shares > 1 {
			sum()
		}
	}
}

// task computes a block of one share's gradient.
func (r *winoWeightRun) task(worker, i int) {
	share, block := i/r.blocks, i%r.blocks
	in, out := block%r.inBlocks()*r.inBlock, block/r.inBlocks()*r.outBlock
	ins, outs := min(r.inBlock, r.in-in), min(r.outBlock, r.out-out)
	tiles := r.tiles.count()
	first, last := share*tiles/r.shares, (share+1)*tiles/r.shares
	for from := first; from < last; from += r.chunk {
		to := min(from+r.chunk, last)
		v, w := from*r.vRow+in, from*r.wRow+out
		if !r.once {
			r.transform(worker, from, to, 0, in, ins, out, outs)
			v, w = 0, 0
		}
		r.add(worker, v, w, to-from, ins, outs, from > first)
	}
	r.finish(worker, share, in, ins, out, outs)
}

// before transforms some tiles for all blocks.
func (r *winoWeightRun) before(worker, i int) {
	r.transform(worker, i*onceTiles, min((i+1)*onceTiles, r.tiles.count()), i*onceTiles, 0, r.in, 0, r.out)
}

// transform makes v and w, from a row on, for the tiles [from, to).
func (r *winoWeightRun) transform(worker, from, to, row, in, ins, out, outs int) {
	mem, a, form := &r.worker[worker], &r.c.workers[worker].wino, r.form
	*a = simd.WinoArgs{
		SrcRow: r.x.rows, SrcCol: r.x.pixs, SrcNext: form.Tile * r.x.pixs,
		DstRow: form.Patch() * r.vPlane, DstCol: r.vPlane, DstNext: r.vRow, N: ins, Scratch: &mem.scratch[0],
	}
	r.tiles.runs(from, to, func(i, n, y, x, count int) {
		a.Src, a.Dst, a.Count = ptr(r.x.patch(form, n, y, x, 1), in), &mem.v[(row+i)*r.vRow], count
		form.Input(a)
	})
	a.SrcRow, a.SrcCol, a.SrcNext = r.dy.rows, r.dy.pixs, form.Tile*r.dy.pixs
	a.DstRow, a.DstCol, a.DstNext, a.N = form.Patch()*r.wPlane, r.wPlane, r.wRow, outs
	r.tiles.runs(from, to, func(i, n, y, x, count int) {
		a.Src, a.Dst, a.Count = ptr(r.dy.patch(form, n, y, x, 0), out), &mem.w[(row+i)*r.wRow], count
		form.OutputGrad(a)
	})
}

// add adds the products of so many tiles, which begin at some place in each plane of v and w, to the sums, or writes the first ones.
func (r *winoWeightRun) add(worker, v, w, tiles, ins, outs int, acc bool) {
	mem, o := &r.worker[worker], &r.c.workers[worker].outer
	*o = simd.OuterArgs{XRows: &oneTap[0], YRows: &oneTap[0], Rows: 1, P: tiles, XStride: r.wRow, YStride: r.vRow, Acc: acc}
	narrow := ceil(outs, r.mr)
	for plane := range r.planes {
		s := mem.s[plane*r.sPlane:]
		for wide := range ceil(ins, r.nr) {
			o.Y, o.YN = &mem.v[plane*r.vPlane+v+wide*r.nr], min(r.nr, ins-wide*r.nr)
			for k := range narrow {
				o.X, o.XN, o.C = &mem.w[plane*r.wPlane+w+k*r.mr], min(r.mr, outs-k*r.mr), &s[(wide*narrow+k)*r.mr*r.nr]
				r.c.tile.Outer(o)
			}
		}
	}
}

// finish transforms the sums into the block's part of the share's gradient.
func (r *winoWeightRun) finish(worker, share, in, ins, out, outs int) {
	mem, a, form := &r.worker[worker], &r.c.workers[worker].wino, r.form
	*a = simd.WinoArgs{
		SrcRow: form.Patch() * r.sPlane, SrcCol: r.sPlane, SrcNext: r.nr, DstRow: 3 * r.in, DstCol: r.in, DstNext: 9 * r.in, Scratch: &mem.scratch[0],
	}
	narrow := ceil(outs, r.mr)
	for k := range narrow {
		for wide := range ceil(ins, r.nr) { // last, as the gradient's rows are input channels
			a.Src, a.Dst = &mem.s[(wide*narrow+k)*r.mr*r.nr], &r.dw[((share*r.out+out+k*r.mr)*9*r.in)+in+wide*r.nr]
			a.N, a.Count = min(r.nr, ins-wide*r.nr), min(r.mr, outs-k*r.mr)
			form.WeightsGrad(a)
		}
	}
}
