#version 450
#extension GL_GOOGLE_include_directive : require
// The loss scale after a step of gradient norm norm: halved if that is not finite, doubled after arg 0 good steps, up to arg 1.
// state is scale, inverse, good steps, skipped steps; taken counts good steps.
#include "common.glsl"
UPDATE(0, state) UPDATE_AS(1, taken, uint) READ(2, norm) WRITE(3, copied)
void main() {
	if (gl_GlobalInvocationID.x != 0) return;
	float scale = state(0), good = state(2), skipped = state(3);
	if ((floatBitsToUint(norm(0)) & 0x7f800000u) == 0x7f800000u) {
		scale *= 0.5;
		good = 0.0;
		skipped += 1.0;
	} else {
		uint low = taken(0) + 1;
		taken(0, low);
		if (low == 0) taken(1, taken(1) + 1);
		good += 1.0;
		if (good >= float(push.arg[0])) {
			scale = min(2.0 * scale, argf(1));
			good = 0.0;
		}
	}
	float all[4] = float[](scale, uintBitsToFloat(0x7f000000u - floatBitsToUint(scale)), good, skipped); // 1 / a power of two, to the bit
	for (uint i = 0; i < 4; i++) {
		state(i, all[i]);
		copied(i, all[i]);
	}
}
