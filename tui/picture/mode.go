package picture

import "fmt"

// A Mode is a way to show a picture.
type Mode int

// The modes, the plainest first.
const (
	None       Mode = iota // no picture: numbers instead
	ASCII                  // one letter a cell
	Blocks256              // half blocks in the 256 colours of xterm
	HalfBlocks             // half blocks in true colour: two pixels a cell
	Sixel                  // pixels, in bands
	ITerm                  // PNG files inside of iTerm2's OSC 1337
	Kitty                  // kitty's graphics protocol, placed by Unicode placeholders
)

var modeNames = [...]string{None: "off", ASCII: "ascii", Blocks256: "256", HalfBlocks: "blocks", Sixel: "sixel", ITerm: "iterm", Kitty: "kitty"}

// ModeNames is what ParseMode reads, for a message.
const ModeNames = "auto, kitty, sixel, iterm, blocks, 256, ascii, off"

// String is the name that ParseMode reads.
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return fmt.Sprintf("mode(%d)", int(m))
	}
	return modeNames[m]
}

// Drawn says whether the pictures are drawn over cells that the text leaves empty; all others are text.
func (m Mode) Drawn() bool { return m == Sixel || m == ITerm }

// ParseMode reads a mode by name. For "auto" and "" it says that the terminal decides.
func ParseMode(s string) (m Mode, auto bool, err error) {
	if s == "" || s == "auto" {
		return None, true, nil
	}
	for i, name := range modeNames {
		if s == name {
			return Mode(i), false, nil
		}
	}
	return None, false, fmt.Errorf("images: %q is not one of %s", s, ModeNames)
}
