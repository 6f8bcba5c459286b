// The tile of a matrix product C[M,N] = A[M,K] B[K,N]: a workgroup computes BM x BN of it, an invocation TM x TN in registers,
// through BK columns of A and rows of B at a time in shared memory. The shader that includes this says where the elements are:
//   void begin(uint m0, uint n0)   once
//   void fetch(uint k0)            putA and putB for all of the tile, k0 .. k0+BK-1
//   void store(uint m, uint n, float v)
// Rows and columns outside the matrices are put as zeros and not stored.
//
// An invocation's rows come in groups of four next to each other, so that four go in one read of shared memory.
SPEC(1, BM) SPEC(2, BN) SPEC(3, BK) SPEC(4, TM) SPEC(5, TN)
SPEC(6, M) SPEC(7, N) SPEC(8, K) SPEC(9, SPLIT) // SPLIT: columns of A to a workgroup; blocks along z share K

shared vec4 tileA[BK * (BM / 4)];
shared vec4 tileB[BK * (BN / 4)];

void putA(uint k, uint m, float v) { tileA[k * (BM / 4) + m / 4][m % 4] = v; }
void putB(uint k, uint n, float v) { tileB[k * (BN / 4) + n / 4][n % 4] = v; }

void begin(uint m0, uint n0);
void fetch(uint k0);
void store(uint m, uint n, float v);

#define TID gl_LocalInvocationIndex
#define THREADS gl_WorkGroupSize.x

void main() {
	uint m0 = gl_WorkGroupID.x * BM, n0 = gl_WorkGroupID.y * BN;
	uint from = gl_WorkGroupID.z * SPLIT, to = min(K, from + SPLIT);
	const uint across = BN / TN, down = BM / TM;
	uint tx = TID % across, ty = TID / across;
	vec4 acc[TM * (TN / 4)];
	for (uint i = 0; i < TM * (TN / 4); i++) acc[i] = vec4(0.0);
	begin(m0, n0);
	for (uint k0 = from; k0 < to; k0 += BK) {
		fetch(k0);
		barrier();
		for (uint k = 0; k < BK; k++) {
			vec4 b[TN / 4];
			for (uint j = 0; j < TN / 4; j++) b[j] = tileB[k * (BN / 4) + j * across + tx];
			for (uint i = 0; i < TM / 4; i++) {
				vec4 a = tileA[k * (BM / 4) + i * down + ty];
				for (uint j = 0; j < TN / 4; j++) {
					acc[(4 * i + 0) * (TN / 4) + j] += a.x * b[j];
					acc[(4 * i + 1) * (TN / 4) + j] += a.y * b[j];
					acc[(4 * i + 2) * (TN / 4) + j] += a.z * b[j];
					acc[(4 * i + 3) * (TN / 4) + j] += a.w * b[j];
				}
			}
		}
		barrier();
	}
	for (uint i = 0; i < TM; i++) {
		uint m = m0 + (i / 4 * down + ty) * 4 + i % 4;
		for (uint j = 0; j < TN; j++) {
			uint n = n0 + (j / 4 * across + tx) * 4 + j % 4;
			if (m < M && n < N) store(m, n, acc[i * (TN / 4) + j / 4][j % 4]);
		}
	}
}
