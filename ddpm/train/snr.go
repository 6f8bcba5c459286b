package train

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// minSNR is the weight of a loss at signal-to-noise ratio snr (Hang et al. 2023, "Efficient Diffusion Training via Min-SNR Weighting
// Strategy", section 3.4): min(snr, gamma) on the error of x_0, and the same on what the network predicts.
func minSNR(p ddpm.Prediction, snr, gamma float64) float64 {
	clipped := min(snr, gamma)
	switch p {
	case ddpm.Sample0:
		return clipped
	case ddpm.VPrediction:
		return clipped / (snr + 1)
	}
	if snr == 0 {
		return 1 // the limit
	}
	return clipped / snr
}

// snrTable is [T,2C] for graph.Modulate: the square root of each timestep's weight, less one, and no shift. Output and target are
// multiplied by it, so that their squared difference is weighted.
func snrTable(c *Config, sch *ddpm.Schedule) []float32 {
	T, C := c.Schedule.T, c.UNet.OutChannels
	table := make([]float32, 2*C*T)
	for t := range T {
		w := math.Sqrt(minSNR(c.Prediction, sch.SNR[t], c.MinSNR))
		for k := range C {
			table[2*C*t+k] = float32(w - 1)
		}
	}
	return table
}
