package tui

import (
	"context"
	"errors"
	"image"
	"image/color"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// testTime is when tests happen.
var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeSource is a run without a trainer.
type fakeSource struct {
	events chan run.Event
	frames chan Frame
	sent   chan run.Command
	err    error
}

func newSource() *fakeSource {
	return &fakeSource{events: make(chan run.Event, 100), frames: make(chan Frame, 10), sent: make(chan run.Command, 100)}
}

func (s *fakeSource) Events() <-chan run.Event { return s.events }
func (s *fakeSource) Frames() <-chan Frame     { return s.frames }
func (s *fakeSource) Send(c run.Command) error { s.sent <- c; return s.err }

// tiles is an image of rows by cols tiles of 8 pixels, each of its own colour.
func tiles(rows, cols int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 8*cols, 8*rows))
	for y := range 8 * rows {
		for x := range 8 * cols {
			m.SetRGBA(x, y, color.RGBA{uint8(x/8*255/cols + x%8), uint8(y / 8 * 255 / rows), uint8(x * y), 255})
		}
	}
	return m
}

// history is the events of a run that has done some steps.
func history(steps int) []run.Event {
	events := []run.Event{
		{V: 1, Time: testTime, State: &run.State{Name: "starting"}},
		{V: 1, Time: testTime, Start: &run.Start{
			Name: "avatars32-a", Preset: "avatars32", Data: "the avatars", Images: 2048, Size: 32, Channels: 3, Batch: 64, Steps: 20000, T: 1000,
			Schedule: "cosine", Parameters: 2740000, Backend: "cpu", Device: "AVX-512, 2 threads", PlanBytes: 1288490188,
		}},
	}
	ema := 1.0
	for i := 1; i <= steps; i++ {
		loss := .03 + math.Exp(-float64(i)/50)*(1+.3*math.Sin(float64(i*i)))
		ema += .05 * (loss - ema)
		m := &run.Metrics{
			Loss: run.Float(loss), LossEMA: run.Float(ema), LR: 1e-3, GradNorm: .41, Clipped: i%50 == 0, ImagesPerS: 118, StepS: .54,
			ETAS: run.Float(.54 * float64(20000-i)), Buckets: []run.Float{.5, .3, run.Float(math.NaN()), .1, .05},
		}
		events = append(events, run.Event{V: 1, Time: testTime, Step: int64(i), Metrics: m})
	}
	return append(events,
		run.Event{V: 1, Time: testTime, Step: int64(steps), Checkpoint: &run.Checkpoint{Path: "runs/a/step-300", Bytes: 33 << 20}},
		run.Event{V: 1, Time: testTime, Step: int64(steps), Log: &run.Log{Level: "warn", Text: "evil \x1b[31mname\x1b]0;x\a \ue0f0\ue0f1 \u202e"}})
}

func frames() []Frame {
	return []Frame{
		{Name: Samples, Step: 300, Image: tiles(4, 4), Rows: 4, Cols: 4},
		{Name: Trajectory, Step: 300, Image: tiles(1, 10), Rows: 1, Cols: 10, Caption: "noise → image"},
	}
}

var errTest = errors.New("it \x1b[31mfailed")

