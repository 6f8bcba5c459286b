package metrics

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// A Neighbour is the training picture that is nearest to a picture, by the mean square of the difference of pixels in [-1,1].
type Neighbour struct {
	Picture, Training int
	Mirrored          bool // the training picture is nearest when mirrored
	Distance          float64
}

// Nearest finds the nearest training picture of pictures [from,to), mirrored ones too if mirror.
func Nearest(ctx context.Context, pictures Images, from, to int, training Images, mirror bool, tick func(float64)) ([]Neighbour, error) {
	per := pictures.Per()
	list := make([]Neighbour, to-from)
	const block = 16
	for at := from; at < to; at += block {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(block, to-at)
		parallel(n, func(k int) {
			x := pictures.At(at + k)
			tries := [][]byte{x}
			if mirror {
				tries = append(tries, mirrorImage(x, pictures.Size, pictures.Channels))
			}
			best, found := uint64(math.MaxUint64), Neighbour{Picture: at + k}
			for j := range training.N {
				for m, y := range tries {
					if d := squares(y, training.At(j), best); d < best {
						best, found.Training, found.Mirrored = d, j, m == 1
					}
				}
			}
			found.Distance = float64(best) / float64(per) / (127.5 * 127.5)
			list[at+k-from] = found
		})
		tick(float64(at+n-from) / float64(to-from))
	}
	return list, nil
}

// squares is the sum of squared differences, or something above limit once it is above.
func squares(x, y []byte, limit uint64) uint64 {
	total := uint64(0)
	for len(x) > 0 {
		n := min(len(x), 256)
		sum := int32(0)
		for i, v := range x[:n] {
			d := int32(v) - int32(y[i])
			sum += d * d
		}
		total += uint64(sum)
		if total > limit {
			return total
		}
		x, y = x[n:], y[n:]
	}
	return total
}

func mirrorImage(x []byte, s, C int) []byte {
	y := make([]byte, len(x))
	for r := range s {
		for c := range s {
			copy(y[(r*s+c)*C:][:C], x[(r*s+s-1-c)*C:])
		}
	}
	return y
}

// Pairs draws each picture with its nearest training picture at its right, nearest pair first, cols pairs a row: pictures for a grid of
// 2 cols columns.
func Pairs(pictures, training Images, list []Neighbour) Images {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b Neighbour) int {
		if a.Distance < b.Distance {
			return -1
		}
		if a.Distance > b.Distance {
			return 1
		}
		return a.Picture - b.Picture
	})
	out := Images{N: 2 * len(list), Size: pictures.Size, Channels: pictures.Channels}
	for _, n := range list {
		out.Pixels = append(append(out.Pixels, pictures.At(n.Picture)...), n.in(training)...)
	}
	return out
}

// Found are the training pictures of the list, in its order, each as it is nearest: mirrored or not.
func Found(training Images, list []Neighbour) Images {
	out := Images{N: len(list), Size: training.Size, Channels: training.Channels}
	for _, n := range list {
		out.Pixels = append(out.Pixels, n.in(training)...)
	}
	return out
}

// in is the training picture.
func (n Neighbour) in(training Images) []byte {
	y := training.At(n.Training)
	if n.Mirrored {
		y = mirrorImage(y, training.Size, training.Channels)
	}
	return y
}

// baseline is how many pictures that are no samples are looked up for comparison.
const baseline = 256

// nearest looks for each sample among the training images.
func (e *evaluation) nearest(ctx context.Context) error {
	start := time.Now()
	s, err := e.sample(ctx)
	if err != nil {
		return err
	}
	training, others, what := e.o.Training, e.o.Held.First(baseline), e.o.HeldName
	if strings.HasPrefix(what, TrainingName) || others.N < 16 {
		training, others = Split(training, min(baseline, training.N/2))
		what = "training images that were left out"
	}
	usual, err := e.search(ctx, others, training, "nearest training images of "+what)
	if err != nil {
		return err
	}
	list, err := e.search(ctx, s, e.o.Training, "nearest training images of the samples")
	if err != nil || e.w.Part.is() {
		return err
	}
	typical := rms(usual)
	slices.Sort(typical)
	close := typical[len(typical)/100]
	ours := rms(list)
	below := 0
	for _, d := range ours {
		if d < close {
			below++
		}
	}
	pairs := Pairs(s, e.o.Training, list)
	name, err := e.o.OnPicture("nearest", pairs.Grid(2*model.Columns((s.N+1)/2)))
	if err != nil {
		return err
	}
	r := mean(ours).into(run.Eval{Metric: Memory, File: name, Against: fmt.Sprintf("%d training images", e.o.Training.N),
		About: fmt.Sprintf("distance to the nearest training image, root mean square of pixels in levels of 255; %s: %.2f", what, mean(typical).Value)})
	if err := e.say(start, r); err != nil {
		return err
	}
	r = part(below, len(ours)).into(run.Eval{Metric: "memorised", File: name, Against: fmt.Sprintf("%d training images", e.o.Training.N),
		About: fmt.Sprintf("part of the samples nearer to a training image than 99%% of %s are (%.2f)", what, close)})
	return e.say(start, r)
}

// searchChunk is how many pictures' neighbours are kept together, see featureChunk.
const searchChunk = sampleChunk

func (e *evaluation) search(ctx context.Context, pictures, training Images, about string) ([]Neighbour, error) {
	all, err := chunks(ctx, e.w, task{
		name: "nearest", about: about, n: (pictures.N + searchChunk - 1) / searchChunk, deps: []any{"1", pictures.hash(), training.hash(), e.o.Mirror},
	}, func(i int, _ []float32, tick func(float64)) ([]float32, error) {
		list, err := Nearest(ctx, pictures, i*searchChunk, min((i+1)*searchChunk, pictures.N), training, e.o.Mirror, tick)
		var chunk []float32
		for _, n := range list {
			m := float32(0)
			if n.Mirrored {
				m = 1
			}
			chunk = append(chunk, float32(n.Training), m, float32(n.Distance))
		}
		return chunk, err
	})
	var list []Neighbour
	for _, chunk := range all { // those of another process's part are missing, and nobody looks
		for k := 0; k < len(chunk); k += 3 {
			list = append(list, Neighbour{len(list), int(chunk[k]), chunk[k+1] == 1, float64(chunk[k+2])})
		}
	}
	return list, err
}

// rms are distances in levels of a byte.
func rms(list []Neighbour) []float64 {
	v := make([]float64, len(list))
	for i, n := range list {
		v[i] = 127.5 * math.Sqrt(n.Distance)
	}
	return v
}
