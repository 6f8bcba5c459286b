// Package build compiles the shaders: for go generate and for the test that the committed SPIR-V is what the sources say.
package build

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
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
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("no shader in %s", dir)
	}
	slices.SortFunc(list, func(a, b Target) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
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
		return "", fmt.Errorf("%s: %w (Debian: apt install glslc)", glslc, err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(lines[:min(2, len(lines))], ", "), nil
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
		f := strings.SplitN(line, "\t", 3)
		if len(f) != 3 {
			return nil, fmt.Errorf("%s: line %q", Manifest, line)
		}
		entries[f[0]] = Entry{f[1], f[2]}
	}
	return entries, nil
}
