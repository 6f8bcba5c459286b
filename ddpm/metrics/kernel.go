package metrics

// Kernel is the kernel distance (Bińkowski et al. 2018, KID on Inception's features): the unbiased estimate of the squared maximum mean
// discrepancy with k(x,y) = (x.y/D + 1)^3. It is unbiased for any number of pictures, and may be below 0. The error is the jackknife's.
func Kernel(a, b Cloud, tick func(float64)) (Estimate, error) {
	if min(a.N, b.N) < 16 {
		return Estimate{}, errFew
	}
	// The sums of k by pairs of groups are all that leaving a group out needs.
	var aa, bb, ab pairSums
	aa.add(a, a, true)
	tick(1. / 3)
	bb.add(b, b, true)
	tick(2. / 3)
	ab.add(a, b, false)
	tick(1)
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

func (p *pairSums) add(a, b Cloud, same bool) {
	rows := make([][jackknifeGroups]float64, a.N)
	parallel(a.N, func(i int) {
		x := a.Row(i)
		for j := range b.N {
			if same && i == j {
				continue
			}
			k := dot(x, b.Row(j))/float64(a.D) + 1
			rows[i][groupOf(j)] += k * k * k
		}
	})
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
