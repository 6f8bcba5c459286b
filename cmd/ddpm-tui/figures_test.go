//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
	sixel "github.com/mattn/go-sixel"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
	"github.com/ddpm-tui/ddpm-tui/ddpm/train"
)

// The figures of docs/terminal.md: make figures. They depend on the machine and on what else it does, so no test asserts them.

// figures skips a test that measures, unless that is what is wanted. DDPM_BIN is the program.
func figures(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("DDPM_BIN")
	if bin == "" {
		t.Skip("a measurement: make figures")
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// A player is a run whose trainer only says things: so many updates a second, and a picture every second.
type player struct {
	folder *run.Folder
	log    *run.EventLog
	server *socket.Server
	lock   *run.Lock
	number atomic.Int64 // of the last picture
	times  sync.Map     // when each was made
	stop   chan struct{}
	wait   sync.WaitGroup
}

const updates = 15 // a second

func newPlayer(t *testing.T, pictures bool) *player {
	t.Helper()
	cfg, err := train.PresetConfig("tiny")
	if err != nil {
		t.Fatal(err)
	}
	p := &player{stop: make(chan struct{})}
	if p.folder, err = run.Create(filepath.Join(t.TempDir(), "r"), &cfg); err != nil {
		t.Fatal(err)
	}
	if p.lock, err = p.folder.Lock(); err != nil {
		t.Fatal(err)
	}
	if p.log, _, err = p.folder.OpenLog(); err != nil {
		t.Fatal(err)
	}
	if p.server, err = socket.Listen(p.folder, func(run.Command) error { return errors.New("this only plays") }); err != nil {
		t.Fatal(err)
	}
	p.say(run.Event{Kind: "start", Start: &run.Start{Name: "played", Preset: "tiny", Data: "noise", Images: 2048, Size: 64, Batch: 64, Steps: 100000, T: 1000, Schedule: "cosine", Parameters: 2740000, Backend: "cpu", Device: "none", PlanBytes: 1 << 30}})
	p.say(run.Event{Kind: "state", State: &run.State{Name: "running"}})
	for i := range int64(3000) {
		p.metrics(i + 1)
	}
	p.wait.Go(func() {
		tick := time.NewTicker(time.Second / updates)
		defer tick.Stop()
		for step := int64(3001); ; step++ {
			select {
			case <-p.stop:
				return
			case <-tick.C:
			}
			p.metrics(step)
			if pictures && step%updates == 0 {
				k := p.number.Add(1)
				p.times.Store(k, time.Now())
				p.server.Show(socket.Frame{Name: "samples", Step: step, Image: numbered(k), Rows: 1, Cols: 1, Caption: fmt.Sprint("picture ", k)})
			}
		}
	})
	t.Cleanup(func() {
		close(p.stop)
		p.wait.Wait()
		p.server.Close()
		p.log.Close()
		p.lock.Unlock()
	})
	return p
}

func (p *player) say(e run.Event) {
	e.V, e.Time = run.EventVersion, time.Now()
	_ = p.log.Append(e) // a full disk shows as a figure that cannot be
}

func (p *player) metrics(step int64) {
	loss := .03 + math.Exp(-float64(step)/500)*(1+.3*rand.Float64())
	m := &run.Metrics{Loss: run.Float(loss * (.8 + .4*rand.Float64())), LossEMA: run.Float(loss), LR: 1e-3, GradNorm: run.Float(rand.Float64()), ImagesPerS: run.Float(900 + 50*rand.Float64()), StepS: .066, ETAS: run.Float(100000-step) / updates}
	for i := range 16 {
		m.Buckets = append(m.Buckets, run.Float(loss*float64(20-i)/10))
	}
	p.say(run.Event{Kind: "step", Step: step, Metrics: m})
}

// numbered is a noisy picture of 256 pixels whose eight stripes, bright or dark, are the bits of a number.
func numbered(k int64) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, 256, 256))
	for y := range 256 {
		for x := range 256 {
			v := uint8(20 + rand.IntN(70))
			if k>>(x/32)&1 == 1 {
				v += 140
			}
			m.SetRGBA(x, y, color.RGBA{v, v - uint8(rand.IntN(20)), v, 255})
		}
	}
	return m
}

// numberOf reads the number from any part of the picture.
func numberOf(seq []byte) int64 {
	var m image.Image
	if sixel.NewDecoder(bytes.NewReader(seq)).Decode(&m) != nil || m.Bounds().Dx() < 16 {
		return -1
	}
	k, w, h := int64(0), m.Bounds().Dx(), m.Bounds().Dy()
	for bit := range 8 {
		sum, n := 0, 0
		for x := bit*w/8 + 1; x < (bit+1)*w/8-1; x++ {
			for y := range h {
				r, _, _, _ := m.At(x, y).RGBA()
				sum, n = sum+int(r>>8), n+1
			}
		}
		if n > 0 && sum/n > 120 {
			k |= 1 << bit
		}
	}
	return k
}

