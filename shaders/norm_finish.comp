#version 450
#extension GL_GOOGLE_include_directive : require
// stats[n,g] = mean and 1/sqrt(var + eps) of a group, from the parts of its channels (Chan et al. 1979).
// arg: chunks, eps. Workgroups: groups, images.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, P) SPEC(2, C) SPEC(3, PER) SPEC(4, G)
READ(0, part) WRITE(1, stats)
void main() {
	uint g = gl_WorkGroupID.x, n = gl_WorkGroupID.y, chunks = push.arg[0], width = C / G;
	float sum = 0.0;
	for (uint i = gl_LocalInvocationIndex; i < chunks * width; i += gl_WorkGroupSize.x) {
		uint k = i / width;
		sum += part(((n * chunks + k) * C + g * width + i % width) * 2) * float(min(P, (k + 1) * PER) - k * PER);
	}
	float mean = total(sum) / float(P * width);
	sum = 0.0;
	for (uint i = gl_LocalInvocationIndex; i < chunks * width; i += gl_WorkGroupSize.x) {
		uint k = i / width, at = ((n * chunks + k) * C + g * width + i % width) * 2;
		float d = part(at) - mean;
		sum += part(at + 1) + d * d * float(min(P, (k + 1) * PER) - k * PER);
	}
	sum = total(sum);
	if (gl_LocalInvocationIndex == 0) {
		stats((n * G + g) * 2, mean);
		stats((n * G + g) * 2 + 1, 1.0 / sqrt(sum / float(P * width) + argf(1)));
	}
}
