#version 450
#extension GL_GOOGLE_include_directive : require
// dk and dv, one position of one head a workgroup.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, L) SPEC(2, C) SPEC(3, D)
READ(0, q) READ(1, v) READ(2, p) READ(3, dO) READ(4, dots) WRITE(5, dk) WRITE(6, dv)
shared float column_[L];

void main() {
	const uint heads = C / D;
	uint j = gl_WorkGroupID.x, head = gl_WorkGroupID.y, n = head / heads, c0 = head % heads * D, t = gl_LocalInvocationIndex;
	uint base = n * L * C + c0;
	for (uint i = t; i < L; i += gl_WorkGroupSize.x) {
		float s = 0.0;
		for (uint c = 0; c < D; c++) s += dO(base + i * C + c) * v(base + j * C + c);
		column_[i] = p((head * L + i) * L + j) * (s - dots(head * L + i)) * argf(0);
	}
	barrier();
	for (uint c = t; c < D; c += gl_WorkGroupSize.x) {
		float a = 0.0, b = 0.0;
		for (uint i = 0; i < L; i++) {
			a += column_[i] * q(base + i * C + c);
			b += p((head * L + i) * L + j) * dO(base + i * C + c);
		}
		dk(base + j * C + c, a);
		dv(base + j * C + c, b);
	}
}
