#version 450
#extension GL_GOOGLE_include_directive : require
// y = max(x, 0), n elements.
#include "common.glsl"
READ_ANY(0, x) WRITE_ANY(1, y)
void main() { EACH(i, push.arg[0]) y(i, max(x(i), 0.0)); }
