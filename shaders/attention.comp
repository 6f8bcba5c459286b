#version 450
#extension GL_GOOGLE_include_directive : require
// o = softmax(q k^T scale) v and lse: [N,heads,L], the logarithm of the sum of exp(q k^T scale) of each row. The softmax goes along: where a
// tile has a larger score than all before it, what was summed so far is scaled down.
#include "common.glsl"
#include "attention.glsl"
READ_ANY(0, q) READ_ANY(1, k) READ_ANY(2, v) WRITE_ANY(3, o) WRITE(4, lse)
const uint PARTS = THREADS / T; // invocations that share a row's softmax
shared float parts[THREADS];
shared vec4 factors[SIDE]; // what the sums of each row are scaled by

void main() {
	vec4 sum[CHUNKS * TC];
	for (uint i = 0; i < CHUNKS * TC; i++) sum[i] = vec4(0.0);
	uint row = TID % T, part = TID / T;
	float top = -3.4e38, total = 0.0;
	for (uint k0 = 0; k0 < L; k0 += T) {
		vec4 s[4];
		SCORES(s, q, k, ROW0, k0)
		barrier();
		setWeights(s);
		barrier();
		float high = top;
		for (uint j = part; j < T; j += PARTS)
			if (k0 + j < L) high = max(high, weights[j * SIDE + row / 4][row % 4] * argf(0));
		parts[TID] = high;
		barrier();
		for (uint p = 0; p < PARTS; p++) high = max(high, parts[p * T + row]);
		barrier();
		float some = 0.0;
		for (uint j = part; j < T; j += PARTS) {
			float p = 0.0;
			if (k0 + j < L) p = exp(weights[j * SIDE + row / 4][row % 4] * argf(0) - high);
			weights[j * SIDE + row / 4][row % 4] = p;
			some += p;
		}
		parts[TID] = some;
		float factor = exp(top - high);
		if (part == 0) factors[row / 4][row % 4] = factor;
		barrier();
		total *= factor;
		for (uint p = 0; p < PARTS; p++) total += parts[p * T + row];
		top = high;
		for (uint i = 0; i < CHUNKS * TC; i++) sum[i] *= factors[TY];
		ACCUMULATE(sum, v, k0)
	}
	barrier();
	if (part == 0) {
		factors[row / 4][row % 4] = 1.0 / total;
		if (gl_WorkGroupID.z == 0 && ROW0 + row < L) lse(HEAD * L + ROW0 + row, top + log(total));
	}
	barrier();
	STORE(o, sum, factors[TY])
}
