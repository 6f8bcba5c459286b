#version 450
#extension GL_GOOGLE_include_directive : require
// y = x (1 + scale) + shift; st[n] is C scales, then C shifts.
#include "common.glsl"
SPEC(1, PER) SPEC(2, C)
READ_ANY(0, x) READ_ANY(1, st) WRITE_ANY(2, y)
void main() {
	EACH(i, push.arg[0]) {
		uint row = i / PER * 2 * C + i % C;
		y(i, x(i) * (1.0 + st(row)) + st(row + C));
	}
}
