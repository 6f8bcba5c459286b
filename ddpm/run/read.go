package run

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxLine is the longest line that is taken for an event.
const maxLine = 4 << 20

// A CorruptError is a line of the log that is no event.
type CorruptError struct {
	Path string
	Line int // from 1
	Err  error
}

func (e *CorruptError) Error() string { return fmt.Sprintf("%s: line %d: %v", e.Path, e.Line, e.Err) }
func (e *CorruptError) Unwrap() error { return e.Err }

// ReadEvents reads the log of the run in dir from a byte offset: 0, or a next
// that an earlier call returned. A torn last line is left for the next call,
// when it may be whole. A log that does not exist yet is empty; one that is
// shorter than from was begun anew and is read from its start.
//
// At a line that is no event the error is a *CorruptError, and next is behind
// that line, so that the caller can go on. At an event of a newer version it is
// a *NewerError, and reading ends there.
func ReadEvents(dir string, from int64) (events []Event, next int64, err error) {
	s, err := scan(dir, from)
	if err != nil || s == nil {
		return nil, from, err
	}
	defer func() { _ = s.file.Close() }() // it was only read
	for {
		e, err := s.next()
		if errors.Is(err, io.EOF) {
			return events, s.at, nil
		}
		if err != nil {
			return events, s.at, err
		}
		events = append(events, e)
	}
}

// A scanner reads events from a log, a line at a time.
type scanner struct {
	file *os.File
	r    *bufio.Reader
	at   int64 // where the next line begins
}

// scan opens the log of the run in dir, as long as it is now. A log that does not exist is nil.
func scan(dir string, from int64) (*scanner, error) {
	file, err := os.Open(filepath.Join(dir, eventsName))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if from < 0 || from > info.Size() {
		from = 0
	}
	whole := io.NewSectionReader(file, from, info.Size()-from)
	const block = 256 << 10
	return &scanner{file: file, r: bufio.NewReaderSize(whole, int(min(block, whole.Size()+1))), at: from}, nil
}

// next returns the next event; io.EOF at the end and at a torn line.
func (s *scanner) next() (Event, error) {
	for {
		line, length, err := s.line()
		if err != nil {
			return Event{}, err
		}
		begin := s.at
		s.at += length
		if len(bytes.TrimSpace(line)) == 0 && length <= maxLine {
			continue // somebody looked with an editor
		}
		var e Event
		if length > maxLine {
			err = fmt.Errorf("%d bytes are too many for an event", length)
		} else {
			e, err = parseEvent(line)
		}
		var newer *NewerError
		switch {
		case err == nil:
			return e, nil
		case errors.As(err, &newer):
			s.at = begin
			newer.What = fmt.Sprintf("%s: line %d", s.file.Name(), s.lineNumber(begin))
			return Event{}, newer
		}
		return Event{}, &CorruptError{Path: s.file.Name(), Line: s.lineNumber(begin), Err: err}
	}
}

// line returns the next whole line and its length with the newline. Of a line
// that is too long only the length is kept. The line is valid until the next
// call.
func (s *scanner) line() (line []byte, length int64, err error) {
	var long []byte
	for {
		part, err := s.r.ReadSlice('\n')
		length += int64(len(part))
		switch {
		case err == nil && long == nil:
			return part, length, nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return nil, 0, err // io.EOF: what there is of this line is torn
		case length <= maxLine:
			long = append(long, part...)
		}
		if err == nil {
			return long, length, nil
		}
	}
}

// lineNumber counts the lines before an offset: only errors need it.
func (s *scanner) lineNumber(offset int64) int {
	n := 1
	r := io.NewSectionReader(s.file, 0, offset)
	block := make([]byte, 64<<10)
	for {
		k, err := r.Read(block)
		n += bytes.Count(block[:k], []byte{'\n'})
		if err != nil {
			return n
		}
	}
}
