/* A measurement in parts. */
#include "collectors/torch/parts.h"

#include <errno.h>

#include "profiler/shim/process/fpu.h"
#include "profiler/shim/process/team.h"

#define PART ((size_t)1 << 16) /* elements: about 50 us, several times what it takes to wake a thread */
#define GROWTHS 8

struct parts {
	gns_torch_run *run;
	const void *operands;
	struct gns_layers *layers[GNS_TEAM_MAX];
	struct gns_samples samples[GNS_TEAM_MAX], bias[GNS_TEAM_MAX];
	bool with_bias;
	int rc[GNS_TEAM_MAX];
};

void gns_torch_parts_begin(void)
{
	gns_team_find("libtorch_cpu.so");
}

static void run_part(void *arg, unsigned index, unsigned parts)
{
	struct parts *p = arg;
	unsigned fpu = gns_fpu_begin();
	p->rc[index] = p->run(p->layers[index], &p->samples[index], p->with_bias ? &p->bias[index] : NULL, p->operands);
	gns_fpu_end(fpu);
}

/* 0; the first error, or -ENOSPC where all that failed want room. */
static int run_all(struct parts *p, unsigned parts)
{
	int rc = 0;
	gns_team_run(parts, run_part, p);
	for (unsigned i = 0; i < parts; i++)
		if (p->rc[i] && (!rc || rc == -ENOSPC))
			rc = p->rc[i];
	return rc;
}

static int grow(const struct parts *p, unsigned parts)
{
	for (unsigned i = 0; i < parts; i++) {
		int rc = p->rc[i] == -ENOSPC ? gns_layers_grow(p->layers[i]) : 0;
		if (rc)
			return rc;
	}
	return 0;
}

static unsigned count_parts(const struct gns_samples *samples, size_t elements, unsigned threads)
{
	size_t parts = samples->uses ? 1 : elements / PART;
	if (parts > samples->n)
		parts = samples->n;
	if (parts > threads)
		parts = threads;
	const unsigned there = parts > 1 ? gns_team_size() : 1;
	if (parts > there)
		parts = there;
	return parts < 1 ? 1 : parts < GNS_TEAM_MAX ? (unsigned)parts : GNS_TEAM_MAX;
}

static void deal(struct gns_samples *of, const struct gns_samples *all, unsigned index, unsigned parts)
{
	size_t first = all->n * index / parts;
	*of = *all;
	if (parts > 1) {
		of->first = first;
		of->count = all->n * (index + 1) / parts - first;
	}
}

int gns_torch_run_parts(struct gns_layer_feed_work *work, struct gns_samples *bias, size_t elements, unsigned threads, gns_torch_run *run,
			const void *operands)
{
	struct parts p = { .run = run, .operands = operands, .with_bias = bias };
	unsigned parts = count_parts(&work->samples, elements, threads);
	if (parts > 1)
		parts = gns_layer_feed_work_share(work, parts);
	for (unsigned i = 0; i < parts; i++) {
		p.layers[i] = i ? work->more[i - 1] : work->layers;
		deal(&p.samples[i], &work->samples, i, parts);
		if (bias)
			deal(&p.bias[i], bias, i, parts);
	}
	int rc = run_all(&p, parts);
	for (unsigned tries = 0; rc == -ENOSPC && tries < GROWTHS; tries++) {
		rc = grow(&p, parts);
		if (!rc)
			rc = run_all(&p, parts);
	}
	if (rc)
		return rc;
	work->samples.sum = 0;
	if (bias)
		bias->sum = 0;
	for (unsigned i = 0; i < parts; i++) {
		work->samples.sum += p.samples[i].sum; /* of no meaning with uses */
		if (bias)
			bias->sum += p.bias[i].sum;
	}
	return 0;
}
