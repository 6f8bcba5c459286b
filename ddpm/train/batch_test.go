package train

import (
	"fmt"
	"math"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/backend/cpu"
	"github.com/ddpm-tui/ddpm-tui/backend/graph"
	"github.com/ddpm-tui/ddpm-tui/backend/rng"
	"github.com/ddpm-tui/ddpm-tui/ddpm"
	"github.com/ddpm-tui/ddpm-tui/ddpm/dist"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/nn"
)

// A sample is what one sample of a batch must be, by package ddpm.
type sample struct {
	image, t            int
	x0, eps, xt, target []float32
}

// wantSample works out sample n of the batch of a step. pixels: [images,8,8,3]
func wantSample(t *testing.T, c *Config, pixels []byte, images, n int, step uint64) sample {
	t.Helper()
	sch, err := ddpm.NewSchedule(c.Schedule)
	if err != nil {
		t.Fatal(err)
	}
	S, C := c.UNet.SampleSize, c.UNet.InChannels
	per := S * S * C
	at := step*uint64(c.Batch) + uint64(n)
	w := sample{image: int(rng.Permute(uint32(at%uint64(images)), uint32(images), c.Seed, at/uint64(images)))}
	w.x0, w.eps, w.xt, w.target = make([]float32, per), make([]float32, per), make([]float32, per), make([]float32, per)
	mirrored := c.Flip && rng.Uint32(c.Seed, rng.StreamFlip, 0, uint32(n), step) >= 1<<31
	for y := range S {
		for x := range S {
			from := x
			if mirrored {
				from = S - 1 - x
			}
			for k := range C {
				w.x0[(y*S+x)*C+k] = float32(float64(pixels[w.image*per+(y*S+from)*C+k])/127.5 - 1)
			}
		}
	}
	w.t = sch.TrainExample(c.Prediction, w.xt, w.target, w.eps, w.x0, c.Seed, uint32(n), step)
	return w
}

// networkLoss is each sample's loss at some weights, by the float64 references.
func networkLoss(t *testing.T, c *Config, params *nn.Params, weights []float32, batch []sample) []float64 {
	t.Helper()
	g, y, err := nn.BuildUNet(params, c.UNet, len(batch), c.Schedule.T)
	if err != nil {
		t.Fatal(err)
	}
	buffers := map[string][]float64{nn.ParamsBuffer: widen(weights), model.TableBuffer: widen(model.Table(c.UNet, c.Schedule.T))}
	for _, s := range batch {
		buffers["x"] = append(buffers["x"], widen(s.xt)...)
		buffers["t"] = append(buffers["t"], float64(s.t))
	}
	out := g.Eval(buffers)[y].Data
	losses := make([]float64, len(batch))
	for n, s := range batch {
		for i, want := range s.target {
			d := out[n*len(s.target)+i] - float64(want)
			losses[n] += d * d / float64(len(s.target))
		}
	}
	return losses
}

// The batch that the step makes for itself is the one that package ddpm and the data say, and the network sees nothing else:
// each sample's loss is that of the references for it.
func TestStepIsTheTrainingAlgorithm(t *testing.T) {
	const images = 7 // not a multiple of the batch: the second epoch begins inside the third one
	for _, p := range []ddpm.Prediction{ddpm.Epsilon, ddpm.Sample0, ddpm.VPrediction} {
		for _, flip := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, flip %t", p, flip), func(t *testing.T) {
				c := smallConfig()
				c.Prediction, c.Flip = p, flip
				s := newStep(t, processor(t, "", 2), c, pictures(images), images)
				worst := 0.0
				for k := range uint64(4) {
					var batch []sample
					for n := range c.Batch {
						batch = append(batch, wantSample(t, c, pictures(images), images, n, k))
					}
					want := networkLoss(t, c, s.Params, snapshot(t, s).Params, batch)
					r := steps(t, s, 1)[0]
					mean := 0.0
					for n, w := range batch {
						if r.T[n] != w.t {
							t.Errorf("step %d, sample %d: t is %d, want %d", k, n, r.T[n], w.t)
						}
						mean += want[n] / float64(c.Batch)
					}
					worst = max(worst, largest(r.SampleLoss, want), math.Abs(r.Loss-mean))
				}
				t.Logf("largest difference of a loss %.2g", worst)
				if !(worst <= 1e-5) {
					t.Errorf("largest difference of a loss %g", worst)
				}
			})
		}
	}
}

