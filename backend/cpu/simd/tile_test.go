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

// forLevels runs f for the tile of every level this machine has.
func forLevels(t *testing.T, f func(*testing.T, Tile)) {
	for _, l := range Supported() {
		t.Run(l.String(), func(t *testing.T) { f(t, TileFor(l)) })
	}
}

// buffer returns n random elements; the NaNs around them poison every result
// that uses an element outside. data[i] is at offset pad+i of all.
const pad = 96

func buffer(r *rand.Rand, n int) (all, data []float32) {
	all = make([]float32, n+2*pad)
	for i := range all {
		all[i] = float32(math.NaN())
	}
	data = all[pad : pad+n : pad+n]
	for i := range data {
		data[i] = r.Float32()*2 - 1
	}
	return all, data
}

// check compares got with want, element by element: tolerance times the sum
// of absolute terms where want holds one, else the very bits of before.
func check(t *testing.T, got, before []float32, want map[int][2]float64) {
	t.Helper()
	for i, g := range got {
		w, ok := want[i]
		if !ok {
			if math.Float32bits(g) != math.Float32bits(before[i]) {
				t.Fatalf("wrote outside the tile, at %d: %v was %v", i-pad, g, before[i])
			}
			continue
		}
		// Not "difference > bound", which a NaN would pass.
		if d := math.Abs(float64(g) - w[0]); !(d <= 2e-6*w[1]+1e-30) {
			t.Fatalf("C[%d] = %v, want %v (bound %g)", i-pad, g, w[0], 2e-6*w[1])
		}
	}
}

// sum accumulates a reference and the sum of absolute terms that bounds its
// rounding error.
type sum [2]float64

func (s *sum) add(a, b float32) {
	p := float64(a) * float64(b)
	s[0] += p
	s[1] += math.Abs(p)
}

func testGEMM(t *testing.T, tile Tile, gemm func(*GEMMArgs), rows, cols int, seed uint64, kc, ntaps int, bias, add, acc, repeat bool) {
	r := rand.New(rand.NewPCG(seed, 1))
	mr, nr := tile.MR, tile.NR
	reach := 2*kc + 5 // largest distance of a tap
	spread := 3*kc + 7
	_, a := buffer(r, 2*reach+spread+kc)
	_, b := buffer(r, ntaps*kc*nr)
	_, bs := buffer(r, nr)
	resAll, _ := buffer(r, (mr+3)*(nr+5))
	call, _ := buffer(r, (mr+3)*(nr+5))

	taps := make([]int, ntaps, ntaps+1)
	for i := range taps {
		taps[i] = r.IntN(2*reach+1) - reach
	}
	args := &GEMMArgs{
		A: &a[reach], Taps: &taps[:1][0], NTaps: ntaps, KC: kc,
		C: &call[pad], Acc: acc,
	}
	if len(b) > 0 {
		args.B = &b[0]
	}
	if bias {
		args.Bias = &bs[0]
	}
	if add {
		args.Add = &resAll[pad]
	}
	for i, p := range r.Perm(mr + 3)[:mr] {
		args.Pix[i] = r.IntN(spread)
		args.Out[i] = p * (nr + 5)
		args.AddOff[i] = ((p + 1) % (mr + 3)) * (nr + 5)
	}
	if repeat { // the last rows pad a partial tile
		for i := mr / 2; i < mr; i++ {
			args.Pix[i], args.Out[i], args.AddOff[i] = args.Pix[0], args.Out[0], args.AddOff[0]
		}
	}

	want := map[int][2]float64{}
	for i := range rows {
		for j := range cols {
			var s sum
			for ti, tap := range taps {
				for k := range kc {
					s.add(a[reach+args.Pix[i]+tap+k], b[(ti*kc+k)*nr+j])
				}
			}
			if bias && !acc {
				s.add(bs[j], 1)
			}
			if add {
				s.add(resAll[pad+args.AddOff[i]+j], 1)
			}
			at := pad + args.Out[i] + j
			if acc {
				s.add(call[at], 1)
			}
			want[at] = s
		}
	}
	before := slices.Clone(call)
	gemm(args)
	check(t, call, before, want)

	// Again: the same bits.
	again := slices.Clone(before)
	args.C = &again[pad]
	gemm(args)
	check(t, again, before, want)
	for i := range again {
		if math.Float32bits(again[i]) != math.Float32bits(call[i]) {
			t.Fatalf("a second run differs at %d", i-pad)
		}
	}
}

