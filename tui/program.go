package tui

import (
	"context"
	"errors"
	"os"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/term"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// frameRate is the most frames a second. Screens change more slowly by themselves (redraw); this is what a key may cost.
const frameRate = 30

// show shows a screen until it ends. The context's end asks the screen to leave.
func show(ctx context.Context, in screen, opt Options) error {
	stdin, stdout := opt.files()
	if !term.IsTerminal(stdin.Fd()) || !term.IsTerminal(stdout.Fd()) {
		return errNoTerminal
	}
	out := picture.NewScreen(stdout)
	defer out.Close()
	profile := colorprofile.Detect(out.Output(), opt.env())
	if opt.mono() {
		profile = colorprofile.ASCII
	}
	s, err := newShell(ctx, in, out, opt, colours(profile))
	if err != nil {
		return err
	}
	if _, err := newProgram(s, stdin, stdout, profile, opt).Run(); err != nil && !errors.Is(err, tea.ErrInterrupted) {
		return err
	}
	return nil
}

// newProgram makes the program of a shell.
func newProgram(s *shell, stdin, stdout *os.File, profile colorprofile.Profile, opt Options) *tea.Program {
	s.pixels = func() (cols, rows, w, h int) { return windowSize(stdout.Fd()) }
	return tea.NewProgram(s,
		tea.WithInput(stdin), tea.WithOutput(s.out.Output()), tea.WithEnvironment(opt.env()), tea.WithColorProfile(profile),
		tea.WithFPS(frameRate),
		// Signals are the command's: it ends the context, and the screen leaves in order.
		tea.WithoutSignalHandler())
}

func colours(p colorprofile.Profile) picture.Colours {
	switch p {
	case colorprofile.TrueColor:
		return picture.TrueColour
	case colorprofile.ANSI256:
		return picture.Colours256
	case colorprofile.ANSI:
		return picture.Colours16
	}
	return picture.NoColours
}
