/* libcuda.so.1 on this processor: the process, devices, contexts. See cuda_fake.h. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cuda_private.h"

struct fake fake = { .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };
__thread struct fake_context *fake_stack[STACK_MAX];
__thread int fake_depth, fake_mode;

_Noreturn void gns_fake_die(const char *format, ...)
{
	char text[512];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	fprintf(stderr, "fake libcuda: %s\n", text);
	abort();
}

/* ---- the process ---- */

static void at_end(void)
{
	fake.ended = true;
}

static unsigned long number_of(const char *name, unsigned long otherwise)
{
	const char *text = getenv(name);
	return text && *text ? strtoul(text, NULL, 10) : otherwise;
}

CUresult cuInit(unsigned int flags)
{
	fake_lock();
	if (!fake.pid) {
		fake.pid = getpid();
		fake.devices = (int)number_of("GNS_FAKE_DEVICES", 1);
		if (fake.devices > DEVICES_MAX)
			fake.devices = DEVICES_MAX;
		fake.sync = number_of("GNS_FAKE_SYNC", 0);
		fake.any = number_of("GNS_FAKE_ANY", 0);
		fake.delay_us = (unsigned)number_of("GNS_FAKE_DELAY_US", 100);
		fake.seed = number_of("GNS_FAKE_SEED", 1);
		atexit(at_end);
	}
	fake_unlock();
	return flags ? CUDA_ERROR_INVALID_VALUE : fake_enter();
}

int fake_enter(void)
{
	__atomic_fetch_add(&fake.calls, 1, __ATOMIC_RELAXED);
	if (fake.ended)
		return CUDA_ERROR_DEINITIALIZED;
	if (fake.pid != getpid())
		return CUDA_ERROR_NOT_INITIALIZED;
	struct fake_context *current = fake_current();
	return current ? __atomic_load_n(&current->error, __ATOMIC_RELAXED) : 0;
}

int fake_enter_context(void)
{
	int rc = fake_enter();
	if (rc)
		return rc;
	struct fake_context *current = fake_current();
	if (!current)
		return CUDA_ERROR_INVALID_CONTEXT;
	return current->live ? 0 : 709; /* CUDA_ERROR_CONTEXT_IS_DESTROYED */
}

uint64_t gns_fake_calls(void)
{
	return __atomic_load_n(&fake.calls, __ATOMIC_RELAXED);
}

void gns_fake_break(int error, unsigned n)
{
	struct fake_context *current = fake_current();
	if (!current)
		gns_fake_die("gns_fake_break: no context is current");
	fake_lock();
	current->error = 0;
	current->break_with = error;
	current->break_at = n;
	fake_unlock();
}

CUresult cuDriverGetVersion(int *version)
{
	__atomic_fetch_add(&fake.calls, 1, __ATOMIC_RELAXED);
	*version = 13000;
	return CUDA_SUCCESS;
}

static const char *name_of(int error)
{
	switch (error) {
	case 0: return "CUDA_SUCCESS";
	case 1: return "CUDA_ERROR_INVALID_VALUE";
	case 2: return "CUDA_ERROR_OUT_OF_MEMORY";
	case 3: return "CUDA_ERROR_NOT_INITIALIZED";
	case 4: return "CUDA_ERROR_DEINITIALIZED";
	case 100: return "CUDA_ERROR_NO_DEVICE";
	case 101: return "CUDA_ERROR_INVALID_DEVICE";
	case 201: return "CUDA_ERROR_INVALID_CONTEXT";
	case 400: return "CUDA_ERROR_INVALID_HANDLE";
	case 500: return "CUDA_ERROR_NOT_FOUND";
	case 600: return "CUDA_ERROR_NOT_READY";
	case 700: return "CUDA_ERROR_ILLEGAL_ADDRESS";
	case 709: return "CUDA_ERROR_CONTEXT_IS_DESTROYED";
	case 712: return "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED";
	case 713: return "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED";
	case 801: return "CUDA_ERROR_NOT_SUPPORTED";
	case 906: return "CUDA_ERROR_STREAM_CAPTURE_IMPLICIT";
	default: return "CUDA_ERROR_UNKNOWN";
	}
}