// screens are all screens, with something to show.
func screens() map[string]func() screen {
	return map[string]func() screen{
		"training": func() screen {
			m := newTraining(newSource(), Options{Title: "a"})
			m.update(batchMsg[run.Event]{items: history(300)})
			m.update(batchMsg[Frame]{items: frames()})
			return m
		},
		"tab samples": atTab(tabSamples), "tab sampler": atTab(tabSampler), "tab system": atTab(tabSystem), "tab runs": atTab(tabRuns),
		"tab logs": atTab(tabLogs), "tab config": atTab(tabConfig),
		"reading": func() screen {
			m := newTraining(newSource(), Options{Title: "a"})
			m.update(batchMsg[run.Event]{items: []run.Event{{V: 1, Reading: &run.Reading{Done: 1234, Total: 20000, Skipped: 3}}}})
			return m
		},
		"asking": func() screen {
			m := newTraining(newSource(), Options{Title: "a"})
			m.update(batchMsg[run.Event]{items: history(30)})
			m.ask()
			return m
		},
		"lab": func() screen { return idleLab() }, "lab at work": func() screen { return labMoments(3) },
		"starting": func() screen { return newTraining(newSource(), Options{Title: "a"}) },
		"ended": func() screen {
			m := newTraining(newSource(), Options{Next: []string{"ddpm-tui sample runs/a"}})
			m.update(batchMsg[run.Event]{items: history(30)})
			end := &run.End{Reason: "failed", Error: "loss is NaN at step 31", Loss: run.Float(math.NaN()), Seconds: 90}
			m.update(batchMsg[run.Event]{items: []run.Event{{V: 1, Time: testTime, Step: 30, End: end}}, closed: true})
			return m
		},
		"sampling": func() screen {
			m := newSampling(nil, Options{Title: "a"})
			m.update(batchMsg[SampleFrame]{items: []SampleFrame{{Step: 20, Steps: 50, T: 600, Xt: tiles(4, 4), X0: tiles(4, 4), Rows: 4, Cols: 4, ImagesPerS: 3.2}}})
			return m
		},
		"sampled": func() screen {
			m := newSampling(nil, Options{Title: "a", Next: []string{"next"}})
			m.update(batchMsg[SampleFrame]{items: []SampleFrame{{Step: 50, Steps: 50, Xt: tiles(4, 4), Done: true, Saved: "grid.png", Err: errTest}}, closed: true})
			return m
		},
		"home": func() screen {
			var runs []RunInfo
			for i := range 40 {
				runs = append(runs, RunInfo{Name: "run \x1b[1m" + strings.Repeat("日本", i), State: "done", Step: int64(i) * 1000, Steps: 20000, Loss: []float64{1, .5, math.NaN(), .1}, LossEMA: .1, Updated: testTime})
			}
			return newHome(runs, []string{"tiny", "avatars32"})
		},
		"pick": func() screen {
			runs := []RunInfo{{Name: "run \x1b[1m日本", State: "running", Step: 1000, Steps: 20000, Loss: []float64{1, math.NaN(), .1}, LossEMA: .1, Updated: testTime}, {Name: "b", State: "done"}}
			return &pick{list: func() []RunInfo { return runs }, title: "runs of x", runs: runs}
		},
		"watched": func() screen {
			m := newTraining(newSource(), Options{Title: "a", ReadOnly: true})
			m.update(batchMsg[run.Event]{items: history(30)})
			return m
		},
		"home with samples": func() screen {
			h := newHome([]RunInfo{{Name: "a", Dir: "a", Step: 5, Steps: 10, Sample: "s.png", SampleRows: 2, SampleCols: 2}, {Name: "b", Dir: "b"}}, nil)
			h.desk.Last = func(RunInfo) (image.Image, error) { return tiles(2, 2), nil }
			h.update(h.init()())
			return h
		},
		"form": func() screen {
			h := newHome(nil, []string{"tiny", "avatars32"})
			h.open()
			return h
		},
		"form that looks": func() screen {
			h := newHome(nil, []string{"tiny", "avatars32"})
			h.desk = *testDesk()
			h.open()
			h.update(keyMsg("enter"))
			return h
		},
		"form that has looked": func() screen {
			h := newHome(nil, []string{"tiny", "avatars32"})
			h.desk = *testDesk()
			h.open()
			h.form.look(h.desk)
			info, err := h.desk.Look(context.Background(), "tiny", "", func(int, int, int) {})
			h.update(lookMsg{of: h.form.request(), info: info, err: err})
			return h
		},
		"data": func() screen {
			info := DataInfo{Path: "pic\x1b[2Jtures", Count: 1234, Side: 32, Mean: tiles(1, 1), Sheet: tiles(4, 8), Rows: 4, Cols: 8, Sizes: []SizeCount{{64, 64, 1200}, {3, 7, 34}}}
			for range 30 {
				info.Skipped = append(info.Skipped, Skipped{"bad\n\x1b[31m.png", "truncated"})
			}
			return newData(info)
		},
	}
}

