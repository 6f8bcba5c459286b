#version 450
#extension GL_GOOGLE_include_directive : require
// A convolution's data gradient on cooperative matrices.
#include "matrix.glsl"
#include "conv2d_data.glsl"
