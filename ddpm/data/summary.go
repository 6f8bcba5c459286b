package data

import (
	"fmt"
	"strings"
)

// Facts are what the data command and the screens say of a set. All strings are safe to print.
type Facts struct {
	Name         string      `json:"name"`
	N            int         `json:"images"`
	Size         int         `json:"size"`
	Channels     int         `json:"channels"`
	Bytes        int64       `json:"bytes"` // of the pixels
	Sources      []SizeCount `json:"sources"`
	Formats      []Count     `json:"formats"`
	Classes      []Count     `json:"classes"` // pictures a class, in the order of Set.Classes; nil without labels
	Skipped      []Skip      `json:"skipped"`
	SkippedTotal int         `json:"skipped_total"`
	Reasons      []Count     `json:"reasons"`    // why files were skipped, the most frequent first
	Brightness   float64     `json:"brightness"` // mean of all pixels, 0 to 255
	Hash         string      `json:"hash"`
}

// Summary gathers the facts of a set. It reads every pixel once.
func Summary(s *Set) Facts {
	f := Facts{
		Name: s.Name, N: s.N, Size: s.Size, Channels: s.Channels, Bytes: int64(len(s.Pixels)),
		Sources: s.Sources, Formats: s.Formats, Skipped: s.Skipped, SkippedTotal: s.SkippedTotal, Hash: s.Hash,
	}
	if s.Labels != nil {
		for _, name := range s.Classes {
			f.Classes = append(f.Classes, Count{Name: name})
		}
		for _, l := range s.Labels {
			f.Classes[l].N++
		}
	}
	reasons := make(map[string]int)
	for _, k := range s.Skipped {
		reasons[k.Reason]++
	}
	f.Reasons = sortedCounts(reasons)
	mean := s.Mean()
	for _, v := range mean {
		f.Brightness += v / float64(len(mean))
	}
	return f
}

// String is a paragraph of plain lines, without the list of skipped files.
func (f Facts) String() string {
	var b strings.Builder
	kind := "RGB"
	if f.Channels == 1 {
		kind = "grey"
	}
	fmt.Fprintf(&b, "%s: %s of %dx%d %s, %s in memory\n", f.Name, plural(f.N, "picture"), f.Size, f.Size, kind, mebibytes(f.Bytes))
	fmt.Fprintf(&b, "formats: %s\n", listCounts(f.Formats, 8))
	var sizes []Count
	for _, s := range f.Sources {
		sizes = append(sizes, Count{fmt.Sprintf("%dx%d", s.W, s.H), s.N})
	}
	fmt.Fprintf(&b, "sizes: %s\n", listCounts(sizes, 8))
	if f.Classes != nil {
		fmt.Fprintf(&b, "classes: %s\n", listCounts(f.Classes, 12))
	}
	fmt.Fprintf(&b, "skipped: %s\n", plural(f.SkippedTotal, "file"))
	return b.String()
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// listCounts writes "a (3), b (1)", with the tail of a long list as a number.
func listCounts(c []Count, most int) string {
	var parts []string
	for i, x := range c {
		if i == most {
			parts = append(parts, fmt.Sprintf("and %d more", len(c)-most))
			break
		}
		parts = append(parts, fmt.Sprintf("%s (%d)", x.Name, x.N))
	}
	return strings.Join(parts, ", ")
}
