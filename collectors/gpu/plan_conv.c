/* Launch sequences of convolutions: the input laid out, the direction, maps of positions, products with them, the estimate. */
#include <errno.h>

#include "plan_private.h"

#define CHUNK_MOST 2048 /* positions of a sum: a lane adds up 64 of them */
#define CHUNK_LEAST 256

struct conv {
	struct gns_plan_draft draft;
	const struct gns_cu_convolution *of;
	size_t first, n, images; /* samples; images of all of them */
	size_t in, out, positions, plane, taps; /* channels of a group */
	uint32_t acc;            /* GNS_F32 or GNS_F64 */
	bool x_in_place, y_in_place, is_use, exact, deflate;
	bool from_input; /* buckets of the input */
	struct gns_cu_pieces input, output;
	uint32_t input_type, output_type;
	const void *v;
	uint32_t maps, total; /* of buckets; with the one along v */
	void *map;
};

static size_t volume(const uint32_t size[3])
{
	return (size_t)size[0] * size[1] * size[2];
}

/* Whether positions are a run, and the element type goes with the other one. */
static bool is_in_place(const struct conv *job, const struct gns_tensor *t)
{
	size_t run = 1;

	for (unsigned d = 5; d-- > 2; run *= t->size[d])
		if (t->size[d] != 1 && t->stride[d] != (ptrdiff_t)run)
			return false;
	return (t->dtype == GNS_F64) == (job->acc == GNS_F64);
}

static bool is_plain(const struct gns_cu_axes *axes)
{
	for (unsigned d = 0; d < 3; d++)
		if (axes->kernel[d] != 1 || axes->stride[d] != 1 || axes->padding[d])
			return false;
	return true;
}

static int measure(struct conv *job)
{
	const struct gns_cu_convolution *of = job->of;
	const struct gns_cu_axes *axes = &of->axes;
	size_t planes, positions;

	job->images = job->n * of->images;
	job->in = of->x->size[1] / of->groups;
	job->out = of->y->size[1] / of->groups;
	job->taps = volume(axes->kernel);
	job->positions = volume(axes->out);
	job->plane = volume(axes->phases) * volume(axes->length);
	/* Shifts are 32 bits. */
	if (__builtin_mul_overflow(job->plane, of->x->size[1], &planes) || planes > INT32_MAX ||
	    __builtin_mul_overflow(job->positions, of->y->size[1], &positions) || positions > INT32_MAX)
		return -ENOTSUP;
	job->acc = of->x->dtype == GNS_F64 || of->y->dtype == GNS_F64 ? GNS_F64 : GNS_F32;
	job->x_in_place = is_plain(axes) && is_in_place(job, of->x);
	job->y_in_place = is_in_place(job, of->y);
	return 0;
}

static void deal_roles(struct conv *job)
{
	const size_t in = job->in * job->taps;
	const bool in_wider = in >= job->out;
	const size_t narrow = in_wider ? job->out : in;

	job->is_use = job->of->acc != NULL;
	job->exact = narrow <= GNS_CU_BUCKETS && !job->is_use;
	job->from_input = !job->is_use && (job->exact ? !in_wider : in_wider);
	job->deflate = !job->exact && !job->is_use;
	job->maps = job->exact ? (uint32_t)narrow : GNS_CU_BUCKETS;
	job->total = job->maps + job->deflate;
}

static const void *from_sample(const struct conv *job, const struct gns_tensor *t)
{
	const size_t item = gns_plan_item_size(t->dtype);

	return (const char *)t->data + (ptrdiff_t)(job->first * job->of->images) * t->stride[0] * (ptrdiff_t)item;
}

/* Images of the slice alone. */
static struct gns_tensor slice_of(const struct conv *job, const struct gns_tensor *t)
{
	struct gns_tensor slice = *t;

	slice.data = from_sample(job, t);
	slice.size[0] = job->images;
	return slice;
}

static int put_output(struct conv *job)
{
	const struct gns_tensor y = slice_of(job, job->of->y);
	const size_t channels = y.size[1];

	job->output = (struct gns_cu_pieces){.count = job->out, .taps = 1};
	if (job->y_in_place) {
		job->output_type = y.dtype;
		job->output.base = y.data;
		job->output.image_step = y.stride[0];
		job->output.group_step = (ptrdiff_t)job->out * y.stride[1];
		job->output.channel_step = y.stride[1];
	} else {
		job->output_type = job->acc;
		job->output.image_step = (int64_t)(channels * job->positions);
		job->output.group_step = (int64_t)(job->out * job->positions);
		job->output.channel_step = (int64_t)job->positions;
		void *room = gns_plan_take(&job->draft, job->images * channels * job->positions, gns_plan_acc_size(job->acc));
		job->output.base = room;
		const int rc = gns_plan_copy(&job->draft, &y, room, job->acc);
		if (rc)
			return rc;
	}
	for (unsigned d = 0; d < 3; d++) /* no division by zero in a shift of nothing */
		job->output.axes.kernel[d] = job->output.axes.phases[d] = job->output.axes.stride[d] = job->output.axes.out[d] = 1;
	return 0;
}

