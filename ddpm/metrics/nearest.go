package metrics

import (
	"context"
	"math"
	"slices"
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
