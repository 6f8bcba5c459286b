package tui

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	uv "github.com/charmbracelet/ultraviolet"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

var (
	withSixel = uv.PrimaryDeviceAttributesEvent{63, 1, 4, 22}
	cell8x15  = uv.CellSizeEvent{Width: 8, Height: 15}
)

// The key facts are on the training screen at the sizes people use, in every way to show pictures.
func TestTrainingFacts(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 40}, {200, 60}, {60, 15}, {40, 12}} {
		for _, images := range []string{"auto", "sixel", "blocks", "256", "ascii", "off"} {
			s := testShell(t, screens()["training"](), Options{Images: images}, size[0], size[1])
			send(s, cell8x15)
			send(s, withSixel)
			check(t, s)
			all := stripSGR(s.content)
			want := []string{"RUNNING", "300/20k", "loss", "average", "0.41", "118", "0.54", "2h57m left"}
			if size[1] >= 24 {
				want = append(want, "avatars32-a", "1.5%", "1.2 GiB planned", "AVX-512", "loss by timestep", "t = 1 … 1000", "[1 Train]", "2 Samples", "p pause", "? help", "q quit",
					"evil �[31mname", "step 300")
			}
			if size[1] >= 40 {
				want = append(want, "clip 2%", "noise → image", "saved runs/a/step-300 (33.0 MiB in 0.00 s)")
			}
			for _, f := range want {
				if !strings.Contains(all, f) {
					t.Errorf("%v %s: no %q in\n%s", size, images, f, all)
				}
			}
			pictures := 0
			if size[1] >= 24 && (images == "sixel" || images == "auto") {
				pictures = 1
			}
			if pictures == 1 && size[1] >= 40 {
				pictures = 2
			}
			if len(s.pics) != pictures {
				t.Errorf("%v %s: %d pictures, want %d", size, images, len(s.pics), pictures)
			}
		}
	}
}

// No size is too small or too large, for any screen and any tab.
func TestEverySize(t *testing.T) {
	for name, make := range screens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, images := range []string{"sixel", "blocks", "off"} {
				if images != "sixel" && name != "training" && name != "data" {
					continue // no other layout
				}
				s := testShell(t, make(), Options{Images: images}, 80, 24)
				s.Update(uv.CellSizeEvent{Width: 4, Height: 6}) // small pictures: encoding is the slow part
				heights := []int{1, 2, 3, 4, 6, 9, 14, 15, 16, 20, 24, 32, 46, 60, 100}
				every, seldom, often := os.Getenv("DDPM_EVERY_SIZE") != "", 11, 1 // for docs/terminal.md: all 30,000 of them
				if every {
					heights, seldom, often = nil, 53, 7
					for h := 1; h <= 100; h++ {
						heights = append(heights, h)
					}
				}
				for _, h := range heights {
					for w := 1; w <= 300; w++ {
						if !every && w > 1 {
							w = min(300, w+w/3)
						}
						s.Update(tea.WindowSizeMsg{Width: w, Height: h})
						check(t, s)
						if (w+h)%seldom == 0 {
							encode(s)
							check(t, s)
						}
						for _, k := range []string{"tab", "?"} {
							if (w+3*h)%often != 0 || k == "tab" && strings.HasPrefix(name, "tab ") {
								continue
							}
							s.Update(keyMsg(k))
							check(t, s)
						}
					}
				}
			}
		})
	}
}

