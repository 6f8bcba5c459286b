// The elementary functions of backend/rng, bit for bit, and some that lose nothing near their zeros. Those of GLSL are coarser.

float logf(float x) {
	uint ix = floatBitsToUint(x) - 0x3f3504f3u;
	precise float e = float(int(ix) >> 23);
	precise float f = uintBitsToFloat((ix & 0x007fffffu) + 0x3f3504f3u) - 1.0;
	precise float p = 7.0376836292e-2;
	p = p * f - 1.1514610310e-1;
	p = p * f + 1.1676998740e-1;
	p = p * f - 1.2420140846e-1;
	p = p * f + 1.4249322787e-1;
	p = p * f - 1.6668057665e-1;
	p = p * f + 2.0000714765e-1;
	p = p * f - 2.4999993993e-1;
	p = p * f + 3.3333331174e-1;
	precise float z = f * f;
	precise float y = p * f * z;
	y = y + e * -2.12194440e-4;
	y = y - 0.5 * z;
	precise float r = e * 0.693359375 + (f + y);
	return r;
}

float sqrtf(float x) {
	precise float r = uintBitsToFloat(0x5f3759dfu - (floatBitsToUint(x) >> 1));
	precise float h = 0.5 * x;
	r = r * (1.5 - h * r * r);
	r = r * (1.5 - h * r * r);
	precise float y = x * r;
	precise float root = y + 0.5 * r * (x - y * y);
	return root;
}

// sincosTurn is sin and cos of 2 pi m / 2^24.
vec2 sincosTurn(uint m) {
	uint q = (m + (1u << 21)) >> 22;
	precise float x = float(int(m - (q << 22))) * uintBitsToFloat(0x34800000u); // 2^-22
	precise float s = x * x;
	precise float p = -0.004602149128913879;
	p = p * s + 0.07968021929264069;
	p = p * s - 0.6459634900093079;
	p = p * s - 4.8553051357203e-08;
	precise float sn = x * 1.5707963705062866 + x * p;
	precise float c = 0.0009067399078048766;
	c = c * s - 0.02086152881383896;
	c = c * s + 0.253669410943985;
	c = c * s - 1.2337005138397217;
	precise float cs = 1.0 + s * c;
	vec2 r = (q & 1) != 0 ? vec2(cs, -sn) : vec2(sn, cs);
	return (q & 2) != 0 ? -r : r;
}

// expm1 is e^x - 1.
float expm1(float x) {
	if (abs(x) > 0.5) return exp(x) - 1.0;
	return x * (1.0 + x / 2.0 * (1.0 + x / 3.0 * (1.0 + x / 4.0 * (1.0 + x / 5.0 * (1.0 + x / 6.0 * (1.0 + x / 7.0 * (1.0 + x / 8.0)))))));
}

// log1p is ln(1 + x), by what rounding made of 1 + x (Kahan).
float log1p(float x) {
	precise float u = 1.0 + x;
	precise float d = u - 1.0;
	return d == 0.0 ? x : logf(u) * (x / d);
}
