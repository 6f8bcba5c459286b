#version 450
#extension GL_GOOGLE_include_directive : require
// y = x * scale where the number drawn for the element is at least P, else 0; four elements an invocation, PER a sample.
// arg: blocks of four in all, P, scale, the first element's number (a multiple of 4).
#include "common.glsl"
#include "rng.glsl"
SPEC(1, PER)
READ_ANY(1, x) WRITE_ANY(2, y)
void main() {
	const uint blocks = (PER + 3) / 4;
	EACH(i, push.arg[0]) {
		uint n = i / blocks, e = i % blocks * 4;
		uvec4 u = block(streamDropout, push.arg[3] / 4 + i % blocks, FIRST + n);
		for (uint k = 0; k < 4 && e + k < PER; k++) {
			uint at = n * PER + e + k;
			y(at, uniform_(u[k]) >= argf(1) ? x(at) * argf(2) : 0.0);
		}
	}
}
