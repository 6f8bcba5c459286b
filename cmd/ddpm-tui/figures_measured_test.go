//go:build linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

const watched = 20 * time.Second

func TestFigureFirstFrame(t *testing.T) {
	bin := figures(t)
	p := newPlayer(t, false)
	for _, deaf := range []bool{false, true} {
		for _, args := range [][]string{{"attach", p.folder.Dir(), "--watch"}, {}} {
			var all []time.Duration
			for range 15 {
				s := view(t, &screenful{deaf: deaf}, 80, 24, nil, bin, args...)
				s.until(t, "first frame", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return !s.first.IsZero() })
				all = append(all, s.first.Sub(s.started))
				s.end()
			}
			median, worst := middle(all)
			t.Logf("FIGURE first frame, deaf %v, %q: median %v, worst %v of %d", deaf, args[:min(1, len(args))], median, worst, len(all))
		}
	}
}

func TestFigureViewer(t *testing.T) {
	bin := figures(t)
	p := newPlayer(t, true)
	for _, size := range [][2]int{{80, 24}, {120, 40}, {200, 60}} {
		s := view(t, &screenful{}, size[0], size[1], nil, bin, "attach", p.folder.Dir(), "--watch")
		s.until(t, "samples", func() bool { return s.has("picture") })
		time.Sleep(3 * time.Second)
		s.mu.Lock()
		before := s.bytes
		s.mu.Unlock()
		a, _, _ := usage(t, s.cmd.Process.Pid)
		time.Sleep(watched)
		b, rss, peak := usage(t, s.cmd.Process.Pid)
		t.Logf("FIGURE viewer at %v, sixel: %.2f %% of a core, %d MiB RSS (peak %d), %.1f KiB/s", size, 100*(b-a).Seconds()/watched.Seconds(), rss, peak, float64(s.bytes-before)/1024/watched.Seconds())
		s.end()
	}
}

func TestFigureText(t *testing.T) {
	bin := figures(t)
	p := newPlayer(t, false)
	for _, size := range [][2]int{{80, 24}, {120, 40}, {200, 60}} {
		s := view(t, &screenful{}, size[0], size[1], []string{"SSH_CONNECTION=1 2 3 4"}, bin, "attach", p.folder.Dir(), "--watch", "--images", "off")
		s.until(t, "screen", func() bool { return s.has("RUNNING") })
		time.Sleep(3 * time.Second)
		s.mu.Lock()
		before := s.bytes
		s.mu.Unlock()
		time.Sleep(watched)
		s.mu.Lock()
		t.Logf("FIGURE text at %v: %.1f KiB/s", size, float64(s.bytes-before)/1024/watched.Seconds())
		s.mu.Unlock()
		s.end()
	}
}

func TestFigureTrainer(t *testing.T) {
	bin := figures(t)
	if dir := os.Getenv("DDPM_FIGURES_VIEWERS"); dir != "" { // another process, so that the viewers' terminals cost this one nothing
		var list []*screenful
		for range 8 {
			list = append(list, view(t, &screenful{}, 120, 40, nil, bin, "attach", dir, "--watch"))
		}
		list[0].cmd.Process.Signal(syscall.SIGSTOP)
		time.Sleep(watched + 10*time.Second)
		return
	}
	p := newPlayer(t, true)
	use := func() time.Duration {
		a, _, _ := usage(t, os.Getpid())
		time.Sleep(watched)
		b, _, _ := usage(t, os.Getpid())
		return b - a
	}
	alone := use()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	self, _ := os.Executable()
	c := exec.CommandContext(ctx, self, "-test.run", "^TestFigureTrainer$")
	c.Env = append(os.Environ(), "DDPM_FIGURES_VIEWERS="+p.folder.Dir())
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	with := use()
	t.Logf("FIGURE trainer: %.2f %% of a core without viewers (events and pictures), %.2f %% with 8, one of them stopped: %.2f %% for them",
		100*alone.Seconds()/watched.Seconds(), 100*with.Seconds()/watched.Seconds(), 100*(with-alone).Seconds()/watched.Seconds())
	if err := c.Wait(); err != nil {
		t.Error(err)
	}
}

func TestFigureKeys(t *testing.T) {
	bin := figures(t)
	p := newPlayer(t, true)
	for _, line := range []struct {
		rate  float64
		delay time.Duration // each way
		mode  string
	}{{50 << 10, 100 * time.Millisecond, "auto"}, {50 << 10, 200 * time.Millisecond, "auto"}, {50 << 10, 100 * time.Millisecond, "blocks"}} {
		t.Run(fmt.Sprint(line.mode, line.delay), func(t *testing.T) {
			s := &screenful{rate: line.rate, delay: line.delay}
			var behind, pictures, parts, last int64
			var oldest time.Duration // of what was sent, when it was
			s.onSixel = func(seq []byte) {
				k := numberOf(seq)
				if k <= 0 {
					return
				}
				parts++
				now := time.Now().Add(-line.delay) // when it left, at the latest
				newest := int64(0)
				for n := p.number.Load(); n > 0; n-- {
					if at, ok := p.times.Load(n); ok && at.(time.Time).Before(now) {
						newest = n
						break
					}
				}
				behind = max(behind, newest&255-k)
				if at, ok := p.times.Load(k); ok {
					oldest = max(oldest, now.Sub(at.(time.Time)))
				}
				if k != last {
					pictures, last = pictures+1, k
				}
			}
			view(t, s, 120, 40, []string{"SSH_CONNECTION=1 2 3 4"}, bin, "attach", p.folder.Dir(), "--watch", "--images", line.mode)
			s.until(t, "samples", func() bool { return s.has("picture") })
			time.Sleep(8 * time.Second) // the line is known
			s.mu.Lock()
			before, then := s.bytes, time.Now()
			pictures, parts, behind, oldest = 0, 0, 0, 0
			s.mu.Unlock()
			var all []time.Duration
			open := false
			const mark = "ctrl+c leaves from anywhere"
			for range 40 {
				time.Sleep(time.Duration(700+rand.IntN(500)) * time.Millisecond)
				open = !open
				s.send("?")
				all = append(all, s.until(t, "change", func() bool { return s.has(mark) == open }))
			}
			median, worst := middle(all)
			s.mu.Lock()
			t.Logf("FIGURE keys on %.0f KiB/s and %v each way, %s: median %v, worst %v of %d; %d pictures in %d parts, sent at most %v after they were made, at most %d behind; %.1f KiB/s",
				line.rate/1024, line.delay, line.mode, median, worst, len(all), pictures, parts, oldest.Round(10*time.Millisecond), behind, float64(s.bytes-before)/1024/time.Since(then).Seconds())
			s.mu.Unlock()
			s.end()
		})
	}
}
