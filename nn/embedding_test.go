package nn

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/nn/golden"
)

func TestTimestepEmbeddingGolden(t *testing.T) {
	golden.Run(t, "timestep_embedding*", func(t *testing.T, f *golden.File) {
		timesteps := f.I64(t, "timesteps")
		T := int(slices.Max(timesteps)) + 1
		for _, name := range f.Names() {
			var dim, flip int
			var shift float64
			if _, err := fmt.Sscanf(name, "emb_dim%d_flip%d_shift%g", &dim, &flip, &shift); err != nil {
				continue
			}
			table := TimestepEmbedding(T, dim, flip == 1, shift)
			var got []float32
			for _, step := range timesteps {
				got = append(got, table[int(step)*dim:(int(step)+1)*dim]...)
			}
			diff, _ := golden.Diff(got, f.F32(t, name))
			t.Logf("%s: largest difference %.3g", name, diff)
			if diff > 1e-6 {
				t.Errorf("%s: largest difference %g, want at most 1e-6", name, diff)
			}
		}
	})
}

func TestTimestepEmbeddingOddWidth(t *testing.T) {
	odd, even := TimestepEmbedding(3, 5, false, 0), TimestepEmbedding(3, 4, false, 0)
	for row := range 3 {
		if !slices.Equal(odd[row*5:row*5+4], even[row*4:row*4+4]) || odd[row*5+4] != 0 {
			t.Errorf("row %d is %v, want %v and a zero", row, odd[row*5:row*5+5], even[row*4:row*4+4])
		}
	}
	if got := strings.TrimSpace(fmt.Sprint(TimestepEmbedding(1, 2, true, 0))); got != "[1 0]" {
		t.Errorf("t=0 flipped is %s, want [1 0]", got)
	}
}
