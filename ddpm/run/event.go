// Package run is the run folder: what a training run writes and every screen reads.
//
// The event log is the only thing a screen needs. It is append-only, one JSON object a line, typed and versioned.
package run

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// EventVersion is written into every event as "v". A reader refuses a larger one.
const EventVersion = 1

// An Event is one line of events.jsonl. Exactly one of the pointers is set, and Kind names it.
type Event struct {
	V    int       `json:"v"`
	Kind string    `json:"kind"` // start, step, preview, checkpoint, edit, reading, timings, state, log, eval, loss_scale, end
	Time time.Time `json:"time"`
	Step int64     `json:"step"` // optimizer steps done when it happened

	Start      *Start      `json:"start,omitempty"`
	Metrics    *Metrics    `json:"metrics,omitempty"`
	Preview    *Preview    `json:"preview,omitempty"`
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	Edit       *Edit       `json:"edit,omitempty"`
	Reading    *Reading    `json:"reading,omitempty"`
	Timings    *Timings    `json:"timings,omitempty"`
	State      *State      `json:"state,omitempty"`
	Log        *Log        `json:"log,omitempty"`
	Eval       *Eval       `json:"eval,omitempty"`
	LossScale  *LossScale  `json:"loss_scale,omitempty"`
	End        *End        `json:"end,omitempty"`
}

// Start opens a run, or a part of one that was resumed.
type Start struct {
	Name       string `json:"name"`
	Preset     string `json:"preset"`
	Data       string `json:"data"` // as the user named it
	Images     int    `json:"images"`
	Size       int    `json:"size"` // pixels a side
	Channels   int    `json:"channels"`
	Batch      int    `json:"batch"`
	Steps      int64  `json:"steps"` // the total aimed at
	T          int    `json:"T"`
	Schedule   string `json:"schedule"`
	Parameters int    `json:"parameters"`
	MACs       int64  `json:"macs_per_image"`
	Seed       uint64 `json:"seed"`
	Backend    string `json:"backend"`
	Device     string `json:"device"`
	Precision  string `json:"precision,omitempty"` // fp16 or bf16; left out for fp32
	PlanBytes  int64  `json:"plan_bytes"`          // memory planned for the run, all buffers
	Ranks      []Rank `json:"ranks,omitempty"`     // the processes that share each batch, if there is more than one

	// What edits can change, as it is at this start.
	LR       Float `json:"lr"`        // before warm-up
	EMADecay Float `json:"ema_decay"` // at most
	PreviewS Float `json:"preview_s"` // seconds between previews

	Memory []Part `json:"memory,omitempty"` // what PlanBytes is made of, the largest first
}

// On says what computes, and in which precision where that is not fp32.
func (s *Start) On() string {
	on := strings.TrimSpace(s.Backend + " " + s.Device)
	if s.Precision != "" {
		on += ", " + s.Precision
	}
	return on
}

// A Part is a buffer of the memory plan.
type Part struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// Reading is how far reading the images is.
type Reading struct {
	Done    int `json:"done"`
	Total   int `json:"total"`
	Skipped int `json:"skipped"`
}

// Timings is where the time of a training step goes: one step, timed.
type Timings struct {
	StepS Float    `json:"step_s"` // seconds of all operations
	Ops   []OpTime `json:"ops"`    // by kind, the longest first
}

// OpTime is the time of all operations of one kind in a step.
type OpTime struct {
	Op      string `json:"op"`
	Calls   int    `json:"calls"`
	Seconds Float  `json:"s"`
	GFLOPS  Float  `json:"gflop_per_s"`
}

// A Rank is one of the processes that share each batch.
type Rank struct {
	Host      string `json:"host"`
	PID       int    `json:"pid"`
	Device    string `json:"device"`
	Images    int    `json:"images"` // of each batch
	PlanBytes int64  `json:"plan_bytes"`
	FreeBytes int64  `json:"free_bytes"`      // what there was of memory before
	Short     bool   `json:"short,omitempty"` // that is too little
}

// Metrics is what one training step reports.
type Metrics struct {
	Loss       Float `json:"loss"`
	LossEMA    Float `json:"loss_ema"`
	LR         Float `json:"lr"`
	GradNorm   Float `json:"grad_norm"` // before clipping
	Clipped    bool  `json:"clipped"`
	ImagesPerS Float `json:"images_per_s"`
	StepS      Float `json:"step_s"` // seconds the step took
	ETAS       Float `json:"eta_s"`  // seconds left
	EMADecay   Float `json:"ema_decay"`
	LossScale  Float `json:"loss_scale,omitempty"` // that the step had; left out without scaling
	Skipped    bool  `json:"skipped,omitempty"`    // under loss scaling: the gradients were not finite, and nothing changed
	WaitS      Float `json:"wait_s"`               // seconds that the device waited for the host before it, without previews and checkpoints
	// Buckets is the running mean of the loss by timestep, Buckets[i] over t in [i T/len, (i+1) T/len); NaN where none was drawn yet.
	Buckets []Float `json:"buckets,omitempty"`
	// With more than one rank: how many, the share of the step that rank 0 waited for sums, and now and then what each rank did.
	Ranks     int        `json:"ranks,omitempty"`
	CommShare Float      `json:"comm_share,omitempty"`
	PerRank   []RankWork `json:"per_rank,omitempty"`
}

// RankWork is what one rank did since the last event that has it.
type RankWork struct {
	ImagesPerS Float `json:"images_per_s"` // while it computed
	CommShare  Float `json:"comm_share"`   // of its time, waiting for sums
	Hidden     Float `json:"hidden"`       // share of the time of all sums that went by while it computed
}

