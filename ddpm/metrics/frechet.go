package metrics

import (
	"context"
	"errors"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"
)

// A Cloud is features of pictures: [N,D].
type Cloud struct {
	N, D int
	V    []float64
}

// Row is the features of picture i.
func (c Cloud) Row(i int) []float64 { return c.V[i*c.D : (i+1)*c.D] }

// leaveOut is the cloud without the pictures of group g.
func (c Cloud) leaveOut(g int) Cloud {
	out := Cloud{D: c.D}
	for i := range c.N {
		if groupOf(i) != g {
			out.V = append(out.V, c.Row(i)...)
			out.N++
		}
	}
	return out
}

// moments are the mean [D] and the deviations from it [N,D] over sqrt(N-1), whose product with itself is the covariance.
func (c Cloud) moments() (mean []float64, dev *mat.Dense) {
	mean = make([]float64, c.D)
	for i := range c.N {
		for k, v := range c.Row(i) {
			mean[k] += v / float64(c.N)
		}
	}
	dev = mat.NewDense(c.N, c.D, nil)
	scale := 1 / math.Sqrt(float64(c.N-1))
	for i := range c.N {
		row := dev.RawRowView(i)
		for k, v := range c.Row(i) {
			row[k] = (v - mean[k]) * scale
		}
	}
	return mean, dev
}

// errFew says that a covariance cannot be estimated.
var errFew = errors.New("too few pictures: want at least 16 on each side")

// Frechet is the Fréchet distance between normals fitted to two clouds (Heusel et al. 2017, equation 6; Dowson & Landau 1982):
//
//	|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^{1/2})
//
// Its error is the jackknife's over pictures of both. It is biased upwards where pictures are few beside the number of features; with
// the same number of pictures on both sides models can still be compared.
func Frechet(ctx context.Context, w *Work, a, b Cloud) (Estimate, error) {
	if min(a.N, b.N) < 16 {
		return Estimate{}, errFew
	}
	rows, err := pieces(ctx, w, "Fréchet distance", []any{a.hash(), b.hash()}, 1+jackknifeGroups, func(i int, _ func(float64)) ([]float64, error) {
		x, y := a, b
		if i > 0 {
			x, y = a.leaveOut(i-1), b.leaveOut(i-1)
		}
		v, err := frechet(x, y)
		return []float64{v}, err
	})
	if err != nil {
		return Estimate{}, err
	}
	return Estimate{rows[0][0], jackknife(slices.Concat(rows[1:]...)), min(a.N, b.N)}, nil
}

func frechet(a, b Cloud) (float64, error) {
	ma, da := a.moments()
	mb, db := b.moments()
	d := 0.0
	for k := range ma {
		d += (ma[k] - mb[k]) * (ma[k] - mb[k])
	}
	for _, dev := range []*mat.Dense{da, db} { // the trace of a covariance is the sum of squared deviations
		for _, v := range dev.RawMatrix().Data {
			d += v * v
		}
	}
	root, err := traceRoot(da, db)
	return d - 2*root, err
}

// traceRoot is tr((A'A B'B)^{1/2}). The eigenvalues of A'A B'B are the squared singular values of A B', and stay so when A and B are
// replaced by smaller factors of the same A'A and B'B; so no square root of a matrix is needed.
func traceRoot(a, b *mat.Dense) (float64, error) {
	fa, fb := factor(a), factor(b)
	var cross mat.Dense
	cross.Mul(fa, fb.T())
	var svd mat.SVD
	if !svd.Factorize(&cross, mat.SVDNone) {
		return 0, errors.New("the singular values of the features' covariances were not found")
	}
	sum := 0.0
	for _, v := range svd.Values(nil) {
		sum += v
	}
	return sum, nil
}

// factor is A itself or, where it has more rows than columns, the R of its QR decomposition: R'R = A'A.
func factor(a *mat.Dense) *mat.Dense {
	rows, cols := a.Dims()
	if rows <= cols {
		return a
	}
	var qr mat.QR
	qr.Factorize(a)
	var r mat.Dense
	qr.RTo(&r)
	return mat.DenseCopyOf(r.Slice(0, cols, 0, cols))
}
