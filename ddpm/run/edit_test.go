package run

import (
	"os"
	"slices"
	"testing"
)

func ptr(v float64) *float64 { return &v }

// A new edit takes the place of what later steps, which the run has given up, set of the same.
func TestEditsAdd(t *testing.T) {
	var list Edits
	for _, e := range []EditAt{
		{10, Edit{LR: ptr(1)}}, {30, Edit{LR: ptr(2), EMADecay: ptr(0.9)}}, {50, Edit{LR: ptr(3)}}, // then back to a checkpoint
		{20, Edit{LR: ptr(4)}}, {20, Edit{PreviewSeconds: ptr(5)}},
	} {
		list = list.Add(e.Step, e.Edit)
	}
	var got []string
	for _, e := range list {
		got = append(got, stepName(e.Step)+" "+e.String())
	}
	want := []string{
		"step-00000010 learning rate 1", "step-00000020 learning rate 4", "step-00000020 seconds between previews 5", "step-00000030 EMA decay 0.9",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Edits are found among other events, lines that are none and a torn one; those met again are in the log already.
func TestReadEdits(t *testing.T) {
	dir := quickDir(t)
	f := &Folder{dir: dir}
	if list, err := f.ReadEdits(); err != nil || len(list) != 0 {
		t.Fatal(list, err)
	}
	log, _, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []Event{
		{Step: 1, Log: &Log{Text: `"kind":"edit"`}}, {Step: 7, Edit: &Edit{LR: ptr(1e-3)}}, {Step: 9, Edit: &Edit{EMADecay: ptr(0.5)}},
		{Step: 5, Start: &Start{}}, {Step: 7, Edit: &Edit{LR: ptr(1e-3), Again: true}}, {Step: 8, Edit: &Edit{EMADecay: ptr(0.25)}},
	} {
		if err := log.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(f.Path(eventsName))
	if err != nil {
		t.Fatal(err)
	}
	write(t, f.Path(eventsName), string(before)+"{\"kind\":\"edit\",junk\n{\"v\":1,\"kind\":\"edit\",\"st")
	list, err := f.ReadEdits()
	if err != nil || len(list) != 2 || list[0].Step != 7 || *list[0].LR != 1e-3 || list[1].Step != 8 || *list[1].EMADecay != 0.25 {
		t.Errorf("%+v, %v", list, err)
	}
}
