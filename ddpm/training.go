package ddpm

import "github.com/ddpm-tui/ddpm-tui/backend/rng"

// What a training step does to one sample, DDPM algorithm 1, in plain Go: the
// same draws and the same x_t as the compiled step makes on a device.

// TrainTimestep draws t uniformly from 0..T-1 for a global sample index at a
// training step (DDPM algorithm 1, line 3).
func TrainTimestep(T int, seed uint64, sample uint32, step uint64) int {
	return int(rng.Below(rng.Uint32(seed, rng.StreamTimestep, 0, sample, step), uint32(T)))
}

// TrainExample draws t and eps for x0 [n], and writes the network's input x_t
// and its target. eps is left in noise.
func (s *Schedule) TrainExample(p Prediction, xt, target, noise, x0 []float32, seed uint64, sample uint32, step uint64) (t int) {
	t = TrainTimestep(s.T(), seed, sample, step)
	rng.Normals(noise, seed, rng.StreamNoise, sample, step)
	s.AddNoise(xt, x0, noise, t)
	s.Target(p, target, x0, noise, t)
	return t
}

// Loss is the simple loss, DDPM eq. 14: the mean squared error over elements.
func Loss(out, target []float32) float64 {
	var sum float64
	for i := range out {
		d := float64(out[i]) - float64(target[i])
		sum += float64(d * d)
	}
	return sum / float64(len(out))
}
