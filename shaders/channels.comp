#version 450
#extension GL_GOOGLE_include_directive : require
// y[p] = N channels of the C of x[p], the first of them FROM.
#include "common.glsl"
SPEC(1, N) SPEC(2, C) SPEC(3, FROM)
READ_ANY(0, x) WRITE_ANY(1, y)
void main() { EACH(i, push.arg[0]) y(i, x(i / N * C + FROM + i % N)); }
