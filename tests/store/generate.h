/* Runs with known answers, written through the store's own API. The same options give the same database, byte for byte
 * in every number. Used by tests, by docs and, as the tool gns_generate, by whoever needs a store of some size. */
#ifndef GNS_TESTS_STORE_GENERATE_H
#define GNS_TESTS_STORE_GENERATE_H

#include "gnscope/store.h"

struct gns_generate {
	const char *name;
	int64_t steps, first_step; /* first_step 0: from 1 */
	int layers, ranks;
	int64_t every;             /* every K-th step is measured */
	uint64_t batch;            /* samples a step and rank */
	double b_from, b_to;       /* true B_noise of the first and last step, geometric between */
	double noise;              /* relative spread of one step's s; that of g2 is 4 times this */
	bool rows;                 /* no samples told: the unit is rows */
	bool warnings, kernels, losses;
	bool torch;                /* as PyTorch tells it: source, optimizer, learning rate, phases, a weight left out */
	int streams;               /* optimizers, each with weights and a B_noise of its own (twice the last one's); 0: one */
	bool device;               /* on a GPU: libraries, every 4th step looked at there and told two steps later, kernels of it */
	bool running;              /* leave the run open */
	uint64_t seed, key;        /* key 0: from the seed */
	uint64_t start_ns;         /* 0: a fixed day */
};
#define GNS_GENERATE_DEFAULT { .name = "generated", .steps = 1000, .layers = 4, .ranks = 1, .every = 1, .batch = 128, \
	.b_from = 200, .b_to = 2000, .noise = 0.05, .kernels = true, .losses = true, .seed = 1 }

int gns_generate_run(struct gns_store *store, const struct gns_generate *options, int64_t *run_id, struct gns_error *err);

/* The true value that step t of a run was drawn around. */
double gns_generate_b_noise(const struct gns_generate *options, int64_t step);

/* How a step of run `options` went on the device, and the kernels there; which: 0 .. GNS_GENERATE_DEVICE_KERNELS - 1. */
#define GNS_GENERATE_DEVICE_EVERY 4
#define GNS_GENERATE_DEVICE_KERNELS 7
struct gns_record gns_generate_device_step(const struct gns_generate *options, int rank, int64_t step);
struct gns_record gns_generate_device_kernel(int which);
struct gns_record gns_generate_device_use(const struct gns_generate *options, int rank, int64_t step, int which);

/* The pieces, for tests that write step by step. The generator's state is a counter. */
double gns_generate_normal(uint64_t seed, uint64_t a, uint64_t b);
struct gns_record gns_generate_record(enum gns_record_kind kind);
struct gns_record gns_generate_proc(const struct gns_generate *options, int rank);
struct gns_record gns_generate_param(int id);
struct gns_record gns_generate_kernel(int id);
/* Records of one step in order, the STEP last (then what a device tells of an earlier one), all of stream 0; at most layers + 32.
 * Returns how many. */
size_t gns_generate_step(const struct gns_generate *options, int rank, int64_t step, struct gns_record *out);

#endif
