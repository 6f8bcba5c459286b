package main_test

import (
	"bytes"
	"fmt"
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path that every import of our own begins with.
const module = "github.com/ddpm-tui/ddpm-tui/"

// layers says what the files of each folder and those below it may import of the module, tests aside. The deepest folder that is
// listed counts; a folder may always import itself and what is below it. The order is that of the architecture:
// cmd → tui → ddpm → nn → backend/graph → backend, and cmd → backend/{cpu,vulkan} → backend, shaders.
var layers = map[string][]string{
	"backend":             {},
	"backend/rng":         {},
	"backend/graph":       {"backend", "backend/rng"},
	"backend/plan":        {"backend", "backend/graph"},
	"backend/conformance": {"backend", "backend/rng", "backend/graph", "backend/plan"},
	"backend/cpu":         {"backend", "backend/rng"},
	"backend/vulkan":      {"backend", "backend/rng", "shaders"},
	"shaders":             {},
	"nn":                  {"backend", "backend/rng", "backend/graph"},
	"ddpm":                {"backend", "backend/rng", "backend/graph", "backend/plan", "nn"},
	"tui":                 {"backend", "ddpm", "nn"},
	"cmd": {
		"backend", "backend/rng", "backend/graph", "backend/plan", "backend/conformance", "backend/cpu", "backend/vulkan", "nn", "ddpm", "tui",
	},
}

// cgo are the folders that may import "C", and the build tag that a file needs for it ("": none).
var cgo = map[string]string{"backend/vulkan": "", "ddpm/dist": "mpi", "tui/window": "window"}

// layer is the deepest listed folder that dir lies in.
func layer(dir string) string {
	for dir != "." {
		if _, ok := layers[dir]; ok {
			return dir
		}
		dir = path.Dir(dir)
	}
	return ""
}

// An edge is one import of a folder's file. Folders are relative to the module.
type edge struct {
	from, to string
	tags     string // the file's build constraint
}

// check says what is wrong with an import, nil if nothing is.
func check(e edge) error {
	from := layer(e.from)
	if from == "" {
		return fmt.Errorf("no rule for the folder %s: say in layers what it may import", e.from)
	}
	if e.to == "C" {
		for dir, tag := range cgo {
			if (e.from == dir || strings.HasPrefix(e.from, dir+"/")) && (tag == "" || required(e.tags, tag)) {
				return nil
			}
		}
		return fmt.Errorf("%s imports C: only backend/vulkan does in the default build", e.from)
	}
	to, ours := strings.CutPrefix(e.to, module)
	if !ours {
		return nil
	}
	if l := layer(to); l == from || slices.Contains(layers[from], l) {
		return nil
	}
	return fmt.Errorf("%s imports %s: %s may import %v", e.from, to, from, layers[from])
}

// required reports whether a build constraint leaves a file out unless tag is set.
func required(constraints, tag string) bool {
	x, err := constraint.Parse(constraints)
	return err == nil && !x.Eval(func(t string) bool { return t != tag })
}

// edges are the imports of all files of the module but tests.
func edges(root string) ([]edge, error) {
	var list []edge
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && file != root {
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil || name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
				return fs.SkipDir // another module, or nothing that is built
			}
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		src, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(file))
		if err != nil {
			return err
		}
		for _, i := range f.Imports {
			to, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			list = append(list, edge{filepath.ToSlash(dir), to, buildLine(src)})
		}
		return nil
	})
	return list, err
}

// buildLine is a file's //go:build line.
func buildLine(src []byte) string {
	for line := range bytes.Lines(src) {
		if s := strings.TrimSpace(string(line)); constraint.IsGoBuild(s) {
			return s
		} else if strings.HasPrefix(s, "package ") {
			break
		}
	}
	return ""
}

func TestImportsRunOneWay(t *testing.T) {
	list, err := edges(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(list, func(e edge) bool { return e.from == "backend/plan" && e.to == module+"backend/graph" }) {
		t.Fatalf("backend/plan's import of backend/graph is not among the %d found: the walk is wrong", len(list))
	}
	for _, e := range list {
		if err := check(e); err != nil {
			t.Error(err)
		}
	}
}

// The rule itself, on made-up imports.
func TestImportRule(t *testing.T) {
	tests := []struct {
		from, to, tags string
		ok             bool
	}{
		{"cmd/ddpm-tui", module + "tui/chart", "", true},
		{"cmd/ddpm-tui", module + "backend/cpu", "", true},
		{"tui", module + "ddpm/run", "", true},
		{"ddpm/train", module + "backend/plan", "", true},
		{"ddpm/train", module + "nn", "", true},
		{"nn/unet", module + "backend/graph", "", true},
		{"backend/cpu", module + "backend/cpu/simd", "", true},
		{"backend/vulkan", module + "shaders", "", true},
		{"backend/vulkan", "C", "", true},
		{"backend/graph", "math", "", true},
		{"ddpm/dist", "C", "//go:build mpi && linux", true},
		{"tui/window", "C", "//go:build window", true},

		{"ddpm", module + "tui", "", false},
		{"ddpm/train", module + "tui/chart", "", false},
		{"ddpm/train", module + "backend/cpu", "", false},
		{"nn/durable", module + "ddpm", "", false},
		{"nn", module + "ddpm", "", false},
		{"nn", module + "backend/plan", "", false},
		{"tui", module + "backend/cpu", "", false},
		{"tui", module + "cmd/ddpm-tui", "", false},
		{"backend", module + "backend/graph", "", false},
		{"backend/graph", module + "backend/plan", "", false},
		{"backend/cpu", module + "backend/graph", "", false},
		{"backend/cpu/simd", module + "backend/graph", "", false},
		{"backend/cpu", module + "backend/vulkan", "", false},
		{"backend/cpu", "C", "", false},
		{"ddpm/dist", "C", "", false},
		{"ddpm/dist", "C", "//go:build !mpi", false},
		{"ddpm/dist", "C", "//go:build mpi || linux", false},
		{"ddpm/train", "C", "//go:build mpi", false},
		{"elsewhere", "math", "", false},
	}
	for _, c := range tests {
		if err := check(edge{c.from, c.to, c.tags}); (err == nil) != c.ok {
			t.Errorf("%s imports %s (%s): %v", c.from, c.to, c.tags, err)
		}
	}
}

// A file that breaks the rule is found on disk; tests, other modules and testdata are not looked at.
func TestWalkFindsAViolation(t *testing.T) {
	root := t.TempDir()
	for name, src := range map[string]string{
		"ddpm/bad.go":        "package ddpm\n\nimport _ \"" + module + "tui\"\n",
		"ddpm/good_test.go":  "package ddpm\n\nimport _ \"" + module + "tui\"\n",
		"ddpm/testdata/x.go": "package x\n\nimport _ \"" + module + "tui\"\n",
		"ddpm/gen/go.mod":    "module gen\n",
		"ddpm/gen/gen.go":    "package main\n\nimport _ \"" + module + "tui\"\n",
		"ddpm/dist/mpi.go":   "//go:build mpi\n\npackage dist\n\nimport \"C\"\n",
	} {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	list, err := edges(root)
	if err != nil {
		t.Fatal(err)
	}
	var bad []string
	for _, e := range list {
		if err := check(e); err != nil {
			bad = append(bad, err.Error())
		}
	}
	if len(list) != 2 || len(bad) != 1 || !strings.HasPrefix(bad[0], "ddpm imports tui") {
		t.Errorf("%d imports, violations %q", len(list), bad)
	}
}
