package cpu

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu/simd"
)

// A task of attention is one head of one image; its products run on the same tiles as the convolutions.

func init() {
	kernels["attention"] = kernel{
		dense:   true,
		scratch: func(b *Backend, s *backend.Step) int { return b.pool.n * headScratch(b, s, false) },
		prepare: prepareAttention,
	}
	kernels["attention_grad"] = kernel{
		dense:   true,
		scratch: func(b *Backend, s *backend.Step) int { return b.pool.n * headScratch(b, s, true) },
		prepare: prepareAttentionGrad,
	}
}

// headScratch is a worker's scratch: a packed operand and, for the gradient, the gradient of the weights [L,L] with slack for a tile.
func headScratch(b *Backend, s *backend.Step, grad bool) int {
	x := s.In[0].Shape
	L, d := x[1]*x[2], x[3]/s.Attrs.(backend.Heads).Heads
	n := max(b.packed(L, 1, d), b.packed(d, 1, L))
	if grad {
		n += L*L + b.tile.MR
	}
	return ceil(n, 16) * 16
}

// matmul is C[m, cols] = A[m, kc] B, rows lda and ldc floats apart, on one worker.
func (c *call) matmul(worker, m, cols, kc int, a *float32, lda int, b []float32, dst *float32, ldc int) {
	p := product{a: a, c: dst, n: 1, h: 1, w: m, ax: lda, cx: ldc, taps: zeroTap, kc: kc, cols: cols, b: b}
	for panel := range c.panels(cols) {
		p.rows(c.Backend, worker, 0, m, panel)
	}
}

var zeroTap = []int{0}

// outer is C[i, j] = sum over r < rows of X[r*ldx + i] Y[r*ldy + j], i < m, j < cols, on one worker.
func (c *call) outer(worker, rows, m, cols int, x *float32, ldx int, y *float32, ldy int, dst *float32, ldc int) {
	w, mr, nr := &c.workers[worker], c.tile.MR, c.tile.NR
	for i := 0; i < m; i += mr {
		for j := 0; j < cols; j += nr {
			w.outer = simd.OuterArgs{
				X: ptr(x, i), Y: ptr(y, j), XRows: &zeroTap[0], YRows: &zeroTap[0], Rows: 1, P: rows, XStride: ldx, YStride: ldy, C: &w.tile[0],
				XN: min(mr, m-i), YN: min(nr, cols-j),
			}
			c.tile.Outer(&w.outer)
			n := min(nr, cols-j)
			for k := range min(mr, m-i) {
				copy(at(dst, (i+k)*ldc+j, n), w.tile[k*nr:])
			}
		}
	}
}

// head finds image, head and the first channel of a task.
func (c *call) head(m image, i, d int) int { heads := m.c / d; return i/heads*m.imgs + i%heads*d }

func prepareAttention(c *call) func() {
	q, k, v, o := c.in[0].image(), c.in[1].image(), c.in[2].image(), c.out[0].image()
	p := c.out[1].f32()
	heads := c.step.Attrs.(backend.Heads).Heads
	L, C, d := q.h*q.w, q.c, q.c/heads
	scale := float32(1 / math.Sqrt(float64(d)))
	per := headScratch(c.Backend, c.step, false)
	task := func(worker, i int) {
		packed, at := c.scratch[worker*per:][:per], c.head(q, i, d)
		c.packRows(packed, ptr(k.p, at), d, L, C, c.tile.NR, c.tile.NR*d)
		c.matmul(worker, L, L, d, ptr(q.p, at), C, packed, &p[i*L*L], L)
		for r := range L {
			c.vec.SoftmaxRow(p[(i*L+r)*L:][:L], scale)
		}
		packColumns(packed, ptr(v.p, at), L, d, C, c.tile.NR, c.tile.NR*L)
		c.matmul(worker, L, d, L, &p[i*L*L], L, packed, ptr(o.p, at), C)
	}
	return func() { c.pool.run(q.n*heads, task) }
}

// prepareAttentionGrad: dp = do v^T, ds = softmax's gradient, dq = ds k, dk = ds^T q, dv = p^T do.
func prepareAttentionGrad(c *call) func() {
	q, k, v, do := c.in[0].image(), c.in[1].image(), c.in[2].image(), c.in[4].image()
	dq, dk, dv := c.out[0].image(), c.out[1].image(), c.out[2].image()
	p := c.in[3].f32()
	heads := c.step.Attrs.(backend.Heads).Heads
	L, C, d := q.h*q.w, q.c, q.c/heads
	scale := float32(1 / math.Sqrt(float64(d)))
	per := headScratch(c.Backend, c.step, true)
	task := func(worker, i int) {
		ds := c.scratch[worker*per:][:L*L]
		packed, at := c.scratch[worker*per+L*L+c.tile.MR:(worker+1)*per], c.head(q, i, d)
		c.packRows(packed, ptr(v.p, at), d, L, C, c.tile.NR, c.tile.NR*d)
		c.matmul(worker, L, L, d, ptr(do.p, at), C, packed, &ds[0], L)
		for r := range L {
			row := ds[r*L:][:L]
			c.vec.SoftmaxRowGrad(row, p[(i*L+r)*L:][:L], row, scale)
		}
		packColumns(packed, ptr(k.p, at), L, d, C, c.tile.NR, c.tile.NR*L)
		c.matmul(worker, L, d, L, &ds[0], L, packed, ptr(dq.p, at), C)
		c.outer(worker, L, L, d, &ds[0], L, ptr(q.p, at), C, ptr(dk.p, at), C)
		c.outer(worker, L, L, d, &p[i*L*L], L, ptr(do.p, at), C, ptr(dv.p, at), C)
	}
	return func() { c.pool.run(q.n*heads, task) }
}
