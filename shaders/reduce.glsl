// Sums in a fixed order. The workgroup's size is a power of two.
shared float sumParts[gl_WorkGroupSize.x];

// total adds up v over the workgroup; all of it must call.
float total(float v) {
	uint t = gl_LocalInvocationIndex;
	barrier();
	sumParts[t] = v;
	for (uint half_ = gl_WorkGroupSize.x / 2; half_ > 0; half_ /= 2) {
		barrier();
		if (t < half_) sumParts[t] += sumParts[t + half_];
	}
	barrier();
	return sumParts[0];
}

// A workgroup that sums columns: LANES channels side by side, ROWS of invocations below each other.
const uint LANES = 32;
#define ROWS (gl_WorkGroupSize.x / LANES)
#define LANE (gl_LocalInvocationIndex % LANES)
#define ROW (gl_LocalInvocationIndex / LANES)

// column adds up v over the rows of a lane.
float column(float v) {
	uint t = gl_LocalInvocationIndex;
	barrier();
	sumParts[t] = v;
	for (uint half_ = ROWS / 2; half_ > 0; half_ /= 2) {
		barrier();
		if (ROW < half_) sumParts[t] += sumParts[t + half_ * LANES];
	}
	barrier();
	return sumParts[LANE];
}
