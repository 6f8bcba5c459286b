#version 450
#extension GL_GOOGLE_include_directive : require
// y[n] = table[index[n]], rows of C.
#include "common.glsl"
SPEC(1, C)
READ(0, table) READ_AS(1, index, uint) WRITE(2, y)
void main() { EACH(i, push.arg[0]) y(i, table(index(i / C) * C + i % C)); }