// Preview says that a picture was made. The files are PNGs, relative to the run folder.
type Preview struct {
	Samples    string `json:"samples"`              // a grid of EMA samples
	Trajectory string `json:"trajectory"`           // one sample's x_t from noise to image, left to right
	Raw        string `json:"raw,omitempty"`        // the same grid, of the same seed, with the weights that are not averaged
	Nearest    string `json:"nearest,omitempty"`    // the training images nearest to the samples, in a grid as theirs
	NearestOf  int    `json:"nearest_of,omitempty"` // how many training images were looked at
	Rows       int    `json:"rows"`                 // of the grid
	Cols       int    `json:"cols"`
	Sampler    string `json:"sampler"`
	Steps      int    `json:"sampling_steps"`
	Seed       uint64 `json:"seed"`
	Seconds    Float  `json:"seconds"`
}

// Checkpoint says that one was written, or (Error) that it could not be.
type Checkpoint struct {
	Path    string `json:"path"`
	Bytes   int64  `json:"bytes"`
	Seconds Float  `json:"seconds"`
	Error   string `json:"error,omitempty"`
	Warning string `json:"warning,omitempty"` // it was written, but
}

// State is a change of what the trainer is doing, in a word: starting, running, paused, sampling, checkpointing, stopping, done, failed.
type State struct {
	Name string `json:"name"`
}

// Log is a line for people. Level is info, warn or error.
type Log struct {
	Level string `json:"level"`
	Text  string `json:"text"`
	Fault string `json:"fault,omitempty"` // the name of a Fault that training outlives
}

// Eval is one metric of the model as an evaluation found it: by the trainer between two steps, or by the eval command.
type Eval struct {
	Metric  string `json:"metric"`            // loss, bits, swd, frechet, fid, kernel, kid, precision, recall, nearest, memorised
	About   string `json:"about"`             // in words
	Value   Float  `json:"value"`             //
	Err     Float  `json:"err"`               // standard error
	N       int    `json:"n"`                 // images that it rests on
	Against string `json:"against,omitempty"` // the real images
	// Parts are the metric by equal ranges of timesteps, as in Metrics.Buckets, or by level of detail.
	Parts         []Float `json:"parts,omitempty"`
	PartErrs      []Float `json:"part_errs,omitempty"`
	Sampler       string  `json:"sampler,omitempty"`
	SamplingSteps int     `json:"sampling_steps,omitempty"`
	ImagesPerS    Float   `json:"images_per_s,omitempty"` // of sampling
	File          string  `json:"file,omitempty"`         // a picture, relative to the run folder
	Checkpoint    string  `json:"checkpoint,omitempty"`   // what was evaluated, where it was not the trainer's weights of the step
	Seconds       Float   `json:"seconds"`
}

// LossScale is a change of what the loss's gradient is multiplied with.
type LossScale struct {
	Old      Float `json:"old"`
	New      Float `json:"new"`
	Skipped  bool  `json:"skipped,omitempty"`  // the step's gradients were not finite: it changed nothing, and the scale is halved
	Loss     Float `json:"loss"`               // of the step
	GradNorm Float `json:"grad_norm"`          // of the step, null where it is not finite
	InARow   int64 `json:"in_a_row,omitempty"` // steps skipped since the last good one, this one included
	All      int64 `json:"all_skipped"`        // steps skipped since the run began
}

// String says it in words.
func (l *LossScale) String() string {
	if l.Skipped {
		return fmt.Sprintf("the gradients overflowed: the step is skipped, the loss scale halved from %s to %s", PowerOfTwo(l.Old), PowerOfTwo(l.New))
	}
	return fmt.Sprintf("the loss scale is doubled from %s to %s", PowerOfTwo(l.Old), PowerOfTwo(l.New))
}

// PowerOfTwo writes one: as a number if it is a short one.
func PowerOfTwo(f Float) string {
	if v := float64(f); v >= 1 && v <= 1<<20 {
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	_, exp := math.Frexp(float64(f))
	return fmt.Sprintf("2^%d", exp-1)
}

// End closes a run, or a part of one.
type End struct {
	Reason  string `json:"reason"` // done, stopped, failed
	Error   string `json:"error,omitempty"`
	Fault   string `json:"fault,omitempty"` // the name of the Fault that ended it
	Loss    Float  `json:"loss_ema"`
	Seconds Float  `json:"seconds"`
}

// A Command asks the trainer for something between two steps.
type Command struct {
	Name string `json:"name"`
	Edit *Edit  `json:"edit,omitempty"` // of the command "edit"
}

// The commands a screen can send, and Change.
var (
	Pause          = Command{Name: "pause"} // pauses, or goes on if paused
	SampleNow      = Command{Name: "sample"}
	SampleBoth     = Command{Name: "sample-both"} // with the weights that are not averaged too
	SaveCheckpoint = Command{Name: "checkpoint"}
	Stop           = Command{Name: "stop"} // save a checkpoint and end
)

// Change is the command to apply an edit.
func Change(e Edit) Command { return Command{Name: "edit", Edit: &e} }

// Float is a float64 that JSON can carry when it is NaN or infinite (as null; null reads as NaN).
type Float float64

// MarshalJSON writes null for NaN and infinities.
func (f Float) MarshalJSON() ([]byte, error) {
	if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return appendFloat(nil, float64(f)), nil
}

// UnmarshalJSON reads null as NaN.
func (f *Float) UnmarshalJSON(p []byte) error {
	v, err := parseFloat(p)
	*f = Float(v)
	return err
}
