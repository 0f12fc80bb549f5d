/* Finds the real function behind a wrapper. */
#include "real_function.h"

#include <dlfcn.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "pages.h"
#include "lock.h"

/* Start of the shim's own image. If a library's sgemm_ ends in a jump to cblas_sgemm, the call seems to come from the
 * shim: then the caller is the library that the shim called last. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char etext[] __attribute__((visibility("hidden")));
static __thread void *called __attribute__((tls_model("initial-exec")));

static void *in_object(const char *path, const struct gns_real *real)
{
	if (!path || !*path)
		return NULL;
	void *handle = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	if (!handle)
		return NULL;
	void *found = dlsym(handle, real->name);
	dlclose(handle);
	return found == real->self ? NULL : found;
}

struct nth {
	unsigned left;
	char path[4096];
};

static int take_nth(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct nth *nth = arg;
	if (nth->left--)
		return 0;
	snprintf(nth->path, sizeof nth->path, "%s", info->dlpi_name ? info->dlpi_name : "");
	return 1;
}

/* dl_iterate_phdr holds a lock of the loader and dlopen takes another one: so copy one name, then open it outside of
 * the walk. */
static void *in_any(const struct gns_real *real)
{
	struct nth *nth = gns_pages(sizeof *nth); /* too large for a small stack */
	void *found = NULL;
	for (unsigned i = 0; nth && i < 4096 && !found; i++) {
		nth->left = i;
		if (!dl_iterate_phdr(take_nth, nth))
			break;
		found = in_object(nth->path, real);
	}
	gns_pages_free(nth, sizeof *nth);
	return found;
}

/* Keeps the library loaded: the answer is cached by address, which a dlclose by the training program would make
 * invalid. */
static void pin(void *found)
{
	Dl_info from;
	void *handle = dladdr(found, &from) && from.dli_fname
		       ? dlopen(from.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE) : NULL;
	if (handle)
		dlclose(handle);
}

static void *search(const struct gns_real *real, void *call_site)
{
	void *found = dlsym(RTLD_NEXT, real->name);
	if (found && found != real->self)
		return found;
	Dl_info caller;
	if (dladdr(call_site, &caller)) {
		found = in_object(caller.dli_fname, real);
		if (found)
			return found;
	}
	return in_any(real);
}

static void *look_up(const struct gns_real *real, void *call_site)
{
	sigset_t signals;
	gns_undisturbed_begin(&signals);
	void *found = search(real, call_site);
	if (found)
		pin(found);
	dlerror(); /* clears the shim's own errors: the training program must not see them */
	gns_undisturbed_end(&signals);
	return found;
}

static void *find(struct gns_real *real, void *call_site)
{
	uint32_t at = (uint32_t)(((uint64_t)(uintptr_t)call_site * 0x9e3779b97f4a7c15ull) >> 56);
	for (uint32_t i = 0; i < GNS_REAL_SITES; i++) {
		uint32_t slot = (at + i) % GNS_REAL_SITES;
		void *site = atomic_load_explicit(&real->sites[slot].site, memory_order_acquire);
		if (site == call_site) {
			void *target = atomic_load_explicit(&real->sites[slot].target, memory_order_acquire);
			return target ? target : look_up(real, call_site);
		}
		if (!site) {
			void *target = look_up(real, call_site), *expected = NULL;
			if (target && atomic_compare_exchange_strong(&real->sites[slot].site, &expected, call_site))
				atomic_store_explicit(&real->sites[slot].target, target, memory_order_release);
			return target;
		}
	}
	return look_up(real, call_site);
}

void *gns_real_find(struct gns_real *real, void *call_site)
{
	const char *site = call_site;
	if (site >= __ehdr_start && site < etext && called)
		call_site = called;
	return called = find(real, call_site);
}

void *gns_real_beside(void *found, const char *name)
{
	const struct gns_real sought = { .name = name };
	Dl_info from;
	sigset_t signals;
	gns_undisturbed_begin(&signals);
	void *beside = dladdr(found, &from) ? in_object(from.dli_fname, &sought) : NULL;
	dlerror();
	gns_undisturbed_end(&signals);
	return beside;
}
