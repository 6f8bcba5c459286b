package run

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var testStart = Event{Start: &Start{Name: "run", Preset: "tiny", Data: "cats.zip", Images: 7, Steps: 100}}

func end(step int64, reason, err string) Event {
	return Event{Step: step, End: &End{Reason: reason, Error: err}}
}

func TestStates(t *testing.T) {
	starting, running := Event{State: &State{Name: "starting"}}, Event{Step: 1, State: &State{Name: "sampling"}}
	for name, c := range map[string]struct {
		events []Event
		locked bool
		want   string
	}{
		"fresh":         {nil, false, Stopped},
		"killed":        {[]Event{starting, testStart, step(1, 1), running}, false, Interrupted},
		"training":      {[]Event{starting, testStart, step(1, 1), running}, true, Running},
		"stopped":       {[]Event{testStart, step(1, 1), end(1, "stopped", "")}, false, Stopped},
		"done":          {[]Event{testStart, step(1, 1), end(1, "done", "")}, false, Done},
		"failed":        {[]Event{testStart, step(1, 1), end(1, "failed", "NaN")}, false, Failed},
		"resumed":       {[]Event{testStart, step(1, 1), end(1, "failed", "NaN"), testStart, step(1, 1), running}, true, Running},
		"killed again":  {[]Event{testStart, end(1, "failed", "NaN"), testStart, step(1, 1)}, false, Interrupted},
		"before step 1": {[]Event{starting}, true, Running},
	} {
		f := create(t)
		l := openLog(t, f)
		appendAll(t, l, c.events...)
		if c.locked {
			lock := must(f.Lock())(t)
			defer func() { _ = lock.Unlock() }() // the folder goes with the test
		}
		i := f.Info()
		if i.State != c.want {
			t.Errorf("%s: %q, want %q", name, i.State, c.want)
		}
		if c.locked && i.PID != os.Getpid() || c.locked && len(c.events) > 3 && i.Doing != "sampling" || !c.locked && (i.PID != 0 || i.Doing != "") {
			t.Errorf("%s: pid %d, doing %q", name, i.PID, i.Doing)
		}
		if (i.Problem == "NaN") != (c.want == Failed) {
			t.Errorf("%s: problem %q", name, i.Problem)
		}
		if len(c.events) == 0 && (!math.IsNaN(i.LossEMA) || i.Updated.IsZero()) {
			t.Errorf("%s: %+v", name, i)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestList(t *testing.T) {
	root := quickDir(t)
	if List(filepath.Join(root, "no")) != nil {
		t.Error("a root that does not exist has runs")
	}
	at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for k, name := range []string{"a", "b", "c"} {
		f := must(Create(filepath.Join(root, name), testConfig{Version: 1}))(t)
		l := openLog(t, f)
		e := step(int64(k+5), 0.5)
		e.Time = at.Add(time.Duration(k) * time.Hour)
		appendAll(t, l, testStart, e)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "other"), 0o777); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "file"), "")
	// A log of a later program is named, not hidden.
	write(t, filepath.Join(root, "b", eventsName), `{"v":2,"kind":"start"}`+"\n")
	list := List(root)
	var got []string
	for _, i := range list {
		got = append(got, i.Name)
	}
	if slices.Sort(got); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Fatalf("listed %q", got)
	}
	for _, i := range list {
		switch i.Name {
		case "a":
			if i.Preset != "tiny" || i.Data != "cats.zip" || i.Images != 7 || i.Step != 5 || i.Steps != 100 || i.LossEMA != 0.5 || !slices.Equal(i.Losses, []float64{0.5}) {
				t.Errorf("%+v", i)
			}
		case "b":
			if !strings.Contains(i.Problem, "version 2") {
				t.Errorf("%+v", i)
			}
		}
	}
	if list[1].Name != "c" || list[2].Name != "a" { // b has no time but its config's, which is now
		t.Errorf("order %q %q %q", list[0].Name, list[1].Name, list[2].Name)
	}
}

