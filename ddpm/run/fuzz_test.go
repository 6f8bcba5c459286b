package run

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func FuzzEvents(f *testing.F) {
	good := `{"v":1,"kind":"step","time":"2025-01-01T00:00:00Z","step":1,"metrics":{"loss":1e-3,"loss_ema":null,"buckets":[1,null]}}` + "\n"
	for _, seed := range []string{
		good, good + good[:30], "", "\n\n", "junk\n" + good, good + "\x00\x00\n" + good, `{"v":2,"kind":"x"}` + "\n",
		`{"v":1,"kind":"log","log":{"level":"info","text":"\u001b[2J"}}` + "\n", `{"v":1,"kind":"start","start":{"steps":-1}}` + "\n",
		`{"v":1,"kind":"end","end":{"reason":"done"},"time":"x"}` + "\n", `{"v":1e9}` + "\n", "{\"V\":1,\"KIND\":\"state\",\"State\":{}}\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := quickDir(t)
		path := filepath.Join(dir, eventsName)
		write(t, path, string(data))
		// Reading gets to the end of the whole lines, whatever is in them, unless
		// a newer version stops it; and it reads the same in one piece or in many.
		whole := int64(bytes.LastIndexByte(data, '\n') + 1)
		count, from := 0, int64(0)
		for {
			events, next, err := ReadEvents(dir, from)
			for _, e := range events {
				if err := e.check(); err != nil {
					t.Fatalf("an event that is none was read: %v", err)
				}
			}
			count += len(events)
			if err == nil {
				if next != whole {
					t.Fatalf("read to %d of %d", next, whole)
				}
				break
			}
			if strings.Contains(err.Error(), "newer ddpm-tui") {
				whole = next
				break
			}
			if next <= from {
				t.Fatalf("stuck at %d: %v", from, err)
			}
			from = next
		}
		folder := &Folder{dir: dir}
		folder.Info()
		// A log that is opened takes another event, and loses none.
		l, warning, err := folder.OpenLog()
		if err != nil {
			t.Fatal(err)
		}
		if torn := int64(bytes.LastIndexByte(data, '\n')+1) != int64(len(data)); torn != (warning != "") {
			t.Fatalf("torn %v, warning %q", torn, warning)
		}
		if err := l.Append(step(1, 1)); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.HasPrefix(after, data[:whole]) {
			t.Fatalf("the log changed: %v", err)
		}
	})
}

func FuzzConfig(f *testing.F) {
	for _, seed := range []string{
		`{"version":1,"name":"x"}`, `{"version":2}`, `{"version":1,"x":1}`, `{"VERSION":1}`, `{}`, `null`, ``, `{"version":1}{"version":1}`,
		`{"version":1,"version":9}`, `{"version":1e0}`, "{\"version\":1,\"name\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var c testConfig
		if err := DecodeConfig("config.json", data, &c); err != nil {
			if !strings.Contains(err.Error(), "config.json") {
				t.Fatalf("%q does not name the file", err)
			}
			return
		}
		if c.Version < 1 || c.Version > ConfigVersion {
			t.Fatalf("version %d was accepted", c.Version)
		}
		// What was read can be written and read again.
		again, err := encodeConfig(c)
		if err != nil {
			t.Fatal(err)
		}
		var d testConfig
		if err := DecodeConfig("config.json", again, &d); err != nil || d != c {
			t.Fatalf("%+v became %+v: %v", c, d, err)
		}
	})
}

func FuzzCheckpointState(f *testing.F) {
	s := snapshot(7, 1).State
	s.Version, s.Hashes = 1, map[string]string{modelFile: strings.Repeat("a1", 32)}
	good, err := s.encode()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		string(good), string(good[:len(good)-5]), string(good[1:]), "", "{}", seal(`{"version":1`), seal(`{"version":2`), seal(""), sealBegin + sealEnd,
		seal(`{"version":1,"step":1,"config":null,"files":{"model.safetensors":"` + strings.Repeat("00", 32) + `"}`),
		seal(`{"version":1,"files":{"/etc/passwd":"00"}`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// The fuzzer cannot forge a hash, so it gets one for what it makes.
		sealed := data
		if at := len(data) - sealBytes; at > 0 {
			sealed = []byte(string(data[:at]) + sealBegin + hash(data[:at]) + sealEnd)
		}
		for _, data := range [][]byte{data, sealed} {
			s, err := decodeState("state.json", data)
			if err != nil {
				continue
			}
			if err := s.check(); err != nil {
				t.Fatal(err)
			}
			once, err := s.encode()
			if err != nil {
				t.Fatal(err)
			}
			again, err := decodeState("state.json", once)
			if err != nil {
				t.Fatal(err)
			}
			if twice, err := again.encode(); err != nil || !bytes.Equal(once, twice) || !json.Valid(once) {
				t.Fatalf("%s\nbecame\n%s\n%v", once, twice, err)
			}
		}
	})
}
