/* The sums of a step, as reported by a collector that knows the layers itself (PyTorch). A stream is the sequence of
 * steps of one optimizer.
 *
 * Sample i contributes A_i to the gradient of a parameter as it lands in memory: loss reduction, accumulation over
 * micro-steps and loss scale included. A step of N samples on each of `world` ranks, over which the gradient is
 * averaged, has
 *     q_small = N sum_i |A_i|^2   (b = 1; A_i before the averaging)      q_big = |gradient|^2   (n = N world)
 * for every parameter (SCIENCE.md, "Per-sample norms"). A constant factor of the loss does not change B_noise. N is
 * the largest number of samples of any parameter of the stream: a sample that a parameter was not used with
 * contributed nothing to its gradient.
 *
 * Independent of the process: layer_feed.c binds it to the shim's state. Not thread-safe; the caller serialises.
 * After gns_layer_sums_init only the accumulators of shared parameters are allocated. When the step of a stream is
 * over or void, sets are finished or released (device.h). */
#ifndef GNS_PROFILER_SHIM_STEPS_LAYER_SUMS_H
#define GNS_PROFILER_SHIM_STEPS_LAYER_SUMS_H

#include "collectors/sketch/layers.h"
#include "layer_sums_device.h"
#include "profiler/shim/publish/kernel_table.h"
#include "product_sums.h"
#include "step_clock.h"

#define GNS_LAYER_SUMS_POOL 24     /* scratches: measurements, and parts of measurements, that run at the same time */
#define GNS_LAYER_SUMS_SETTINGS 64 /* names in one stream */
#define GNS_LAYER_SUMS_EVENTS 64   /* names in all streams */
#define GNS_LAYER_SUMS_COUNTS 32
#define GNS_LAYER_SUMS_USES_MAX ((size_t)64 << 20) /* bytes, of all parameters that are used more than once in a pass */

struct gns_layer_sums_param {
	uint32_t stream, dtype;
	uint64_t rows, cols;
	uint16_t dims[4];
	const void *data;  /* NULL: not known */
	enum gns_left_out left_out;
	bool told, given;  /* PARAM was sent; the training program gave the name (gns_param) */
	char name[80];
	/* In the step in progress: */
	double sum, q_big; /* sum over samples of |A_i|^2 */
	uint64_t n;        /* samples that the parameter was used with */
	uint32_t world;
	bool any_sum, any_big;
	enum gns_refusal refused;
	/* accumulator of a parameter used more than once in the running backward pass; else NULL */
	struct gns_shared *uses;
	uint32_t uses_left;
	size_t uses_bytes;
	uint32_t working;      /* its measurements that run without the lock */
	bool uses_dropped;     /* the last running measurement frees `uses` */
	/* values measured on devices, added to `sum` and `q_big` */
	struct gns_layer_sums_term term[GNS_LAYER_SUMS_TERMS];
	struct gns_device_uses *device_uses;       /* `uses` on a device, all on one CUDA stream */
	void *device_uses_stream;
	struct gns_device *device_uses_of;
};

struct gns_layer_sums_setting {
	char name[32], text[64];
	double value;
	uint64_t step; /* first step with this value */
	bool told;
};

struct gns_layer_sums_stream {
	struct gns_step_clock clock;
	double loss, scale;         /* the gradients are `scale` times those of the loss */
	bool any_loss, touched;     /* a loss was reported; a backward pass has begun in this step */
	bool marked, marked_before; /* the training program has marked a loss of this step; of the step before */
	uint32_t n_settings;
	bool params_new;            /* some PARAM has to be sent */
	bool settings_new;          /* some SETTING has to be sent */
	uint64_t numel;             /* elements of all its parameters */
	struct gns_layer_sums_setting setting[GNS_LAYER_SUMS_SETTINGS];
	struct gns_layer_sums_sets sets;                 /* of the step in progress */
	struct gns_layer_sums_term term[GNS_LAYER_SUMS_TERMS]; /* losses, the scale */
};

struct gns_layer_sums {
	struct gns_layer_sums_stream stream[GNS_STREAMS_MAX];
	uint32_t n_streams;
	struct gns_layer_sums_param *param; /* by id - first_id */
	uint32_t n_params, first_id;
	uint64_t first_step;          /* number of stream 0's first step */
	uint64_t began_ns, began_real_ns; /* where the first step of the first stream begins */
	/* the training program marks its losses: the roots of backward passes are not used as losses any more */
	bool losses_marked;
	uint64_t pool_ns;             /* cost that belongs to no particular stream */
	size_t uses_bytes;
	uint32_t device_uses;         /* parameters with `device_uses` */
	struct {
		_Atomic int busy;
		struct gns_layers *layers;
	} pool[GNS_LAYER_SUMS_POOL];        /* scratch for measurements without the lock */
	char phase[16];
	uint64_t phase_ns;            /* when the phase began; 0 not known */
	uint64_t spent_ns, phase_spent_ns; /* all cost charged so far; the same when the phase began */
	uint32_t n_events, n_counts;
	char event[GNS_LAYER_SUMS_EVENTS][32];
	struct { char name[40]; uint64_t value; } count[GNS_LAYER_SUMS_COUNTS];
};

