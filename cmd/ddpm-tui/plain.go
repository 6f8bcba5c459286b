package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/model"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run/socket"
	"github.com/ddpm-tui/ddpm-tui/tui"
	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// plainEvery is the time between two lines of numbers: they are read aloud.
const plainEvery = 10 * time.Second

// plain says whether the person wants lines that are only ever added to, in the place of a screen: for a screen reader, a log, or a
// terminal that cannot move its cursor.
func plain(c *cobra.Command) bool {
	flag, _ := c.Flags().GetBool("plain")
	return flag || os.Getenv("TERM") == "dumb"
}

// onScreen says whether a screen can be shown, and is wanted.
func onScreen(c *cobra.Command) bool { return onTerminal() && !plain(c) }

// A narrator tells a run in lines.
type narrator struct {
	w     io.Writer
	start run.Start
	last  *run.Event // numbers that were not said yet
	shown time.Time  // when samples were said last
}

// say writes one line, with the time.
func (n *narrator) say(at time.Time, format string, a ...any) {
	clock := "        "
	if !at.IsZero() {
		clock = at.Local().Format(time.TimeOnly)
	}
	fmt.Fprintf(n.w, "%s %s\n", clock, data.Escape(fmt.Sprintf(format, a...))) // w sees to errors
}

// event says an event; numbers only with the next call of numbers.
func (n *narrator) event(e run.Event) {
	switch {
	case e.Metrics != nil:
		n.last = &e
		return
	case e.Start != nil:
		n.start = *e.Start
		s := e.Start
		n.say(e.Time, "%s: %d images of %dx%d (%s), batch %d, %d steps, on %s", s.Name, s.Images, s.Size, s.Size, s.Data, s.Batch, s.Steps, s.On())
		return
	}
	n.numbers()
	switch {
	case e.State != nil:
		n.say(e.Time, "state: %s", e.State.Name)
	case e.Preview != nil:
		n.say(e.Time, "step %d: samples in %s", e.Step, e.Preview.Samples)
	case e.Checkpoint != nil && e.Checkpoint.Error != "":
		n.say(e.Time, "error: step %d: no checkpoint: %s", e.Step, e.Checkpoint.Error)
	case e.Checkpoint != nil:
		n.say(e.Time, "step %d: saved %s, %s", e.Step, e.Checkpoint.Path, model.Bytes(e.Checkpoint.Bytes))
	case e.Log != nil:
		n.say(e.Time, "%s: %s", e.Log.Level, e.Log.Text)
	case e.LossScale != nil:
		n.say(e.Time, "step %d: %s", e.Step, e.LossScale)
	case e.End != nil:
		n.say(e.Time, "state: %s, at step %d of %d after %s, average loss %.4f", e.End.Reason, e.Step, n.start.Steps, duration(float64(e.End.Seconds)), e.End.Loss)
		if e.End.Error != "" {
			n.say(e.Time, "error: %s", e.End.Error)
		}
	}
}

// numbers says the last numbers, once.
func (n *narrator) numbers() {
	if n.last == nil {
		return
	}
	e, m := n.last, n.last.Metrics
	n.last = nil
	done := ""
	if n.start.Steps > 0 {
		done = fmt.Sprintf(" of %d, %.1f percent", n.start.Steps, 100*float64(e.Step)/float64(n.start.Steps))
	}
	n.say(e.Time, "step %d%s, loss %.4f, average %.4f, gradient %.3f, %.1f images/s, %s left", e.Step, done, m.Loss, m.LossEMA, m.GradNorm, m.ImagesPerS, duration(float64(m.ETAS)))
}

// frame says the numbers that stand for a picture.
func (n *narrator) frame(f tui.Frame) {
	if f.Name != tui.Samples || f.Image == nil || time.Since(n.shown) < plainEvery {
		return
	}
	n.shown = time.Now()
	n.numbers()
	n.pictures(fmt.Sprintf("samples at step %d", f.Step), picture.Sheet{Image: f.Image, Rows: f.Rows, Cols: f.Cols}.Stats())
}

// pictures says mean, deviation, minimum and maximum of each tile.
func (n *narrator) pictures(what string, stats []picture.Stats) {
	n.say(time.Now(), "%s, values from 0 to 1:", what)
	for i, v := range stats {
		n.say(time.Time{}, "sample %d: mean %.2f, deviation %.2f, minimum %.2f, maximum %.2f", i+1, v.Mean, v.Deviation, v.Min, v.Max)
	}
}

// typed are the commands that a line can be.
var typed = map[string]run.Command{"p": run.Pause, "s": run.SampleNow, "c": run.SaveCheckpoint, "Q": run.Stop}

const typedHelp = "type a letter and Enter: p pause or go on, s samples now, c checkpoint, Q save and stop, q leave (training goes on)"

// tell is the training screen in lines, until the run ends or the person leaves. left says that they did.
func tell(ctx context.Context, src *attached, w io.Writer, lines <-chan string) (left bool) {
	n := &narrator{w: w}
	tick := time.NewTicker(plainEvery)
	defer tick.Stop()
	soon := time.After(time.Second) // the first numbers
	if lines != nil {
		n.say(time.Now(), typedHelp)
	}
	for {
		select {
		case e, ok := <-src.events:
			if !ok {
				n.numbers()
				return false
			}
			n.event(e)
		case f, ok := <-src.frames:
			if ok {
				n.frame(f)
			}
		case <-soon:
			n.numbers()
		case <-tick.C:
			n.numbers()
		case line, ok := <-lines:
			line = strings.TrimSpace(line)
			command, known := typed[line]
			switch {
			case !ok:
				lines = nil
			case line == "q":
				return true
			case !known:
				n.say(time.Now(), typedHelp)
			default:
				n.shown = time.Time{} // samples that were asked for are said
				if err := src.Send(command); err != nil {
					n.say(time.Now(), "error: %s: %v", command.Name, err)
				}
			}
		case <-ctx.Done():
			return true
		}
	}
}

// typedLines are the lines that a person types; nil where nobody can.
func typedLines() <-chan string {
	if !term.IsTerminal(os.Stdin.Fd()) {
		return nil
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			lines <- s.Text()
		}
	}()
	return lines
}

// tellAttached is showAttached in lines.
func tellAttached(c *cobra.Command, folder *run.Folder, role socket.Role) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(c.Context()))
	defer cancel()
	src := attach(ctx, folder, role)
	reader, unread := context.WithCancel(c.Context()) // nobody reads the lines any more
	defer unread()
	out := &guarded{c.OutOrStdout(), unread}
	left := tell(reader, src, out, typedLines())
	if left && !src.ending() {
		trainingGoesOn(c, folder)
		return nil
	}
	for _, next := range nextSteps(folder) {
		fmt.Fprintln(out, "next:", next)
	}
	return src.result()
}

// trainingGoesOn says that training does, and how to come back to it.
func trainingGoesOn(c *cobra.Command, folder *run.Folder) {
	if pid, ok := folder.Locked(); ok {
		fmt.Fprintf(c.OutOrStdout(), "training goes on (process %d)\n  back to the screen:  ddpm-tui attach %s\n  save and stop:       ddpm-tui stop %s\n", pid, folder.Dir(), folder.Dir())
	}
}
