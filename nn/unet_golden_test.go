package nn

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/nn/golden"
	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// The float64 references of all ops together must be the reference network. y_f64 holds it to 1e-7 and not further,
// because diffusers rounds attention's softmax to float32 even in a float64 run: that alone moves the output by 4e-8, and
// a PyTorch run in float64 throughout differs from y_f64 by exactly as much as this package does.
func TestUNetGolden(t *testing.T) {
	t.Parallel()
	for _, pattern := range []string{"unet_*.io", "option_*.io"} {
		t.Run(pattern[:4], func(t *testing.T) { unetGolden(t, pattern) })
	}
}

func unetGolden(t *testing.T, pattern string) {
	golden.Run(t, pattern, func(t *testing.T, f *golden.File) {
		t.Parallel()
		m := loadModel(t, strings.TrimSuffix(f.Path, ".io.safetensors"), f.I64(t, "timestep"))
		shape := f.Shape(t, "x")
		n, c, h, w := shape[0], shape[1], shape[2], shape[3]
		if h > 32 {
			n = 1 // the references are slow; one large image says enough
		}
		g, y, err := BuildUNet(m.params, m.cfg, n, m.T)
		if err != nil {
			t.Fatal(err)
		}
		buffers := map[string][]float64{
			ParamsBuffer: m.weights,
			"table":      m.table,
			"x":          nhwc(f.F64(t, "x")[:n*c*h*w], n, c, h, w),
			"t":          widen(f.I64(t, "timestep")),
		}
		if f.Has("class_labels") {
			buffers["class"] = widen(f.I64(t, "class_labels"))
		}
		start := time.Now()
		got := nchw(g.Eval(buffers)[y].Data, n, m.cfg.OutChannels, h, w)
		for _, want := range []struct {
			name string
			tol  float64
		}{{"y_f64", 1e-7}, {"y", 1e-5}} {
			diff, scale := golden.Diff(got, f.F64(t, want.name)[:len(got)])
			t.Logf("%s: largest difference %.3g of %.3g, %d images, %v", want.name, diff, scale, n, time.Since(start).Round(time.Millisecond))
			if diff > want.tol {
				t.Errorf("%s: largest difference %g, want at most %g", want.name, diff, want.tol)
			}
		}
	})
}

// The config alone must give exactly the file's tensors, and writing them must give the file's content.
func TestWeightsGolden(t *testing.T) {
	t.Parallel()
	golden.Run(t, "unet_*.weights", func(t *testing.T, f *golden.File) {
		cfg, err := ReadConfig(strings.TrimSuffix(f.Path, ".weights.safetensors") + ".config.json")
		if err != nil {
			t.Fatal(err)
		}
		p, err := UNetParams(cfg)
		if err != nil {
			t.Fatal(err)
		}
		flat := make([]float32, p.Elems())
		if err := p.Decode(flat, f.File); err != nil {
			t.Fatal(err)
		}
		names, count := slices.Sorted(slices.Values(f.Names())), 0
		tensors := p.Encode(flat)
		if len(tensors) != len(names) {
			t.Fatalf("%d tensors, the file has %d", len(tensors), len(names))
		}
		for i, got := range tensors {
			want, err := f.Tensor(names[i])
			if err != nil {
				t.Fatal(err)
			}
			if got.Name != names[i] || !got.HasShape(want.Shape...) || !slices.Equal(got.Data, want.Data) {
				t.Errorf("tensor %d is %s %v, want %s %v with the same content", i, got.Name, got.Shape, names[i], want.Shape)
			}
			count += got.Len()
		}
		if p.Count() != count || ParamCount(cfg) != count {
			t.Errorf("%d parameters, the file has %d", p.Count(), count)
		}
		checkLayout(t, p)
		// Once more through bytes.
		b, err := safetensors.Encode(tensors, nil)
		if err != nil {
			t.Fatal(err)
		}
		file, err := safetensors.Decode("again", b)
		if err != nil {
			t.Fatal(err)
		}
		again := make([]float32, p.Elems())
		if err := p.Decode(again, file); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(again, flat) {
			t.Error("weights changed on the way through a file")
		}
	})
}
