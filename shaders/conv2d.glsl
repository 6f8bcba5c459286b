// y[p,o] = b[o] + sum over kh, kw, i of x[pixel of p and tap, i] w[o,kh,kw,i]: rows are output pixels, columns output channels, and the
// sum runs over taps and input channels. With several workgroups along z each writes its part of the sum, without the bias.
SPEC(10, H) SPEC(11, W) SPEC(12, I) SPEC(13, OH) SPEC(14, OW) SPEC(15, KH) SPEC(16, KW) SPEC(17, STRIDE) SPEC(18, TOP) SPEC(19, LEFT)
SPEC(20, BIAS)
READ_ANY(0, x) READ(1, w) READ(2, b) WRITE_ANY(3, y)

// An invocation fetches one column k of A for ROWS rows.
const uint ROWS = (BM * BK + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
int rowH[ROWS], rowW[ROWS];
uint rowN[ROWS];
uint columns;

void begin(uint m0, uint n0) {
	columns = n0;
	for (uint r = 0; r < ROWS; r++) {
		uint e = r * THREADS + TID, m = m0 + e / BK;
		rowH[r] = m < M ? int(m / OW % OH * STRIDE) - int(TOP) : -0x4000;
		rowW[r] = int(m % OW * STRIDE) - int(LEFT);
		rowN[r] = m / (OW * OH) * H;
	}
}

void fetch(uint k0) {
	for (uint r = 0; r < ROWS; r++) {
		uint e = r * THREADS + TID, kk = e % BK, k = k0 + kk;
		if (e >= BM * BK) break;
		uint tap = k / I;
		int h = rowH[r] + int(tap / KW), w_ = rowW[r] + int(tap % KW);
		bool inside = k < K && h >= 0 && h < int(H) && w_ >= 0 && w_ < int(W);
		putA(kk, e / BK, inside ? x(((rowN[r] + uint(h)) * W + uint(w_)) * I + k % I) : 0.0);
	}
	for (uint e = TID; e < BN * BK; e += THREADS) {
		uint k = k0 + e % BK, n = columns + e / BK;
		putB(e % BK, e / BK, k < K && n < N ? w(n * K + k) : 0.0);
	}
}

void store(uint m, uint n, float v) {
	y((gl_WorkGroupID.z * M + m) * N + n, BIAS != 0 ? v + b(n) : v);
}
