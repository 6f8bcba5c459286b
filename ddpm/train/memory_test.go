package train

import (
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
)

// The plan of a training step on the CPU joins no channels by copying, and keeps no normalised image for the backward pass: each norm
// before a convolution is made again, but for those whose gradient comes right after them.
func TestStepMemory(t *testing.T) {
	b, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	c, err := PresetConfig(DefaultPreset)
	if err != nil {
		t.Fatal(err)
	}
	s, err := planStep(b, &c, 64, dist.Alone)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	s.program.Steps(func(s *backend.Step) { count[s.Op]++ })
	if count["concat"] > 0 || count["group_norm"] < 10 || count["group_norm_again"] < count["group_norm"]*3/4 {
		t.Errorf("%d concats, %d norms, %d of them made again", count["concat"], count["group_norm"], count["group_norm_again"])
	}
}
