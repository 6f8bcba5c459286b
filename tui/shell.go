package tui

import (
	"context"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	uv "github.com/charmbracelet/ultraviolet"

	"github.com/ddpm-tui/ddpm-tui/tui/picture"
)

// A screen is what differs between the screens.
type screen interface {
	// init starts the screen's commands.
	init() tea.Cmd
	// update takes every message the shell does not keep to itself.
	update(msg tea.Msg) tea.Cmd
	// draw draws all but the footer.
	draw(s surface) block
	// table is the screen's keys.
	table() []binding
	// typing says that keys are text, and go to update.
	typing() bool
	// leave asks to end: by a key, or from outside.
	leave(byKey bool) tea.Cmd
	// notice is what the footer says instead of keys; "" is nothing.
	notice() string
}

// A surface is what a screen draws on.
type surface struct {
	w, h int
	th   theme
	g    *gallery
	now  time.Time
	look int // which theme, of all there were
}

// quitMsg ends the program.
type quitMsg struct{}

func quit() tea.Msg { return quitMsg{} }

// leaveMsg says that the context is done.
type leaveMsg struct{}

// answerTime is how long the end waits for a terminal that was asked and has not answered: an answer that comes after the end would be
// typed into the shell.
const answerTime = 300 * time.Millisecond

// A shell is the program around a screen.
type shell struct {
	ctx     context.Context
	in      screen
	out     *picture.Screen
	title   string
	clock   func() time.Time
	started time.Time
	pixels  func() (cols, rows, w, h int) // of the window, as the kernel knows it

	term    picture.Terminal
	colours picture.Colours
	mux     picture.Multiplexer
	plain   bool          // the terminal prints what it does not know
	tmux    func() string // asks tmux about the terminal outside; nil: there is none
	mono    bool
	auto    bool // the terminal decides the mode
	gallery gallery
	th      theme
	kind    int // of theme
	look    int // themes there were

	program *tea.Program // nil: none shows this
	frames  *frameClock
	written tea.View // handed to the program last

	w, h    int
	help    bool
	mouse   bool        // clicks and the wheel are keys
	before  *chosenMode // pictures were hidden
	content string
	pics    []picture.Placement
	turns   [picture.Slots]int // generations of the pictures
}

func newShell(ctx context.Context, in screen, out *picture.Screen, opt Options, colours picture.Colours) (*shell, error) {
	mode, auto, err := picture.ParseMode(opt.Images)
	if err != nil {
		return nil, err
	}
	s := &shell{
		ctx: ctx, in: in, out: out, title: clean(opt.Title), clock: time.Now, colours: colours,
		mono: opt.mono(), mux: picture.InMultiplexer(opt.getenv), plain: opt.getenv("TERM") == "linux", auto: auto,
		w: 80, h: 24,
	}
	if s.mono {
		s.colours = picture.NoColours
		if mode == picture.HalfBlocks || mode == picture.Blocks256 || mode == picture.Kitty {
			mode = picture.None // these are colours, and without them nothing
		}
	}
	s.gallery.mode, s.gallery.out = mode, out
	if mode == picture.Kitty && s.mux != picture.Direct {
		s.passThrough() // a person knows better
	}
	s.th = newTheme(s.kind, true, s.mono, nil)
	s.started = s.clock()
	s.chooseMode()
	return s, nil
}

// chooseMode takes the best mode that the terminal is known to have, unless a person chose one.
func (s *shell) chooseMode() {
	s.gallery.cellW, s.gallery.cellH = s.term.Cell()
	s.gallery.colors = s.term.Registers
	if !s.auto {
		return
	}
	s.gallery.mode = s.modes()[0]
}

// modes are the modes to choose from. Without colours numbers come first: they say more than letters.
func (s *shell) modes() []picture.Mode {
	if s.mono {
		modes := []picture.Mode{picture.None, picture.ASCII}
		if s.term.Sixel && s.mux == picture.Direct {
			modes = append(modes, picture.Sixel)
		}
		return modes
	}
	return s.term.Modes(s.colours, s.mux)
}

// nextMode changes the mode by hand.
func (s *shell) nextMode() tea.Cmd {
	modes := s.modes()
	next := 0
	for i, m := range modes {
		if m == s.gallery.mode {
			next = (i + 1) % len(modes)
		}
	}
	s.auto = false
	s.gallery.mode = modes[next]
	return nil
}

