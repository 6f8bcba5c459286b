package simd

//go:generate go run -C ../asm ./tile -pkg simd -out ../simd/tile_amd64.s -stubs ../simd/tile_amd64.go

// Tile holds the register-tile kernels of one level. MR and NR are the rows
// and columns of the tile that both compute; see GEMMArgs and OuterArgs. The
// kernels keep no pointer past the call, but arguments passed through a Tile
// escape: allocate them once and reuse them.
type Tile struct {
	MR, NR int
	GEMM   func(*GEMMArgs)
	Outer  func(*OuterArgs)
	narrow func(*GEMMArgs) // GEMM of the first NR/2 columns, or nil
}

// For returns what computes the first cols columns of GEMM's tile and leaves
// those of C from width on as they are; width is at least cols.
func (t *Tile) For(cols int) (gemm func(*GEMMArgs), width int) {
	if t.narrow != nil && cols <= t.NR/2 {
		return t.narrow, t.NR / 2
	}
	return t.GEMM, t.NR
}

// TileFor returns the kernels of level l, or of the highest supported level
// below it.
func TileFor(l Level) Tile { return tileFor(min(l, hardware())) }

// Fetched is how many floats from GEMMArgs.Ahead on are fetched for each tap
// of kc elements: two cache lines every four steps.
func Fetched(kc int) int { return kc / 4 * 32 }
