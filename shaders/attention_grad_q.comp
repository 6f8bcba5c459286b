#version 450
#extension GL_GOOGLE_include_directive : require
// dq = ds k, with p = exp(q k^T scale - lse) and ds = scale p (do v^T - dots).
#include "common.glsl"
#include "attention.glsl"
READ_ANY(0, q) READ_ANY(1, k) READ_ANY(2, v) READ_ANY(3, dO) READ(4, lse) READ(5, dots) WRITE_ANY(6, dq)

void main() {
	vec4 sum[CHUNKS * TC];
	for (uint i = 0; i < CHUNKS * TC; i++) sum[i] = vec4(0.0);
	vec4 rowLse = vec4(0.0), rowDot = vec4(0.0);
	for (uint i = 0; i < 4; i++) {
		uint r = ROW0 + 4 * TY + i;
		if (r < L) {
			rowLse[i] = lse(HEAD * L + r);
			rowDot[i] = dots(HEAD * L + r);
		}
	}
	for (uint k0 = 0; k0 < L; k0 += T) {
		vec4 s[4], dp[4];
		SCORES(s, q, k, ROW0, k0)
		SCORES(dp, dO, v, ROW0, k0)
		for (uint i = 0; i < 4; i++) s[i] = exp(s[i] * argf(0) - rowLse[i]) * (dp[i] - rowDot[i]);
		barrier();
		setWeights(s);
		ACCUMULATE(sum, k, k0)
	}
	STORE(dq, sum, argf(0))
}
