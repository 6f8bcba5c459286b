#version 450
#extension GL_GOOGLE_include_directive : require
// sums[n] = sum of w over image n of SIZE values. Workgroups: images.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, SIZE)
READ(0, w) WRITE(1, sums)
void main() {
	uint n = gl_WorkGroupID.x;
	float sum = 0.0;
	for (uint i = gl_LocalInvocationIndex; i < SIZE; i += gl_WorkGroupSize.x) sum += w(n * SIZE + i);
	sum = total(sum);
	if (gl_LocalInvocationIndex == 0) sums(n, sum);
}
