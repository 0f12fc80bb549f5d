/* Convolutions: a sample's gradient as products of shifted pieces of its input with maps of positions.
 *
 * The input is laid out padded, every phase of the stride in a plane of its own. Then entry (c, k) of the kernel is one shift of it, and
 * a row of positions is a run. Maps are made by blocks of some rows: at the pitch of the planes where they come from or go to the
 * input, what lies between two rows being void or 0, and gapless, as the output gradient is. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "layers_private.h"

#define GROUPS_MAX (GNS_PROBES_MAX / GNS_BUCKETS)
#define AHEAD 2048 /* elements to what is worth a hint while an image is laid out, in the order of memory */

/* One side of the products: `count` pieces of the array at `base`, each at its shift. */
struct side {
	const void *base;
	void *room; /* where an image is laid out */
	bool in_place;
	ptrdiff_t *shift;
	size_t count;
};

struct conv {
	struct gns_layers *layers;
	const struct gns_sketch_kernels *kernels;
	struct gns_samples *samples;
	struct gns_layer_reduction bias; /* beside the weight; its samples are NULL where there is none */
	struct gns_tensor x, y; /* x meets the kernel, y has the positions; five dimensions */
	struct gns_conv_axis axis[GNS_CONV_DIMS];
	size_t taps, groups, images, channels, plane, positions, out_pitch;
	int type; /* 0 float, 1 double */
	size_t item;
	struct side in, out;      /* shifts (c, k) of x, maps o of y */
	struct side *b, *z;       /* in buckets; weighted by them */
	bool exact;
	unsigned probe_groups;
	size_t maps;              /* 8, or 1 where b is one piece */
	size_t list_room;         /* entries of one bucket's list */
	ptrdiff_t *list[GROUPS_MAX]; /* shifts of b by bucket, 8 lists of list_room */
	void *list_sign[GROUPS_MAX];
	size_t list_count[GROUPS_MAX][GNS_BUCKETS];
	double list_along[GROUPS_MAX][GNS_BUCKETS]; /* v . h where v is of b's side */
	const double *b_along; /* v, or zeros where it is not of b's side */
	int8_t *table;
	char *padded_map, *dense_map; /* GNS_BUCKETS x GNS_MAP, at the pitch of the planes and gapless */
	char *padded_a, *dense_a;
	void *ones, *weights;  /* one for each tap; v in the element type */
	ptrdiff_t *tap_shift, *channel_shift;
	char *mixed;           /* a plane: the channels along v */
	double *mean, *v;      /* the direction of each channel, and of each (c, k) */
	double *g, *sums;      /* A v (o's); z: 8 doubles an entry and group */
};

/* Positions of some rows, or of a piece of one. */
struct block {
	size_t rows, width, padded, dense; /* elements at either pitch, from the first to the last */
	size_t padded_at, dense_at;
};

/* ---- geometry ---- */

struct gns_tensor gns_conv_three_axes(const struct gns_tensor *t)
{
	struct gns_tensor out = *t;
	const unsigned missing = 5 - t->ndim;

	out.ndim = 5;
	for (unsigned d = 0; d < GNS_CONV_DIMS; d++) {
		out.size[2 + d] = d < missing ? 1 : t->size[2 + d - missing];
		out.stride[2 + d] = d < missing ? 0 : t->stride[2 + d - missing];
	}
	return out;
}

int gns_conv_measure_axis(struct gns_conv_axis *axis, bool transposed)
{
	size_t span, padded, met = 0;

	if (!axis->kernel || !axis->stride || !axis->dilation || axis->padding > SIZE_MAX / 4 ||
	    __builtin_mul_overflow(axis->kernel - 1, axis->dilation, &span) ||
	    __builtin_add_overflow(axis->in, 2 * axis->padding, &padded) || padded <= span)
		return -EINVAL;
	const size_t most = (padded - span - 1) / axis->stride + 1;
	/* The output padding of a transposed convolution may leave positions that no kernel meets. */
	if (axis->out > most || (axis->out < most && !transposed))
		return -EINVAL;
	for (size_t k = 0; k < axis->kernel && k < axis->stride; k++, met++)
		if (k && k * axis->dilation % axis->stride == 0)
			break;
	axis->phases = met;
	axis->length = axis->out + span / axis->stride;
	return 0;
}

/* Phases come back after `phases` taps: tap k is the k % phases'th. */
static size_t tap_shift(const struct conv *job, const size_t k[GNS_CONV_DIMS])
{
	size_t slot = 0, shift = 0;

	for (unsigned d = 0; d < GNS_CONV_DIMS; d++) {
		const struct gns_conv_axis *axis = &job->axis[d];
		slot = slot * axis->phases + k[d] % axis->phases;
		shift = shift * axis->length + k[d] * axis->dilation / axis->stride;
	}
	return slot * job->axis[0].length * job->axis[1].length * job->axis[2].length + shift;
}

