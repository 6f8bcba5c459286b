package simd

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// winoMatrices are those of Wino.
type winoMatrices struct{ bt, g, at [][]float64 }

// The matrices by the size of a tile.
var winoBy = map[int]winoMatrices{
	4: {winoBt, winoG, winoAt},
	2: {
		[][]float64{{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, -1, 0, 1}},
		[][]float64{{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}},
		[][]float64{{1, 1, 1, 0}, {0, 1, -1, 1}},
	},
}

// Those of tiles of 4x4.
var (
	wa, wb = math.Sqrt(0.5), math.Sqrt(2)
	winoBt = [][]float64{
		{1, 0, -2.5, 0, 1, 0},
		{0, -wb, -2, wa, 1, 0}, {0, wb, -2, -wa, 1, 0},
		{0, -wa, -0.5, wb, 1, 0}, {0, wa, -0.5, -wb, 1, 0},
		{0, 1, 0, -2.5, 0, 1},
	}
	winoG = [][]float64{
		{1, 0, 0},
		{-2. / 3, -2 * wa / 3, -1. / 3}, {-2. / 3, 2 * wa / 3, -1. / 3},
		{1. / 6, wb / 6, 1. / 3}, {1. / 6, -wb / 6, 1. / 3},
		{0, 0, 1},
	}
	winoAt = [][]float64{
		{1, 1, 1, 1, 1, 0}, {0, wa, -wa, wb, -wb, 0}, {0, 0.5, 0.5, 2, 2, 0}, {0, wa / 2, -wa / 2, 2 * wb, -2 * wb, 1},
	}
)

func transposed(m [][]float64) [][]float64 {
	t := make([][]float64, len(m[0]))
	for i := range t {
		for j := range m {
			t[i] = append(t[i], m[j][i])
		}
	}
	return t
}

// TestWinogradIdentity: the matrices make a convolution, in exact arithmetic.
func TestWinogradIdentity(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var d [6]float64
	var g [3]float64
	for i := range d {
		d[i] = r.Float64() - 0.5
	}
	for i := range g {
		g[i] = r.Float64() - 0.5
	}
	for tile, m := range winoBy {
		for i, row := range m.at {
			y, want := 0.0, 0.0
			for p, at := range row {
				u, v := 0.0, 0.0
				for k := range g {
					u += m.g[p][k] * g[k]
				}
				for k := range m.bt[p] {
					v += m.bt[p][k] * d[k]
				}
				y += at * u * v
			}
			for k := range g {
				want += g[k] * d[i+k]
			}
			if math.Abs(y-want) > 1e-14 {
				t.Errorf("tiles of %d, output %d: %v, want %v", tile, i, y, want)
			}
		}
	}
}

func TestWinoTransforms(t *testing.T) {
	for _, l := range Supported() {
		for tile, m := range winoBy {
			w := WinoFor(l, tile)
			for _, c := range []struct {
				name string
				f    func(*WinoArgs)
				m    [][]float64
				bias bool
			}{
				{"Input", w.Input, m.bt, false},
				{"Output", w.Output, m.at, false},
				{"Output with bias", w.Output, m.at, true},
				{"Weights", w.Weights, m.g, false},
				{"OutputGrad", w.OutputGrad, transposed(m.at), false},
				{"WeightsGrad", w.WeightsGrad, transposed(m.g), false},
			} {
				for _, vectors := range []int{1, 3} {
					for _, count := range []int{0, 1, 4} {
						t.Run(fmt.Sprintf("%v/%d/%s", l, tile, c.name), func(t *testing.T) {
							testWino(t, c.f, c.m, c.bias, vectors*w.Lanes, count)
						})
					}
				}
			}
		}
	}
}

