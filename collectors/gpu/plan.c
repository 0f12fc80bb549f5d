/* Launch sequences and their geometry. */
#include "plan_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "collectors/sketch/layers.h"

#define GRID_Y_MOST 65535
#define GRAM_SLICE 4096

#define FOUR(name) "gns_" name "_f32", "gns_" name "_f64", "gns_" name "_f16", "gns_" name "_bf16"
const char *const gns_cu_kernels[] = {
	FOUR("norm2"), FOUR("direction"), FOUR("buckets"), FOUR("weigh"), FOUR("columns"), FOUR("gram"), FOUR("inner"),
	FOUR("embedding"), FOUR("add_ids"), "gns_add_up_f32", "gns_add_up_f64", "gns_add_rows", FOUR("conv_maps"), FOUR("conv_dots"), "gns_conv_lay_f32", "gns_conv_lay_f64", "gns_conv_direction_f32",
	"gns_conv_direction_f64", "gns_conv_finish_f32", "gns_conv_finish_f64", "gns_gather_f32", "gns_gather_f64", "gns_along_f32", "gns_along_f64", "gns_settle_f32", "gns_settle_f64", "gns_gram_finish", "gns_print", "gns_sum", "gns_value",
	"gns_reduce", "gns_copy", "gns_fill", "gns_gate", "gns_deliver", "gns_mark", NULL,
};

size_t gns_plan_ceil_div(size_t a, size_t b)
{
	return a / b + (a % b != 0);
}

size_t gns_plan_item_size(uint32_t dtype)
{
	return dtype == GNS_F64 ? 8 : dtype == GNS_F32 ? 4 : 2;
}

size_t gns_plan_acc_size(uint32_t dtype)
{
	return dtype == GNS_F64 ? 8 : 4;
}

const char *gns_plan_type_name(uint32_t dtype)
{
	return dtype == GNS_F64 ? "f64" : dtype == GNS_F32 ? "f32" : dtype == GNS_F16 ? "f16" : "bf16";
}

bool gns_plan_is_sound(const struct gns_cu_operand *m)
{
	return m && m->dtype >= GNS_F32 && m->dtype < GNS_DTYPES && (m->data || !m->samples || !m->rows || !m->cols);
}

static bool is_empty(const struct gns_cu_operand *m)
{
	return !m->samples || !m->rows || !m->cols;
}

static bool same_shape(const struct gns_cu_operand *a, const struct gns_cu_operand *b)
{
	return a->samples == b->samples && a->rows == b->rows && a->cols == b->cols && a->dtype == b->dtype;
}

size_t gns_plan_multiprocessors(const struct gns_cu_ground *ground)
{
	return ground->sms ? ground->sms : 1;
}

struct gns_plan_draft gns_plan_begin(struct gns_cu_plan *plan, const struct gns_cu_ground *ground)
{
	*plan = (struct gns_cu_plan){0};
	return (struct gns_plan_draft){.plan = plan, .ground = ground, .scratch = ground->scratch};
}

void *gns_plan_take(struct gns_plan_draft *draft, size_t count, size_t item)
{
	const size_t at = draft->plan->scratch_bytes;
	size_t bytes;

	if (__builtin_mul_overflow(count, item, &bytes) || bytes > SIZE_MAX / 2 - at) {
		draft->rc = -ERANGE;
		return NULL;
	}
	draft->plan->scratch_bytes = at + (bytes + 255) / 256 * 256;
	return draft->scratch ? (char *)draft->scratch + at : NULL;
}

struct gns_cu_launch *gns_plan_launch(struct gns_plan_draft *draft, const char *kernel, const char *type, size_t x, size_t y, size_t z)
{
	struct gns_cu_launch *l = &draft->plan->launch[draft->plan->launches++];

	if (x > INT32_MAX || y > GRID_Y_MOST || z > GRID_Y_MOST)
		draft->rc = -ERANGE;
	snprintf(l->kernel, sizeof l->kernel, "gns_%s%s%s", kernel, type ? "_" : "", type ? type : "");
	l->grid[0] = (uint32_t)x;
	l->grid[1] = (uint32_t)y;
	l->grid[2] = (uint32_t)z;
	l->block = GNS_CU_THREADS;
	return l;
}

