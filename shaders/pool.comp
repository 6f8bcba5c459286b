#version 450
#extension GL_GOOGLE_include_directive : require
// The maximum (MAXIMUM), or the mean, of K x K pixels every STRIDE pixels of x: [N,H,W,C]; PAD pixels around the image are nothing.
// y: [N,OH,OW,C]. arg: elements of y.
#include "common.glsl"
SPEC(1, H) SPEC(2, W) SPEC(3, C) SPEC(4, OH) SPEC(5, OW) SPEC(6, K) SPEC(7, STRIDE) SPEC(8, PAD) SPEC(9, MAXIMUM)
READ_ANY(0, x) WRITE_ANY(1, y)
void main() {
	EACH(i, push.arg[0]) {
		uint c = i % C, ow = i / C % OW, oh = i / (C * OW) % OH, n = i / (C * OW * OH);
		int top = int(oh * STRIDE) - int(PAD), left = int(ow * STRIDE) - int(PAD);
		float best = uintBitsToFloat(0xff7fffffu), sum = 0.0, count = 0.0;
		for (int h = max(top, 0); h < min(top + int(K), int(H)); h++) {
			for (int w = max(left, 0); w < min(left + int(K), int(W)); w++) {
				float v = x(((n * H + h) * W + w) * C + c);
				best = max(best, v);
				sum += v;
				count += 1.0;
			}
		}
		y(i, MAXIMUM != 0 ? best : sum / count);
	}
}
