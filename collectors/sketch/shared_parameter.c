/* Several uses of one parameter in one pass: sketches with common signs, added up before they are squared. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/mman.h>

#include "layers_private.h"
#include "sketch_private.h"

static bool is_probes(unsigned probes)
{
	return probes && probes % GNS_BUCKETS == 0 && probes <= GNS_PROBES_MAX;
}

static size_t round_up(size_t n)
{
	return (n + 15) / 16 * 16;
}

size_t gns_shared_bytes(size_t n, size_t dim0, size_t rest, unsigned probes)
{
	const size_t limit = SIZE_MAX / 64 / GNS_PROBES_MAX;
	size_t bytes;

	if (rest > limit || dim0 > limit || !is_probes(probes))
		return SIZE_MAX;
	if (__builtin_mul_overflow(n, ((probes + 1) * round_up(rest) + round_up(dim0)) * sizeof(double) + 1, &bytes) ||
	    bytes > SIZE_MAX - 4096)
		return SIZE_MAX;
	return bytes + (sizeof(struct gns_shared) + 63) / 64 * 64;
}

struct gns_shared *gns_shared_init(size_t n, size_t dim0, size_t rest, unsigned probes, uint64_t seed, uint64_t stream)
{
	const size_t bytes = gns_shared_bytes(n, dim0, rest, probes);
	struct gns_shared *uses;

	if (bytes == SIZE_MAX || !n || !dim0 || !rest)
		return NULL;
	uses = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (uses == MAP_FAILED)
		return NULL;
	*uses = (struct gns_shared){
		.n = n, .dim0 = dim0, .rest = rest, .groups = probes / GNS_BUCKETS, .seed = seed, .stream = stream,
		.kernels = gns_sketch_kernels(gns_sketch_best_isa()),
		.rest_ld = round_up(rest), .dim0_ld = round_up(dim0), .bytes = bytes,
		.data = (double *)(void *)((char *)uses + (sizeof *uses + 63) / 64 * 64),
	};
	uses->sample_doubles = (probes + 1) * uses->rest_ld + uses->dim0_ld;
	uses->has_v = (bool *)(uses->data + n * uses->sample_doubles);
	return uses;
}

void gns_shared_free(struct gns_shared *uses)
{
	if (uses)
		munmap(uses, uses->bytes);
}

/* Length about 1, entries that a float holds exactly; all ones where v is 0 or says nothing: any direction is right that no sign
 * had a part in. */
void gns_shared_direct(struct gns_shared *uses, size_t sample, const double *v)
{
	double *to = gns_shared_v(uses, sample);
	const double length2 = uses->kernels->norm2[1](v, uses->rest);
	const bool tells = isfinite(length2) && length2 > 0;
	int exponent = 0;

	if (uses->has_v[sample])
		return;
	if (tells)
		frexp(length2, &exponent);
	const double scale = tells ? ldexp(1, -exponent / 2) : 0;
	for (size_t i = 0; i < uses->rest; i++)
		to[i] = tells ? (double)(float)(v[i] * scale) : 1;
	uses->has_v[sample] = true;
}

void gns_shared_add_row(struct gns_shared *uses, size_t sample, size_t row, const double *a)
{
	double *z = gns_shared_z(uses, sample);

	gns_shared_g(uses, sample)[row] += uses->kernels->dot[1](a, gns_shared_v(uses, sample), uses->rest);
	for (unsigned g = 0; g < uses->groups && uses->rest > 1; g++) {
		const uint64_t bits = gns_sketch_bits(uses->seed, uses->stream, sample, ((uint64_t)g << 32) + row / 32);
		const unsigned block = (unsigned)(row % 32) / 8;
		const unsigned bucket = (unsigned)(row % 8) ^ ((unsigned)(bits >> (32 + 3 * block)) & 7);
		uses->kernels->add_scaled(z + (g * GNS_BUCKETS + bucket) * uses->rest_ld, a,
					  bits >> (8 * block + bucket) & 1 ? -1 : 1, uses->rest);
	}
}

void gns_shared_add(struct gns_shared *uses, size_t sample, const double *a)
{
	if (!uses->has_v[sample]) {
		double *v = gns_shared_v(uses, sample); /* becomes its own source: zero as it begins */
		for (size_t row = 0; row < uses->dim0 && uses->rest > 1; row++)
			uses->kernels->add(v, a + row * uses->rest, uses->rest);
		gns_shared_direct(uses, sample, v);
	}
	for (size_t row = 0; row < uses->dim0; row++)
		gns_shared_add_row(uses, sample, row, a + row * uses->rest);
}

