package data

import (
	"bytes"
	"fmt"
	"io"
	"strings"
)

// A CIFAR-10 record is a label and a picture of 32x32 as three planes, red, green, blue.
const (
	cifarSide   = 32
	cifarRecord = 1 + 3*cifarSide*cifarSide
)

var cifarClasses = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

// looksCIFAR says whether a file can be a batch: whole records, and labels of 0 to 9 in the first sixteen. Noise passes
// the sixteen once in 10^22; shorter files pass only with the name that batches have.
func looksCIFAR(head []byte, size int64, name string) bool {
	if size <= 0 || size%cifarRecord != 0 || len(head) == 0 {
		return false
	}
	for i := 0; i < len(head) && i < sniffBytes; i += cifarRecord {
		if head[i] > 9 {
			return false
		}
	}
	if size >= sniffBytes && len(head) >= sniffBytes {
		return bytes.IndexFunc(head[:sniffBytes], func(r rune) bool { return r != 0 }) >= 0 // not a file of zeros
	}
	return strings.HasSuffix(strings.ToLower(name), ".bin")
}

// readCIFAR reads records to the end of the file.
func (d *decoder) readCIFAR(r io.Reader, emit func(slab) error) error {
	rec := make([]byte, cifarRecord)
	rgb := make([]byte, 3*cifarSide*cifarSide)
	s := newSlabs(d, cifarFile, cifarSide, cifarSide, cifarClasses, emit)
	for n := 0; ; n++ {
		if _, err := io.ReadFull(r, rec); err == io.EOF {
			return s.flush()
		} else if err == io.ErrUnexpectedEOF {
			return skipf("cut short: CIFAR-10 record %d is not whole", n)
		} else if err != nil {
			return err
		}
		if rec[0] > 9 {
			return skipf("corrupt: CIFAR-10 record %d has label %d, labels are 0 to 9", n, rec[0])
		}
		const plane = cifarSide * cifarSide
		for i := range plane {
			rgb[3*i], rgb[3*i+1], rgb[3*i+2] = rec[1+i], rec[1+plane+i], rec[1+2*plane+i]
		}
		if err := s.add(rgb, cifarSide, int(rec[0])); err != nil {
			return err
		}
	}
}

// A slab is a run of pictures from one file, in order.
type slab struct {
	pix     []byte // [n,D,D,C]
	n       int
	w, h    int // of the source
	kind    kind
	labels  []int    // n of them, or nil
	classes []string // their names
}

// slabs gathers the pictures of a record file into slabs, so that a batch of 60,000 is never held twice.
type slabs struct {
	d    *decoder
	next slab
	emit func(slab) error
}

const slabImages = 512

func newSlabs(d *decoder, k kind, w, h int, classes []string, emit func(slab) error) *slabs {
	return &slabs{d, slab{w: w, h: h, kind: k, classes: classes}, emit}
}

// add takes a square picture [S,S,3]; a label under 0 is none. The bytes are copied.
func (s *slabs) add(rgb []byte, side, label int) error {
	p := resize(rgb, side, s.d.size)
	if s.d.channels == 1 {
		p = luma(p)
	}
	s.next.pix = append(s.next.pix, p...)
	s.next.n++
	if label >= 0 {
		s.next.labels = append(s.next.labels, label)
	}
	if s.next.n == slabImages || len(s.next.pix) > 8<<20 {
		return s.flush()
	}
	return nil
}

func (s *slabs) flush() error {
	if s.next.n == 0 {
		return nil
	}
	full := s.next
	s.next.pix, s.next.labels, s.next.n = nil, nil, 0
	return s.emit(full)
}

func digitClasses(most int) []string {
	out := make([]string, most+1)
	for i := range out {
		out[i] = fmt.Sprint(i)
	}
	return out
}
