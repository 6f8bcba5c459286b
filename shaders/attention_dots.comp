#version 450
#extension GL_GOOGLE_include_directive : require
// dots: [N,heads,L], the sum of do o over a head's channels. L positions, C channels, D a head. arg 0: how many rows.
#include "common.glsl"
SPEC(1, L) SPEC(2, C) SPEC(3, D)
READ_ANY(0, dO) READ_ANY(1, o) WRITE(2, dots)

void main() {
	const uint heads = C / D;
	EACH(i, push.arg[0]) {
		uint head = i / L, base = (head / heads * L + i % L) * C + head % heads * D;
		float s = 0.0;
		for (uint c = 0; c < D; c++) s += dO(base + c) * o(base + c);
		dots(i, s);
	}
}
