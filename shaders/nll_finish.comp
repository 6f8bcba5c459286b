#version 450
#extension GL_GOOGLE_include_directive : require
// each[n] = sum of w l over sum of w, loss = mean of each. One workgroup. arg: N, chunks.
#include "common.glsl"
#include "reduce.glsl"
READ(0, parts) WRITE(1, loss) WRITE(2, each)
void main() {
	float sum = 0.0;
	for (uint n = gl_LocalInvocationIndex; n < push.arg[0]; n += gl_WorkGroupSize.x) {
		float s = 0.0, weight = 0.0;
		for (uint k = 0; k < push.arg[1]; k++) {
			s += parts((n * push.arg[1] + k) * 2);
			weight += parts((n * push.arg[1] + k) * 2 + 1);
		}
		if (weight > 0.0) s /= weight;
		each(n, s);
		sum += s;
	}
	sum = total(sum);
	if (gl_LocalInvocationIndex == 0) loss(0, sum / float(push.arg[0]));
}
