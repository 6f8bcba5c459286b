#version 450
#extension GL_GOOGLE_include_directive : require
// Timesteps 0..limit-1. arg: N, limit.
#include "common.glsl"
#include "rng.glsl"
WRITE_AS(1, t, uint)
void main() { EACH(n, push.arg[0]) t(n, below(block(streamTimestep, 0, FIRST + n).x, push.arg[1])); }
