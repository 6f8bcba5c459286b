#version 450
#extension GL_GOOGLE_include_directive : require
// y[n] = images[index[n]]/127.5 - 1, mirrored for half of the samples if FLIP, shifted by up to CROP pixels
// either way, what comes in being the mirror image of what is inside. W pixels of C a row, PER elements an image.
// The shader sees a part of the set, bytes arg 1, 2 (low, high) and arg 3 of them, and writes what comes from there; push.at[1] is the
// byte of its first word where the part begins. arg 0: elements.
#include "common.glsl"
#include "rng.glsl"
#include "wide.glsl"
SPEC(1, PER) SPEC(2, W) SPEC(3, C) SPEC(4, FLIP) SPEC(5, CROP)
layout(set = 0, binding = 1, std430) readonly buffer Images { uint images[]; };
READ_AS(2, index, uint) WRITE(3, y)

uint reflect_(int i, uint n) {
	i = abs(i);
	return uint(i < int(n) ? i : 2 * int(n) - 2 - i);
}

void main() {
	EACH(i, push.arg[0]) {
		uint n = i / PER, e = i % PER, c = e % C;
		int w = int(e / C % W), h = int(e / (C * W));
		if (FLIP != 0 && block(streamFlip, 0, FIRST + n).x >> 31 == 1) w = int(W) - 1 - w;
		if (CROP > 0) {
			uvec4 draw = block(streamCrop, 0, FIRST + n);
			h += int(below(draw.x, 2 * CROP + 1)) - int(CROP);
			w += int(below(draw.y, 2 * CROP + 1)) - int(CROP);
		}
		e = (reflect_(h, PER / (C * W)) * W + reflect_(w, W)) * C + c;
		uvec2 from = wideAdd(wideMul(uvec2(index(n), 0), PER), e);
		uint borrow, low = usubBorrow(from.x, push.arg[1], borrow), high = from.y - push.arg[2] - borrow;
		if (high != 0 || low >= push.arg[3]) continue;
		low += push.at[1];
		uint byte = images[low >> 2] >> (8 * (low & 3)) & 255;
		y(i, float(byte) * (1.0 / 127.5) - 1.0);
	}
}