// Whatever keys, sizes and events come, in any order, every frame is a good one.
func FuzzScreens(f *testing.F) {
	f.Add(uint64(1), 200)
	f.Add(uint64(2), 200)
	f.Add(uint64(3), 200)
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		names := []string{}
		for name := range screens() {
			names = append(names, name)
		}
		slices.Sort(names)
		s := testShell(t, screens()[names[rnd.IntN(len(names))]](), Options{}, 80, 24)
		keys := []string{"?", "i", "x", "y", "n", "s", "p", "c", "1", "2", "3", "4", "5", "6", "7", "[", "]", "b", "e", "a", "/", "w", "W", "v", "+", "-", "f", "g", "T", "z", "I", "m", "m", "S", "h", "l", "space", "r", "tab", "enter", "esc", "up", "down", "left", "right", "pgup", "pgdown", "backspace", "q", "ctrl+c", "é", "日"}
		for range min(max(n, 0), 500) {
			var msg tea.Msg
			switch rnd.IntN(11) {
			case 10:
				m := tea.Mouse{X: rnd.IntN(240) - 5, Y: rnd.IntN(80) - 5, Button: []tea.MouseButton{tea.MouseLeft, tea.MouseRight, tea.MouseWheelUp, tea.MouseWheelDown}[rnd.IntN(4)]}
				msg = []tea.Msg{tea.MouseClickMsg(m), tea.MouseWheelMsg(m), tea.MouseReleaseMsg(m)}[rnd.IntN(3)]
			case 0:
				msg = tea.WindowSizeMsg{Width: 1 + rnd.IntN(220), Height: 1 + rnd.IntN(70)}
			case 1:
				msg = []tea.Msg{withSixel, cell8x15, uv.PixelSizeEvent{Width: rnd.IntN(4000), Height: rnd.IntN(4000)}, uv.UnknownCsiEvent("\x1b[?1;0;16S")}[rnd.IntN(4)]
			case 2:
				h := history(10)
				msg = batchMsg[run.Event]{items: h[rnd.IntN(len(h)):], closed: rnd.IntN(20) == 0}
			case 3:
				msg = batchMsg[Frame]{items: frames()[rnd.IntN(2):]}
			case 4:
				msg = batchMsg[SampleFrame]{items: []SampleFrame{{Step: rnd.IntN(99), Steps: rnd.IntN(99), Xt: tiles(1+rnd.IntN(4), 2), Rows: rnd.IntN(6), Cols: rnd.IntN(6)}}}
			case 5:
				msg = tea.PasteMsg{Content: "pasted \x1b[31m\n\ue0f3 text"}
			case 6:
				msg = tickMsg{}
			case 7:
				msg = deskMessages()[rnd.IntN(len(deskMessages()))]
			default:
				msg = keyMsg(keys[rnd.IntN(len(keys))])
			}
			if rnd.IntN(4) == 0 {
				send(s, msg)
			} else {
				s.Update(msg)
			}
			check(t, s)
		}
	})
}

// Without colours there is no colour, and numbers instead of pictures.
func TestNoColor(t *testing.T) {
	for name, make := range screens() {
		for _, opt := range []Options{{NoColor: true}, {Env: []string{"NO_COLOR=1", "TERM=xterm"}}} {
			s := testShell(t, make(), opt, 120, 40)
			send(s, withSixel)
			for _, tab := range []string{"1", "2", "3", "4", "5", "6", "7"} {
				press(s, tab)
				check(t, s)
				for rest := s.content; ; {
					_, after, ok := strings.Cut(rest, "\x1b[")
					if !ok {
						break
					}
					sgr, _, _ := strings.Cut(after, "m")
					for p := range strings.SplitSeq(sgr, ";") {
						if !slices.Contains([]string{"", "0", "1", "2", "7"}, p) {
							t.Fatalf("%s: SGR %q", name, sgr)
						}
					}
					rest = after
				}
				if len(s.pics) != 0 {
					t.Errorf("%s: pictures", name)
				}
			}
			if name == "training" {
				press(s, "1")
				if !strings.Contains(s.content, "mean  dev  min  max") {
					t.Errorf("no numbers for the samples:\n%s", s.content)
				}
			}
		}
	}
}

func TestImageModes(t *testing.T) {
	s := testShell(t, screens()["training"](), Options{}, 120, 40)
	if s.gallery.mode != picture.HalfBlocks {
		t.Errorf("before the terminal answers: %v", s.gallery.mode)
	}
	send(s, withSixel)
	if s.gallery.mode != picture.Sixel || len(s.pics) != 2 {
		t.Errorf("after it has: %v, %d pictures", s.gallery.mode, len(s.pics))
	}
	var seen []string
	for range 5 {
		press(s, "i")
		seen = append(seen, s.gallery.mode.String())
	}
	if fmt.Sprint(seen) != "[blocks 256 ascii off sixel]" {
		t.Error(seen)
	}
	press(s, "i")
	send(s, withSixel) // a person's choice stays
	if s.gallery.mode != picture.HalfBlocks {
		t.Error(s.gallery.mode)
	}
	if _, err := newShell(t.Context(), nil, nil, Options{Images: "nonsense"}, 0); err == nil {
		t.Error("nonsense is no mode")
	}
}

