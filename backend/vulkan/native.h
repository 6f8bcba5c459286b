// What the binding lacks or cannot do safely, in C: opening the library, chains of structures (everything after Vulkan 1.0), calls
// that take arrays of structures (the binding lets its copies go while the call may still read them), and the messages of the
// validation layer. Structures are declared here as the specification lays them out, since the binding's headers are not on the
// include path of another package.
#ifndef DDPM_VULKAN_NATIVE_H
#define DDPM_VULKAN_NATIVE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <dlfcn.h>
#include <pthread.h>
#endif

typedef void (*nFn)(void);
typedef nFn (*nGetProc)(void *instance, const char *name);
typedef uint64_t nHandle; // a non-dispatchable handle

// ---- the library

// nOpen opens a Vulkan loader and returns its vkGetInstanceProcAddr, or null.
static void *nOpen(const char *name) {
#ifdef _WIN32
	HMODULE lib = LoadLibraryA(name);
	return lib ? (void *)GetProcAddress(lib, "vkGetInstanceProcAddr") : NULL;
#else
	void *lib = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	return lib ? dlsym(lib, "vkGetInstanceProcAddr") : NULL;
#endif
}

// nNames fills text with the names of the instance's extensions, of its layers, or of a device's extensions, a line each.
static void nNames(void *getProc, void *instance, void *device, int layers, char *text, size_t room) {
	typedef struct { char name[256]; uint32_t version; } extension;
	typedef struct { char name[256]; uint32_t version, implementation; char description[256]; } layer;
	nGetProc get = (nGetProc)getProc;
	uint32_t n = 0, size = layers ? sizeof(layer) : sizeof(extension);
	char *list = NULL;
	for (int pass = 0; pass < 2; pass++) {
		if (pass) list = calloc(n ? n : 1, size);
		if (device) ((int32_t(*)(void *, const char *, uint32_t *, void *))get(instance, "vkEnumerateDeviceExtensionProperties"))(device, NULL, &n, list);
		else if (layers) ((int32_t(*)(uint32_t *, void *))get(NULL, "vkEnumerateInstanceLayerProperties"))(&n, list);
		else ((int32_t(*)(const char *, uint32_t *, void *))get(NULL, "vkEnumerateInstanceExtensionProperties"))(NULL, &n, list);
	}
	size_t have = 0;
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strlen(list + i * size);
		if (have + len + 2 > room) break;
		memcpy(text + have, list + i * size, len);
		text[have + len] = '\n';
		have += len + 1;
	}
	text[have] = 0;
	free(list);
}

// nQueueFlags fills what at most n queue families can do, and how many bits their timestamps have.
static uint32_t nQueueFlags(void *getProc, void *instance, void *device, uint32_t n, uint32_t *flags, uint32_t *stampBits) {
	typedef struct { uint32_t flags, count, stampBits, w, h, d; } family;
	family f[16];
	if (n > 16) n = 16;
	((void (*)(void *, uint32_t *, void *))((nGetProc)getProc)(instance, "vkGetPhysicalDeviceQueueFamilyProperties"))(device, &n, f);
	for (uint32_t i = 0; i < n; i++) flags[i] = f[i].flags, stampBits[i] = f[i].stampBits;
	return n;
}

// ---- structures

typedef struct {
	uint32_t sType;
	const void *pNext;
	uint32_t waitCount;
	const void *waits, *waitStages;
	uint32_t commandCount;
	void *const *commands;
	uint32_t signalCount;
	const void *signals;
} nSubmitInfo;

typedef struct {
	uint32_t sType;
	const void *pNext;
	uint32_t srcAccess, dstAccess;
} nMemoryBarrier;

typedef struct { uint64_t src, dst, size; } nBufferCopy;
typedef struct { nHandle buffer; uint64_t offset, range; } nBufferInfo;

typedef struct {
	uint32_t sType;
	const void *pNext;
	nHandle set;
	uint32_t binding, element, count, type;
	const void *images;
	const nBufferInfo *buffers;
	const void *texels;
} nWriteSet;

typedef struct { uint32_t id, offset; size_t size; } nMapEntry;
typedef struct {
	uint32_t count;
	const nMapEntry *entries;
	size_t size;
	const void *data;
} nSpecialization;

