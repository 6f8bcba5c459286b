#version 450
#extension GL_GOOGLE_include_directive : require
// dp = 2 (p - q) / elements * dloss; arg 1 is 2 / elements.
#include "common.glsl"
READ_ANY(0, p) READ_ANY(1, q) READ(2, dloss) WRITE_ANY(3, dp)
void main() {
	float k = argf(1) * dloss(0);
	EACH(i, push.arg[0]) dp(i, k * (p(i) - q(i)));
}
