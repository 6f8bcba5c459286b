#version 450
#extension GL_GOOGLE_include_directive : require
// y = a b, n elements.
#include "common.glsl"
READ_ANY(0, a) READ_ANY(1, b) WRITE_ANY(2, y)
void main() { EACH(i, push.arg[0]) y(i, a(i) * b(i)); }
