package run

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// The states of a run in a listing.
const (
	Running     = "running"     // a trainer holds the lock
	Done        = "done"        // all steps are trained
	Stopped     = "stopped"     // ended on request, or never begun
	Failed      = "failed"      // ended with an error
	Interrupted = "interrupted" // the trainer ended without a word: killed, or the machine stopped
)

// Info is what a listing says of a run.
type Info struct {
	Dir, Name    string
	Preset, Data string
	Images       int
	State        string
	PID          int    // of the trainer, while State is Running
	Doing        string // the last state event, while State is Running: paused, sampling, ...
	Step, Steps  int64  // done, aimed at
	LossEMA      float64
	Losses       []float64 // LossEMA over the run, at most sparkPoints of them, the last one last
	LossSteps    []int64   // the steps of Losses
	Sample       *Preview  // the last one that is in the parts of the log that were read, nil if there is none
	Updated      time.Time // of the last event
	Problem      string    // the error that ended it, or why the log cannot be read
}

// sparkPoints is the length of Losses.
const sparkPoints = 60

// List describes the runs in root, the last one touched first. A root that does
// not exist has none.
func List(root string) []Info {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var list []Info
	for _, e := range entries {
		if dir := filepath.Join(root, e.Name()); IsRun(dir) {
			list = append(list, (&Folder{dir: dir}).Info())
		}
	}
	slices.SortStableFunc(list, func(a, b Info) int { return b.Updated.Compare(a.Updated) })
	return list
}

// Info describes the run from its lock and parts of its log, however long that
// is.
func (f *Folder) Info() Info {
	info := Info{Dir: f.dir, Name: f.Name(), State: Stopped, LossEMA: math.NaN()}
	if stat, err := os.Stat(f.Path(configName)); err == nil {
		info.Updated = stat.ModTime()
	}
	// The lock first: a trainer that ends in between has written its end.
	pid, running := f.Locked()
	if err := info.readLog(f.Path(eventsName)); err != nil {
		info.Problem = err.Error()
	}
	if running {
		info.State, info.PID = Running, pid
	} else {
		info.Doing = ""
	}
	return info
}

// A log up to wholeBytes is read whole; of a longer one the head, the tail and
// sparkPoints windows between.
const (
	wholeBytes  = 512 << 10
	headBytes   = 64 << 10
	tailBytes   = 128 << 10
	windowBytes = 8 << 10
	searchBytes = 8 << 20 // as far back as the last start is looked for
)

// readLog fills in what the log says.
func (i *Info) readLog(path string) error {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it was only read
	stat, err := file.Stat()
	if err != nil {
		return err
	}
	size := stat.Size()
	var spark spark
	apply := func(e Event) {
		i.apply(e)
		spark.add(e)
	}
	if size <= wholeBytes {
		err = eventsIn(file, 0, size, apply)
	} else {
		err = errors.Join(
			eventsIn(file, 0, headBytes, apply),
			i.skim(file, size, &spark),
			i.lastStart(file, size),
			eventsIn(file, size-tailBytes, size, apply))
	}
	i.LossSteps, i.Losses = spark.thin(sparkPoints)
	return err
}

// skim takes the first losses of windows between head and tail.
func (i *Info) skim(file io.ReaderAt, size int64, spark *spark) error {
	from, to := int64(headBytes), size-tailBytes
	for k := range int64(sparkPoints) {
		begin := from + (to-from)*k/sparkPoints
		taken := false
		err := eventsIn(file, begin, min(begin+windowBytes, to), func(e Event) {
			if !taken || e.Start != nil {
				taken = e.Metrics != nil
				spark.add(e)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lastStart finds the last start, which says how many steps are aimed at since
// the run was resumed. One that is too far back is not found, and the first
// holds.
func (i *Info) lastStart(file io.ReaderAt, size int64) error {
	mark := []byte(`"kind":"start"`)
	end, floor := size, max(0, size-searchBytes)
	buffer := make([]byte, 256<<10)
	for end > floor {
		begin := max(floor, end-int64(len(buffer)))
		block := buffer[:end-begin]
		if _, err := file.ReadAt(block, begin); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		at := bytes.LastIndex(block, mark)
		newline := bytes.LastIndexByte(block[:max(at, 0)], '\n')
		if at >= 0 && (newline >= 0 || begin == 0) {
			line := begin + int64(newline+1)
			return eventsIn(file, line, min(line+windowBytes, size), func(e Event) {
				if e.Start != nil {
					i.apply(e)
				}
			})
		}
		if begin == floor {
			return nil
		}
		end = begin + 1<<10 // a line on the border is whole in one of the two
	}
	return nil
}

// apply adds one event; they come in order, with gaps.
func (i *Info) apply(e Event) {
	i.Step, i.Updated = e.Step, e.Time
	if i.State == Stopped && e.End == nil {
		i.State = Interrupted // until an end says otherwise
	}
	switch {
	case e.Start != nil:
		i.Preset, i.Data, i.Images, i.Steps = e.Start.Preset, e.Start.Data, e.Start.Images, e.Start.Steps
		i.State, i.Problem, i.Doing = Interrupted, "", ""
	case e.Metrics != nil:
		i.LossEMA = float64(e.Metrics.LossEMA)
	case e.Preview != nil:
		i.Sample = e.Preview
	case e.State != nil:
		i.Doing = e.State.Name
	case e.End != nil:
		i.State, i.Problem = e.End.Reason, e.End.Error
	}
}

// eventsIn calls do for the events whose lines lie within [from, to) of a log.
// Lines that are none are passed over, but the last newer version is an error.
func eventsIn(file io.ReaderAt, from, to int64, do func(Event)) error {
	if from > 0 {
		from-- // a newline here says that a line begins at from
	}
	block := make([]byte, to-from)
	n, err := file.ReadAt(block, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	block = block[:n]
	if from > 0 {
		block = block[bytes.IndexByte(block, '\n')+1:]
	}
	var newer *NewerError
	for {
		line, rest, whole := bytes.Cut(block, []byte{'\n'})
		if !whole {
			break
		}
		block = rest
		if e, err := parseEvent(line); err == nil {
			do(e)
		} else {
			errors.As(err, &newer)
		}
	}
	if newer != nil {
		newer.What = fmt.Sprintf("a line of %s", eventsName)
		return newer
	}
	return nil
}
