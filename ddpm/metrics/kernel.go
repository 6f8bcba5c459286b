package metrics

import "context"

// Kernel is the kernel distance (Bińkowski et al. 2018, KID on Inception's features): the unbiased estimate of the squared maximum mean
// discrepancy with k(x,y) = (x.y/D + 1)^3. It is unbiased for any number of pictures, and may be below 0. The error is the jackknife's.
func Kernel(ctx context.Context, w *Work, a, b Cloud) (Estimate, error) {
	if min(a.N, b.N) < 16 {
		return Estimate{}, errFew
	}
	// The sums of k by pairs of groups are all that leaving a group out needs.
	var aa, bb, ab pairSums
	type rows struct {
		sums     *pairSums
		x, y     Cloud
		same     bool
		from, to int
	}
	var list []rows
	for _, s := range []rows{{sums: &aa, x: a, y: a, same: true}, {sums: &bb, x: b, y: b, same: true}, {sums: &ab, x: a, y: b}} {
		s.sums.count(s.x.N, s.y.N, s.same)
		step := rowsPerPiece(s.y.N, s.y.D)
		for s.from = 0; s.from < s.x.N; s.from += step {
			s.to = min(s.from+step, s.x.N)
			list = append(list, s)
		}
	}
	sums, err := pieces(ctx, w, "kernel distance", []any{a.hash(), b.hash(), rowsPerPiece(a.N, a.D), rowsPerPiece(b.N, b.D)}, len(list), func(i int, tick func(float64)) ([]float64, error) {
		s := list[i]
		return kernelSums(ctx, s.x, s.y, s.from, s.to, s.same, tick)
	})
	if err != nil {
		return Estimate{}, err
	}
	for i, s := range list {
		for k, v := range sums[i] {
			s.sums.sum[k/jackknifeGroups][k%jackknifeGroups] += v
		}
	}
	mmd := func(skip int) float64 {
		return aa.mean(skip) + bb.mean(skip) - 2*ab.mean(skip)
	}
	without := make([]float64, jackknifeGroups)
	for g := range without {
		without[g] = mmd(g)
	}
	return Estimate{mmd(-1), jackknife(without), min(a.N, b.N)}, nil
}

// pairSums are sums and numbers of pairs by the groups of both.
type pairSums struct {
	sum, n [jackknifeGroups][jackknifeGroups]float64
}

// kernelSums are the sums of k over the pairs of rows [from,to) of a and all of b, by their groups: [groups * groups].
func kernelSums(ctx context.Context, a, b Cloud, from, to int, same bool, tick func(float64)) ([]float64, error) {
	rows := make([][jackknifeGroups]float64, to-from)
	err := parallelUntil(ctx, to-from, tick, func(i int) {
		x := a.Row(from + i)
		for j := range b.N {
			if same && from+i == j {
				continue
			}
			k := dot(x, b.Row(j))/float64(a.D) + 1
			rows[i][groupOf(j)] += k * k * k
		}
	})
	sums := make([]float64, jackknifeGroups*jackknifeGroups)
	for i := range rows {
		for g, v := range rows[i] {
			sums[groupOf(from+i)*jackknifeGroups+g] += v
		}
	}
	return sums, err
}

// count sets the numbers of pairs of na pictures and nb, which may be the same ones.
func (p *pairSums) count(na, nb int, same bool) {
	size := func(g, n int) float64 { return float64((n - g + jackknifeGroups - 1) / jackknifeGroups) } // of group g of n
	for g := range p.n {
		for h := range p.n[g] {
			p.n[g][h] = size(g, na) * size(h, nb)
		}
		if same {
			p.n[g][g] -= size(g, na)
		}
	}
}

// mean is the mean over pairs neither of which is of the group to skip.
func (p *pairSums) mean(skip int) float64 {
	var sum, n float64
	for g := range p.sum {
		for h := range p.sum[g] {
			if g != skip && h != skip {
				sum += p.sum[g][h]
				n += p.n[g][h]
			}
		}
	}
	return sum / n
}

func dot(x, y []float64) (s float64) {
	for i, v := range x {
		s += v * y[i]
	}
	return s
}
