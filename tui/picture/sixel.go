package picture

import (
	"bytes"
	"image"
	"image/color"
	"sync"

	sixel "github.com/mattn/go-sixel"
)

// sixelBand is the height of a row of sixels. A terminal may round a picture up to it.
const sixelBand = 6

// An encoder keeps the buffers of go-sixel from one picture to the next.
type encoder struct {
	buf bytes.Buffer
	enc *sixel.Encoder
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.enc = sixel.NewEncoder(&e.buf)
	return e
}}

// encodeSixel is img as a sixel sequence. Live pictures use the fixed palette with dither (a few milliseconds), stills and terminals
// with few registers a palette made for the picture. Transparent pixels become the colour back.
func encodeSixel(img *image.RGBA, colors int, still bool, back color.Color) ([]byte, error) {
	if back == nil {
		back = color.Black
	}
	if colors <= 0 || colors > 256 {
		colors = 256
	}
	var palette color.Palette
	var pick func(r, g, b int) (int, [3]int)
	if still || colors <= len(liveCube.palette) {
		t := newTable(adaptive(img, max(1, colors-1))) // one register is for back
		palette, pick = t.palette, t.pick
	} else {
		palette, pick = liveCube.palette, liveCube.pick
	}
	palette = append(palette[:len(palette):len(palette)], percent(back))
	p := &image.Paletted{
		Pix:     dither(img, pick, 16, uint8(len(palette)-1)),
		Stride:  img.Rect.Dx(),
		Rect:    image.Rect(0, 0, img.Rect.Dx(), img.Rect.Dy()),
		Palette: palette,
	}
	e := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.buf.Reset()
	if err := e.enc.Encode(p); err != nil {
		return nil, err
	}
	return bytes.Clone(e.buf.Bytes()), nil
}

// percent is the colour that go-sixel, which cuts off to whole percents, writes as the percents nearest to c.
func percent(c color.Color) color.Color {
	up := func(v uint32) uint16 { return uint16(((v*100+0x7fff)/0xffff*0xffff + 99) / 100) }
	r, g, b, _ := c.RGBA()
	return color.RGBA64{up(r), up(g), up(b), 0xffff}
}
