package tui

import (
	tea "charm.land/bubbletea/v2"
)

// The mouse does what keys do: a click on a key of the footer is that key, one on a line of a list chooses it, and the wheel is the
// keys up and down. It is off until it is asked for, because a terminal whose mouse belongs to a program selects no text.

// A clickable is a screen that knows what is at a place, from its top left corner.
type clickable interface {
	click(x, y int) tea.Cmd
}

func (s *shell) click(msg tea.MouseClickMsg) tea.Cmd {
	switch {
	case !s.mouse || msg.Button != tea.MouseLeft:
	case s.help:
		s.help = false
	case s.h >= 4 && msg.Y == s.h-1:
		if b, ok := footerAt(s.table(), s.w, msg.X); ok && !s.in.typing() && s.in.notice() == "" {
			return b.run(b.keys[0])
		}
	default:
		if in, ok := s.in.(clickable); ok && !s.in.typing() {
			return in.click(msg.X, msg.Y)
		}
	}
	return nil
}

func (s *shell) wheel(msg tea.MouseWheelMsg) tea.Cmd {
	key := map[tea.MouseButton]string{tea.MouseWheelUp: "up", tea.MouseWheelDown: "down"}[msg.Button]
	if !s.mouse || key == "" || s.help || s.in.typing() {
		return nil
	}
	if b, ok := find(s.table(), key); ok {
		return b.run(key)
	}
	return nil
}

// A list is which lines of a list are on the screen, and from which row on: for clicks.
type list struct{ top, first, lines int }

// at is the line of the list in row y.
func (l list) at(y int) (line int, ok bool) {
	return y - l.top + l.first, y >= l.top && y < l.top+l.lines
}
