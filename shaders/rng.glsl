// Philox 4x32-10 and what backend/rng makes of it, bit for bit: only +, -, * and integers, and `precise`, so that no compiler fuses
// or reorders anything. Every number comes with its counterpart there.

// The words of the control buffer (backend/attrs.go).
READ_AS(0, control, uint)
#define STEP uvec2(control(0), control(1))
#define SEED uvec2(control(2), control(3))
#define FIRST control(4)

const uint streamTimestep = 1, streamNoise = 2, streamFlip = 3, streamOrder = 4;

uvec4 philox(uvec4 c, uvec2 k) {
	for (int i = 0; i < 10; i++) {
		uint hi0, lo0, hi1, lo1;
		umulExtended(0xD2511F53u, c.x, hi0, lo0);
		umulExtended(0xCD9E8D57u, c.z, hi1, lo1);
		c = uvec4(hi1 ^ c.y ^ k.x, lo1, hi0 ^ c.w ^ k.y, lo0);
		k += uvec2(0x9E3779B9u, 0xBB67AE85u);
	}
	return c;
}

uvec2 philoxKey(uint stream) { return uvec2(SEED.x, SEED.y ^ stream * 0x9E3779B9u); }

// block is the words of elements 4 i .. 4 i + 3 of a sample at this step.
uvec4 block(uint stream, uint i, uint sample_) { return philox(uvec4(i, sample_, STEP), philoxKey(stream)); }

uint below(uint u, uint n) {
	uint hi, lo;
	umulExtended(u, n, hi, lo);
	return hi;
}

float uniform_(uint u) {
	precise float f = float(u >> 9 << 1 | 1) * uintBitsToFloat(0x33800000u); // 2^-24
	return f;
}

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

vec2 boxMuller(uint w0, uint w1) {
	precise float minusTwoLog = -2.0 * logf(uniform_(w0));
	float r = sqrtf(minusTwoLog);
	vec2 sc = sincosTurn(w1 >> 9 << 1 | 1);
	precise float a = r * sc.y;
	precise float b = r * sc.x;
	return vec2(a, b);
}

vec4 normals(uint stream, uint i, uint sample_) {
	uvec4 w = block(stream, i, sample_);
	return vec4(boxMuller(w.x, w.y), boxMuller(w.z, w.w));
}
