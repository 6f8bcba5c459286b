// Package lab is the road to diffusion, run and measured: predict a whole image at once, one pixel at a time, block by block, scattered
// pixels together, and at last a little noise everywhere. One network serves all of it: a U-Net that sees the masked image, the mask,
// two coordinates and t, with a head for pixels, for the distribution of each value, or for noise.
//
// The masked experiments are order-agnostic autoregressive models in the manner of Hoogeboom et al. 2021 (arXiv 2110.02037): trained on
// masks of many kinds, one network can fill an image in any order, in groups of any size. What it costs to draw a group's members
// independently of each other is a number of bits, which this package measures (score.go), and for a Gaussian field computes exactly
// (field.go).
package lab
