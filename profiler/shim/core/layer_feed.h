/* The feed in this process: what a collector calls that knows the layers itself. While it feeds, the collector of products stands
 * aside: it times them and learns nothing.
 *
 * Any thread, any state: switched off, given up or in a child that has not registered a stream, all of it does nothing. errno and the
 * floating-point state are kept. A child (fork) begins with an empty feed: streams and parameters are to be registered again, which
 * gns_layer_feed_step tells by -1. */
#ifndef GNS_PROFILER_SHIM_CORE_LAYER_FEED_H
#define GNS_PROFILER_SHIM_CORE_LAYER_FEED_H

#include "profiler/shim/steps/layer_sums.h"
#include "guard.h"
#include "profiler/shim/steps/step_hooks.h"

bool gns_layer_feed_on(void);             /* false: GNSCOPE_OFF, GNSCOPE_TORCH=0, or given up */
bool gns_layer_feed_given_up(void);       /* one load */
uint32_t gns_layer_feed_generation(void); /* changes in a child */
void gns_layer_feed_take_over(void);
/* For good; `reason` goes to the user, and the collector of products begins to learn. */
void gns_layer_feed_give_up(const char *reason);

int gns_layer_feed_stream(const char *optimizer); /* takes over, if need be; -1 none */
uint32_t gns_layer_feed_param(int64_t stream, const char *name, unsigned dims, const uint64_t *size, uint32_t dtype, const void *data);
void gns_layer_feed_rename(int64_t id, const char *name);
void gns_layer_feed_leave_out(int64_t id, const char *reason);
bool gns_layer_feed_measuring(int64_t stream);
bool gns_layer_feed_any(void); /* some stream is in a measured step. One load where none is */
void gns_layer_feed_pass_begins(void); /* a backward pass: a loss that is marked from now on is of this step */
uint64_t gns_layer_feed_samples_told(void);
uint32_t gns_layer_feed_layout_told(void); /* enum gns_layout */
void gns_layer_feed_world(int32_t rank, int32_t world);

/* A measurement, outside of the lock:
 *     gns_layer_feed_work_begin(id, n, axis, &work); ... a function of layers.h with work.layers and &work.samples ...; gns_layer_feed_work_end(&work, rc) */
struct gns_layer_feed_work {
	int64_t id;
	uint64_t step;
	struct gns_layers *layers;
	struct gns_samples samples;
	struct gns_layers *more[GNS_LAYER_SUMS_POOL - 1]; /* as gns_layer_feed_work_share gets them */
	uint64_t slots; /* of the scratch that is to be given back */
	unsigned fpu;
};
/* 0; -EINVAL no such parameter or no samples; -ENODATA nothing is to be measured now (not an error). Not nested. */
int gns_layer_feed_work_begin(int64_t id, uint64_t n, unsigned axis, struct gns_layer_feed_work *work);
/* Scratch for a measurement in `parts` parts at once, at most GNS_LAYER_SUMS_POOL: how many parts there is scratch for, the first of which has
 * work->layers, the next more[0]. gns_layer_feed_work_end gives it back. */
unsigned gns_layer_feed_work_share(struct gns_layer_feed_work *work, unsigned parts);
void gns_layer_feed_work_end(struct gns_layer_feed_work *work, int rc);
/* Another parameter with the same samples, measured by the same call with the scratch of `first`, and ended before it. Errors as
 * gns_layer_feed_work_begin's, and -EBUSY: it has several uses, and is measured alone. */
int gns_layer_feed_work_join(const struct gns_layer_feed_work *first, int64_t id, struct gns_layer_feed_work *work);
/* Instead of gns_layer_feed_work_end, for a measurement of |gradient|^2, of which only the scratch was needed: q_big. */
void gns_layer_feed_work_big(struct gns_layer_feed_work *work, int rc, double norm2, uint32_t world);

