#version 450
#extension GL_GOOGLE_include_directive : require
// dx = dy (1 + scale), the elementwise part of the gradient of modulate.
#include "common.glsl"
SPEC(1, PER) SPEC(2, C)
READ_ANY(0, st) READ_ANY(1, dy) WRITE_ANY(2, dx)
void main() { EACH(i, push.arg[0]) dx(i, dy(i) * (1.0 + st(i / PER * 2 * C + i % C))); }
