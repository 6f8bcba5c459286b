#version 450
#extension GL_GOOGLE_include_directive : require
// part[k] = sum of x^2 over chunk k. arg: elements, elements a chunk. Workgroups: chunks.
#include "common.glsl"
#include "reduce.glsl"
READ(0, x) WRITE(1, part)
void main() {
	uint chunk = gl_WorkGroupID.x, to = min(push.arg[0], (chunk + 1) * push.arg[1]);
	float sum = 0.0;
	for (uint i = chunk * push.arg[1] + gl_LocalInvocationIndex; i < to; i += gl_WorkGroupSize.x) sum += x(i) * x(i);
	sum = total(sum);
	if (gl_LocalInvocationIndex == 0) part(chunk, sum);
}
