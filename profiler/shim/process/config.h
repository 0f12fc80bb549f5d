/* Settings of the shim, from the environment; each has its flag in `gnscope run`.
 *
 *   GNSCOPE_SAMPLES=N   samples in one micro-step of one process (default: unknown, a row counts as a sample)
 *   GNSCOPE_LAYOUT=L    how the rows of a PyTorch model's input belong to samples (enum gns_layout), if its graph
 *   does not show it GNSCOPE_EVERY=K     measure every K-th step
 *   GNSCOPE_BUDGET=PCT  or keep the cost of the shim near PCT percent of the time (default 1; step_clock.h)
 *   GNSCOPE_PROBES=N    sign probes of a sketch, a multiple of 8 up to 32 (default 8)
 *   GNSCOPE_SESSION     shared memory of a recorder that runs already (set by `gnscope run`)
 *   GNSCOPE_STORE, GNSCOPE_NAME   handed to the recorder that the shim starts
 *   GNSCOPE_BIN         path of the program gnscope (default: beside the library, then PATH)
 *   GNSCOPE_LOSSES=every   read the loss of every PyTorch step; some (the default): of measured steps, of others at
 *   most every 50 ms GNSCOPE_TORCH=0     leave PyTorch to the collector of BLAS products
 *   GNSCOPE_GPU=0       do not use CUDA: no library of CUDA is searched for, nothing runs on a device
 *   GNSCOPE_KERNELS=auto|on|off   kernel times by CUPTI: in windows of a few steps (default), in every step, never
 *   GNSCOPE_OFF=1       do nothing at all
 * An invalid value is ignored and published as the event "bad_setting". */
#ifndef GNS_PROFILER_SHIM_PROCESS_CONFIG_H
#define GNS_PROFILER_SHIM_PROCESS_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum gns_kernels_mode { GNS_KERNELS_AUTO = 0, GNS_KERNELS_ON, GNS_KERNELS_OFF };

/* The leading dimension is the samples', or the second one. Where there are several rows for each sample: neighbours
 * (INTERLEAVED), or as far apart as there are samples (BLOCKS). */
enum gns_layout { GNS_LAYOUT_UNTOLD = 0, GNS_LAYOUT_BATCH_FIRST, GNS_LAYOUT_TIME_MAJOR, GNS_LAYOUT_INTERLEAVED,
		  GNS_LAYOUT_BLOCKS, GNS_LAYOUTS };
/* UNTOLD: not the name of a layout. */
static inline enum gns_layout gns_layout_of(const char *name)
{
	static const char *const names[GNS_LAYOUTS] = { "", "batch-first", "time-major", "interleaved", "blocks" };
	unsigned i = GNS_LAYOUTS - 1;
	while (i > GNS_LAYOUT_UNTOLD && strcmp(name, names[i]) != 0)
		i--;
	return (enum gns_layout)i;
}

struct gns_config {
	bool off;
	bool no_torch, no_gpu, every_loss;
	enum gns_kernels_mode kernels;
	uint32_t samples, layout /* enum gns_layout */, every, probes;
	double budget_pct;
	const char *session; /* NULL: not set */
	int32_t rank, world;
	/* seed of the plan of measured steps: hash of the launcher's names for the job, so the same in all its ranks */
	uint64_t job;
	char bad[72];        /* the first setting that was ignored, "" none */
};

void gns_config_read(struct gns_config *config);

/* A name for a session of this process, at most GNS_NAME_MAX bytes. All carry the user and the pid namespace.
 * A rank of several: made from the launcher's job, so that the ranks of one job on one node come to the same name,
 * whoever is first; from the store and the run's name, too, so that jobs that store apart never share a session.
 * `attempt` 0, 1, ... gives other names where one is taken by another job. Any other process: random, whatever
 * launcher is in its environment. */
void gns_config_session_name(const struct gns_config *config, unsigned attempt, char *buf, size_t size);
/* Whether that name is the same in all ranks of the job. */
bool gns_config_is_job(const struct gns_config *config);

#endif
