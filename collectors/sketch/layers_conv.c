/* Convolutions: a sample's gradient as products of shifted pieces of its input with maps of positions.
 *
 * The input is laid out once, padded, every phase of the stride in a plane of its own, and the output gradient at the same pitch
 * with zeros between its rows. Then each entry (c, k) of the kernel is one shift of the input, in a run over all positions; what a
 * shift meets between two rows meets a zero there. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "layers_private.h"

#define GROUPS_MAX (GNS_PROBES_MAX / GNS_BUCKETS)

/* One spatial dimension. Position m meets padded input t = m stride + k dilation: phase t % stride, at t / stride. */
struct axis {
	size_t in, out, kernel, stride, padding, dilation;
	size_t length;  /* of a phase's plane along this dimension */
	size_t phases;  /* that the kernel meets */
};

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
	const struct gns_kernels *kernels;
	struct gns_samples *samples;
	struct gns_tensor x, y; /* x meets the kernel, y has the positions; five dimensions */
	struct axis axis[GNS_CONV_DIMS];
	size_t taps, groups, images, plane, positions, map_pitch;
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
	int8_t *table;
	char *map; /* GNS_BUCKETS x GNS_MAP */
	void *a, *ones, *v_narrow;
	double *v, *g, *sums; /* the direction (z's), A^T v (b's), z: 8 doubles an entry and group */
};

/* ---- geometry ---- */

static struct gns_tensor with_three_axes(const struct gns_tensor *t)
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

static int measure_axis(struct axis *axis, bool transposed)
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
		const struct axis *axis = &job->axis[d];
		slot = slot * axis->phases + k[d] % axis->phases;
		shift = shift * axis->length + k[d] * axis->dilation / axis->stride;
	}
	return slot * job->axis[0].length * job->axis[1].length * job->axis[2].length + shift;
}

static void fill_shifts(struct conv *job)
{
	const struct axis *axis = job->axis;
	size_t at = 0, k[GNS_CONV_DIMS];

	for (size_t c = 0; c < job->in.count / job->taps; c++)
		for (k[0] = 0; k[0] < axis[0].kernel; k[0]++)
			for (k[1] = 0; k[1] < axis[1].kernel; k[1]++)
				for (k[2] = 0; k[2] < axis[2].kernel; k[2]++)
					job->in.shift[at++] = job->in.in_place ? (ptrdiff_t)c * job->x.stride[1] :
										 (ptrdiff_t)(c * job->plane + tap_shift(job, k));
	for (size_t o = 0; o < job->out.count; o++)
		job->out.shift[o] = (ptrdiff_t)o * (job->out.in_place ? job->y.stride[1] : (ptrdiff_t)job->map_pitch);
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
		struct axis *axis = &job->axis[d];
		*axis = (struct axis){.in = x->size[2 + d], .out = y->size[2 + d], .kernel = 1, .stride = 1, .dilation = 1};
		if (d >= missing) {
			axis->kernel = conv->kernel[d - missing];
			axis->stride = conv->stride[d - missing];
			axis->padding = conv->padding[d - missing];
			axis->dilation = conv->dilation[d - missing];
		}
		if (axis->out && measure_axis(axis, conv->transposed))
			return -EINVAL;
		if (__builtin_mul_overflow(job->taps, axis->kernel, &job->taps) ||
		    __builtin_mul_overflow(job->plane, axis->phases * axis->length, &job->plane) ||
		    job->plane > SIZE_MAX >> 24)
			return -EINVAL;
	}
	job->groups = conv->groups;
	job->images = x->size[0] / job->samples->n;
	job->in.count = x->size[1] / conv->groups * job->taps;
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

