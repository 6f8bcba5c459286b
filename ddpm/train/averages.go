package train

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/nn"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// averagesDir is the folder of a run with snapshots of its averages, one file each.
const averagesDir = "averages"

// keepAverages writes a snapshot of EMA.Lengths if one is due.
func (t *Trainer) keepAverages() {
	every := t.Config.EMA.SnapshotSteps
	if every == 0 || t.Step.Done%every != 0 {
		return
	}
	if err := t.writeAverages(); err != nil {
		t.logFault(&run.FaultDisk, "warn", "make room, or make the folder writable: the averages of step %d were not kept: %v", t.Step.Done, err)
	}
}

func (t *Trainer) writeAverages() error {
	p := t.Step.Params
	offsets := offsetTable(p)
	tensors := []safetensors.Tensor{safetensors.Int64(tensorOffsets, []int{len(offsets) / 2, 2}, offsets)}
	for i := range t.Config.EMA.Lengths {
		v := make([]float32, p.Elems())
		if err := model.Read(t.Step.Memory, averageBuffer(i), 0, v); err != nil {
			return err
		}
		tensors = append(tensors, safetensors.Float32(tensorAverage+strconv.Itoa(i), []int{len(v)}, v))
	}
	dir := t.folder.Path(averagesDir)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return safetensors.WriteFile(filepath.Join(dir, fmt.Sprintf("step-%08d.safetensors", t.Step.Done)), tensors, nil)
}

// Reconstruct puts together the average of the weights with relative width std at a step, 0 for that of the latest checkpoint, from
// the snapshots that a run kept (Karras et al. 2024, section 3.2 and appendix C). It returns the model, how many snapshots there were, and
// the error of the profile: the part of its square integral that the snapshots cannot make.
func Reconstruct(folder *run.Folder, std float64, step int64) (m *model.Trained, used int, residual float64, err error) {
	c := new(Config)
	if err := folder.ReadConfig(c); err != nil {
		return nil, 0, 0, err
	}
	if len(c.EMA.Lengths) == 0 {
		return nil, 0, 0, errors.New("the run keeps no further averages: train with --ema-lengths 0.05,0.10 and --ema-snapshots")
	}
	m, _, err = model.Load(folder.Dir(), false)
	if err != nil {
		return nil, 0, 0, err
	}
	files, err := filepath.Glob(folder.Path(averagesDir, "step-*.safetensors"))
	if err != nil {
		return nil, 0, 0, err
	}
	slices.Sort(files)
	if step == 0 {
		step = m.Step
	}
	var profiles []ddpm.EMAProfile
	var where []string // file, and tensor
	add := func(path string, at int64) {
		for i, length := range c.EMA.Lengths {
			// The device computes with gamma in float32.
			profiles = append(profiles, ddpm.EMAProfile{Step: float64(at), Gamma: float64(float32(ddpm.EMAGamma(length)))})
			where = append(where, path, tensorAverage+strconv.Itoa(i))
		}
	}
	last := int64(0)
	for _, path := range files {
		var at int64
		if _, err := fmt.Sscanf(filepath.Base(path), "step-%d.safetensors", &at); err == nil && at > 0 && at <= step {
			add(path, at)
			last = at
		}
	}
	if step == m.Step && last < step { // the latest checkpoint is one more
		add(filepath.Join(m.Path, "optimizer.safetensors"), step)
		last = step
	}
	if last != step {
		return nil, 0, 0, fmt.Errorf("%s has no snapshot of step %d: want one of those in its folder %s", folder.Dir(), step, averagesDir)
	}
	weights, residual, err := ddpm.ReconstructEMA(profiles, ddpm.EMAProfile{Step: float64(step), Gamma: ddpm.EMAGamma(std)})
	if err != nil {
		return nil, 0, 0, err
	}
	sum := make([]float64, m.Params.Elems())
	for k, w := range weights {
		v, err := readAverage(m.Params, where[2*k], where[2*k+1])
		if err != nil {
			return nil, 0, 0, err
		}
		for i, x := range v {
			sum[i] += w * float64(x)
		}
	}
	for i, x := range sum {
		m.Weights[i] = float32(x)
	}
	m.Step = step
	return m, len(profiles), residual, nil
}

func readAverage(p *nn.Params, path, name string) ([]float32, error) {
	f, err := safetensors.ReadFile(path)
	if err != nil {
		return nil, err
	}
	t, err := f.Tensor(name)
	if err != nil {
		return nil, err
	}
	v, err := t.Float32s()
	if err != nil {
		return nil, err
	}
	o, err := f.Tensor(tensorOffsets)
	if err != nil {
		return nil, err
	}
	table, err := o.Int64s()
	if err != nil {
		return nil, err
	}
	return spreadFlat(p, path, table, v)
}
