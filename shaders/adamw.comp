#version 450
#extension GL_GOOGLE_include_directive : require
// AdamW with clipping, and the average of the weights, in one pass over p, m, v, ema. A norm that is not finite changes nothing.
// SCALED: the gradients are multiplied with unscale first, and norm is that of the product.
#include "common.glsl"
UPDATE(0, p) UPDATE(1, m) UPDATE(2, v) UPDATE(3, ema) READ(4, g) READ(5, norm) READ(6, hyper) READ(7, scalars) READ(8, unscale)
SPEC(1, SCALED)
void main() {
	float size = norm(0);
	if ((floatBitsToUint(size) & 0x7f800000u) == 0x7f800000u) return;
	float clip = hyper(6) > 0.0 ? min(1.0, hyper(6) / (size + 1e-6)) : 1.0;
	if (SCALED != 0) clip *= unscale(0);
	float b1 = hyper(2), b2 = hyper(3), eps = hyper(4), rate = scalars(0), keep = 1.0 - rate * hyper(5);
	float step1 = rate / scalars(1), root2 = 1.0 / sqrt(scalars(2)), blend = 1.0 - scalars(3);
	EACH(i, push.arg[0]) {
		float d = g(i) * clip;
		float mi = b1 * m(i) + (1.0 - b1) * d;
		float vi = b2 * v(i) + (1.0 - b2) * d * d;
		float pi = p(i) * keep - step1 * mi / (sqrt(vi) * root2 + eps);
		p(i, pi);
		m(i, mi);
		v(i, vi);
		ema(i, ema(i) + blend * (pi - ema(i)));
	}
}