static struct gns_cu_rows rows_of(const struct gns_cu_operand *m)
{
	const ptrdiff_t n = (ptrdiff_t)GNS_CU_VEC(gns_plan_item_size(m->dtype));
	const bool vec = m->col_stride == 1 && (uintptr_t)m->data % 16 == 0 && (m->rows == 1 || m->row_stride % n == 0) &&
			 (m->samples == 1 || m->sample_step % n == 0);

	return (struct gns_cu_rows){.data = m->data, .sample_step = m->sample_step, .row_stride = m->row_stride,
				    .col_stride = m->col_stride, .samples = m->samples, .rows = m->rows, .cols = m->cols, .vec = vec};
}

int gns_plan_seal(struct gns_plan_draft *draft)
{
	for (unsigned k = 0; k < draft->plan->launches; k++)
		draft->plan->launch[k].args.gate = draft->ground->gate;
	return draft->rc;
}

int gns_plan_end(struct gns_plan_draft *draft, const double *partial, size_t n)
{
	struct gns_cu_launch *l = gns_plan_launch(draft, "sum", NULL, 1, 1, 1);

	l->args.sum = (struct gns_cu_sum){.partial = partial, .n = n, .out = draft->ground->out, .add = draft->ground->add};
	return gns_plan_seal(draft);
}

/* ---- norms ---- */

/* Rows that follow each other without a gap are one row; columns are the dimension of stride 1 where there is one. */
static void flatten(struct gns_cu_operand *m, struct gns_cu_operand *n)
{
	struct gns_cu_operand *both[2] = {m, n};

	if (m->col_stride != 1 && m->row_stride == 1 && (!n || n->row_stride == 1))
		for (int k = 0; k < 2 && both[k]; k++) {
			struct gns_cu_operand *o = both[k], was = *o;
			o->rows = was.cols, o->row_stride = was.col_stride;
			o->cols = was.rows, o->col_stride = was.row_stride;
		}
	if (m->col_stride == 1 && m->row_stride == (ptrdiff_t)m->cols && (!n || (n->col_stride == 1 && n->row_stride == m->row_stride)))
		for (int k = 0; k < 2 && both[k]; k++) {
			both[k]->cols *= both[k]->rows;
			both[k]->rows = 1;
		}
}

/* Samples are only more rows where they follow at one step. */
static void join_samples(struct gns_cu_operand *m, struct gns_cu_operand *n)
{
	struct gns_cu_operand *both[2] = {m, n};

	for (int k = 0; k < 2 && both[k]; k++)
		if (m->rows > 1 && m->samples > 1 && both[k]->sample_step != (ptrdiff_t)m->rows * both[k]->row_stride)
			return;
	for (int k = 0; k < 2 && both[k]; k++) {
		both[k]->row_stride = both[k]->rows == 1 ? both[k]->sample_step : both[k]->row_stride;
		both[k]->rows *= both[k]->samples;
		both[k]->samples = 1;
	}
}

int gns_cu_plan_norm2(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *m,
		      const struct gns_cu_operand *before, double scale)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);
	struct gns_cu_operand one, other = {0};

	if (!gns_plan_is_sound(m) || (before && (!gns_plan_is_sound(before) || !same_shape(m, before))))
		return -EINVAL;
	if (is_empty(m))
		return gns_plan_end(&draft, NULL, 0);
	one = *m;
	other = before ? *before : other;
	join_samples(&one, before ? &other : NULL);
	flatten(&one, before ? &other : NULL);
	const size_t per_block = GNS_CU_THREADS * GNS_CU_VEC(gns_plan_item_size(m->dtype)) * 4, most = gns_plan_multiprocessors(ground) * 8;
	size_t x = gns_plan_ceil_div(one.cols, per_block), y = one.rows * one.samples;
	x = x < most ? x : most;
	y = y < gns_plan_ceil_div(most, x) ? y : gns_plan_ceil_div(most, x);
	double *partial = gns_plan_take(&draft, x * y, sizeof *partial);
	struct gns_cu_launch *l = gns_plan_launch(&draft, "norm2", gns_plan_type_name(m->dtype), x, y, 1);
	l->args.norm2 = (struct gns_cu_norm2){.m = rows_of(&one), .scale = scale, .partial = partial};
	if (before)
		l->args.norm2.n = rows_of(&other);
	return gns_plan_end(&draft, partial, x * y);
}

