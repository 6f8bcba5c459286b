package tui

import (
	"image"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// A picture that a slow line made small is made better while it stays; the next one begins as small again.
func TestStillsGetBetter(t *testing.T) {
	s := testShell(t, screens()["training"](), Options{Images: "sixel"}, 120, 40)
	s.out.Pace(picture.NewLink(true, 20<<10), func() {})
	s.gallery.calm, s.gallery.pace = time.Millisecond, time.Millisecond
	noise := image.NewRGBA(image.Rect(0, 0, 128, 128))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(rand.IntN(256)) | uint8(255*(i/3%2))
	}
	work := func() {
		cmds := []tea.Cmd{s.gallery.work()}
		for len(cmds) > 0 {
			if c := cmds[0]; c != nil {
				switch m := c().(type) {
				case tea.BatchMsg:
					cmds = append(cmds, m...)
				case encodedMsg:
					s.gallery.encoded(m)
				}
			}
			cmds = cmds[1:]
		}
		s.gallery.waits = time.Time{}
	}
	s.gallery.set(Samples, picture.Sheet{Image: noise}, false)
	a := s.gallery.art[Samples]
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("not so: ", what)
			}
			work()
		}
	}
	s.render()
	until("it is drawn", func() bool { return a.made.seq == a.seq })
	first := a.shown
	if first == 0 {
		t.Fatal("20 KiB/s are enough for a noisy picture at its best")
	}
	s.gallery.pace = 8 * time.Second // it stays
	until("it is made better", func() bool { return a.shown < first })
	if a.quality != first {
		t.Errorf("the next one begins at quality %d, not %d", a.quality, first)
	}
}

// Numbers that take fewer columns than there is room for have no heads above nothing.
func TestStatHeads(t *testing.T) {
	lines := statLines(newTheme(0, true, true, nil), picture.Sheet{Image: tiles(1, 8), Rows: 1, Cols: 8}, 180, 3)
	if n := strings.Count(lines[0], "mean"); n != 4 || len(lines) != 3 {
		t.Errorf("%d heads:\n%s", n, strings.Join(lines, "\n"))
	}
}
