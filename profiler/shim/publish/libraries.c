/* Libraries found in the process. */
#include "libraries.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "gnscope/record.h"
#include "profiler/shim/process/lock.h"
#include "record_text.h"

struct library {
	_Atomic bool ready;
	const void *base;
	struct gns_rec_library record;
};
static struct library table[GNS_LIBRARIES_MAX];
static _Atomic uint32_t taken;

/* Shortens a path by its middle, which says least. */
static void cut(char *out, size_t size, const char *path)
{
	size_t n = strlen(path), head = (size - 1) / 3, tail = size - 1 - head - 3;
	if (n < size)
		memcpy(out, path, n + 1);
	else
		snprintf(out, size, "%.*s...%s", (int)head, path, path + n - tail);
}

static bool known(const char *name, const void *base, const char *version)
{
	for (uint32_t i = 0; i < GNS_LIBRARIES_MAX; i++) {
		struct library *l = &table[i];
		if (atomic_load_explicit(&l->ready, memory_order_acquire) && l->base == base &&
		    strncmp(l->record.name, name, sizeof l->record.name) == 0 &&
		    (!*version || strncmp(l->record.version, version, sizeof l->record.version) == 0))
			return true;
	}
	return false;
}

/* Up to cuDNN 8 and NCCL 2.8 the major version is number / 1000: 8907 is 8.9.7. */
static void write_version(char *text, size_t size, uint64_t number)
{
	unsigned unit = number < 10000 ? 1000 : 10000;
	snprintf(text, size, "%u.%u.%u", (unsigned)(number / unit), (unsigned)(number % unit / 100),
		 (unsigned)(number % 100));
}

void gns_library_met(const char *name, const void *address, uint64_t number)
{
	Dl_info from;
	char version[16] = "";
	if (number)
		write_version(version, sizeof version, number);
	sigset_t signals;
	gns_undisturbed_begin(&signals);
	bool there = dladdr(address, &from) != 0;
	gns_undisturbed_end(&signals);
	if (!there || known(name, from.dli_fbase, version))
		return;
	uint32_t at = atomic_load(&taken);
	while (at < GNS_LIBRARIES_MAX && !atomic_compare_exchange_weak(&taken, &at, at + 1))
		;
	if (at >= GNS_LIBRARIES_MAX)
		return;
	struct library *l = &table[at];
	l->base = from.dli_fbase;
	gns_publish_text(l->record.name, sizeof l->record.name, name);
	gns_publish_text(l->record.version, sizeof l->record.version, version);
	cut(l->record.path, sizeof l->record.path, from.dli_fname ? from.dli_fname : "");
	atomic_store_explicit(&l->ready, true, memory_order_release);
}

uint32_t gns_library_count(void)
{
	return atomic_load_explicit(&taken, memory_order_relaxed);
}

const struct gns_rec_library *gns_library_at(uint32_t i)
{
	return atomic_load_explicit(&table[i].ready, memory_order_acquire) ? &table[i].record : NULL;
}