// loss is the curve of the long logs below.
func loss(n int64) float64 { return 1 / (1 + float64(n)/5000) }

// longLog writes a run that was resumed from a checkpoint, several megabytes.
func longLog(t testing.TB, f *Folder, steps int64) {
	t.Helper()
	var b strings.Builder
	line := func(step int64, rest string) {
		fmt.Fprintf(&b, `{"v":1,"time":"2025-01-01T00:00:00Z","step":%d,%s}`+"\n", step, rest)
	}
	line(0, `"kind":"start","start":{"preset":"tiny","steps":100}`)
	metrics := func(n int64, v float64) {
		line(n, fmt.Sprintf(`"kind":"step","metrics":{"loss":%g,"loss_ema":%g}`, v, v))
	}
	half := steps / 2
	for n := int64(1); n <= half+half/2; n++ {
		v := loss(n)
		if n > half {
			v = 9 // lost in a crash, and trained again
		}
		metrics(n, v)
	}
	fmt.Fprintf(&b, `{"v":1,"kind":"start","time":"2025-01-01T00:00:00Z","step":%d,"start":{"preset":"tiny","steps":%d}}`+"\n", half, steps)
	for n := half + 1; n <= steps; n++ {
		metrics(n, loss(n))
	}
	b.WriteString(`{"v":1,"kind":"st`) // torn
	write(t, f.Path(eventsName), b.String())
}

func TestInfoOfLongLog(t *testing.T) {
	f := create(t)
	const steps = 60000
	longLog(t, f, steps)
	i := f.Info()
	if i.Step != steps || i.Steps != steps || i.State != Interrupted || i.LossEMA != loss(steps) || i.Problem != "" {
		t.Errorf("%+v", i)
	}
	n := len(i.Losses)
	if n < sparkPoints/2 || n > sparkPoints || i.Losses[n-1] != loss(steps) || i.Losses[0] < loss(2000) {
		t.Errorf("%d losses, %v", n, i.Losses)
	}
	for k := 1; k < n; k++ {
		if i.Losses[k] > i.Losses[k-1] {
			t.Errorf("what was lost in the crash is in the losses: %v", i.Losses)
			break
		}
	}
}

// However the blocks fall, the last start is found.
func TestLastStart(t *testing.T) {
	start := `{"v":1,"kind":"start","time":"2025-01-01T00:00:00Z","step":0,"start":{"steps":77}}` + "\n"
	filler := `{"v":1,"kind":"log","log":{}}` + "\n"
	for _, behind := range append([]int{0, 1, 5000}, seq(256<<10-200, 256<<10+30)...) {
		text := strings.Repeat(filler, 100) + start + strings.Repeat("x", max(behind-1, 0)) + "\n"
		var i Info
		r := strings.NewReader(text)
		if err := i.lastStart(r, r.Size()); err != nil || i.Steps != 77 {
			t.Errorf("with %d bytes behind: %d steps, %v", behind, i.Steps, err)
		}
	}
}

func seq(from, to int) []int {
	var out []int
	for n := from; n < to; n += 3 {
		out = append(out, n)
	}
	return out
}

func TestThin(t *testing.T) {
	var s spark
	for n := int64(1); n <= 1000; n++ {
		s.add(step(n, float64(n)))
		s.add(Event{Step: n, Log: &Log{}})
		s.add(step(n, math.NaN()))
		s.add(step(n, float64(n)))
	}
	_, got := s.thin(11)
	if len(got) != 11 || got[0] != 1 || got[10] != 1000 || !slices.IsSorted(got) || got[5] < 480 || got[5] > 520 {
		t.Errorf("%v", got)
	}
	s.add(Event{Step: 3, Start: &Start{}})
	if _, got := s.thin(11); !slices.Equal(got, []float64{1, 2, 3}) {
		t.Errorf("after going back: %v", got)
	}
}

func BenchmarkInfo(b *testing.B) {
	f := create(b)
	longLog(b, f, 300000)
	for b.Loop() {
		f.Info()
	}
}
