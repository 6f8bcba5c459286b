#version 450
#extension GL_GOOGLE_include_directive : require
// As many multiply-adds in registers as the device can do: 8 independent chains of vectors, 32 steps each an iteration.
// arg: iterations, a factor near 1 and a small summand, which the compiler does not know.
#include "common.glsl"
WRITE(0, y)
void main() {
	vec4 factor = vec4(argf(1)), summand = vec4(argf(2)), v[8];
	for (uint i = 0; i < 8; i++) v[i] = vec4(float(i) + float(gl_LocalInvocationIndex));
	for (uint n = 0; n < push.arg[0]; n++) {
		for (uint k = 0; k < 32; k++) {
			for (uint i = 0; i < 8; i++) v[i] = fma(v[i], factor, summand);
		}
	}
	vec4 sum = vec4(0.0);
	for (uint i = 0; i < 8; i++) sum += v[i];
	y(gl_GlobalInvocationID.x, sum.x + sum.y + sum.z + sum.w);
}
