package tui

import (
	"io"
	"testing"
)

// What is typed while one screen ends is for the next: none of it is lost, and all of it comes in order.
func TestConnectionInput(t *testing.T) {
	r, w := io.Pipe()
	c := NewConnection(r, io.Discard, Size{80, 24, 0, 0}, nil)
	defer c.Close()
	first := &input{c: c}
	read := make(chan string)
	go func() {
		b := make([]byte, 2)
		n, err := io.ReadFull(first, b)
		if err != nil {
			t.Error(err)
		}
		read <- string(b[:n])
		n, err = first.Read(b) // waits, until the screen has ended
		if n != 0 || err != io.EOF {
			t.Errorf("a screen that has ended reads %q, %v", b[:n], err)
		}
		read <- ""
	}()
	io.WriteString(w, "ab")
	if got := <-read; got != "ab" {
		t.Errorf("%q", got)
	}
	first.end()
	<-read
	io.WriteString(w, "c")
	if n, err := first.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("a screen that has ended reads %d, %v", n, err)
	}
	second := &input{c: c}
	go func() {
		io.WriteString(w, "de")
		w.Close()
	}()
	if all, err := io.ReadAll(second); err != nil || string(all) != "cde" {
		t.Errorf("%q, %v", all, err)
	}
}
