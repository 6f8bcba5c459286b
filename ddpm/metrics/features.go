package metrics

import "context"

// Features turn pictures into numbers that are compared.
type Features struct {
	Name     string // for people
	Standard bool   // Inception-v3 with the FID's weights: a Fréchet distance on them is the FID
	D        int
	Key      string // names the features in kept work
	Batch    int
	Run      func(ctx context.Context, images Images, from, to int, out []float64) error // to-from is at most Batch; out: [to-from,D]
	Close    func() error
}

// featureChunk is how many pictures' features are kept together: as many as samples are, so that who makes a chunk of samples can make that of
// their features.
const featureChunk = sampleChunk

// Extract computes the features of pictures.
func Extract(ctx context.Context, w *Work, f *Features, images Images, about string) (Cloud, error) {
	all, err := chunks(ctx, w, task{
		name: "features", about: "features of " + about, n: (images.N + featureChunk - 1) / featureChunk, deps: []any{f.Key, images.hash(), images.N},
	}, func(i int, _ []float32, tick func(float64)) ([]float32, error) {
		from, to := i*featureChunk, min((i+1)*featureChunk, images.N)
		chunk := make([]float32, 0, (to-from)*f.D)
		out := make([]float64, f.Batch*f.D)
		for at := from; at < to; at += f.Batch {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			end := min(at+f.Batch, to)
			if err := f.Run(ctx, images, at, end, out[:(end-at)*f.D]); err != nil {
				return nil, err
			}
			for _, v := range out[:(end-at)*f.D] {
				chunk = append(chunk, float32(v))
			}
			tick(float64(end-from) / float64(to-from))
		}
		return chunk, nil
	})
	c := Cloud{N: images.N, D: f.D}
	for _, chunk := range all {
		for _, v := range chunk {
			c.V = append(c.V, float64(v))
		}
	}
	return c, err
}
