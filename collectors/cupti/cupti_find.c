/* CUPTI's functions in this process, and whose they are otherwise. */
#include "cupti_find.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "collectors/gpu/driver.h"
#include "profiler/shim/publish/libraries.h"

static bool is_loaded(const char *name)
{
	void *handle = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
	if (handle)
		dlclose(handle);
	return handle != NULL;
}

/* Of the CUDA that the trainer was built for; the driver's may be newer. */
static int cuda_major(void)
{
	static const char *const of_toolkit[] = { "cudart", "cublas", "cublasLt", "nvrtc", NULL };
	int version = 0;
	char name[40];
	for (const char *const *library = of_toolkit; *library; library++)
		for (int major = 14; major >= 11; major--) {
			snprintf(name, sizeof name, "lib%s.so.%d", *library, major);
			if (is_loaded(name))
				return major;
		}
	const struct gns_driver *driver = gns_driver();
	return driver && driver->driver_get_version(&version) == 0 ? version / 1000 : 0;
}

static void *loaded_cupti(void)
{
	char name[40];
	void *handle = NULL;
	for (int major = 14; major >= 12 && !handle; major--) {
		snprintf(name, sizeof name, "libcupti.so.%d", major);
		handle = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
	}
	for (int minor = 8; minor >= 0 && !handle; minor--) {
		snprintf(name, sizeof name, "libcupti.so.11.%d", minor);
		handle = dlopen(name, RTLD_LAZY | RTLD_NOLOAD);
	}
	return handle;
}

static void *own_cupti(void)
{
	char name[40];
	int major = cuda_major();
	if (major < 12)
		return NULL;
	snprintf(name, sizeof name, "libcupti.so.%d", major);
	return dlopen(name, RTLD_LAZY | RTLD_LOCAL);
}

static void *function(void *handle, const char *name, bool *all)
{
	void *found = dlsym(handle, name);
	*all &= found != NULL;
	return found;
}

bool gns_cupti_find(struct gns_cupti_api *api)
{
	void *handle = loaded_cupti();
	bool all = true;
	if (!handle)
		handle = own_cupti();
	if (!handle) {
		dlerror(); /* not the trainer's */
		return false;
	}
#define FUNCTION(member, name) *(void **)&api->member = function(handle, name, &all)
	FUNCTION(get_version, "cuptiGetVersion");
	FUNCTION(subscribe, "cuptiSubscribe");
	FUNCTION(unsubscribe, "cuptiUnsubscribe");
	FUNCTION(register_callbacks, "cuptiActivityRegisterCallbacks");
	FUNCTION(enable, "cuptiActivityEnable");
	FUNCTION(disable, "cuptiActivityDisable");
	FUNCTION(flush_all, "cuptiActivityFlushAll");
	FUNCTION(next_record, "cuptiActivityGetNextRecord");
	FUNCTION(dropped, "cuptiActivityGetNumDroppedRecords");
	FUNCTION(timestamp, "cuptiGetTimestamp");
#undef FUNCTION
	*(void **)&api->subscribe_v2 = dlsym(handle, "cuptiSubscribe_v2"); /* CUDA 13 */
	dlerror();
	if (all) {
		uint32_t version = 0;
		api->get_version(&version);
		if (version < 100000)
			version = 0; /* before CUDA 13 a count that says nothing */
		gns_library_met("cupti", *(void **)&api->subscribe, version);
	}
	return all;
}

gns_demangle_fn gns_cupti_demangler(void)
{
	static const char *const runtimes[] = { "libstdc++.so.6", "libc++abi.so.1", NULL };
	void *found = dlsym(RTLD_DEFAULT, "__cxa_demangle");
	for (const char *const *name = runtimes; *name && !found; name++) {
		void *handle = dlopen(*name, RTLD_LAZY | RTLD_NOLOAD);
		if (!handle)
			continue;
		found = dlsym(handle, "__cxa_demangle"); /* the handle is kept, and with it the library */
	}
	dlerror();
	gns_demangle_fn demangle;
	*(void **)&demangle = found;
	return demangle;
}

void gns_cupti_who(const void *call_site, char *text, size_t size)
{
	Dl_info from;
	if (!call_site || !dladdr(call_site, &from) || !from.dli_fname) {
		snprintf(text, size, "another part of the program");
		return;
	}
	const char *slash = strrchr(from.dli_fname, '/'), *name = slash ? slash + 1 : from.dli_fname;
	if (strncmp(name, "libtorch", 8) == 0 || strstr(name, "kineto"))
		snprintf(text, size, "torch.profiler (%s)", name);
	else
		snprintf(text, size, "%s", name);
}

void gns_cupti_holder(const struct gns_cupti_api *api, char *text, size_t size)
{
	char name[GNS_CUPTI_NAME_MAX] = "";
	struct gns_cupti_params params = { .struct_size = sizeof params, .subscriber_name = "gnscope", .old_subscriber_name = name,
					   .old_subscriber_size = sizeof name };
	void *subscriber = NULL;
	if (api->subscribe_v2 && api->subscribe_v2(&subscriber, NULL, NULL, &params) == GNS_CUPTI_SUCCESS)
		api->unsubscribe(subscriber); /* gone meanwhile */
	name[sizeof name - 1] = 0;
	for (char *c = name; *c; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
	snprintf(text, size, "%s", name[0] ? name : "another tool: Nsight, compute-sanitizer, cuda-gdb or a profiler");
}