/* ---- linear layers ---- */

/* Each operand is read once either way: few rows are exact wherever a sample has at most GNS_CU_GRAM_ROWS of them. */
static bool gram_is_cheaper(const struct gns_cu_operand *x, const struct gns_cu_operand *y)
{
	return x->rows <= GNS_CU_GRAM_ROWS && y->rows <= GNS_CU_GRAM_ROWS;
}

static double *plan_gram_side(struct gns_plan_draft *draft, const struct gns_cu_operand *m, size_t *slices)
{
	*slices = gns_plan_ceil_div(m->cols, GRAM_SLICE);
	double *part = gns_plan_take(draft, m->samples * *slices * GNS_CU_GRAM_PAIRS, sizeof *part);
	struct gns_cu_launch *l = gns_plan_launch(draft, "gram", gns_plan_type_name(m->dtype), gns_plan_ceil_div(m->samples * *slices, 8), 1, 1);

	l->args.gram = (struct gns_cu_gram){.m = rows_of(m), .slices = *slices, .slice_cols = GRAM_SLICE, .part = part};
	return part;
}

static int plan_gram(struct gns_plan_draft *draft, const struct gns_cu_operand *x, const struct gns_cu_operand *y)
{
	size_t slices[2];
	const double *part[2] = {plan_gram_side(draft, x, &slices[0]), plan_gram_side(draft, y, &slices[1])};
	double *value = gns_plan_take(draft, x->samples, sizeof *value);
	struct gns_cu_launch *l = gns_plan_launch(draft, "gram_finish", NULL, gns_plan_ceil_div(x->samples, GNS_CU_THREADS), 1, 1);

	l->args.gram_finish = (struct gns_cu_gram_finish){.x = part[0], .y = part[1], .samples = x->samples, .rows = x->rows,
							  .x_slices = slices[0], .y_slices = slices[1], .value = value};
	return gns_plan_end(draft, value, x->samples);
}

/* The sum of squares of a vector a sample, over its chunks. */
static double *plan_gather(struct gns_plan_draft *draft, uint32_t dtype, const void *part, size_t samples, size_t chunks, size_t cols)
{
	const size_t tiles = gns_plan_ceil_div(cols, GNS_CU_THREADS);
	double *sq = gns_plan_take(draft, samples * tiles, sizeof *sq);
	struct gns_cu_launch *l = gns_plan_launch(draft, "gather", dtype == GNS_F64 ? "f64" : "f32", tiles, samples, 1);

	l->args.gather = (struct gns_cu_gather){.part = part, .chunks = chunks, .cols = cols, .sq = sq};
	return sq;
}

/* Rows a block takes, so that there are enough blocks. */
static size_t chunk_rows(const struct gns_cu_ground *ground, const struct gns_cu_operand *m, size_t tiles)
{
	const size_t want = gns_plan_ceil_div(gns_plan_multiprocessors(ground) * GNS_PLAN_BLOCKS_A_SM, tiles * m->samples);
	size_t rows = gns_plan_ceil_div(gns_plan_ceil_div(m->rows, want), 32) * 32;

	rows = rows < 128 ? 128 : rows;
	return rows < GNS_CU_CHUNK_ROWS ? rows : GNS_CU_CHUNK_ROWS;
}

/* The rows that give the direction: all of a short sample, 16 to 31 of a longer one, since a mean needs no more. */
static size_t direction_stride(size_t rows)
{
	return rows < 32 ? 1 : rows / 16;
}

struct sketch {
	const struct gns_cu_operand *b, *z;
	bool deflate;
	uint64_t seed, stream, first_sample;
	void *v, *u, *a, *part;
	double *share, *value;
	size_t chunks, tiles;
};

