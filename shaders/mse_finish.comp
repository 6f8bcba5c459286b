#version 450
#extension GL_GOOGLE_include_directive : require
// each[n] = sum over chunks of part[n] / SIZE, loss = mean of each. One workgroup. arg: N, chunks.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, SIZE)
READ(0, part) WRITE(1, loss) WRITE(2, each)
void main() {
	uint N = push.arg[0], chunks = push.arg[1];
	float sum = 0.0;
	for (uint n = gl_LocalInvocationIndex; n < N; n += gl_WorkGroupSize.x) {
		float s = 0.0;
		for (uint k = 0; k < chunks; k++) s += part(n * chunks + k);
		s /= float(SIZE);
		each(n, s);
		sum += s;
	}
	sum = total(sum);
	if (gl_LocalInvocationIndex == 0) loss(0, sum / float(N));
}
