package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// docs/architecture.md has the table as the code does, and the tests that it names exist.
func TestFaultTable(t *testing.T) {
	root := filepath.Join("..", "..")
	doc, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(src, -1) {
			tests[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	begin := strings.Index(string(doc), "| fault | name |")
	if begin < 0 {
		t.Fatal("there is no table")
	}
	rows := strings.Split(strings.SplitN(string(doc)[begin:], "\n\n", 2)[0], "\n")[2:]
	if len(rows) != len(Faults()) {
		t.Errorf("%d rows, %d faults", len(rows), len(Faults()))
	}
	for i, f := range Faults() {
		event := f.Event
		if event == "" {
			event = "—"
		}
		want := fmt.Sprintf("| %s | %s | %s | %s | %d | ", f.What, f.Name, f.Does, event, f.Exit)
		named, ok := strings.CutPrefix(rows[min(i, len(rows)-1)], want)
		if !ok {
			t.Errorf("row %d is\n%s, want\n%s", i+1, rows[min(i, len(rows)-1)], want)
		}
		for name := range strings.SplitSeq(strings.TrimSuffix(named, " |"), ", ") {
			if !tests[name] {
				t.Errorf("%s: there is no test %q", f.Name, name)
			}
		}
	}
}

// Names and exit codes tell faults apart.
func TestFaultsDiffer(t *testing.T) {
	var names []string
	codes := map[int]string{1: "any error", 2: "a wrong command line"}
	for _, f := range Faults() {
		if names = append(names, f.Name); FaultNamed(f.Name) != f {
			t.Errorf("%s is not found", f.Name)
		}
		if f.Exit != 0 && codes[f.Exit] != "" {
			t.Errorf("%s and %s have exit code %d", f.Name, codes[f.Exit], f.Exit)
		}
		codes[f.Exit] = f.Name
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(Faults()) {
		t.Error("two faults have one name")
	}
	if FaultNamed("none") != nil {
		t.Error("a fault without a name")
	}
}

// Errors that are faults say so through whatever they are wrapped in, with the message that the table promises.
func TestFaultOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want *Fault
	}{
		{&BusyError{Dir: "d", PID: 3}, &FaultBusy},
		{&NewerError{What: "x", Version: 9, Known: 1}, &FaultNewer},
		{&DiskError{Err: errors.New("no space")}, &FaultDisk},
		{&EndError{End: &End{Error: FaultDevice.Message, Fault: "device"}}, &FaultDevice},
	} {
		err := fmt.Errorf("wrapped: %w", errors.Join(errors.New("other"), c.err))
		if got := FaultOf(err); got != c.want || !strings.Contains(err.Error(), c.want.Message) {
			t.Errorf("%v is %v", err, got)
		}
	}
	for _, err := range []error{nil, errors.New("x"), &EndError{End: &End{}}} {
		if FaultOf(err) != nil {
			t.Errorf("%v is a fault", err)
		}
	}
}
