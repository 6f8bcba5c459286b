package shaders

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ddpm-tui/ddpm-tui/shaders/internal/build"
)

func targets(t *testing.T) ([]build.Target, map[string]build.Entry) {
	t.Helper()
	list, err := build.Targets(".")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := build.ReadManifest(".")
	if err != nil {
		t.Fatal(err)
	}
	return list, manifest
}

// TestManifest holds the committed SPIR-V to the sources, without any compiler.
func TestManifest(t *testing.T) {
	list, manifest := targets(t)
	if len(manifest) != len(list) {
		t.Errorf("%d shaders, %d in %s: go generate ./shaders", len(list), len(manifest), build.Manifest)
	}
	for _, x := range list {
		hash, err := build.Hash(".", x)
		if err != nil {
			t.Fatal(err)
		}
		if manifest[x.Name].Hash != hash {
			t.Errorf("%s.spv was not made from %s as it is now: go generate ./shaders", x.Name, x.Source)
		}
		code, err := Load(x.Name)
		if err != nil {
			t.Error(err)
		} else if len(code) < 20 || len(code)%4 != 0 || !bytes.Equal(code[:4], []byte{3, 2, 0x23, 7}) {
			t.Errorf("%s.spv is no SPIR-V", x.Name)
		}
	}
	if _, err := Load("none"); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("a shader that there is not: %v", err)
	}
}

// TestRecompile compiles the sources again, where the compiler that made the committed files is installed.
func TestRecompile(t *testing.T) { eachGroup(t, recompile) }

// eachGroup runs a test for the portable shaders and for the cooperative matrices, which have a compiler of their own.
func eachGroup(t *testing.T, f func(t *testing.T, group []build.Target)) {
	list, _ := targets(t)
	for name, matrices := range map[string]bool{"portable": false, "matrices": true} {
		group := slices.DeleteFunc(slices.Clone(list), func(x build.Target) bool { return x.Matrices() != matrices })
		t.Run(name, func(t *testing.T) { f(t, group) })
	}
}

func recompile(t *testing.T, group []build.Target) {
	compiler, err := group[0].Compiler().Path()
	if err != nil {
		t.Skip(err)
	}
	version, err := build.Version(compiler)
	if err != nil {
		t.Fatal(err)
	}
	_, manifest := targets(t)
	same := 0
	for _, x := range group {
		if manifest[x.Name].Compiler != version {
			continue
		}
		same++
		code, err := build.Compile(compiler, ".", x)
		if err != nil {
			t.Error(err)
			continue
		}
		if have, err := Load(x.Name); err != nil || !bytes.Equal(code, have) {
			t.Errorf("%s.spv is not what glslc makes of %s (%v): go generate ./shaders", x.Name, x.Source, err)
		}
	}
	if same == 0 {
		t.Skipf("glslc here is %s, the files were made by another", version)
	}
}

// eachFile runs a tool on SPIR-V files and gives f what it prints.
func eachFile(t *testing.T, group []build.Target, f func(name, out string), tool string, args ...string) {
	t.Helper()
	for _, x := range group {
		out, err := exec.Command(tool, append(args, x.Name+".spv")...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %s: %v\n%s", x.Name, tool, err, out)
			continue
		}
		f(x.Name, string(out))
	}
}

func TestValid(t *testing.T) {
	eachGroup(t, func(t *testing.T, group []build.Target) {
		val, err := group[0].Compiler().Validator()
		if err != nil {
			t.Skipf("%v (Debian: apt install spirv-tools)", err)
		}
		eachFile(t, group, func(string, string) {}, val, "--target-env", "vulkan1.1")
	})
}

// TestMetal translates every portable shader as MoltenVK does.
func TestMetal(t *testing.T) {
	if _, err := exec.LookPath("spirv-cross"); err != nil {
		t.Skipf("%v (Debian: apt install spirv-cross)", err)
	}
	list, _ := targets(t)
	eachFile(t, slices.DeleteFunc(list, build.Target.Matrices), func(name, out string) {
		if !strings.Contains(out, "kernel void main0") {
			t.Errorf("%s: no kernel in its translation:\n%s", name, out)
		}
	}, "spirv-cross", "--msl", "--msl-version", "20100")
}

// TestNoAtomics looks for atomic operations, in sources and in what was made of them: floats are added in a fixed order, and the
// translator to Metal writes invalid code for float atomics without a word.
func TestNoAtomics(t *testing.T) {
	files, err := filepath.Glob("*.comp")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := build.Expand(".", f)
		if err != nil {
			t.Fatal(err)
		}
		if m := regexp.MustCompile(`\batomic\w+`).FindString(text); m != "" {
			t.Errorf("%s: %s", f, m)
		}
	}
	compiled, err := filepath.Glob("*.spv")
	if err != nil || len(compiled) < len(files) {
		t.Fatal(compiled, err)
	}
	for _, f := range compiled {
		p, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		// The instructions of SPIR-V: a word of length and opcode each, after five words of header. Atomics are 227 to 242, float ones 5614, 5615 and 6035.
		for at := 20; at+4 <= len(p); {
			op, n := int(p[at])|int(p[at+1])<<8, int(p[at+2])|int(p[at+3])<<8
			if op >= 227 && op <= 242 || op == 5614 || op == 5615 || op == 6035 {
				t.Errorf("%s: atomic instruction %d", f, op)
			}
			if n == 0 {
				t.Fatalf("%s: an instruction of no length", f)
			}
			at += 4 * n
		}
	}
}
