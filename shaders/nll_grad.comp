#version 450
#extension GL_GOOGLE_include_directive : require
// dp = slopes of l, times w over the sum of w, over N, times dloss; a value an invocation. arg: values, N.
#include "common.glsl"
SPEC(1, SIZE) SPEC(2, KIND) SPEC(3, COUNT)
READ_ANY(0, p) READ(1, q) READ(2, w) READ(3, dloss) READ(4, sums) WRITE_ANY(5, dp)
#include "likelihood.glsl"
void main() {
	EACH(i, push.arg[0]) {
		const uint n = KIND == mixture ? 3 * COUNT : KIND == categorical ? 256 : 1;
		uint at = i * n;
		float f = w(i), v = q(i);
		if (f == 0.0) {
			for (uint k = 0; k < n; k++) dp(at + k, 0.0);
			continue;
		}
		f *= dloss(0) / (sums(i / SIZE) * float(push.arg[1]));
		if (KIND == squared) {
			dp(at, 2.0 * f * (p(at) - v));
		} else if (KIND == absolute) {
			dp(at, f * sign(p(at) - v));
		} else if (KIND == categorical) {
			Sums s = sumsOf(at, 256, v, false);
			uint level = levelOf(v);
			for (uint k = 0; k < 256; k++) dp(at + k, f / ln2 * (exp(p(at + k) - s.top) / s.prior - (k == level ? 1.0 : 0.0)));
		} else {
			Sums s = sumsOf(at, COUNT, v, true);
			for (uint k = 0; k < COUNT; k++) {
				vec3 l = part(v, p(at + COUNT + k), p(at + 2 * COUNT + k));
				float e = p(at + k) - s.top, r = exp(e + l.x - s.best) / s.joint;
				dp(at + k, f / ln2 * (exp(e) / s.prior - r));
				dp(at + COUNT + k, -f / ln2 * r * l.y);
				dp(at + 2 * COUNT + k, -f / ln2 * r * l.z);
			}
		}
	}
}
