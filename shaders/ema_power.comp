#version 450
#extension GL_GOOGLE_include_directive : require
// ema = ema + rate (p - ema), rate = 1 - (1 - 1/t)^(gamma + 1) at step t; a norm that is not finite changes nothing. arg: n, gamma.
#include "common.glsl"
#include "rng.glsl"
UPDATE(1, ema) READ(2, p) READ(3, norm)
void main() {
	if ((floatBitsToUint(norm(0)) & 0x7f800000u) == 0x7f800000u) return;
	float t = float(control(1)) * 4294967296.0 + float(control(0)) + 1.0;
	float rate = t > 1.0 ? -expm1((argf(1) + 1.0) * log1p(-1.0 / t)) : 1.0;
	EACH(i, push.arg[0]) ema(i, ema(i) + rate * (p(i) - ema(i)));
}