typedef struct {
	uint32_t sType;
	const void *pNext;
	uint32_t flags, stage;
	nHandle module;
	const char *name;
	const nSpecialization *specialization;
} nStage;

typedef struct {
	uint32_t sType;
	const void *pNext;
	uint32_t flags;
	nStage stage;
	nHandle layout, base;
	int32_t baseIndex;
} nComputePipeline;

typedef struct {
	uint32_t sType;
	const void *pNext;
	uint32_t flags;
	size_t size;
	const uint32_t *code;
} nShaderModule;

typedef struct {
	uint32_t sType;
	void *pNext;
	uint32_t M, N, K, A, B, C, R, saturating, scope;
} nCooperativeMatrix;

typedef struct {
	uint32_t sType;
	const void *pNext;
	uint32_t flags;
	const char *idName;
	int32_t id;
	const char *message;
} nMessage; // the head of VkDebugUtilsMessengerCallbackDataEXT

typedef struct {
	uint32_t sType;
	const void *pNext;
	uint32_t flags, severity, types;
	void *callback;
	void *user;
} nMessenger;

// ---- functions

static struct {
	void (*Features2)(void *, void *);
	void (*Properties2)(void *, void *);
	void (*Memory2)(void *, void *);
	int32_t (*CooperativeMatrices)(void *, uint32_t *, void *);
	int32_t (*Submit)(void *, uint32_t, const nSubmitInfo *, nHandle);
	void (*Barrier)(void *, uint32_t, uint32_t, uint32_t, uint32_t, const void *, uint32_t, const void *, uint32_t, const void *);
	void (*Copy)(void *, nHandle, nHandle, uint32_t, const void *);
	void (*WriteSets)(void *, uint32_t, const nWriteSet *, uint32_t, const void *);
	int32_t (*Pipelines)(void *, nHandle, uint32_t, const nComputePipeline *, const void *, nHandle *);
	int32_t (*Module)(void *, const nShaderModule *, const void *, nHandle *);
	int32_t (*Messenger)(void *, const nMessenger *, const void *, nHandle *);
} nVk;

