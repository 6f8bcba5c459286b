#version 450
#extension GL_GOOGLE_include_directive : require
// What backend/graph/augment.go does to the images x: [N,S,S,C]; the probability of each transformation is arg 1. arg 0: elements.
#include "common.glsl"
#include "rng.glsl"
SPEC(1, S) SPEC(2, C)
READ(1, x) WRITE(2, y)

const uint streamAugment = 12;

int reflect_(int i) {
	i = abs(i);
	return i < int(S) ? i : 2 * int(S) - 2 - i;
}

void main() {
	float p = argf(1);
	EACH(i, push.arg[0]) {
		uint n = i / (S * S * C), c = i % C;
		int w = int(i / C % S), h = int(i / (C * S) % S);
		uvec4 lots = block(streamAugment, 0, FIRST + n), shift = block(streamAugment, 1, FIRST + n), colour = block(streamAugment, 2, FIRST + n);
		vec4 normal = normals(streamAugment, 3, FIRST + n);
		if (uniform_(shift.x) < p) {
			int far = int(S / 8);
			w += int(below(shift.y, uint(2 * far + 1))) - far;
			h += int(below(shift.z, uint(2 * far + 1))) - far;
		}
		h = reflect_(h);
		w = reflect_(w);
		uint turns = uniform_(lots.z) < p ? below(lots.w, 4) : 0;
		for (uint k = 0; k < turns; k++) {
			int row = h;
			h = w;
			w = int(S) - 1 - row;
		}
		if (uniform_(lots.x) < p && lots.y >> 31 == 1) w = int(S) - 1 - w;
		float brightness = uniform_(colour.x) < p ? 0.2 * normal.x : 0.0;
		float contrast = uniform_(colour.y) < p ? exp2(0.5 * normal.y) : 1.0;
		y(i, clamp(x(((n * S + h) * S + w) * C + c) * contrast + brightness, -1.0, 1.0));
	}
}
