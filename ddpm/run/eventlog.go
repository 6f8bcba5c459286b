package run

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ddpm-tui/ddpm-tui/nn/durable"
)

// An EventLog is events.jsonl, open for appending by the one trainer that holds
// the lock. It is safe for concurrent use.
type EventLog struct {
	mu   sync.Mutex
	file logFile
	size int64 // of the whole lines
	torn bool  // a part of a line may follow them
}

// logFile is what an EventLog needs of a file; tests put a full disk here.
type logFile interface {
	io.WriteCloser
	Truncate(size int64) error
	Sync() error
}

// OpenLog opens the log for appending, making it if need be. If the last line
// is torn, as a crash leaves it, it is cut off and the warning says so.
func (f *Folder) OpenLog() (l *EventLog, warning string, err error) {
	path := f.Path(eventsName)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return nil, "", err
	}
	defer func() {
		if err != nil {
			_ = file.Close()
		}
	}()
	info, err := file.Stat()
	if err != nil {
		return nil, "", err
	}
	whole, err := wholeLines(file, info.Size())
	if err != nil {
		return nil, "", err
	}
	if cut := info.Size() - whole; cut > 0 {
		if err := file.Truncate(whole); err != nil {
			return nil, "", err
		}
		warning = fmt.Sprintf("the last line of %s was torn: its %d bytes are cut off", eventsName, cut)
	}
	if err := durable.SyncDir(f.dir); err != nil {
		return nil, "", err
	}
	return &EventLog{file: file, size: whole}, warning, nil
}

// wholeLines returns the length of a file up to its last newline.
func wholeLines(r io.ReaderAt, size int64) (int64, error) {
	block := make([]byte, 64<<10)
	for end := size; end > 0; {
		n := min(end, int64(len(block)))
		if _, err := r.ReadAt(block[:n], end-n); err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		if i := bytes.LastIndexByte(block[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

// Append writes one event with one call. A V, Kind or Time that is not set is
// filled in; times are kept to the millisecond, in UTC. After an error the event
// is lost but the log stays whole and usable: once the disk has room again the
// next Append works.
func (l *EventLog) Append(e Event) error {
	if e.V == 0 {
		e.V = EventVersion
	}
	if e.Kind == "" {
		e.Kind, _ = e.payload()
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	e.Time = e.Time.UTC().Truncate(time.Millisecond) // a third of a line otherwise
	if err := e.check(); err != nil {
		return err
	}
	line, err := json.Marshal(&e)
	if err != nil {
		return err
	}
	line = append(line, '\n')

	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.mend(); err != nil {
		return err
	}
	if f, ok := l.file.(*os.File); ok { // another process may have noted something, which a failed write must not cut off
		if info, err := f.Stat(); err == nil {
			l.size = max(l.size, info.Size())
		}
	}
	if _, err := l.file.Write(line); err != nil {
		l.torn = true
		_ = l.mend() // else the next Append tries
		return err
	}
	l.size += int64(len(line))
	return nil
}

// mend cuts off the part of a line that a failed write left.
func (l *EventLog) mend() error {
	if !l.torn {
		return nil
	}
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	l.torn = false
	return nil
}

// Sync forces what was appended to the disk. The system does that by itself
// soon enough for a log; a checkpoint is a good moment to be sure.
func (l *EventLog) Sync() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Sync()
}

// Close syncs and closes the log.
func (l *EventLog) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.mend(), l.file.Sync(), l.file.Close())
}
