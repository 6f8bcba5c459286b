package simd

//go:generate go run -C ../asm ./wino -pkg simd -out ../simd/wino_amd64.s -stubs ../simd/wino_amd64.go

// Wino holds the transforms of Winograd's minimal filtering F(4x4, 3x3) or
// F(2x2, 3x3) (Lavin and Gray, "Fast algorithms for convolutional neural
// networks", 2016). For a
// 6x6 patch d of an image, a 3x3 kernel g, and * element by element, the 4x4
// outputs are
//
//	y = At [(G g Gt) * (Bt d B)] A
//
// with 36 multiplications in place of 144. The matrices follow from the points
// 0, a, -a, b, -b and infinity, where a = sqrt(1/2) and b = sqrt(2), by Toom and
// Cook's interpolation:
//
//	     1  0 -5/2 0  1  0         1       0     0
//	     0 -b  -2  a  1  0        -2/3  -2a/3  -1/3         1  1  1   1  1  0
//	Bt = 0  b  -2 -a  1  0    G = -2/3   2a/3  -1/3    At = 0  a -a   b -b  0
//	     0 -a -1/2 b  1  0         1/6   b/6    1/3         0 1/2 1/2 2  2  0
//	     0  a -1/2 -b 1  0         1/6  -b/6    1/3         0 a/2 -a/2 2b -2b 1
//	     0  1  0 -5/2 0  1         0      0      1
//
// Their rounding error is half that of the usual points, 1 and 2: a and b are
// each other's inverse, so the powers stay closest to 1.
//
// F(2x2, 3x3), for tiles of 2x2, has the usual points 0, 1, -1 and infinity, 16
// multiplications in place of 36, and patches of 4x4:
//
//	     1  0 -1 0         1    0    0
//	Bt = 0  1  1 0    G = 1/2  1/2  1/2    At = 1 1  1 0
//	     0 -1  1 0        1/2 -1/2  1/2         0 1 -1 1
//	     0 -1  0 1         0    0    1
//
// All run on one goroutine and allocate nothing. Arguments escape: allocate
// them once and reuse them.
type Wino struct {
	Tile    int             // outputs along the side of a tile, 4 or 2
	Lanes   int             // channels are multiples of this
	Input   func(*WinoArgs) // 6x6 (4x4) to 6x6 (4x4): Bt d B
	Output  func(*WinoArgs) // 6x6 (4x4) to 4x4 (2x2): At m A + Bias
	Weights func(*WinoArgs) // 3x3 to 6x6 (4x4): G g Gt

	// For the weight gradient, which is the transposed algorithm:
	// dg = Gt [sum over patches of (A dy At) * (Bt d B)] G.
	OutputGrad  func(*WinoArgs) // 4x4 (2x2) to 6x6 (4x4): A dy At
	WeightsGrad func(*WinoArgs) // 6x6 (4x4) to 3x3: Gt s G

	// Product is Weights, and then the products with transformed inputs, for few tiles, where the kernel's planes would cost more to write and
	// read than they are used. To the last bit it is what Weights and Tile.GEMM give. Nil where it is not to be had.
	Product func(*WinoProductArgs)
}

// Patch is the side of the patch of inputs that a tile of outputs reads.
func (w *Wino) Patch() int { return w.Tile + 2 }

// WinoFor returns the transforms for tiles of 4x4 or 2x2 of level l, or of the
// highest supported level below it.
func WinoFor(l Level, tile int) Wino { return winoFor(min(l, hardware()), tile) }
