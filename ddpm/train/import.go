package train

import (
	"github.com/ddpm-tui/ddpm-tui/backend"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// ImportConfig is the configuration of a run that goes on with a model from elsewhere: its network and schedule, and for the
// rest that of the CIFAR-10 preset, which is the DDPM paper's, with a batch that a processor can do.
func ImportConfig(t *model.Trained) Config {
	c := cifar10()
	c.Preset, c.UNet, c.Schedule, c.Prediction, c.Classes = "imported", t.UNet, t.Schedule.Config, t.Prediction, t.Classes
	c.Batch, c.Preview.Images, c.Preview.Steps = 16, 4, min(c.Preview.Steps, t.Schedule.T())
	return c
}

// Import makes the first checkpoint of a run of a model's weights, with moments of zero, at the model's step: 0 for one from
// elsewhere. The caller holds the folder's lock.
func Import(folder *run.Folder, c *Config, t *model.Trained) error {
	zeros := make([]float32, len(t.Weights))
	st := State{Params: t.Weights, EMA: t.Weights, M: zeros, V: zeros, Steps: t.Step}
	for range c.EMA.Lengths {
		st.Averages = append(st.Averages, t.Weights)
	}
	s, err := makeSnapshot(c, t.Params, st, backend.Info{})
	if err != nil {
		return err
	}
	_, err = folder.Save(s, 1)
	return err
}
