package picture

import (
	"slices"
	"testing"
)

func TestReplies(t *testing.T) {
	var x Terminal
	x.Resize(80, 24, 0, 0)
	if w, h := x.Cell(); w != 8 || h != 16 {
		t.Errorf("nothing known: a cell of %dx%d", w, h)
	}
	for _, seq := range []string{"\x1b[4;480;800t", "\x1b[6;18;9t", "\x1b[?1;0;256S", "\x1b[?63;1;2;4;6;9;15;22c"} {
		if !x.Reply(seq) {
			t.Errorf("%q is not understood", seq)
		}
	}
	if w, h := x.Cell(); w != 9 || h != 18 {
		t.Errorf("a cell of %dx%d", w, h)
	}
	if !x.Sixel || !x.Answered || x.Registers != 256 {
		t.Errorf("%+v", x)
	}
	x.Resize(100, 30, 1000, 600) // the kernel knows best
	if w, h := x.Cell(); w != 10 || h != 20 {
		t.Errorf("a cell of %dx%d", w, h)
	}
	x.Resize(100, 30, 65535, 1) // but not this
	if w, h := x.Cell(); w != 9 || h != 18 {
		t.Errorf("nonsense from the kernel gave %dx%d", w, h)
	}
}

func TestAttributesWithoutSixel(t *testing.T) {
	var x Terminal
	x.Reply("\x1b[?4;6c") // a VT132: the first number is no attribute
	if x.Sixel || !x.Answered {
		t.Errorf("%+v", x)
	}
}

func TestModes(t *testing.T) {
	x := Terminal{Sixel: true}
	for _, c := range []struct {
		colours Colours
		mux     Multiplexer
		want    []Mode
	}{
		{TrueColour, Direct, []Mode{Sixel, HalfBlocks, Blocks256, ASCII, None}},
		{TrueColour, Multiplexed, []Mode{HalfBlocks, Blocks256, ASCII, None}},
		{Colours256, Multiplexed, []Mode{Blocks256, ASCII, None}},
		{NoColours, PassesKitty, []Mode{ASCII, None}},
	} {
		if got := x.Modes(c.colours, c.mux); !slices.Equal(got, c.want) {
			t.Errorf("%v: %v", c, got)
		}
	}
	env := map[string]string{"TERM": "tmux-256color"}
	if InMultiplexer(func(k string) string { return env[k] }) != Multiplexed {
		t.Error("tmux is a multiplexer")
	}
}

func FuzzReply(f *testing.F) {
	for _, s := range []string{"\x1b[?63;1;2;4c", "\x1b[6;16;8t", "\x1b[4;0;0t", "\x1b[?1;0;1024S", "\x1b[?1;3;0S", "\x1b[", "\x1b[;;c", "\x1b[6;99999999999;1t", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var x Terminal
		x.Resize(80, 24, 640, 384)
		x.Reply(s)
		if w, h := x.Cell(); !trusted(w, h) {
			t.Errorf("%q: a cell of %dx%d", s, w, h)
		}
	})
}
