#include "layers_device_sets.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "collectors/gpu/plan.h"
#include "tests/fakes/emulate.h"

struct gns_device {
	unsigned sms;
};
static struct gns_device device = {3};

struct gns_set {
	double slot[SETS_SLOTS];
	char *memory, *scratch;
	size_t scratch_bytes, mapped;
	char *kept;
	size_t kept_bytes, kept_used;
	uint32_t gate, launches;
};

const bool sets_emulated = true;

struct held_set sets_hold(size_t scratch_bytes)
{
	struct gns_set *set = malloc(sizeof *set);

	if (!set)
		abort();
	*set = (struct gns_set){.scratch_bytes = scratch_bytes, .kept_bytes = 1 << 18, .gate = 1};
	set->mapped = (scratch_bytes + 4095) / 4096 * 4096 + 4096;
	set->memory = mmap(NULL, set->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	set->kept = malloc(set->kept_bytes);
	if (set->memory == MAP_FAILED || !set->kept)
		abort();
	memset(set->memory, 0xff, set->mapped);
	memset(set->kept, 0xff, set->kept_bytes);
	mprotect(set->memory + set->mapped - 4096, 4096, PROT_NONE);
	set->scratch = set->memory + set->mapped - 4096 - scratch_bytes;
	for (int i = 0; i < SETS_SLOTS; i++)
		set->slot[i] = NAN;
	return (struct held_set){.set = set};
}

double sets_value(struct held_set *held, uint32_t slot)
{
	return held->set->slot[slot];
}

void sets_drop(struct held_set *held)
{
	munmap(held->set->memory, held->set->mapped);
	free(held->set->kept);
	free(held->set);
}

void sets_put(struct held_set *held, uint32_t slot, double value)
{
	held->set->slot[slot] = value;
}

void sets_open(struct held_set *held, bool open)
{
	held->set->gate = open;
}

uint32_t sets_launches(const struct held_set *held)
{
	return held->set->launches;
}

const struct gns_tensor *sets_tensor(const struct gns_tensor *t, size_t bytes)
{
	(void)bytes;
	return t;
}

void sets_forget(const void *data)
{
	(void)data;
}

void sets_fetch(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
}

double *gns_set_out(const struct gns_set *set, uint32_t slot)
{
	return (double *)&set->slot[slot];
}

struct gns_device *gns_set_device(const struct gns_set *set)
{
	(void)set;
	return &device;
}

unsigned gns_device_sms(const struct gns_device *d)
{
	return d->sms;
}

const uint32_t *gns_set_gate(const struct gns_set *set, void *stream)
{
	(void)stream;
	return &set->gate;
}

void *gns_set_scratch(struct gns_set *set, void *stream, size_t *size)
{
	(void)stream;
	*size = set->scratch_bytes;
	return set->scratch;
}

void *gns_set_keep(struct gns_set *set, size_t bytes)
{
	char *at = set->kept + set->kept_used;

	if (bytes > set->kept_bytes - set->kept_used)
		return NULL;
	set->kept_used += (bytes + 255) / 256 * 256;
	return at;
}

int gns_set_launch(struct gns_set *set, void *stream, const struct gns_cu_plan *plan)
{
	(void)stream;
	for (unsigned k = 0; k < plan->launches; k++) {
		const struct gns_cu_launch *l = &plan->launch[k];
		void *parameters[] = {(void *)&l->args};
		if (gns_emulate_launch(l->kernel, l->grid, l->block, parameters)) {
			fprintf(stderr, "there is no kernel %s\n", l->kernel);
			return -EIO;
		}
		set->launches++;
	}
	return 0;
}
