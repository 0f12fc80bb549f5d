/* The layer API of this process, for a collector that knows the layers itself (PyTorch's). While such a collector is
 * in charge, GEMMs are only timed: their roles are not looked for.
 *
 * Any thread may call, in any state of the shim. Every function does nothing while the shim is switched off, after
 * gns_layer_feed_give_up, and in a child (fork) that has not registered a stream. errno and the floating-point state
 * are kept. A child begins without streams and parameters: gns_layer_feed_step returns -1 there until they are
 * registered again. */
#ifndef GNS_PROFILER_SHIM_CORE_LAYER_FEED_H
#define GNS_PROFILER_SHIM_CORE_LAYER_FEED_H

#include "profiler/shim/steps/layer_sums.h"
#include "guard.h"
#include "profiler/shim/steps/step_hooks.h"

bool gns_layer_feed_on(void);             /* false: GNSCOPE_OFF, GNSCOPE_TORCH=0, or given up */
bool gns_layer_feed_given_up(void);       /* one load */
uint32_t gns_layer_feed_generation(void); /* changes in a child */
void gns_layer_feed_take_over(void);
/* For the rest of the process: `reason` is shown to the user, and the BLAS collectors begin to look for weights among
 * the GEMMs. */
void gns_layer_feed_give_up(const char *reason);

/* a new stream; calls gns_layer_feed_take_over if needed; -1: no stream free */
int gns_layer_feed_stream(const char *optimizer);
uint32_t gns_layer_feed_param(int64_t stream, const char *name, unsigned dims, const uint64_t *size, uint32_t dtype,
			      const void *data);
void gns_layer_feed_rename(int64_t id, const char *name);
void gns_layer_feed_leave_out(int64_t id, const char *reason);
bool gns_layer_feed_measuring(int64_t stream);
bool gns_layer_feed_any(void); /* true while some stream is in a measured step; otherwise it costs one load */
void gns_layer_feed_pass_begins(void); /* a backward pass begins: losses marked from now on belong to this step */
uint64_t gns_layer_feed_samples_told(void);
uint32_t gns_layer_feed_layout_told(void); /* enum gns_layout */
void gns_layer_feed_world(int32_t rank, int32_t world);

/* A measurement on the CPU, without the core's lock:
 *     gns_layer_feed_work_begin(id, n, axis, &work);
 *     ... a function of layers.h with work.layers and &work.samples ...
 *     gns_layer_feed_work_end(&work, rc); */
struct gns_layer_feed_work {
	int64_t id;
	uint64_t step;
	struct gns_layers *layers;
	struct gns_samples samples;
	struct gns_layers *more[GNS_LAYER_SUMS_POOL - 1]; /* filled in by gns_layer_feed_work_share */
	uint64_t slots; /* bit mask of the pool's scratch that gns_layer_feed_work_end returns */
	unsigned fpu;
};
/* 0; -EINVAL: no such parameter, or no samples; -ENODATA: the step is not measured (not an error). Calls must not be
 * nested. */
int gns_layer_feed_work_begin(int64_t id, uint64_t n, unsigned axis, struct gns_layer_feed_work *work);
/* Borrows scratch for a measurement that runs in `parts` parts in parallel, at most GNS_LAYER_SUMS_POOL. Returns the
 * number of parts that have scratch: the first uses work->layers, the next work->more[0]. gns_layer_feed_work_end
 * returns it to the pool. */
unsigned gns_layer_feed_work_share(struct gns_layer_feed_work *work, unsigned parts);
void gns_layer_feed_work_end(struct gns_layer_feed_work *work, int rc);
/* Begins the measurement of another parameter with the same samples, by the same call, with the scratch of `first`.
 * It must be ended before `first`. Errors as of gns_layer_feed_work_begin, and -EBUSY: the parameter is shared and
 * has to be measured alone. */
int gns_layer_feed_work_join(const struct gns_layer_feed_work *first, int64_t id, struct gns_layer_feed_work *work);
/* Instead of gns_layer_feed_work_end, for a measurement of |gradient|^2 (q_big), which needs the scratch alone. */
void gns_layer_feed_work_big(struct gns_layer_feed_work *work, int rc, double norm2, uint32_t world);

/* A measurement of a parameter on a device:
 *     gns_layer_feed_device_begin(id, what, n, axis, device, stream, &work);
 *     ... a function of layers_device.h with &work.to and &work.samples ...
 *     gns_layer_feed_device_end(&work, rc)
 * The lock is held in between, because work is only enqueued. `device`: the ordinal of the device whose context is
 * current to this thread. `stream`: the CUDA stream on which the operands are valid. n and axis are used for SUM
 * only. Errors as of gns_layer_feed_work_begin, and -ENODEV: nothing is measured on this device (another one is
 * current, or for a reason in device.h). */
struct gns_layer_feed_device {
	struct gns_guard hold;
	struct gns_layer_sums_param *param;
	struct gns_device_target to;
	struct gns_samples samples;
	enum gns_layer_sums_what what;
};
int gns_layer_feed_device_begin(int64_t id, enum gns_layer_sums_what what, uint64_t n, unsigned axis, int device,
				void *stream,
			     struct gns_layer_feed_device *work);
void gns_layer_feed_device_end(struct gns_layer_feed_device *work, int rc);
/* Can anything be measured on the current device? The first call allocates the memory needed on it. */
bool gns_layer_feed_device_ready(void);
/* _big: |gradient|^2, as gns_layer_feed_work_big. _before: |content of the gradient's memory|^2 before the first
 * backward pass of the step, which has to be 0. */
int gns_layer_feed_device_big(int64_t id, const struct gns_tensor *gradient, uint32_t world, int device, void *stream);
int gns_layer_feed_device_before(int64_t id, const struct gns_tensor *gradient, int device, void *stream);
/* As gns_layer_feed_uses, gns_layer_feed_loss (of a measured step) and gns_layer_feed_scale, for values that are on
 * the device. */
int gns_layer_feed_device_uses(int64_t id, uint32_t count, uint64_t n, uint64_t dim0, uint64_t rest, int device,
			       void *stream);
int gns_layer_feed_device_loss(int64_t stream_id, const struct gns_tensor *loss, int device, void *stream);
int gns_layer_feed_device_scale(int64_t stream_id, const struct gns_tensor *scale, int device, void *stream);
/* A graph is about to be captured: measures the step in progress, whatever the interval. Nothing may have happened in
 * it yet. */
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
/* Start of the step in progress, ns; for the thread that ended the step before. 0: no such stream. */
uint64_t gns_layer_feed_began(int64_t stream);

/* Self-timing: the time between the two calls is charged to gnscope, GEMMs of this thread included. Pairs may nest;
 * the outermost counts. */
struct gns_layer_feed_time {
	bool outermost;
	int inside;
};
void gns_layer_feed_time_begin(struct gns_layer_feed_time *time);
void gns_layer_feed_time_end(const struct gns_layer_feed_time *time);
void gns_layer_feed_cost(uint64_t ns);

/* The layer API's row in the table of hooks. */
extern const struct gns_step_hooks gns_layer_hooks;

#endif
