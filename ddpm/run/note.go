package run

import (
	"encoding/json"
	"errors"
	"os"
	"time"
)

// Note appends one event to the log of a run that this process does not train, as the eval command does. A trainer may be at work on
// the same log: both append whole lines, each with one call.
func (f *Folder) Note(e Event) (err error) {
	if _, busy := f.Locked(); !busy { // what a crash left is mended first
		lock, err := f.Lock()
		if err == nil {
			l, _, err := f.OpenLog()
			if err == nil {
				err = errors.Join(l.Append(e), l.Close())
			}
			return errors.Join(err, lock.Unlock())
		}
		if !errors.As(err, new(*BusyError)) {
			return err
		}
	}
	if e.V == 0 {
		e.V = EventVersion
	}
	if e.Kind == "" {
		e.Kind, _ = e.payload()
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond)
	if err := e.check(); err != nil {
		return err
	}
	line, err := json.Marshal(&e)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(f.Path(eventsName), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = file.Write(append(line, '\n'))
	return err
}
