#version 450
#extension GL_GOOGLE_include_directive : require
// y[n,p,c] = x[n,p,c] + r[n,c] over PER = pixels C elements an image.
#include "common.glsl"
SPEC(1, PER) SPEC(2, C)
READ_ANY(0, x) READ_ANY(1, r) WRITE_ANY(2, y)
void main() { EACH(i, push.arg[0]) y(i, x(i) + r(i / PER * C + i % C)); }
