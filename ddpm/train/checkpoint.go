package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strconv"

	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// The tensors of optimizer.safetensors: Adam's moments as they lie in memory, and where each parameter is in them.
const (
	tensorM       = "m"
	tensorV       = "v"
	tensorOffsets = "offsets" // [parameters,2] i64: first float and floats of each, in the order of the names
	tensorAverage = "ema."    // and the number of one of EMA.Lengths; laid out as the moments
)

// snapshot is the run as a checkpoint holds it.
func (t *Trainer) snapshot() (*run.Snapshot, error) {
	st, err := t.Step.Snapshot()
	if err != nil {
		return nil, err
	}
	s, err := makeSnapshot(t.Config, t.Step.Params, st, t.backend)
	if err != nil {
		return nil, err
	}
	s.State.Averages = t.averages()
	return s, nil
}

// makeSnapshot is a state of a run as a checkpoint holds it; b computed it.
func makeSnapshot(c *Config, p *nn.Params, st State, b backend.Info) (*run.Snapshot, error) {
	s := &run.Snapshot{Model: p.Encode(st.Params), EMA: p.Encode(st.EMA)}
	s.State.Step, s.State.Seed, s.State.DataPosition = st.Steps, c.Seed, st.Steps*int64(c.Batch)
	s.State.Kernels = map[string]string{"backend": b.Backend, "isa": b.ISA}
	s.State.LossScaling = st.Scaling
	same := *c // equal runs give equal checkpoints: not what was timed before them
	if c.Compute != nil {
		choice := *c.Compute
		choice.Why, same.Compute = "", &choice
	}
	var err error
	for _, v := range []struct {
		to   *json.RawMessage
		from any
	}{{&s.State.Schedule, c.Schedule}, {&s.State.UNet, c.UNet}, {&s.State.Config, &same}} {
		if *v.to, err = json.Marshal(v.from); err != nil {
			return nil, err
		}
	}
	offsets := offsetTable(p)
	s.Optimizer = []safetensors.Tensor{
		safetensors.Float32(tensorM, []int{len(st.M)}, st.M), safetensors.Float32(tensorV, []int{len(st.V)}, st.V),
		safetensors.Int64(tensorOffsets, []int{len(offsets) / 2, 2}, offsets),
	}
	for i, average := range st.Averages {
		s.Optimizer = append(s.Optimizer, safetensors.Float32(tensorAverage+strconv.Itoa(i), []int{len(average)}, average))
	}
	return s, nil
}

// offsetTable is where each parameter lies in the flat buffers: first float and floats, in the order of the names.
func offsetTable(p *nn.Params) []int64 {
	list := p.List()
	sort.Slice(list, func(i, j int) bool { return list[i].Name < list[j].Name })
	var table []int64
	for _, q := range list {
		table = append(table, int64(q.Offset), int64(q.Shape.Elems()))
	}
	return table
}

// resume loads the latest checkpoint, if there is one.
func (t *Trainer) resume() error {
	s, warnings, err := t.folder.Load("")
	for _, w := range warnings {
		t.logf("warn", "%s", w)
	}
	if errors.Is(err, run.ErrNoCheckpoint) {
		return nil
	}
	if err != nil {
		return err
	}
	if s.State.Seed != t.Config.Seed {
		return fmt.Errorf("%s was made with seed %d, the run has seed %d", s.Path, s.State.Seed, t.Config.Seed)
	}
	if was, is := s.State.Kernels["isa"], t.backend.ISA; was != is && was != "" {
		t.logf("warn", "%s was computed with %s, this is %s: the run goes on, but not bit for bit as it would have", s.Path, was, is)
	}
	st := State{Steps: s.State.Step, Scaling: s.State.LossScaling}
	if l := st.Scaling; l != nil && l.Scale < leastScale && t.Config.scaled() {
		t.logf("info", "the loss scale had fallen to 2^%d: it begins again with %v", exponent(l.Scale), t.Config.scale())
	}
	p := t.Step.Params
	if st.Params, err = model.Flatten(p, s.Path+"/model.safetensors", s.Model); err != nil {
		return err
	}
	if st.EMA, err = model.Flatten(p, s.Path+"/ema.safetensors", s.EMA); err != nil {
		return err
	}
	flat, err := optimizerState(p, s, len(t.Config.EMA.Lengths))
	if err != nil {
		return fmt.Errorf("%s/optimizer.safetensors: %w", s.Path, err)
	}
	st.M, st.V, st.Averages = flat[0], flat[1], flat[2:]
	if err := t.Step.Restore(st); err != nil {
		return err
	}
	t.restoreAverages(s.State.Averages)
	t.saved = st.Steps
	t.logf("info", "going on from %s", s.Path)
	return nil
}

// optimizerState reads Adam's moments and so many averages; their layout may be another program version's, so each parameter goes by
// the table.
func optimizerState(p *nn.Params, s *run.Snapshot, averages int) ([][]float32, error) {
	names := []string{tensorM, tensorV}
	for i := range averages {
		names = append(names, tensorAverage+strconv.Itoa(i))
	}
	stored := map[string][]float32{}
	var table []int64
	for i := range s.Optimizer {
		t := &s.Optimizer[i]
		var err error
		if t.Name == tensorOffsets {
			table, err = t.Int64s()
		} else {
			stored[t.Name], err = t.Float32s()
		}
		if err != nil {
			return nil, err
		}
	}
	var all [][]float32
	for _, name := range names {
		from := stored[name]
		if from == nil {
			return nil, fmt.Errorf("it holds no %q", name)
		}
		to, err := spreadFlat(p, name, table, from)
		if err != nil {
			return nil, err
		}
		all = append(all, to)
	}
	return all, nil
}

// spreadFlat lays a flat buffer of a file out as the parameters lie here; table says where each is in the file.
func spreadFlat(p *nn.Params, name string, table []int64, from []float32) ([]float32, error) {
	want := offsetTable(p)
	if len(table) != len(want) {
		return nil, fmt.Errorf("%s is of %d parameters, the model has %d", name, len(table)/2, len(want)/2)
	}
	to := make([]float32, p.Elems())
	for i := 0; i < len(want); i += 2 {
		at, n := table[i], table[i+1]
		if n != want[i+1] || at < 0 || n < 0 || at > int64(len(from))-n {
			return nil, fmt.Errorf("%s: the offset table does not fit the model at entry %d", name, i/2)
		}
		copy(to[want[i]:], from[at:at+n])
	}
	return to, nil
}
