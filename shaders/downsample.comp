#version 450
#extension GL_GOOGLE_include_directive : require
// The sum of 2x2 pixels, times a factor. W and C are those of the small image y.
#include "common.glsl"
SPEC(1, W) SPEC(2, C)
READ_ANY(0, x) WRITE_ANY(1, y)
void main() {
	EACH(i, push.arg[0]) {
		uint c = i % C, w = i / C % W, row = i / (C * W);
		uint at = (4 * row * W + 2 * w) * C + c; // the first of two rows of 2 W pixels
		y(i, argf(1) * (x(at) + x(at + C) + x(at + 2 * W * C) + x(at + (2 * W + 1) * C)));
	}
}
