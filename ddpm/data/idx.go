package data

import (
	"encoding/binary"
	"io"
	"path"
	"strings"
)

// An idx file of pictures is a header of four big-endian words (magic, N, H, W) and N*H*W bytes of grey.

type idxHeader struct{ n, h, w int }

func readIDXHeader(r io.Reader, lim limits) (x idxHeader, err error) {
	var b [16]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return x, skipf("cut short: the idx header is not whole")
	}
	if b[0] != 0 || b[1] != 0 || b[2] != 8 || b[3] != 3 {
		return x, skipf("not an idx file of pictures")
	}
	n, h, w := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:]), binary.BigEndian.Uint32(b[12:])
	if h == 0 || w == 0 || h > 4096 || w > 4096 || int64(h)*int64(w) > lim.pixels {
		return x, skipf("an idx file of pictures of %dx%d: a side of 1 to 4096 is read", w, h)
	}
	return idxHeader{int(n), int(h), int(w)}, nil
}

// readIDX reads all pictures. size is the length of the file, -1 where it is not known; labels may be nil.
func (d *decoder) readIDX(r io.Reader, size int64, labels []byte, lim limits, emit func(slab) error) error {
	x, err := readIDXHeader(r, lim)
	if err != nil {
		return err
	}
	// Said before the first picture is emitted, where the length allows.
	if need := 16 + int64(x.n)*int64(x.h)*int64(x.w); size >= 0 && size < need {
		return skipf("cut short: an idx file of %d pictures of %dx%d takes %d bytes, it has %d", x.n, x.w, x.h, need, size)
	}
	if len(labels) != x.n {
		labels = nil
	}
	most := 9
	for _, l := range labels {
		most = max(most, int(l))
	}
	s := newSlabs(d, idxImages, x.w, x.h, digitClasses(most), emit)
	side := min(x.w, x.h)
	square := centre(x.w, x.h, side, 1)
	grey := make([]byte, x.h*x.w)
	rgb := make([]byte, side*side*3)
	for i := range x.n {
		if _, err := io.ReadFull(r, grey); err == io.EOF || err == io.ErrUnexpectedEOF {
			return skipf("cut short: %d of the %d pictures are there", i, x.n)
		} else if err != nil {
			return err
		}
		for y := range side {
			for k := range side {
				v := grey[(square.Min.Y+y)*x.w+square.Min.X+k]
				o := (y*side + k) * 3
				rgb[o], rgb[o+1], rgb[o+2] = v, v, v
			}
		}
		label := -1
		if labels != nil {
			label = int(labels[i])
		}
		if err := s.add(rgb, side, label); err != nil {
			return err
		}
	}
	return s.flush()
}

// readIDXLabels returns the labels of a file of labels, nil if it is anything else.
func readIDXLabels(r io.Reader) []byte {
	var b [8]byte
	if _, err := io.ReadFull(r, b[:]); err != nil || b[2] != 8 || b[3] != 1 {
		return nil
	}
	n := binary.BigEndian.Uint32(b[4:])
	out, err := io.ReadAll(io.LimitReader(r, min(int64(n), 16<<20)))
	if err != nil || uint32(len(out)) != n {
		return nil
	}
	return out
}

// labelNames are the names that the labels of a file of pictures may have, the likeliest first.
func labelNames(images string) []string {
	dir, base := path.Split(images)
	if !strings.Contains(base, "images") {
		return nil
	}
	base = strings.TrimSuffix(base, ".gz")
	var out []string
	for _, idx := range []string{"idx1", "idx3"} {
		b := strings.Replace(strings.Replace(base, "images", "labels", 1), "idx3", idx, 1)
		out = append(out, dir+b, dir+b+".gz")
	}
	return out
}
