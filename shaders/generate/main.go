// Command generate compiles the shaders whose sources changed and writes the manifest. It runs in the folder of the shaders.
// GLSLC names another glslc than that of the path; GLSLC_MATRIX the one for the cooperative matrices (matrix_*.comp), which must know
// GL_KHR_cooperative_matrix: newer.sh gets one. It is asked for only where such a shader has changed.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ddpm-tui/ddpm-tui/shaders/internal/build"
)

func main() {
	if err := generate("."); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate(dir string) error {
	targets, err := build.Targets(dir)
	if err != nil {
		return err
	}
	old, err := build.ReadManifest(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var manifest strings.Builder
	stale, err := filepath.Glob(filepath.Join(dir, "*.spv"))
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for _, f := range stale {
		gone[filepath.Base(f)] = true
	}
	apart := false
	for _, t := range targets {
		if t.Matrices() && !apart {
			apart = true
			fmt.Fprintln(&manifest, "# cooperative matrices, made by a newer compiler (newer.sh)")
		}
		delete(gone, t.Name+".spv")
		entry, err := one(dir, t, old[t.Name])
		if err != nil {
			return err
		}
		fmt.Fprintf(&manifest, "%s\t%s\t%s\n", t.Name, entry.Hash, entry.Compiler)
	}
	for f := range gone {
		if err := os.Remove(filepath.Join(dir, f)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, build.Manifest), []byte(manifest.String()), 0o644)
}

// one compiles a target unless the manifest says that it is up to date.
func one(dir string, t build.Target, had build.Entry) (build.Entry, error) {
	hash, err := build.Hash(dir, t)
	if err != nil {
		return had, err
	}
	file := filepath.Join(dir, t.Name+".spv")
	if _, err := os.Stat(file); err == nil && had.Hash == hash {
		return had, nil
	}
	compiler, err := t.Compiler().Path()
	if err != nil {
		return had, fmt.Errorf("%s: %w", t.Source, err)
	}
	version, err := build.Version(compiler)
	if err != nil {
		return had, err
	}
	code, err := build.Compile(compiler, dir, t)
	if err != nil {
		return had, err
	}
	if err := os.WriteFile(file, code, 0o644); err != nil {
		return had, err
	}
	if val, err := t.Compiler().Validator(); err == nil {
		if out, err := exec.Command(val, "--target-env", "vulkan1.1", file).CombinedOutput(); err != nil {
			return had, fmt.Errorf("%s: spirv-val: %w\n%s", t.Name, err, out)
		}
	}
	fmt.Println("compiled", t.Name)
	return build.Entry{Hash: hash, Compiler: version}, nil
}
