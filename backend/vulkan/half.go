//go:build cgo && !novulkan && (!darwin || moltenvk)

package vulkan

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/ddpm-tui/ddpm-tui/backend"
)

// Values of the arena can be held as halfs where the device has 16-bit storage; all is computed in fp32. A shader's second variant
// (READ_ANY in common.glsl) reads and writes either.

// halvesConstant is the specialisation constant that says which bindings hold halfs.
const halvesConstant = 31

// halfMask is the bindings that hold halfs.
func halfMask(bufs []tensor) (mask uint32) {
	for i, t := range bufs {
		if t.DType == backend.F16 {
			mask |= 1 << i
		}
	}
	return mask
}

// halves says which operands of an op may be halfs: h is one that may. Of the outputs, H is always one where its readers agree, f
// follows the inputs: it is one if any of them is. Everything else is float: parameters, statistics, sums over images (gradients of
// parameters among them), losses, the logarithms of attention's sums.
var halves = map[string]struct{ in, out string }{
	"add": {"hh", "f"}, "mul": {"hh", "f"}, "scale": {"h", "f"}, "silu": {"h", "f"}, "silu_grad": {"hh", "f"}, "relu": {"h", "f"},
	"add_row": {"hh", "f"}, "modulate": {"hh", "f"}, "modulate_grad": {"hhh", "f-"}, "concat": {"hh", "f"}, "channels": {"h", "f"},
	"upsample": {"h", "f"}, "downsample": {"h", "f"}, "pool": {"h", "f"}, "dropout": {"h-", "f"},
	"sum_rows": {"h", "-"}, "sum_space": {"h", "-"}, "gather_grad": {"-h", "-"},
	"conv2d": {"h--", "H"}, "conv2d_data": {"h-", "H"}, "conv2d_weight": {"hh", "-"},
	"group_norm": {"h--", "f-"}, "group_norm_again": {"h---", "f"}, "group_norm_grad": {"h---h", "f--"},
	"attention": {"hhh", "f-"}, "attention_grad": {"hhhh-h", "fff"},
	"mse": {"hh", "--"}, "mse_grad": {"hh-", "f"}, "nll": {"h--", "--"}, "nll_grad": {"h---", "f"},
}

func at(s string, i int) byte {
	if i < len(s) {
		return s[i]
	}
	return '-'
}

// HalfInput implements backend.Halver.
func (b *Backend) HalfInput(op string, i int) bool { return at(halves[op].in, i) == 'h' }

// HalfOutput implements backend.Halver.
func (b *Backend) HalfOutput(op string, i int, in []bool) bool {
	if b.halfWorks() != nil {
		return false
	}
	switch at(halves[op].out, i) {
	case 'H':
		return true
	case 'f':
		return slices.Contains(in, true)
	}
	return false
}

// HalfEnv switches storage in halfs off, if it is "off".
const HalfEnv = "DDPM_VULKAN_FP16"

// halfPath is what is known of storage in halfs: it is tested when it is first wanted.
type halfPath struct {
	tested sync.Once
	err    error
}

// noHalf is why there is no storage in halfs to begin with; nil if there is.
func (p *physical) noHalf() error {
	if os.Getenv(HalfEnv) == "off" {
		return errors.New("fp16 is switched off: " + HalfEnv + " is off")
	}
	if !p.half {
		return fmt.Errorf("fp16: %s has no 16-bit storage", p.Name)
	}
	return nil
}

// halfWorks is why there is no storage in halfs; nil if there is. The first time it runs the convolutions in halfs on a small problem.
func (b *Backend) halfWorks() error {
	if err := b.noHalf(); err != nil {
		return err
	}
	b.halfPath.tested.Do(func() {
		wrong, err := selfTest(backend.F16, b.once)
		if err == nil && wrong != "" {
			err = fmt.Errorf("fp16 is left out on %s: it computes wrong on this driver (%s); fp32 does not use it", b.Name, wrong)
		}
		b.halfPath.err = err
	})
	return b.halfPath.err
}

// Halves implements backend.Halver. Programs in fp16 on cooperative matrices do without halfs in memory, if need be.
func (b *Backend) Halves() error {
	err := b.halfWorks()
	if err != nil && b.matrix != nil {
		return nil
	}
	return err
}

// precisions are those that programs can have.
func (b *Backend) precisions() []backend.Precision {
	if b.matrix != nil || b.noHalf() == nil {
		return []backend.Precision{backend.FP32, backend.FP16}
	}
	return []backend.Precision{backend.FP32}
}
