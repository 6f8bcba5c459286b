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

// sixel makes e of img, in parts of whole rows of cells and whole bands: no part touches the rows of another.
func (e *Encoded) sixel(img *image.RGBA, o Options, colors int) error {
	if o.Colors <= 0 || o.Colors > 256 {
		o.Colors = 256
	}
	p := paletted(img, min(colors, o.Colors), o.Still && colors == 256 || o.Colors < colors, o.Background)
	defer giveBack(p.Pix)
	w, h := img.Rect.Dx(), img.Rect.Dy()
	e.Cols, e.Rows, e.Pixels = cells(w, o.CellW), cells(cells(h, sixelBand)*sixelBand, o.CellH), img.Rect.Max
	step := sixelBand
	for step%o.CellH != 0 {
		step += sixelBand
	}
	for y := 0; y < h; y += step {
		part := image.Rect(0, y, w, min(h, y+step))
		small := compact(p.SubImage(part).(*image.Paletted))
		data, err := encodeSixel(small)
		giveBack(small.Pix)
		if err != nil {
			return err
		}
		e.Parts = append(e.Parts, Part{Row: y / o.CellH, Data: data})
	}
	return nil
}

// paletted is img in at most so many colours, with dither. Live pictures use fixed palettes (a few milliseconds), stills and terminals
// with few registers a palette made for the picture. Transparent pixels become the colour back. The pixels are borrowed.
func paletted(img *image.RGBA, colors int, still bool, back color.Color) *image.Paletted {
	if back == nil {
		back = color.Black
	}
	var palette color.Palette
	var dithered func(hole uint8) []uint8
	fixed := cubes[colors]
	if still || fixed == nil {
		t := newTable(adaptive(img, max(1, colors-1))) // one register is for back
		palette, dithered = t.palette, func(hole uint8) []uint8 { return dither(img, t.pick, 16, hole) }
	} else {
		palette, dithered = fixed.palette, func(hole uint8) []uint8 { return fixed.dither(img, hole) }
	}
	palette = append(palette[:len(palette):len(palette)], percent(back))
	return &image.Paletted{
		Pix:     dithered(uint8(len(palette) - 1)),
		Stride:  img.Rect.Dx(),
		Rect:    image.Rect(0, 0, img.Rect.Dx(), img.Rect.Dy()),
		Palette: palette,
	}
}

// compact is a picture whose palette is the colours it has. The pixels are borrowed.
func compact(p *image.Paletted) *image.Paletted {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	out := &image.Paletted{Pix: borrow(w * h), Stride: w, Rect: image.Rect(0, 0, w, h)}
	var index [256]int
	for y := range h {
		from, to := p.Pix[y*p.Stride:], out.Pix[y*out.Stride:]
		for x := range w {
			c := from[x]
			if index[c] == 0 {
				out.Palette = append(out.Palette, p.Palette[c])
				index[c] = len(out.Palette)
			}
			to[x] = uint8(index[c] - 1)
		}
	}
	return out
}

// encodeSixel is a picture as a sixel sequence.
func encodeSixel(p *image.Paletted) ([]byte, error) {
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
