package data

import (
	"sort"
	"strings"
	"sync/atomic"
)

// collector gathers slabs in the order they come and puts the set in order at the end, so that a slow file holds
// nobody up and the number of workers does not show.
type collector struct {
	l       *loader
	picture int // bytes a picture takes

	pixels []byte
	slabs  []placed
	failed map[int]error // by rank
	done   int
	missed int         // files that failed, without the quiet ones
	whole  int         // pictures of files that were read to their end
	counts map[int]int // pictures of files still being read, by rank

	told   atomic.Int64  // done, for the feeder
	enough atomic.Bool   // MaxImages are there
	news   chan struct{} // something of the two changed

	slabStart []int // where each slab begins once they are in order
}

// placed is a slab whose pixels lie in the collector.
type placed struct {
	rank, seq int
	first, n  int // pictures, in the order they came
	slab      slab
}

func newCollector(l *loader) *collector {
	return &collector{
		l: l, picture: l.size * l.size * l.opt.Channels,
		failed: make(map[int]error), counts: make(map[int]int), news: make(chan struct{}, 1),
	}
}

func (c *collector) add(r result) error {
	if r.last {
		n := c.counts[r.rank]
		delete(c.counts, r.rank)
		if r.err != nil {
			c.failed[r.rank] = r.err
			if r.err != errQuiet {
				c.missed++
			}
		} else {
			c.whole += n
		}
		c.done++
		c.progress()
		return nil
	}
	s := r.slab
	first := len(c.pixels) / c.picture
	c.grow(len(s.pix))
	// The number of files was checked before; a record file holds more than one picture. What fits when it is cut to
	// MaxImages is never refused: files end in any order, so a few pictures past it may lie here for a while.
	limit := int64(c.l.opt.MaxImages) * int64(c.picture)
	if int64(len(c.pixels)+len(s.pix)) > c.l.opt.MaxBytes && (limit == 0 || limit > c.l.opt.MaxBytes) {
		return c.l.tooBig(first + s.n)
	}
	c.pixels = append(c.pixels, s.pix...)
	s.pix = nil
	c.slabs = append(c.slabs, placed{r.rank, r.seq, first, s.n, s})
	c.counts[r.rank] += s.n
	return nil
}

// grow makes room for more pixels: at first for what the number of files suggests, up to a bound that a source of
// worthless files cannot push; later for as many as the files so far have given, which comes out right for good sources
// in one step. What is never used still counts when the garbage collector decides how long to wait.
func (c *collector) grow(more int) {
	have := int64(len(c.pixels) + more)
	if have <= int64(cap(c.pixels)) {
		return
	}
	const trust = 64 << 20
	all := int64(len(c.l.entries))
	want := min(all*int64(c.picture), trust)
	if len(c.pixels) > 0 {
		want = have / int64(c.done+1) * all / 100 * 101
	}
	if c.l.opt.MaxImages > 0 {
		want = min(want, int64(c.l.opt.MaxImages)*int64(c.picture))
	}
	want = max(min(want, c.l.opt.MaxBytes), have+have/4)
	bigger := make([]byte, len(c.pixels), want)
	copy(bigger, c.pixels)
	c.pixels = bigger
}

// tell lets the feeder know how far things are.
func (c *collector) tell() {
	if c.l.opt.MaxImages > 0 && c.whole >= c.l.opt.MaxImages {
		c.enough.Store(true)
	}
	c.told.Store(int64(c.done))
	select {
	case c.news <- struct{}{}:
	default: // it has not read the last news yet
	}
}

func (c *collector) progress() {
	if f := c.l.opt.Progress; f != nil {
		f(c.done, len(c.l.entries), c.missed+len(c.l.skips))
	}
}

// finish builds the set.
func (c *collector) finish() (*Set, error) {
	l := c.l
	// Slabs of files that failed go to the end, where they are cut off.
	sort.Slice(c.slabs, func(i, j int) bool {
		a, b := c.slabs[i], c.slabs[j]
		fa, fb := c.failed[a.rank] != nil, c.failed[b.rank] != nil
		if fa != fb {
			return fb
		}
		if a.rank != b.rank {
			return a.rank < b.rank
		}
		return a.seq < b.seq
	})
	total := 0
	for _, p := range c.slabs {
		if c.failed[p.rank] == nil {
			total += p.n
		}
	}
	if l.opt.MaxImages > 0 {
		total = min(total, l.opt.MaxImages)
	}
	s := &Set{Name: l.src.label(), Size: l.size, Channels: l.opt.Channels, N: total, Hash: l.hash()}
	lastRank := c.describe(s)

	skips := l.skips
	for rank, err := range c.failed {
		if err == errQuiet || l.opt.MaxImages > 0 && total == l.opt.MaxImages && rank > lastRank {
			continue // not looked at, had the workers been slower
		}
		skips = append(skips, Skip{Escape(l.entries[rank].name), reason(err)})
	}
	if total == 0 {
		return nil, l.none(skips)
	}
	s.Skipped, s.SkippedTotal = sortSkips(skips)
	c.arrange()
	s.Pixels = c.pixels[: total*c.picture : total*c.picture]
	c.pixels = nil
	return s, nil
}

