package cpu

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// A task of attention is one head of one image, or a part of its rows; its products run on the same tiles as the convolutions. The
// weights [rows,L] of some rows at a time are in scratch memory, which stays in the second-level cache.

func init() {
	kernels["attention"] = kernel{
		dense:   true,
		scratch: func(b *Backend, s *backend.Step) int { return b.pool.n * headOf(b, s).forward() },
		prepare: prepareAttention,
	}
	kernels["attention_grad"] = kernel{
		dense:   true,
		scratch: func(b *Backend, s *backend.Step) int { return b.pool.n * headOf(b, s).backward() },
		prepare: prepareAttentionGrad,
	}
}

const (
	weightFloats   = 64 << 10 // of weights at a time
	attentionTasks = 8        // wanted, where there are few heads
)

// A head is the extent of what attention works on: L positions of d channels, rows of them at a time, whose weights begin ld floats apart:
// columns of them are read, and would share few lines of the cache if that were a power of two.
type head struct{ L, d, heads, rows, ld, k, v int }

func headOf(b *Backend, s *backend.Step) head {
	x, heads := s.In[0].Shape, s.Attrs.(backend.Heads).Heads
	h := head{L: x[1] * x[2], d: x[3] / heads, heads: heads, ld: ceil(x[1]*x[2], 16)*16 + 16}
	h.rows = min(max(weightFloats/h.L/b.tile.MR, 1)*b.tile.MR, h.L)
	h.k, h.v = b.packed(h.L, 1, h.d), b.packed(h.d, 1, h.L)
	return h
}

// forward and backward are a worker's scratch in floats: operands that are packed, weights and, for the gradient, the gradient of those.
func (h head) forward() int  { return ceil(h.k+h.v+h.rows*h.ld, 16) * 16 }
func (h head) backward() int { return ceil(2*h.k+h.v+2*h.rows*h.ld, 16) * 16 }

// at is the first channel of the i-th head in images of C channels.
func (h head) at(i int) int { return i/h.heads*h.L*h.heads*h.d + i%h.heads*h.d }

// take cuts n floats off a slice.
func take(s *[]float32, n int) []float32 {
	t := (*s)[:n:n]
	*s = (*s)[n:]
	return t
}

// matmul is C[m, cols] = A[m, kc] B, rows lda and ldc floats apart, on one worker.
func (c *call) matmul(worker, m, cols, kc int, a *float32, lda int, b []float32, dst *float32, ldc int) {
	p := product{a: a, c: dst, n: 1, h: 1, w: m, ax: lda, cx: ldc, taps: zeroTap, kc: kc, cols: cols, b: b}
	for panel := range c.panels(cols) {
		p.rows(c.Backend, worker, 0, m, panel)
	}
}

var zeroTap = []int{0}

// outer is C[i, j] = sum over r < rows of X[r*ldx + i] Y[r*ldy + j], i < m, j < cols, on one worker; more adds it to what C holds.
func (c *call) outer(worker, rows, m, cols int, x *float32, ldx int, y *float32, ldy int, dst *float32, ldc int, more bool) {
	w, mr, nr := &c.workers[worker], c.tile.MR, c.tile.NR
	for i := 0; i < m; i += mr {
		for j := 0; j < cols; j += nr {
			ni, nj := min(mr, m-i), min(nr, cols-j)
			w.outer = simd.OuterArgs{
				X: ptr(x, i), Y: ptr(y, j), XRows: &zeroTap[0], YRows: &zeroTap[0], Rows: 1, P: rows, XStride: ldx, YStride: ldy, C: &w.tile[0],
				Acc: more, XN: ni, YN: nj,
			}
			if more {
				for k := range ni {
					copy(w.tile[k*nr:], at(dst, (i+k)*ldc+j, nj))
				}
			}
			c.tile.Outer(&w.outer)
			for k := range ni {
				copy(at(dst, (i+k)*ldc+j, nj), w.tile[k*nr:])
			}
		}
	}
}