static void fill_shifts(struct conv *job)
{
	const struct gns_conv_axis *axis = job->axis;
	size_t at = 0, k[GNS_CONV_DIMS];

	for (size_t c = 0; c < job->channels; c++)
		for (k[0] = 0; k[0] < axis[0].kernel; k[0]++)
			for (k[1] = 0; k[1] < axis[1].kernel; k[1]++)
				for (k[2] = 0; k[2] < axis[2].kernel; k[2]++)
					job->in.shift[at++] = job->in.in_place ? (ptrdiff_t)c * job->x.stride[1] :
										 (ptrdiff_t)(c * job->plane + tap_shift(job, k));
	memcpy(job->tap_shift, job->in.shift, job->taps * sizeof *job->tap_shift);
	for (size_t c = 0; c < job->channels; c++)
		job->channel_shift[c] = (ptrdiff_t)c * (job->in.in_place ? job->x.stride[1] : (ptrdiff_t)job->plane);
	for (size_t o = 0; o < job->out.count; o++)
		job->out.shift[o] = (ptrdiff_t)o * (job->out.in_place ? job->y.stride[1] : (ptrdiff_t)job->out_pitch);
}

static int measure(struct conv *job, const struct gns_conv *conv)
{
	const struct gns_tensor *x = &job->x, *y = &job->y;

	if (!conv->groups || x->size[1] % conv->groups || y->size[1] % conv->groups || x->size[0] != y->size[0] ||
	    x->size[0] % job->samples->n || job->samples->axis)
		return -EINVAL;
	job->taps = job->plane = 1;
	for (unsigned d = 0; d < GNS_CONV_DIMS; d++) {
		const unsigned missing = GNS_CONV_DIMS - conv->dims;
		struct gns_conv_axis *axis = &job->axis[d];
		*axis = (struct gns_conv_axis){.in = x->size[2 + d], .out = y->size[2 + d], .kernel = 1, .stride = 1, .dilation = 1};
		if (d >= missing) {
			axis->kernel = conv->kernel[d - missing];
			axis->stride = conv->stride[d - missing];
			axis->padding = conv->padding[d - missing];
			axis->dilation = conv->dilation[d - missing];
		}
		if (axis->out && gns_conv_measure_axis(axis, conv->transposed))
			return -EINVAL;
		if (__builtin_mul_overflow(job->taps, axis->kernel, &job->taps) ||
		    __builtin_mul_overflow(job->plane, axis->phases * axis->length, &job->plane) ||
		    job->plane > SIZE_MAX >> 24)
			return -EINVAL;
	}
	job->groups = conv->groups;
	job->images = x->size[0] / job->samples->n;
	job->channels = x->size[1] / conv->groups;
	job->in.count = job->channels * job->taps;
	job->out.count = y->size[1] / conv->groups;
	return 0;
}

/* ---- roles and memory ---- */

static void deal_roles(struct conv *job)
{
	const bool in_wider = job->in.count >= job->out.count;
	struct side *wide = in_wider ? &job->in : &job->out, *narrow = in_wider ? &job->out : &job->in;

	job->exact = narrow->count <= GNS_BUCKETS && !job->samples->uses;
	job->b = job->samples->uses ? &job->out : job->exact ? narrow : wide;
	job->z = job->b == &job->in ? &job->out : &job->in;
	job->probe_groups = job->exact ? 1 : job->samples->uses ? job->samples->uses->groups : job->samples->probes / GNS_BUCKETS;
	job->maps = job->exact && job->b->count == 1 ? 1 : GNS_BUCKETS;
}

static void fill_ones(const struct conv *job)
{
	for (size_t k = 0; k < job->taps; k++) {
		if (job->type)
			((double *)job->ones)[k] = 1;
		else
			((float *)job->ones)[k] = 1;
	}
}

static void take_maps(struct conv *job, struct gns_arena *arena)
{
	const size_t maps = (2 * GNS_BUCKETS + 2) * GNS_MAP;

	job->padded_map = gns_arena_take(arena, maps, job->item);
	job->dense_map = job->padded_map + GNS_BUCKETS * GNS_MAP * job->item;
	job->padded_a = job->dense_map + GNS_BUCKETS * GNS_MAP * job->item;
	job->dense_a = job->padded_a + GNS_MAP * job->item;
}

