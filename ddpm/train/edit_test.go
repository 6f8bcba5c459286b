package train

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

func ptr(v float64) *float64 { return &v }

// editAfter makes edits after the steps of the map, each once.
func editAfter(t *testing.T, edits map[int64]run.Edit) func(*Trainer, run.Event) {
	return func(tr *Trainer, e run.Event) {
		if e.Metrics == nil {
			return
		}
		if edit, ok := edits[e.Step]; ok {
			delete(edits, e.Step)
			if err := tr.Do(run.Change(edit)); err != nil {
				t.Error(err)
			}
		}
	}
}

// metrics are the last metrics of each step, without what depends on the clock.
func (x *bench) metrics() map[int64]run.Metrics {
	all := map[int64]run.Metrics{}
	for _, e := range x.events {
		if e.Metrics != nil {
			m := *e.Metrics
			m.ImagesPerS, m.StepS, m.ETAS, m.WaitS = 0, 0, 0, 0
			all[e.Step] = m
		}
	}
	return all
}

// edits are the edits in the log.
func (x *bench) edits() (list []run.Event) {
	for _, e := range x.events {
		if e.Edit != nil {
			list = append(list, e)
		}
	}
	return list
}

// drop removes checkpoints, so that a resume goes back.
func (x *bench) drop(names ...string) {
	x.t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(x.folder.Path("checkpoints", name)); err != nil {
			x.t.Fatal(err)
		}
	}
}

