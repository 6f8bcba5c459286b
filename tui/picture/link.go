package picture

import "time"

// Probe asks the terminal for its status, which it answers when it has read everything before: the acknowledgement of a picture.
const Probe = "\x1b[5n"

// Acknowledged is the answer to Probe.
const Acknowledged = "\x1b[0n"

// DefaultBudget is how many bytes a second pictures take over a network unless one is told otherwise.
const DefaultBudget = 256 << 10

// What a link does while little is known about it.
const (
	remoteRate = 96 << 10 // bytes a second, over a network
	localRate  = 16 << 20
	slowRate   = 64 << 10 // below, a terminal on this machine is at the end of a line that nobody told us of
	fastRate   = 4 << 20  // from here on pictures need not be made smaller
	share      = 0.5      // of the link, for pictures: the rest is for text
	spare      = 0.75     // of an interval: the next picture must not wait for this one
	shortest   = 4 << 10  // bytes that may be on their way whatever the link
	oneGo      = time.Millisecond
	queueTime  = 100 * time.Millisecond
	patience   = 10 * time.Second // for an answer of a terminal that has answered before
	deafness   = time.Second      // for an answer of one that never has
)

// A Link knows how much a terminal and the line to it can take, by the terminal's answers to Probe. Bytes that are on their way delay
// what a person sees of the next key, so few are: what the line carries in a round trip, and a tenth of a second more.
//
// Its rate comes from the time between the answers to two probes that were written in one go, which no length of the line is part of:
// each burst of pictures has a probe before it and some behind its parts.
type Link struct {
	remote   bool
	budget   float64 // bytes a second for pictures; 0 is no limit
	rate     float64 // bytes a second, as measured
	rtt      time.Duration
	answered bool
	probes   []probe // without an answer yet, the oldest first
	last     time.Time
	free     time.Time // when the budget allows the next picture
}

type probe struct {
	sent  time.Time
	bytes int  // written since the probe before it
	next  bool // written in one go with the probe before it
}

// NewLink is the link of a terminal on this machine, or over a network, where pictures take no more than budget bytes a second (0: no
// limit).
func NewLink(remote bool, budget int) *Link {
	l := &Link{rate: localRate, remote: remote}
	if remote {
		l.rate, l.budget = remoteRate, float64(budget)
	}
	return l
}

// sent notes a probe behind so many bytes.
func (l *Link) sent(now time.Time, bytes int) {
	l.expire(now)
	n := len(l.probes)
	l.probes = append(l.probes, probe{now, bytes, n > 0 && now.Sub(l.probes[n-1].sent) < oneGo})
}

// spend takes the bytes of a picture from the budget.
func (l *Link) spend(now time.Time, bytes int) {
	if l.free.Before(now) {
		l.free = now
	}
	if r := l.pictures(); r > 0 {
		l.free = l.free.Add(time.Duration(float64(bytes) / r * float64(time.Second)))
	}
}

// acknowledge takes an answer, and reports whether one was due.
func (l *Link) acknowledge(now time.Time) bool {
	l.expire(now)
	l.answered = true
	if len(l.probes) == 0 {
		return false
	}
	p := l.probes[0]
	l.probes = l.probes[1:]
	took := now.Sub(p.sent)
	switch {
	case !p.next:
		if l.rtt == 0 || took < l.rtt {
			l.rtt = took
		} else {
			l.rtt += (took - l.rtt) / 16 // lines change
		}
	case p.bytes >= 512:
		apart := max(now.Sub(l.last), 50*time.Microsecond)
		seen := float64(p.bytes) / apart.Seconds()
		// A slow line shows at once; a fast answer may be two that came together.
		l.rate = min((l.rate+seen)/2, 2*l.rate)
		if seen < l.rate/2 && l.remote { // on this machine it is the machine that was busy
			l.rate = seen * 1.5
		}
	}
	l.last = now
	return true
}

// expire forgets probes that will not be answered any more.
func (l *Link) expire(now time.Time) {
	if len(l.probes) > 0 && now.Sub(l.probes[0].sent) > l.patience() {
		l.probes = nil
	}
}

func (l *Link) patience() time.Duration {
	if l.answered {
		return patience
	}
	return deafness
}

// room is how many bytes of a picture may be written now.
func (l *Link) room(now time.Time) int {
	l.expire(now)
	limit := max(shortest, int(l.rate*(l.rtt+queueTime).Seconds()*share))
	for _, p := range l.probes {
		limit -= p.bytes
	}
	if len(l.probes) == 0 {
		return limit
	}
	return max(0, limit)
}

// spacing is how many bytes there are between probes at least.
func (l *Link) spacing() int { return max(2<<10, int(l.rate/50)) }

// quiet says whether all is answered.
func (l *Link) quiet(now time.Time) bool {
	l.expire(now)
	return len(l.probes) == 0
}

// pictures is how many bytes a second pictures may take; 0 is no limit.
func (l *Link) pictures() float64 {
	r := l.rate * share
	if l.rate >= fastRate || !l.remote && l.rate > slowRate {
		r = 0
	}
	if l.budget > 0 && (r == 0 || l.budget < r) {
		r = l.budget
	}
	return r
}

// allowance is how many bytes pictures that come once an interval may have; 0 is no limit. The last acknowledgement of one, a round trip
// after its last part, comes before the next picture.
func (l *Link) allowance(interval time.Duration) int {
	r := l.pictures()
	if r == 0 {
		return 0
	}
	seconds := min(interval.Seconds()*spare, (interval - l.rtt).Seconds())
	return max(1<<10, int(r*max(seconds, interval.Seconds()/8)))
}