static void plan_direction(struct gns_plan_draft *draft, struct sketch *s)
{
	const struct gns_cu_operand *b = s->b;
	const size_t item = gns_plan_acc_size(b->dtype), stride = direction_stride(b->rows);
	struct gns_cu_launch *l;

	s->v = gns_plan_take(draft, b->samples * ((b->cols + 7) / 8 * 8), item);
	s->a = gns_plan_take(draft, b->samples * b->rows, item);
	s->share = gns_plan_take(draft, b->samples * GNS_CU_WEIGHTS, sizeof *s->share);
	l = gns_plan_launch(draft, "direction", gns_plan_type_name(b->dtype), gns_plan_ceil_div(b->cols, GNS_CU_THREADS), b->samples, 1);
	l->args.direction = (struct gns_cu_direction){.m = rows_of(b), .from = stride / 2, .stride = stride, .v = s->v};
	l = gns_plan_launch(draft, "along", b->dtype == GNS_F64 ? "f64" : "f32", b->samples, 1, 1);
	l->args.along = (struct gns_cu_along){.v = s->v, .cols = b->cols, .seed = s->seed, .stream = s->stream,
					      .first_sample = s->first_sample, .share = s->share};
}

static void plan_buckets(struct gns_plan_draft *draft, struct sketch *s)
{
	const struct gns_cu_operand *b = s->b;
	const size_t blocks = gns_plan_ceil_div(b->rows, GNS_CU_BUCKET_ROWS);

	s->u = gns_plan_take(draft, b->samples * b->rows * GNS_CU_BUCKETS, gns_plan_acc_size(b->dtype));
	struct gns_cu_launch *l = gns_plan_launch(draft, "buckets", gns_plan_type_name(b->dtype), blocks, b->samples, 1);
	l->args.buckets = (struct gns_cu_buckets){.b = rows_of(b), .seed = s->seed, .stream = s->stream, .first_sample = s->first_sample,
						  .v = s->v, .u = s->u, .a = s->a};
}

/* To s->part in chunks, or where one will do and nothing else is to be done with it, to s->value. */
static void plan_weigh(struct gns_plan_draft *draft, struct sketch *s, bool is_use)
{
	const struct gns_cu_operand *z = s->z;
	const size_t x = gns_plan_ceil_div(z->cols, GNS_CU_WEIGH_TILE(gns_plan_item_size(z->dtype))), rows = chunk_rows(draft->ground, z, x);
	const size_t lanes = s->deflate ? GNS_CU_WEIGHTS : GNS_CU_BUCKETS;

	s->chunks = gns_plan_ceil_div(z->rows, rows);
	s->tiles = x;
	if (s->chunks > 1 || is_use)
		s->part = gns_plan_take(draft, z->samples * s->chunks * lanes * z->cols, gns_plan_acc_size(z->dtype));
	else
		s->value = gns_plan_take(draft, z->samples * x, sizeof *s->value);
	struct gns_cu_launch *l = gns_plan_launch(draft, "weigh", gns_plan_type_name(z->dtype), x, s->chunks, z->samples);
	l->args.weigh = (struct gns_cu_weigh){.z = rows_of(z), .chunk_rows = rows, .u = s->u, .a = s->a, .share = s->share,
					      .part = s->part, .value = s->value};
	l->args.weigh.part = s->chunks > 1 || is_use ? s->part : NULL;
}

static void plan_settle(struct gns_plan_draft *draft, struct sketch *s)
{
	const struct gns_cu_operand *z = s->z;

	s->tiles = gns_plan_ceil_div(z->cols, GNS_CU_THREADS);
	s->value = gns_plan_take(draft, z->samples * s->tiles, sizeof *s->value);
	struct gns_cu_launch *l = gns_plan_launch(draft, "settle", z->dtype == GNS_F64 ? "f64" : "f32", s->tiles, z->samples, 1);
	l->args.settle = (struct gns_cu_settle){.part = s->part, .share = s->share, .chunks = s->chunks, .cols = z->cols, .value = s->value};
}

static int plan_sketch(struct gns_plan_draft *draft, struct sketch *s)
{
	if (s->deflate)
		plan_direction(draft, s);
	plan_buckets(draft, s);
	plan_weigh(draft, s, false);
	if (s->chunks > 1)
		plan_settle(draft, s);
	return gns_plan_end(draft, s->value, s->z->samples * s->tiles);
}

/* x and y as of a product: the same samples and rows, and element types that go together. */
static bool is_product(const struct gns_cu_operand *x, const struct gns_cu_operand *y)
{
	return gns_plan_is_sound(x) && gns_plan_is_sound(y) && x->samples == y->samples && x->rows == y->rows &&
	       (x->dtype == GNS_F64) == (y->dtype == GNS_F64);
}