// hidePictures shows numbers instead of pictures, and the pictures again.
func (s *shell) hidePictures() tea.Cmd {
	if s.gallery.mode == picture.None && s.before != nil {
		s.gallery.mode, s.auto = s.before.mode, s.before.auto
		s.before = nil
		s.chooseMode()
		return nil
	}
	s.before = &chosenMode{s.gallery.mode, s.auto}
	s.gallery.mode, s.auto = picture.None, false
	return nil
}

// A chosenMode is a way to show pictures, and whether the terminal decided.
type chosenMode struct {
	mode picture.Mode
	auto bool
}

// Init asks the terminal what it is. The first frame does not wait for the answers.
func (s *shell) Init() tea.Cmd {
	wait := func() tea.Msg {
		<-s.ctx.Done()
		return leaveMsg{}
	}
	query := picture.Query
	if s.plain {
		query = picture.PlainQuery
	}
	cmds := []tea.Cmd{tea.Raw(query), tea.RequestBackgroundColor, s.in.init(), wait}
	if s.colours == picture.Colours256 || s.colours == picture.Colours16 {
		cmds = append(cmds, tea.RequestCapability("RGB"), tea.RequestCapability("Tc")) // over SSH nobody says COLORTERM
	}
	if s.tmux != nil {
		cmds = append(cmds, func() tea.Msg { return tmuxMsg(s.tmux()) })
	}
	return tea.Batch(cmds...)
}

// tmuxMsg is what tmux says of the terminal outside.
type tmuxMsg string

// passThrough sends kitty's pictures through tmux.
func (s *shell) passThrough() {
	s.mux, s.gallery.tmux = picture.PassesKitty, true
	s.out.Passthrough(true)
}

// Update takes a message and draws the frame that follows from it.
func (s *shell) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	seen := s.gallery.changed
	cmd := s.handle(msg)
	switch msg.(type) {
	case lineMsg, paceMsg: // which is about what comes next, but for a picture of kitty's that is there now
		if seen == s.gallery.changed {
			break
		}
		s.render()
	default:
		s.render()
	}
	return s, tea.Batch(cmd, s.gallery.work())
}

func (s *shell) handle(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		s.resize(msg.Width, msg.Height)
	case tea.BackgroundColorMsg:
		s.th = newTheme(s.kind, msg.IsDark(), s.mono, rgb(msg.Color))
		s.look++
	case uv.PrimaryDeviceAttributesEvent:
		s.term.Attributes(msg)
		s.chooseMode()
	case uv.CellSizeEvent:
		s.term.CellSize(msg.Width, msg.Height)
		s.chooseMode()
	case uv.PixelSizeEvent:
		s.term.WindowPixels(msg.Width, msg.Height)
		s.chooseMode()
	case uv.UnknownCsiEvent:
		s.term.Reply(string(msg))
		s.chooseMode()
	case uv.KittyGraphicsEvent:
		s.term.Graphics = s.term.Graphics || string(msg.Payload) == "OK"
		s.chooseMode()
	case tea.TerminalVersionMsg:
		s.term.Version = clean(msg.Name)
		s.chooseMode()
	case tea.ColorProfileMsg:
		if !s.mono {
			s.colours = colours(msg.Profile)
			s.chooseMode()
		}
	case tmuxMsg:
		if picture.TmuxPasses(string(msg)) {
			s.passThrough()
			s.chooseMode()
		}
	case lineMsg:
		s.gallery.loaded()
	case paceMsg:
		s.gallery.waits = time.Time{}
	case encodedMsg:
		s.gallery.encoded(msg)
	case leaveMsg:
		return s.in.leave(false)
	case quitMsg:
		if left := answerTime - s.clock().Sub(s.started); left > 0 && !s.term.Answered {
			return tea.Tick(left, func(time.Time) tea.Msg { return tea.QuitMsg{} })
		}
		return tea.Quit
	case tea.KeyPressMsg:
		return s.key(msg)
	case tea.MouseClickMsg:
		return s.click(msg)
	case tea.MouseWheelMsg:
		return s.wheel(msg)
	case tea.MouseReleaseMsg, tea.MouseMotionMsg: // a click has been one already
	default:
		return s.in.update(msg)
	}
	return nil
}

