// What every shader begins with: push constants, and buffers as functions of an element's index.
//
// A tensor is READ(binding, name) or WRITE(binding, name), or READ_ANY or WRITE_ANY if it may hold halfs: name(i) is element i, name(i, v) writes it. push.at[binding] is where
// element 0 lies in what the shader sees of the buffer. Constant 0 is the workgroup's size; a shader's own begin at 1.
layout(local_size_x_id = 0) in;

layout(push_constant, std430) uniform Push {
	uint at[16];
	uint arg[16];
} push;

#define READ_AS(b, name, type) \
	layout(set = 0, binding = b, std430) readonly buffer name##Buffer { type name##Data[]; }; \
	type name(uint i) { return name##Data[push.at[b] + i]; }
#define WRITE_AS(b, name, type) \
	layout(set = 0, binding = b, std430) writeonly buffer name##Buffer { type name##Data[]; }; \
	void name(uint i, type v) { name##Data[push.at[b] + i] = v; }
#define UPDATE_AS(b, name, type) \
	layout(set = 0, binding = b, std430) buffer name##Buffer { type name##Data[]; }; \
	type name(uint i) { return name##Data[push.at[b] + i]; } \
	void name(uint i, type v) { name##Data[push.at[b] + i] = v; }
#define READ(b, name) READ_AS(b, name, float)
#define WRITE(b, name) WRITE_AS(b, name, float)
#define UPDATE(b, name) UPDATE_AS(b, name, float)

// READ_ANY and WRITE_ANY are for activations and their gradients: floats, or, in a shader's second variant (-DHALF, name.half.spv), halfs in
// the bindings whose bit is set in constant 31. The buffer is declared as both, and what is not used falls away when the pipeline is made.
#ifdef HALF
#extension GL_EXT_shader_16bit_storage : require
layout(constant_id = 31) const uint HALVES = 0;
#define IS_HALF(b) ((HALVES >> b & 1u) != 0)
#define READ_ANY(b, name) \
	layout(set = 0, binding = b, std430) readonly buffer name##Buffer { float name##Data[]; }; \
	layout(set = 0, binding = b, std430) readonly buffer name##HalfBuffer { float16_t name##HalfData[]; }; \
	float name(uint i) { if (IS_HALF(b)) return float(name##HalfData[push.at[b] + i]); return name##Data[push.at[b] + i]; }
#define WRITE_ANY(b, name) \
	layout(set = 0, binding = b, std430) writeonly buffer name##Buffer { float name##Data[]; }; \
	layout(set = 0, binding = b, std430) writeonly buffer name##HalfBuffer { float16_t name##HalfData[]; }; \
	void name(uint i, float v) { if (IS_HALF(b)) name##HalfData[push.at[b] + i] = float16_t(v); else name##Data[push.at[b] + i] = v; }
#else
#define READ_ANY(b, name) READ(b, name)
#define WRITE_ANY(b, name) WRITE(b, name)
#endif

#define SPEC(id, name) layout(constant_id = id) const uint name = 1;

// EACH goes over 0..n-1, spread over all invocations.
#define EACH(i, n) for (uint i = gl_GlobalInvocationID.x; i < (n); i += gl_NumWorkGroups.x * gl_WorkGroupSize.x)

float argf(uint i) { return uintBitsToFloat(push.arg[i]); }

float sigmoid(float v) { return 1.0 / (1.0 + exp(-v)); }
float siluPrime(float v) { float s = sigmoid(v); return s * (1.0 + v * (1.0 - s)); }