int gns_cu_plan_linear(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *x,
		       const struct gns_cu_operand *y, uint64_t seed, uint64_t stream, uint64_t first_sample)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);

	if (!is_product(x, y))
		return -EINVAL;
	if (is_empty(x) || is_empty(y))
		return gns_plan_end(&draft, NULL, 0);
	const struct gns_cu_operand *wide = y->cols >= x->cols ? y : x, *narrow = y->cols >= x->cols ? x : y;
	const bool exact = narrow->cols <= GNS_CU_BUCKETS;
	struct sketch s = {.b = exact ? narrow : x, .z = exact ? wide : y, .deflate = !exact, .seed = seed, .stream = stream,
			   .first_sample = first_sample};

	return gram_is_cheaper(x, y) ? plan_gram(&draft, x, y) : plan_sketch(&draft, &s);
}

static void plan_add_up(struct gns_plan_draft *draft, uint32_t dtype, struct gns_cu_add_up args)
{
	const size_t cells = args.samples * GNS_CU_BUCKETS * args.cols;

	gns_plan_launch(draft, "add_up", dtype == GNS_F64 ? "f64" : "f32", gns_plan_ceil_div(cells, GNS_CU_THREADS), 1, 1)->args.add_up = args;
}

int gns_cu_plan_linear_use(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *x,
			   const struct gns_cu_operand *y, uint64_t seed, uint64_t stream, uint64_t first_sample, float *acc)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);
	struct sketch s = {.b = y, .z = x, .seed = seed, .stream = stream, .first_sample = first_sample};

	if (!is_product(x, y))
		return -EINVAL;
	if (is_empty(x) || is_empty(y))
		return gns_plan_seal(&draft);
	plan_buckets(&draft, &s);
	plan_weigh(&draft, &s, true);
	plan_add_up(&draft, x->dtype, (struct gns_cu_add_up){.part = s.part, .acc = acc + first_sample * GNS_CU_BUCKETS * x->cols,
							     .samples = x->samples, .chunks = s.chunks, .cols = x->cols,
							     .lane_step = x->cols, .col_step = 1});
	return gns_plan_seal(&draft);
}

/* ---- biases, gains, embeddings ---- */

static struct gns_cu_statistic statistic_of(const struct gns_cu_operand *m)
{
	return m ? (struct gns_cu_statistic){.data = m->data, .sample_step = m->sample_step, .row_stride = m->row_stride,
					     .dtype = m->dtype} :
		   (struct gns_cu_statistic){0};
}

static bool is_statistic(const struct gns_cu_operand *m, const struct gns_cu_operand *y)
{
	return !m || (gns_plan_is_sound(m) && m->samples == y->samples && m->rows == y->rows && m->cols == 1);
}

int gns_cu_plan_columns(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *y,
			const struct gns_cu_operand *x, const struct gns_cu_operand *mean, const struct gns_cu_operand *rstd)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);

	if (!gns_plan_is_sound(y) || (x && (!gns_plan_is_sound(x) || !same_shape(x, y))) || !is_statistic(mean, y) || !is_statistic(rstd, y) ||
	    ((mean || rstd) && !x))
		return -EINVAL;
	if (is_empty(y))
		return gns_plan_end(&draft, NULL, 0);
	const size_t tiles = gns_plan_ceil_div(y->cols, GNS_CU_TILE(gns_plan_item_size(y->dtype))), rows = chunk_rows(ground, y, tiles);
	const size_t chunks = gns_plan_ceil_div(y->rows, rows);
	void *part = gns_plan_take(&draft, y->samples * chunks * y->cols, gns_plan_acc_size(y->dtype));
	struct gns_cu_launch *l = gns_plan_launch(&draft, "columns", gns_plan_type_name(y->dtype), tiles, chunks, y->samples);
	l->args.columns = (struct gns_cu_columns){.y = rows_of(y), .mean = statistic_of(mean), .rstd = statistic_of(rstd),
						  .chunk_rows = rows, .part = part};
	if (x)
		l->args.columns.x = rows_of(x);
	const double *sq = plan_gather(&draft, y->dtype, part, y->samples, chunks, y->cols);
	return gns_plan_end(&draft, sq, y->samples * gns_plan_ceil_div(y->cols, GNS_CU_THREADS));
}

