// What K parameters say of a value (the op nll): its loss, and the slopes. KIND is backend.LikelihoodKind; COUNT is the mixture's
// components. The parameters p of value i begin at i * K.
#include "elementary.glsl"

const uint squared = 0, absolute = 1, mixture = 2, categorical = 3;
const float halfLevel = 1.0 / 255.0, ln2 = 0.69314718056, minLogScale = -7.0;

float p(uint i);

// part is the logarithm of a logistic's mass on the level of q, and its slopes in mean and log scale.
vec3 part(float q, float mean, float logScale) {
	float inv = exp(-max(logScale, minLogScale));
	float a = ((q - mean) + halfLevel) * inv, b = ((q - mean) - halfLevel) * inv, width = 2.0 * halfLevel * inv;
	float ea = exp(-abs(a)), eb = exp(-abs(b));
	float sa = a < 0.0 ? 1.0 / (1.0 + ea) : ea / (1.0 + ea); // sigma(-a)
	float sb = b > 0.0 ? 1.0 / (1.0 + eb) : eb / (1.0 + eb); // sigma(b)
	vec3 r;
	if (q < -1.0 + halfLevel) {
		r = vec3(min(a, 0.0) - logf(1.0 + ea), -sa * inv, -a * sa);
	} else if (q > 1.0 - halfLevel) {
		r = vec3(min(-b, 0.0) - logf(1.0 + eb), sb * inv, b * sb);
	} else {
		float mass = -expm1(-width);
		r = vec3(min(a, 0.0) + min(-b, 0.0) + logf(mass / ((1.0 + ea) * (1.0 + eb))), (sb - sa) * inv, b * sb - a * sa - width * (1.0 - mass) / mass);
	}
	if (logScale < minLogScale) r.z = 0.0;
	return r;
}

// A value's sums: the largest and the sum of exponentials of n logits, and of those with the parts' logarithms added.
struct Sums { float top, prior, best, joint; };

Sums sumsOf(uint at, uint n, float q, bool parts) {
	Sums s = Sums(p(at), 0.0, 0.0, 0.0);
	for (uint k = 1; k < n; k++) s.top = max(s.top, p(at + k));
	for (uint k = 0; k < n; k++) {
		float e = p(at + k) - s.top;
		s.prior += exp(e);
		if (!parts) continue;
		e += part(q, p(at + n + k), p(at + 2 * n + k)).x;
		if (k == 0 || e > s.best) {
			s.joint = k == 0 ? 0.0 : s.joint * exp(s.best - e);
			s.best = e;
		}
		s.joint += exp(e - s.best);
	}
	return s;
}

uint levelOf(float q) { return uint(clamp(round((q + 1.0) * 127.5), 0.0, 255.0)); }

float lossOf(uint i, float q) {
	if (KIND == squared) return (p(i) - q) * (p(i) - q);
	if (KIND == absolute) return abs(p(i) - q);
	uint n = KIND == mixture ? COUNT : 256, at = i * (KIND == mixture ? 3 * COUNT : 256);
	Sums s = sumsOf(at, n, q, KIND == mixture);
	if (KIND == mixture) return (logf(s.prior) - s.best - logf(s.joint)) / ln2;
	return (logf(s.prior) + s.top - p(at + levelOf(q))) / ln2;
}