func TestGEMM(t *testing.T) {
	forLevels(t, func(t *testing.T, tile Tile) {
		seed := uint64(0)
		for _, kc := range []int{0, 1, 2, 3, 4, 5, 8, 17, 64, 130} {
			for _, ntaps := range []int{0, 1, 4, 9} {
				for flags := range 16 {
					seed++
					bit := func(i int) bool { return flags>>i&1 == 1 }
					t.Run(fmt.Sprintf("kc%d/taps%d/flags%x", kc, ntaps, flags), func(t *testing.T) {
						for _, part := range [][2]int{{tile.MR, tile.NR}, {tile.MR, 1}, {1, tile.NR}} { // the whole tile, half of its columns, of its rows
							if gemm, rows, cols := tile.For(part[0], part[1]); part[0]*part[1] == tile.MR*tile.NR || rows*cols < tile.MR*tile.NR {
								testGEMM(t, tile, gemm, rows, cols, seed, kc, ntaps, bit(0), bit(1), bit(2), bit(3))
							}
						}
					})
				}
			}
		}
	})
}

func testOuter(t *testing.T, tile Tile, seed uint64, rows, p int, acc bool) {
	r := rand.New(rand.NewPCG(seed, 2))
	mr, nr := tile.MR, tile.NR
	xs, ys := mr+r.IntN(5), nr+r.IntN(5)
	if seed%3 == 0 { // pixels may overlap, or be read backwards
		xs, ys = 1, -ys
	}
	spread := 40
	lo := (p - 1) * max(-ys, 0)
	_, x := buffer(r, spread+(p-1)*xs+mr)
	_, y := buffer(r, lo+spread+(p-1)*max(ys, 0)+nr)
	xrows, yrows := make([]int, rows, rows+1), make([]int, rows, rows+1)
	for i := range xrows {
		xrows[i], yrows[i] = r.IntN(spread)-7, r.IntN(spread)-9
	}
	call, c := buffer(r, mr*nr)

	want := map[int][2]float64{}
	for i := range mr {
		for j := range nr {
			var s sum
			for row := range rows {
				for q := range p {
					s.add(x[7+xrows[row]+q*xs+i], y[9+lo+yrows[row]+q*ys+j])
				}
			}
			if acc {
				s.add(c[i*nr+j], 1)
			}
			want[pad+i*nr+j] = s
		}
	}
	before := slices.Clone(call)
	args := &OuterArgs{
		X: &x[7], Y: &y[9+lo], XRows: &xrows[:1][0], YRows: &yrows[:1][0],
		Rows: rows, P: p, XStride: xs, YStride: ys, C: &c[0], Acc: acc,
	}
	tile.Outer(args)
	check(t, call, before, want)

	again := slices.Clone(before)
	args.C = &again[pad]
	tile.Outer(args)
	for i := range again {
		if math.Float32bits(again[i]) != math.Float32bits(call[i]) {
			t.Fatalf("a second run differs at %d", i-pad)
		}
	}
}

func TestOuter(t *testing.T) {
	forLevels(t, func(t *testing.T, tile Tile) {
		seed := uint64(0)
		for _, rows := range []int{0, 1, 2, 7} {
			for _, p := range []int{1, 2, 3, 4, 5, 8, 17, 64} {
				for _, acc := range []bool{false, true} {
					seed++
					t.Run(fmt.Sprintf("rows%d/p%d/acc%v", rows, p, acc), func(t *testing.T) {
						testOuter(t, tile, seed, rows, p, acc)
					})
				}
			}
		}
	})
}

func TestPeakFlops(t *testing.T) {
	for _, l := range Supported() {
		if f := PeakFlops(l, 0.01); f < 1e7 || f > 1e13 {
			t.Errorf("PeakFlops(%v) = %g", l, f)
		}
	}
}

// TestGeneratedTileUpToDate regenerates the assembly of products and compares it with the
// committed files.
func TestGeneratedTileUpToDate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the generator")
	}
	dir := t.TempDir()
	for _, kind := range []string{"tile", "dot"} {
		files := []string{kind + "_amd64.s", kind + "_amd64.go"}
		cmd := exec.Command("go", "run", "./"+kind, "-pkg", "simd",
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
}
