package lab

import (
	"math"

	"github.com/ddpm-tui/ddpm-tui/ddpm"
)

// Printed are betas that a well-known tutorial prints, with the place of each in the list: the first four, one further on, the last.
// The third lacks a digit 0, its sixteenth; the text around the list says T = 1000.
var Printed = []struct {
	Place int // -1 is not said
	Beta  float64
}{
	{0, 0.0001564962795991276}, {1, 0.0002104677074292738}, {2, 0.0002644475827556783}, {3, 0.0003184388213015587},
	{-1, 0.7499932543469323234}, {-1, 0.9999999999999999999},
}

// A Match is a schedule in which printed betas are found.
type Match struct {
	Schedule string  `json:"schedule"`
	T        int     `json:"T"`
	Place    int     `json:"place"` // 1..T
	Printed  float64 `json:"printed"`
	Beta     float64 `json:"beta"`
}

// A Curve is a schedule's tables.
type Curve struct {
	Schedule string    `json:"schedule"`
	T        int       `json:"T"`
	Beta     []float64 `json:"beta"`
	AlphaBar []float64 `json:"alphabar"`
	SNR      []float64 `json:"snr"`
}

// Schedules are the tables of every kind of schedule with T timesteps.
func Schedules(T int) ([]Curve, error) {
	var out []Curve
	for _, kind := range ddpm.Kinds() {
		s, err := ddpm.NewSchedule(ddpm.ScheduleConfig{Kind: kind, T: T})
		if err != nil {
			return nil, err
		}
		out = append(out, Curve{kind, T, s.Betas, s.AlphasCumprod, s.SNR})
	}
	return out, nil
}

// FindPrinted looks for the printed betas in every schedule of the given lengths, uncapped where there is a cap, and returns what
// agrees to twelve digits.
func FindPrinted(lengths ...int) ([]Match, error) {
	var out []Match
	for _, T := range lengths {
		for _, kind := range ddpm.Kinds() {
			s, err := ddpm.NewSchedule(ddpm.ScheduleConfig{Kind: kind, T: T, Cap: 1})
			if err != nil {
				return nil, err
			}
			for _, p := range Printed {
				for t, beta := range s.Betas {
					if p.Place >= 0 && t != p.Place {
						continue
					}
					if math.Abs(beta-p.Beta) < 1e-12*beta {
						out = append(out, Match{kind, T, t + 1, p.Beta, beta})
						break
					}
				}
			}
		}
	}
	return out, nil
}