// The help is the key table.
func TestHelp(t *testing.T) {
	s := testShell(t, screens()["training"](), Options{}, 80, 24)
	press(s, "?")
	check(t, s)
	for _, b := range s.table() {
		if !strings.Contains(stripSGR(s.content), b.help) {
			t.Errorf("no %q in\n%s", b.help, stripSGR(s.content))
		}
	}
	press(s, "esc")
	if !strings.Contains(s.content, "loss by timestep") {
		t.Error("still the help")
	}
	seen := map[string]bool{}
	for _, b := range s.table() {
		for _, k := range b.keys {
			if seen[k] {
				t.Errorf("two meanings of %s", k)
			}
			seen[k] = true
		}
	}
}

func TestTrainingKeys(t *testing.T) {
	src := newSource()
	m := newTraining(src, Options{})
	s := testShell(t, m, Options{}, 80, 24)
	send(s, batchMsg[run.Event]{items: history(5)})
	for key, want := range map[string]run.Command{"p": run.Pause, "s": run.SampleNow, "c": run.SaveCheckpoint} {
		b, _ := find(s.table(), key)
		msg := b.do()()
		if got := <-src.sent; got != want {
			t.Errorf("%s sent %s", key, got)
		}
		send(s, msg)
	}
	src.err = errors.New("no trainer")
	b, _ := find(s.table(), "c")
	send(s, b.do()())
	<-src.sent
	if !strings.Contains(stripSGR(s.content), "error checkpoint: no trainer") {
		t.Errorf("the failure is not shown:\n%s", s.content)
	}
	src.err = nil

	// q asks the trainer to stop, and the screen leaves when it has.
	b, _ = find(s.table(), "q")
	send(s, b.do()())
	if got := <-src.sent; got != run.Stop {
		t.Errorf("q sent %s", got)
	}
	if !strings.Contains(s.content, "saving a checkpoint") {
		t.Errorf("not said:\n%s", s.content)
	}
	if cmd := m.update(batchMsg[run.Event]{closed: true}); cmd == nil || cmd() != (quitMsg{}) {
		t.Error("the source has ended, and the screen stays")
	}

	// A second q leaves at once.
	m = newTraining(src, Options{})
	m.leave(false)
	if m.leave(false) != nil {
		t.Error("asked twice from outside it does not wait")
	}
	if cmd := m.leave(true); cmd == nil || cmd() != (quitMsg{}) {
		t.Error("a second q does not leave")
	}
	if m.closed {
		t.Error("it had not ended")
	}
}

// After the end the screen stays and says what was reached and what one can do.
func TestTrainingEnd(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {120, 40}, {60, 15}} {
		s := testShell(t, screens()["ended"](), Options{}, size[0], size[1])
		check(t, s)
		for _, want := range []string{"FAILED", "loss is NaN at step 31", "ddpm-tui sample runs/a"} {
			if !strings.Contains(stripSGR(s.content), want) {
				t.Errorf("%v: no %q in\n%s", size, want, stripSGR(s.content))
			}
		}
		if cmd := s.in.leave(true); cmd() != (quitMsg{}) {
			t.Error("q does not leave")
		}
	}
}

func TestSomethingHappensBeforeTheFirstStep(t *testing.T) {
	m := newTraining(newSource(), Options{Title: "a run"})
	m.opened = testTime
	s := testShell(t, m, Options{}, 80, 24)
	first := s.content
	for _, want := range []string{"STARTING", "a run", "1h00m"} {
		if !strings.Contains(first, want) {
			t.Errorf("no %q in\n%s", want, first)
		}
	}
	s.clock = func() time.Time { return testTime.Add(time.Hour + 130*time.Millisecond) }
	send(s, tickMsg{})
	if s.content == first {
		t.Error("the spinner stands still")
	}
}

