package socket

import (
	"bytes"
	"fmt"
	"image"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// FuzzServer: whatever a viewer sends, the trainer lives, gives nobody control who has not said hello, and is ready for the next.
func FuzzServer(f *testing.F) {
	hello := fmt.Sprintf(`{"type":"hello","v":%d,"role":"control","name":"x"}`+"\n", Version)
	for _, seed := range []string{
		"", "\n", "{}", "null\n", "[]\n", "{\"type\":\"hello\"", hello, hello + hello,
		hello + `{"type":"command","id":1,"command":{"name":"pause"}}` + "\n",
		hello + `{"type":"command","id":-9223372036854775808,"command":{"name":"\u0000","edit":{"lr":1e999}}}` + "\n" + `{"type":"later"}` + "\n",
		`{"type":"command","id":1,"command":{"name":"stop"}}` + "\n", `{"type":"hello","v":1e400}` + "\n", `{"type":"hello","v":"1"}` + "\n",
		hello + string(bytes.Repeat([]byte("["), 3000)) + "\n", hello + string(bytes.Repeat([]byte("x"), maxUp+1)),
		"\xff\xfe\n", hello + "\xff\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		asked := 0
		s := &Server{command: func(run.Command) error { asked++; return nil }, frames: map[string]*picture{}}
		ours, theirs := net.Pipe()
		v := newViewer(ours)
		s.admit(v)
		var wait sync.WaitGroup
		wait.Go(v.send)
		wait.Go(func() { s.serve(v); s.leave(v) })
		wait.Go(func() { _, _ = io.Copy(io.Discard, theirs) })
		_ = theirs.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_, _ = theirs.Write(data)
		time.Sleep(100 * time.Microsecond)
		_ = theirs.Close()
		wait.Wait()
		if s.controller != nil || len(s.viewers) != 0 {
			t.Errorf("the viewer that has gone is still there")
		}
		if asked > 0 && !bytes.Contains(data, []byte("hello")) {
			t.Errorf("%d commands without a hello", asked)
		}
	})
}

// FuzzClient: whatever a trainer sends, the screen lives.
func FuzzClient(f *testing.F) {
	hello := fmt.Sprintf(`{"type":"hello","v":%d,"pid":7,"control":true}`+"\n", Version)
	small, err := (&Frame{Name: "samples", Image: noise4(), Rows: 1, Cols: 1}).encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		"", hello, hello + string(small), hello + string(small[:len(small)/2]), hello + `{"type":"frame"}` + "\n", hello + `{"type":"frame","frame":{"bytes":4,"png":true,"width":1,"height":1}}` + "\nAAAA",
		hello + `{"type":"frame","frame":{"bytes":9000000}}` + "\n", hello + `{"type":"frame","frame":{"bytes":-1}}` + "\n",
		hello + `{"type":"event","event":{"v":1,"kind":"log"}}` + "\n", hello + `{"type":"reply","id":1,"error":"no"}` + "\n",
		hello + `{"type":"control","controller":"\u001b[31m"}` + "\n", `{"type":"refused","error":"no"}` + "\n", `{"type":"hello","v":99}` + "\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		go func() {
			_ = theirs.SetWriteDeadline(time.Now().Add(5 * time.Second))
			_, _ = theirs.Write(data)
			_ = theirs.Close()
		}()
		c, err := greet(ours, Control, "fuzz", Handlers{
			Frame: func(f Frame) {
				if b := f.Image.Bounds(); b.Dx()*b.Dy() > maxPixels {
					t.Errorf("a picture of %v", b)
				}
			},
			Event:   func(run.Event) {},
			Control: func(bool, string) {},
		})
		if err != nil {
			_ = ours.Close()
			return
		}
		<-c.Gone()
	})
}

func noise4() *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, 4, 4))
	for i := range m.Pix {
		m.Pix[i] = byte(i * 37)
	}
	return m
}