int gns_cu_plan_inner(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *y)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);

	if (!gns_plan_is_sound(y))
		return -EINVAL;
	if (is_empty(y))
		return gns_plan_end(&draft, NULL, 0);
	double *value = gns_plan_take(&draft, y->samples * y->rows, sizeof *value);
	struct gns_cu_launch *l = gns_plan_launch(&draft, "inner", gns_plan_type_name(y->dtype), gns_plan_ceil_div(y->rows, 8), y->samples, 1);
	l->args.inner = (struct gns_cu_inner){.y = rows_of(y), .value = value};
	return gns_plan_end(&draft, value, y->samples * y->rows);
}

/* A fast kernel where one dimension is kept and one summed over; false: none fits. */
static bool plan_plain(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_reduction *of, int *rc)
{
	const struct gns_cu_side *y = &of->y, *x = &of->x, *mean = &of->mean, *rstd = &of->rstd;
	const size_t rows = of->reduced[2], cols = of->kept[2];
	const bool one = of->kept[0] * of->kept[1] == 1 && of->reduced[0] * of->reduced[1] == 1;
	const struct gns_cu_operand by_row[4] = {
		{y->data, y->dtype, of->samples, rows, cols, y->sample_step, y->reduced[2], y->kept[2]},
		{x->data, x->dtype, of->samples, rows, cols, x->sample_step, x->reduced[2], x->kept[2]},
		{mean->data, mean->dtype, of->samples, rows, 1, mean->sample_step, mean->reduced[2], 1},
		{rstd->data, rstd->dtype, of->samples, rows, 1, rstd->sample_step, rstd->reduced[2], 1},
	};

	if (!one || (x->data && (x->dtype != y->dtype || (mean->data && mean->kept[2]) || (rstd->data && rstd->kept[2]))))
		return false;
	if (y->kept[2] == 1 && cols > 1 && (!x->data || x->kept[2] == 1)) {
		*rc = gns_cu_plan_columns(plan, ground, &by_row[0], x->data ? &by_row[1] : NULL, x->data && mean->data ? &by_row[2] : NULL,
					  x->data && rstd->data ? &by_row[3] : NULL);
		return true;
	}
	if (x->data || y->reduced[2] != 1)
		return false;
	const struct gns_cu_operand by_column = {y->data, y->dtype, of->samples, cols, rows, y->sample_step, y->kept[2], 1};
	*rc = gns_cu_plan_inner(plan, ground, &by_column);
	return true;
}

static size_t product(const size_t size[3])
{
	return size[0] * size[1] * size[2];
}

/* Partial sums of every sample's kept elements. */
static double *plan_parts(struct gns_plan_draft *draft, const struct gns_cu_reduction *of, size_t *chunks)
{
	const size_t kept = product(of->kept), reduced = product(of->reduced), n = of->samples;
	const bool along = kept == 1 || (reduced > 1 && llabs(of->y.reduced[2]) < llabs(of->y.kept[2]));
	const size_t tiles = gns_plan_ceil_div(kept, along ? 8 : GNS_CU_REDUCE_KEPT);
	const size_t want = gns_plan_ceil_div(gns_plan_multiprocessors(draft->ground) * GNS_PLAN_BLOCKS_A_SM * 2, tiles * n);
	const size_t least = along ? 1024 : 256, share = gns_plan_ceil_div(reduced, want), chunk = share > least ? share : least;

	*chunks = gns_plan_ceil_div(reduced, chunk);
	double *part = gns_plan_take(draft, n * *chunks * kept, sizeof *part);
	struct gns_cu_launch *l = gns_plan_launch(draft, "reduce", NULL, tiles, *chunks, n);
	l->args.reduce = (struct gns_cu_reduce){.y = of->y, .x = of->x, .mean = of->mean, .rstd = of->rstd, .kept_n = kept,
						.reduced_n = reduced, .chunk = chunk, .along = along, .part = part};
	for (int d = 0; d < 3; d++) {
		l->args.reduce.kept[d] = of->kept[d];
		l->args.reduce.reduced[d] = of->reduced[d];
	}
	return part;
}