func TestSamplingScreen(t *testing.T) {
	s := testShell(t, screens()["sampling"](), Options{}, 120, 40)
	send(s, withSixel)
	for _, want := range []string{"SAMPLING", "step 20/50", "t = 600", "3.2 images/s", "x_0 as predicted", "q stop"} {
		if !strings.Contains(stripSGR(s.content), want) {
			t.Errorf("no %q in\n%s", want, stripSGR(s.content))
		}
	}
	if len(s.pics) != 2 {
		t.Errorf("%d pictures", len(s.pics))
	}
	press(s, "x")
	if len(s.pics) != 1 || strings.Contains(s.content, "as predicted") {
		t.Errorf("x shows %d pictures\n%s", len(s.pics), stripSGR(s.content))
	}
	send(s, batchMsg[SampleFrame]{items: []SampleFrame{{Done: true, Saved: "out/grid.png"}}, closed: true})
	for _, want := range []string{"DONE", "saved out/grid.png", "q quit"} {
		if !strings.Contains(stripSGR(s.content), want) {
			t.Errorf("no %q in\n%s", want, stripSGR(s.content))
		}
	}
	if len(s.pics) != 1 {
		t.Error("the samples are gone")
	}
}

func TestHomeChoices(t *testing.T) {
	runs := []RunInfo{{Name: "one", Dir: "runs/one"}, {Name: "two", Dir: "runs/two"}}
	for _, c := range []struct {
		keys string
		want Choice
	}{
		{"q", Choice{Action: ActionQuit}},
		{"enter", Choice{Action: ActionOpen, Run: runs[0]}},
		{"down s", Choice{Action: ActionSample, Run: runs[1]}},
		{"down down down enter", Choice{Action: ActionOpen, Run: runs[1]}},
		{"n enter", Choice{Action: ActionNew, Preset: "avatars32"}},
		{"up enter left tab / p i x backspace c enter", Choice{Action: ActionNew, Preset: "tiny", Data: "/pic"}},
		{"n esc q", Choice{Action: ActionQuit}},
		{"n tab q ? ctrl+c", Choice{Action: ActionQuit}},
	} {
		h := newHome(runs, []string{"tiny", "avatars32"})
		s := testShell(t, h, Options{}, 80, 24)
		press(s, strings.Fields(c.keys)...)
		check(t, s)
		if fmt.Sprint(h.choice) != fmt.Sprint(c.want) {
			t.Errorf("%s: %+v, want %+v", c.keys, h.choice, c.want)
		}
	}
}

func TestDataScreen(t *testing.T) {
	s := testShell(t, screens()["data"](), Options{}, 100, 30)
	send(s, withSixel)
	check(t, s)
	for _, want := range []string{"1,234", "64x64", "30 skipped", "bad��[31m.png", "truncated", "pic�[2Jtures", "mean"} {
		if !strings.Contains(stripSGR(s.content), want) {
			t.Errorf("no %q in\n%s", want, stripSGR(s.content))
		}
	}
	if len(s.pics) != 2 {
		t.Errorf("%d pictures", len(s.pics))
	}
}

func TestWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{span(59.6), "1m00s"}, {span(3 * 3600), "3h00m"}, {span(100 * 3600), "4d04h"}, {span(-1), "?"},
		{brief(999), "999"}, {brief(48200), "48.2k"}, {brief(20000), "20k"}, {brief(2740000), "2.7M"},
		{count(1234567), "1,234,567"}, {count(-1000), "-1,000"}, {count(12), "12"},
		{bytes(512), "512 B"}, {bytes(1288490188), "1.2 GiB"},
		{number(.0312), "0.0312"}, {number(2e-4), "2.00e-4"}, {number(912.4), "912"},
		{ago(testTime, testTime.Add(90*time.Minute)), "1h ago"}, {ago(testTime, testTime), "now"},
		{clean("a\tb\x00\x9b日\u200f"), "a b��日�"},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	s := testShell(b, screens()["training"](), Options{Images: "sixel"}, 120, 40)
	send(s, withSixel)
	for b.Loop() {
		s.Update(tickMsg{})
		s.View()
	}
}