func prepareAttention(c *call) func() {
	q, k, v, o := c.in[0].image(), c.in[1].image(), c.in[2].image(), c.out[0].image()
	lse, h, C, nr := c.out[1].f32(), headOf(c.Backend, c.step), c.in[0].image().c, c.tile.NR
	L, d, per := h.L, h.d, h.forward()
	scale := float32(1 / math.Sqrt(float64(d)))
	all := q.n * h.heads
	parts := min(ceil(attentionTasks, all), ceil(L, 4*c.tile.MR)) // of a head's rows
	share := ceil(L, parts*c.tile.MR) * c.tile.MR
	task := func(worker, i int) {
		free, from := c.scratch[worker*per:][:per], i%parts*share
		i /= parts
		K, V, p, at := take(&free, h.k), take(&free, h.v), free, h.at(i)
		c.packRows(K, ptr(k.p, at), d, L, C, nr, nr*d)
		packColumns(V, ptr(v.p, at), L, d, C, nr, nr*L)
		for end := min(from+share, L); from < end; from += h.rows {
			rows := min(h.rows, end-from)
			c.matmul(worker, rows, L, d, ptr(q.p, at+from*C), C, K, &p[0], h.ld)
			for r := range rows {
				lse[i*L+from+r] = c.vec.SoftmaxRow(p[r*h.ld:][:L], scale)
			}
			c.matmul(worker, rows, d, L, &p[0], h.ld, V, ptr(o.p, at+from*C), C)
		}
	}
	return func() { c.pool.run(all*parts, task) }
}

// prepareAttentionGrad: p = exp(scale q k^T - lse), dp = do v^T, ds = scale p (dp - do o), dq = ds k, dk = ds^T q, dv = p^T do.
func prepareAttentionGrad(c *call) func() {
	q, k, v, o, do := c.in[0].image(), c.in[1].image(), c.in[2].image(), c.in[3].image(), c.in[5].image()
	dq, dk, dv := c.out[0].image(), c.out[1].image(), c.out[2].image()
	lse, h, C, nr := c.in[4].f32(), headOf(c.Backend, c.step), q.c, c.tile.NR
	L, d, per := h.L, h.d, h.backward()
	scale := float32(1 / math.Sqrt(float64(d)))
	task := func(worker, i int) {
		free, first := c.scratch[worker*per:][:per], h.at(i)
		K, V, columns := take(&free, h.k), take(&free, h.k), take(&free, h.v)
		p, ds := take(&free, h.rows*h.ld), free
		c.packRows(K, ptr(k.p, first), d, L, C, nr, nr*d)
		c.packRows(V, ptr(v.p, first), d, L, C, nr, nr*d)
		packColumns(columns, ptr(k.p, first), L, d, C, nr, nr*L)
		for from := 0; from < L; from += h.rows {
			rows, at, more := min(h.rows, L-from), first+from*C, from > 0
			c.matmul(worker, rows, L, d, ptr(q.p, at), C, K, &p[0], h.ld)
			c.matmul(worker, rows, L, d, ptr(do.p, at), C, V, &ds[0], h.ld)
			for r := range rows {
				dot := float32(dotOf(ptr(do.p, at+r*C), ptr(o.p, at+r*C), d))
				c.vec.SoftmaxRowBack(p[r*h.ld:][:L], ds[r*h.ld:][:L], scale, lse[i*L+from+r], dot)
			}
			c.matmul(worker, rows, d, L, &ds[0], h.ld, columns, ptr(dq.p, at), C)
			c.outer(worker, rows, L, d, &ds[0], h.ld, ptr(q.p, at), C, ptr(dk.p, first), C, more)
			c.outer(worker, rows, L, d, &p[0], h.ld, ptr(do.p, at), C, ptr(dv.p, first), C, more)
		}
	}
	return func() { c.pool.run(q.n*h.heads, task) }
}

// dotOf is the sum of the products of n elements.
func dotOf(a, b *float32, n int) (s float64) {
	y := at(b, 0, n)
	for i, x := range at(a, 0, n) {
		s += float64(x) * float64(y[i])
	}
	return s
}