// A run that is edited, then goes back to before some of the edits, meets them again at their steps: it computes, shows and saves what
// an unbroken run does that was edited at the same steps.
func TestEditsAreReplayed(t *testing.T) {
	b := processor(t, "", 2)
	edits := func() map[int64]run.Edit {
		return map[int64]run.Edit{
			3: {LR: ptr(3e-3)}, 6: {EMADecay: ptr(0.5), PreviewSeconds: ptr(1e6)}, 8: {LR: ptr(1e-4), EMADecay: ptr(0.25)},
		}
	}
	prepare := func() *bench {
		x := newBench(t, 23)
		x.config.CheckpointSteps, x.config.CheckpointKeep = 5, 100
		return x
	}
	whole := prepare()
	whole.on = editAfter(t, edits())
	if err := whole.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	plain := prepare()
	if err := plain.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	want, _ := whole.weights()
	if other, _ := plain.weights(); sameFiles(want, other) {
		t.Fatal("the edits change nothing")
	}

	// Stopped after step 12, then back to step 5: before two of the edits.
	x := prepare()
	x.on = func(tr *Trainer, e run.Event) {
		if e.Metrics != nil && e.Step == 12 {
			if err := tr.Do(run.Stop); err != nil {
				t.Error(err)
			}
		}
		editAfter(t, edits())(tr, e)
	}
	if err := x.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if n := len(x.edits()); n != 3 {
		t.Fatalf("%d edits in the log", n)
	}
	x.drop("step-00000010", "step-00000012")
	x.on = nil
	if err := x.folder.ReadConfig(x.config); err != nil { // as another process would
		t.Fatal(err)
	}
	if err := x.train(t.Context(), processor(t, "", 1)); err != nil {
		t.Fatal(err)
	}
	if got, step := x.weights(); step != 23 || !sameFiles(got, want) {
		t.Errorf("step %d: the weights are not the unbroken run's", step)
	}
	state := func(x *bench) []byte {
		p, err := os.ReadFile(x.folder.Path("checkpoints", "step-00000023", "state.json"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if !bytes.Equal(state(x), state(whole)) {
		t.Errorf("state.json differs:\n%s\n%s", state(x), state(whole))
	}
	// What the screens show goes on too: the means of loss and of loss by timestep.
	if got, want := x.metrics(), whole.metrics(); !reflect.DeepEqual(sayable(got), sayable(want)) {
		t.Errorf("the metrics differ:\n%v\n%v", sayable(got), sayable(want))
	}
	list := x.edits()
	if len(list) != 5 || list[3].Step != 6 || !list[3].Edit.Again || list[4].Step != 8 || !list[4].Edit.Again {
		t.Errorf("the log has the edits %+v", list)
	}
	var start *run.Start
	for _, e := range x.events {
		if e.Start != nil {
			start = e.Start
		}
	}
	if start.LR != 3e-3 || start.EMADecay != 0.999 {
		t.Errorf("the second start says %+v", start)
	}
}

// sayable replaces numbers that are not equal to themselves.
func sayable(all map[int64]run.Metrics) map[int64]run.Metrics {
	for _, m := range all {
		for i, v := range m.Buckets {
			if v != v {
				m.Buckets[i] = -1
			}
		}
	}
	return all
}

// Going back and changing one's mind: the new edit holds, also where an old one of the same came later.
func TestEditInsteadOfAnother(t *testing.T) {
	b := processor(t, "", 1)
	x := newBench(t, 12)
	x.config.CheckpointSteps, x.config.CheckpointKeep = 3, 100
	x.on = editAfter(t, map[int64]run.Edit{7: {LR: ptr(5)}})
	if err := x.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	x.drop("step-00000009", "step-00000012")
	if err := x.folder.ReadConfig(x.config); err != nil {
		t.Fatal(err)
	}
	x.on, x.options.Edit = nil, run.Edit{LR: ptr(2e-3)} // as resume --lr does
	if err := x.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got, _ := x.weights()

	y := newBench(t, 12)
	y.on = editAfter(t, map[int64]run.Edit{6: {LR: ptr(2e-3)}})
	if err := y.train(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if want, _ := y.weights(); !sameFiles(got, want) {
		t.Error("the run was not changed at step 6 and then left alone")
	}
}

// Edits and commands that make no sense are refused where they are made.
func TestBadEdits(t *testing.T) {
	x := newBench(t, 2)
	x.on = func(tr *Trainer, e run.Event) {
		if e.Metrics == nil || e.Step != 1 {
			return
		}
		for _, c := range []struct {
			c    run.Command
			want string
		}{
			{run.Change(run.Edit{}), "changes nothing"}, {run.Change(run.Edit{LR: ptr(-1)}), "optimizer.lr is -1"},
			{run.Change(run.Edit{EMADecay: ptr(2)}), "ema.decay is 2"}, {run.Change(run.Edit{PreviewSeconds: ptr(-1)}), "preview.seconds"},
			{run.Command{Name: "dance"}, `"dance"`},
		} {
			if err := tr.Do(c.c); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v, want %q", c.c, err, c.want)
			}
		}
	}
	if err := x.train(t.Context(), processor(t, "", 1)); err != nil {
		t.Fatal(err)
	}
	if len(x.edits()) != 0 {
		t.Error("a bad edit was made")
	}
}

// An edit that cannot be logged is not made: a resume would not know of it.
func TestEditNeedsTheLog(t *testing.T) {
	x := newBench(t, 4)
	var config *Config
	x.on = func(tr *Trainer, e run.Event) {
		config = tr.Config
		if e.Metrics != nil && e.Step == 2 {
			if err := tr.log.Close(); err != nil { // as good as a full disk: nothing can be appended
				t.Error(err)
			}
			if err := tr.Do(run.Change(run.Edit{LR: ptr(7e-3)})); err != nil {
				t.Error(err)
			}
		}
	}
	err := x.train(t.Context(), processor(t, "", 1))
	if !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
	said := false
	for _, e := range x.lost {
		said = said || e.Log != nil && e.Log.Fault == run.FaultDisk.Name && strings.Contains(e.Log.Text, "learning rate 0.007 was not changed")
	}
	if !said || config.Optimizer.LR == 7e-3 {
		t.Errorf("learning rate %v; said: %+v", config.Optimizer.LR, x.lost)
	}
}
