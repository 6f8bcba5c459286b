package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/pflag"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/vulkan"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// compute is what the flags say of where to compute.
type compute struct {
	backend, device string
	threads         int
	noMatrices      bool // as a run was begun, see choose
}

func (o *compute) flags(fl *pflag.FlagSet) {
	fl.StringVar(&o.backend, "backend", "auto", "what computes: auto (a new run: what is faster, timed; else a GPU if there is one), cpu or vulkan")
	fl.StringVar(&o.device, "device", "", "Vulkan device: its number or a part of its name, as ddpm-tui devices lists them")
	fl.IntVar(&o.threads, "threads", 0, "workers of the CPU (0: one a processor)")
}

// check refuses flags that name no backend.
func (o *compute) check() error {
	switch {
	case o.backend != "auto" && o.backend != "cpu" && o.backend != "vulkan":
		return fmt.Errorf("--backend %q is unknown, want auto or cpu or vulkan", o.backend)
	case o.backend == "cpu" && o.device != "":
		return fmt.Errorf("--device %s: it is for Vulkan, the backend is cpu", o.device)
	case o.threads < 0 || o.threads > 4096:
		return fmt.Errorf("--threads %d: want 0 (one a processor) to 4096", o.threads)
	}
	return nil
}

// open opens what the flags ask for. With auto a GPU is taken if there is one that works, and note says why there is none (a warning if
// there is one that does not work); a device or Vulkan itself asked for by name is an error instead.
func (o *compute) open(exact bool) (b backend.Backend, note *run.Log, err error) {
	if err := o.check(); err != nil {
		return nil, nil, usageError{err}
	}
	if o.vulkan() {
		b, err := vulkan.Open(vulkan.Options{Device: o.device, NoMatrices: o.noMatrices})
		if errors.Is(err, vulkan.ErrNoSuchDevice) {
			err = usageError{err}
		}
		return b, nil, err
	}
	if o.backend == "auto" {
		if b, note = openGPU(); b != nil {
			return b, nil, nil
		}
		note.Text = "computing on the CPU: " + note.Text
	}
	b, err = cpu.New(cpu.Options{Threads: o.threads, Exact: exact})
	return b, note, err
}

// openGPU opens the best GPU, or says why there is none.
func openGPU() (backend.Backend, *run.Log) {
	if _, why := gpus(); why != nil {
		return nil, why
	}
	b, err := vulkan.Open(vulkan.Options{})
	if err != nil {
		return nil, &run.Log{Level: "warn", Text: err.Error()}
	}
	return b, nil
}

// warn prints a note that is a warning: where there is no GPU at all, the device that the output names says enough.
func warn(w io.Writer, note *run.Log) {
	if note != nil && note.Level == "warn" {
		fmt.Fprintln(w, "warning:", note.Text)
	}
}

// where describes a device on one line.
func where(i backend.Info) string {
	if i.Threads > 0 {
		return fmt.Sprintf("%s (%s, %d threads)", i.Device, i.ISA, i.Threads)
	}
	return fmt.Sprintf("%s (%s)", i.Device, i.ISA)
}
