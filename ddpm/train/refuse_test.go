package train

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

// A number that is not finite, wherever it comes from, is reported and changes nothing; and nothing of it stays behind.
func TestBadNumbersChangeNothing(t *testing.T) {
	const images = 7
	c, nan32 := smallConfig(), float32(math.NaN())
	eachLevel(t, func(t *testing.T, b *cpu.Backend) {
		s := newStep(t, b, c, pictures(images), images)
		steps(t, s, 2)
		good := snapshot(t, s)
		steps(t, s, 2)
		want := snapshot(t, s)
		for _, spoil := range []struct {
			name string
			v    float32
		}{
			{"time_embedding.linear_1.weight", nan32}, {"conv_in.weight", nan32}, {"down_blocks.0.resnets.0.norm1.weight", nan32},
			{"mid_block.attentions.0.to_v.bias", math.MaxFloat32}, {"mid_block.resnets.0.conv1.bias", float32(math.Inf(1))},
			{"up_blocks.1.resnets.0.conv_shortcut.weight", nan32}, {"conv_out.weight", float32(math.Inf(-1))}, {"conv_out.bias", nan32},
			{"conv_out.bias", 4e19}, {"conv_out.bias", 1e20}, // the loss overflows, the gradients need not
		} {
			name, v := spoil.name, spoil.v
			q, ok := s.Params.ByName(name)
			if !ok {
				t.Fatalf("there is no parameter %s", name)
			}
			spoilt := good
			spoilt.Params = slices.Clone(good.Params)
			spoilt.Params[q.Offset+q.Shape.Elems()-1] = v
			restore(t, s, spoilt)
			for _, r := range steps(t, s, 2) {
				if !r.Bad() {
					t.Errorf("%s: loss %v and gradient norm %v are taken for good", name, r.Loss, r.GradNorm)
				}
			}
			sameState(t, name, snapshot(t, s), spoilt)

			restore(t, s, good)
			for _, r := range steps(t, s, 2) {
				if r.Bad() {
					t.Errorf("%s: still there after going back", name)
				}
			}
			sameState(t, name+", then back", snapshot(t, s), want)
		}
	})
}

// A learning rate far too high ends in numbers that are not finite; the weights stay those of the last good step.
func TestHugeLearningRate(t *testing.T) {
	const images = 7
	c := smallConfig()
	c.Optimizer.LR, c.Optimizer.Warmup, c.Optimizer.Clip = 10, 0, 0
	s := newStep(t, processor(t, "", 2), c, pictures(images), images)
	h := c.hyper()
	h[backend.HypLR] = 1e20 // more than Validate lets through
	if err := model.Write(s.Memory, bufHyper, 0, h); err != nil {
		t.Fatal(err)
	}
	for k := range 50 {
		before := snapshot(t, s)
		r := steps(t, s, 1)[0]
		if !r.Bad() {
			continue
		}
		sameState(t, "a bad step", snapshot(t, s), before)
		for i, w := range before.Params {
			if math.IsNaN(float64(w)) || math.IsInf(float64(w), 0) {
				t.Fatalf("weight %d was %v before the first bad step", i, w)
			}
		}
		t.Logf("step %d: loss %v, gradient norm %v", k+1, r.Loss, r.GradNorm)
		return
	}
	t.Error("50 steps at a learning rate of 1e20 met no bad number")
}

// limited is a backend with less memory than the machine.
type limited struct {
	*cpu.Backend
	memory  int64
	buffers int
}

func (l *limited) Info() backend.Info {
	i := l.Backend.Info()
	i.Memory = l.memory
	return i
}

func (l *limited) NewBuffer(bytes int) (backend.Buffer, error) {
	l.buffers++
	return l.Backend.NewBuffer(bytes)
}

func TestTooLittleMemory(t *testing.T) {
	const images = 7
	c := smallConfig()
	need := newStep(t, processor(t, "", 2), c, pictures(images), images).Bytes

	for _, memory := range []int64{1, need / 2, need - 1} {
		b := &limited{Backend: processor(t, "", 2), memory: memory}
		_, err := NewStep(b, c, pictures(images), images, dist.Alone)
		var refused *model.NoMemoryError
		if !errors.As(err, &refused) {
			t.Fatalf("%d bytes of memory for a plan of %d: error %v", memory, need, err)
		}
		if refused.Need != need || refused.Free != memory || refused.Arena <= 0 || refused.Arena >= need {
			t.Errorf("%+v, want %d needed and %d free", *refused, need, memory)
		}
		if !strings.Contains(err.Error(), "not enough memory") || !strings.Contains(err.Error(), "--batch") {
			t.Errorf("the error says %q", err)
		}
		if b.buffers > 0 {
			t.Errorf("%d buffers were made before it refused", b.buffers)
		}
	}
	for _, memory := range []int64{need, 0} { // just enough; not known
		b := &limited{Backend: processor(t, "", 2), memory: memory}
		s := newStep(t, b, c, pictures(images), images)
		if r := steps(t, s, 1)[0]; r.Bad() {
			t.Errorf("with %d bytes: loss %v", memory, r.Loss)
		}
	}
}
