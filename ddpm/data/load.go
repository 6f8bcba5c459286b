package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"sort"
	"strconv"
)

// loader is one call of Load: list, choose the size, decode in parallel, put in order.
type loader struct {
	src source
	opt Options
	lim limits

	entries []entry // candidates, by name
	skips   []Skip  // of the listing
	size    int     // the side in use
}

// prepare lists the source and settles the size.
func (l *loader) prepare(ctx context.Context) error {
	entries, skips, err := l.src.list(ctx)
	if err != nil {
		return err
	}
	// Equal names (an archive may have them) keep the order of the archive, whatever order the source listed them in.
	sort.Slice(entries, func(i, j int) bool {
		a, b := entries[i], entries[j]
		if a.name != b.name {
			return a.name < b.name
		}
		if a.seq != b.seq {
			return a.seq < b.seq
		}
		return a.zip.offset < b.zip.offset
	})
	var held []Skip
	l.entries, held = holdOut(entries)
	l.skips = append(skips, held...)
	if len(l.entries) == 0 {
		return l.none(l.skips)
	}
	l.size = l.opt.Size
	if l.size == 0 {
		if l.size, err = l.naturalSize(ctx); err != nil {
			return err
		}
	}
	return nil
}

// holdOut leaves out the test images of CIFAR-10 and MNIST where the training images are beside them, and what comes
// along with CIFAR-10.
func holdOut(entries []entry) (kept []entry, skips []Skip) {
	has := make(map[string]bool)
	for _, e := range entries {
		switch b := path.Base(e.name); {
		case b == "data_batch_1.bin", len(b) > 12 && b[:12] == "train-images":
			has[path.Dir(e.name)+"/"+b[:5]] = true
		}
	}
	if len(has) == 0 {
		return entries, nil
	}
	for _, e := range entries {
		dir, b := path.Dir(e.name), path.Base(e.name)
		cifar, mnist := has[dir+"/data_"], has[dir+"/train"]
		switch {
		case cifar && b == "test_batch.bin", mnist && len(b) > 11 && b[:11] == "t10k-images":
			skips = append(skips, Skip{Escape(e.name), "test images, kept out of training: name the file itself to load it"})
		case cifar && (b == "batches.meta.txt" || b == "readme.html"), mnist && len(b) > 11 && b[:11] == "t10k-labels":
		default:
			kept = append(kept, e)
		}
	}
	return kept, skips
}

// hash is Set.Hash.
func (l *loader) hash() string {
	h := sha256.New()
	fmt.Fprintf(h, "ddpm-tui image set 1\nsize %d channels %d max %d\n", l.size, l.opt.Channels, l.opt.MaxImages)
	for _, e := range l.entries {
		fmt.Fprintf(h, "%s %d\n", strconv.Quote(e.name), e.size)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// errEnough ends a feed early.
var errEnough = errors.New("enough")

// naturalSize asks the first file that has a readable header for its size. It gives up after some files: a folder of
// a million files without a picture should not be read twice.
func (l *loader) naturalSize(ctx context.Context) (int, error) {
	const fallback, tries = 64, 32
	if _, ok := l.src.(embedded); ok {
		return tileSide, nil
	}
	first := l.entries[:min(tries, len(l.entries))]
	sides := make([]int, len(first)) // 0 not asked, -1 unreadable
	err := l.src.feed(ctx, first, func(i int, size int64, open opener) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		sides[i] = l.probe(first[i].name, size, open)
		for _, s := range sides { // the answer is known once all before it have been asked
			if s > 0 {
				return errEnough
			}
			if s == 0 {
				return nil
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	for _, s := range sides {
		if s >= 16 && s <= fallback {
			return s, nil
		}
		if s > 0 {
			return fallback, nil
		}
	}
	return fallback, nil
}

// notSquare is what probe says of a picture whose sides differ or are too long: any number over the fallback.
const notSquare = 1 << 20

// probe returns the side of the square pictures in a file, notSquare, or -1 if there are none.
func (l *loader) probe(name string, size int64, open opener) int {
	f, err := openFile(name, size, open)
	if err != nil {
		return -1
	}
	defer f.Close()
	w, h := 0, 0
	switch {
	case f.kind.picture():
		file, err := f.readAll(l.lim)
		if err != nil {
			return -1
		}
		cfg, err := header(f.kind, file, l.lim)
		if err != nil {
			return -1
		}
		w, h = cfg.Width, cfg.Height
	case f.kind == idxImages:
		x, err := readIDXHeader(f, l.lim)
		if err != nil {
			return -1
		}
		w = min(x.w, x.h) // 28x28 in practice
		h = w
	case f.kind == cifarFile:
		w, h = cifarSide, cifarSide
	default:
		return -1
	}
	if w != h {
		return notSquare
	}
	return w
}

// checkMemory refuses a set that could not be held, before it is decoded.
func (l *loader) checkMemory() error {
	files := 0
	for _, e := range l.entries {
		if e.size != 0 {
			files++
		}
	}
	pictures := files
	if l.opt.MaxImages > 0 {
		pictures = min(pictures, l.opt.MaxImages)
	}
	if int64(pictures)*int64(l.size*l.size*l.opt.Channels) <= l.opt.MaxBytes {
		return nil
	}
	return l.tooBig(files)
}

func (l *loader) tooBig(pictures int) error {
	return fmt.Errorf("%s holds %d pictures or more: at %dx%dx%d they do not fit in the limit of %s; load them smaller, or fewer of them",
		l.src.label(), pictures, l.size, l.size, l.opt.Channels, mebibytes(l.opt.MaxBytes))
}

func mebibytes(n int64) string {
	if n >= 10<<30 {
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%.4g MiB", float64(n)/(1<<20))
}

// none is the error of a source without pictures.
func (l *loader) none(skips []Skip) error {
	skips, total := sortSkips(skips)
	return &NoImagesError{Source: l.src.label(), Skipped: skips, SkippedTotal: total}
}

func sortSkips(skips []Skip) ([]Skip, int) {
	sort.SliceStable(skips, func(i, j int) bool {
		return skips[i].Name < skips[j].Name || skips[i].Name == skips[j].Name && skips[i].Reason < skips[j].Reason
	})
	return skips[:min(len(skips), maxSkips):min(len(skips), maxSkips)], len(skips)
}

// load does it all.
func (l *loader) load(ctx context.Context) (*Set, error) {
	if err := l.prepare(ctx); err != nil {
		return nil, err
	}
	if err := l.checkMemory(); err != nil {
		return nil, err
	}
	c := newCollector(l)
	if err := l.run(ctx, c); err != nil {
		return nil, err
	}
	return c.finish()
}
