#version 450
#extension GL_GOOGLE_include_directive : require
// Sums of dz and dz xhat of each channel over chunk k of an image: part[n,k,c,2].
// Workgroups: lanes of channels, chunks, images.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, P) SPEC(2, C) SPEC(3, PER) SPEC(4, G) SPEC(5, SILU)
READ_ANY(0, x) READ(1, gamma) READ(2, beta) READ(3, stats) READ_ANY(4, dy) WRITE(5, part)
void main() {
	uint c = gl_WorkGroupID.x * LANES + LANE, chunk = gl_WorkGroupID.y, n = gl_WorkGroupID.z;
	uint from = chunk * PER, to = min(P, from + PER);
	float dz = 0.0, dzx = 0.0;
	if (c < C) {
		uint s = (n * G + c / (C / G)) * 2;
		float mean = stats(s), rstd = stats(s + 1), ga = gamma(c), be = beta(c);
		for (uint p = from + ROW; p < to; p += ROWS) {
			uint i = (n * P + p) * C + c;
			float xhat = (x(i) - mean) * rstd, d = dy(i);
			if (SILU != 0) d *= siluPrime(ga * xhat + be);
			dz += d;
			dzx += d * xhat;
		}
	}
	dz = column(dz);
	dzx = column(dzx);
	if (ROW == 0 && c < C) {
		uint at = ((n * gl_NumWorkGroups.y + chunk) * C + c) * 2;
		part(at, dz);
		part(at + 1, dzx);
	}
}
