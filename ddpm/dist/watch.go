package dist

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Every rank says now and then that it lives: rank 0 to all, all to rank 0. Who is not heard of for long is taken for dead, as is a
// process of this machine that is no more, and the job ends. What a rank has to say of its own end goes the same way.

// How often the watch looks, and how often it says that it lives.
const (
	watchEvery = 50 * time.Millisecond
	beatEvery  = 500 * time.Millisecond
)

// stopSilence is how long a rank may have been silent when this one is asked to stop.
const stopSilence = 4 * time.Second

// messageMost is the longest message.
const messageMost = 4096

// The kinds of messages, their first byte. Behind messageEnd come a rank and the reason.
const (
	messageBeat = 'b'
	messageEnd  = 'e'
)

// A message is for another rank.
type message struct {
	to   int
	text string
}

// watch is what a rank knows of the others' lives. It calls nothing and has no clock: it is told.
type watch struct {
	rank    int
	peers   []Peer
	silence time.Duration
	heard   []time.Time // when a rank was heard of
	beat    time.Time   // when this rank spoke last
	looked  time.Time   // when it looked last
	alive   func(Peer) bool
	lost    *RankError
	passed  bool // lost was said to the others
	off     bool // the job ends in order
	stop    <-chan struct{}
}

func newWatch(rank int, peers []Peer, o Options) *watch {
	if o.Silence <= 0 {
		o.Silence = Silence
	}
	return &watch{rank: rank, peers: peers, silence: o.Silence, heard: make([]time.Time, len(peers)), alive: Peer.alive, stop: o.Stop}
}

// knows reports whether this rank exchanges messages with that one.
func (w *watch) knows(rank int) bool { return rank != w.rank && (rank == 0 || w.rank == 0) }

// all is a message to every rank that this one knows.
func (w *watch) all(text string) []message {
	var list []message
	for r := range w.peers {
		if w.knows(r) {
			list = append(list, message{r, text})
		}
	}
	return list
}

// hear takes a message.
func (w *watch) hear(from int, text string, now time.Time) {
	w.heard[from] = now
	if text, end := strings.CutPrefix(text, string(messageEnd)); end && w.lost == nil {
		number, reason, _ := strings.Cut(text, " ")
		if r, err := strconv.Atoi(number); err == nil && r >= 0 && r < len(w.peers) {
			w.lost = &RankError{Rank: r, Host: w.peers[r].Host, Text: reason}
		}
	}
}

// tick is called every watchEvery, after what was heard. It returns what is to be said, and who is lost.
func (w *watch) tick(now time.Time) ([]message, *RankError) {
	if w.off {
		return nil, nil
	}
	// Who was stopped himself, with the whole machine perhaps, cannot tell who is silent.
	if fresh := w.looked.IsZero() || now.Sub(w.looked) > w.silence/2; fresh {
		for i := range w.heard {
			w.heard[i] = now
		}
	}
	w.looked = now
	silence := w.silence
	select {
	case <-w.stop: // there may be no time to wait: mpirun asks, who has missed a host too, and kills soon
		silence, w.stop = min(silence, stopSilence), nil
	default:
	}
	for r, p := range w.peers {
		switch {
		case w.lost != nil || r == w.rank:
		case !w.alive(p):
			w.lost = &RankError{Rank: r, Host: p.Host, Text: fmt.Sprintf("is gone (process %d was killed, or crashed)", p.PID)}
		case w.knows(r) && now.Sub(w.heard[r]) > silence:
			w.lost = &RankError{Rank: r, Host: p.Host, Text: fmt.Sprintf("was not heard of for %v (its host or the network to it is gone)", silence)}
		}
	}
	switch {
	case w.lost != nil && !w.passed:
		w.passed = true
		return w.all(w.ending(w.lost.Rank, w.lost.Text)), w.lost
	case w.lost != nil:
		return nil, w.lost
	case now.Sub(w.beat) < beatEvery:
		return nil, nil
	}
	w.beat = now
	return w.all(string(messageBeat)), nil
}

// failed says that this rank cannot go on. If another one is the reason, that is passed on.
func (w *watch) failed(err error) []message {
	var other *RankError
	if w.passed || w.off {
		return nil
	}
	w.passed = true
	if errors.As(err, &other) {
		return w.all(w.ending(other.Rank, other.Text))
	}
	return w.all(w.ending(w.rank, "failed: "+err.Error()))
}

// ending is a message of the end of a rank.
func (w *watch) ending(rank int, reason string) string {
	text := fmt.Sprintf("%c%d %s", messageEnd, rank, reason)
	return text[:min(len(text), messageMost)]
}
