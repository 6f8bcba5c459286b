#version 450
#extension GL_GOOGLE_include_directive : require
// dst[b,c] = sum over r of dy x, dst[b,C+c] = sum of dy. Workgroups: lanes of channels, 1, b.
#include "common.glsl"
#include "reduce.glsl"
SPEC(1, R) SPEC(2, C)
READ_ANY(0, x) READ_ANY(1, dy) WRITE(2, dst)
void main() {
	uint c = gl_WorkGroupID.x * LANES + LANE, b = gl_WorkGroupID.z;
	float scales = 0.0, shifts = 0.0;
	if (c < C) {
		for (uint r = ROW; r < R; r += ROWS) {
			float d = dy((b * R + r) * C + c);
			scales += d * x((b * R + r) * C + c);
			shifts += d;
		}
	}
	scales = column(scales);
	shifts = column(shifts);
	if (ROW == 0 && c < C) {
		dst(b * 2 * C + c, scales);
		dst(b * 2 * C + C + c, shifts);
	}
}
