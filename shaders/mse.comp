#version 450
#extension GL_GOOGLE_include_directive : require
// part[n,k] = sum of (p - q)^2 over chunk k of image n, PER elements of SIZE. Workgroups: chunks, images.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, SIZE) SPEC(2, PER)
READ_ANY(0, p) READ_ANY(1, q) WRITE(2, part)
void main() {
	uint chunk = gl_WorkGroupID.x, n = gl_WorkGroupID.y, to = min(SIZE, (chunk + 1) * PER);
	float sum = 0.0;
	for (uint i = chunk * PER + gl_LocalInvocationIndex; i < to; i += gl_WorkGroupSize.x) {
		float d = p(n * SIZE + i) - q(n * SIZE + i);
		sum += d * d;
	}
	sum = total(sum);
	if (gl_LocalInvocationIndex == 0) part(n * gl_NumWorkGroups.x + chunk, sum);
}