static int take_memory(struct conv *job)
{
	struct gns_arena arena = {.layers = job->layers};
	const size_t channels = job->in.count / job->taps, table = job->samples->uses ? job->y.size[1] : job->b->count;

	const size_t in_room = job->in.in_place ? 0 : channels * job->plane + 64;
	const size_t out_room = job->out.in_place ? 0 : job->out.count * job->map_pitch + 64;

	job->in.room = gns_arena_take(&arena, in_room, job->item);
	job->out.room = gns_arena_take(&arena, out_room, job->item);
	job->in.shift = gns_arena_take(&arena, job->in.count, sizeof(ptrdiff_t));
	job->out.shift = gns_arena_take(&arena, job->out.count, sizeof(ptrdiff_t));
	job->list_room = job->b->count / GNS_BUCKETS + 3;
	for (unsigned g = 0; g < job->probe_groups; g++) {
		job->list[g] = gns_arena_take(&arena, GNS_BUCKETS * job->list_room, sizeof(ptrdiff_t));
		job->list_sign[g] = gns_arena_take(&arena, GNS_BUCKETS * job->list_room, job->item);
	}
	job->table = gns_arena_take(&arena, table + 64, 1);
	job->map = gns_arena_take(&arena, GNS_BUCKETS * GNS_MAP, job->item);
	job->a = gns_arena_take(&arena, GNS_MAP, job->item);
	job->ones = gns_arena_take(&arena, GNS_MAP, job->item);
	job->v_narrow = gns_arena_take(&arena, job->z->count, job->item);
	job->v = gns_arena_take(&arena, job->z->count, sizeof(double));
	job->g = gns_arena_take(&arena, job->b->count, sizeof(double));
	job->sums = gns_arena_take(&arena, job->z->count * GNS_BUCKETS * job->probe_groups, sizeof(double));
	const int rc = gns_arena_check(&arena);
	if (rc)
		return rc;
	memset(job->in.room, 0, in_room * job->item);
	memset(job->out.room, 0, out_room * job->item);
	for (size_t q = 0; q < GNS_MAP; q++) {
		if (job->type)
			((double *)job->ones)[q] = 1;
		else
			((float *)job->ones)[q] = 1;
	}
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

/* A block of n[0] x n[1] x n[2] elements, `step` apart, to a block whose planes and rows have the pitch of the positions. Rows go
 * upwards: copy_rows leaves zeros behind each, which the next one writes over. */
static void put_block(const struct conv *job, const struct gns_tensor *t, ptrdiff_t from, const size_t n[3],
		      const ptrdiff_t step[3], char *to)
{
	const size_t row = job->axis[2].length, plane = row * job->axis[1].length;
	const bool own = t->dtype == (job->type ? GNS_F64 : GNS_F32), same = own && step[2] == 1;

	for (size_t i = 0; i < n[0]; i++) {
		char *out = to + i * plane * job->item;
		const ptrdiff_t start = from + (ptrdiff_t)i * step[0];
		if (same && row == n[2] && step[1] == (ptrdiff_t)row)
			job->kernels->copy_rows[job->type](gns_tensor_at(t, start), 0, 1, n[1] * n[2], out, 0);
		else if (same)
			job->kernels->copy_rows[job->type](gns_tensor_at(t, start), step[1], n[1], n[2], out, row);
		else if (own && step[2] == 2)
			job->kernels->copy_second[job->type](gns_tensor_at(t, start), step[1], n[1], n[2], out, row);
		else
			for (size_t j = 0; j < n[1]; j++)
				put_row(job, t, start + (ptrdiff_t)j * step[1], step[2], n[2], out + j * row * job->item);
	}
}

/* The entries of one dimension that have phase `slot`: the first, how many, and where in the input the first is. */
static size_t phase_range(const struct axis *axis, size_t slot, size_t *first, size_t *source)
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
			 const ptrdiff_t step[3], float *to, size_t channels, size_t channel_ld)
{
	const size_t row = job->axis[2].length, plane = row * job->axis[1].length, whole = channels / 4 * 4;

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
	size_t n[3], first[3], at = 0;
	ptrdiff_t step[3], from = channel;

	for (unsigned d = 0; d < 3; d++) {
		const struct axis *axis = &job->axis[d];
		size_t source;
		n[d] = phase_range(axis, slot[d], &first[d], &source);
		if (n[d] == 0 || first[d] >= axis->length)
			return;
		step[d] = job->x.stride[2 + d] * (ptrdiff_t)axis->stride;
		from += (ptrdiff_t)source * job->x.stride[2 + d];
		at = at * axis->length + first[d];
	}
	if (is_channels_last(job, &job->x))
		put_channels(job, &job->x, from, n, step, (float *)(void *)to + at, job->in.count / job->taps, job->plane);
	else
		put_block(job, &job->x, from, n, step, to + at * job->item);
}

