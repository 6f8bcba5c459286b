#version 450
#extension GL_GOOGLE_include_directive : require
// y = A x + B, n elements.
#include "common.glsl"
READ_ANY(0, x) WRITE_ANY(1, y)
void main() { EACH(i, push.arg[0]) y(i, argf(1) * x(i) + argf(2)); }