static int take_memory(struct conv *job)
{
	struct gns_arena arena = {.layers = job->layers};
	const size_t table = job->samples->uses ? job->y.size[1] : job->b->count;
	const size_t in_room = job->in.in_place ? 0 : job->channels * job->plane + 64;
	const size_t out_room = job->out.in_place ? 0 : job->out.count * job->out_pitch + 64;

	job->in.room = gns_arena_take(&arena, in_room, job->item);
	job->out.room = gns_arena_take(&arena, out_room, job->item);
	job->mixed = gns_arena_take(&arena, job->plane + 64, job->item);
	job->in.shift = gns_arena_take(&arena, job->in.count, sizeof(ptrdiff_t));
	job->out.shift = gns_arena_take(&arena, job->out.count, sizeof(ptrdiff_t));
	job->tap_shift = gns_arena_take(&arena, job->taps, sizeof(ptrdiff_t));
	job->channel_shift = gns_arena_take(&arena, job->channels, sizeof(ptrdiff_t));
	job->list_room = job->b->count / GNS_BUCKETS + 3;
	for (unsigned g = 0; g < job->probe_groups; g++) {
		job->list[g] = gns_arena_take(&arena, GNS_BUCKETS * job->list_room, sizeof(ptrdiff_t));
		job->list_sign[g] = gns_arena_take(&arena, GNS_BUCKETS * job->list_room, job->item);
	}
	job->table = gns_arena_take(&arena, table + 64, 1);
	take_maps(job, &arena);
	job->ones = gns_arena_take(&arena, job->taps, job->item);
	job->weights = gns_arena_take(&arena, job->in.count, job->item);
	job->mean = gns_arena_take(&arena, job->channels, sizeof(double));
	job->v = gns_arena_take(&arena, job->in.count, sizeof(double));
	double *none = gns_arena_take(&arena, job->b->count, sizeof(double));
	job->b_along = job->b == &job->in ? job->v : none;
	job->g = gns_arena_take(&arena, job->out.count, sizeof(double));
	job->sums = gns_arena_take(&arena, job->z->count * GNS_BUCKETS * job->probe_groups, sizeof(double));
	job->bias.a = gns_arena_take(&arena, job->bias.count, sizeof(double));
	const int rc = gns_arena_check(&arena);
	if (rc)
		return rc;
	memset(job->in.room, 0, in_room * job->item);
	memset(job->out.room, 0, out_room * job->item);
	memset(job->mixed, 0, (job->plane + 64) * job->item);
	memset(job->padded_map, 0, (2 * GNS_BUCKETS + 2) * GNS_MAP * job->item);
	memset(job->v, 0, job->in.count * sizeof *job->v);
	memset(none, 0, job->b->count * sizeof *none);
	fill_ones(job);
	fill_shifts(job);
	return 0;
}

/* ---- laying out an image ---- */

/* A row of n elements, `stride` apart, to where they lie side by side. */
static void put_row(const struct conv *job, const struct gns_tensor *t, ptrdiff_t from, ptrdiff_t stride, size_t n, void *to)
{
	const gns_f32 *values = gns_tensor_at(t, from);
	float *narrow = to;
	double one;

	if (job->type) {
		gns_load(job->layers, t, from, stride, n, to);
		return;
	}
	if (t->dtype == GNS_F32) {
		for (size_t i = 0; i < n; i++)
			narrow[i] = values[(ptrdiff_t)i * stride];
		return;
	}
	if (stride == 1) {
		job->kernels->to_f32[t->dtype == GNS_BF16](values, n, narrow);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		gns_load(job->layers, t, from + (ptrdiff_t)i * stride, 1, 1, &one);
		narrow[i] = (float)one;
	}
}

/* A block of n[0] x n[1] x n[2] elements, `step` apart, to one of rows `row` apart and planes `plane`. Rows go upwards: copy_rows
 * leaves zeros behind each, which the next one writes over. */
static void put_block(const struct conv *job, const struct gns_tensor *t, ptrdiff_t from, const size_t n[3],
		      const ptrdiff_t step[3], char *to, size_t row, size_t plane)
{
	const bool own = t->dtype == (job->type ? GNS_F64 : GNS_F32), same = own && step[2] == 1;

	for (size_t i = 0; i < n[0]; i++) {
		char *out = to + i * plane * job->item;
		const ptrdiff_t start = from + (ptrdiff_t)i * step[0];
		if (same && row == n[2] && step[1] == (ptrdiff_t)row)
			job->kernels->copy_rows[job->type](gns_tensor_at(t, start), 0, 1, n[1] * n[2], AHEAD, out, 0);
		else if (same)
			job->kernels->copy_rows[job->type](gns_tensor_at(t, start), step[1], n[1], n[2], AHEAD, out, row);
		else if (own && step[2] == 2)
			job->kernels->copy_second[job->type](gns_tensor_at(t, start), step[1], n[1], n[2], AHEAD, out, row);
		else
			for (size_t j = 0; j < n[1]; j++)
				put_row(job, t, start + (ptrdiff_t)j * step[1], step[2], n[2], out + j * row * job->item);
	}
}

