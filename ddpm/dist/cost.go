package dist

import "math"

// A Network is what an all-reduce costs between two ranks.
type Network struct {
	Name      string
	Latency   float64 // seconds a message
	Bandwidth float64 // bytes a second, each way
}

// An Algorithm is how an all-reduce goes: the seconds for so many bytes on p ranks.
type Algorithm func(n Network, p int, bytes float64) float64

// Ring is 2(p-1) messages of 1/p of the bytes each (Patarasuk & Yuan 2009): least traffic, and a latency that grows with the ranks.
func Ring(n Network, p int, bytes float64) float64 {
	k := float64(p - 1)
	return 2*k*n.Latency + 2*k/float64(p)*bytes/n.Bandwidth
}

// Tree is a reduction and a broadcast along a binomial tree: 2 log2 p messages of all bytes.
func Tree(n Network, p int, bytes float64) float64 {
	return 2 * math.Ceil(math.Log2(float64(p))) * (n.Latency + bytes/n.Bandwidth)
}

// Halving is recursive halving and doubling (Rabenseifner 2004): the ring's traffic with the tree's number of messages.
func Halving(n Network, p int, bytes float64) float64 {
	return 2*math.Ceil(math.Log2(float64(p)))*n.Latency + 2*float64(p-1)/float64(p)*bytes/n.Bandwidth
}

// A Job is a training step, as far as its time on many ranks goes.
type Job struct {
	Gradients   float64 // bytes
	Buckets     int
	PerImage    float64 // seconds of forward and backward pass on one rank
	Fixed       float64 // seconds that every step takes on every rank, whatever its images: the optimizer, and what a device is slow to begin
	AllReduce   Algorithm
	Network     Network
	WithOverlap bool
}

// backward is the part of a step's arithmetic that is the backward pass.
const backward = 2. / 3

// Step is the seconds of one step of a whole batch on p ranks, and of them those in which nothing is computed because sums are missing.
//
// The k-th of the buckets is ready when that part of the backward pass is done. Sums go one after the other. Before each step rank 0
// says that there is one, which takes log2 p messages; the losses are a sum of their own, which is all latency.
func (j Job) Step(p, batch int) (step, waiting float64) {
	images := math.Ceil(float64(batch) / float64(p))
	compute := images * j.PerImage
	if p == 1 {
		return compute + j.Fixed, 0
	}
	forward := compute * (1 - backward)
	free := forward // when the network is free
	for k := 1; k <= j.Buckets; k++ {
		ready := compute
		if j.WithOverlap {
			ready = forward + compute*backward*float64(k)/float64(j.Buckets)
		}
		free = max(free, ready) + j.AllReduce(j.Network, p, j.Gradients/float64(j.Buckets))
	}
	waiting = max(0, free-compute) + math.Ceil(math.Log2(float64(p)))*j.Network.Latency
	return compute + waiting + j.Fixed, waiting
}

// Efficiency is the images a second of p ranks beside p times those of one; perRank is whether the batch is so many images for each rank,
// or in all.
func (j Job) Efficiency(p, batch int, perRank bool) float64 {
	whole := batch
	if perRank {
		whole = batch * p
	}
	one, _ := j.Step(1, batch)
	all, _ := j.Step(p, whole)
	return float64(whole) / all / (float64(p) * float64(batch) / one)
}

// FitNetwork finds latency and bandwidth from measured all-reduces on p ranks, by least squares of the relative error: Ring's cost is
// linear in both.
func FitNetwork(p int, bytes, seconds []float64) Network {
	// seconds = a x + b y with a = 2(p-1), b = 2(p-1)/p bytes; each row is divided by its seconds.
	var aa, ab, bb, ar, br float64
	for i, s := range seconds {
		k := float64(p - 1)
		a, b := 2*k/s, 2*k/float64(p)*bytes[i]/s
		aa, ab, bb, ar, br = aa+a*a, ab+a*b, bb+b*b, ar+a, br+b
	}
	det := aa*bb - ab*ab
	latency, perByte := (ar*bb-br*ab)/det, (br*aa-ar*ab)/det
	return Network{Name: "fitted", Latency: max(latency, 0), Bandwidth: 1 / perByte}
}
