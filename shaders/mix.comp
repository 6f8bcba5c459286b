#version 450
#extension GL_GOOGLE_include_directive : require
// z[n] = a[t[n]] x[n] + b[t[n]] y[n], PER elements an image.
#include "common.glsl"
SPEC(1, PER)
READ(0, x) READ(1, y) READ(2, a) READ(3, b) READ_AS(4, t, uint) WRITE(5, z)
void main() {
	EACH(i, push.arg[0]) {
		uint k = t(i / PER);
		z(i, a(k) * x(i) + b(k) * y(i));
	}
}
