#version 450
#extension GL_GOOGLE_include_directive : require
// dx = rstd (d - mean of d - xhat mean of d xhat), d = gamma dz.
#include "common.glsl"
SPEC(1, PER) SPEC(2, C) SPEC(3, G) SPEC(4, SILU)
READ_ANY(0, x) READ(1, gamma) READ(2, beta) READ(3, stats) READ_ANY(4, dy) READ(5, sums) WRITE_ANY(6, dx)
void main() {
	EACH(i, push.arg[0]) {
		uint c = i % C, s = (i / PER * G + c / (C / G)) * 2;
		float rstd = stats(s + 1), xhat = (x(i) - stats(s)) * rstd, d = dy(i);
		if (SILU != 0) d *= siluPrime(gamma(c) * xhat + beta(c));
		dx(i, rstd * (gamma(c) * d - sums(s) - xhat * sums(s + 1)));
	}
}
