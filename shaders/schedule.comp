#version 450
#extension GL_GOOGLE_include_directive : require
// The scalars of this step: learning rate with warm-up, bias corrections, EMA decay. The words are those of backend/attrs.go.
#include "common.glsl"
#include "rng.glsl"
READ(1, hyper) WRITE(2, scalars)

// oneMinusPower is 1 - b^n without cancellation: with q(n) = 1 - b^n, q(m+n) = q(m) + q(n) (1 - q(m)).
float oneMinusPower(float b, uvec2 n) {
	float q = 0.0, square = 1.0 - b;
	for (int i = 0; i < 64; i++) {
		uint word = i < 32 ? n.x : n.y;
		if ((word >> (i & 31) & 1) != 0) q = q + square * (1.0 - q);
		square = square + square * (1.0 - square);
	}
	return q;
}

// power is x^-p for x >= 1, through 2^(-p log2 x) with an exact split of the exponent.
float power(float x, float p) {
	float e = -p * (logf(x) * 1.44269504);
	return exp2(e);
}

void main() {
	if (gl_GlobalInvocationID.x != 0) return;
	float k = float(control(1)) * 4294967296.0 + float(control(0));
	uint low = control(0) + 1;
	uvec2 next = uvec2(low, control(1) + (low == 0 ? 1 : 0));
	float rate = hyper(0);
	float warm = hyper(1), kind = hyper(9);
	if (k + 1.0 < warm) {
		rate *= (k + 1.0) / warm;
	} else if (kind != 0.0) {
		float u = min(1.0, (k + 1.0 - warm) / max(1.0, hyper(10) - warm));
		float left = kind == 1.0 ? 0.5 + 0.5 * sincosTurn(uint(u * 8388608.0)).y : 1.0 - u; // half a turn is 2^23
		rate *= hyper(11) + (1.0 - hyper(11)) * left;
	}
	scalars(0, rate);
	scalars(1, oneMinusPower(hyper(2), next));
	scalars(2, oneMinusPower(hyper(3), next));
	scalars(3, min(hyper(7), 1.0 - power(1.0 + k, hyper(8))));
	for (uint i = 4; i < 8; i++) scalars(i, 0.0);
}
