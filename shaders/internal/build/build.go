// Package build compiles the shaders: for go generate and for the test that the committed SPIR-V is what the sources say.
package build

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Manifest is the file that says from what each .spv was made: name, hash of the source with its includes and flags, compiler.
const Manifest = "manifest.txt"

// HalfSuffix ends the name of a shader's variant whose activations may be halfs.
const HalfSuffix = ".half"

// bindings finds one that may hold halfs.
var bindings = regexp.MustCompile(`(?m)^[^#/]*\b(READ|WRITE)_ANY\(`)

// A Target is one SPIR-V file.
type Target struct {
	Name   string   // of the .spv
	Source string   // file
	Flags  []string // besides the common ones
}

// Matrices reports whether the target uses cooperative matrices, which need a newer compiler than the portable ones.
func (t Target) Matrices() bool { return strings.HasPrefix(t.Source, "matrix_") }

var common = []string{"--target-env=vulkan1.1", "-O"}

// Targets are all SPIR-V files that the sources in dir make.
func Targets(dir string) ([]Target, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.comp"))
	if err != nil {
		return nil, err
	}
	var list []Target
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".comp")
		list = append(list, Target{Name: name, Source: name + ".comp"})
		text, err := Expand(dir, name+".comp")
		if err != nil {
			return nil, err
		}
		if bindings.MatchString(text) {
			list = append(list, Target{Name: name + HalfSuffix, Source: name + ".comp", Flags: []string{"-DHALF"}})
		}
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no shader in %s", dir)
	}
	slices.SortFunc(list, func(a, b Target) int {
		if a.Matrices() != b.Matrices() {
			return cmp.Compare(a.Compiler().Variable, b.Compiler().Variable) // the portable ones first
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list, nil
}

// A Compiler is what makes SPIR-V of a group of targets: the environment variable that names it, and what it is called without.
type Compiler struct{ Variable, Default, Hint string }

// Compilers are those of the portable shaders and of the cooperative matrices.
var (
	portable = Compiler{"GLSLC", "glslc", "Debian: apt install glslc"}
	matrices = Compiler{"GLSLC_MATRIX", "", "set GLSLC_MATRIX to a glslc that knows GL_KHR_cooperative_matrix; shaders/newer.sh gets one"}
)

// Compiler is what a target wants to be compiled by.
func (t Target) Compiler() Compiler {
	if t.Matrices() {
		return matrices
	}
	return portable
}

// Path is the compiler's file, an error where there is none.
func (c Compiler) Path() (string, error) {
	path := os.Getenv(c.Variable)
	if path == "" {
		path = c.Default
	}
	if path == "" {
		return "", errors.New(c.Hint)
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("%w (%s)", err, c.Hint)
	}
	return filepath.Abs(found)
}

// Validator is the spirv-val that goes with a compiler: that of the same folder, or of the path.
func (c Compiler) Validator() (string, error) {
	if path, err := c.Path(); err == nil {
		if beside, err := exec.LookPath(filepath.Join(filepath.Dir(path), "spirv-val")); err == nil {
			return beside, nil
		}
	}
	if c != portable {
		return "", errors.New(c.Hint)
	}
	return exec.LookPath("spirv-val")
}

var include = regexp.MustCompile(`(?m)^#include "([^"]+)"$`)

// Expand is a source with its includes in their places.
func Expand(dir, file string) (string, error) {
	p, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		return "", err
	}
	var failed error
	text := include.ReplaceAllStringFunc(string(p), func(line string) string {
		inner, err := Expand(dir, include.FindStringSubmatch(line)[1])
		if err != nil {
			failed = fmt.Errorf("%s: %w", file, err)
		}
		return inner
	})
	return text, failed
}

// Hash is that of a target's source, includes and flags.
func Hash(dir string, t Target) (string, error) {
	text, err := Expand(dir, t.Source)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(append(common, t.Flags...), " ") + "\n" + text))
	return hex.EncodeToString(sum[:]), nil
}

// Version names the compiler; an error says that it is not installed.
func Version(glslc string) (string, error) {
	out, err := exec.Command(glslc, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w", glslc, err)
	}
	var parts []string // of which each line names one with its version, if it knows that
	for _, line := range strings.Split(string(out), "\n") {
		if len(strings.Fields(line)) > 1 {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts[:min(2, len(parts))], ", "), nil
}

// Compile makes the SPIR-V of a target.
func Compile(glslc, dir string, t Target) ([]byte, error) {
	args := append(append(slices.Clone(common), t.Flags...), "-I.", t.Source, "-o", "-")
	c := exec.Command(glslc, args...)
	c.Dir = dir
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", t.Source, err, errs.String())
	}
	return out, nil
}

// An Entry is a line of the manifest.
type Entry struct{ Hash, Compiler string }

// ReadManifest reads the manifest in dir.
func ReadManifest(dir string) (map[string]Entry, error) {
	p, err := os.ReadFile(filepath.Join(dir, Manifest))
	if err != nil {
		return nil, err
	}
	entries := map[string]Entry{}
	for _, line := range strings.Split(strings.TrimSpace(string(p)), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.SplitN(line, "\t", 3)
		if len(f) != 3 {
			return nil, fmt.Errorf("%s: line %q", Manifest, line)
		}
		entries[f[0]] = Entry{f[1], f[2]}
	}
	return entries, nil
}
