// Package data loads image sets: the embedded avatars, a folder, a zip, a tar, CIFAR-10 batches, MNIST idx files.
//
// Whatever the source, the result is one block of bytes: every picture composited on white, turned upright, cropped to
// its centre square and resized to the same side. What a file is, is decided by its content, never by its name.
//
// The input is taken to be hostile. A file that cannot be read is skipped and named with the reason; it never stops the
// load, and it never costs more memory than the limits in limits.go allow. The trainer flips, this package does not.
package data

import (
	"context"
	"fmt"
	"runtime"
)

// Options say how a source is read. The zero value is a good default.
type Options struct {
	// Size is the side of the loaded pictures in pixels. 0 takes the side of the first picture if it is a square of
	// 16 to 64 pixels (so CIFAR-10 stays 32 and MNIST 28), and 64 otherwise.
	Size int
	// Channels is 3 (RGB, the default) or 1 (grey, by Rec. 601 luma).
	Channels int
	// Workers bounds how many files are decoded at once; 0 is one for each processor. The result does not depend on it.
	Workers int
	// MaxImages keeps the first pictures in name order, 0 keeps all.
	MaxImages int
	// MaxBytes bounds Set.Pixels; 0 is DefaultMaxBytes.
	MaxBytes int64
	// Progress, if set, is called from the goroutine that called Load: files done, files in all, files skipped.
	Progress func(done, total, skipped int)
}

// MaxSize is the largest side that Options.Size accepts.
const MaxSize = 1024

// normal fills in the defaults and refuses what makes no sense.
func (o Options) normal() (Options, error) {
	if o.Size < 0 || o.Size > MaxSize {
		return o, fmt.Errorf("image size %d: choose a side of 1 to %d pixels (or 0 for the natural size)", o.Size, MaxSize)
	}
	if o.Channels == 0 {
		o.Channels = 3
	}
	if o.Channels != 1 && o.Channels != 3 {
		return o, fmt.Errorf("%d channels: choose 3 (colour) or 1 (grey)", o.Channels)
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.MaxImages < 0 {
		return o, fmt.Errorf("MaxImages %d: choose 0 (all) or more", o.MaxImages)
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	return o, nil
}

// Load reads a source: "" for the embedded avatars, or the path of a folder (read recursively), of a zip, of a tar
// (also gzipped), of a CIFAR-10 batch, of an MNIST idx file, or of one picture.
//
// The pictures come in the byte order of their names, whatever the source and the number of workers. When no picture
// at all can be read the error is a *NoImagesError, which holds what was skipped and why.
func Load(ctx context.Context, source string, opt Options) (*Set, error) {
	return loadWith(ctx, source, opt, standardLimits())
}

// Fingerprint returns what Load would put in Set.Hash, without decoding the pictures. A run compares it on resume.
func Fingerprint(ctx context.Context, source string, opt Options) (string, error) {
	opt, err := opt.normal()
	if err != nil {
		return "", err
	}
	lim := standardLimits()
	src, err := open(source, lim)
	if err != nil {
		return "", err
	}
	defer src.close()
	l := &loader{src: src, opt: opt, lim: lim}
	if err := l.prepare(ctx); err != nil {
		return "", err
	}
	return l.hash(), nil
}

func loadWith(ctx context.Context, source string, opt Options, lim limits) (*Set, error) {
	opt, err := opt.normal()
	if err != nil {
		return nil, err
	}
	src, err := open(source, lim)
	if err != nil {
		return nil, err
	}
	defer src.close()
	return (&loader{src: src, opt: opt, lim: lim}).load(ctx)
}
