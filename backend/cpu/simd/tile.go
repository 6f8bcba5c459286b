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
	short  func(*GEMMArgs) // GEMM of the first MR/2 rows, or nil
}

// For returns what computes the first rows and cols of GEMM's tile and leaves those of C from height and width on as they are, which are
// at least as many.
func (t *Tile) For(rows, cols int) (gemm func(*GEMMArgs), height, width int) {
	switch {
	case t.narrow != nil && cols <= t.NR/2:
		return t.narrow, t.MR, t.NR / 2
	case t.short != nil && rows <= t.MR/2:
		return t.short, t.MR / 2, t.NR
	}
	return t.GEMM, t.MR, t.NR
}

// TileFor returns the kernels of level l, or of the highest supported level
// below it.
func TileFor(l Level) Tile { return tileFor(min(l, hardware())) }

// Fetched is how many floats from GEMMArgs.Ahead on are fetched for each tap
// of kc elements: two cache lines every four steps.
func Fetched(kc int) int { return kc / 4 * 32 }
