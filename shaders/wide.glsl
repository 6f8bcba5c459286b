// Unsigned integers of 64 bits as uvec2(low, high), for devices that have none.

uvec2 wideAdd(uvec2 a, uint b) {
	uint carry;
	uint low = uaddCarry(a.x, b, carry);
	return uvec2(low, a.y + carry);
}

uvec2 wideMul(uvec2 a, uint b) {
	uint high, low;
	umulExtended(a.x, b, high, low);
	return uvec2(low, high + a.y * b);
}

// wideDivide returns a / d and leaves the remainder in rest.
uvec2 wideDivide(uvec2 a, uint d, out uint rest) {
	uvec2 q = uvec2(0);
	uint r = 0;
	for (int i = 63; i >= 0; i--) {
		uint word = i >= 32 ? a.y : a.x, top = r >> 31;
		r = r << 1 | (word >> (i & 31) & 1);
		if (top != 0 || r >= d) {
			r -= d;
			if (i >= 32) q.y |= 1u << (i & 31); else q.x |= 1u << i;
		}
	}
	rest = r;
	return q;
}