int gns_cu_plan_reduce(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_reduction *of)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);
	const size_t kept = product(of->kept), n = of->samples;
	size_t chunks;
	int rc;

	if (!kept || !product(of->reduced) || !n)
		return gns_plan_end(&draft, NULL, 0);
	if (plan_plain(plan, ground, of, &rc))
		return rc;
	const double *part = plan_parts(&draft, of, &chunks);
	const double *sq = plan_gather(&draft, GNS_F64, part, n, chunks, kept);
	return gns_plan_end(&draft, sq, n * gns_plan_ceil_div(kept, GNS_CU_THREADS));
}

int gns_cu_plan_reduce_use(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_reduction *of,
			   const size_t own[3], size_t dim0, size_t rest, uint64_t seed, uint64_t stream, uint64_t first_sample, float *acc)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);
	const size_t kept = product(of->kept), n = of->samples;
	const bool vector = rest == 1;
	size_t chunks;

	if (!kept || !product(of->reduced) || !n)
		return gns_plan_seal(&draft);
	if (kept != dim0 * rest)
		return -EINVAL;
	const double *part = plan_parts(&draft, of, &chunks);
	struct gns_cu_add_rows args = {.part = part, .samples = n, .chunks = chunks, .rows = vector ? 1 : dim0, .cols = vector ? dim0 : rest,
				       .lanes = vector ? 1 : GNS_CU_BUCKETS, .seed = seed, .stream = stream, .first_sample = first_sample};
	for (int d = 0; d < 3; d++) {
		args.kept[d] = of->kept[d];
		args.own[d] = own[d];
	}
	args.acc = acc + first_sample * args.lanes * args.cols;
	const size_t cells = n * args.lanes * args.cols;
	gns_plan_launch(&draft, "add_rows", NULL, gns_plan_ceil_div(cells, GNS_CU_THREADS), 1, 1)->args.add_rows = args;
	return gns_plan_seal(&draft);
}

static bool are_ids(const struct gns_cu_operand *ids, const struct gns_cu_operand *y)
{
	return gns_plan_is_sound(y) && ids && (ids->dtype == GNS_I64 || ids->dtype == GNS_I32) && ids->samples == y->samples &&
	       ids->rows == y->rows;
}

static struct gns_cu_embedding embedding_of(const struct gns_cu_operand *ids, const struct gns_cu_operand *y, int64_t padding_idx)
{
	return (struct gns_cu_embedding){.y = rows_of(y), .ids = ids->data, .ids_sample_step = ids->sample_step,
					 .ids_row_stride = ids->row_stride, .padding_idx = padding_idx, .ids_wide = ids->dtype == GNS_I64};
}

int gns_cu_plan_embedding(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *ids,
			  const struct gns_cu_operand *y, int64_t padding_idx)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);

	if (!are_ids(ids, y))
		return -EINVAL;
	if (is_empty(y))
		return gns_plan_end(&draft, NULL, 0);
	double *value = gns_plan_take(&draft, y->samples * y->rows, sizeof *value);
	struct gns_cu_launch *l = gns_plan_launch(&draft, "embedding", gns_plan_type_name(y->dtype), y->rows, y->samples, 1);
	l->args.embedding = embedding_of(ids, y, padding_idx);
	l->args.embedding.value = value;
	return gns_plan_end(&draft, value, y->samples * y->rows);
}

int gns_cu_plan_embedding_use(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_cu_operand *ids,
			      const struct gns_cu_operand *y, int64_t padding_idx, uint64_t seed, uint64_t stream, uint64_t first_sample,
			      float *acc)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);

	if (!are_ids(ids, y))
		return -EINVAL;
	if (is_empty(y))
		return gns_plan_seal(&draft);
	struct gns_cu_launch *l = gns_plan_launch(&draft, "add_ids", gns_plan_type_name(y->dtype),
						  gns_plan_ceil_div(y->cols, GNS_CU_THREADS), y->samples, 1);
	l->args.add_ids = (struct gns_cu_add_ids){.of = embedding_of(ids, y, padding_idx), .seed = seed, .stream = stream,
						  .first_sample = first_sample, .acc = acc + first_sample * GNS_CU_BUCKETS * y->cols};
	return gns_plan_seal(&draft);
}

