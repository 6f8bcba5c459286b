// Package socket carries commands to a trainer and live pictures to its viewers, over a private Unix socket of the run.
//
// It is an addition to the event log, never a replacement: what happens is in the log, and a screen that finds no socket (another
// machine, a shared disk) works from the log alone. Only events that could not be logged, as on a full disk, come this way.
//
// The protocol is one JSON object a line, in both directions, with a limit on the length of a line. A viewer says hello with the
// protocol's version and whether it wants control; the trainer answers with its own hello. One viewer has control, the others watch.
package socket

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Version is the version of the protocol. Both sides must have the same: they come from one program, and a trainer that an older
// one started is watched through its log.
const Version = 2

// The longest lines. Commands are short; pictures are what is long.
const (
	maxUp   = 4 << 10
	maxDown = 8 << 20
)

// maxPixels is the largest picture that a viewer decodes.
const maxPixels = 16 << 20

// maxName is how long a viewer's own name can be.
const maxName = 100

// A Role is what a viewer wants to be.
type Role string

// The roles.
const (
	Watch   Role = "watch"   // see pictures
	Control Role = "control" // send commands too, once nobody before it does
	Take    Role = "take"    // send commands at once: who had control watches until it is free again
)

// The types of messages.
const (
	typeHello   = "hello"
	typeCommand = "command"
	typeReply   = "reply"
	typeControl = "control"
	typeFrame   = "frame"
	typeEvent   = "event"
	typeRefused = "refused"
)

// up is a message from a viewer.
type up struct {
	Type string `json:"type"` // hello, command

	V    int    `json:"v,omitempty"` // of hello
	Role Role   `json:"role,omitempty"`
	Name string `json:"name,omitempty"` // who the viewer is, for people

	ID      int64        `json:"id,omitempty"` // of a command
	Command *run.Command `json:"command,omitempty"`
}

// down is a message to a viewer.
type down struct {
	Type string `json:"type"` // hello, control, reply, frame, event, refused

	V          int    `json:"v,omitempty"`          // of hello
	PID        int    `json:"pid,omitempty"`        // of hello: the trainer
	Control    bool   `json:"control,omitempty"`    // of hello and control: the viewer has it
	Controller string `json:"controller,omitempty"` // and if not, who

	ID    int64  `json:"id,omitempty"`    // of reply
	Error string `json:"error,omitempty"` // of reply and refused; none: accepted

	Frame *frame     `json:"frame,omitempty"`
	Event *run.Event `json:"event,omitempty"`
}

// frame is a picture on its way.
type frame struct {
	Name    string `json:"name"`
	Step    int64  `json:"step"`
	Rows    int    `json:"rows"`
	Cols    int    `json:"cols"`
	Caption string `json:"caption"`
	PNG     []byte `json:"png"`
}

// A Frame is a live picture: tiles of equal size, edge to edge.
type Frame struct {
	Name       string
	Step       int64
	Image      image.Image
	Rows, Cols int // of tiles
	Caption    string
}

// smallPixels is up to where a picture is not compressed: bytes are cheap on a socket, and the time of trainer and viewers is not.
const smallPixels = 512 << 10

// encode makes a line of a frame.
func (f *Frame) encode() ([]byte, error) {
	var b bytes.Buffer
	e := png.Encoder{CompressionLevel: png.BestSpeed}
	if size := f.Image.Bounds().Size(); size.X*size.Y <= smallPixels {
		e.CompressionLevel = png.NoCompression
	}
	if err := e.Encode(&b, f.Image); err != nil {
		return nil, err
	}
	return line(&down{Type: typeFrame, Frame: &frame{f.Name, f.Step, f.Rows, f.Cols, f.Caption, b.Bytes()}}, maxDown)
}

// decode undoes encode. The picture is from another process: it is looked at before it is unpacked.
func (f *frame) decode() (Frame, error) {
	c, err := png.DecodeConfig(bytes.NewReader(f.PNG))
	if err != nil {
		return Frame{}, err
	}
	if c.Width < 1 || c.Height < 1 || c.Width > maxPixels/c.Height {
		return Frame{}, fmt.Errorf("a picture of %dx%d pixels is too large", c.Width, c.Height)
	}
	if f.Rows < 0 || f.Cols < 0 || f.Rows > c.Height || f.Cols > c.Width {
		return Frame{}, fmt.Errorf("a picture of %dx%d pixels does not have %dx%d tiles", c.Width, c.Height, f.Cols, f.Rows)
	}
	m, err := png.Decode(bytes.NewReader(f.PNG))
	if err != nil {
		return Frame{}, err
	}
	return Frame{f.Name, f.Step, m, f.Rows, f.Cols, f.Caption}, nil
}

// line encodes a message with its newline.
func line(v any, limit int) ([]byte, error) {
	p, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(p) >= limit {
		return nil, fmt.Errorf("a message of %d bytes is too long", len(p))
	}
	return append(p, '\n'), nil
}

// errLong is a line over the limit: whoever sent it does not speak this protocol.
var errLong = errors.New("a line is too long")

// next reads a message. A line that is none is an error, and so is one that is too long, of which no more than the limit is read.
func next(r *bufio.Reader, limit int, v any) error {
	var long []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(long)+len(part) > limit {
			return errLong
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
			continue
		case err != nil && len(long)+len(part) > 0 && errors.Is(err, io.EOF):
			return io.ErrUnexpectedEOF
		case err != nil:
			return err
		}
		if long != nil {
			part = append(long, part...)
		}
		return json.Unmarshal(part, v)
	}
}
