package data

import (
	"errors"
	"fmt"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// A Skip is a file that was left out, and why. Both strings are safe to print.
type Skip struct {
	Name   string `json:"name"` // as in the source, escaped
	Reason string `json:"reason"`
}

// String is the line that the data command prints.
func (s Skip) String() string { return s.Name + ": " + s.Reason }

// maxSkips bounds Set.Skipped; Set.SkippedTotal still counts all.
const maxSkips = 10000

// NoImagesError says that a source holds no picture that can be read.
type NoImagesError struct {
	Source       string // escaped
	Skipped      []Skip // what was found instead, at most maxSkips
	SkippedTotal int
}

func (e *NoImagesError) Error() string {
	switch {
	case e.SkippedTotal == 0:
		return fmt.Sprintf("%s is empty: it holds no files that could be pictures; put PNG, JPEG, GIF, BMP, TIFF or WebP files in it", e.Source)
	case e.SkippedTotal == 1:
		return fmt.Sprintf("%s holds no picture that can be read: %s", e.Source, e.Skipped[0])
	}
	return fmt.Sprintf("%s holds no picture that can be read: %d files were skipped, the first is %s", e.Source, e.SkippedTotal, e.Skipped[0])
}

// A skipError carries a reason up to the one place that turns it into a Skip.
type skipError string

func (e skipError) Error() string { return string(e) }

func skipf(format string, args ...any) error { return skipError(fmt.Sprintf(format, args...)) }

// errQuiet marks a file that is left out without a word, such as the labels beside MNIST's images.
var errQuiet = errors.New("quiet")

// errEmpty is one value, because a source may hold a million of them.
var errEmpty = skipf("the file is empty")

// reason turns any error into a line that is safe to print. Paths are taken out: the name is printed beside it.
func reason(err error) string {
	var skip skipError
	if errors.As(err, &skip) {
		return Escape(string(skip))
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	var sys *os.SyscallError
	if errors.As(err, &sys) {
		err = sys.Err
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "cut short: the file ends before the picture does"
	case errors.Is(err, fs.ErrPermission):
		return "no permission to read it"
	case errors.Is(err, fs.ErrNotExist):
		return "it does not exist"
	}
	return Escape(verdict(err))
}

// verdict puts the words of the decoders into ours: cut short, corrupt or unsupported.
func verdict(err error) string {
	text := err.Error()
	for _, cut := range []string{"not enough pixel data", "short Huffman data", "missing SOS", "not enough image data", "too short"} {
		if strings.Contains(text, cut) {
			return "cut short: " + text
		}
	}
	if strings.Contains(text, "dimension overflow") {
		return "it claims more pixels than can be counted"
	}
	var (
		pngNo  png.UnsupportedError
		jpegNo jpeg.UnsupportedError
		tiffNo tiff.UnsupportedError
	)
	if errors.As(err, &pngNo) || errors.As(err, &jpegNo) || errors.As(err, &tiffNo) || errors.Is(err, bmp.ErrUnsupported) {
		return text + ": convert it to a plain PNG or JPEG"
	}
	var sys syscall.Errno
	if errors.As(err, &sys) {
		return text // the file system's words, not a decoder's
	}
	return "corrupt: " + text
}