// describe fills in what is known of the pictures beside their pixels, for the first s.N of them. It returns the rank
// of the last file that gave one.
func (c *collector) describe(s *Set) (lastRank int) {
	sizes := make(map[[2]int]int)
	formats := make(map[string]int)
	labelled := true // every picture has a label, and all are of the same kind
	var labels []int
	var classes []string
	lastRank = -1
	for at, i := 0, 0; at < s.N; i++ {
		p := c.slabs[i]
		n := min(p.n, s.N-at)
		sizes[[2]int{p.slab.w, p.slab.h}] += n
		formats[kindNames[p.slab.kind]] += n
		if p.rank != lastRank {
			s.files = append(s.files, Escape(c.l.entries[p.rank].name))
			s.origin = append(s.origin, span{at, len(s.files) - 1})
			lastRank = p.rank
		}
		labelled = labelled && p.slab.labels != nil && p.slab.kind == c.slabs[0].slab.kind
		if labelled {
			labels = append(labels, p.slab.labels[:n]...)
			if len(p.slab.classes) > len(classes) {
				classes = p.slab.classes
			}
		}
		at += n
	}
	if labelled && s.N > 0 {
		s.Labels, s.Classes = labels, classes
	} else {
		c.folderClasses(s)
	}
	for k, n := range sizes {
		s.Sources = append(s.Sources, SizeCount{k[0], k[1], n})
	}
	sort.Slice(s.Sources, func(i, j int) bool {
		a, b := s.Sources[i], s.Sources[j]
		if a.N != b.N {
			return a.N > b.N
		}
		return a.W < b.W || a.W == b.W && a.H < b.H
	})
	s.Formats = sortedCounts(formats)
	return lastRank
}

func sortedCounts(m map[string]int) []Count {
	var out []Count
	for k, n := range m {
		out = append(out, Count{k, n})
	}
	sort.Slice(out, func(i, j int) bool {
		return out[i].N > out[j].N || out[i].N == out[j].N && out[i].Name < out[j].Name
	})
	return out
}

// folderClasses takes the first folder of each path as its class, below a folder that holds everything (as archives
// have). All pictures must lie in one, and there must be two classes or more.
func (c *collector) folderClasses(s *Set) {
	var ranks []int
	for i := range s.origin {
		ranks = append(ranks, c.slabs[c.slabAt(s.origin[i].first)].rank)
	}
	if len(ranks) == 0 {
		return
	}
	prefix := ""
	class := func(rank int) (string, bool) {
		name, _, ok := strings.Cut(strings.TrimPrefix(c.l.entries[rank].name, prefix), "/")
		return name, ok
	}
	for {
		first, ok := class(ranks[0])
		if !ok {
			return
		}
		same := true
		for _, r := range ranks {
			k, ok := class(r)
			if !ok {
				return
			}
			same = same && k == first
		}
		if !same {
			break
		}
		prefix += first + "/"
	}
	number := make(map[string]int)
	of := make([]int, len(ranks)) // entries are sorted, but "a-b/" sorts before "a/": number by first sight
	for i, r := range ranks {
		k, _ := class(r)
		if _, ok := number[k]; !ok {
			number[k] = len(s.Classes)
			s.Classes = append(s.Classes, Escape(k))
		}
		of[i] = number[k]
	}
	s.Labels = make([]int, s.N)
	for i, o := range s.origin {
		end := s.N
		if i+1 < len(s.origin) {
			end = s.origin[i+1].first
		}
		for k := o.first; k < end; k++ {
			s.Labels[k] = of[i]
		}
	}
}

// slabAt returns which of the ordered slabs holds picture i.
func (c *collector) slabAt(i int) int {
	if c.slabStart == nil {
		at := 0
		for _, p := range c.slabs {
			c.slabStart = append(c.slabStart, at)
			at += p.n
		}
	}
	return sort.Search(len(c.slabStart), func(k int) bool { return c.slabStart[k] > i }) - 1
}

// arrange moves the pictures to the order of the slabs, in place: each cycle of the permutation with one picture aside.
func (c *collector) arrange() {
	from := make([]int32, 0, len(c.pixels)/c.picture) // picture i of the result was the from[i]th to come
	for _, p := range c.slabs {
		for k := range p.n {
			from = append(from, int32(p.first+k))
		}
	}
	at := func(i int) []byte { return c.pixels[i*c.picture : (i+1)*c.picture] }
	aside := make([]byte, c.picture)
	for start := range from {
		if from[start] < 0 || int(from[start]) == start {
			continue
		}
		copy(aside, at(start))
		to := start
		for {
			next := int(from[to])
			from[to] = -1
			if next == start {
				copy(at(to), aside)
				break
			}
			copy(at(to), at(next))
			to = next
		}
	}
}