static void plan_direction(struct conv *job, const double *part, size_t channels, size_t tiles)
{
	void *v = gns_plan_take(&job->draft, job->n * channels, gns_plan_acc_size(job->acc));
	struct gns_cu_launch *l = gns_plan_launch(&job->draft, "conv_direction", gns_plan_type_name(job->acc),
						  gns_plan_ceil_div(job->n * channels, GNS_CU_THREADS), 1, 1);

	l->args.conv_direction = (struct gns_cu_conv_direction){.part = part, .samples = job->n, .images = job->of->images,
								.channels = channels, .tiles = tiles, .v = v};
	job->v = v;
}

static void put_input(struct conv *job)
{
	const struct gns_tensor x = slice_of(job, job->of->x);
	const size_t channels = x.size[1], tiles = gns_plan_ceil_div(job->plane, GNS_CU_LAY);
	struct gns_cu_conv_lay lay = {.data = x.data, .image_step = x.stride[0], .channel_step = x.stride[1], .axes = job->of->axes,
				      .channels = channels, .plane = job->plane, .tiles = tiles, .dtype = x.dtype};

	for (unsigned d = 0; d < 3; d++)
		lay.step[d] = x.stride[2 + d];
	job->input = (struct gns_cu_pieces){.count = job->in * job->taps, .taps = job->taps, .axes = job->of->axes};
	if (job->x_in_place) {
		job->input_type = x.dtype;
		job->input.base = x.data;
		job->input.image_step = x.stride[0];
		job->input.group_step = (ptrdiff_t)job->in * x.stride[1];
		job->input.channel_step = x.stride[1];
	} else {
		job->input_type = job->acc;
		lay.out = gns_plan_take(&job->draft, job->images * channels * job->plane, gns_plan_acc_size(job->acc));
		job->input.base = lay.out;
		job->input.image_step = (int64_t)(channels * job->plane);
		job->input.group_step = (int64_t)(job->in * job->plane);
		job->input.channel_step = (int64_t)job->plane;
		job->input.padded = 1;
	}
	if (job->deflate)
		lay.part = gns_plan_take(&job->draft, job->images * channels * tiles, sizeof(double));
	if (!job->x_in_place || job->deflate)
		gns_plan_launch(&job->draft, "conv_lay", gns_plan_type_name(job->acc), job->images * channels * tiles, 1, 1)->args.conv_lay = lay;
	if (job->deflate)
		plan_direction(job, lay.part, channels, tiles);
}

/* Positions of a block: few where there are few, or where blocks would be too few. */
static uint32_t map_width(const struct conv *job)
{
	const size_t want = gns_plan_multiprocessors(job->draft.ground) * GNS_PLAN_BLOCKS_A_SM;
	uint32_t width = 32;

	while (width < GNS_CU_THREADS && width < job->positions)
		width *= 2;
	while (width > 32 && gns_plan_ceil_div(job->positions, width) * job->images * job->of->groups < want)
		width /= 2;
	return width;
}

static void plan_maps(struct conv *job, const struct gns_cu_pieces *pieces, uint32_t type, uint32_t maps, bool along)
{
	const struct gns_cu_convolution *of = job->of;
	const uint32_t width = map_width(job);
	const size_t tiles = gns_plan_ceil_div(job->positions, width);
	struct gns_cu_launch *l = gns_plan_launch(&job->draft, "conv_maps", gns_plan_type_name(type), job->images * of->groups * tiles, 1, 1);

	l->args.conv_maps = (struct gns_cu_conv_maps){
		.pieces = *pieces, .images = of->images, .groups = of->groups, .positions = job->positions, .tiles = tiles, .seed = of->seed,
		.stream = of->stream, .first_sample = job->first, .form = job->exact ? GNS_CU_CONV_SINGLE : GNS_CU_CONV_BUCKETS,
		.width = width, .maps = maps, .along = along, .total = job->total, .v = along ? job->v : NULL, .out = job->map, .common = job->is_use,
	};
}

/* A chunk short enough for the sums, and for blocks enough. */
static size_t chunk_positions(const struct conv *job, size_t tiles)
{
	const size_t want = gns_plan_multiprocessors(job->draft.ground) * GNS_PLAN_BLOCKS_A_SM * 8;
	const size_t chunks = gns_plan_ceil_div(want, tiles * job->images * job->of->groups);
	size_t chunk = gns_plan_ceil_div(gns_plan_ceil_div(job->positions, chunks), 32) * 32;

	chunk = chunk < CHUNK_LEAST ? CHUNK_LEAST : chunk;
	return chunk < CHUNK_MOST ? chunk : CHUNK_MOST;
}

