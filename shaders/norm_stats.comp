#version 450
#extension GL_GOOGLE_include_directive : require
// Mean and sum of squared deviations of each channel over chunk k of an image: part[n,k,c,2].
// P pixels an image, PER a chunk. Workgroups: lanes of channels, chunks, images.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, P) SPEC(2, C) SPEC(3, PER)
READ_ANY(0, x) WRITE(1, part)
void main() {
	uint c = gl_WorkGroupID.x * LANES + LANE, chunk = gl_WorkGroupID.y, n = gl_WorkGroupID.z;
	uint from = chunk * PER, to = min(P, from + PER);
	float sum = 0.0;
	if (c < C) for (uint p = from + ROW; p < to; p += ROWS) sum += x((n * P + p) * C + c);
	float mean = column(sum) / float(to - from);
	sum = 0.0;
	if (c < C) {
		for (uint p = from + ROW; p < to; p += ROWS) {
			float d = x((n * P + p) * C + c) - mean;
			sum += d * d;
		}
	}
	sum = column(sum);
	if (ROW == 0 && c < C) {
		uint at = ((n * gl_NumWorkGroups.y + chunk) * C + c) * 2;
		part(at, mean);
		part(at + 1, sum);
	}
}
