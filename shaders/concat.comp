#version 450
#extension GL_GOOGLE_include_directive : require
// y[p] = a[p] then b[p]: A and B channels a pixel.
#include "common.glsl"
SPEC(1, A) SPEC(2, B)
READ_ANY(0, a) READ_ANY(1, b) WRITE_ANY(2, y)
void main() {
	EACH(i, push.arg[0]) {
		uint p = i / (A + B), c = i % (A + B);
		if (c < A) y(i, a(p * A + c)); else y(i, b(p * B + c - A));
	}
}
