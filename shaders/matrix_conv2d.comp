#version 450
#extension GL_GOOGLE_include_directive : require
// A convolution on cooperative matrices.
#define B_BY_COLUMN
#include "matrix.glsl"
#include "conv2d.glsl"
