package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/nn/safetensors"
)

// snapshot makes one whose every part depends on step and salt.
func snapshot(step int64, salt float32) *Snapshot {
	v := func(k float32) []float32 { return []float32{float32(step), salt, k, 0.1} }
	return &Snapshot{
		State: CheckpointState{
			Step: step, Seed: 1<<64 - 1, DataPosition: step * 64,
			Schedule: json.RawMessage(`{ "kind":"cosine",  "cap":0.999, "note":"a<b"}`), UNet: json.RawMessage(`{"layers":[1,2]}`),
			Config: json.RawMessage(`{"version":1}`), Kernels: map[string]string{"conv 3x3": "direct", "a": "b"},
		},
		Model:     []safetensors.Tensor{safetensors.Float32("conv.weight", []int{2, 2}, v(1)), safetensors.Float32("conv.bias", []int{4}, v(2))},
		EMA:       []safetensors.Tensor{safetensors.Float32("conv.weight", []int{2, 2}, v(3))},
		Optimizer: []safetensors.Tensor{safetensors.Float32("m", []int{4}, v(4)), safetensors.Int64("offsets", []int{1}, []int64{0})},
	}
}

func save(t testing.TB, f *Folder, s *Snapshot, keep int) Checkpoint {
	t.Helper()
	c, err := f.Save(s, keep)
	if err != nil || c.Error != "" || c.Warning != "" {
		t.Fatalf("%+v, %v", c, err)
	}
	return c
}

// load loads the latest and expects no warnings.
func load(t testing.TB, f *Folder) *Snapshot {
	t.Helper()
	s, warnings, err := f.Load("")
	if err != nil || len(warnings) != 0 {
		t.Fatalf("%q, %v", warnings, err)
	}
	return s
}

// value is a snapshot as bytes, without what loading adds.
func value(t testing.TB, s *Snapshot) string {
	t.Helper()
	state := s.State
	state.Version, state.Hashes = 0, nil
	data := must(json.Marshal(state))(t)
	for _, p := range s.parts() {
		if len(*p.tensors) > 0 {
			data = append(data, must(safetensors.Encode(*p.tensors, nil))(t)...)
		}
	}
	return string(data)
}