// The same, looking inside: the values of the compiled step themselves, on every instruction set and far into a long run.
func TestStepMakesItsBatch(t *testing.T) {
	const images = 7
	for _, start := range []int64{0, 2, 1<<32 - 1, 5<<32 + 77} {
		t.Run(fmt.Sprintf("from step %d", start), func(t *testing.T) {
			eachLevel(t, func(t *testing.T, b *cpu.Backend) {
				c := smallConfig()
				c.Prediction, c.Flip = ddpm.VPrediction, true
				s, seen := stepWithBatchKept(t, b, c, pictures(images), images)
				restore(t, s, State{Params: s.Params.Init(c.Seed), Steps: start})
				for k := range uint64(3) {
					r := steps(t, s, 1)[0]
					index, x0, eps, xt, target := seen()
					per := len(x0) / c.Batch
					for n := range c.Batch {
						w := wantSample(t, c, pictures(images), images, n, uint64(start)+k)
						of := func(v []float32) []float32 { return v[n*per : (n+1)*per] }
						if int(index[n]) != w.image || r.T[n] != w.t {
							t.Fatalf("step %d, sample %d: image %d at t %d, want %d at %d", k, n, index[n], r.T[n], w.image, w.t)
						}
						if i := firstDifferent(of(eps), w.eps); i >= 0 {
							t.Fatalf("step %d, sample %d: eps[%d] is %v, want %v to the last bit", k, n, i, of(eps)[i], w.eps[i])
						}
						for _, v := range []struct {
							name      string
							got, want []float32
						}{{"x_0", of(x0), w.x0}, {"x_t", of(xt), w.xt}, {"v", of(target), w.target}} {
							if d := largest(v.got, widen(v.want)); !(d <= 1e-6) {
								t.Fatalf("step %d, sample %d: %s is off by %g", k, n, v.name, d)
							}
						}
					}
				}
			})
		})
	}
}

// stepWithBatchKept is NewStep without a preview, and with what its graph makes of the batch kept where the test can read it:
// image indices, x_0, eps, x_t and, for v prediction, the target.
func stepWithBatchKept(t *testing.T, b *cpu.Backend, c *Config, pixels []byte, images int) (s *Step, seen func() (index []uint32, x0, eps, xt, target []float32)) {
	t.Helper()
	s = &Step{Config: c, Memory: model.NewMemory(b)}
	t.Cleanup(func() { s.Close() })
	var err error
	if s.Params, err = nn.UNetParams(c.UNet); err != nil {
		t.Fatal(err)
	}
	if s.Schedule, err = ddpm.NewSchedule(c.Schedule); err != nil {
		t.Fatal(err)
	}
	if s.shard, err = newShard(c, dist.Alone); err != nil {
		t.Fatal(err)
	}
	g, err := buildStep(c, s.Params, images, c.Batch)
	if err != nil {
		t.Fatal(err)
	}
	const names = "batch_indices batch_images random_normal mix mix"
	var made string
	per := c.Batch * c.UNet.SampleSize * c.UNet.SampleSize * c.UNet.InChannels
	at := 0
	for _, n := range g.Nodes {
		switch n.Op.Name {
		case "batch_indices", "batch_images", "random_normal", "mix":
			graph.Keep(n.Out[0], "seen", at)
			at += n.Out[0].Bytes()
			made += " " + n.Op.Name
		}
	}
	if made != " "+names {
		t.Fatalf("the step is made of%s, want %s", made, names)
	}
	p, _, err := s.Memory.Plan("train", g)
	if err != nil {
		t.Fatal(err)
	}
	es, err := s.Memory.Compile(p)
	if err != nil {
		t.Fatal(err)
	}
	s.bind(es)
	if err := s.writeConstants(pixels); err != nil {
		t.Fatal(err)
	}
	return s, func() (index []uint32, x0, eps, xt, target []float32) {
		index = make([]uint32, c.Batch)
		all := make([]float32, 4*per)
		for _, err := range []error{model.Read(s.Memory, "seen", 0, index), model.Read(s.Memory, "seen", 4*c.Batch, all)} {
			if err != nil {
				t.Fatal(err)
			}
		}
		return index, all[:per], all[per : 2*per], all[2*per : 3*per], all[3*per:]
	}
}

