#version 450
#extension GL_GOOGLE_include_directive : require
// A convolution in fp32.
#include "common.glsl"
#include "gemm.glsl"
#include "conv2d.glsl"
