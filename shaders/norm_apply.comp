#version 450
#extension GL_GOOGLE_include_directive : require
// y = f(gamma xhat + beta), f SiLU or nothing.
#include "common.glsl"
SPEC(1, PER) SPEC(2, C) SPEC(3, G) SPEC(4, SILU)
READ_ANY(0, x) READ(1, gamma) READ(2, beta) READ(3, stats) WRITE_ANY(4, y)
void main() {
	EACH(i, push.arg[0]) {
		uint c = i % C, s = (i / PER * G + c / (C / G)) * 2;
		float z = (x(i) - stats(s)) * stats(s + 1) * gamma(c) + beta(c);
		y(i, SILU != 0 ? z * sigmoid(z) : z);
	}
}
