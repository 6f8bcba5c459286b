#version 450
#extension GL_GOOGLE_include_directive : require
// dx = dy silu'(x), n elements.
#include "common.glsl"
READ_ANY(0, x) READ_ANY(1, dy) WRITE_ANY(2, dx)
void main() { EACH(i, push.arg[0]) dx(i, dy(i) * siluPrime(x(i))); }
