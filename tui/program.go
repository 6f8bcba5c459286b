package tui

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/colorprofile"
	uv "github.com/charmbracelet/ultraviolet"
	"github.com/charmbracelet/x/term"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// frameRate is the most frames a second. Screens change more slowly by themselves (redraw); this is what a key may cost.
const frameRate = 60

// show shows a screen until it ends. The context's end asks the screen to leave.
func show(ctx context.Context, in screen, opt Options) error {
	if opt.Connection != nil {
		return showConnected(ctx, in, opt)
	}
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
	if opt.getenv("TMUX") != "" {
		s.tmux = askTmux
	}
	return finish(newProgram(s, stdin, stdout, profile, opt))
}

func finish(p *tea.Program) error {
	if _, err := p.Run(); err != nil && !errors.Is(err, tea.ErrInterrupted) {
		return err
	}
	return nil
}

// newProgram makes the program of a shell on this machine's terminal.
func newProgram(s *shell, stdin, stdout *os.File, profile colorprofile.Profile, opt Options) *tea.Program {
	s.pixels = func() (cols, rows, w, h int) { return windowSize(stdout.Fd()) }
	remote := opt.getenv("SSH_CONNECTION") != "" || opt.getenv("SSH_TTY") != ""
	return newPaced(s, remote, opt, tea.WithInput(stdin), tea.WithColorProfile(profile))
}

// paced is a screen whose pictures come at a pace of their own.
type paced interface{ pace() time.Duration }

// newPaced makes a program that keeps to what its terminal can take.
func newPaced(s *shell, remote bool, opt Options, more ...tea.ProgramOption) *tea.Program {
	var p *tea.Program
	// Acknowledgements change nothing on the screen: they do not get as far as a frame.
	filter := func(_ tea.Model, msg tea.Msg) tea.Msg {
		switch m := msg.(type) {
		case uv.UnknownCsiEvent:
			if m == picture.Acknowledged {
				s.out.Acknowledge()
				return nil
			}
		case calmMsg:
			s.frames.rest(s.out.Busy())
			return nil
		}
		return msg
	}
	p = tea.NewProgram(s, append([]tea.ProgramOption{
		tea.WithOutput(s.out.Output()), tea.WithEnvironment(opt.env()), tea.WithFPS(frameRate), tea.WithFilter(filter),
		// Signals are the command's: it ends the context, and the screen leaves in order.
		tea.WithoutSignalHandler(),
	}, more...)...)
	s.gallery.pace = 900 * time.Millisecond // what comes once a second is never late by more than that
	if in, ok := s.in.(paced); ok {
		s.gallery.pace = in.pace()
	}
	s.out.Pace(picture.NewLink(remote, opt.budget()), func() { p.Send(lineMsg{}) })
	s.program = p
	return p
}

// askTmux asks tmux about the terminal outside.
func askTmux() string {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "tmux", "display-message", "-p", picture.TmuxFormat).Output()
	if err != nil {
		return "" // without tmux there is no passing through it
	}
	return string(out)
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
