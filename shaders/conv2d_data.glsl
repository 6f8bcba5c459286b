// dx[q,i] = sum over kh, kw, o of dy[the output pixel that tap (kh, kw) of input pixel q meets, o] w[o,kh,kw,i].
SPEC(10, H) SPEC(11, W) SPEC(12, O) SPEC(13, OH) SPEC(14, OW) SPEC(15, KH) SPEC(16, KW) SPEC(17, STRIDE) SPEC(18, TOP) SPEC(19, LEFT)
READ_ANY(0, dy) READ(1, w) WRITE_ANY(2, dx)

const uint ROWS = (BM * BK + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
int rowH[ROWS], rowW[ROWS];
uint rowN[ROWS];
uint columns;

void begin(uint m0, uint n0) {
	columns = n0;
	for (uint r = 0; r < ROWS; r++) {
		uint e = r * THREADS + TID, m = m0 + e / BK;
		rowH[r] = m < M ? int(m / W % H + TOP) : -0x4000;
		rowW[r] = int(m % W + LEFT);
		rowN[r] = m / (W * H) * OH;
	}
}

void fetch(uint k0) {
	for (uint r = 0; r < ROWS; r++) {
		uint e = r * THREADS + TID, kk = e % BK, k = k0 + kk;
		if (e >= BM * BK) break;
		uint tap = k / O;
		int h = rowH[r] - int(tap / KW), w_ = rowW[r] - int(tap % KW);
		bool inside = k < K && h >= 0 && w_ >= 0 && h % int(STRIDE) == 0 && w_ % int(STRIDE) == 0;
		h /= int(STRIDE);
		w_ /= int(STRIDE);
		inside = inside && h < int(OH) && w_ < int(OW);
		putA(kk, e / BK, inside ? dy(((rowN[r] + uint(h)) * OW + uint(w_)) * O + k % O) : 0.0);
	}
	for (uint e = TID; e < BN * BK; e += THREADS) {
		uint k = k0 + e / BN, n = columns + e % BN;
		putB(e / BN, e % BN, k < K && n < N ? w((k % O * (KH * KW) + k / O) * N + n) : 0.0);
	}
}

void store(uint m, uint n, float v) { dx((gl_WorkGroupID.z * M + m) * N + n, v); }
