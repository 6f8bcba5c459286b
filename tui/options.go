package tui

import (
	"errors"
	"os"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// Options are what all screens share. The zero value is a screen on the standard streams that finds out the rest by itself.
type Options struct {
	Title   string   // what the screen is about: a run's name, a path
	Images  string   // auto (or empty), kitty, sixel, iterm, blocks, 256, ascii, off
	Budget  int      // bytes a second that pictures take over a network; 0 is picture.DefaultBudget
	NoColor bool     // no colours, as if NO_COLOR were set
	Desk    *Desk    // what a run's screen can do besides following it; nil: nothing
	Next    []string // what a person can do after the end, a line each, such as a command
	In      *os.File // nil is the standard input
	Out     *os.File // nil is the standard output
	Env     []string // nil is the environment of the process

	ReadOnly   bool        // a run can be watched and no more
	Connection *Connection // a terminal elsewhere, instead of In and Out
}

// ErrLeft says that the person left at once, before the work had ended or saved itself.
var ErrLeft = errors.New("left before the work had ended")

// errNoTerminal is for a screen whose output or input is no terminal.
var errNoTerminal = errors.New("a screen needs a terminal on its input and output (use --headless without one)")

// CheckImages says whether Images is a value that the screens know, so that a command can refuse it before it starts.
func (o Options) CheckImages() error {
	_, _, err := picture.ParseMode(o.Images)
	return err
}

func (o Options) budget() int {
	if o.Budget == 0 {
		return picture.DefaultBudget
	}
	return o.Budget
}

func (o Options) env() []string {
	if o.Env == nil {
		return os.Environ()
	}
	return o.Env
}

func (o Options) getenv(name string) string {
	value := ""
	for _, kv := range o.env() { // the last one counts
		if k, v, ok := strings.Cut(kv, "="); ok && k == name {
			value = v
		}
	}
	return value
}

// mono says whether colours are unwanted.
func (o Options) mono() bool { return o.NoColor || o.getenv("NO_COLOR") != "" }

func (o Options) files() (in, out *os.File) {
	in, out = o.In, o.Out
	if in == nil {
		in = os.Stdin
	}
	if out == nil {
		out = os.Stdout
	}
	return in, out
}
