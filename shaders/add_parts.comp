#version 450
#extension GL_GOOGLE_include_directive : require
// y[i] = bias[i % COLUMNS] + sum over parts of part[k,i], in order. arg: elements, parts.
#include "common.glsl"
SPEC(1, COLUMNS) SPEC(2, BIAS)
READ(0, part) READ(1, bias) WRITE_ANY(2, y)
void main() {
	uint n = push.arg[0];
	EACH(i, n) {
		float sum = BIAS != 0 ? bias(i % COLUMNS) : 0.0;
		for (uint k = 0; k < push.arg[1]; k++) sum += part(k * n + i);
		y(i, sum);
	}
}
