// dw[o,(kh,kw,i)] = sum over output pixels p of dy[p,o] x[pixel of p and tap, i]. Workgroups along z each take SPLIT pixels.
SPEC(10, H) SPEC(11, W) SPEC(12, I) SPEC(13, OH) SPEC(14, OW) SPEC(15, KH) SPEC(16, KW) SPEC(17, STRIDE) SPEC(18, TOP) SPEC(19, LEFT)
READ_ANY(0, x) READ_ANY(1, dy) WRITE(2, dw)

uint rows, columns;

void begin(uint m0, uint n0) {
	rows = m0;
	columns = n0;
}

void fetch(uint k0) {
	for (uint e = TID; e < BM * BK; e += THREADS) {
		uint p = k0 + e / BM, o = rows + e % BM;
		putA(e / BM, e % BM, p < K && o < M ? dy(p * M + o) : 0.0);
	}
	for (uint e = TID; e < BN * BK; e += THREADS) {
		uint p = k0 + e / BN, n = columns + e % BN, tap = n / I;
		int h = int(p / OW % OH * STRIDE + tap / KW) - int(TOP), w_ = int(p % OW * STRIDE + tap % KW) - int(LEFT);
		bool inside = p < K && n < N && h >= 0 && h < int(H) && w_ >= 0 && w_ < int(W);
		putB(e / BN, e % BN, inside ? x(((p / (OW * OH) * H + uint(h)) * W + uint(w_)) * I + n % I) : 0.0);
	}
}

void store(uint m, uint n, float v) { dw((gl_WorkGroupID.z * M + m) * N + n, v); }