static void put_input(const struct conv *job, size_t image, size_t group)
{
	const struct axis *axis = job->axis;
	const size_t channels = job->in.count / job->taps, volume = axis[0].length * axis[1].length * axis[2].length;
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
	const size_t positions[3] = {job->axis[0].out, job->axis[1].out, job->axis[2].out}, count = job->out.count;
	const ptrdiff_t from = (ptrdiff_t)image * job->y.stride[0] + (ptrdiff_t)(group * count) * job->y.stride[1];

	if (is_channels_last(job, &job->y)) {
		put_channels(job, &job->y, from, positions, &job->y.stride[2], job->out.room, count, job->map_pitch);
		return;
	}
	for (size_t o = 0; o < count; o++)
		put_block(job, &job->y, from + (ptrdiff_t)o * job->y.stride[1], positions, &job->y.stride[2],
			  (char *)job->out.room + o * job->map_pitch * job->item);
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

/* ---- the products ---- */

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

/* Bucket l of one group: from every block of 8 columns one, those outside `first` to `first` + count left out. No branch on random
 * bits. */
static size_t fill_list(struct conv *job, unsigned group, unsigned l, size_t first)
{
	const size_t count = job->b->count, at = l * job->list_room;
	const ptrdiff_t *shift = job->b->shift;
	ptrdiff_t *list = job->list[group] + at;
	float *narrow = (float *)job->list_sign[group] + at;
	double *wide = (double *)job->list_sign[group] + at;
	size_t n = 0;

	for (size_t block = first / 8 * 8; block < first + count; block += 8) {
		const int8_t entry = job->table[block + l];
		const size_t piece = block + (size_t)(entry & 7) - first; /* huge where before the first */
		list[n] = shift[piece < count ? piece : 0];
		if (job->type)
			wide[n] = entry < 0 ? -1 : 1;
		else
			narrow[n] = entry < 0 ? -1 : 1;
		n += piece < count;
	}
	return n;
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
		for (unsigned l = 0; l < GNS_BUCKETS; l++)
			job->list_count[g][l] = fill_list(job, g, l, first);
	}
}

static const void *at_position(const struct conv *job, const struct side *side, size_t q)
{
	return (const char *)side->base + q * job->item;
}

/* v += the sum of z's pieces over all positions. */
static void add_direction(struct conv *job)
{
	for (size_t q = 0; q < job->positions; q += GNS_MAP) {
		const size_t n = job->positions - q < GNS_MAP ? job->positions - q : GNS_MAP;
		job->kernels->shift_dots[job->type](at_position(job, job->z, q), job->z->shift, job->z->count, n, job->ones, 1,
						    job->v, 1, 1);
	}
}

/* v to a length of about 1 by a power of two, and as the kernels take it. False where there is none. */
static bool settle_direction(struct conv *job)
{
	const double length2 = job->kernels->norm2[1](job->v, job->z->count);
	int exponent = 0;

	if (length2 == 0)
		return false;
	frexp(length2, &exponent);
	const double scale = isfinite(length2) ? ldexp(1, -exponent / 2) : 1;
	for (size_t j = 0; j < job->z->count; j++)
		job->v[j] *= scale;
	return true;
}

