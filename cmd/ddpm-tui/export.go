package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// loadModel is model.Load with its warnings printed.
func loadModel(c *cobra.Command, path string, raw bool) (*model.Trained, error) {
	t, warnings, err := model.Load(path, raw)
	for _, w := range warnings {
		fmt.Fprintln(c.ErrOrStderr(), "warning:", w)
	}
	return t, err
}

func newExport() *cobra.Command {
	c := &cobra.Command{
		Use: "export RUN|CHECKPOINT DIR", Short: "Write a model as a folder that diffusers opens", Args: args(2, 2),
		Long: `Write a model as a folder that DDPMPipeline.from_pretrained of Hugging Face's diffusers opens: model_index.json,
unet/config.json, unet/diffusion_pytorch_model.safetensors and scheduler/scheduler_config.json. The weights are their average (EMA).

With --vectors N there are also N inputs and this program's outputs for them in unet/vectors.io.safetensors (x, timestep, y, and
class_labels for a model with classes), so that another implementation can check itself; --exact computes them to 1e-5.`,
		Example: `  ddpm-tui export runs/avatars32 avatars32-diffusers
  ddpm-tui export runs/avatars32 out --vectors 4 --exact`,
	}
	f := c.Flags()
	raw := f.Bool("raw-weights", false, "the weights themselves instead of their average (EMA)")
	vectors := f.Int("vectors", 0, "inputs and outputs to write beside the weights")
	seed := f.Uint64("seed", 0, "seed of those inputs")
	var on compute
	on.flags(f)
	exact := exactFlag(c)
	c.RunE = func(c *cobra.Command, a []string) error {
		if *vectors < 0 || *vectors > 1<<12 {
			return usageError{fmt.Errorf("--vectors %d: want 0 to %d", *vectors, 1<<12)}
		}
		t, err := loadModel(c, a[0], *raw)
		if err != nil {
			return err
		}
		if err := t.Export(a[1]); err != nil {
			return err
		}
		out := c.OutOrStdout()
		fmt.Fprintf(out, "%s (step %d, %d parameters) is in %s, for DDPMPipeline.from_pretrained\n", t.Path, t.Step, t.Params.Count(), a[1])
		if *vectors == 0 {
			return nil
		}
		b, _, err := on.open(*exact)
		if err != nil {
			return err
		}
		defer b.Close()
		path := model.VectorsFile(a[1])
		if err := t.WriteVectors(c.Context(), path, b, *vectors, *seed); err != nil {
			return err
		}
		fmt.Fprintf(out, "%d inputs and outputs are in %s\n", *vectors, path)
		return nil
	}
	return c
}

func newImport() *cobra.Command {
	c := &cobra.Command{
		Use: "import DIR RUN", Short: "Make a run of a model that diffusers wrote", Args: args(2, 2),
		Long: `Make a run of a folder that DDPMPipeline.save_pretrained of Hugging Face's diffusers wrote: an unconditional or class-conditional
UNet2DModel of pixels, its weights in F32, F16 or BF16, in one file or in shards. What the folder asks for and this program does not
know is an error that names it. The run can be sampled, exported, and trained further with resume.

To sample only, there is no need to import: sample takes such folders directly.`,
		Example: `  ddpm-tui import ddpm-cifar10-32 runs/cifar10 --data cifar-10-batches-bin
  ddpm-tui sample ddpm-cifar10-32
  ddpm-tui resume runs/cifar10 --steps 1000`,
	}
	data := c.Flags().String("data", "", "images for training further (default: the embedded avatars)")
	c.RunE = func(c *cobra.Command, a []string) error {
		if run.IsRun(a[0]) {
			return fmt.Errorf("%s is a run already: to go on with it, resume it or copy its folder", a[0])
		}
		if !model.IsDiffusers(a[0]) {
			if _, err := os.Stat(a[0]); err != nil {
				return err
			}
			return fmt.Errorf("%s has neither a model_index.json nor a config.json of diffusers", a[0])
		}
		t, err := loadModel(c, a[0], false)
		if err != nil {
			return err
		}
		cfg := train.ImportConfig(t)
		if *data != "" {
			if cfg.Data, err = filepath.Abs(*data); err != nil {
				return err
			}
			if _, err := os.Stat(cfg.Data); err != nil {
				return fmt.Errorf("the images: %w", err)
			}
		}
		folder, err := run.Create(a[1], cfg)
		if err != nil {
			return err
		}
		lock, err := folder.Lock()
		if err != nil {
			return err
		}
		err = errors.Join(train.Import(folder, &cfg, t), lock.Unlock())
		if err != nil {
			return errors.Join(err, folder.Discard())
		}
		out := c.OutOrStdout()
		fmt.Fprintf(out, "%s is the run %s: %d parameters, %s, %d timesteps\n", a[0], a[1], t.Params.Count(), pixels(t.UNet), t.Schedule.T())
		if err := cfg.Validate(); err != nil {
			fmt.Fprintf(out, "it can be sampled, and not trained: %v\n", err)
		}
		return nil
	}
	return c
}

// pixels says what images a network makes.
func pixels(c *nn.UNetConfig) string {
	what := fmt.Sprintf("%dx%d pixels of %d channels", c.SampleSize, c.SampleSize, c.OutChannels)
	if n := c.Classes(); n > 0 {
		what += fmt.Sprintf(", %d classes", n)
	}
	return what
}