int gns_cu_plan_print(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *data, uint32_t dtype, size_t slow_n,
		      size_t fast_n, ptrdiff_t ld, uint64_t *hash, uint64_t *bits)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);

	if (!data || !slow_n || !fast_n || dtype < GNS_F32 || dtype >= GNS_DTYPES)
		return -EINVAL;
	struct gns_cu_launch *l = gns_plan_launch(&draft, "print", NULL, 1, 1, 1);
	l->block = 32;
	l->args.print = (struct gns_cu_print){.data = data, .slow_n = slow_n, .fast_n = fast_n, .ld = ld,
					      .item_size = (uint32_t)gns_plan_item_size(dtype), .bits = bits, .hash = hash};
	return gns_plan_seal(&draft);
}

int gns_cu_plan_value(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const void *data, uint32_t dtype)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);

	if (!data || dtype < GNS_F32 || dtype >= GNS_DTYPES)
		return -EINVAL;
	struct gns_cu_launch *l = gns_plan_launch(&draft, "value", NULL, 1, 1, 1);
	l->block = 32;
	l->args.value = (struct gns_cu_value){.data = data, .dtype = dtype, .add = ground->add, .out = ground->out};
	return gns_plan_seal(&draft);
}

/* 16 bytes are one element where all of both are. */
static void widen_items(struct gns_cu_copy *copy)
{
	const unsigned inner = copy->dims - 1;
	const uint64_t n = 16 / copy->item_size;

	if (copy->from != copy->to || copy->stride[inner] != 1 || copy->size[inner] % n || (uintptr_t)copy->data % 16 ||
	    (uintptr_t)copy->out % 16)
		return;
	for (unsigned d = 0; d < inner; d++)
		if (copy->stride[d] % (int64_t)n)
			return;
	for (unsigned d = 0; d < inner; d++)
		copy->stride[d] /= (int64_t)n;
	copy->size[inner] /= n;
	copy->count /= n;
	copy->item_size = 16;
}

int gns_plan_copy(struct gns_plan_draft *draft, const struct gns_tensor *t, void *out, uint32_t to)
{
	struct gns_cu_copy copy = {.data = t->data, .out = out, .count = 1, .from = t->dtype, .to = to};
	const bool id = t->dtype == GNS_I64 || t->dtype == GNS_I32;

	if (t->ndim > GNS_CU_COPY_DIMS || !t->dtype || t->dtype > GNS_I32 || (to != t->dtype && (id || (to != GNS_F32 && to != GNS_F64))))
		return -EINVAL;
	copy.item_size = t->dtype == GNS_I64 ? 8 : t->dtype == GNS_I32 ? 4 : (uint32_t)gns_plan_item_size(t->dtype);
	for (unsigned d = 0; d < t->ndim; d++) {
		copy.count *= t->size[d];
		if (copy.dims && copy.stride[copy.dims - 1] == t->stride[d] * (ptrdiff_t)t->size[d])
			copy.size[copy.dims - 1] *= t->size[d];
		else if (t->size[d] != 1)
			copy.size[copy.dims++] = t->size[d];
		else
			continue;
		copy.stride[copy.dims - 1] = t->stride[d];
	}
	if (copy.dims == 0)
		copy.dims = 1, copy.size[0] = 1;
	if (copy.count == 0)
		return 0;
	widen_items(&copy);
	const size_t blocks = gns_plan_ceil_div(copy.count, GNS_CU_THREADS), most = gns_plan_multiprocessors(draft->ground) * 16;
	gns_plan_launch(draft, "copy", NULL, blocks < most ? blocks : most, 1, 1)->args.copy = copy;
	return draft->rc;
}

int gns_cu_plan_copy(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, const struct gns_tensor *t, void *out, uint32_t to)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);
	const int rc = gns_plan_copy(&draft, t, out, to);

	return rc ? rc : gns_plan_seal(&draft);
}

int gns_cu_plan_fill(struct gns_cu_plan *plan, const struct gns_cu_ground *ground, double *out, size_t n)
{
	struct gns_plan_draft draft = gns_plan_begin(plan, ground);
	const size_t blocks = gns_plan_ceil_div(n, GNS_CU_THREADS), most = gns_plan_multiprocessors(ground) * 8;

	if (n)
		gns_plan_launch(&draft, "fill", NULL, blocks < most ? blocks : most, 1, 1)->args.fill = (struct gns_cu_fill){.out = out, .n = n};
	return gns_plan_seal(&draft);
}
