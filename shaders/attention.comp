#version 450
#extension GL_GOOGLE_include_directive : require
// o = softmax(q k^T scale) v, one row of one head a workgroup. L positions, C channels, D a head. arg 0: scale.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, L) SPEC(2, C) SPEC(3, D)
READ(0, q) READ(1, k) READ(2, v) WRITE(3, o) WRITE(4, p)
shared float row[L];

void main() {
	const uint heads = C / D;
	uint i = gl_WorkGroupID.x, head = gl_WorkGroupID.y, n = head / heads, c0 = head % heads * D, t = gl_LocalInvocationIndex;
	uint base = n * L * C + c0;
	float top = -3.4e38;
	for (uint j = t; j < L; j += gl_WorkGroupSize.x) {
		float s = 0.0;
		for (uint c = 0; c < D; c++) s += q(base + i * C + c) * k(base + j * C + c);
		row[j] = s * argf(0);
		top = max(top, row[j]);
	}
	barrier();
	sumParts[t] = top;
	for (uint h = gl_WorkGroupSize.x / 2; h > 0; h /= 2) {
		barrier();
		if (t < h) sumParts[t] = max(sumParts[t], sumParts[t + h]);
	}
	barrier();
	top = sumParts[0];
	float sum = 0.0;
	for (uint j = t; j < L; j += gl_WorkGroupSize.x) {
		row[j] = exp(row[j] - top);
		sum += row[j];
	}
	sum = total(sum);
	for (uint j = t; j < L; j += gl_WorkGroupSize.x) {
		row[j] /= sum;
		p((head * L + i) * L + j, row[j]);
	}
	barrier();
	for (uint c = t; c < D; c += gl_WorkGroupSize.x) {
		float s = 0.0;
		for (uint j = 0; j < L; j++) s += row[j] * v(base + j * C + c);
		o(base + i * C + c, s);
	}
}
