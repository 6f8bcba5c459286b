#version 450
#extension GL_GOOGLE_include_directive : require
// y[n] = images[index[n]]/127.5 - 1, mirrored for half of the samples if FLIP. W pixels of C a row, PER elements an image.
// The shader sees a part of the set, bytes arg 1, 2 (low, high) and arg 3 of them, and writes what comes from there; push.at[1] is the
// byte of its first word where the part begins. arg 0: elements.
#include "common.glsl"
#include "rng.glsl"
#include "wide.glsl"
SPEC(1, PER) SPEC(2, W) SPEC(3, C) SPEC(4, FLIP)
layout(set = 0, binding = 1, std430) readonly buffer Images { uint images[]; };
READ_AS(2, index, uint) WRITE(3, y)
void main() {
	EACH(i, push.arg[0]) {
		uint n = i / PER, e = i % PER;
		if (FLIP != 0 && block(streamFlip, 0, FIRST + n).x >> 31 == 1) {
			uint c = e % C, w = e / C % W;
			e = e - w * C + (W - 1 - w) * C;
		}
		uvec2 from = wideAdd(wideMul(uvec2(index(n), 0), PER), e);
		uint borrow, low = usubBorrow(from.x, push.arg[1], borrow), high = from.y - push.arg[2] - borrow;
		if (high != 0 || low >= push.arg[3]) continue;
		low += push.at[1];
		uint byte = images[low >> 2] >> (8 * (low & 3)) & 255;
		y(i, float(byte) * (1.0 / 127.5) - 1.0);
	}
}
