#version 450
#extension GL_GOOGLE_include_directive : require
// dk = ds^T q and dv = p^T do; p and ds as in attention_grad_q, their rows here as columns.
#include "common.glsl"
#include "attention.glsl"
READ_ANY(0, q) READ_ANY(1, k) READ_ANY(2, v) READ_ANY(3, dO) READ(4, lse) READ(5, dots) WRITE_ANY(6, dk) WRITE_ANY(7, dv)

void main() {
	vec4 sumK[CHUNKS * TC], sumV[CHUNKS * TC];
	for (uint i = 0; i < CHUNKS * TC; i++) {
		sumK[i] = vec4(0.0);
		sumV[i] = vec4(0.0);
	}
	for (uint k0 = 0; k0 < L; k0 += T) {
		vec4 s[4], dp[4];
		SCORES(s, k, q, ROW0, k0)
		SCORES(dp, v, dO, ROW0, k0)
		for (uint j = 0; j < 4; j++) {
			uint r = k0 + 4 * TX + j;
			float rowLse = 0.0, rowDot = 0.0;
			if (r < L) {
				rowLse = lse(HEAD * L + r);
				rowDot = dots(HEAD * L + r);
			}
			for (uint i = 0; i < 4; i++) {
				s[i][j] = exp(s[i][j] * argf(0) - rowLse);
				dp[i][j] = s[i][j] * (dp[i][j] - rowDot);
			}
		}
		barrier();
		setWeights(s);
		ACCUMULATE(sumV, dO, k0)
		barrier();
		setWeights(dp);
		ACCUMULATE(sumK, q, k0)
	}
	STORE(dk, sumK, argf(0))
	STORE(dv, sumV, 1.0)
}
