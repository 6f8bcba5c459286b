package metrics

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
)

// An Estimate is a number with its standard error, from N images.
type Estimate struct {
	Value, Err float64
	N          int
}

// mean is the mean of independent values and its standard error. Of a single value the error is not known: NaN.
func mean(v []float64) Estimate {
	n := float64(len(v))
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	m := sum / n
	ss := 0.0
	for _, x := range v {
		ss += (x - m) * (x - m)
	}
	return Estimate{m, math.Sqrt(ss / (n - 1) / n), len(v)}
}

// jackknifeGroups is how many groups images are left out in.
const jackknifeGroups = 8

// jackknife is the standard error of a statistic from its values with each of the groups left out (Efron & Tibshirani 1993, chapter
// 11). It tells how much the number would change with other images; a bias that depends on the number of images is not in it.
func jackknife(without []float64) float64 {
	g := float64(len(without))
	m := 0.0
	for _, v := range without {
		m += v / g
	}
	ss := 0.0
	for _, v := range without {
		ss += (v - m) * (v - m)
	}
	return math.Sqrt((g - 1) / g * ss)
}

// groupOf is the group of image i.
func groupOf(i int) int { return i % jackknifeGroups }

// parallel calls f(0..n-1), as many at a time as there are processors.
func parallel(n int, f func(i int)) {
	_ = parallelUntil(context.Background(), n, func(float64) {}, f) // nothing stops it
}

// parallelUntil does so until ctx ends. tick is told now and then what part is done.
func parallelUntil(ctx context.Context, n int, tick func(done float64), f func(i int)) error {
	var next, done atomic.Int64
	var wg sync.WaitGroup
	var telling sync.Mutex
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n || ctx.Err() != nil {
					return
				}
				f(i)
				if done.Add(1)%64 == 0 && telling.TryLock() {
					tick(float64(done.Load()) / float64(n))
					telling.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return ctx.Err()
}
