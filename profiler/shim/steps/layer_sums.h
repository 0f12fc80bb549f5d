/* The feed: what a collector that knows the layers itself (PyTorch) tells, by stream: the steps of one optimizer.
 *
 * Sample i contributes A_i to the gradient of a parameter as it lands in memory: loss reduction, accumulation over micro-steps and loss
 * scale included. A step of N samples on each of `world` ranks, over which the gradient is averaged, has
 *     q_small = N sum_i |A_i|^2   (b = 1; A_i before the averaging)      q_big = |gradient|^2   (n = N world)
 * for every parameter (SCIENCE.md, "Per-sample norms"); whatever constant the loss has leaves B_noise alone. N is the largest number
 * of samples of any parameter of the stream: a sample that a parameter did not meet contributed nothing to it.
 *
 * Pure of the process around it: layer_feed.c binds it to the shim's state. Not thread-safe; the caller serialises. Nothing is allocated
 * after gns_layer_sums_init but the uses of a tied parameter. Of device.h, what takes a set or gives it back is called where the step of a stream is
 * void or over. */
#ifndef GNS_PROFILER_SHIM_STEPS_LAYER_SUMS_H
#define GNS_PROFILER_SHIM_STEPS_LAYER_SUMS_H

#include "collectors/sketch/layers.h"
#include "layer_sums_device.h"
#include "profiler/shim/publish/kernel_table.h"
#include "product_sums.h"
#include "step_clock.h"

#define GNS_LAYER_SUMS_POOL 24     /* measurements at once, and parts of them */
#define GNS_LAYER_SUMS_SETTINGS 64 /* names of one stream */
#define GNS_LAYER_SUMS_EVENTS 64   /* names, all streams */
#define GNS_LAYER_SUMS_COUNTS 32
#define GNS_LAYER_SUMS_USES_MAX ((size_t)64 << 20) /* bytes, of all parameters that are used more than once in a pass */

struct gns_layer_sums_param {
	uint32_t stream, dtype;
	uint64_t rows, cols;
	uint16_t dims[4];
	const void *data;  /* NULL not known */
	enum gns_left_out left_out;
	bool told, given;  /* PARAM sent; the name is the trainer's own (gns_param) */
	char name[80];
	/* Of the step in progress. */
	double sum, q_big; /* sum over samples of |A_i|^2 */
	uint64_t n;        /* samples met */
	uint32_t world;
	bool any_sum, any_big;
	enum gns_refusal refused;
	struct gns_shared *uses; /* open: used more than once in the backward pass that runs */
	uint32_t uses_left;
	size_t uses_bytes;
	uint32_t working;      /* measurements of it under way, outside of the lock */
	bool uses_dropped;     /* the last of them frees the uses */
	struct gns_layer_sums_term term[GNS_LAYER_SUMS_TERMS]; /* what is measured of it on devices, beside `sum` and `q_big` */
	struct gns_device_uses *device_uses;       /* as `uses`; all on one CUDA stream */
	void *device_uses_stream;
	struct gns_device *device_uses_of;
};

struct gns_layer_sums_setting {
	char name[32], text[64];
	double value;
	uint64_t step; /* from which on */
	bool told;
};

struct gns_layer_sums_stream {
	struct gns_step_clock clock;
	double loss, scale;         /* the gradients are `scale` times those of the loss */
	bool any_loss, touched;     /* a loss was told; a backward pass has begun in this step */
	bool marked, marked_before; /* the trainer has marked a loss of this step, of the last */
	uint32_t n_settings;
	bool params_new;            /* some PARAM is to be sent */
	bool settings_new;          /* some SETTING is */
	uint64_t numel;             /* of its parameters */
	struct gns_layer_sums_setting setting[GNS_LAYER_SUMS_SETTINGS];
	struct gns_layer_sums_sets sets;                 /* of the step in progress */
	struct gns_layer_sums_term term[GNS_LAYER_SUMS_TERMS]; /* losses, the scale */
};

struct gns_layer_sums {
	struct gns_layer_sums_stream stream[GNS_STREAMS_MAX];
	uint32_t n_streams;
	struct gns_layer_sums_param *param; /* by id - first_id */
	uint32_t n_params, first_id;
	uint64_t first_step;          /* that stream 0 begins with */
	uint64_t began_ns, began_real_ns; /* where the first step of the first stream begins */
	bool losses_marked;           /* the trainer marks its losses: the roots of backward are not taken for them any more */
	uint64_t pool_ns;             /* cost that belongs to no stream in particular */
	size_t uses_bytes;
	uint32_t device_uses;         /* open ones */
	struct {
		_Atomic int busy;
		struct gns_layers *layers;
	} pool[GNS_LAYER_SUMS_POOL];        /* scratch, for those who measure outside of the lock */
	char phase[16];
	uint64_t phase_ns;            /* when it began, 0 not known */
	uint64_t spent_ns, phase_spent_ns; /* all that was charged, and how much of it before the phase */
	uint32_t n_events, n_counts;
	char event[GNS_LAYER_SUMS_EVENTS][32];
	struct { char name[40]; uint64_t value; } count[GNS_LAYER_SUMS_COUNTS];
};

