#version 450
#extension GL_GOOGLE_include_directive : require
// dtable[r] = sum of dy[n] over the n with index[n] = r, in order. arg: elements of dtable, N.
#include "common.glsl"
SPEC(1, C)
READ_AS(0, index, uint) READ_ANY(1, dy) WRITE(2, dtable)
void main() {
	EACH(i, push.arg[0]) {
		float sum = 0.0;
		for (uint n = 0; n < push.arg[1]; n++) if (index(n) == i / C) sum += dy(n * C + i % C);
		dtable(i, sum);
	}
}