func (s *shell) resize(w, h int) {
	s.w, s.h = w, h
	pw, ph := 0, 0
	if s.pixels != nil {
		cols, rows, kw, kh := s.pixels()
		if cols == w && rows == h { // else the window has changed again
			pw, ph = kw, kh
		}
	}
	s.term.Resize(w, h, pw, ph)
	s.out.Resize(w, h)
	s.chooseMode()
}

func (s *shell) key(msg tea.KeyPressMsg) tea.Cmd {
	name := msg.String()
	if name == "ctrl+c" {
		return s.in.leave(true)
	}
	if s.help {
		s.help = false
		if name == "?" || name == "esc" || name == "q" {
			return nil
		}
	}
	if s.in.typing() {
		return s.in.update(msg)
	}
	if b, ok := find(s.table(), name); ok {
		return b.run(name)
	}
	return nil
}

// table is the keys of the screen and of the shell, in the order in which footer and help show them: quit last.
func (s *shell) table() []binding {
	own := s.in.table()
	shared := []binding{
		{keys: []string{"i"}, help: "next way to show pictures: " + s.modeList(), do: s.nextMode},
		{keys: []string{"I"}, help: "pictures off, and back as they were", do: s.hidePictures},
		{keys: []string{"m"}, help: "use the mouse here, or not: tabs, lists, keys, wheel", do: func() tea.Cmd { s.mouse = !s.mouse; return nil }},
		{keys: []string{"T"}, help: "next theme: " + strings.Join(themeNames[:], ", "), do: func() tea.Cmd {
			s.kind = (s.kind + 1) % themes
			s.th = newTheme(s.kind, s.th.dark, s.mono, s.th.back)
			s.look++
			return nil
		}},
		{keys: []string{"?"}, name: "help", help: "these keys", do: func() tea.Cmd { s.help = true; return nil }},
	}
	if n := len(own); n > 0 {
		return append(append(append([]binding{}, own[:n-1]...), shared...), own[n-1])
	}
	return shared
}

func (s *shell) modeList() string {
	var names []string
	for _, m := range s.modes() {
		names = append(names, m.String())
	}
	return strings.Join(names, ", ")
}

// render draws the frame.
func (s *shell) render() {
	s.gallery.begin()
	w, h := max(1, s.w), max(1, s.h)
	foot := 0
	if h >= 4 {
		foot = 1
	}
	sf := surface{w: w, h: h - foot, th: s.th, g: &s.gallery, now: s.clock(), look: s.look}
	var b block
	if s.help {
		b = helpBlock(s.th, s.table(), []string{"ctrl+c leaves from anywhere"}, w, h-foot)
		if b.w < 4 || b.h < 3 {
			b = s.in.draw(sf)
		}
	} else {
		b = s.in.draw(sf)
	}
	if foot > 0 {
		line := footer(s.th, s.table(), w)
		if n := s.in.notice(); n != "" {
			line = pad(" "+bold(s.th.warn).Paint(n), w)
		}
		b = stack(b, text(w, 1, line))
	}
	s.content = strings.Join(b.lines, "\n")
	s.pics = s.turn(b.pics)
}

// turn gives pictures that were not at their place in the frame before the next generation of placeholders.
func (s *shell) turn(pics []picture.Placement) []picture.Placement {
	for i := range pics {
		p := &pics[i]
		stayed := false
		for _, old := range s.pics {
			stayed = stayed || old.Slot == p.Slot && old.Rect() == p.Rect()
		}
		if !stayed {
			s.turns[p.Slot]++
		}
		p.Generation = s.turns[p.Slot] % picture.Generations
		if p.Generation != 0 {
			s.content = strings.ReplaceAll(s.content, string(picture.Placeholder(p.Slot, 0)), string(picture.Placeholder(p.Slot, p.Generation)))
		}
	}
	return pics
}

// View hands the frame to bubbletea and its pictures to the output.
func (s *shell) View() tea.View {
	if s.content == "" {
		s.render()
	}
	s.out.Show(append(s.gallery.placements(), s.pics...))
	v := tea.NewView(s.content)
	v.AltScreen = true
	if s.mouse {
		v.MouseMode = tea.MouseModeCellMotion
	}
	v.WindowTitle = strings.TrimSpace("ddpm-tui " + s.title)
	if s.program != nil && (v.Content != s.written.Content || v.MouseMode != s.written.MouseMode) {
		if s.frames == nil {
			s.frames = newFrameClock(s.program)
		}
		s.frames.hurry(s.program.Send)
		s.written = v
	}
	return v
}