/* Ids begin at first_id and stream 0's steps at first_step, after those that another collector has used. */
bool gns_layer_sums_init(struct gns_layer_sums *sums, uint32_t first_id, uint64_t first_step);
void gns_layer_sums_free(struct gns_layer_sums *sums);

/* A new stream whose first step begins now (that of the first stream: at began_ns). -1 when all are in use. */
int gns_layer_sums_stream(struct gns_layer_sums *sums, const char *optimizer, const struct gns_config *config,
			  uint32_t control);
struct gns_layer_sums_stream *gns_layer_sums_stream_at(struct gns_layer_sums *sums, int64_t stream); /* NULL none */

/* The id of a new parameter; 0 when the table is full. `size` has `dims` sizes; dims 0: a scalar. */
uint32_t gns_layer_sums_param(struct gns_layer_sums *sums, int64_t stream, const char *name, unsigned dims,
			      const uint64_t *size, uint32_t dtype, const void *data);
struct gns_layer_sums_param *gns_layer_sums_param_at(struct gns_layer_sums *sums, int64_t id); /* NULL none */
void gns_layer_sums_rename(struct gns_layer_sums *sums, struct gns_layer_sums_param *param, const char *name);
/* A name that the training program gave to the parameter at this address. */
void gns_layer_sums_given(struct gns_layer_sums *sums, const char *name, const void *data, uint64_t rows,
			  uint64_t cols);
/* "": the parameter is measured again. A word that is not in GNS_LEFT_OUT_NAMES counts as "operation". */
void gns_layer_sums_leave_out(struct gns_layer_sums *sums, struct gns_layer_sums_param *param, const char *reason);

/* Left out for a reason that holds for all its gradients: need not be measured. */
bool gns_layer_sums_closed(const struct gns_layer_sums_param *param);

bool gns_layer_sums_measuring(const struct gns_layer_sums *sums, int64_t stream);
bool gns_layer_sums_any_measuring(const struct gns_layer_sums *sums);

/* In a measured step. */
void gns_layer_sums_sum(struct gns_layer_sums_param *param, double sum);
void gns_layer_sums_used(struct gns_layer_sums_param *param, uint64_t n);
void gns_layer_sums_big(struct gns_layer_sums_param *param, double q_big, uint32_t world);
/* its gradient was zeroed: forgets its sums of this step */
void gns_layer_sums_void(struct gns_layer_sums *sums, struct gns_layer_sums_param *param);
/* forgets all sums of the step in progress */
void gns_layer_sums_skip(struct gns_layer_sums *sums, int64_t stream);

/* The parameter is used `count` times in one backward pass: makes the accumulator for all uses. 0, -ENOMEM, -EINVAL. */
int gns_layer_sums_uses(struct gns_layer_sums *sums, struct gns_layer_sums_param *param, uint32_t count, uint64_t n,
			uint64_t dim0, uint64_t rest, unsigned probes, uint64_t seed, uint64_t stream);
/* one of the uses has been added */
void gns_layer_sums_uses_done(struct gns_layer_sums *sums, struct gns_layer_sums_param *param);
/* the pass is over: drops uses that are not complete */
void gns_layer_sums_backward_done(struct gns_layer_sums *sums);
void gns_layer_sums_uses_drop(struct gns_layer_sums *sums, struct gns_layer_sums_param *param);

/* adds to the step's loss; value without the loss scale */
void gns_layer_sums_loss(struct gns_layer_sums *sums, int64_t stream, double value);
/* The step that a marked loss belongs to: the present one, or the one before if no backward pass has begun since. */
uint64_t gns_layer_sums_mark_loss(struct gns_layer_sums *sums);
void gns_layer_sums_setting(struct gns_layer_sums *sums, int64_t stream, const char *name, double value,
			    const char *text);
/* true the first time for a name and stream */
bool gns_layer_sums_event_new(struct gns_layer_sums *sums, uint32_t stream, const char *name);
void gns_layer_sums_count(struct gns_layer_sums *sums, const char *name);

/* A phase of the step begins. The time of the phase before, less the cost charged in it, goes to `kernels` if stream
 * 0's step is measured. */
void gns_layer_sums_phase(struct gns_layer_sums *sums, struct gns_kernels *kernels, const char *name, uint64_t now);
/* stream -1: not known; then charged to a measured stream, or to the next one that ends a step. */
void gns_layer_sums_charge(struct gns_layer_sums *sums, int64_t stream, uint64_t ns);

/* Measures the step in progress, whatever the interval. Nothing may have happened in it yet. */
void gns_layer_sums_measure_now(struct gns_layer_sums *sums, int64_t stream);

/* The step is over: sets N and the number of measured parameters, and returns why the step is skipped, or
 * GNS_REFUSED_NOT. */
enum gns_refusal gns_layer_sums_close(struct gns_layer_sums *sums, uint32_t stream, uint64_t *n, uint32_t *measured);
/* The next step of the stream begins. */
void gns_layer_sums_next(struct gns_layer_sums *sums, uint32_t stream, const struct gns_config *config,
			 uint32_t control, bool link);

#endif
