package backend

// What an op needs to know beside its inputs. A backend reads these; the graph fills them in.
type (
	// Conv describes a convolution; H and W are the input's (the data gradient's output's) extent.
	Conv struct {
		KH, KW, Stride           int
		Top, Left, Bottom, Right int // zeros around the input
		H, W                     int
	}
	// Norm describes a group normalisation, followed by SiLU or not.
	Norm struct {
		Groups int
		Eps    float32
		SiLU   bool
	}
	// Heads is the number of attention heads.
	Heads struct{ Heads int }
	// Linear is a*x + b*y, or a*x + b.
	Linear struct{ A, B float32 }
	// Channels is the range [From, To) of the last axis.
	Channels struct{ From, To int }
	// Factor multiplies the result.
	Factor struct{ Factor float32 }
	// Rows is the extent of a table.
	Rows struct{ Rows int }
	// Random describes values drawn for a batch: which stream, and how many values to choose from where that applies.
	Random struct {
		Stream uint32
		Shape  Shape
		Limit  int // timesteps: T; indices: images in the set
		Batch  int // images of a whole step, on all devices
		Flip   bool
		Crop   int // largest shift in pixels, either way
	}
	// Dropout sets elements to zero with probability P. First, a multiple of 4, is the number of a sample's first element: no two
	// places of a network share numbers.
	Dropout struct {
		P     float32
		First uint32
	}
	// Pool takes K x K pixels every Stride pixels: their maximum, or their mean. Pad pixels around the image are nothing.
	Pool struct {
		K, Stride, Pad int
		Max            bool
	}
	// Augment changes images, each transformation with probability P.
	Augment struct{ P float32 }
	// PowerEMA is an average of the weights whose memory grows with the run: t^Gamma is the weight of what was there at step t.
	PowerEMA struct{ Gamma float32 }
	// LossScale says when the scale of the loss's gradient grows: after so many good steps in a row.
	LossScale struct{ Growth int }
	// Likelihood says what a network's output says of a value; see the op nll.
	Likelihood struct {
		Kind       LikelihoodKind
		Components int // of a mixture
	}
)

// A LikelihoodKind is what the parameters of a value mean.
type LikelihoodKind int

// The kinds of likelihood.
const (
	Squared     LikelihoodKind = iota // the value; its squared error
	Absolute                          // the value; its absolute error
	Mixture                           // a mixture of discretised logistics
	Categorical                       // a logit for each of 256 levels
)

// Params is how many numbers the network says of each value.
func (l Likelihood) Params() int {
	switch l.Kind {
	case Mixture:
		return 3 * l.Components
	case Categorical:
		return 256
	}
	return 1
}

// MinLogScale is the least logarithm of a logistic's scale that counts: sharper would be a spike on one level.
const MinLogScale = -7

// The words of the control buffer (u32), which the host writes and Advance counts up.
const (
	CtlStep   = iota // optimizer steps done
	CtlStepHi        // and its high word
	CtlSeed
	CtlSeedHi
	CtlSample // global index of this device's first sample in the batch
	CtlWords  = 8
)

// The words of the hyper-parameter buffer (f32), which the host writes.
const (
	HypLR     = iota
	HypWarmup // steps
	HypBeta1
	HypBeta2
	HypEps
	HypDecay // weight decay
	HypClip  // largest global gradient norm, 0 for none
	HypEMA   // largest EMA decay
	HypEMAPower
	HypLRKind  // how the learning rate goes on after the warm-up: one of the LR constants
	HypLRSteps // the step at which it has reached its floor
	HypLRFloor // of the rate, what is left then
	HypWords   = 16
)

// The courses of the learning rate after the warm-up.
const (
	LRConstant = iota
	LRCosine   // half a wave from 1 to the floor
	LRLinear
)

// The words of the scalars (f32) that the schedule op works out for the optimizer.
const (
	SclLR    = iota
	SclBias1 // 1 - beta1^t
	SclBias2
	SclEMA   // EMA decay of this step
	SclWords = 8
)

// The words of the loss scale's state (f32), which the op loss_scale keeps.
const (
	LscScale   = iota // what the gradient of the next step's loss is multiplied with, a power of two
	LscInverse        // 1 / LscScale
	LscGood           // good steps since the scale last changed
	LscSkipped        // steps skipped so far
	LscWords   = 4
)

// MaxLossScale is the largest scale. Its inverse is a normal number, and gradients that allow it need none.
const MaxLossScale = 1 << 120
