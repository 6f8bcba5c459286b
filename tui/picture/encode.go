package picture

import (
	"hash/maphash"
	"image"
	"image/color"
)

// Options are the box a picture is shown in, and what is known of the terminal.
type Options struct {
	Cols, Rows   int         // the box, in cells
	CellW, CellH int         // pixels of a cell; 0 means 8 by 16
	Colors       int         // colour registers for sixel; 0 means 256
	Still        bool        // the picture stays: spend time on its palette
	Background   color.Color // of the terminal, for the gaps between tiles; nil means black
	Light        bool        // the terminal's background is light
	Passthrough  bool        // for Kitty: inside of tmux
}

// A Part is a piece of a picture that can be written by itself.
type Part struct {
	Row  int // the row of the picture where it belongs, for the modes that are drawn
	Data []byte
}

// Encoded is a picture ready to be shown. Cols and Rows are the cells it covers, at most those of the box.
type Encoded struct {
	Mode       Mode
	Cols, Rows int
	Lines      []string    // for the modes that are text, each Cols wide
	Parts      []Part      // for Sixel, ITerm and Kitty, in order
	Pixels     image.Point // size of the picture, where it has its own pixels
	ID         uint64      // of what is written: equal pictures have equal IDs
	Quality    int         // of the picture, 0 is best
	Size       int         // bytes written for it
	Image      int         // kitty's number of it
}

// A quality is what a slow line leaves of a picture: how much of its box it fills, and in how many colours.
type quality struct {
	num, den int
	colors   int
}

// qualities are tried from the best on, until one takes few enough bytes. Each takes about 0.6 times the bytes of the one before.
var qualities = []quality{{1, 1, 256}, {1, 1, 64}, {3, 4, 64}, {3, 4, 36}, {1, 2, 36}, {1, 2, 16}, {1, 3, 16}, {1, 4, 16}, {1, 4, 9}, {1, 6, 9}}

// textQualities are those of half blocks: below 256 colours nothing is won.
var textQualities = []quality{{1, 1, 0}, {1, 1, 256}, {3, 4, 256}, {1, 2, 256}, {1, 3, 256}, {1, 4, 256}}

// levels are the qualities of a mode.
func levels(m Mode) []quality {
	switch m {
	case HalfBlocks:
		return textQualities
	case Blocks256:
		return textQualities[1:]
	case ASCII, None:
		return textQualities[:1]
	}
	return qualities
}

// smallestTile is the size in pixels below which nothing can be told from a tile of half blocks.
const smallestTile = 11

// Encode fits img into the box.
func Encode(img image.Image, mode Mode, o Options) (Encoded, error) {
	return EncodeSheet(Sheet{Image: img}, mode, o)
}

// EncodeSheet lays the sheet out for the box and encodes it as well as it can be. A box too small for any picture gives an Encoded of
// no cells.
func EncodeSheet(s Sheet, mode Mode, o Options) (Encoded, error) {
	return EncodeWithin(s, mode, o, 0, 0, 0)
}

// EncodeWithin is EncodeSheet for a line that has room for so many bytes (0: any number): the first quality from the given one on that
// takes no more, or the last there is. For Kitty id is the number of the picture, which must not be that of one on the screen.
func EncodeWithin(s Sheet, mode Mode, o Options, id, from, bytes int) (Encoded, error) {
	out := Encoded{Mode: mode}
	if s.Image == nil || s.Image.Bounds().Empty() || o.Cols <= 0 || o.Rows <= 0 || mode == None {
		return out, nil
	}
	all := levels(mode)
	for q := min(max(0, from), len(all)-1); ; q++ {
		e, err := encodeAt(s, mode, o, all[q], id)
		if err != nil {
			return out, err
		}
		e.Quality = q
		e.ID, e.Size = fingerprint(&e)
		if bytes <= 0 || e.Size <= bytes || q == len(all)-1 {
			return e, nil
		}
	}
}

// seed makes equal pictures have equal fingerprints.
var seed = maphash.MakeSeed()

// fingerprint is a hash of what is written, and how much it is.
func fingerprint(e *Encoded) (id uint64, size int) {
	var sum maphash.Hash
	sum.SetSeed(seed)
	for _, p := range e.Parts {
		sum.Write(p.Data)
		size += len(p.Data)
	}
	for _, l := range e.Lines {
		sum.WriteString(l)
		size += len(l)
	}
	return sum.Sum64(), size
}

// encodeAt encodes at one quality.
func encodeAt(s Sheet, mode Mode, o Options, q quality, id int) (Encoded, error) {
	out := Encoded{Mode: mode}
	if o.CellW <= 0 || o.CellH <= 0 {
		o.CellW, o.CellH = defaultCellW, defaultCellH
	}
	cols, rows := max(1, o.Cols*q.num/q.den), max(1, o.Rows*q.num/q.den)
	switch mode {
	case Sixel:
		// A terminal that rounds the height up to whole bands must stay inside the box: a taller picture scrolls the screen.
		img := s.arrange(cols*o.CellW, rows*o.CellH/sixelBand*sixelBand, 2, 24)
		if img == nil {
			return out, nil
		}
		defer giveBack(img.Pix)
		return out, out.sixel(img, o, q.colors)
	case ITerm, Kitty:
		img := s.arrange(o.Cols*o.CellW, o.Rows*o.CellH, 2, 24)
		if img == nil {
			return out, nil
		}
		defer giveBack(img.Pix)
		return out, out.files(img, o, q, id)
	}
	gap := 1
	if cols < 24 {
		gap = 0
	}
	img := s.arrange(cols, 2*rows, gap, smallestTile)
	if img == nil {
		return out, nil
	}
	defer giveBack(img.Pix)
	out.Cols, out.Rows = img.Rect.Dx(), (img.Rect.Dy()+1)/2
	switch {
	case mode == HalfBlocks && q.colors == 0:
		out.Lines = halfBlocks(img, truecolour(img))
	case mode == HalfBlocks, mode == Blocks256:
		out.Lines = halfBlocks(img, indexed(img))
	default:
		out.Lines = letters(img, o.Light)
	}
	return out, nil
}

// cells is how many cells so many pixels cover.
func cells(pixels, cell int) int { return (pixels + cell - 1) / cell }