/* A measurement on a device, of a parameter:
 *     gns_layer_feed_device_begin(id, what, n, axis, device, stream, &work);
 *     ... a function of layers_device.h with &work.to and &work.samples ...
 *     gns_layer_feed_device_end(&work, rc)
 * The lock is held in between: work is only enqueued. `device`: its ordinal, which must be that of the context current to this thread;
 * `stream`: CUDA's, on which the operands are what they are. n, axis: of SUM. Errors as gns_layer_feed_work_begin's, and -ENODEV: this device is
 * not measured on (another is current, or device.h says why). */
struct gns_layer_feed_device {
	struct gns_guard hold;
	struct gns_layer_sums_param *param;
	struct gns_device_target to;
	struct gns_samples samples;
	enum gns_layer_sums_what what;
};
int gns_layer_feed_device_begin(int64_t id, enum gns_layer_sums_what what, uint64_t n, unsigned axis, int device, void *stream,
			     struct gns_layer_feed_device *work);
void gns_layer_feed_device_end(struct gns_layer_feed_device *work, int rc);
/* Can anything be measured on the current device? The first call takes what memory is needed there. */
bool gns_layer_feed_device_ready(void);
/* |gradient|^2, as gns_layer_feed_work_big has it; what was in the gradient's place before the step's first backward pass and ought to be 0. */
int gns_layer_feed_device_big(int64_t id, const struct gns_tensor *gradient, uint32_t world, int device, void *stream);
int gns_layer_feed_device_before(int64_t id, const struct gns_tensor *gradient, int device, void *stream);
/* As gns_layer_feed_uses, and gns_layer_feed_loss of a measured step, and gns_layer_feed_scale where the trainer's scale is on the device. */
int gns_layer_feed_device_uses(int64_t id, uint32_t count, uint64_t n, uint64_t dim0, uint64_t rest, int device, void *stream);
int gns_layer_feed_device_loss(int64_t stream_id, const struct gns_tensor *loss, int device, void *stream);
int gns_layer_feed_device_scale(int64_t stream_id, const struct gns_tensor *scale, int device, void *stream);
/* A graph is about to be captured: the step in progress is to be measured, since nothing has happened in it yet. */
void gns_layer_feed_measure_now(int64_t stream);

int gns_layer_feed_uses(int64_t id, uint32_t count, uint64_t n, uint64_t dim0, uint64_t rest);
void gns_layer_feed_backward_done(void);
void gns_layer_feed_used(int64_t id, uint64_t n);
/* Adds to the parameter's sum of the samples' squares: of a term of the loss that is the same for every sample. */
void gns_layer_feed_shift(int64_t id, double sum);
void gns_layer_feed_void(int64_t id);
void gns_layer_feed_skip(int64_t stream);
void gns_layer_feed_loss(int64_t stream, double value);
void gns_layer_feed_scale(int64_t stream, double scale);
void gns_layer_feed_setting(int64_t stream, const char *name, double value, const char *text);
void gns_layer_feed_event(int64_t stream, const char *name, const char *text);
void gns_layer_feed_count(const char *name);
void gns_layer_feed_phase(const char *name);
/* 1: the next step of this stream is measured; 0; -1: not a stream of this process. */
int gns_layer_feed_step(int64_t stream, uint32_t micro_steps, double lr);
uint64_t gns_layer_feed_began(int64_t stream); /* when the step in progress began, for the thread that ended the last one; 0 no such stream */

/* Self-timing: whatever lies between is the collector's own, products of this thread included. Nests; the outermost pair counts. */
struct gns_layer_feed_time {
	bool outermost;
	int inside;
};
void gns_layer_feed_time_begin(struct gns_layer_feed_time *time);
void gns_layer_feed_time_end(const struct gns_layer_feed_time *time);
void gns_layer_feed_cost(uint64_t ns);

/* Its row in the table of hooks. */
extern const struct gns_step_hooks gns_layer_hooks;

#endif
