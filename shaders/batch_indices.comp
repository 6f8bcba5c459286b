#version 450
#extension GL_GOOGLE_include_directive : require
// Images of the batch: positions in an endless row of epochs, each a permutation of the set. arg: N, images in the set, batch.
#include "common.glsl"
#include "rng.glsl"
#include "wide.glsl"
WRITE_AS(1, index, uint)

// permute is where i goes in the epoch's permutation of 0..n-1: a Feistel network, walked until inside.
uint permute(uint i, uint n, uvec2 epoch) {
	if (n <= 1) return 0;
	uint h = (findMSB(n - 1) + 2) / 2, mask = (1u << h) - 1;
	uvec2 key = philoxKey(streamOrder);
	do {
		uint l = i >> h, r = i & mask;
		for (uint round_ = 0; round_ < 8; round_++) {
			uint next = l ^ (philox(uvec4(r, round_, epoch), key).x & mask);
			l = r;
			r = next;
		}
		i = l << h | r;
	} while (i >= n);
	return i;
}

void main() {
	EACH(n, push.arg[0]) {
		uvec2 at = wideAdd(wideAdd(wideMul(STEP, push.arg[2]), FIRST), n);
		uint place;
		uvec2 epoch = wideDivide(at, push.arg[1], place);
		index(n, permute(place, push.arg[1], epoch));
	}
}
