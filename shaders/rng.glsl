// Philox 4x32-10 and what backend/rng makes of it, bit for bit: only +, -, * and integers, and `precise`, so that no compiler fuses
// or reorders anything. Every number comes with its counterpart there.

#include "elementary.glsl"

// The words of the control buffer (backend/attrs.go).
READ_AS(0, control, uint)
#define STEP uvec2(control(0), control(1))
#define SEED uvec2(control(2), control(3))
#define FIRST control(4)

const uint streamTimestep = 1, streamFlip = 3, streamOrder = 4, streamDropout = 8, streamCrop = 9;

uvec4 philox(uvec4 c, uvec2 k) {
	for (int i = 0; i < 10; i++) {
		uint hi0, lo0, hi1, lo1;
		umulExtended(0xD2511F53u, c.x, hi0, lo0);
		umulExtended(0xCD9E8D57u, c.z, hi1, lo1);
		c = uvec4(hi1 ^ c.y ^ k.x, lo1, hi0 ^ c.w ^ k.y, lo0);
		k += uvec2(0x9E3779B9u, 0xBB67AE85u);
	}
	return c;
}

uvec2 philoxKey(uint stream) { return uvec2(SEED.x, SEED.y ^ stream * 0x9E3779B9u); }

// block is the words of elements 4 i .. 4 i + 3 of a sample at this step.
uvec4 block(uint stream, uint i, uint sample_) { return philox(uvec4(i, sample_, STEP), philoxKey(stream)); }

uint below(uint u, uint n) {
	uint hi, lo;
	umulExtended(u, n, hi, lo);
	return hi;
}

float uniform_(uint u) {
	precise float f = float(u >> 9 << 1 | 1) * uintBitsToFloat(0x33800000u); // 2^-24
	return f;
}

vec2 boxMuller(uint w0, uint w1) {
	precise float minusTwoLog = -2.0 * logf(uniform_(w0));
	float r = sqrtf(minusTwoLog);
	vec2 sc = sincosTurn(w1 >> 9 << 1 | 1);
	precise float a = r * sc.y;
	precise float b = r * sc.x;
	return vec2(a, b);
}

vec4 normals(uint stream, uint i, uint sample_) {
	uvec4 w = block(stream, i, sample_);
	return vec4(boxMuller(w.x, w.y), boxMuller(w.z, w.w));
}
