#version 450
#extension GL_GOOGLE_include_directive : require
// dq and dots[i] = sum over j of p dp, one row of one head a workgroup.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, L) SPEC(2, C) SPEC(3, D)
READ(0, k) READ(1, v) READ(2, p) READ(3, dO) WRITE(4, dq) WRITE(5, dots)
shared float row[L];

void main() {
	const uint heads = C / D;
	uint i = gl_WorkGroupID.x, head = gl_WorkGroupID.y, n = head / heads, c0 = head % heads * D, t = gl_LocalInvocationIndex;
	uint base = n * L * C + c0;
	float dot_ = 0.0;
	for (uint j = t; j < L; j += gl_WorkGroupSize.x) {
		float s = 0.0;
		for (uint c = 0; c < D; c++) s += dO(base + i * C + c) * v(base + j * C + c);
		row[j] = s;
		dot_ += s * p((head * L + i) * L + j);
	}
	dot_ = total(dot_);
	for (uint j = t; j < L; j += gl_WorkGroupSize.x) row[j] = p((head * L + i) * L + j) * (row[j] - dot_) * argf(0);
	barrier();
	for (uint c = t; c < D; c += gl_WorkGroupSize.x) {
		float s = 0.0;
		for (uint j = 0; j < L; j++) s += row[j] * k(base + j * C + c);
		dq(base + i * C + c, s);
	}
	if (t == 0) dots(head * L + i, dot_);
}
