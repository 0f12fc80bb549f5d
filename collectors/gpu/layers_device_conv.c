/* Weights of convolutions in device memory. */
#include <errno.h>

#include "layers_device_private.h"

/* What is laid out shall stay in the L2 cache of a large device until it has been read again. */
#define SLICE_BYTES ((size_t)24 << 20)

struct job {
	struct gns_cu_convolution of;
	struct gns_tensor x, y; /* x meets the kernel */
};

static int set_axis(struct gns_cu_axes *axes, unsigned d, const struct gns_conv *conv, size_t in, size_t out)
{
	const unsigned missing = 3 - conv->dims;
	struct gns_conv_axis axis = {.in = in, .out = out, .kernel = 1, .stride = 1, .dilation = 1, .phases = 1, .length = 1};

	if (d >= missing) {
		axis.kernel = conv->kernel[d - missing];
		axis.stride = conv->stride[d - missing];
		axis.padding = conv->padding[d - missing];
		axis.dilation = conv->dilation[d - missing];
	}
	if (out && gns_conv_measure_axis(&axis, conv->transposed))
		return -EINVAL;
	const size_t most = UINT32_MAX / 4;
	if (axis.in > most || axis.out > most || axis.kernel > most || axis.stride > most || axis.dilation > most || axis.padding > most ||
	    axis.length > most || axis.length * axis.stride + axis.stride > most)
		return -ENOTSUP;
	axes->in[d] = (uint32_t)axis.in;
	axes->out[d] = (uint32_t)axis.out;
	axes->kernel[d] = (uint32_t)axis.kernel;
	axes->stride[d] = (uint32_t)axis.stride;
	axes->dilation[d] = (uint32_t)axis.dilation;
	axes->padding[d] = (uint32_t)axis.padding;
	axes->phases[d] = (uint32_t)axis.phases;
	axes->length[d] = (uint32_t)axis.length;
	return 0;
}

static int set_up(struct job *job, const struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *y,
		  const struct gns_conv *conv)
{
	if (!gns_tensor_is_sound(x) || !gns_tensor_is_sound(y) || !conv || conv->dims < 1 || conv->dims > 3 || x->ndim != conv->dims + 2 ||
	    y->ndim != x->ndim || !samples->n || samples->axis)
		return -EINVAL;
	job->x = gns_conv_three_axes(conv->transposed ? y : x);
	job->y = gns_conv_three_axes(conv->transposed ? x : y);
	if (!conv->groups || job->x.size[1] % conv->groups || job->y.size[1] % conv->groups || job->x.size[0] != job->y.size[0] ||
	    job->x.size[0] % samples->n)
		return -EINVAL;
	job->of = (struct gns_cu_convolution){.x = &job->x, .y = &job->y, .images = job->x.size[0] / samples->n, .groups = conv->groups,
					      .seed = samples->seed, .stream = samples->stream};
	for (unsigned d = 0; d < 3; d++) {
		const int rc = set_axis(&job->of.axes, d, conv, job->x.size[2 + d], job->y.size[2 + d]);
		if (rc)
			return rc;
	}
	return 0;
}

static int plan_slice(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *job, size_t first, size_t n)
{
	return gns_cu_plan_conv(plan, ground, &((const struct job *)job)->of, first, n);
}

static int use(const struct gns_device_target *to, size_t n, struct job *job)
{
	const uint32_t *kernel = job->of.axes.kernel;
	const size_t rest = job->x.size[1] / job->of.groups * kernel[0] * kernel[1] * kernel[2];

	if (!gns_device_uses_fit(to, n, job->y.size[1], rest))
		return -EINVAL;
	job->of.seed = to->uses->seed;
	job->of.stream = to->uses->of;
	job->of.acc = to->uses->acc;
	return rest == 1 ? -ENOTSUP : 0;
}

int gns_device_conv(const struct gns_device_target *to, const struct gns_samples *samples, const struct gns_tensor *x,
		    const struct gns_tensor *y, const struct gns_conv *conv)
{
	struct job job;
	int rc = set_up(&job, samples, x, y, conv);

	if (!rc && to->uses)
		rc = use(to, samples->n, &job);
	return rc ? rc : gns_device_run(to, samples->n, plan_slice, &job, SLICE_BYTES);
}
