package metrics

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// pieces computes a distance's numbers, row i of n by f, and keeps each row as chunks of other work are kept: a distance between many
// pictures takes hours. about names the distance, deps what it is of. Of ranks each computes some rows, and all get all.
//
// Kept rows are only good for what cuts the work in the same way: deps has the sizes of the cut too, but for n.
func pieces(ctx context.Context, w *Work, about string, deps []any, n int, f func(i int, tick func(float64)) ([]float64, error)) ([][]float64, error) {
	all, err := chunks(ctx, w, task{name: "distance", about: about, n: n, deps: append([]any{"1", about, n}, deps...)},
		func(i int, _ []float32, tick func(float64)) ([]float32, error) {
			row, err := f(i, tick)
			var chunk []float32
			for _, v := range row {
				chunk = append(chunk, threefold(v)...)
			}
			return chunk, err
		})
	if err != nil {
		return nil, err
	}
	rows := make([][]float64, n)
	for i, chunk := range all {
		for k := 0; k+2 < len(chunk); k += 3 {
			rows[i] = append(rows[i], float64(chunk[k])+(float64(chunk[k+1])+float64(chunk[k+2])))
		}
	}
	return rows, nil
}

// threefold is a number as three that add up to it to its last bit, since chunks have float32s: 3 times 24 bits for 53. What is no float32
// at all, above 3e38, is no distance either.
func threefold(v float64) []float32 {
	a := float32(v)
	b := float32(v - float64(a))
	return []float32{a, b, float32(v - float64(a) - float64(b))}
}

// pieceWork is how many products a piece is worth, some seconds. Tests want more pieces.
var pieceWork = 4_000_000_000

// rowsPerPiece is how many pictures, each compared with n others in d numbers, make a piece.
func rowsPerPiece(n, d int) int { return max(64, pieceWork/(n*d)) }

// hash names the features of pictures.
func (c Cloud) hash() string {
	h := sha256.New()
	_ = binary.Write(h, binary.LittleEndian, c.V) // a hash takes all
	return hex.EncodeToString(h.Sum(nil)[:8])
}
