#version 450
#extension GL_GOOGLE_include_directive : require
// A convolution's weight gradient on cooperative matrices.
#define A_BY_COLUMN
#include "matrix.glsl"
#include "conv2d_weight.glsl"
