// The tile of a matrix product on cooperative matrices: what gemm.glsl does, with the same begin, fetch and store of the shader that
// includes it, but operands become halfs on their way into shared memory, and a subgroup multiplies MM x MK by MK x MN matrices of them,
// adding up in fp32. A workgroup computes BM x BN of the result, a subgroup WM x WN.
//
// A_BY_COLUMN, B_BY_COLUMN: elements next to each other in shared memory share their column, not their row. It should be the way in
// which the invocations fetch them.
#include "matrix_extensions.glsl"
#include "common.glsl"
SPEC(1, BM) SPEC(2, BN) SPEC(3, BK) SPEC(4, WM) SPEC(5, WN)
SPEC(6, M) SPEC(7, N) SPEC(8, K) SPEC(9, SPLIT) // SPLIT: columns of A to a workgroup; blocks along z share K
SPEC(21, MM) SPEC(22, MN) SPEC(23, MK)

const uint PAD = 8; // halfs between two lines: they stay aligned to 16 bytes, and lie in different banks
#ifdef A_BY_COLUMN
const uint LINE_A = BM + PAD, SIZE_A = BK * LINE_A;
#define AT_A(m, k) ((k) * LINE_A + (m))
const int LAYOUT_A = gl_CooperativeMatrixLayoutColumnMajor;
#else
const uint LINE_A = BK + PAD, SIZE_A = BM * LINE_A;
#define AT_A(m, k) ((m) * LINE_A + (k))
const int LAYOUT_A = gl_CooperativeMatrixLayoutRowMajor;
#endif
#ifdef B_BY_COLUMN
const uint LINE_B = BK + PAD, SIZE_B = BN * LINE_B;
#define AT_B(k, n) ((n) * LINE_B + (k))
const int LAYOUT_B = gl_CooperativeMatrixLayoutColumnMajor;
#else
const uint LINE_B = BN + PAD, SIZE_B = BK * LINE_B;
#define AT_B(k, n) ((k) * LINE_B + (n))
const int LAYOUT_B = gl_CooperativeMatrixLayoutRowMajor;
#endif
shared float16_t tileA[SIZE_A];
shared float16_t tileB[SIZE_B];
shared float result[(BM / WM) * (BN / WN) * MM * MN]; // one matrix of each subgroup, on its way out

void putA(uint k, uint m, float v) { tileA[AT_A(m, k)] = float16_t(v); }
void putB(uint k, uint n, float v) { tileB[AT_B(k, n)] = float16_t(v); }

void begin(uint m0, uint n0);
void fetch(uint k0);
void store(uint m, uint n, float v);

#define TID gl_LocalInvocationIndex
#define THREADS gl_WorkGroupSize.x
#define SUM coopmat<float, gl_ScopeSubgroup, MM, MN, gl_MatrixUseAccumulator>

void main() {
	uint m0 = gl_WorkGroupID.x * BM, n0 = gl_WorkGroupID.y * BN;
	uint from = gl_WorkGroupID.z * SPLIT, to = min(K, from + SPLIT);
	const uint across = BN / WN, down = WM / MM, right = WN / MN;
	uint sm = gl_SubgroupID / across * WM, sn = gl_SubgroupID % across * WN;
	SUM sum[down * right];
	[[unroll]] for (uint i = 0; i < down * right; i++) sum[i] = SUM(0.0);
	begin(m0, n0);
	for (uint k0 = from; k0 < to; k0 += BK) {
		fetch(k0);
		barrier();
		for (uint k = 0; k < BK; k += MK) {
			coopmat<float16_t, gl_ScopeSubgroup, MM, MK, gl_MatrixUseA> a[down];
			[[unroll]] for (uint i = 0; i < down; i++) coopMatLoad(a[i], tileA, AT_A(sm + i * MM, k), LINE_A, LAYOUT_A);
			[[unroll]] for (uint j = 0; j < right; j++) {
				coopmat<float16_t, gl_ScopeSubgroup, MK, MN, gl_MatrixUseB> b;
				coopMatLoad(b, tileB, AT_B(k, sn + j * MN), LINE_B, LAYOUT_B);
				[[unroll]] for (uint i = 0; i < down; i++) sum[i * right + j] = coopMatMulAdd(a[i], b, sum[i * right + j]);
			}
		}
		barrier();
	}
	// Which element of a matrix an invocation holds is the driver's secret, so each goes through shared memory.
	uint at = gl_SubgroupID * MM * MN;
	[[unroll]] for (uint i = 0; i < down; i++) {
		[[unroll]] for (uint j = 0; j < right; j++) {
			coopMatStore(sum[i * right + j], result, at, MN, gl_CooperativeMatrixLayoutRowMajor);
			subgroupBarrier();
			for (uint e = gl_SubgroupInvocationID; e < MM * MN; e += gl_SubgroupSize) {
				uint m = m0 + sm + i * MM + e / MN, n = n0 + sn + j * MN + e % MN;
				if (m < M && n < N) store(m, n, result[at + e]);
			}
			subgroupBarrier();
		}
	}
}
