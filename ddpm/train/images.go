package train

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/data"
	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// sayEvery is the time between two events about how far reading the images is.
const sayEvery = 500 * time.Millisecond

// A DataChangedError says that the images are not those that the run was started with.
type DataChangedError struct {
	Data    string
	Was, Is string // hashes of names and sizes
}

func (e *DataChangedError) Error() string {
	name := e.Data
	if name == "" {
		name = "the images in the program"
	}
	return fmt.Sprintf("%s changed since the run was started (the hash of names and sizes was %.12s, now it is %.12s): bring back what was there, or go on with what there is: --allow-data-change",
		name, e.Was, e.Is)
}

// Fault implements what run.FaultOf looks for.
func (e *DataChangedError) Fault() *run.Fault { return &run.FaultData }

// loadImages loads the images that the configuration names, and holds them to what they were at the start.
func (t *Trainer) loadImages(ctx context.Context) error {
	c := t.Config
	o := data.Options{Size: c.UNet.SampleSize, Channels: c.Channels(), Progress: t.readingProgress()}
	t.Set = t.o.Set
	if t.Set == nil && c.DataHash != "" { // reading may take minutes: look at the names first
		is, err := data.Fingerprint(ctx, c.Data, o)
		if err != nil {
			return err
		}
		if err := t.checkData(is); err != nil {
			return err
		}
		t.Set = t.decodedBefore(is, o)
	}
	if t.Set == nil {
		var err error
		if t.Set, err = data.Load(ctx, c.Data, o); err != nil {
			return err
		}
		t.keepDecoded()
	}
	set := t.Set
	if set.Size != c.UNet.SampleSize || set.Channels != c.Channels() {
		return fmt.Errorf("train: the images are %dx%d with %d channels, the network wants %dx%d with %d", set.Size, set.Size, set.Channels, c.UNet.SampleSize, c.UNet.SampleSize, c.Channels())
	}
	if set.N < 1 {
		return errors.New("train: the data set is empty")
	}
	if err := c.takeClasses(set); err != nil {
		return err
	}
	return t.checkData(set.Hash)
}

// decodedBefore is the set that an earlier part of the run left decoded; nil if there is none, or it is of other images.
func (t *Trainer) decodedBefore(hash string, o data.Options) *data.Set {
	if t.Config.Data == "" { // the images in the program are decoded in a moment
		return nil
	}
	set, err := data.ReadCache(t.folder.Path(run.ImagesName), t.Config.Data, hash, o)
	switch {
	case err == nil:
		t.logf("info", "%d decoded images from %s", set.N, run.ImagesName)
	case !errors.Is(err, data.ErrNoCache):
		t.logf("warn", "the images are decoded anew: %v", err)
	}
	return set
}

// keepDecoded leaves the decoded set in the run, so that a resume need not decode again. Without it, all goes on as well.
func (t *Trainer) keepDecoded() {
	if t.Config.Data == "" {
		return
	}
	if err := data.WriteCache(t.folder.Path(run.ImagesName), t.Set); err != nil {
		t.logFault(&run.FaultDisk, "warn", "make room, or make the folder writable: the decoded images could not be kept for a resume, which will decode again: %v", err)
	}
}

// checkData compares the images with those of the start, and keeps what they are.
func (t *Trainer) checkData(is string) error {
	c := t.Config
	switch {
	case c.DataHash == is:
		return nil
	case c.DataHash == "": // a new run
	case t.o.AllowDataChange:
		t.logFault(&run.FaultData, "warn", "the images changed since the run was started; going on with what there is, as --allow-data-change says")
	default:
		return &DataChangedError{Data: c.Data, Was: c.DataHash, Is: is}
	}
	c.DataHash = is
	return t.folder.WriteConfig(c)
}

// readingProgress says now and then how far reading is: with many images the screen has nothing else to show.
func (t *Trainer) readingProgress() func(done, total, skipped int) {
	last := time.Now()
	return func(done, total, skipped int) {
		if t.o.Progress != nil {
			t.o.Progress(done, total, skipped)
		}
		if now := time.Now(); now.Sub(last) > sayEvery {
			last = now
			t.emit(run.Event{Kind: run.KindReading, Reading: &run.Reading{Done: done, Total: total, Skipped: skipped}})
		}
	}
}
