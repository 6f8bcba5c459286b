// Package socket carries commands to a trainer and live pictures to its viewers, over a private Unix socket of the run.
//
// It is an addition to the event log, never a replacement: what happens is in the log, and a screen that finds no socket (another
// machine, a shared disk) works from the log alone. Only events that could not be logged, as on a full disk, come this way.
//
// The protocol is one JSON object a line, in both directions, with a limit on the length of a line. A viewer says hello with the
// protocol's version and whether it wants control; the trainer answers with its own hello. One viewer has control, the others watch.
// Behind the line of a picture come the bytes of the picture, as many as the line says.
package socket

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"slices"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// Version is the version of the protocol. Both sides must have the same: they come from one program, and a trainer that an older
// one started is watched through its log.
const Version = 3

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

// frame is a picture on its way. Its bytes are red, green and blue of each pixel, row by row, or a PNG.
type frame struct {
	Name    string `json:"name"`
	Step    int64  `json:"step"`
	Rows    int    `json:"rows"`
	Cols    int    `json:"cols"`
	Caption string `json:"caption"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	PNG     bool   `json:"png,omitempty"`
	Bytes   int    `json:"bytes"` // that follow
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

// encode makes a line of a frame, with the bytes of its picture behind it.
func (f *Frame) encode() ([]byte, error) {
	size := f.Image.Bounds().Size()
	head := frame{f.Name, f.Step, f.Rows, f.Cols, f.Caption, size.X, size.Y, size.X*size.Y > smallPixels, 3 * size.X * size.Y}
	var packed bytes.Buffer
	if head.PNG {
		if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&packed, f.Image); err != nil {
			return nil, err
		}
		head.Bytes = packed.Len()
	}
	p, err := line(&down{Type: typeFrame, Frame: &head}, maxDown)
	if err != nil || head.Bytes > maxDown {
		return nil, errors.Join(err, errLong)
	}
	p = slices.Grow(p, head.Bytes)
	if head.PNG {
		return append(p, packed.Bytes()...), nil
	}
	m, ok := f.Image.(*image.RGBA)
	if !ok {
		m = image.NewRGBA(image.Rectangle{Max: size})
		draw.Draw(m, m.Rect, f.Image, f.Image.Bounds().Min, draw.Src)
	}
	for y := range size.Y {
		row := m.Pix[y*m.Stride:][:4*size.X]
		for x := 0; x < len(row); x += 4 {
			p = append(p, row[x], row[x+1], row[x+2])
		}
	}
	return p, nil
}

// decode undoes encode, reading the bytes of the picture. An error in them is in unreadable; the other, that of the connection, is
// its end. The picture is from another process: it is looked at before there is memory for it.
func (f *frame) decode(r *bufio.Reader) (out Frame, unreadable, err error) {
	if f.Bytes < 0 || f.Bytes > maxDown {
		return out, nil, errLong
	}
	body := &io.LimitedReader{R: r, N: int64(f.Bytes)}
	m, unreadable := f.read(body)
	if _, err := r.Discard(int(body.N)); err != nil { // what is behind it is the next message
		return out, nil, err
	}
	return Frame{f.Name, f.Step, m, f.Rows, f.Cols, f.Caption}, unreadable, nil
}

func (f *frame) read(r io.Reader) (image.Image, error) {
	if f.Width < 1 || f.Height < 1 || f.Width > maxPixels/f.Height {
		return nil, fmt.Errorf("a picture of %dx%d pixels is too large", f.Width, f.Height)
	}
	if f.Rows < 0 || f.Cols < 0 || f.Rows > f.Height || f.Cols > f.Width {
		return nil, fmt.Errorf("a picture of %dx%d pixels does not have %dx%d tiles", f.Width, f.Height, f.Cols, f.Rows)
	}
	if f.PNG {
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		c, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		if c.Width != f.Width || c.Height != f.Height {
			return nil, fmt.Errorf("a picture of %dx%d pixels is said to have %dx%d", c.Width, c.Height, f.Width, f.Height)
		}
		return png.Decode(bytes.NewReader(data))
	}
	if f.Bytes != 3*f.Width*f.Height {
		return nil, fmt.Errorf("%d bytes are no picture of %dx%d pixels", f.Bytes, f.Width, f.Height)
	}
	m := image.NewRGBA(image.Rect(0, 0, f.Width, f.Height))
	row := make([]byte, 3*f.Width)
	for y := range f.Height {
		if _, err := io.ReadFull(r, row); err != nil {
			return nil, err
		}
		to := m.Pix[y*m.Stride:][:4*f.Width]
		for x := range f.Width {
			to[4*x], to[4*x+1], to[4*x+2], to[4*x+3] = row[3*x], row[3*x+1], row[3*x+2], 255
		}
	}
	return m, nil
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
