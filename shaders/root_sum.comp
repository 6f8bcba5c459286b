#version 450
#extension GL_GOOGLE_include_directive : require
// y = sqrt of the sum of n parts. One workgroup.
#include "common.glsl"
#include "reduce.glsl"
READ(0, part) WRITE(1, y)
void main() {
	float sum = 0.0;
	for (uint i = gl_LocalInvocationIndex; i < push.arg[0]; i += gl_WorkGroupSize.x) sum += part(i);
	sum = total(sum);
	if (gl_LocalInvocationIndex == 0) y(0, sqrt(sum));
}
