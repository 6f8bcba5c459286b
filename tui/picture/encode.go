package picture

import (
	"hash/fnv"
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
}

// An Encoded picture is ready to be shown. Cols and Rows are the cells it covers, at most those of the box.
type Encoded struct {
	Mode       Mode
	Cols, Rows int
	Lines      []string    // for the text modes, each Cols wide
	Sixel      []byte      // for Sixel
	Pixels     image.Point // size of the sixel picture
	ID         uint64      // of the bytes of Sixel: equal pictures have equal IDs
}

// smallestTile is the size in pixels below which nothing can be told from a tile of half blocks.
const smallestTile = 11

// Encode fits img into the box.
func Encode(img image.Image, mode Mode, o Options) (Encoded, error) {
	return EncodeSheet(Sheet{Image: img}, mode, o)
}

// EncodeSheet lays the sheet out for the box and encodes it. A box too small for any picture gives an Encoded of no cells.
func EncodeSheet(s Sheet, mode Mode, o Options) (Encoded, error) {
	out := Encoded{Mode: mode}
	if s.Image == nil || s.Image.Bounds().Empty() || o.Cols <= 0 || o.Rows <= 0 || mode == None {
		return out, nil
	}
	if mode != Sixel {
		gap := 1
		if o.Cols < 24 {
			gap = 0
		}
		img := s.arrange(o.Cols, 2*o.Rows, gap, smallestTile)
		if img == nil {
			return out, nil
		}
		out.Cols, out.Rows = img.Rect.Dx(), (img.Rect.Dy()+1)/2
		switch mode {
		case HalfBlocks:
			out.Lines = halfBlocks(img, truecolour(img))
		case Blocks256:
			out.Lines = halfBlocks(img, indexed(img))
		default:
			out.Lines = letters(img, o.Light)
		}
		return out, nil
	}
	cw, ch := o.CellW, o.CellH
	if cw <= 0 || ch <= 0 {
		cw, ch = defaultCellW, defaultCellH
	}
	// A terminal that rounds the height up to whole bands must stay inside the box: a taller picture scrolls the screen.
	img := s.arrange(o.Cols*cw, o.Rows*ch/sixelBand*sixelBand, 2, 24)
	if img == nil {
		return out, nil
	}
	data, err := encodeSixel(img, o.Colors, o.Still, o.Background)
	if err != nil {
		return out, err
	}
	bands := (img.Rect.Dy() + sixelBand - 1) / sixelBand * sixelBand
	out.Cols, out.Rows = (img.Rect.Dx()+cw-1)/cw, (bands+ch-1)/ch
	out.Sixel, out.Pixels = data, img.Rect.Max
	sum := fnv.New64a()
	sum.Write(data)
	out.ID = sum.Sum64()
	return out, nil
}
