package metrics

import "context"

// Kernel is the kernel distance (Bińkowski et al. 2018, KID on Inception's features): the unbiased estimate of the squared maximum mean
// discrepancy with k(x,y) = (x.y/D + 1)^3. It is unbiased for any number of pictures, and may be below 0. The error is the jackknife's.
func Kernel(ctx context.Context, a, b Cloud, tick func(float64)) (Estimate, error) {
	if min(a.N, b.N) < 16 {
		return Estimate{}, errFew
	}
	// The sums of k by pairs of groups are all that leaving a group out needs.
	var aa, bb, ab pairSums
	for i, s := range []struct {
		sums *pairSums
		x, y Cloud
	}{{&aa, a, a}, {&bb, b, b}, {&ab, a, b}} {
		if err := s.sums.add(ctx, s.x, s.y, i < 2, stage(tick, i, 3)); err != nil {
			return Estimate{}, err
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

func (p *pairSums) add(ctx context.Context, a, b Cloud, same bool, tick func(float64)) error {
	rows := make([][jackknifeGroups]float64, a.N)
	err := parallelUntil(ctx, a.N, tick, func(i int) {
		x := a.Row(i)
		for j := range b.N {
			if same && i == j {
				continue
			}
			k := dot(x, b.Row(j))/float64(a.D) + 1
			rows[i][groupOf(j)] += k * k * k
		}
	})
	if err != nil {
		return err
	}
	var na, nb [jackknifeGroups]float64
	for i := range a.N {
		na[groupOf(i)]++
		for g, v := range rows[i] {
			p.sum[groupOf(i)][g] += v
		}
	}
	for j := range b.N {
		nb[groupOf(j)]++
	}
	for g := range na {
		for h := range nb {
			p.n[g][h] = na[g] * nb[h]
			if same && g == h {
				p.n[g][h] -= na[g]
			}
		}
	}
	return nil
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