/* The entries of one dimension that have phase `slot`: the first, how many, and where in the input the first is. */
static size_t phase_range(const struct gns_conv_axis *axis, size_t slot, size_t *first, size_t *source)
{
	const size_t phase = slot * axis->dilation % axis->stride;
	const size_t end = axis->in + axis->padding;

	*first = phase >= axis->padding ? 0 : (axis->padding - phase + axis->stride - 1) / axis->stride;
	const size_t stop = end <= phase ? 0 : (end - phase + axis->stride - 1) / axis->stride;
	*source = *first * axis->stride + phase - axis->padding;
	return stop < *first ? 0 : (stop < axis->length ? stop : axis->length) - (*first < axis->length ? *first : axis->length);
}

/* A block as of put_block, of all channels at once, which lie side by side: four positions by four channels at a time. */
static void put_channels(const struct conv *job, const struct gns_tensor *t, ptrdiff_t from, const size_t n[3],
			 const ptrdiff_t step[3], float *to, size_t row, size_t plane, size_t channels, size_t channel_ld)
{
	const size_t whole = channels / 4 * 4;

	for (size_t line = 0; line < n[0] * n[1]; line++) {
		const size_t i = line / n[1], j = line % n[1];
		const gns_f32 *source = gns_tensor_at(t, from + (ptrdiff_t)i * step[0] + (ptrdiff_t)j * step[1]);
		float *out = to + i * plane + j * row;
		size_t k = 0;
		for (; k + 4 <= n[2]; k += 4)
			gns_transpose_f32(source + (ptrdiff_t)k * step[2], step[2], whole, out + k, channel_ld);
		for (size_t c = 0; c < channels; c++)
			for (size_t rest = c < whole ? k : 0; rest < n[2]; rest++)
				out[c * channel_ld + rest] = source[(ptrdiff_t)rest * step[2] + (ptrdiff_t)c];
	}
}

static bool is_channels_last(const struct conv *job, const struct gns_tensor *t)
{
	return !job->type && t->dtype == GNS_F32 && t->stride[1] == 1 && t->stride[4] != 1;
}

static void put_phase(const struct conv *job, ptrdiff_t channel, char *to, const size_t slot[3])
{
	const size_t row = job->axis[2].length, plane = row * job->axis[1].length;
	size_t n[3], first[3], at = 0;
	ptrdiff_t step[3], from = channel;

	for (unsigned d = 0; d < 3; d++) {
		const struct gns_conv_axis *axis = &job->axis[d];
		size_t source;
		n[d] = phase_range(axis, slot[d], &first[d], &source);
		if (n[d] == 0 || first[d] >= axis->length)
			return;
		step[d] = job->x.stride[2 + d] * (ptrdiff_t)axis->stride;
		from += (ptrdiff_t)source * job->x.stride[2 + d];
		at = at * axis->length + first[d];
	}
	if (is_channels_last(job, &job->x))
		put_channels(job, &job->x, from, n, step, (float *)(void *)to + at, row, plane, job->channels, job->plane);
	else
		put_block(job, &job->x, from, n, step, to + at * job->item, row, plane);
}

static void put_input(const struct conv *job, size_t image, size_t group)
{
	const struct gns_conv_axis *axis = job->axis;
	const size_t channels = job->channels, volume = axis[0].length * axis[1].length * axis[2].length;
	const size_t turns = is_channels_last(job, &job->x) ? 1 : channels;
	size_t slot[3];

	for (size_t c = 0; c < turns; c++) {
		const ptrdiff_t from = (ptrdiff_t)image * job->x.stride[0] + (ptrdiff_t)(group * channels + c) * job->x.stride[1];
		char *to = (char *)job->in.room + c * job->plane * job->item;
		for (slot[0] = 0; slot[0] < axis[0].phases; slot[0]++)
			for (slot[1] = 0; slot[1] < axis[1].phases; slot[1]++)
				for (slot[2] = 0; slot[2] < axis[2].phases; slot[2]++, to += volume * job->item)
					put_phase(job, from, to, slot);
	}
}

static void put_output(const struct conv *job, size_t image, size_t group)
{
	const size_t n[3] = {job->axis[0].out, job->axis[1].out, job->axis[2].out}, count = job->out.count;
	const ptrdiff_t from = (ptrdiff_t)image * job->y.stride[0] + (ptrdiff_t)(group * count) * job->y.stride[1];

	if (is_channels_last(job, &job->y)) {
		put_channels(job, &job->y, from, n, &job->y.stride[2], job->out.room, n[2], n[1] * n[2], count, job->out_pitch);
		return;
	}
	for (size_t o = 0; o < count; o++)
		put_block(job, &job->y, from + (ptrdiff_t)o * job->y.stride[1], n, &job->y.stride[2],
			  (char *)job->out.room + o * job->out_pitch * job->item, n[2], n[1] * n[2]);
}