// testDesk is a desk with something of everything.
func testDesk() *Desk {
	return &Desk{
		Open: func(path string) (image.Image, error) {
			if strings.Contains(path, "gone") {
				return nil, errTest
			}
			return tiles(1+len(path)%3, 3), nil
		},
		Look: func(_ context.Context, _, path string, progress func(done, total, skipped int)) (DataInfo, error) {
			progress(3, 10, 1)
			if path == "gone" {
				return DataInfo{}, errTest
			}
			return DataInfo{Path: "pic\x1b[2Jtures", Count: 1234, Side: 32, Mean: tiles(1, 1), Sheet: tiles(4, 8), Rows: 4, Cols: 8, Sizes: []SizeCount{{64, 64, 1200}}, Skipped: []Skipped{{"bad\n.png", "truncated"}}}, nil
		},
		Runs: func() []RunInfo {
			return []RunInfo{
				{Name: "a \x1b[1m", Dir: "a", State: "running", Step: 300, Steps: 20000, Loss: []float64{1, .3, .1}, LossAt: []int64{10, 100, 300}, LossEMA: .1},
				{Name: strings.Repeat("日本", 30), Dir: "b", State: "done", Step: 900, Steps: 900, Loss: []float64{1, math.NaN(), .2}, LossEMA: .2},
				{Name: "c", Dir: "c", State: "failed", LossEMA: math.NaN()},
			}
		},
		Config: func(dir string) ([]Setting, error) {
			switch dir {
			case "":
				return []Setting{{"batch", "64"}, {"optimizer.lr", "0.001"}, {"only.mine", "x\x1b[2J"}}, nil
			case "c":
				return nil, errTest
			}
			return []Setting{{"batch", "32"}, {"optimizer.lr", "0.001"}, {"only.theirs", strings.Repeat("y", 400)}}, nil
		},
		Samplers: []string{"ddpm", "ddim", "heun"},
		Sample: func(ctx context.Context, r SampleRequest) (<-chan SampleFrame, error) {
			ch := make(chan SampleFrame, 3)
			for i := range 3 {
				ch <- SampleFrame{Step: i + 1, Steps: 3, T: 900 - 300*i, Xt: tiles(2, 2), X0: tiles(2, 2), Rows: 2, Cols: 2}
			}
			close(ch)
			return ch, nil
		},
		Save: func(name string, list []image.Image) (string, error) { return name + ".png", nil },
	}
}

// deskMessages are what the commands of the tabs bring.
func deskMessages() []tea.Msg {
	d := testDesk()
	frames, _ := d.Sample(context.Background(), SampleRequest{})
	var got []SampleFrame
	for f := range frames {
		got = append(got, f)
	}
	mine, _ := d.Config("")
	other, _ := d.Config("b")
	return []tea.Msg{
		runsMsg{d.Runs()}, runsMsg{}, diffMsg{of: "b", mine: mine, other: other}, diffMsg{of: "c", err: errTest}, configMsg{settings: mine}, configMsg{err: errTest},
		shotMsg{step: 300, shots: []shot{{shotEMA, tiles(2, 2), 2, 2}, {shotStrip, tiles(1, 8), 1, 8}}},
		shotMsg{step: -301, shots: []shot{{shotEMA, tiles(2, 2), 2, 2}, {shotRaw, tiles(2, 2), 2, 2}, {shotNearest, tiles(2, 2), 2, 2}, {shotStrip, tiles(1, 8), 1, 8}}},
		shotMsg{step: 300, err: errTest}, beganMsg{run: 1, frames: frames}, beganMsg{run: 1, err: errTest}, framesMsg{1, batchMsg[SampleFrame]{items: got, closed: true}},
		savedMsg{path: "x\x1b.png"}, savedMsg{err: errTest},
		lookMsg{of: request{"avatars32", ""}, info: DataInfo{Count: 3, Sheet: tiles(2, 2), Rows: 2, Cols: 2}}, lookMsg{of: request{"tiny", ""}, err: errTest},
	}
}

// deskEvents are events that fill the tabs.
func deskEvents() []run.Event {
	lr := 5e-4
	return []run.Event{
		{V: 1, Time: testTime, Step: 200, Preview: &run.Preview{Samples: "p/200.png", Trajectory: "p/200-xt.png", Rows: 4, Cols: 4, Sampler: "ddim", Steps: 50}},
		{V: 1, Time: testTime, Step: 300, Preview: &run.Preview{Samples: "p/300.png", Raw: "p/300-raw.png", Nearest: "p/300-near.png", NearestOf: 2048, Trajectory: "p/300-xt.png", Rows: 4, Cols: 4, Sampler: "ddim", Steps: 50}},
		{V: 1, Time: testTime, Step: 300, Edit: &run.Edit{LR: &lr}},
		{V: 1, Time: testTime, Step: 300, Timings: &run.Timings{StepS: .5, Ops: []run.OpTime{{Op: "conv2d", Calls: 40, Seconds: .3, GFLOPS: 80}, {Op: "evil\x1b[2J", Calls: 1, Seconds: run.Float(math.NaN())}}}},
	}
}