static void *plan_dots(struct conv *job, const struct gns_cu_pieces *pieces, uint32_t type, uint32_t first, uint32_t maps, size_t chunk)
{
	const size_t tiles = gns_plan_ceil_div(pieces->count, 8), chunks = gns_plan_ceil_div(job->positions, chunk);
	const size_t ones = job->images * job->of->groups, units = ones * chunks * tiles;
	void *part = gns_plan_take(&job->draft, ones * chunks * pieces->count * maps, gns_plan_acc_size(job->acc));
	struct gns_cu_launch *l = gns_plan_launch(&job->draft, "conv_dots", gns_plan_type_name(type), gns_plan_ceil_div(units, 8), 1, 1);

	l->args.conv_dots = (struct gns_cu_conv_dots){.pieces = *pieces, .units = units, .groups = job->of->groups,
						      .positions = job->positions, .chunk = chunk, .chunks = chunks, .maps = job->map,
						      .first_map = first, .maps_n = maps, .total = job->total, .part = part};
	return part;
}

static int plan_finish(struct conv *job, const void *z, const void *g, size_t chunk)
{
	const struct gns_cu_convolution *of = job->of;
	double *value = gns_plan_take(&job->draft, job->n * of->groups, sizeof *value);
	struct gns_cu_launch *l = gns_plan_launch(&job->draft, "conv_finish", gns_plan_type_name(job->acc), job->n * of->groups, 1, 1);

	l->args.conv_finish = (struct gns_cu_conv_finish){
		.z = z, .g = g, .v = job->v, .images = of->images, .groups = of->groups, .chunks = gns_plan_ceil_div(job->positions, chunk),
		.count = job->from_input ? job->out : job->in * job->taps, .g_count = job->out, .maps = job->maps,
		.pieces = job->in * job->taps, .taps = job->taps, .channels = job->in, .seed = of->seed, .stream = of->stream,
		.first_sample = job->first, .value = value,
	};
	return gns_plan_end(&job->draft, value, job->n * of->groups);
}

/* The groups' rows are rows of one parameter: their sketches add up, as those of images and chunks do. */
static int add_use(struct conv *job, const void *z, size_t chunk)
{
	const size_t rest = job->input.count, chunks = gns_plan_ceil_div(job->positions, chunk), n = job->n;
	struct gns_cu_launch *l = gns_plan_launch(&job->draft, "add_up", gns_plan_type_name(job->acc),
						  gns_plan_ceil_div(n * GNS_CU_BUCKETS * rest, GNS_CU_THREADS), 1, 1);

	l->args.add_up = (struct gns_cu_add_up){.part = z, .acc = job->of->acc + job->first * GNS_CU_BUCKETS * rest, .samples = n,
						.chunks = job->of->images * job->of->groups * chunks, .cols = rest, .lane_step = 1,
						.col_step = GNS_CU_BUCKETS};
	return gns_plan_seal(&job->draft);
}

int gns_cu_plan_conv(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_convolution *conv, size_t first,
		     size_t n)
{
	struct conv job = {.draft = gns_plan_begin(plan, ground), .of = conv, .first = first, .n = n};
	int rc = measure(&job);

	if (rc)
		return rc;
	if (!n || !job.images || !job.in || !job.out || !job.positions || !volume(conv->axes.in))
		return conv->acc ? gns_plan_seal(&job.draft) : gns_plan_end(&job.draft, NULL, 0);
	deal_roles(&job);
	rc = put_output(&job);
	if (rc)
		return rc;
	put_input(&job);
	job.map = gns_plan_take(&job.draft, job.images * conv->groups * job.total * job.positions, gns_plan_acc_size(job.acc));
	const struct gns_cu_pieces *b = job.from_input ? &job.input : &job.output, *z = job.from_input ? &job.output : &job.input;
	const uint32_t b_type = job.from_input ? job.input_type : job.output_type, z_type = job.from_input ? job.output_type : job.input_type;
	const size_t chunk = chunk_positions(&job, gns_plan_ceil_div(z->count, 8));
	const void *g = NULL;
	plan_maps(&job, b, b_type, job.maps, job.deflate && job.from_input);
	if (job.deflate && !job.from_input) {
		plan_maps(&job, &job.input, job.input_type, 0, true);
		g = plan_dots(&job, &job.output, job.output_type, job.total - 1, 1, chunk);
	}
	const void *dots = plan_dots(&job, z, z_type, 0, job.from_input ? job.total : job.maps, chunk);
	return job.is_use ? add_use(&job, dots, chunk) : plan_finish(&job, dots, g, chunk);
}