/* An operand whose channels already are runs of positions is read where it lies. */
static void put_image(struct conv *job, size_t image, size_t group)
{
	if (!job->in.in_place)
		put_input(job, image, group);
	if (!job->out.in_place)
		put_output(job, image, group);
	job->in.base = job->in.in_place ?
			       gns_tensor_at(&job->x, (ptrdiff_t)image * job->x.stride[0] +
							      (ptrdiff_t)(group * job->in.count) * job->x.stride[1]) :
			       job->in.room;
	job->out.base = job->out.in_place ?
				gns_tensor_at(&job->y, (ptrdiff_t)image * job->y.stride[0] +
							       (ptrdiff_t)(group * job->out.count) * job->y.stride[1]) :
				job->out.room;
}

/* ---- lists of pieces ---- */

/* Every piece its own bucket: exact. */
static void fill_single_lists(struct conv *job)
{
	memset(job->list_count, 0, sizeof job->list_count);
	for (size_t l = 0; l < job->b->count; l++) {
		const size_t at = l * job->list_room;
		job->list_count[0][l] = 1;
		job->list[0][at] = job->b->shift[l];
		if (job->type)
			((double *)job->list_sign[0])[at] = 1;
		else
			((float *)job->list_sign[0])[at] = 1;
	}
}

/* The 8 buckets of one group: each gets one piece of every block of 8 columns, those outside `first` to `first` + count with weight
 * 0. No branch on random bits. */
static inline __attribute__((always_inline)) void fill_group(struct conv *job, unsigned group, size_t first, const bool wide)
{
	const size_t count = job->b->count;
	const ptrdiff_t *shift = job->b->shift;
	double along[GNS_BUCKETS] = {0};
	size_t m = 0;

	for (size_t block = first / 8 * 8; block < first + count; block += 8, m++)
		for (unsigned l = 0; l < GNS_BUCKETS; l++) {
			const int8_t entry = job->table[block + l];
			const size_t column = block + (size_t)(entry & 7) - first; /* huge where before the first */
			const size_t piece = column < count ? column : 0, at = l * job->list_room + m;
			const double sign = column < count ? 1 - 2 * (double)((uint8_t)entry >> 7) : 0;
			job->list[group][at] = shift[piece];
			along[l] += sign * job->b_along[piece];
			if (wide)
				((double *)job->list_sign[group])[at] = sign;
			else
				((float *)job->list_sign[group])[at] = (float)sign;
		}
	for (unsigned l = 0; l < GNS_BUCKETS; l++) {
		job->list_count[group][l] = m;
		job->list_along[group][l] = along[l];
	}
}

/* Pieces of b by bucket. `first`: the column of the table that piece 0 is. */
static void fill_lists(struct conv *job, uint64_t seed, uint64_t stream, uint64_t key, size_t first)
{
	if (job->exact) {
		fill_single_lists(job);
		return;
	}
	for (unsigned g = 0; g < job->probe_groups; g++) {
		gns_sketch_table(job->table, first + job->b->count, seed, stream, key, g);
		if (job->type)
			fill_group(job, g, first, true);
		else
			fill_group(job, g, first, false);
	}
}

/* ---- the direction ---- */

/* v of a channel is the sum of its plane, and the same for all taps: near the mean row of the unfolded input, and A v costs a sum
 * over channels and one over taps instead of one over both. */
static void add_direction(struct conv *job)
{
	for (size_t c = 0; c < job->channels; c++)
		job->mean[c] += job->kernels->sum_run[job->type](
			(const char *)job->in.base + job->channel_shift[c] * (ptrdiff_t)job->item, job->plane);
}

/* `n` entries of v as the kernels take them, and v itself as they hold them. */
static void narrow_direction(struct conv *job, double *v, size_t n)
{
	for (size_t j = 0; j < n; j++) {
		if (job->type) {
			((double *)job->weights)[j] = v[j];
			continue;
		}
		((float *)job->weights)[j] = (float)v[j];
		v[j] = (double)((float *)job->weights)[j];
	}
}