static void narrow_direction(struct conv *job)
{
	for (size_t j = 0; j < job->z->count; j++) {
		if (job->type) {
			((double *)job->v_narrow)[j] = job->v[j];
			continue;
		}
		((float *)job->v_narrow)[j] = (float)job->v[j];
		job->v[j] = (double)((float *)job->v_narrow)[j];
	}
}

/* g += A^T v and sums += A h of the image that is laid out. */
static void add_image(struct conv *job, bool deflate, double *g, double *sums, size_t z_step, size_t z_map,
		      size_t z_group)
{
	const struct gns_kernels *kernels = job->kernels;
	const int type = job->type;

	for (size_t q = 0; q < job->positions; q += GNS_MAP) {
		const size_t n = job->positions - q < GNS_MAP ? job->positions - q : GNS_MAP;
		const void *b = at_position(job, job->b, q), *z = at_position(job, job->z, q);
		if (deflate) {
			kernels->shift_sum[type](z, job->z->shift, job->v_narrow, job->z->count, n, job->a);
			kernels->shift_dots[type](b, job->b->shift, job->b->count, n, job->a, 1, g, 1, 1);
		}
		for (unsigned k = 0; k < job->probe_groups; k++) {
			for (unsigned l = 0; l < job->maps; l++)
				kernels->shift_sum[type](b, job->list[k] + l * job->list_room,
							 (const char *)job->list_sign[k] + l * job->list_room * job->item,
							 job->list_count[k][l], n, job->map + l * GNS_MAP * job->item);
			kernels->shift_dots[type](z, job->z->shift, job->z->count, n, job->map, job->maps,
						  sums + k * z_group, z_step, z_map);
		}
	}
}

/* |A^T v|^2 / |v|^2 and the mean over groups of |(I - v v^T / |v|^2) A h|^2. */
static double settle_sums(const struct conv *job, bool deflate)
{
	const struct gns_kernels *kernels = job->kernels;
	const size_t all = job->z->count * GNS_BUCKETS * job->probe_groups;
	double part = 0, sum = kernels->norm2[1](job->sums, all);

	if (!deflate)
		return sum / job->probe_groups;
	for (unsigned g = 0; g < job->probe_groups; g++) {
		double along[GNS_BUCKETS] = {0};
		for (size_t j = 0; j < job->z->count; j++)
			for (int l = 0; l < GNS_BUCKETS; l++)
				along[l] += job->sums[(g * job->z->count + j) * GNS_BUCKETS + (size_t)l] * job->v[j];
		part += kernels->norm2[1](along, GNS_BUCKETS);
	}
	const double length2 = kernels->norm2[1](job->v, job->z->count);
	return (sum - part / length2) / job->probe_groups + kernels->norm2[1](job->g, job->b->count) / length2;
}

static void direct_sample(struct conv *job, size_t sample, size_t group)
{
	memset(job->v, 0, job->z->count * sizeof *job->v);
	for (size_t k = 0; k < job->images; k++) {
		if (job->images > 1)
			put_image(job, sample * job->images + k, group);
		add_direction(job);
	}
}

static double sketch_sample(struct conv *job, size_t sample, size_t group)
{
	const struct gns_samples *samples = job->samples;
	bool deflate = false;

	fill_lists(job, samples->seed, samples->stream, sample * job->groups + group, 0);
	memset(job->g, 0, job->b->count * sizeof *job->g);
	memset(job->sums, 0, job->z->count * GNS_BUCKETS * job->probe_groups * sizeof *job->sums);
	if (job->images == 1)
		put_image(job, sample, group);
	if (!job->exact) {
		direct_sample(job, sample, group);
		deflate = settle_direction(job);
		narrow_direction(job);
	}
	for (size_t k = 0; k < job->images; k++) {
		if (job->images > 1)
			put_image(job, sample * job->images + k, group);
		add_image(job, deflate, job->g, job->sums, GNS_BUCKETS, 1, GNS_BUCKETS * job->z->count);
	}
	return settle_sums(job, deflate);
}

