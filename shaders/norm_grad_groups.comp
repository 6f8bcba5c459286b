#version 450
#extension GL_GOOGLE_include_directive : require
// sums[n,g] = sums of d = gamma dz and of d xhat over a group, over its elements. arg: images times groups, chunks.
#include "common.glsl"
SPEC(1, P) SPEC(2, C) SPEC(3, G)
READ(0, part) READ(1, gamma) WRITE(2, sums)
void main() {
	EACH(i, push.arg[0]) {
		uint n = i / G, g = i % G, width = C / G;
		float a = 0.0, b = 0.0;
		for (uint k = 0; k < push.arg[1]; k++) {
			for (uint c = g * width; c < (g + 1) * width; c++) {
				uint at = ((n * push.arg[1] + k) * C + c) * 2;
				a += gamma(c) * part(at);
				b += gamma(c) * part(at + 1);
			}
		}
		sums(2 * i, a / float(P * width));
		sums(2 * i + 1, b / float(P * width));
	}
}