/* v to a length of about 1 by a power of two. False where there is none. */
static bool settle_direction(struct conv *job)
{
	const double length2 = job->kernels->norm2[1](job->mean, job->channels);
	int exponent = 0;

	if (length2 == 0)
		return false;
	if (isfinite(length2))
		frexp(length2, &exponent);
	const double scale = ldexp(1, -exponent / 2);
	for (size_t c = 0; c < job->channels; c++)
		job->mean[c] *= scale;
	narrow_direction(job, job->mean, job->channels);
	for (size_t c = 0, j = 0; c < job->channels; c++)
		for (size_t k = 0; k < job->taps; k++)
			job->v[j++] = job->mean[c];
	return true;
}

/* The sum over all images of a sample; the last one stays laid out. */
static void direct_sample(struct conv *job, size_t sample, size_t group)
{
	memset(job->mean, 0, job->channels * sizeof *job->mean);
	for (size_t k = 0; k < job->images; k++) {
		put_image(job, sample * job->images + k, group);
		add_direction(job);
	}
}

/* ---- blocks of positions ---- */

/* Rows of one plane that fit a map with 16 elements to spare, or a piece of a row. */
static bool next_block(const struct conv *job, size_t at[3], struct block *block)
{
	const struct gns_conv_axis *axis = job->axis;
	const size_t room = GNS_MAP - 16, width = axis[2].out, row = axis[2].length;

	if (at[2] == width)
		at[2] = 0, at[1]++;
	if (at[1] == axis[1].out)
		at[1] = 0, at[0]++;
	if (at[0] == axis[0].out)
		return false;
	const size_t fit = width > room ? 1 : 1 + (room - width) / row, left = axis[1].out - at[1];
	block->rows = fit < left ? fit : left;
	block->width = width - at[2] < room ? width - at[2] : room;
	block->padded = (block->rows - 1) * row + block->width;
	block->dense = block->rows * block->width;
	block->padded_at = (at[0] * axis[1].length + at[1]) * row + at[2];
	block->dense_at = (at[0] * axis[1].out + at[1]) * width + at[2];
	at[2] += block->width;
	if (block->rows > 1) {
		at[2] = 0;
		at[1] += block->rows;
	}
	return true;
}

static const void *at_position(const struct conv *job, const void *base, size_t q)
{
	return (const char *)base + q * job->item;
}

/* Maps at the pitch of the planes to gapless ones. Returns where they are. */
static const char *to_dense(const struct conv *job, const struct block *block, const char *padded, char *dense, size_t maps)
{
	if (block->padded == block->dense)
		return padded;
	for (size_t l = 0; l < maps; l++)
		job->kernels->copy_rows[job->type](padded + l * GNS_MAP * job->item, (ptrdiff_t)job->axis[2].length, block->rows,
						   block->width, 0, dense + l * GNS_MAP * job->item, block->width);
	return dense;
}

/* The other way. What lies between two rows was 0 from the beginning, and nothing but zeros is ever written there. */
static const char *to_padded(const struct conv *job, const struct block *block, const char *dense, char *padded, size_t maps)
{
	if (block->padded == block->dense)
		return dense;
	for (size_t l = 0; l < maps; l++)
		job->kernels->copy_rows[job->type](dense + l * GNS_MAP * job->item, (ptrdiff_t)block->width, block->rows,
						   block->width, 0, padded + l * GNS_MAP * job->item, job->axis[2].length);
	return padded;
}

/* ---- the products ---- */

/* Where a block's pieces of a side begin. */
static const void *side_at(const struct conv *job, const struct side *side, const struct block *block)
{
	return at_position(job, side->base, side == &job->in ? block->padded_at : block->dense_at);
}

static size_t side_length(const struct conv *job, const struct side *side, const struct block *block)
{
	return side == &job->in ? block->padded : block->dense;
}

/* g += A v of a block: the input along v at every position, then its products with the maps of y. `separable`: v is the same for
 * all taps, and its channels are mixed already. */
static void add_along(const struct conv *job, const struct block *block, bool separable, double *g)
{
	const struct gns_sketch_kernels *kernels = job->kernels;
	const int type = job->type;

	if (separable)
		kernels->shift_sum[type](at_position(job, job->mixed, block->padded_at), job->tap_shift, job->ones, job->taps,
					 block->padded, job->padded_a);
	else
		kernels->shift_sum[type](side_at(job, &job->in, block), job->in.shift, job->weights, job->in.count, block->padded,
					 job->padded_a);
	const char *a = to_dense(job, block, job->padded_a, job->dense_a, 1);
	kernels->shift_dots[type](side_at(job, &job->out, block), job->out.shift, job->out.count, block->dense, 0, a, 1, g, 1, 1);
}

