#version 450
#extension GL_GOOGLE_include_directive : require
// Every pixel becomes 2x2, times a factor. W and C are those of the large image y.
#include "common.glsl"
SPEC(1, W) SPEC(2, C)
READ_ANY(0, x) WRITE_ANY(1, y)
void main() {
	EACH(i, push.arg[0]) {
		uint c = i % C, w = i / C % W, row = i / (C * W); // row counts through all images: their heights are even
		y(i, argf(1) * x((row / 2 * (W / 2) + w / 2) * C + c));
	}
}