CUresult cuGetErrorName(CUresult error, const char **name)
{
	*name = name_of((int)error);
	return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
	*text = name_of((int)error);
	return CUDA_SUCCESS;
}

/* The newest version of each that there is here. */
CUresult cuGetProcAddress_v2(const char *symbol, void **function, int version, uint64_t flags, CUdriverProcAddressQueryResult *status)
{
	static const char *const endings[] = { "_v4", "_v3", "_v2", "", "WithFlags" };
	*function = NULL;
	for (unsigned i = 0; i < sizeof endings / sizeof *endings && !*function; i++) {
		char name[128];
		Dl_info info;
		snprintf(name, sizeof name, "%s%s", symbol, endings[i]);
		void *self = dladdr((void *)cuGetProcAddress_v2, &info) ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;
		if (self) {
			*function = dlsym(self, name);
			dlclose(self);
		}
	}
	if (status)
		*status = *function ? 0 : 1;
	return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

/* ---- devices ---- */

static bool is_device(CUdevice device)
{
	return device >= 0 && device < fake.devices;
}

CUresult cuDeviceGet(CUdevice *device, int ordinal)
{
	ENTER();
	*device = ordinal;
	return is_device(ordinal) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetCount(int *count)
{
	ENTER();
	*count = fake.devices;
	return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char *name, int len, CUdevice device)
{
	ENTER();
	snprintf(name, (size_t)len, "Fake device %d", device);
	return is_device(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
	ENTER();
	*bytes = (size_t)8 << 30;
	return is_device(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
	ENTER();
	switch ((int)attribute) {
	case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 4; break;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = 9; break;
	case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
	default: *value = 0; break;
	}
	return is_device(device) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/* ---- contexts ---- */

static struct fake_context *context_of(CUcontext handle, const char *call)
{
	struct fake_context *c = (struct fake_context *)handle;
	if (c < fake.contexts || c >= fake.contexts + CONTEXTS_MAX || !c->id)
		gns_fake_die("%s: %p is no context", call, (void *)handle);
	return c;
}

/* The one that was destroyed last comes back first: its handle is a new context's. Under the lock. */
static struct fake_context *context_make(CUdevice device)
{
	struct fake_context *c = NULL;
	for (unsigned i = 0; i < CONTEXTS_MAX; i++)
		if (!fake.contexts[i].live && !fake.contexts[i].primary && (!c || fake.contexts[i].id > c->id))
			c = &fake.contexts[i];
	if (!c)
		gns_fake_die("more than %d contexts", CONTEXTS_MAX);
	*c = (struct fake_context){ .device = device, .live = true, .id = ++fake.ids };
	c->legacy = fake_stream_make(c, true, true);
	return c;
}

static void context_end(struct fake_context *c)
{
	fake_wait_context(c);
	fake_lock();
	fake_stream_end_all(c);
	fake_memory_end(c);
	fake_module_end(c);
	c->live = false;
	fake_unlock();
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
	ENTER();
	if (!is_device(device))
		return CUDA_ERROR_INVALID_DEVICE;
	fake_lock();
	struct fake_context *c = fake.primary[device];
	if (!c) {
		c = fake.primary[device] = context_make(device);
		c->primary = true;
	} else if (!c->live) {
		*c = (struct fake_context){ .device = device, .live = true, .primary = true, .id = ++fake.ids };
		c->legacy = fake_stream_make(c, true, true);
	}
	c->retained++;
	*context = (CUcontext)c;
	fake_unlock();
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
	ENTER();
	struct fake_context *c = is_device(device) ? fake.primary[device] : NULL;
	if (!c || !c->retained)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (--c->retained == 0) {
		fake_unsafe("cuDevicePrimaryCtxRelease");
		context_end(c);
	}
	return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
	ENTER();
	struct fake_context *c = is_device(device) ? fake.primary[device] : NULL;
	fake_unsafe("cuDevicePrimaryCtxReset");
	if (c && c->live) {
		unsigned retained = c->retained;
		context_end(c);
		fake_lock();
		*c = (struct fake_context){ .device = device, .live = true, .primary = true, .retained = retained, .id = ++fake.ids };
		c->legacy = fake_stream_make(c, true, true);
		fake_unlock();
	}
	return CUDA_SUCCESS;
}

CUresult cuCtxCreate_v2(CUcontext *context, unsigned int flags, CUdevice device)
{
	ENTER();
	if (!is_device(device))
		return CUDA_ERROR_INVALID_DEVICE;
	fake_lock();
	*context = (CUcontext)context_make(device);
	fake_unlock();
	return cuCtxPushCurrent_v2(*context);
}

CUresult cuCtxCreate_v4(CUcontext *context, CUctxCreateParams *params, unsigned int flags, CUdevice device)
{
	return cuCtxCreate_v2(context, flags, device);
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
	ENTER();
	struct fake_context *c = context_of(context, "cuCtxDestroy");
	if (!c->live)
		gns_fake_die("cuCtxDestroy: this context was destroyed before");
	fake_unsafe("cuCtxDestroy");
	context_end(c);
	if (fake_current() == c)
		fake_stack[--fake_depth] = NULL;
	return CUDA_SUCCESS;
}

struct fake_context *fake_current(void)
{
	return fake_depth ? fake_stack[fake_depth - 1] : NULL;
}

CUresult cuCtxSetCurrent(CUcontext context)
{
	ENTER();
	if (!context) {
		if (fake_depth)
			fake_depth--;
		return CUDA_SUCCESS;
	}
	if (!fake_depth)
		fake_depth = 1;
	fake_stack[fake_depth - 1] = context_of(context, "cuCtxSetCurrent");
	return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext *context)
{
	__atomic_fetch_add(&fake.calls, 1, __ATOMIC_RELAXED);
	if (fake.ended || fake.pid != getpid())
		return fake.ended ? CUDA_ERROR_DEINITIALIZED : CUDA_ERROR_NOT_INITIALIZED;
	*context = (CUcontext)fake_current();
	return CUDA_SUCCESS;
}

CUresult cuCtxPushCurrent_v2(CUcontext context)
{
	ENTER();
	if (fake_depth == STACK_MAX)
		gns_fake_die("cuCtxPushCurrent: more than %d contexts on one thread's stack", STACK_MAX);
	fake_stack[fake_depth] = context_of(context, "cuCtxPushCurrent");
	fake_depth++;
	return CUDA_SUCCESS;
}

CUresult cuCtxPopCurrent_v2(CUcontext *context)
{
	__atomic_fetch_add(&fake.calls, 1, __ATOMIC_RELAXED);
	if (!fake_depth)
		return CUDA_ERROR_INVALID_CONTEXT;
	if (context)
		*context = (CUcontext)fake_current();
	fake_depth--;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice *device)
{
	ENTER_CONTEXT();
	*device = fake_current()->device;
	return CUDA_SUCCESS;
}

CUresult cuCtxGetId(CUcontext context, unsigned long long *id)
{
	__atomic_fetch_add(&fake.calls, 1, __ATOMIC_RELAXED);
	struct fake_context *c = context ? context_of(context, "cuCtxGetId") : fake_current();
	if (!c)
		return CUDA_ERROR_INVALID_CONTEXT;
	*id = c->id;
	return c->live ? CUDA_SUCCESS : 709;
}

CUresult cuCtxSynchronize(void)
{
	ENTER_CONTEXT();
	fake_unsafe("cuCtxSynchronize");
	fake_wait_context(fake_current());
	return CUDA_SUCCESS;
}

void *gns_fake_context(void)
{
	return fake_current();
}
