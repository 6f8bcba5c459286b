#version 450
#extension GL_GOOGLE_include_directive : require
// The step counter goes up by one.
#include "common.glsl"
UPDATE_AS(0, control, uint)
void main() {
	if (gl_GlobalInvocationID.x != 0) return;
	uint low = control(0) + 1;
	control(0, low);
	if (low == 0) control(1, control(1) + 1);
}