// testWino compares f with m s m^T on count matrices of vectors of n, the source's taps backwards.
func testWino(t *testing.T, f func(*WinoArgs), m [][]float64, bias bool, n, count int) {
	r := rand.New(rand.NewPCG(uint64(n), uint64(count)))
	from, to := len(m[0]), len(m)
	srcCol, dstCol := n+3, n+1
	srcRow, dstRow := from*srcCol+2, to*dstCol+5
	srcNext, dstNext := from*srcRow+1, to*dstRow+7
	_, src := buffer(r, max(count, 1)*srcNext)
	_, b := buffer(r, n)
	call, _ := buffer(r, max(count, 1)*dstNext)
	last := (from-1)*srcRow + (from-1)*srcCol
	args := &WinoArgs{
		Src: &src[last], SrcRow: -srcRow, SrcCol: -srcCol, SrcNext: srcNext,
		Dst: &call[pad], DstRow: dstRow, DstCol: dstCol, DstNext: dstNext,
		N: n, Count: count, Scratch: &make([]float32, WinoScratch)[0],
	}
	if bias {
		args.Bias = &b[0]
	}
	want := map[int][2]float64{}
	for k := range count {
		for i := range to {
			for j := range to {
				for c := range n {
					var s sum
					for p := range from {
						for q := range from {
							v := m[i][p] * m[j][q] * float64(src[k*srcNext+last-p*srcRow-q*srcCol+c])
							s[0] += v
							s[1] += math.Abs(v)
						}
					}
					if bias {
						s.add(b[c], 1)
					}
					want[pad+k*dstNext+i*dstRow+j*dstCol+c] = s
				}
			}
		}
	}
	before := slices.Clone(call)
	f(args)
	check(t, call, before, want)
}

// TestWinoProduct: to the last bit it is Weights and then Tile.GEMM, and it writes nothing else.
func TestWinoProduct(t *testing.T) {
	for _, l := range Supported() {
		w, tile := WinoFor(l, 4), TileFor(l)
		if w.Product == nil {
			continue
		}
		for i, kc := range []int{2, 16, 34, 64} {
			for _, acc := range []bool{false, true} {
				r := rand.New(rand.NewPCG(uint64(i), 3))
				vTile, mTile := kc+6, w.Lanes+5
				vPlane, mPlane := WinoTiles*vTile+3, WinoTiles*mTile+7
				_, g := buffer(r, kc*9*w.Lanes)
				_, v := buffer(r, 36*vPlane)
				m, _ := buffer(r, 36*mPlane)
				want := slices.Clone(m)

				u := make([]float32, 36*kc*tile.NR)
				w.Weights(&WinoArgs{
					Src: &g[0], SrcRow: 3 * w.Lanes, SrcCol: w.Lanes, SrcNext: 9 * w.Lanes,
					Dst: &u[0], DstRow: 6 * kc * tile.NR, DstCol: kc * tile.NR, DstNext: tile.NR,
					N: w.Lanes, Count: kc, Scratch: &make([]float32, WinoScratch)[0],
				})
				sums := make([]float32, WinoTiles*tile.NR)
				a := &GEMMArgs{Taps: new(int), NTaps: 1, KC: kc, C: &sums[0], Acc: acc}
				for k := range tile.MR { // rows beyond the tiles repeat the first
					if k < WinoTiles {
						a.Pix[k], a.Out[k] = k*vTile, k*tile.NR
					}
				}
				for p := range 36 {
					for k := range WinoTiles {
						copy(sums[k*tile.NR:], want[pad+p*mPlane+k*mTile:][:w.Lanes])
					}
					a.A, a.B = &v[p*vPlane], &u[p*kc*tile.NR]
					tile.GEMM(a)
					for k := range WinoTiles {
						copy(want[pad+p*mPlane+k*mTile:], sums[k*tile.NR:][:w.Lanes])
					}
				}
				w.Product(&WinoProductArgs{
					G: &g[0], V: &v[0], VPlane: vPlane, VTile: vTile, M: &m[pad], MPlane: mPlane, MTile: mTile, KC: kc, Acc: acc, Ahead: &g[0],
				})
				for k := range m {
					if math.Float32bits(m[k]) != math.Float32bits(want[k]) {
						t.Fatalf("%v, %d channels, on top of what is there: %v: float %d is %v, want %v", l, kc, acc, k-pad, m[k], want[k])
					}
				}
			}
		}
	}
}

// TestGeneratedWinoUpToDate regenerates the assembly and compares it with the
// committed files.
func TestGeneratedWinoUpToDate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the generator")
	}
	dir := t.TempDir()
	files := []string{"wino_amd64.s", "wino_amd64.go"}
	cmd := exec.Command("go", "run", "./wino", "-pkg", "simd",
		"-out", filepath.Join(dir, files[0]), "-stubs", filepath.Join(dir, files[1]))
	cmd.Dir = filepath.Join("..", "asm")
	// The generator runs on this machine, whatever the test was built for.
	cmd.Env = append(os.Environ(), "GOOS=", "GOARCH=", "GOFLAGS=", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd, err, out)
	}
	for _, name := range files {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is out of date: run go generate", name)
		}
	}
}