// A screenful is a viewer on a pseudo terminal at the end of a line of a rate (bytes a second, 0: any) and a delay each way. It answers
// what terminals answer.
type screenful struct {
	cmd   *exec.Cmd
	pty   *os.File
	rate  float64
	delay time.Duration
	deaf  bool

	mu      sync.Mutex
	screen  *vt.Emulator
	bytes   int64
	first   time.Time
	started time.Time
	onSixel func(seq []byte)
	rest    []byte
	up      chan upward
}

type upward struct {
	at   time.Time
	what string
}

func view(t *testing.T, s *screenful, cols, rows int, env []string, bin string, args ...string) *screenful {
	t.Helper()
	s.cmd = exec.Command(bin, args...)
	s.cmd.Env = append(append(os.Environ(), "TERM=xterm-256color", "COLORTERM=truecolor", "NO_COLOR=", "TMUX="), env...)
	s.screen, s.up = vt.NewEmulator(cols, rows), make(chan upward, 1<<16)
	go io.Copy(io.Discard, s.screen) // what it would answer: we do
	s.started = time.Now()
	var err error
	if s.pty, err = pty.StartWithSize(s.cmd, &pty.Winsize{Rows: uint16(rows), Cols: uint16(cols), X: uint16(8 * cols), Y: uint16(16 * rows)}); err != nil {
		t.Fatal(err)
	}
	down := make(chan []byte, 1<<16) // the line holds whatever is written
	go func() {
		defer close(down)
		for {
			b := make([]byte, 32<<10)
			n, err := s.pty.Read(b)
			if err != nil {
				return
			}
			down <- b[:n]
		}
	}()
	type arrival struct {
		at time.Time
		b  []byte
	}
	arrivals := make(chan arrival, 1<<16)
	go func() { // the line carries so many bytes a second
		defer close(arrivals)
		busy := time.Now()
		for b := range down {
			for len(b) > 0 {
				n := len(b)
				if s.rate > 0 {
					n = min(n, 1024)
					if now := time.Now(); busy.Before(now) {
						busy = now
					}
					busy = busy.Add(time.Duration(float64(n) / s.rate * float64(time.Second)))
					time.Sleep(time.Until(busy))
				}
				arrivals <- arrival{time.Now().Add(s.delay), b[:n]}
				b = b[n:]
			}
		}
	}()
	go func() {
		for a := range arrivals {
			time.Sleep(time.Until(a.at))
			s.take(a.b)
		}
	}()
	go func() {
		for u := range s.up {
			time.Sleep(time.Until(u.at))
			io.WriteString(s.pty, u.what)
		}
	}()
	t.Cleanup(s.end)
	return s
}

func (s *screenful) end() {
	s.cmd.Process.Kill()
	s.pty.Close()
	s.cmd.Wait()
}

// answers are what a terminal with sixel says.
var answers = []struct{ asked, says string }{{"\x1b[5n", "\x1b[0n"}, {"\x1b[c", "\x1b[?63;1;2;4;22c"}, {"\x1b[16t", "\x1b[6;16;8t"}}

// take is what the terminal does with bytes.
func (s *screenful) take(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += int64(len(b))
	if s.first.IsZero() && bytes.Contains(b, []byte("ddpm-tui")) {
		s.first = time.Now()
	}
	s.screen.Write(b)
	b = append(s.rest, b...)
	for {
		i := bytes.IndexByte(b, 0x1b)
		if i < 0 {
			s.rest = nil
			return
		}
		b = b[i:]
		if bytes.HasPrefix(b, []byte("\x1bP")) {
			end := bytes.Index(b, []byte("\x1b\\"))
			if end < 0 {
				s.rest = bytes.Clone(b)
				return
			}
			if s.onSixel != nil && bytes.Contains(b[:min(end, 20)], []byte("q\"1;1;")) {
				s.onSixel(b[:end+2])
			}
			b = b[end+2:]
			continue
		}
		if len(b) < 6 {
			s.rest = bytes.Clone(b)
			return
		}
		for _, a := range answers {
			if !s.deaf && bytes.HasPrefix(b, []byte(a.asked)) {
				s.send(a.says)
			}
		}
		b = b[1:]
	}
}

// send types.
func (s *screenful) send(what string) { s.up <- upward{time.Now().Add(s.delay), what} }

func (s *screenful) has(words string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.screen.String(), words)
}

func (s *screenful) until(t *testing.T, what string, ok func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > 30*time.Second {
			t.Fatalf("no %s:\n%s", what, s.screen.String())
		}
		time.Sleep(2 * time.Millisecond)
	}
	return time.Since(start)
}

// usage is the processor time of a process, and its memory now and at most, in MiB.
func usage(t *testing.T, pid int) (used time.Duration, rss, peak int) {
	t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+2:]))
	user, _ := strconv.Atoi(f[11])
	system, _ := strconv.Atoi(f[12])
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB"))
		switch name {
		case "VmRSS":
			rss = kib >> 10
		case "VmHWM":
			peak = kib >> 10
		}
	}
	return time.Duration(user+system) * 10 * time.Millisecond, rss, peak
}

func middle(d []time.Duration) (median, worst time.Duration) {
	slices.Sort(d)
	return d[len(d)/2].Round(time.Millisecond), d[len(d)-1].Round(time.Millisecond)
}