// atTab is the training screen with a desk, at one of its tabs, with all that its commands bring.
func atTab(n int) func() screen {
	return func() screen {
		m := newTraining(newSource(), Options{Title: "a", Desk: testDesk()})
		m.update(batchMsg[run.Event]{items: append(history(300), deskEvents()...)})
		m.update(batchMsg[Frame]{items: frames()})
		m.start.Memory = []run.Part{{Name: "arena", Bytes: 1 << 30}, {Name: "params", Bytes: 11 << 20}}
		follow(m, m.show(n))
		if n == tabSampler {
			follow(m, m.places[tabSampler].(*samplerTab).start(m))
		}
		return m
	}
}

// follow runs a command of a tab and what follows from it.
func follow(m *training, cmd tea.Cmd) {
	for cmd != nil {
		cmd = m.update(cmd())
	}
}

// testShell is a shell around a screen, without a terminal.
func testShell(t testing.TB, in screen, opt Options, w, h int) *shell {
	t.Helper()
	if opt.Env == nil {
		opt.Env = []string{"TERM=xterm-256color"}
	}
	s, err := newShell(context.Background(), in, picture.NewScreen(io.Discard), opt, picture.TrueColour)
	if err != nil {
		t.Fatal(err)
	}
	s.clock = func() time.Time { return testTime.Add(time.Hour) }
	send(s, tea.WindowSizeMsg{Width: w, Height: h})
	return s
}

// send gives a message to a shell and does the encoding that follows from it at once.
func send(s *shell, msg tea.Msg) {
	s.Update(msg)
	encode(s)
}

// encode does what the commands of the gallery would do.
func encode(s *shell) {
	for range 3 {
		for name, a := range s.gallery.art {
			if a.busy {
				pic, err := picture.EncodeWithin(a.sheet, a.want.mode, a.want.opt, firstImage, 0, 0)
				if err != nil {
					panic(err)
				}
				s.Update(encodedMsg{name, a.want, pic, false})
			}
		}
	}
}

func press(s *shell, keys ...string) {
	for _, k := range keys {
		send(s, keyMsg(k))
	}
}

func keyMsg(name string) tea.KeyPressMsg {
	codes := map[string]rune{"tab": tea.KeyTab, "enter": tea.KeyEnter, "esc": tea.KeyEscape, "up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "pgup": tea.KeyPgUp, "pgdown": tea.KeyPgDown, "backspace": tea.KeyBackspace}
	if c, ok := codes[name]; ok {
		return tea.KeyPressMsg{Code: c}
	}
	if name == "ctrl+c" {
		return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	}
	r := []rune(name)[0]
	return tea.KeyPressMsg{Code: r, Text: name}
}

// check looks at the frame as a whole: as many lines as rows, none wider than the screen, no control characters but SGR, and every
// placeholder inside a placement.
func check(t testing.TB, s *shell) {
	t.Helper()
	content := s.View().Content
	lines := strings.Split(content, "\n")
	if len(lines) != s.h {
		t.Fatalf("%d lines on %d rows\n%s", len(lines), s.h, content)
	}
	covered := map[[2]int]bool{}
	for _, p := range s.pics {
		for y := range p.Picture.Rows {
			for x := range p.Picture.Cols {
				covered[[2]int{p.X + x, p.Y + y}] = true
			}
		}
	}
	for y, l := range lines {
		if n := width(l); n > s.w {
			t.Fatalf("line %d has %d cells of %d: %q", y, n, s.w, l)
		}
		plain := stripSGR(l)
		x := 0
		held := strings.ContainsFunc(plain, picture.IsPlaceholder)
		for _, r := range plain {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				t.Fatalf("line %d has the control character %q: %q", y, r, l)
			}
			if picture.IsPlaceholder(r) && !covered[[2]int{x, y}] {
				t.Fatalf("line %d has a placeholder without a picture: %q", y, l)
			}
			if held {
				x += width(string(r))
			}
		}
	}
}

// stripSGR takes colours out, and nothing else.
func stripSGR(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if strings.HasPrefix(s[i:], "\x1b[") {
			j := i + 2
			for j < len(s) && (s[j] >= '0' && s[j] <= '9' || s[j] == ';') {
				j++
			}
			if j < len(s) && s[j] == 'm' {
				i = j + 1
				continue
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}