// nBind looks the functions up once there is an instance.
static void nBind(void *getProc, void *instance) {
	nGetProc get = (nGetProc)getProc;
#define N_GET(field, name) nVk.field = (void *)get(instance, name)
	N_GET(Features2, "vkGetPhysicalDeviceFeatures2");
	N_GET(Properties2, "vkGetPhysicalDeviceProperties2");
	N_GET(Memory2, "vkGetPhysicalDeviceMemoryProperties2");
	N_GET(CooperativeMatrices, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
	N_GET(Submit, "vkQueueSubmit");
	N_GET(Barrier, "vkCmdPipelineBarrier");
	N_GET(Copy, "vkCmdCopyBuffer");
	N_GET(WriteSets, "vkUpdateDescriptorSets");
	N_GET(Pipelines, "vkCreateComputePipelines");
	N_GET(Module, "vkCreateShaderModule");
	N_GET(Messenger, "vkCreateDebugUtilsMessengerEXT");
#undef N_GET
}

// nLink makes a structure of a chain: its type, the next one, and room for what follows.
static void *nLink(uint32_t sType, size_t payload, void *next) {
	char *p = calloc(1, 16 + payload);
	memcpy(p, &sType, 4);
	memcpy(p + 8, &next, sizeof next);
	return p;
}

static void nFeatures2(void *device, void *chain) { nVk.Features2(device, chain); }
static void nProperties2(void *device, void *chain) { nVk.Properties2(device, chain); }
static void nMemory2(void *device, void *chain) { nVk.Memory2(device, chain); }

// nCooperativeMatrices fills at most n of list and returns how many there are.
static uint32_t nCooperativeMatrices(void *device, uint32_t n, nCooperativeMatrix *list) {
	if (!nVk.CooperativeMatrices) return 0;
	for (uint32_t i = 0; i < n; i++) list[i].sType = 1000506001;
	return nVk.CooperativeMatrices(device, &n, list) < 0 ? 0 : n;
}

static int32_t nSubmit(void *queue, uint32_t n, void *const *commands, nHandle fence) {
	nSubmitInfo info = {.sType = 4, .commandCount = n, .commands = commands};
	return nVk.Submit(queue, 1, &info, fence);
}

static void nBarrier(void *command, uint32_t srcStages, uint32_t dstStages, uint32_t srcAccess, uint32_t dstAccess) {
	nMemoryBarrier b = {.sType = 46, .srcAccess = srcAccess, .dstAccess = dstAccess};
	nVk.Barrier(command, srcStages, dstStages, 0, 1, &b, 0, NULL, 0, NULL);
}

static void nCopy(void *command, nHandle src, nHandle dst, uint64_t from, uint64_t to, uint64_t size) {
	nBufferCopy c = {from, to, size};
	nVk.Copy(command, src, dst, 1, &c);
}

// nWriteStorage points the bindings 0..n-1 of a descriptor set, at most 16, at ranges of storage buffers.
static void nWriteStorage(void *device, nHandle set, uint32_t n, const nBufferInfo *buffers) {
	nWriteSet w[16];
	memset(w, 0, sizeof w);
	for (uint32_t i = 0; i < n; i++)
		w[i] = (nWriteSet){.sType = 35, .set = set, .binding = i, .count = 1, .type = 7, .buffers = &buffers[i]};
	nVk.WriteSets(device, n, w, 0, NULL);
}

static int32_t nCreateModule(void *device, const void *code, size_t size, nHandle *out) {
	nShaderModule m = {.sType = 16, .size = size, .code = code};
	return nVk.Module(device, &m, NULL, out);
}

typedef struct {
	uint32_t sType;
	void *pNext;
	uint32_t size;
} nSubgroupSize;

// nCreatePipeline compiles a compute shader with n specialisation constants (at most 32), ids 0..n-1, of 32 bits each. A subgroup that is
// not 0 is the size that its subgroups must have, all of them full.
static int32_t nCreatePipeline(void *device, nHandle cache, nHandle module, nHandle layout, uint32_t n, const uint32_t *constants, uint32_t subgroup, nHandle *out) {
	nMapEntry e[32];
	for (uint32_t i = 0; i < n; i++) e[i] = (nMapEntry){i, 4 * i, 4};
	nSpecialization s = {n, e, 4 * (size_t)n, constants};
	nComputePipeline p = {.sType = 29, .layout = layout, .baseIndex = -1};
	p.stage = (nStage){.sType = 18, .stage = 0x20, .module = module, .name = "main", .specialization = n ? &s : NULL};
	nSubgroupSize size = {.sType = 1000225001, .size = subgroup};
	if (subgroup) p.stage.pNext = &size, p.stage.flags = 2;
	return nVk.Pipelines(device, cache, 1, &p, NULL, out);
}

// ---- messages of the validation layer: counted, the first ones kept

static struct {
	uint32_t count;
	char text[8192];
#ifndef _WIN32
	pthread_mutex_t lock;
#endif
} nMessages
#ifndef _WIN32
	= {.lock = PTHREAD_MUTEX_INITIALIZER}
#endif
;

static uint32_t nOnMessage(uint32_t severity, uint32_t types, const nMessage *m, void *user) {
#ifndef _WIN32
	pthread_mutex_lock(&nMessages.lock);
#endif
	nMessages.count++;
	size_t have = strlen(nMessages.text), n = m->message ? strlen(m->message) : 0;
	if (have + n + 2 < sizeof nMessages.text) {
		memcpy(nMessages.text + have, m->message, n);
		nMessages.text[have + n] = '\n';
		nMessages.text[have + n + 1] = 0;
	}
#ifndef _WIN32
	pthread_mutex_unlock(&nMessages.lock);
#endif
	return 0;
}

// nListen asks for warnings and errors.
static int32_t nListen(void *instance) {
	nMessenger m = {.sType = 1000128004, .severity = 0x1100, .types = 7, .callback = (void *)nOnMessage};
	nHandle h = 0;
	return nVk.Messenger ? nVk.Messenger(instance, &m, NULL, &h) : -7;
}

static uint32_t nMessageCount(void) { return nMessages.count; }
static const char *nMessageText(void) { return nMessages.text; }

#endif
