// Attention in tiles (Dao et al. 2022, algorithms 1 and 4): a workgroup has T rows of one head and goes over all positions, T at a time,
// so that of the weights [L,L] only a tile exists, in shared memory. L positions, C channels, D of them a head. SIDE x SIDE invocations
// have 4 x 4 of a tile each, and of the result 4 rows and TC columns of each of CHUNKS times WIDE columns. arg 0: 1/sqrt(D).
SPEC(1, L) SPEC(2, C) SPEC(3, D) SPEC(4, T) SPEC(5, TC) SPEC(6, CHUNKS)
const uint DEEP = 16; // channels, or rows, that are in shared memory at a time
const uint SIDE = T / 4;
const uint WIDE = SIDE * TC;
const uint THREADS = SIDE * SIDE;

shared vec4 tileA[DEEP * SIDE];
shared vec4 tileB[DEEP * SIDE];
shared vec4 weights[T * SIDE]; // [position][row]

#define TID gl_LocalInvocationIndex
#define TX (TID % SIDE)
#define TY (TID / SIDE)
#define HEAD gl_WorkGroupID.y
#define ROW0 (gl_WorkGroupID.x * T)
#define COLUMN0 (gl_WorkGroupID.z * CHUNKS * WIDE)

// at is element c of a head's vector at a position.
uint at(uint position, uint c) {
	const uint heads = C / D;
	return (HEAD / heads * L + position) * C + HEAD % heads * D + c;
}

// SCORES sets acc[i][j] to the product of row a0+4TY+i of A and row b0+4TX+j of B; rows behind the last are zeros.
#define SCORES(acc, A, B, a0, b0) \
	for (uint i = 0; i < 4; i++) acc[i] = vec4(0.0); \
	for (uint c0 = 0; c0 < D; c0 += DEEP) { \
		barrier(); \
		for (uint e = TID; e < DEEP * T; e += THREADS) { \
			uint c = e % DEEP, r = e / DEEP; \
			float a = 0.0, b = 0.0; \
			if (c0 + c < D && (a0) + r < L) a = A(at((a0) + r, c0 + c)); \
			if (c0 + c < D && (b0) + r < L) b = B(at((b0) + r, c0 + c)); \
			tileA[c * SIDE + r / 4][r % 4] = a; \
			tileB[c * SIDE + r / 4][r % 4] = b; \
		} \
		barrier(); \
		for (uint c = 0; c < DEEP; c++) { \
			vec4 a = tileA[c * SIDE + TY], b = tileB[c * SIDE + TX]; \
			acc[0] += a.x * b; \
			acc[1] += a.y * b; \
			acc[2] += a.z * b; \
			acc[3] += a.w * b; \
		} \
	}

// setWeights puts a tile that lies as SCORES leaves it into weights.
void setWeights(vec4 acc[4]) {
	for (uint j = 0; j < 4; j++) weights[(4 * TX + j) * SIDE + TY] = vec4(acc[0][j], acc[1][j], acc[2][j], acc[3][j]);
}

// ACCUMULATE adds weights times the rows of X from k0 on to sum, where sum[n*TC+i] are the four rows of a column.
#define ACCUMULATE(sum, X, k0) \
	for (uint n = 0; n < CHUNKS; n++) \
		for (uint k1 = 0; k1 < T; k1 += DEEP) { \
			barrier(); \
			for (uint e = TID; e < DEEP * WIDE; e += THREADS) { \
				uint c = COLUMN0 + n * WIDE + e % WIDE, r = (k0) + k1 + e / WIDE; \
				float x = 0.0; \
				if (c < D && r < L) x = X(at(r, c)); \
				tileB[e / 4][e % 4] = x; \
			} \
			barrier(); \
			for (uint r = 0; r < DEEP; r++) { \
				vec4 w = weights[(k1 + r) * SIDE + TY]; \
				for (uint i = 0; i < TC; i++) { \
					uint e = r * WIDE + TX * TC + i; \
					sum[n * TC + i] += w * tileB[e / 4][e % 4]; \
				} \
			} \
		}

// STORE writes sum, times a factor for each of the four rows.
#define STORE(X, sum, factor) \
	for (uint i = 0; i < CHUNKS * TC; i++) { \
		uint c = COLUMN0 + i / TC * WIDE + TX * TC + i % TC; \
		vec4 v = sum[i] * (factor); \
		for (uint r = 0; r < 4; r++) \
			if (c < D && ROW0 + 4 * TY + r < L) X(at(ROW0 + 4 * TY + r, c), v[r]); \
	}
