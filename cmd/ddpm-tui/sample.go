package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/image/draw"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// sampleFlags are the flags of sample.
type sampleFlags struct {
	requestFlags
	on                  compute
	batch, frames       int
	raw, headless, json bool
	exact               *bool
	output, gif, shard  string
	precision           string
	ranks               ranks
}

func newSample() *cobra.Command {
	var f sampleFlags
	c := &cobra.Command{
		Use: "sample RUN|CHECKPOINT|DIR", Short: "Sample images from a trained model", Args: args(1, 1),
		Long: `Sample images from a run's latest checkpoint, from a checkpoint folder, or from a folder that diffusers wrote, and write them as one
grid. The screen shows the denoising as it happens. The same seed gives the same images, whatever -n and --batch are.

--interpolate goes from one noise to another, --from begins with a picture, --inpaint keeps a part of one (RePaint). A model with classes
makes all of them in turn, or those of --class; --guidance makes them more of their class (twice the work).`,
		Example: `  ddpm-tui sample runs/avatars32
  ddpm-tui sample runs/avatars32 -n 64 --sampler dpmpp2m --sampling-steps 20 -o faces.png
  ddpm-tui sample runs/avatars32 --sampler ddpm --gif noise-to-face.gif --gif-frames 500
  ddpm-tui sample runs/avatars32 --seed 1 --interpolate 2 -n 8
  ddpm-tui sample runs/avatars32 --inpaint me.png --mask bottom
  ddpm-tui sample ddpm-cifar10-32 --from cat.jpg --strength 0.5
  ddpm-tui sample runs/avatars32 -n 50000 --shard 3/64 -o faces.safetensors   # an array job's third part; then ddpm-tui merge`,
	}
	fl := c.Flags()
	f.flags(fl)
	fl.IntVar(&f.batch, "batch", 16, "images at a time")
	fl.BoolVar(&f.raw, "raw-weights", false, "the weights themselves instead of their average (EMA)")
	fl.StringVarP(&f.output, "output", "o", "grid.png", "where the grid goes; with the ending .safetensors the images themselves, as bytes [n,H,W,C]")
	fl.StringVar(&f.shard, "shard", "", "make only a part, such as 3/64, into a file of its own; ddpm-tui merge puts the parts together")
	f.ranks.flags(fl)
	fl.StringVar(&f.gif, "gif", "", "also write the way from noise to image, as an animation")
	fl.IntVar(&f.frames, "gif-frames", 50, "about how many frames it has (0: every step)")
	fl.BoolVar(&f.headless, "headless", false, "no screen: plain progress lines")
	fl.BoolVar(&f.json, "json", false, "no screen: one JSON object a line")
	f.on.flags(fl)
	precisionFlag(fl, &f.precision)
	f.exact = exactFlag(c)
	c.RunE = func(c *cobra.Command, a []string) error {
		return f.ranks.together(c, func() error { return f.sample(c, a[0]) })
	}
	return c
}

func (f *sampleFlags) sample(c *cobra.Command, path string) error {
	f.changed = c.Flags().Changed
	if err := f.check(); err != nil {
		return usageError{err}
	}
	if f.batch < 1 {
		return usageError{fmt.Errorf("--batch %d: want at least 1", f.batch)}
	}
	if f.frames < 0 {
		return usageError{fmt.Errorf("--gif-frames %d: want 0 or more", f.frames)}
	}
	part, err := f.part()
	if err != nil {
		return usageError{err}
	}
	for _, file := range []string{f.output, f.gif} { // before the work, not after it
		if _, err := os.Stat(filepath.Dir(file)); file != "" && err != nil && f.ranks.Rank() == 0 {
			return fmt.Errorf("%s cannot be written: %w", file, err)
		}
	}
	opt := screen(c, path, "the grid is in "+f.output)
	if err := opt.CheckImages(); err != nil {
		return usageError{err}
	}
	precision, err := parsePrecision(f.precision)
	if err != nil {
		return usageError{err}
	}
	t, err := loadModel(c, path, f.raw)
	if err != nil {
		return err
	}
	t.Precision = precision
	req, err := f.request(c.Context(), t)
	if err != nil {
		return err
	}
	steps, err := req.Evaluations(t.Schedule)
	if err != nil {
		return usageError{err}
	}
	on := f.ranks.compute(f.on)
	b, note, err := on.open(*f.exact)
	if err != nil {
		return err
	}
	defer b.Close()
	part.job, err = jobOf(t, req)
	if err != nil {
		return err
	}
	if err := f.ranks.same(map[string]any{"job": part.job}); err != nil {
		return err
	}
	_, most := dist.Share(part.end-part.begin, 0, f.ranks.Size()) // images of a rank
	fw, mem, err := t.Forward(b, min(f.batch, max(1, most)))
	if err != nil {
		return err
	}
	defer mem.Close()
	if f.ranks.Rank() == 0 {
		warn(c.ErrOrStderr(), note)
	}
	j := &sampling{f: f, t: t, fw: fw, req: req, steps: steps, part: part}
	if f.ranks.Rank() != 0 {
		return j.run(c.Context(), func(progress, string) error { return nil })
	}
	if f.json || f.headless || f.ranks.Size() > 1 || !onScreen(c) {
		err := j.run(c.Context(), j.lines(c.OutOrStdout()))
		if errors.Is(err, context.Canceled) {
			err = errUnfinished
		}
		if err == nil && !f.json && plain(c) && filepath.Ext(f.output) != partEnding {
			err = f.tell(c.OutOrStdout())
		}
		return err
	}
	return j.watch(c, opt)
}

