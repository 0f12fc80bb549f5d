/* Kernels and copies out of CUPTI's records. */
#include "activities.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cupti_api.h"
#include "collectors/gpu/kernels.h"
#include "profiler/shim/process/pages.h"

bool gns_activities_init(struct gns_activities *all)
{
	size_t size = GNS_ACTIVITIES_MAX * sizeof *all->list;
	if (!all->list)
		all->list = gns_pages(size);
	if (!all->scratch)
		all->scratch = gns_pages(size);
	if (!all->text)
		all->text = gns_pages(GNS_KERNEL_TEXT);
	if (!all->n_rows) {
		for (uint32_t i = 0; i < GNS_DEVICE_FAMILIES_N; i++) {
			all->family[i] = (uint8_t)i;
			all->row[i].resolved = true;
			snprintf(all->row[i].pretty, sizeof all->row[i].pretty, "(others)");
		}
		all->n_rows = GNS_DEVICE_FAMILIES_N;
	}
	return all->list && all->scratch && all->text;
}

void gns_activities_clear(struct gns_activities *all)
{
	all->n = 0;
	all->sorted = true;
}

static uint64_t hash_of(const char *text, uint32_t *length)
{
	uint64_t h = 0xcbf29ce484222325ull;
	const char *c = text;
	for (; *c && c - text < 65535; c++)
		h = (h ^ (unsigned char)*c) * 0x100000001b3ull;
	*length = (uint32_t)(c - text);
	return h;
}

/* CUPTI's texts may go with their module: they are copied. Names are told apart by 64 bits of hash. */
static uint32_t row_of(struct gns_activities *all, const char *name)
{
	uint32_t length;
	uint64_t hash = hash_of(name, &length);
	for (uint32_t i = GNS_DEVICE_FAMILIES_N; i < all->n_rows; i++)
		if (all->row[i].hash == hash && all->row[i].length == length)
			return i;
	enum gns_device_family family = gns_kernel_family(name);
	if (all->n_rows == GNS_KERNEL_ROWS || length + 1 > GNS_KERNEL_TEXT - all->n_text) {
		all->names_not_listed++;
		return family;
	}
	uint32_t at = all->n_rows++;
	all->row[at] = (struct gns_activity_row){ .hash = hash, .text = all->n_text, .length = length };
	memcpy(all->text + all->n_text, name, length);
	all->text[all->n_text + length] = 0;
	all->n_text += length + 1;
	all->family[at] = (uint8_t)family;
	return at;
}

static void append(struct gns_activities *all, const struct gns_activity *a)
{
	if (!a->start || a->end < a->start) { /* 0: the device had no room for its times, or it has not ended */
		all->incomplete++;
		return;
	}
	if (all->n == GNS_ACTIVITIES_MAX) {
		all->dropped++;
		return;
	}
	all->list[all->n++] = *a;
	all->sorted = false;
	all->added++;
}

static uint32_t product(const int32_t n[3])
{
	uint64_t blocks = 1;
	for (int i = 0; i < 3; i++)
		blocks *= n[i] > 0 ? (uint64_t)n[i] : 1;
	return blocks < UINT32_MAX ? (uint32_t)blocks : UINT32_MAX;
}

static void add_kernel(struct gns_activities *all, const struct gns_cupti_kernel *k)
{
	const char *name = k->name ? k->name : "?";
	int64_t shared = (int64_t)k->static_shared + k->dynamic_shared;
	struct gns_activity a = {
		.start = k->start, .end = k->end, .queued = k->queued, .device = k->device, .grid = product(k->grid),
		.block = (uint16_t)product(k->block), .registers = k->registers, .shared = shared > 0 ? (uint32_t)shared : 0,
	};
	if (strcmp(name, "gns_mark") == 0)
		a.mark = a.block;
	a.name = row_of(all, name);
	append(all, &a);
}

/* Values of CUpti_ActivityMemcpyKind. */
static const char *copy_name(uint8_t kind)
{
	static const char *const names[] = { [1] = "memcpy HtoD", [2] = "memcpy DtoH", [3] = "memcpy HtoA", [4] = "memcpy AtoH",
					     [5] = "memcpy AtoA", [6] = "memcpy AtoD", [7] = "memcpy DtoA", [8] = "memcpy DtoD",
					     [9] = "memcpy HtoH", [10] = "memcpy PtoP" };
	return kind < sizeof names / sizeof *names && names[kind] ? names[kind] : "memcpy";
}

static void add_copy(struct gns_activities *all, const struct gns_cupti_memcpy *c)
{
	struct gns_activity a = { .start = c->start, .end = c->end, .device = c->device, .copy = 1 };
	a.name = row_of(all, copy_name(c->copy_kind));
	append(all, &a);
}

static void add_fill(struct gns_activities *all, const struct gns_cupti_memset *m)
{
	struct gns_activity a = { .start = m->start, .end = m->end, .device = m->device, .copy = 1 };
	a.name = row_of(all, "memset");
	append(all, &a);
}

static void add_overhead(struct gns_activities *all, const struct gns_cupti_overhead *o, uint32_t version)
{
	if (o->start && o->end > o->start)
		all->overhead_ns += o->end - o->start;
	if (o->overhead_kind == GNS_CUPTI_OVERHEAD_COMMAND_BUFFER_FULL && version >= GNS_CUPTI_VERSION_13) {
		void *data;
		memcpy(&data, (const char *)o + GNS_CUPTI_OVERHEAD_DATA, sizeof data);
		free(data); /* ours to free, says the header */
	}
}

void gns_activities_add(struct gns_activities *all, const void *record, uint32_t version)
{
	uint32_t kind;
	memcpy(&kind, record, sizeof kind);
	switch (kind) {
	case GNS_CUPTI_CONCURRENT_KERNEL:
		add_kernel(all, record);
		break;
	case GNS_CUPTI_MEMCPY:
	case GNS_CUPTI_MEMCPY2:
		add_copy(all, record);
		break;
	case GNS_CUPTI_MEMSET:
		add_fill(all, record);
		break;
	case GNS_CUPTI_OVERHEAD:
		add_overhead(all, record, version);
		break;
	}
}

void gns_activities_sort(struct gns_activities *all)
{
	if (!all->sorted)
		gns_activity_sort(all->list, all->scratch, all->n);
	all->sorted = true;
}

void gns_activities_forget(struct gns_activities *all, uint32_t device, uint64_t until)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < all->n; i++)
		if (all->list[i].device != device || all->list[i].end > until || all->list[i].start >= until)
			all->list[kept++] = all->list[i];
	all->n = kept;
}

void gns_activities_resolve(struct gns_activities *all, uint32_t at, gns_demangle_fn demangle, void (*release)(void *))
{
	struct gns_activity_row *row = &all->row[at];
	const char *name = all->text + row->text;
	int status = -1;
	if (row->resolved)
		return;
	char *plain = demangle && strncmp(name, "_Z", 2) == 0 ? demangle(name, NULL, NULL, &status) : NULL;
	if (plain && status == 0)
		name = plain;
	all->family[at] = (uint8_t)gns_kernel_family(name);
	gns_kernel_pretty(name, row->pretty, sizeof row->pretty);
	row->resolved = true;
	if (plain)
		release(plain);
}
