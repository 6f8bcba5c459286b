package rng

import "math/bits"

// feistelRounds is twice what Luby and Rackoff need for a strong
// pseudorandom permutation, because small n has few bits to a half.
const feistelRounds = 8

// Permute returns where i goes in the permutation of 0..n-1 that belongs to a
// seed and an epoch (i < n). It is a bijection for every n: a balanced Feistel
// network permutes 0..2^2h-1, the least such range that holds n, and a value
// that falls outside n goes through again until it is inside (cycle walking;
// the range is less than 4n, so fewer than four passes on average). Any
// position is computed alone: nothing is shuffled, stored or sent.
func Permute(i, n uint32, seed uint64, epoch uint64) uint32 {
	if n <= 1 {
		return 0
	}
	h := (bits.Len32(n-1) + 1) / 2
	mask := uint32(1)<<h - 1
	key := Key(seed, StreamOrder)
	for {
		l, r := i>>h, i&mask
		for round := uint32(0); round < feistelRounds; round++ {
			w := Philox([4]uint32{r, round, uint32(epoch), uint32(epoch >> 32)}, key)
			l, r = r, l^w[0]&mask
		}
		i = l<<h | r
		if i < n {
			return i
		}
	}
}
