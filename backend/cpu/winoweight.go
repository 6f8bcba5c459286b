package cpu

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// winoWeight is the shape of a weight gradient in the transposed form of Winograd's algorithm: for each plane, the sum over all
// tiles of the transformed dy, [out], times the transformed patch of x, [in]; the sums, transformed, are the gradient.
//
// It goes over the tiles a chunk at a time: all workers transform the chunk, and then add its products to the sums, each to
// tiles of its own, in the order of the chunks.
type winoWeight struct {
	tiles                  winoTiles
	in, out                int
	mr, nr                 int
	chunk                  int // tiles
	pieces                 int // tasks that a plane's sums are split into
	vPlane, wPlane, sPlane int // floats of a plane: of x, of dy, of the sums
	threads                int
}

const (
	chunkPlane  = 64 << 10 // floats of a plane of x and dy, about: they stay in the second-level cache
	chunkTiles  = 64       // at least: what makes up for reading and writing the sums
	partTiles   = 16       // that a task transforms
	pieceFloats = 16 << 10 // of the sums, about, that a task adds to
)

// winogradWeight reports whether the step, with op conv2d_weight, takes this form.
func (b *Backend) winogradWeight(s *backend.Step) bool {
	return b.winograd(s.Attrs.(backend.Conv), s.In[0].Shape[0], s.In[0].Shape[3], s.In[1].Shape[3])
}

func (b *Backend) winoWeightStep(s *backend.Step) winoWeight {
	x, in, out := s.In[0].Shape, s.In[0].Shape[3], s.In[1].Shape[3]
	w := winoWeight{tiles: winoTiles{x[0], x[1] / 4, x[2] / 4}, in: in, out: out, mr: b.tile.MR, nr: b.tile.NR, threads: b.pool.n}
	w.chunk = min(max(chunkPlane/(in+out), chunkTiles), w.tiles.count())
	sums := w.narrow() * w.mr * w.wide() * w.nr
	w.pieces = min(w.narrow(), ceil(sums, pieceFloats))
	w.vPlane, w.wPlane, w.sPlane = w.chunk*in+planeGap, w.chunk*out+planeGap, sums+planeGap
	return w
}

// narrow and wide are the tiles of sums down the output channels and across the input channels.
func (w *winoWeight) narrow() int { return ceil(w.out, w.mr) }
func (w *winoWeight) wide() int   { return ceil(w.in, w.nr) }

func (w *winoWeight) floats() int {
	return planes*(w.vPlane+w.wPlane+w.sPlane) + w.threads*simd.WinoScratch
}

// winoWeightRun is a winoWeight with its memory.
type winoWeightRun struct {
	winoWeight
	c       *call
	x, dy   image
	dw      *float32  // [out, 3, 3, in]
	v, w    []float32 // [planes][chunk][in], [planes][chunk][out]
	s       []float32 // [planes][wide][narrow][mr][nr]
	scratch []float32
	from    int // first tile of the chunk
}

func prepareWinoWeight(c *call) func() {
	r := &winoWeightRun{winoWeight: c.winoWeightStep(c.step), c: c, dy: c.in[1].image(), dw: (*float32)(c.out[0].p)}
	v, w, s := planes*r.vPlane, planes*r.wPlane, planes*r.sPlane
	var rest []float32
	r.scratch, rest = cut(c.scratch, r.threads*simd.WinoScratch)
	r.v, rest = cut(rest, v)
	r.w, rest = cut(rest, w)
	r.s, rest = cut(rest, s)
	var refresh func()
	r.x, refresh = c.padded(c.in[0].image(), 1, rest)
	return func() {
		if refresh != nil {
			refresh()
		}
		for r.from = 0; r.from < r.tiles.count(); r.from += r.chunk {
			c.pool.run(ceil(r.rows(), partTiles), r.transform)
			c.pool.run(planes*r.pieces, r.add)
		}
		c.pool.run(r.narrow(), r.finish)
	}
}

// rows is the tiles of the present chunk.
func (r *winoWeightRun) rows() int { return min(r.chunk, r.tiles.count()-r.from) }

// transform makes a part of the chunk of v and w.
func (r *winoWeightRun) transform(worker, i int) {
	first, last := i*partTiles, min((i+1)*partTiles, r.rows())
	a := &r.c.workers[worker].wino
	*a = simd.WinoArgs{
		SrcRow: r.x.rows, SrcCol: r.x.pixs, SrcNext: 4 * r.x.pixs,
		DstRow: 6 * r.vPlane, DstCol: r.vPlane, DstNext: r.in, N: r.in, Scratch: &r.scratch[worker*simd.WinoScratch],
	}
	r.tiles.runs(r.from+first, r.from+last, func(i, n, y, x, count int) {
		a.Src, a.Dst, a.Count = r.x.patch(n, y, x, 1), &r.v[(first+i)*r.in], count
		r.c.wino.Input(a)
	})
	a.SrcRow, a.SrcCol, a.SrcNext = r.dy.rows, r.dy.pixs, 4*r.dy.pixs
	a.DstRow, a.DstCol, a.DstNext, a.N = 6*r.wPlane, r.wPlane, r.out, r.out
	r.tiles.runs(r.from+first, r.from+last, func(i, n, y, x, count int) {
		a.Src, a.Dst, a.Count = r.dy.patch(n, y, x, 0), &r.w[(first+i)*r.out], count
		r.c.wino.OutputGrad(a)
	})
}

// add adds the chunk's products to a piece of a plane's sums.
func (r *winoWeightRun) add(worker, i int) {
	plane, piece := i/r.pieces, i%r.pieces
	per := ceil(r.narrow(), r.pieces)
	o := &r.c.workers[worker].outer
	*o = simd.OuterArgs{
		XRows: &oneTap[0], YRows: &oneTap[0], Rows: 1, P: r.rows(), XStride: r.out, YStride: r.in, Acc: r.from > 0,
	}
	for wide := range r.wide() {
		for narrow := piece * per; narrow < min((piece+1)*per, r.narrow()); narrow++ {
			o.X, o.Y = &r.w[plane*r.wPlane+narrow*r.mr], &r.v[plane*r.vPlane+wide*r.nr]
			o.XN, o.YN = min(r.mr, r.out-narrow*r.mr), min(r.nr, r.in-wide*r.nr)
			o.C = &r.s[plane*r.sPlane+(wide*r.narrow()+narrow)*r.mr*r.nr]
			r.c.tile.Outer(o)
		}
	}
}

// finish transforms the sums of mr output channels.
func (r *winoWeightRun) finish(worker, narrow int) {
	a := &r.c.workers[worker].wino
	*a = simd.WinoArgs{
		SrcRow: 6 * r.sPlane, SrcCol: r.sPlane, SrcNext: r.nr, DstRow: 3 * r.in, DstCol: r.in, DstNext: 9 * r.in,
		Count: min(r.mr, r.out-narrow*r.mr), Scratch: &r.scratch[worker*simd.WinoScratch],
	}
	for wide := range r.wide() {
		a.Src, a.Dst = &r.s[(wide*r.narrow()+narrow)*r.mr*r.nr], ptr(r.dw, narrow*r.mr*9*r.in+wide*r.nr)
		a.N = min(r.nr, r.in-wide*r.nr)
		r.c.wino.WeightsGrad(a)
	}
}
