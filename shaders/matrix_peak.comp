#version 450
#extension GL_GOOGLE_include_directive : require
// As many products of cooperative matrices as the device can do: 8 independent sums to a subgroup, each with one product an iteration.
// arg: iterations, and a number that the matrices hold.
#include "matrix_extensions.glsl"
#include "common.glsl"
SPEC(21, MM) SPEC(22, MN) SPEC(23, MK)
WRITE(0, y)
shared float16_t operand[(MM > MN ? MM : MN) * MK];
shared float result[MM * MN];
#define SUM coopmat<float, gl_ScopeSubgroup, MM, MN, gl_MatrixUseAccumulator>
void main() {
	for (uint i = gl_LocalInvocationIndex; i < operand.length(); i += gl_WorkGroupSize.x) operand[i] = float16_t(argf(1));
	barrier();
	coopmat<float16_t, gl_ScopeSubgroup, MM, MK, gl_MatrixUseA> a;
	coopmat<float16_t, gl_ScopeSubgroup, MK, MN, gl_MatrixUseB> b;
	coopMatLoad(a, operand, 0, MK, gl_CooperativeMatrixLayoutRowMajor);
	coopMatLoad(b, operand, 0, MN, gl_CooperativeMatrixLayoutRowMajor);
	SUM sum[8];
	[[unroll]] for (uint i = 0; i < 8; i++) sum[i] = SUM(0.0);
	for (uint n = 0; n < push.arg[0]; n++) {
		[[unroll]] for (uint i = 0; i < 8; i++) sum[i] = coopMatMulAdd(a, b, sum[i]);
	}
	[[unroll]] for (uint i = 1; i < 8; i++) sum[0] += sum[i];
	if (gl_SubgroupID == 0) coopMatStore(sum[0], result, 0, MN, gl_CooperativeMatrixLayoutRowMajor);
	barrier();
	y(gl_GlobalInvocationID.x, result[gl_LocalInvocationIndex % (MM * MN)]);
}
