package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// stepLine is what --json prints for every step.
type stepLine struct {
	Step       int64     `json:"step"`
	Loss       run.Float `json:"loss"`
	LossEMA    run.Float `json:"loss_ema"`
	LR         run.Float `json:"lr"`
	GradNorm   run.Float `json:"grad_norm"`
	ImagesPerS run.Float `json:"images_per_s"`
	ETAS       run.Float `json:"eta_s"`
	Backend    string    `json:"backend"`
	Device     string    `json:"device"`

	Ranks     int            `json:"ranks"` // processes that share each batch
	CommShare run.Float      `json:"comm_share,omitempty"`
	LossScale run.Float      `json:"loss_scale,omitempty"` // under loss scaling: that the step had
	Skipped   bool           `json:"skipped,omitempty"`    // and that it changed nothing
	PerRank   []run.RankWork `json:"per_rank,omitempty"`
}

// jsonEvents prints an object a step, and on errs what a person should know.
func jsonEvents(w, errs io.Writer) func(run.Event) {
	enc := json.NewEncoder(w)
	var start run.Start
	return func(e run.Event) {
		switch {
		case e.Start != nil:
			start = *e.Start
		case e.Metrics != nil:
			m := e.Metrics
			_ = enc.Encode(stepLine{
				e.Step, m.Loss, m.LossEMA, m.LR, m.GradNorm, m.ImagesPerS, m.ETAS, start.Backend, start.Device, max(1, m.Ranks), m.CommShare, m.LossScale, m.Skipped, m.PerRank,
			}) // w sees to errors
		case e.Checkpoint != nil && e.Checkpoint.Error != "":
			fmt.Fprintf(errs, "step %d: no checkpoint: %s\n", e.Step, e.Checkpoint.Error)
		case e.Log != nil && e.Log.Level != "info":
			fmt.Fprintf(errs, "%s: %s\n", e.Log.Level, e.Log.Text)
		}
	}
}

// plainEvents prints a line now and then: every step at first, and then every so often (0: every step). What a person should know
// goes to errs.
func plainEvents(w, errs io.Writer, often time.Duration) func(run.Event) {
	var last time.Time
	var total int64
	return func(e run.Event) {
		switch {
		case e.Start != nil:
			s := e.Start
			total = s.Steps
			fmt.Fprintf(w, "%s: %d images of %dx%d (%s), batch %d, %.2f M parameters, %.3f GMAC an image, T=%d %s\n",
				s.Name, s.Images, s.Size, s.Size, s.Data, s.Batch, float64(s.Parameters)/1e6, float64(s.MACs)/1e9, s.T, s.Schedule)
			fmt.Fprintf(w, "on %s, %s of memory planned\n", s.On(), model.Bytes(s.PlanBytes))
			for i, r := range s.Ranks {
				fmt.Fprintf(w, "rank %d of %d: on %s, %s, %d images of each batch, %s planned, %s free\n",
					i, len(s.Ranks), r.Host, r.Device, r.Images, model.Bytes(r.PlanBytes), model.Bytes(r.FreeBytes))
			}
		case e.Metrics != nil:
			if e.Step > 3 && time.Since(last) < often && e.Step != total {
				return
			}
			last = time.Now()
			m := e.Metrics
			together := ""
			if m.Ranks > 1 {
				together = fmt.Sprintf("  %d ranks, %.0f%% waiting", m.Ranks, 100*m.CommShare)
			}
			fmt.Fprintf(w, "step %d/%d  loss %.4f  ema %.4f  lr %.2g  grad %.3f  %.1f img/s  %s left%s\n",
				e.Step, total, m.Loss, m.LossEMA, m.LR, m.GradNorm, m.ImagesPerS, duration(float64(m.ETAS)), together)
		case e.Reading != nil:
			if r := e.Reading; time.Since(last) > max(often, 2*time.Second) {
				last = time.Now()
				fmt.Fprintf(w, "reading images: %d of %d, %d skipped\n", r.Done, r.Total, r.Skipped)
			}
		case e.Edit != nil:
			fmt.Fprintf(w, "step %d: %s\n", e.Step, e.Edit)
		case e.Preview != nil:
			fmt.Fprintf(w, "step %d: preview %s (%.1f s)\n", e.Step, e.Preview.Samples, e.Preview.Seconds)
		case e.Checkpoint != nil && e.Checkpoint.Error != "":
			fmt.Fprintf(errs, "step %d: no checkpoint: %s\n", e.Step, e.Checkpoint.Error)
		case e.Checkpoint != nil:
			fmt.Fprintf(w, "step %d: checkpoint %s, %s in %.2f s\n", e.Step, e.Checkpoint.Path, model.Bytes(e.Checkpoint.Bytes), e.Checkpoint.Seconds)
		case e.Eval != nil:
			fmt.Fprintf(w, "step %d: %s %s (%d images, against %s, %.1f s)\n", e.Step, e.Eval.Metric, plusMinus(float64(e.Eval.Value), float64(e.Eval.Err)), e.Eval.N, e.Eval.Against, e.Eval.Seconds)
		case e.Log != nil && e.Log.Level != "info":
			fmt.Fprintf(errs, "%s: %s\n", e.Log.Level, e.Log.Text)
		case e.Log != nil:
			fmt.Fprintf(w, "%s: %s\n", e.Log.Level, e.Log.Text)
		case e.LossScale != nil:
			fmt.Fprintf(w, "step %d: %s\n", e.Step, e.LossScale)
		case e.End != nil && e.End.Error == "":
			fmt.Fprintf(w, "%s at step %d after %s, loss %.4f\n", e.End.Reason, e.Step, duration(float64(e.End.Seconds)), e.End.Loss)
		}
	}
}

// duration writes seconds for people.
func duration(s float64) string {
	if !(s >= 0 && s < 1e9) {
		return "?"
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}