/* Ids begin at first_id, stream 0's steps at first_step: what another collector has used before stays its own. */
bool gns_layer_sums_init(struct gns_layer_sums *feed, uint32_t first_id, uint64_t first_step);
void gns_layer_sums_free(struct gns_layer_sums *feed);

/* A new stream, the first step of which begins now (of the first stream, where the feed began); -1 when all are in use. */
int gns_layer_sums_stream(struct gns_layer_sums *feed, const char *optimizer, const struct gns_config *config, uint32_t control);
struct gns_layer_sums_stream *gns_layer_sums_stream_at(struct gns_layer_sums *feed, int64_t stream); /* NULL none */

/* The id of a new parameter, 0 when the table is full. dims sizes, 0 a scalar. */
uint32_t gns_layer_sums_param(struct gns_layer_sums *feed, int64_t stream, const char *name, unsigned dims, const uint64_t *size, uint32_t dtype,
			const void *data);
struct gns_layer_sums_param *gns_layer_sums_param_at(struct gns_layer_sums *feed, int64_t id); /* NULL none */
void gns_layer_sums_rename(struct gns_layer_sums *feed, struct gns_layer_sums_param *param, const char *name);
/* A name that the trainer gave to the weight at this address. */
void gns_layer_sums_given(struct gns_layer_sums *feed, const char *name, const void *data, uint64_t rows, uint64_t cols);
/* "" : measured again. A word that is none of GNS_LEFT_OUT_NAMES counts as "operation". */
void gns_layer_sums_leave_out(struct gns_layer_sums *feed, struct gns_layer_sums_param *param, const char *reason);

/* Left out for a reason that more gradients will not change: what is measured of it would be forgotten. */
bool gns_layer_sums_closed(const struct gns_layer_sums_param *param);

bool gns_layer_sums_measuring(const struct gns_layer_sums *feed, int64_t stream);
bool gns_layer_sums_any_measuring(const struct gns_layer_sums *feed);

/* Of a measured step. */
void gns_layer_sums_sum(struct gns_layer_sums_param *param, double sum);
void gns_layer_sums_used(struct gns_layer_sums_param *param, uint64_t n);
void gns_layer_sums_big(struct gns_layer_sums_param *param, double q_big, uint32_t world);
void gns_layer_sums_void(struct gns_layer_sums *feed, struct gns_layer_sums_param *param); /* its gradient was zeroed since */
void gns_layer_sums_skip(struct gns_layer_sums *feed, int64_t stream);               /* the whole step in progress comes to nothing */

/* `count` uses in one backward pass: one accumulator for all. 0, -ENOMEM, -EINVAL. */
int gns_layer_sums_uses(struct gns_layer_sums *feed, struct gns_layer_sums_param *param, uint32_t count, uint64_t n, uint64_t dim0, uint64_t rest,
		  unsigned probes, uint64_t seed, uint64_t stream);
void gns_layer_sums_uses_done(struct gns_layer_sums *feed, struct gns_layer_sums_param *param); /* one of them has come */
void gns_layer_sums_backward_done(struct gns_layer_sums *feed);                           /* no more will come */
void gns_layer_sums_uses_drop(struct gns_layer_sums *feed, struct gns_layer_sums_param *param);

void gns_layer_sums_loss(struct gns_layer_sums *feed, int64_t stream, double value); /* adds; without the scale */
/* The step that a marked loss belongs to: the present one, or the one before where no backward pass has begun since. */
uint64_t gns_layer_sums_mark_loss(struct gns_layer_sums *feed);
void gns_layer_sums_setting(struct gns_layer_sums *feed, int64_t stream, const char *name, double value, const char *text);
bool gns_layer_sums_event_new(struct gns_layer_sums *feed, uint32_t stream, const char *name); /* true once a name and stream */
void gns_layer_sums_count(struct gns_layer_sums *feed, const char *name);

/* A part of the step begins; the one before goes to the kernels if stream 0's step is measured, without what was charged in it. */
void gns_layer_sums_phase(struct gns_layer_sums *feed, struct gns_kernels *kernels, const char *name, uint64_t now);
/* stream -1: nobody's; a measured stream bears it, or the next to end a step. */
void gns_layer_sums_charge(struct gns_layer_sums *feed, int64_t stream, uint64_t ns);

/* The step in progress is measured, whatever the interval: nothing has happened in it yet. */
void gns_layer_sums_measure_now(struct gns_layer_sums *feed, int64_t stream);

/* The step is over: may it be told? N, and the refusal. */
enum gns_refusal gns_layer_sums_close(struct gns_layer_sums *feed, uint32_t stream, uint64_t *n, uint32_t *measured);
/* The next one begins. */
void gns_layer_sums_next(struct gns_layer_sums *feed, uint32_t stream, const struct gns_config *config, uint32_t control, bool link);

#endif
