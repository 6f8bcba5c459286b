package data

import (
	"bytes"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// cachedSet is a set of a folder with classes, skips and several formats, and where it came from.
func cachedSet(t testing.TB) (source string, s *Set) {
	t.Helper()
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, pattern(12, 12), nil); err != nil {
		t.Fatal(err)
	}
	source = files(t, map[string][]byte{
		"a/1.png": pngOf(t, pattern(9, 7)), "a/2.png": pngOf(t, pattern(16, 16)), "b/3.jpg": jpg.Bytes(), "b/broken.png": []byte("junk\x1b[2J"),
	})
	return source, mustLoad(t, source, Options{Size: 16})
}

// A cache gives back the set it was made of, whole.
func TestCache(t *testing.T) {
	source, s := cachedSet(t)
	path := filepath.Join(t.TempDir(), "images.safetensors")
	if _, err := ReadCache(path, source, s.Hash, Options{Size: 16}); !errors.Is(err, ErrNoCache) {
		t.Errorf("before there is one: %v", err)
	}
	if err := WriteCache(path, s); err != nil {
		t.Fatal(err)
	}
	got, err := ReadCache(path, source, s.Hash, Options{Size: 16})
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, s) {
		t.Errorf("read\n%+v, written\n%+v", got, s)
	}
	if s.N != 3 || got.File(2) != s.File(2) || len(got.Skipped) != 1 || len(got.Labels) != 3 {
		t.Errorf("%+v", got)
	}

	// What it is not of.
	for _, c := range []struct {
		hash string
		opt  Options
		want string
	}{
		{strings.Repeat("0", 64), Options{Size: 16}, "other images"}, {s.Hash, Options{Size: 8}, "16x16"}, {s.Hash, Options{Size: 16, Channels: 1}, "16x16x3"},
		{s.Hash, Options{Size: -1}, "-1"},
	} {
		if _, err := ReadCache(path, source, c.hash, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.opt, err, c.want)
		}
	}
}

// A cache with any byte changed, or cut, is not used.
func TestCacheDamaged(t *testing.T) {
	source, s := cachedSet(t)
	path := filepath.Join(t.TempDir(), "images.safetensors")
	if err := WriteCache(path, s); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, p []byte) {
		t.Helper()
		if err := os.WriteFile(path, p, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadCache(path, source, s.Hash, Options{Size: 16}); err == nil {
			t.Errorf("%s: it was read", what)
		}
	}
	for at := 0; at < len(good); at += 1 + len(good)/400 {
		p := bytes.Clone(good)
		p[at] ^= 0x10
		refused(fmt.Sprintf("byte %d changed", at), p)
		refused(fmt.Sprintf("cut at %d", at), good[:at])
	}
	refused("longer", append(bytes.Clone(good), 0))
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadCache(path, source, s.Hash, Options{Size: 16}); err == nil {
		t.Error("a folder was read")
	}
}

// FuzzCache: whatever the bytes are, what is read is whole.
func FuzzCache(f *testing.F) {
	_, s := cachedSet(f)
	path := filepath.Join(f.TempDir(), "images.safetensors")
	if err := WriteCache(path, s); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte{})
	f.Add(bytes.Replace(good, []byte("[3,16,16,3]"), []byte("[3,16,3,16]"), 1))
	f.Fuzz(func(t *testing.T, p []byte) {
		s, err := decodeCache("c", p)
		if err != nil {
			return
		}
		if len(s.Pixels) != s.N*s.Size*s.Size*s.Channels || s.Labels != nil && len(s.Labels) != s.N {
			t.Fatalf("%d pictures, %d bytes, %d labels", s.N, len(s.Pixels), len(s.Labels))
		}
		for i := range s.N {
			s.File(i)
		}
		Summary(s)
	})
}