/* z += A h of a block, of one group of probes. */
static void add_buckets(const struct conv *job, const struct block *block, unsigned group, ptrdiff_t ahead, double *z, size_t z_step,
			size_t z_map)
{
	const struct gns_sketch_kernels *kernels = job->kernels;
	const bool from_input = job->b == &job->in;
	char *made = from_input ? job->padded_map : job->dense_map;

	for (unsigned l = 0; l < job->maps; l++)
		kernels->shift_sum[job->type](side_at(job, job->b, block), job->list[group] + l * job->list_room,
					      (const char *)job->list_sign[group] + l * job->list_room * job->item,
					      job->list_count[group][l], side_length(job, job->b, block),
					      made + l * GNS_MAP * job->item);
	const char *map = from_input ? to_dense(job, block, made, job->dense_map, job->maps) :
				       to_padded(job, block, made, job->padded_map, job->maps);
	kernels->shift_dots[job->type](side_at(job, job->z, block), job->z->shift, job->z->count, side_length(job, job->z, block),
				       ahead, map, job->maps, z, z_step, z_map);
}

struct target {
	double *g, *z;
	size_t z_step, z_map, z_group;
	bool along, separable;
};

/* The image that is laid out, to g and z. */
static void add_image(const struct conv *job, const struct target *to)
{
	/* A small image is hinted one ahead, a large one by the next rows. */
	const bool small = job->out.count * job->positions * job->item <= (256u << 10), reads = job->z == &job->out && job->out.in_place;
	size_t at[3] = {0};
	struct block block;

	if (to->along && to->separable)
		job->kernels->shift_sum[job->type](job->in.base, job->channel_shift, job->weights, job->channels, job->plane,
						   job->mixed);
	while (next_block(job, at, &block)) {
		if (to->along)
			add_along(job, &block, to->separable, to->g);
		for (unsigned k = 0; k < job->probe_groups; k++)
			add_buckets(job, &block, k, !reads ? 0 : small ? job->y.stride[0] : (ptrdiff_t)block.dense, to->z + k * to->z_group, to->z_step, to->z_map);
	}
}

/* |A v|^2 / |v|^2 and the mean over groups of |A (I - v v^T / |v|^2) h|^2: with v of b's side that is z - A v (v . h) / |v|^2, with v
 * of z's the part of z along v goes. */
static double settle_sums(const struct conv *job, bool along)
{
	const struct gns_sketch_kernels *kernels = job->kernels;
	const size_t count = job->z->count;
	double sum = 0, part = 0;

	if (!along)
		return kernels->norm2[1](job->sums, count * GNS_BUCKETS * job->probe_groups) / job->probe_groups;
	const double length2 = kernels->norm2[1](job->v, job->in.count);
	for (unsigned g = 0; g < job->probe_groups; g++) {
		double *z = job->sums + g * count * GNS_BUCKETS, dot[GNS_BUCKETS] = {0};
		for (size_t j = 0; j < count; j++)
			for (size_t l = 0; l < GNS_BUCKETS; l++) {
				if (job->z == &job->in)
					dot[l] += z[j * GNS_BUCKETS + l] * job->v[j];
				else
					z[j * GNS_BUCKETS + l] -= job->g[j] * (job->list_along[g][l] / length2);
			}
		part += kernels->norm2[1](dot, GNS_BUCKETS) / length2;
		sum += kernels->norm2[1](z, count * GNS_BUCKETS);
	}
	return (sum - part) / job->probe_groups + kernels->norm2[1](job->g, job->out.count) / length2;
}

static double sketch_sample(struct conv *job, size_t sample, size_t group)
{
	const struct gns_samples *samples = job->samples;
	struct target to = {.g = job->g, .z = job->sums, .z_step = GNS_BUCKETS, .z_map = 1,
			    .z_group = GNS_BUCKETS * job->z->count, .separable = true};

	memset(job->g, 0, job->out.count * sizeof *job->g);
	memset(job->sums, 0, job->z->count * GNS_BUCKETS * job->probe_groups * sizeof *job->sums);
	if (job->exact)
		put_image(job, sample * job->images, group);
	else {
		direct_sample(job, sample, group);
		to.along = settle_direction(job);
	}
	fill_lists(job, samples->seed, samples->stream, sample * job->groups + group, 0);
	for (size_t k = 0; k < job->images; k++) {
		if (job->images > 1)
			put_image(job, sample * job->images + k, group);
		add_image(job, &to);
	}
	return settle_sums(job, to.along);
}