// tell says the numbers that stand for the pictures that were written.
func (f *sampleFlags) tell(w io.Writer) error {
	file, err := os.Open(f.output)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	m, _, err := image.Decode(file)
	if err != nil {
		return err
	}
	cols := model.Columns(f.n)
	stats := picture.Sheet{Image: m, Rows: (f.n + cols - 1) / cols, Cols: cols}.Stats()
	(&narrator{w: w}).pictures("samples", stats[:f.n])
	return nil
}

// errUnfinished is for a person who did not wait.
var errUnfinished = errors.New("stopped before the images were done: nothing was written")

// sampling is one job of the sample command.
type sampling struct {
	f     *sampleFlags
	t     *model.Trained
	fw    *model.Forward
	req   model.Request
	steps int // of each batch
	part  part
}

// progress is one step of a job: x and x0 of the batch that begins at image done.
type progress struct {
	done, step, steps, t int // steps of all batches; t on the screen
	x, x0                []float32
	perS                 float64
}

// every is how many steps lie between two frames of the animation.
func (j *sampling) every() int {
	if j.f.frames == 0 {
		return 1
	}
	return max(1, j.steps/j.f.frames)
}

// run samples, calls show after every step, and writes the files.
func (j *sampling) run(ctx context.Context, show func(p progress, saved string) error) error {
	f, size, ch := j.f, j.fw.Size, j.fw.In
	per := size * size * ch
	round := j.fw.Batch * f.ranks.Size() // images that all ranks make at a time
	steps := (j.images() + round - 1) / round * j.steps
	start := time.Now()
	var frames []*image.RGBA
	var failed error
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := j.req
	req.OnStep = func(done, i, t int, x, x0 []float32) {
		p := progress{done: done, step: (done-j.part.begin)/round*j.steps + i + 1, steps: steps, t: ddpm.DisplayStep(t), x: x, x0: x0}
		p.perS = float64(j.images()) * float64(p.step) / float64(p.steps) / time.Since(start).Seconds()
		if f.gif != "" && done == 0 && ((i+1)%j.every() == 0 || i+1 == j.steps) {
			frames = append(frames, model.Grid(x, len(x)/per, size, ch, model.Columns(len(x)/per)))
		}
		if failed = show(p, ""); failed != nil {
			cancel()
		}
	}
	// Round by round, so that nobody ever holds more images than those of a round.
	each := func(w io.Writer) error {
		for at := j.part.begin; at < j.part.end; at += round {
			begin, end := dist.Share(min(round, j.part.end-at), f.ranks.Rank(), f.ranks.Size())
			pixels := make([]byte, (end-begin)*per)
			if begin < end {
				req.Begin, req.End = at+begin, at+end
				x, err := j.fw.Sample(ctx, j.t.Schedule, req)
				if failed != nil { // err is only what that led to
					return failed
				}
				if err != nil {
					return err
				}
				for i, v := range x {
					pixels[i] = model.Byte(v)
				}
			}
			list, err := f.ranks.Gather(pixels)
			if err != nil {
				return err
			}
			for _, pixels := range list {
				if _, err := w.Write(pixels); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if f.ranks.Rank() != 0 {
		return each(io.Discard)
	}
	if err := j.part.write(f.output, size, ch, each); err != nil {
		return err
	}
	saved := f.output
	if f.gif != "" {
		if err := writeGIF(f.gif, frames); err != nil {
			return err
		}
		saved += ", " + f.gif
	}
	return show(progress{step: steps, steps: steps, perS: float64(j.images()) / time.Since(start).Seconds()}, saved)
}

// images is how many images this process, or all ranks together, make.
func (j *sampling) images() int { return j.part.end - j.part.begin }

// lines shows a job as plain or JSON lines.
func (j *sampling) lines(w io.Writer) func(progress, string) error {
	enc := json.NewEncoder(w)
	var last time.Time
	return func(p progress, saved string) error {
		left := float64(j.images()) / p.perS * (1 - float64(p.step)/float64(p.steps))
		switch {
		case j.f.json && saved != "":
			return enc.Encode(map[string]any{
				"output": j.f.output, "gif": j.f.gif, "images": j.images(), "sampler": j.f.sampler, "sampling_steps": j.steps, "seed": j.f.seed,
				"checkpoint": j.t.Path, "step": j.t.Step, "raw_weights": j.f.raw, "images_per_s": p.perS, "done": true,
				"ranks": j.f.ranks.Size(),
			})
		case j.f.json:
			return enc.Encode(map[string]any{"sampling_step": p.step, "of": p.steps, "t": p.t, "images_per_s": p.perS, "eta_s": left})
		case saved != "":
			_, err := fmt.Fprintf(w, "%d images from %s (step %d), %s %d steps, seed %d: %s (%.2f images/s)\n", j.images(), j.t.Path, j.t.Step, j.f.sampler, j.steps, j.f.seed, saved, p.perS)
			return err
		case time.Since(last) > time.Second:
			last = time.Now()
			_, err := fmt.Fprintf(w, "step %d of %d, t = %d, %s left\n", p.step, p.steps, p.t, duration(left))
			return err
		}
		return nil
	}
}

// watch shows a job on the screen.
func (j *sampling) watch(c *cobra.Command, opt tui.Options) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	frames := make(chan tui.SampleFrame, 2)
	done := make(chan error, 1)
	go func() {
		defer close(frames)
		err := j.run(ctx, func(p progress, saved string) error {
			fr := tui.SampleFrame{Step: p.step, Steps: p.steps, T: p.t, ImagesPerS: p.perS, Saved: saved, Done: saved != ""}
			if p.x != nil {
				n := len(p.x) / (j.fw.Size * j.fw.Size * j.fw.In)
				fr.Cols = model.Columns(n)
				fr.Rows = (n + fr.Cols - 1) / fr.Cols
				fr.Xt, fr.X0 = model.Grid(p.x, n, j.fw.Size, j.fw.In, fr.Cols), model.Grid(p.x0, n, j.fw.Size, j.fw.In, fr.Cols)
			}
			if fr.Done || p.step == p.steps {
				select {
				case frames <- fr:
				case <-ctx.Done():
				}
				return nil
			}
			select {
			case frames <- fr:
			default: // the screen is behind
			}
			return nil
		})
		if err != nil && ctx.Err() == nil {
			frames <- tui.SampleFrame{Err: err}
		}
		done <- err
	}()
	err := tui.RunSampling(c.Context(), frames, opt)
	cancel()
	for range frames {
	}
	jobErr := <-done
	if errors.Is(err, tui.ErrLeft) || errors.Is(jobErr, context.Canceled) {
		return errUnfinished
	}
	return errors.Join(err, jobErr)
}

// writeGIF writes frames as an animation that stays on its last picture for two seconds.
func writeGIF(path string, frames []*image.RGBA) error {
	g := &gif.GIF{}
	for i, m := range frames {
		p := image.NewPaletted(m.Bounds(), cube())
		draw.FloydSteinberg.Draw(p, p.Bounds(), m, image.Point{})
		g.Image = append(g.Image, p)
		g.Delay = append(g.Delay, 8)
		if i == len(frames)-1 {
			g.Delay[i] = 200
		}
	}
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, g); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return run.WriteFile(path, b.Bytes(), os.FileMode(0o644))
}

// cube is a palette of 6 reds, 7 greens and 6 blues.
func cube() color.Palette {
	var p color.Palette
	for r := range 6 {
		for g := range 7 {
			for b := range 6 {
				p = append(p, color.RGBA{uint8(r * 51), uint8((g*255 + 3) / 6), uint8(b * 51), 255})
			}
		}
	}
	return p
}