/* The direction of the sample's rows of x, where there is none yet. */
static void direct_by_rows(struct gns_shared *uses, const struct gns_sketch_job *job, size_t sample)
{
	struct gns_sketch *scratch = job->scratch;
	struct gns_chunk c = {0};

	if (uses->has_v[sample])
		return;
	if (job->rows <= GNS_CHUNK_ROWS)
		c = gns_sketch_z_chunk(job, 0, job->rows, 1);
	const bool found = uses->rest > 1 && gns_sketch_find_direction(job, &c, 0);
	for (size_t i = 0; i < uses->rest; i++)
		scratch->v_wide[i] = !found ? 0 : job->type ? scratch->v[i] : (double)((const float *)scratch->v)[i];
	gns_shared_direct(uses, sample, scratch->v_wide);
}

static void load_direction(const struct gns_shared *uses, const struct gns_sketch_job *job, size_t sample)
{
	const double *v = gns_shared_v(uses, sample);

	for (size_t i = 0; i < uses->rest; i++) {
		if (job->type)
			job->scratch->v[i] = v[i];
		else
			((float *)job->scratch->v)[i] = (float)v[i];
	}
}

static void add_chunk(struct gns_shared *uses, const struct gns_sketch_job *job, size_t row, size_t rows, size_t sample)
{
	struct gns_sketch *scratch = job->scratch;
	const struct gns_sketch_kernels *kernels = scratch->kernels;
	double *z = gns_shared_z(uses, sample), *g = gns_shared_g(uses, sample);
	const struct gns_chunk c = gns_sketch_z_chunk(job, row, rows, 1);

	kernels->project[job->type](c.data, c.ld, c.rows, uses->rest, scratch->v, scratch->a);
	gns_sketch_bucket_chunk(job, row, rows, true);
	for (unsigned k = 0; k < uses->groups && uses->rest > 1; k++)
		kernels->fold[job->type](c.data, c.ld, c.rows, uses->rest, scratch->u[k], z + k * GNS_BUCKETS * uses->rest_ld,
					 uses->rest_ld, c.next, NULL, NULL);
	for (size_t j = 0; j < uses->dim0; j++)
		g[j] += job->type ? scratch->g[j] : (double)((const float *)scratch->g)[j];
}

int gns_shared_add_product(struct gns_shared *uses, struct gns_sketch *sketch, const struct gns_mat *x, const struct gns_mat *y,
			 size_t sample)
{
	const struct gns_sketch_job job = {
		.scratch = sketch, .b = y, .z = x, .rows = x->rows, .first_sample = sample, .groups = uses->groups,
		.seed = uses->seed, .stream = uses->stream, .type = x->dtype == GNS_F64,
	};

	if (x->cols != uses->rest || y->cols != uses->dim0 || (x->dtype == GNS_F64) != (y->dtype == GNS_F64))
		return -EINVAL;
	for (unsigned g = 0; g < uses->groups; g++)
		gns_sketch_table(sketch->table + g * sketch->max_cols, uses->dim0, uses->seed, uses->stream, sample, g);
	direct_by_rows(uses, &job, sample);
	load_direction(uses, &job, sample);
	for (size_t row = 0; row < x->rows; row += GNS_CHUNK_ROWS)
		add_chunk(uses, &job, row, x->rows - row < GNS_CHUNK_ROWS ? x->rows - row : GNS_CHUNK_ROWS, sample);
	return 0;
}

/* As of one use: the part along v is exact, the rest sketched. */
static double sample_sum(const struct gns_shared *uses, size_t sample)
{
	const struct gns_sketch_kernels *kernels = uses->kernels;
	const double *z = gns_shared_z(uses, sample), *v = gns_shared_v(uses, sample);
	const double length2 = kernels->norm2[1](v, uses->rest);
	const double exact = kernels->norm2[1](gns_shared_g(uses, sample), uses->dim0) / length2;
	double sum = 0, part = 0;

	if (!uses->has_v[sample])
		return 0;
	if (uses->rest == 1)
		return exact;
	for (unsigned l = 0; l < uses->groups * GNS_BUCKETS; l++, z += uses->rest_ld) {
		const double along = kernels->dot[1](z, v, uses->rest);
		sum += kernels->norm2[1](z, uses->rest);
		part += along * along;
	}
	return (sum - part / length2) / uses->groups + exact;
}

double gns_shared_sum(const struct gns_shared *uses)
{
	double sum = 0;

	for (size_t i = 0; i < uses->n; i++)
		sum += sample_sum(uses, i);
	return sum;
}

bool gns_samples_are_sound(const struct gns_samples *samples)
{
	if (!samples || !samples->n || samples->axis > 1)
		return false;
	if (samples->first > samples->n || samples->count > samples->n - samples->first)
		return false;
	return samples->uses ? !samples->first && !samples->count : is_probes(samples->probes);
}

bool gns_shared_fit(const struct gns_samples *samples, size_t dim0, size_t rest)
{
	const struct gns_shared *uses = samples->uses;

	return !uses || (uses->n == samples->n && uses->dim0 == dim0 && uses->rest == rest);
}
