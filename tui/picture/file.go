package picture

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"strings"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/ansi/kitty"
)

// Terminals that take files scale them to the cells they are to cover. So the picture is filled up to whole cells, and a slow line gets
// fewer pixels for the same cells.

// fileRows is how many rows of cells one of iTerm2's files has.
const fileRows = 3

// chunk is how many bytes of base64 one of kitty's sequences may have.
const chunk = 4096

// files makes e of img, for ITerm or Kitty.
func (e *Encoded) files(img *image.RGBA, o Options, q quality, id int) error {
	e.Cols, e.Rows = cells(img.Rect.Dx(), o.CellW), cells(img.Rect.Dy(), o.CellH)
	full := onBackground(img, e.Cols*o.CellW, e.Rows*o.CellH, o.Background)
	e.Pixels = full.Rect.Max
	if e.Mode == Kitty {
		data, err := encodePNG(full, full.Rect, q)
		if err != nil {
			return err
		}
		e.Image, e.Parts, e.Lines = id, kittyParts(data, id, e.Cols, e.Rows, o.Passthrough), kittyLines(id, e.Cols, e.Rows)
		return nil
	}
	for row := 0; row < e.Rows; row += fileRows {
		end := min(e.Rows, row+fileRows)
		data, err := encodePNG(full, image.Rect(0, row*o.CellH, full.Rect.Max.X, end*o.CellH), q)
		if err != nil {
			return err
		}
		seq := fmt.Sprintf("\x1b]1337;File=inline=1;size=%d;width=%d;height=%d;preserveAspectRatio=0;doNotMoveCursor=1:%s\a",
			len(data), e.Cols, end-row, base64.StdEncoding.EncodeToString(data))
		e.Parts = append(e.Parts, Part{Row: row, Data: []byte(seq)})
	}
	return nil
}

// onBackground is img at the top left of a picture of the colour back.
func onBackground(img *image.RGBA, w, h int, back color.Color) *image.RGBA {
	if back == nil {
		back = color.Black
	}
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	draw.Draw(out, out.Rect, image.NewUniform(back), image.Point{}, draw.Src)
	draw.Draw(out, img.Rect, img, image.Point{}, draw.Over)
	return out
}

// encodePNG is a part of a picture as a file, with the pixels and colours that the quality leaves.
func encodePNG(img *image.RGBA, part image.Rectangle, q quality) ([]byte, error) {
	small := image.NewRGBA(image.Rect(0, 0, max(1, part.Dx()*q.num/q.den), max(1, part.Dy()*q.num/q.den)))
	scaleInto(small, small.Rect, img, part)
	posterize(small, q.colors)
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&b, small)
	return b.Bytes(), err
}

// posterize rounds the colours of a picture to fewer. Dither would save nothing in a file: it is noise.
func posterize(img *image.RGBA, colors int) {
	step := 1
	switch {
	case colors >= 256:
		return
	case colors >= 36:
		step = 8
	case colors >= 16:
		step = 16
	default:
		step = 32
	}
	var to [256]uint8
	for v := range to {
		to[v] = uint8(min(255, (v+step/2)/step*step))
	}
	for i, v := range img.Pix {
		if i&3 != 3 {
			img.Pix[i] = to[v]
		}
	}
}

// kittyParts transmits a file and makes a virtual placement of it, which shows where its placeholders are.
func kittyParts(file []byte, id, cols, rows int, passthrough bool) []Part {
	data := base64.StdEncoding.EncodeToString(file)
	keys := fmt.Sprintf("a=T,U=1,f=100,q=2,i=%d,c=%d,r=%d,", id, cols, rows)
	var parts []Part
	for first := true; first || data != ""; first = false {
		n := min(chunk, len(data))
		more := 1
		if n == len(data) {
			more = 0
		}
		if !first {
			keys = "q=2,"
		}
		parts = append(parts, Part{Data: []byte(through(fmt.Sprintf("\x1b_G%sm=%d;%s\x1b\\", keys, more, data[:n]), passthrough))})
		data = data[n:]
	}
	return parts
}

// kittyForget removes a picture.
func kittyForget(id int, passthrough bool) string {
	return through(fmt.Sprintf("\x1b_Ga=d,d=I,i=%d,q=2\x1b\\", id), passthrough)
}

// through wraps a sequence so that tmux hands it to the terminal outside.
func through(seq string, passthrough bool) string {
	if passthrough {
		return ansi.TmuxPassthrough(seq)
	}
	return seq
}

// kittyLines are the placeholders of a picture: the colour names the picture, the marks on each cell its row and column. So every cell
// can be drawn again by itself.
func kittyLines(id, cols, rows int) []string {
	lines := make([]string, rows)
	for y := range lines {
		var b strings.Builder
		fmt.Fprintf(&b, "\x1b[38;5;%dm", id)
		for x := range cols {
			b.WriteRune(kitty.Placeholder)
			b.WriteRune(kitty.Diacritic(y))
			b.WriteRune(kitty.Diacritic(x))
		}
		b.WriteString(reset)
		lines[y] = b.String()
	}
	return lines
}
