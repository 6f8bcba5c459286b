package run

import (
	"fmt"
	"math"
	"strconv"
)

// appendFloat writes the shortest decimal that reads back as v.
func appendFloat(p []byte, v float64) []byte { return strconv.AppendFloat(p, v, 'g', -1, 64) }

func parseFloat(p []byte) (float64, error) {
	if string(p) == "null" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(string(p), 64)
	if err != nil {
		return 0, fmt.Errorf("run: %q is not a number", p)
	}
	return v, nil
}