// Every epoch shows every image once, and the next one in another order.
func TestEpochsShowEveryImageOnce(t *testing.T) {
	const images, epochs = 11, 6
	c := smallConfig()
	c.Prediction = ddpm.VPrediction
	s, seen := stepWithBatchKept(t, processor(t, "", 1), c, pictures(images), images)
	restore(t, s, State{Params: s.Params.Init(c.Seed)})
	var order []uint32
	for len(order) < images*epochs {
		steps(t, s, 1)
		index, _, _, _, _ := seen()
		order = append(order, index...)
	}
	orders := map[string]bool{}
	for e := range epochs {
		count := [images]int{}
		for _, i := range order[e*images : (e+1)*images] {
			count[i]++
		}
		for i, n := range count {
			if n != 1 {
				t.Errorf("epoch %d: image %d comes %d times", e, i, n)
			}
		}
		orders[fmt.Sprint(order[e*images:(e+1)*images])] = true
	}
	if len(orders) != epochs {
		t.Errorf("%d orders in %d epochs", len(orders), epochs)
	}
}

// A few whole steps, optimizer and average included, against the float64 references of the same graph.
func TestStepMatchesReferences(t *testing.T) {
	const images, n = 7, 4
	c := smallConfig()
	c.Flip = true
	params, err := nn.UNetParams(c.UNet)
	if err != nil {
		t.Fatal(err)
	}
	g, err := buildStep(c, params, images, c.Batch)
	if err != nil {
		t.Fatal(err)
	}
	start := params.Init(c.Seed)
	want := referenceBuffers(t, c, params, start, pictures(images))
	var losses, norms []float64
	for range n {
		g.Eval(want)
		losses, norms = append(losses, want[bufMetrics][metLoss]), append(norms, want[bufMetrics][metNorm])
	}
	eachLevel(t, func(t *testing.T, b *cpu.Backend) {
		s := newStep(t, b, c, pictures(images), images)
		for k, r := range steps(t, s, n) {
			if d := math.Abs(r.Loss - losses[k]); !(d <= 1e-5) {
				t.Errorf("step %d: loss %v, want %v", k, r.Loss, losses[k])
			}
			if d := math.Abs(r.GradNorm/norms[k] - 1); !(d <= 1e-4) {
				t.Errorf("step %d: gradient norm %v, want %v", k, r.GradNorm, norms[k])
			}
			if clipped := norms[k] > c.Optimizer.Clip; r.Clipped != clipped {
				t.Errorf("step %d: clipped is %t, want %t", k, r.Clipped, clipped)
			}
			if lr := c.Optimizer.LR * min(1, float64(k+1)/float64(c.Optimizer.Warmup)); math.Abs(r.LR/lr-1) > 1e-6 {
				t.Errorf("step %d: learning rate %v, want %v", k, r.LR, lr)
			}
			if ema := ddpm.EMADecay(uint64(k+1), c.EMA.Decay, c.EMA.Power, 1); math.Abs(r.EMADecay-ema) > 1e-6 {
				t.Errorf("step %d: EMA decay %v, want %v", k, r.EMADecay, ema)
			}
		}
		st := snapshot(t, s)
		for _, v := range []struct {
			name string
			got  []float32
			tol  float64
		}{{bufParams, st.Params, 1e-4}, {bufEMA, st.EMA, 1e-4}, {bufM, st.M, 1e-5}, {bufV, st.V, 1e-6}} {
			d := largest(v.got, want[v.name])
			t.Logf("%s: largest difference %.2g", v.name, d)
			if !(d <= v.tol) {
				t.Errorf("%s: largest difference %g, want at most %g", v.name, d, v.tol)
			}
		}
		if largest(st.Params, widen(start)) < 1e-4 {
			t.Error("nothing was learned")
		}
	})
}

// referenceBuffers are the state of a step for graph.Eval.
func referenceBuffers(t *testing.T, c *Config, params *nn.Params, weights []float32, pixels []byte) map[string][]float64 {
	t.Helper()
	sch, err := ddpm.NewSchedule(c.Schedule)
	if err != nil {
		t.Fatal(err)
	}
	images := make([]float64, len(pixels))
	for i, p := range pixels {
		images[i] = float64(p)
	}
	elems := params.Elems()
	return map[string][]float64{
		bufParams: widen(weights), bufEMA: widen(weights), bufM: make([]float64, elems), bufV: make([]float64, elems), bufGrads: make([]float64, elems),
		bufControl: {0, 0, float64(uint32(c.Seed)), float64(c.Seed >> 32), 0, 0, 0, 0}, bufHyper: widen(c.hyper()), bufImages: images,
		bufTables: append(append([]float64(nil), sch.SqrtAlphasCumprod...), sch.SqrtOneMinusAlphasCumprod...),
		bufOne:    {1}, bufMetrics: make([]float64, metSamples+2*c.Batch), model.TableBuffer: widen(model.Table(c.UNet, c.Schedule.T)),
	}
}
