#version 450
#extension GL_GOOGLE_include_directive : require
// Standard normals of STREAM, four elements an invocation. PER elements a sample. arg: blocks of four in all.
#include "common.glsl"
#include "rng.glsl"
SPEC(1, PER) SPEC(2, STREAM)
WRITE(1, y)
void main() {
	const uint blocks = (PER + 3) / 4;
	EACH(i, push.arg[0]) {
		uint n = i / blocks, e = i % blocks * 4;
		vec4 v = normals(STREAM, i % blocks, FIRST + n);
		for (uint k = 0; k < 4 && e + k < PER; k++) y(n * PER + e + k, v[k]);
	}
}
