#version 450
#extension GL_GOOGLE_include_directive : require
// dgamma[c] and dbeta[c] from the parts, in order. arg: C, images times chunks.
#include "common.glsl"
SPEC(1, C)
READ(0, part) WRITE(1, dgamma) WRITE(2, dbeta)
void main() {
	EACH(c, push.arg[0]) {
		float dg = 0.0, db = 0.0;
		for (uint k = 0; k < push.arg[1]; k++) {
			db += part((k * C + c) * 2);
			dg += part((k * C + c) * 2 + 1);
		}
		dgamma(c, dg);
		dbeta(c, db);
	}
}
