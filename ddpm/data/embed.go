package data

import (
	"context"
	"embed"
	"image"
	"io"
	"io/fs"
)

// Eight sheets of 1024x1024 pixels, each 16x16 avatars of 64x64, row by row. embed/LICENSE.txt says whose they are.
//
//go:embed embed/*.png embed/LICENSE.txt
var embedFS embed.FS

const (
	sheetTiles = 16
	tileSide   = 64
)

// License is the licence of the embedded avatars, which must go where they go.
func License() string {
	p, _ := embedFS.ReadFile("embed/LICENSE.txt")
	return string(p)
}

// embedded is the source of the avatars in the binary.
type embedded struct{}

func (embedded) label() string                         { return "embedded avatars" }
func (embedded) ordered() bool                         { return true }
func (embedded) close() error                          { return nil }
func (embedded) sibling(string) (io.ReadCloser, error) { return nil, errNoSibling }

func (embedded) list(context.Context) ([]entry, []Skip, error) {
	files, err := fs.Glob(embedFS, "embed/*.png")
	if err != nil {
		return nil, nil, err
	}
	var out []entry
	for _, f := range files {
		info, err := fs.Stat(embedFS, f)
		if err != nil {
			return nil, nil, err
		}
		out = append(out, entry{name: f, size: info.Size()})
	}
	return out, nil, nil
}

func (embedded) feed(_ context.Context, want []entry, do func(int, int64, opener) error) error {
	for i, e := range want {
		open := func() (io.ReadCloser, error) { return embedFS.Open(e.name) }
		if err := do(i, e.size, open); err != nil {
			return err
		}
	}
	return nil
}

// readSheet cuts one sheet into its tiles.
func (d *decoder) readSheet(file []byte, emit func(slab) error) error {
	m, _, err := pixels(pngFile, file, d.lim)
	if err != nil {
		return err
	}
	s := newSlabs(d, pngFile, tileSide, tileSide, nil, emit)
	for y := range sheetTiles {
		for x := range sheetTiles {
			tile := image.Rect(0, 0, tileSide, tileSide).Add(image.Pt(x*tileSide, y*tileSide))
			if err := s.add(flatten(m, image.Point{}, tile), tileSide, -1); err != nil {
				return err
			}
		}
	}
	return s.flush()
}
