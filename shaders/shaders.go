// Package shaders holds the compute shaders: GLSL sources, one file an operation or one pass of it, and what glslc makes of them,
// SPIR-V, which is committed so that building the program needs no compiler of shaders.
//
// After a change of a source: go generate ./shaders (it needs glslc and spirv-val; Debian: apt install glslc spirv-tools). The tests
// hold the SPIR-V to the sources by the hashes in manifest.txt.
package shaders

//go:generate go run ./generate

import (
	"embed"
	"fmt"
)

//go:embed *.spv manifest.txt
var files embed.FS

// Load is the SPIR-V of a shader.
func Load(name string) ([]byte, error) {
	p, err := files.ReadFile(name + ".spv")
	if err != nil {
		return nil, fmt.Errorf("shaders: there is no shader %q in this build", name)
	}
	return p, nil
}