/* To the uses: buckets along the outputs, signs common to all of them. */
static void add_sample(struct conv *job, size_t sample, size_t group)
{
	struct gns_uses *uses = job->samples->uses;

	fill_lists(job, uses->seed, uses->stream, sample, group * job->out.count);
	if (job->images == 1)
		put_image(job, sample, group);
	if (!uses->has_v[sample]) {
		direct_sample(job, sample, group);
		gns_uses_direct(uses, sample, job->v);
	}
	memcpy(job->v, gns_uses_v(uses, sample), uses->rest * sizeof *job->v);
	narrow_direction(job);
	for (size_t k = 0; k < job->images; k++) {
		if (job->images > 1)
			put_image(job, sample * job->images + k, group);
		add_image(job, true, gns_uses_g(uses, sample) + group * job->out.count, gns_uses_z(uses, sample), 1, uses->rest_ld,
			  GNS_BUCKETS * uses->rest_ld);
	}
}

/* Whether a tensor's channels are gapless runs of the positions, whole vectors long. */
static bool is_in_place(const struct conv *job, const struct gns_tensor *t)
{
	size_t run = 1;

	for (unsigned d = 5; d-- > 2;) {
		if (t->size[d] != job->axis[d - 2].length || (t->size[d] != 1 && t->stride[d] != (ptrdiff_t)run))
			return false;
		run *= t->size[d];
	}
	return run % 16 == 0 && t->dtype == (job->type ? GNS_F64 : GNS_F32);
}

static int set_up(struct conv *job, const struct gns_tensor *x, const struct gns_tensor *y, const struct gns_conv *conv)
{
	if (!gns_samples_are_sound(job->samples) || !gns_tensor_is_sound(x) || !gns_tensor_is_sound(y) || !conv || conv->dims < 1 ||
	    conv->dims > GNS_CONV_DIMS || x->ndim != conv->dims + 2 || y->ndim != x->ndim)
		return -EINVAL;
	job->x = with_three_axes(conv->transposed ? y : x);
	job->y = with_three_axes(conv->transposed ? x : y);
	const int rc = measure(job, conv);
	if (rc || !gns_uses_fit(job->samples, job->y.size[1], job->in.count))
		return rc ? rc : -EINVAL;
	const struct axis *axis = job->axis;
	job->positions = ((axis[0].out - 1) * axis[1].length + axis[1].out - 1) * axis[2].length + axis[2].out;
	job->positions = (job->positions + 15) / 16 * 16;
	job->map_pitch = job->positions + 16;
	job->type = x->dtype == GNS_F64 || y->dtype == GNS_F64;
	job->item = job->type ? 8 : 4;
	job->out.in_place = is_in_place(job, &job->y);
	job->in.in_place = job->taps == 1 && job->out.in_place && is_in_place(job, &job->x);
	return 0;
}

int gns_layer_conv(struct gns_layers *layers, struct gns_samples *samples, const struct gns_tensor *x, const struct gns_tensor *y,
		   const struct gns_conv *conv)
{
	struct conv job = {.layers = layers, .samples = samples};
	double sum = 0;
	int rc = layers ? set_up(&job, x, y, conv) : -EINVAL;

	if (rc)
		return rc;
	job.kernels = layers->kernels;
	if (!gns_tensor_is_empty(x) && !gns_tensor_is_empty(y)) {
		deal_roles(&job);
		rc = take_memory(&job);
		for (size_t i = 0; i < samples->n && !rc; i++)
			for (size_t g = 0; g < job.groups; g++) {
				if (samples->uses)
					add_sample(&job, i, g);
				else
					sum += sketch_sample(&job, i, g);
			}
	}
	if (!rc && !samples->uses)
		samples->sum = sum;
	return rc;
}
