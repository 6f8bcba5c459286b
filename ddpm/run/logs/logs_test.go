package logs

import (
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"image"
	"image/png"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ddpm-tui/ddpm-tui/ddpm/run"
)

// story is a run that went back: steps 1 to 4, then again from 2 to 5.
func story() []run.Event {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	var list []run.Event
	add := func(step int64, e run.Event) {
		at = at.Add(time.Second)
		e.V, e.Time, e.Step = 1, at, step
		list = append(list, e)
	}
	steps := func(from, to int64, loss float64) {
		for s := from; s <= to; s++ {
			add(s, run.Event{Kind: run.KindStep, Metrics: &run.Metrics{Loss: run.Float(loss), LossEMA: run.Float(math.NaN()), LR: 0.5}})
		}
	}
	add(0, run.Event{Kind: run.KindStart, Start: &run.Start{Name: `odd "name"`, Steps: 5}})
	steps(1, 4, 1)
	add(4, run.Event{Kind: run.KindEval, Eval: &run.Eval{Metric: "swd", Value: 9, Err: 1, N: 64}})
	add(2, run.Event{Kind: run.KindStart, Start: &run.Start{Name: `odd "name"`, Steps: 5}})
	steps(3, 5, 2)
	add(5, run.Event{Kind: run.KindEval, Eval: &run.Eval{Metric: "swd", Value: 7, Err: 0.5, N: 64}})
	add(5, run.Event{Kind: run.KindPreview, Preview: &run.Preview{Samples: "previews/a.png", Trajectory: "previews/gone.png"}})
	return list
}

// folder is a run folder with the story's log and a picture.
func folder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	f, err := run.Create(dir, map[string]int{"version": 1})
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := f.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range story() {
		if err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := os.Create(filepath.Join(dir, "previews", "a.png"))
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(p, image.NewRGBA(image.Rect(0, 0, 5, 3))); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestCSV(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(t.TempDir(), "x.csv")
	s, err := NewCSV(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := Replay(dir, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range rows[1:] {
		got = append(got, strings.Join([]string{r[1], r[2], r[3], r[9], r[10]}, " "))
	}
	want := []string{"1 1   ", "2 1   ", "3 2   ", "4 2   ", "5 2   ", "5   swd 7"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// A field of a protocol buffer, as a reader of the wire format sees it.
type field struct {
	number, kind int
	value        uint64
	data         []byte
}

func fields(t *testing.T, p []byte) (list []field) {
	t.Helper()
	for len(p) > 0 {
		key, n := binary.Uvarint(p)
		if n <= 0 {
			t.Fatal("no key")
		}
		p = p[n:]
		f := field{number: int(key >> 3), kind: int(key & 7)}
		switch f.kind {
		case 0:
			f.value, n = binary.Uvarint(p)
			p = p[n:]
		case 1:
			f.value, p = binary.LittleEndian.Uint64(p), p[8:]
		case 2:
			size, n := binary.Uvarint(p)
			f.data, p = p[n:n+int(size)], p[n+int(size):]
		case 5:
			f.value, p = uint64(binary.LittleEndian.Uint32(p)), p[4:]
		default:
			t.Fatalf("wire type %d", f.kind)
		}
		list = append(list, f)
	}
	return list
}

// crc is CRC-32C bit by bit, by its definition.
func crc(p []byte) uint32 {
	c := ^uint32(0)
	for _, b := range p {
		c ^= uint32(b)
		for range 8 {
			c = c>>1 ^ 0x82f63b78*(c&1)
		}
	}
	return ^c
}

// The event file is read back by its definition: the framing, the checks, the fields.
func TestTensorBoard(t *testing.T) {
	if got := crc([]byte("123456789")); got != 0xe3069283 { // the check value of the catalogue of CRCs
		t.Fatalf("the test's own CRC is %#x", got)
	}
	dir, out := folder(t), t.TempDir()
	s, err := NewBoard(out, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := Replay(dir, s); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(filepath.Join(out, boardName))
	if err != nil {
		t.Fatal(err)
	}
	check := func(data, sum []byte) {
		t.Helper()
		c := crc(data)
		if got := binary.LittleEndian.Uint32(sum); got != (c>>15|c<<17)+0xa282ead8 {
			t.Errorf("check %#x of %d bytes", got, len(data))
		}
	}
	var seen []string
	for i := 0; len(p) > 0; i++ {
		n := int(binary.LittleEndian.Uint64(p))
		check(p[:8], p[8:12])
		check(p[12:12+n], p[12+n:16+n])
		event := fields(t, p[12:12+n])
		p = p[16+n:]
		if i == 0 {
			if string(event[1].data) != "brain.Event:2" {
				t.Errorf("the file's version is %q", event[1].data)
			}
			continue
		}
		step := event[1].value
		for _, v := range fields(t, event[2].data) {
			value := fields(t, v.data)
			if tag := string(value[0].data); value[1].number == 2 {
				seen = append(seen, fmt.Sprintf("%d %s %g", step, tag, math.Float32frombits(uint32(value[1].value))))
			} else {
				m := fields(t, value[1].data)
				seen = append(seen, fmt.Sprintf("%d %s %dx%d, %d bytes", step, tag, m[1].value, m[0].value, len(m[3].data)))
			}
		}
	}
	all := strings.Join(seen, "\n")
	for _, want := range []string{"1 train/loss 1\n", "3 train/loss 2\n", "5 train/learning_rate 0.5\n", "5 eval/swd 7\n", "5 eval_error/swd 0.5\n", "5 samples 5x3, "} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	for _, no := range []string{"3 train/loss 1", "eval/swd 9", "loss_average", "trajectory"} {
		if strings.Contains(all, no) {
			t.Errorf("%q in\n%s", no, all)
		}
	}
}

func TestPrometheus(t *testing.T) {
	for _, bad := range []string{"9100", "0.0.0.0:0", ":0", "192.0.2.1:0", "example.com:0"} {
		if p, err := Serve(bad); err == nil {
			t.Errorf("%q is served", bad)
			_ = p.Close()
		}
	}
	p, err := Serve("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, e := range Last(story()) {
		if err := p.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	r, err := http.Get("http://" + p.Address() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`ddpm_step{run="odd \"name\""} 5`, `ddpm_loss{run="odd \"name\""} 2`, `ddpm_loss_average{run="odd \"name\""} NaN`,
		`ddpm_eval{run="odd \"name\"",metric="swd"} 7`, `ddpm_eval_error{run="odd \"name\"",metric="swd"} 0.5`, "# TYPE ddpm_loss gauge",
	} {
		if !strings.Contains(string(body), want+"\n") {
			t.Errorf("no line %q in\n%s", want, body)
		}
	}
	line := regexp.MustCompile(`^(# (HELP|TYPE) ddpm_\w+ .+|ddpm_\w+\{(\w+="([^"\\]|\\.)*",?)+\} \S+)$`)
	for _, l := range strings.Split(strings.TrimSuffix(string(body), "\n"), "\n") {
		if !line.MatchString(l) {
			t.Errorf("not in the text format: %q", l)
		}
	}
	if r, err := http.Get("http://" + p.Address() + "/"); err != nil || r.StatusCode != http.StatusNotFound {
		t.Errorf("other paths: %v, %v", r, err)
	} else {
		_ = r.Body.Close()
	}
}