/* To the uses: buckets along the outputs, signs common to all of them. */
static void add_sample(struct conv *job, size_t sample, size_t group)
{
	struct gns_shared *uses = job->samples->uses;
	const struct target to = {.g = gns_shared_g(uses, sample) + group * job->out.count, .z = gns_shared_z(uses, sample), .z_step = 1,
				  .z_map = uses->rest_ld, .z_group = GNS_BUCKETS * uses->rest_ld, .along = true};

	if (!uses->has_v[sample]) {
		direct_sample(job, sample, group);
		memset(job->v, 0, job->in.count * sizeof *job->v);
		settle_direction(job);
		gns_shared_direct(uses, sample, job->v);
	}
	memcpy(job->v, gns_shared_v(uses, sample), uses->rest * sizeof *job->v);
	narrow_direction(job, job->v, uses->rest);
	fill_lists(job, uses->seed, uses->stream, sample, group * job->out.count);
	for (size_t k = 0; k < job->images; k++) {
		put_image(job, sample * job->images + k, group);
		add_image(job, &to);
	}
}

/* Whether a tensor's channels are gapless runs of one value type. */
static bool is_in_place(const struct conv *job, const struct gns_tensor *t)
{
	size_t run = 1;

	for (unsigned d = 5; d-- > 2; run *= t->size[d])
		if (t->size[d] != 1 && t->stride[d] != (ptrdiff_t)run)
			return false;
	return t->dtype == (job->type ? GNS_F64 : GNS_F32);
}

/* Whether the planes that the kernel meets are the input itself. */
static bool is_plain(const struct conv *job)
{
	for (unsigned d = 0; d < GNS_CONV_DIMS; d++)
		if (job->axis[d].kernel != 1 || job->axis[d].stride != 1 || job->axis[d].padding)
			return false;
	return true;
}

static int set_up(struct conv *job, const struct gns_tensor *x, const struct gns_tensor *y, const struct gns_conv *conv)
{
	if (!gns_samples_are_sound(job->samples) || !gns_tensor_is_sound(x) || !gns_tensor_is_sound(y) || !conv || conv->dims < 1 ||
	    conv->dims > GNS_CONV_DIMS || x->ndim != conv->dims + 2 || y->ndim != x->ndim)
		return -EINVAL;
	job->x = gns_conv_three_axes(conv->transposed ? y : x);
	job->y = gns_conv_three_axes(conv->transposed ? x : y);
	const int rc = measure(job, conv);
	if (rc || !gns_shared_fit(job->samples, job->y.size[1], job->in.count))
		return rc ? rc : -EINVAL;
	const struct gns_conv_axis *axis = job->axis;
	job->positions = axis[0].out * axis[1].out * axis[2].out;
	job->out_pitch = job->positions + 16; /* never a power of two: channels must not share cache sets */
	job->type = x->dtype == GNS_F64 || y->dtype == GNS_F64;
	job->item = job->type ? 8 : 4;
	job->out.in_place = is_in_place(job, &job->y);
	job->in.in_place = is_plain(job) && is_in_place(job, &job->x);
	return 0;
}

static void take_samples(struct conv *job, double *sum, double *bias_sum)
{
	const struct gns_samples *samples = job->samples;

	for (size_t i = samples->first; i < gns_samples_end(samples); i++) {
		for (size_t g = 0; g < job->groups; g++) {
			if (samples->uses)
				add_sample(job, i, g);
			else
				*sum += sketch_sample(job, i, g);
		}
		if (job->bias.samples)
			*bias_sum += gns_layer_reduction_norm2(&job->bias, i);
	}
}

int gns_layer_conv_bias(struct gns_layers *layers, struct gns_samples *samples, struct gns_samples *bias, const struct gns_tensor *x,
			const struct gns_tensor *y, const struct gns_conv *conv)
{
	struct conv job = {.layers = layers, .samples = samples, .bias = {.layers = layers, .samples = bias}};
	double sum = 0, bias_sum = 0;
	int rc = layers ? set_up(&job, x, y, conv) : -EINVAL;

	if (rc)
		return rc;
	const size_t shape[GNS_CONV_DIMS + 1] = {y->size[1], 1, 1, 1};
	job.kernels = layers->kernels;
	if (!gns_tensor_is_empty(x) && !gns_tensor_is_empty(y)) {
		rc = bias ? gns_layer_reduction_sum(&job.bias, y, NULL, conv->dims + 1, shape) : 0;
		deal_roles(&job);
		rc = rc ? rc : take_memory(&job);
		if (rc)
			return rc;
		if (bias)
			gns_layer_reduction_start(&job.bias);
		take_samples(&job, &sum, &bias_sum);
	} else if (bias && (rc = gns_layer_reduce(layers, bias, y, NULL, conv->dims + 1, shape)) == 0)
		bias_sum = bias->sum;
	if (rc)
		return rc;
	if (bias)
		bias->sum = bias_sum;
	if (!samples->uses)
		samples->sum = sum;
	return 0;
}

int gns_layer_conv(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *y,
		   const struct gns_conv *conv)
{
	return gns_layer_conv_bias(layers, samples, NULL, x, y, conv);
}