// tree is every file below dir with its content.
func tree(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel := must(filepath.Rel(dir, path))(t)
		switch {
		case d.Type()&os.ModeSymlink != 0:
			out[rel] = "-> " + must(os.Readlink(path))(t)
		case d.IsDir():
			out[rel] = "folder"
		default:
			out[rel] = string(must(os.ReadFile(path))(t))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func shelfNames(t testing.TB, f *Folder) string {
	t.Helper()
	var names []string
	for _, c := range must(f.shelf())(t) {
		names = append(names, fmt.Sprint(c.step))
	}
	return strings.Join(names, " ")
}

func TestCheckpointRoundTrip(t *testing.T) {
	f := create(t)
	_, _, err := f.Load("")
	if !errors.Is(err, ErrNoCheckpoint) {
		t.Errorf("an empty run: %v", err)
	}
	want := snapshot(1200, 1)
	c := save(t, f, want, 3)
	if c.Path != "checkpoints/step-00001200" || c.Seconds < 0 {
		t.Errorf("%+v", c)
	}
	var size int64
	for name, text := range tree(t, f.Path(c.Path)) {
		if name != "." {
			size += int64(len(text))
		}
	}
	if size != c.Bytes {
		t.Errorf("it takes %d bytes, the event says %d", size, c.Bytes)
	}
	got := load(t, f)
	if value(t, got) != value(t, want) || got.State.Version != CheckpointVersion || len(got.State.Hashes) != 3 {
		t.Errorf("loaded %+v", got.State)
	}
	if string(got.State.UNet) != `{"layers":[1,2]}` {
		t.Errorf("the unet came back as %s", got.State.UNet)
	}

	// Equal snapshots are equal bytes, also after a round trip.
	g := create(t)
	save(t, g, got, 3)
	if !reflect.DeepEqual(tree(t, f.Path(checkpointsName)), tree(t, g.Path(checkpointsName))) {
		t.Error("equal snapshots differ on the disk")
	}

	// Every name for it.
	for _, path := range []string{c.Path, "step-00001200", "latest", "checkpoints/latest", f.Path(c.Path)} {
		if s, _, err := f.Load(path); err != nil || s.State.Step != 1200 {
			t.Errorf("Load(%q): %v", path, err)
		}
	}
	for _, path := range []string{f.Dir(), f.Path(c.Path), f.Path("checkpoints", "latest")} {
		if s, _, err := LoadPath(path); err != nil || s.State.Step != 1200 {
			t.Errorf("LoadPath(%q): %v", path, err)
		}
	}

	// A checkpoint needs nothing around it.
	alone := filepath.Join(quickDir(t), "model")
	if err := os.Rename(f.Path(c.Path), alone); err != nil {
		t.Fatal(err)
	}
	if s := must(LoadCheckpoint(alone))(t); value(t, s) != value(t, want) || s.Path != alone {
		t.Error("it changed when it was moved")
	}
	if _, _, err = f.Load("step-00001200"); err == nil {
		t.Error("a checkpoint that is gone was loaded")
	}
	wantError(t, err, "there is no checkpoint", "step-00001200")
	_, _, err = LoadPath(filepath.Join(alone, stateFile))
	wantError(t, err, "is a file")
	_, _, err = LoadPath(alone + "x")
	wantError(t, err, "there is no run or checkpoint")
}

func TestCheckpointWeightsAlone(t *testing.T) {
	f := create(t)
	s := snapshot(1, 1)
	s.EMA, s.Optimizer = nil, nil
	save(t, f, s, 1)
	if got := load(t, f); value(t, got) != value(t, s) || got.EMA != nil {
		t.Errorf("%+v", got)
	}
}

func TestSaveRefuses(t *testing.T) {
	f := create(t)
	save(t, f, snapshot(5, 1), 3)
	before := tree(t, f.Path(checkpointsName))
	none, negative, raw, twice := snapshot(6, 1), snapshot(-1, 1), snapshot(6, 1), snapshot(6, 1)
	none.Model = nil
	raw.State.UNet = json.RawMessage(`{`)
	twice.EMA = append(twice.EMA, twice.EMA...)
	for _, s := range []*Snapshot{none, negative, raw, twice} {
		c, err := f.Save(s, 3)
		wantError(t, err, "was not saved")
		if c.Error != err.Error() || c.Path == "" {
			t.Errorf("%+v", c)
		}
	}
	if !reflect.DeepEqual(before, tree(t, f.Path(checkpointsName))) {
		t.Error("something was left")
	}
}

func TestKeep(t *testing.T) {
	f := create(t)
	for step := range int64(6) {
		save(t, f, snapshot(step, 1), 3)
	}
	if got := shelfNames(t, f); got != "5 4 3" {
		t.Errorf("kept %s", got)
	}
	// The run goes back to 4 and on: 5 is of a future that was given up.
	save(t, f, snapshot(4, 2), 3)
	if got := shelfNames(t, f); got != "4 3 5" {
		t.Errorf("kept %s", got)
	}
	if s := load(t, f); value(t, s) != value(t, snapshot(4, 2)) {
		t.Error("the latest is not the one saved last")
	}
	save(t, f, snapshot(4, 2), 0) // at least one
	if got := shelfNames(t, f); got != "4" {
		t.Errorf("kept %s", got)
	}
	if entries := must(os.ReadDir(f.Path(checkpointsName)))(t); len(entries) != 2 {
		t.Errorf("%v was left", entries)
	}
}

// Other people's files among the checkpoints are left alone.
func TestStrangers(t *testing.T) {
	f := create(t)
	names := []string{"step-1", "step-x", ".step-00000001.tmp.mine", ".hidden.tmp", "notes.txt", "step-00000009"}
	for _, name := range names {
		write(t, f.Path(checkpointsName, name), "mine")
	}
	save(t, f, snapshot(1, 1), 1)
	save(t, f, snapshot(2, 1), 1)
	all := tree(t, f.Path(checkpointsName))
	for _, name := range names {
		if all[name] != "mine" {
			t.Errorf("%s is gone", name)
		}
	}
	if s := load(t, f); s.State.Step != 2 {
		t.Errorf("step %d", s.State.Step)
	}
}

// Without symbolic links, latest is a file; with a latest that says nothing,
// the newest is used.
func TestLatestForms(t *testing.T) {
	f := create(t)
	save(t, f, snapshot(1, 1), 3)
	save(t, f, snapshot(2, 1), 3)
	latest := f.Path(checkpointsName, latestName)
	for text, want := range map[string]int64{
		"step-00000001\n": 1, "step-00000002": 2, "": 2, "step-7": 2, "../../etc": 2, strings.Repeat("x", 1000): 2, "step-00000000": 2,
	} {
		if err := os.RemoveAll(latest); err != nil {
			t.Fatal(err)
		}
		write(t, latest, text)
		s, _, err := f.Load("")
		if err != nil || s.State.Step != want {
			t.Errorf("%.20q: step %d, %v", text, s.State.Step, err)
		}
	}
	write(t, latest, "step-00000001")
	if s, _, err := LoadPath(latest); err != nil || s.State.Step != 1 {
		t.Errorf("LoadPath of a file named latest: %v", err)
	}
	save(t, f, snapshot(3, 1), 3) // replaces the file
	if s := load(t, f); s.State.Step != 3 {
		t.Errorf("step %d", s.State.Step)
	}
	if err := os.RemoveAll(latest); err != nil {
		t.Fatal(err)
	}
	if s := load(t, f); s.State.Step != 3 {
		t.Errorf("step %d without a link", s.State.Step)
	}
}

func TestDamage(t *testing.T) {
	f := create(t)
	save(t, f, snapshot(10, 1), 3)
	save(t, f, snapshot(20, 1), 3)
	files := []string{modelFile, emaFile, optimizerFile, stateFile}
	for _, name := range files {
		path := f.Path(checkpointsName, "step-00000020", name)
		whole := must(os.ReadFile(path))(t)
		damage := func(what string, data []byte) {
			t.Helper()
			if data == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				write(t, path, string(data))
			}
			s, warnings, err := f.Load("")
			if err != nil || s.State.Step != 10 || value(t, s) != value(t, snapshot(10, 1)) {
				t.Fatalf("%s %s: %v", name, what, err)
			}
			if len(warnings) != 1 || !strings.Contains(warnings[0], name) || !strings.Contains(warnings[0], "step-00000020") {
				t.Fatalf("%s %s: warnings %q", name, what, warnings)
			}
			write(t, path, string(whole))
		}
		damage("missing", nil)
		damage("longer", append(slices.Clone(whole), 'x'))
		for n := 0; n < len(whole); n += 7 {
			damage(fmt.Sprintf("cut to %d", n), whole[:n])
		}
		for n := 0; n < len(whole); n += 3 {
			bad := slices.Clone(whole)
			bad[n] ^= 1 << (n % 8)
			damage(fmt.Sprintf("with a flipped bit in byte %d", n), bad)
		}
	}
	// A damaged one that was asked for by name is an error, not another one.
	write(t, f.Path(checkpointsName, "step-00000020", emaFile), "x")
	_, _, err := f.Load("checkpoints/step-00000020")
	wantError(t, err, emaFile, "damaged", "latest whole")
	// Both damaged: the one is warned of, the other is the error.
	write(t, f.Path(checkpointsName, "step-00000010", modelFile), "x")
	_, warnings, err := f.Load("")
	wantError(t, err, "no whole checkpoint", "step-00000010", modelFile)
	if len(warnings) != 1 || !strings.Contains(warnings[0], "step-00000020") {
		t.Errorf("warnings %q", warnings)
	}
	// And training on writes over them.
	save(t, f, snapshot(20, 1), 3)
	load(t, f)
}

// seal makes a state.json of body, which ends before the last brace.
func seal(body string) string {
	body += ",\n"
	return body + sealBegin + hash([]byte(body)) + sealEnd
}

func TestStateErrors(t *testing.T) {
	f := create(t)
	save(t, f, snapshot(10, 1), 3)
	c := save(t, f, snapshot(20, 1), 3)
	path := f.Path(c.Path, stateFile)
	sum := strings.Repeat("0", 64)
	for body, want := range map[string]string{
		`{"version": 1, "step": 1, "files": {"model.safetensors": "` + sum + `", "../x": "` + sum + `"}`: `a file "../x"`,
		`{"version": 1, "step": 1, "files": {"ema.safetensors": "` + sum + `"}`:                          "no model.safetensors",
		`{"version": 1, "step": 1, "files": {"model.safetensors": "00"}`:                                 "no SHA-256",
		`{"version": 1, "step": -1, "files": {"model.safetensors": "` + sum + `"}`:                       "make no sense",
		`{"version": 1, "steps": 1`: `unknown field "steps"`,
		`{"version": 0`:             "makes no sense",
		`{"step": 1`:                `"version" is missing`,
	} {
		write(t, path, seal(body))
		_, err := LoadCheckpoint(f.Path(c.Path))
		wantError(t, err, want, stateFile)
	}
	// A newer one is never passed over, sealed or not.
	for _, text := range []string{seal(`{"version": 3`), `{"version": 3}`} {
		write(t, path, text)
		_, _, err := f.Load("")
		var newer *NewerError
		if !errors.As(err, &newer) || newer.Version != 3 {
			t.Errorf("a newer checkpoint: %v", err)
		}
		wantError(t, err, "version 3", "step-00000020", "newer ddpm-tui")
	}
}
