package experiment

import (
	"context"
	"math"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/lab"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
)

var oneshot = &Experiment{
	Name: "oneshot", Short: "black image in, image out: what one gets is the average",
	Explain: []string{
		"The network gets a black image and is asked for a picture, and every picture of the set is a right answer.",
		"Squared error is least at the mean of all answers, so that is what it learns: a blur, the same every time.",
		"Absolute error (head l1) is least at the median instead. Neither is a picture.",
	},
	Knobs: []Knob{KnobHead}, Trains: true,
	adjust: func(p *Params) {
		def(&p.Head, lab.MSE)
		def(&p.Steps, 400)
		def(&p.Batch, 32)
	},
}

func init() { oneshot.run = runOneshot }

// OneShot is what oneshot measures; distances are on the scale of [-1,1].
type OneShot struct {
	Head         lab.Head `json:"head"`
	Images       int      `json:"images"`
	NFE          int      `json:"network_evaluations"`
	Diversity    float64  `json:"diversity"` // root mean square distance between two results
	DataSpread   float64  `json:"diversity_of_the_images"`
	RMSEToMedian float64  `json:"rmse_to_median"`
	MeanToMedian float64  `json:"rmse_of_mean_to_median"` // how far the two are apart
	RMSEToMean   float64  `json:"rmse_to_mean"`
}

func runOneshot(ctx context.Context, j *job) (any, error) {
	t, set, err := j.network(ctx, j.task())
	if err != nil {
		return nil, err
	}
	const draws = 4
	var results [][]float32
	before := t.net.Calls
	for range draws {
		x, err := t.net.Blank(ctx)
		if err != nil {
			return nil, err
		}
		results = append(results, x)
	}
	mean, median := meanOf(set), medianOf(set)
	r := &OneShot{
		Head: j.p.Head, Images: set.N, NFE: (t.net.Calls - before) / draws, Diversity: spread(results),
		RMSEToMean: rmse(results[0], mean), RMSEToMedian: rmse(results[0], median), MeanToMedian: rmse(mean, median),
	}
	var images [][]float32
	for i := range min(64, set.N) {
		images = append(images, lab.Floats(set.Bytes(i)))
	}
	r.DataSpread = spread(images)
	some := min(16, len(images))
	cols := (some + 1) / 2
	grid := slices.Concat(results[0], results[1], mean, median)
	j.emit(Frame{
		Phase: "done",
		Pictures: []Picture{
			{"result", "two results of the network, the mean of the images, their median", model.Grid(grid, 4, set.Size, set.Channels, 4), 1, 4},
			{"images", "some of the images", model.Grid(slices.Concat(images[:some]...), some, set.Size, set.Channels, cols), (some + cols - 1) / cols, cols},
		},
		Figures: []Figure{
			figure("RMSE to the mean", r.RMSEToMean, 4, "on [-1,1]"),
			figure("RMSE to the median", r.RMSEToMedian, 4, ""),
			figure("mean to median", r.MeanToMedian, 4, ""),
			figure("diversity", r.Diversity, 4, "between two results"),
			figure("of the images", r.DataSpread, 4, "between two images"),
			{"network evaluations", "1", "an image"},
		},
	})
	return r, nil
}

// meanOf is the mean image: [D].
func meanOf(s *data.Set) []float32 {
	var out []float32
	for _, v := range s.Mean() {
		out = append(out, float32(v/127.5-1))
	}
	return out
}

// medianOf is the image of each value's median: [D].
func medianOf(s *data.Set) []float32 {
	D := len(s.Bytes(0))
	out, column := make([]float32, D), make([]byte, s.N)
	for v := range D {
		for i := range column {
			column[i] = s.Pixels[i*D+v]
		}
		slices.Sort(column)
		out[v] = float32(float64(column[(s.N-1)/2])/2+float64(column[s.N/2])/2)/127.5 - 1
	}
	return out
}

func rmse(a, b []float32) float64 {
	sum := 0.0
	for i := range a {
		d := float64(a[i]) - float64(b[i])
		sum += d * d
	}
	return math.Sqrt(sum / float64(len(a)))
}

// spread is the root mean square distance between two of the images.
func spread(images [][]float32) float64 {
	sum, n := 0.0, 0
	for i := range images {
		for k := range i {
			d := rmse(images[i], images[k])
			sum, n = sum+d*d, n+1
		}
	}
	return math.Sqrt(sum / float64(max(n, 1)))
}
