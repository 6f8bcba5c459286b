package lab

import (
	"fmt"
	"math"
	"slices"
)

// Field is the covariance [n,n] of the pixels of a side x side Gaussian field: exp(-d/length) for pixels d apart, and nugget more on
// the diagonal. Neighbours resemble each other, as in a picture, and everything about it can be computed.
func Field(side int, length, nugget float64) [][]float64 {
	n := side * side
	c := make([][]float64, n)
	for i := range c {
		c[i] = make([]float64, n)
		for j := range c[i] {
			c[i][j] = math.Exp(-math.Hypot(float64(i%side-j%side), float64(i/side-j/side)) / length)
		}
		c[i][i] += nugget
	}
	return c
}

// Cholesky is the lower triangle L [n,n] with L L^T = a, which must be symmetric and positive definite.
func Cholesky(a [][]float64) ([][]float64, error) {
	l := make([][]float64, len(a))
	for i := range a {
		l[i] = make([]float64, len(a))
		for j := range i + 1 {
			sum, li, lj := a[i][j], l[i][:j], l[j][:j]
			for k, v := range li {
				sum -= v * lj[k]
			}
			if i != j {
				l[i][j] = sum / l[j][j]
				continue
			}
			if !(sum > 0) {
				return nil, fmt.Errorf("the matrix is not positive definite: pivot %d is %g", i, sum)
			}
			l[i][i] = math.Sqrt(sum)
		}
	}
	return l, nil
}

// FieldExcess is what it costs to draw the members of each group independently of each other, given all earlier groups, in bits a
// pixel over drawing them jointly: for a normal with covariance cov [n,n],
//
//	1/2 [sum over i of log2 var(x_i given earlier groups) - log2 det cov] / n
//
// With the pixels in the order of the groups and L L^T = cov, the conditional covariance of a group is that of its diagonal block of
// L: the variance of a member is the sum of the squares of its row in the block, and det cov the product of the squared diagonal.
func FieldExcess(cov [][]float64, groups [][]int) (float64, error) {
	order := slices.Concat(groups...)
	if len(order) != len(cov) {
		return 0, fmt.Errorf("the groups have %d pixels, the covariance is of %d", len(order), len(cov))
	}
	a := make([][]float64, len(order))
	for i, p := range order {
		a[i] = make([]float64, len(order))
		for j, q := range order {
			a[i][j] = cov[p][q]
		}
	}
	l, err := Cholesky(a)
	if err != nil {
		return 0, err
	}
	bits, at := 0.0, 0
	for _, g := range groups {
		for i := at; i < at+len(g); i++ {
			variance := 0.0
			for j := at; j <= i; j++ {
				variance += l[i][j] * l[i][j]
			}
			bits += math.Log2(variance)/2 - math.Log2(l[i][i])
		}
		at += len(g)
	}
	return bits / float64(len(order)), nil
}
