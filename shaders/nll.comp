#version 450
#extension GL_GOOGLE_include_directive : require
// part[n,k] = sums of w l and of w over chunk k of image n, PER of SIZE values. Workgroups: chunks, images.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, SIZE) SPEC(2, PER) SPEC(3, KIND) SPEC(4, COUNT)
READ_ANY(0, p) READ(1, q) READ(2, w) WRITE(3, parts)
#include "likelihood.glsl"
void main() {
	uint chunk = gl_WorkGroupID.x, n = gl_WorkGroupID.y, to = min(SIZE, (chunk + 1) * PER);
	float sum = 0.0, weight = 0.0;
	for (uint i = chunk * PER + gl_LocalInvocationIndex; i < to; i += gl_WorkGroupSize.x) {
		float f = w(n * SIZE + i);
		if (f == 0.0) continue;
		sum += f * lossOf(n * SIZE + i, q(n * SIZE + i));
		weight += f;
	}
	sum = total(sum);
	weight = total(weight);
	if (gl_LocalInvocationIndex == 0) {
		parts((n * gl_NumWorkGroups.x + chunk) * 2, sum);
		parts((n * gl_NumWorkGroups.x + chunk) * 2 + 1, weight);
	}
}
