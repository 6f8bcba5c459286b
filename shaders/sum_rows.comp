#version 450
#extension GL_GOOGLE_include_directive : require
// y[b,k,c] = sum of x[b,r,c] over the rows r of chunk k, PER each. Workgroups: lanes of channels, chunks, b.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, R) SPEC(2, C) SPEC(3, PER)
READ_ANY(0, x) WRITE(1, y)
void main() {
	uint c = gl_WorkGroupID.x * LANES + LANE, chunk = gl_WorkGroupID.y, b = gl_WorkGroupID.z;
	uint to = min(R, (chunk + 1) * PER);
	float sum = 0.0;
	if (c < C) for (uint r = chunk * PER + ROW; r < to; r += ROWS) sum += x((b * R + r) * C + c);
	sum = column(sum);
	if (ROW == 0 && c < C) y((b * gl_NumWorkGroups.y + chunk) * C + c, sum);
}
