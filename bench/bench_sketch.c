/* bench_sketch: read bandwidth of the sketch and of the exact norm against a plain vectorised sum of the same buffers.
 *
 *     bench_sketch [--mib N] [--rounds N] [--probes N] [--f64] [--feature] [--isa NAME] [ROWS IN OUT SAMPLES]...
 *
 * Each round runs the sum, the sketch and the norm in turn, so that all see the same machine; medians are printed, and the
 * ratio is the median of the rounds' ratios. "cold" buffers are walked through a pool of copies of --mib MiB, far larger than
 * the last-level cache; "warm" runs the same product again and again. */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "collectors/sketch/sketch.h"

#define ROUNDS_MAX 1001

struct shape {
	size_t rows, in, out, samples;
};

struct options {
	size_t mib;
	int rounds;
	unsigned probes;
	uint32_t dtype;
	int feature;
	enum gns_isa isa;
};

static const char *const isa_names[] = {"portable", "avx2", "avx512"};

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The plain sum, at the best of what the compiler and the machine have: eight independent vectors. */
#define SUM_BODY                                                                                                       \
	typedef float vec __attribute__((vector_size(64), aligned(4)));                                                \
	vec acc[8] = {{0}};                                                                                            \
	float sum = 0;                                                                                                 \
	for (size_t i = 0; i + 128 <= n; i += 128) {                                                                   \
		_Pragma("GCC unroll 8") for (int v = 0; v < 8; v++) acc[v] += *(const vec *)(p + i + 16 * v);          \
	}                                                                                                              \
	for (int v = 0; v < 8; v++)                                                                                    \
		for (int l = 0; l < 16; l++)                                                                           \
			sum += acc[v][l];                                                                              \
	return sum;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) static float sum_avx512(const float *p, size_t n) { SUM_BODY }
__attribute__((target("avx2"))) static float sum_avx2(const float *p, size_t n) { SUM_BODY }
#endif
static float sum_portable(const float *p, size_t n) { SUM_BODY }

static float plain_sum(const void *p, size_t bytes)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx512f"))
		return sum_avx512(p, bytes / 4);
	if (__builtin_cpu_supports("avx2"))
		return sum_avx2(p, bytes / 4);
#endif
	return sum_portable(p, bytes / 4);
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof *values, by_value);
	return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static struct gns_mat matrix(const struct options *o, const void *data, size_t rows, size_t cols)
{
	return (struct gns_mat){.data = data, .dtype = o->dtype, .rows = rows, .cols = cols,
				.row_stride = o->feature ? 1 : (ptrdiff_t)cols,
				.col_stride = o->feature ? (ptrdiff_t)rows : 1};
}

static void fill(void *data, size_t bytes, uint32_t dtype)
{
	uint32_t state = 12345;
	for (size_t i = 0; i < bytes / (dtype == GNS_F64 ? 8 : 4); i++) {
		state = state * 1664525u + 1013904223u;
		const double value = (double)(state >> 8) / (1 << 24) - 0.5;
		if (dtype == GNS_F64)
			((double *)data)[i] = value;
		else
			((float *)data)[i] = (float)value;
	}
}

/* One line of the table. `copies` products lie one after the other in the pool; a round walks all of them. */
static int measure(const struct options *o, struct gns_sketch *scratch, const struct shape *s, char *pool, size_t copies,
		   int repeat, const char *label)
{
	static double t_sum[ROUNDS_MAX], t_sketch[ROUNDS_MAX], t_norm[ROUNDS_MAX], r_sketch[ROUNDS_MAX], r_norm[ROUNDS_MAX];
	const size_t item = o->dtype == GNS_F64 ? 8 : 4;
	const size_t x_bytes = s->rows * s->in * item, bytes = x_bytes + s->rows * s->out * item;
	const double total = (double)bytes * (double)copies * repeat;
	volatile double sink = 0; /* keeps the work */
	(void)sink;

	for (int round = -1; round < o->rounds; round++) {
		const int at = round < 0 ? 0 : round;
		double start = now();
		for (int k = 0; k < repeat; k++)
			for (size_t c = 0; c < copies; c++)
				sink += plain_sum(pool + c * bytes, bytes);
		t_sum[at] = now() - start;
		start = now();
		for (int k = 0; k < repeat; k++)
			for (size_t c = 0; c < copies; c++) {
				const struct gns_mat x = matrix(o, pool + c * bytes, s->rows, s->in);
				const struct gns_mat y = matrix(o, pool + c * bytes + x_bytes, s->rows, s->out);
				double value;
				int rc = gns_sketch_sum(scratch, &x, &y, s->samples, o->probes, (uint64_t)round, c, &value, NULL);
				if (rc)
					return rc;
				sink += value;
			}
		t_sketch[at] = now() - start;
		start = now();
		for (int k = 0; k < repeat; k++)
			for (size_t c = 0; c < copies; c++) {
				const struct gns_mat all = matrix(o, pool + c * bytes, s->rows, s->in + s->out);
				sink += gns_norm2(&all, o->isa);
			}
		t_norm[at] = now() - start;
		r_sketch[at] = t_sum[at] / t_sketch[at];
		r_norm[at] = t_sum[at] / t_norm[at];
	}
	printf("%-5s %6zu x %-5zu %6zu x %-5zu %5zu  %-8s %7.1f %7.1f %6.2f %7.1f %6.2f %9.1f\n", label, s->rows, s->in, s->rows,
	       s->out, s->samples, isa_names[o->isa], total / median(t_sum, o->rounds) * 1e-9,
	       total / median(t_sketch, o->rounds) * 1e-9, median(r_sketch, o->rounds),
	       total / median(t_norm, o->rounds) * 1e-9, median(r_norm, o->rounds),
	       median(t_sketch, o->rounds) / ((double)copies * repeat) * 1e6);
	fflush(stdout);
	return 0;
}

static int bench_shape(const struct options *o, const struct shape *s)
{
	const size_t item = o->dtype == GNS_F64 ? 8 : 4;
	const size_t bytes = s->rows * (s->in + s->out) * item;
	const size_t copies = (o->mib << 20) / bytes ? (o->mib << 20) / bytes : 1;
	struct gns_sketch *scratch = gns_sketch_init(s->in > s->out ? s->in : s->out, o->isa);
	char *pool = mmap(NULL, copies * bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int rc;

	if (!scratch || pool == MAP_FAILED) {
		fprintf(stderr, "bench_sketch: cannot get %zu MiB for %zu copies of %zu x (%zu + %zu): try a smaller --mib\n",
			copies * bytes >> 20, copies, s->rows, s->in, s->out);
		return -ENOMEM;
	}
	fill(pool, copies * bytes, o->dtype);
	rc = measure(o, scratch, s, pool, copies, 1, "cold");
	if (!rc)
		rc = measure(o, scratch, s, pool, 1, (int)(1 + (32u << 20) / bytes), "warm");
	if (rc)
		fprintf(stderr, "bench_sketch: the sketch refuses %zu x %zu, %zu x %zu with %zu samples and %u probes: %s\n",
			s->rows, s->in, s->rows, s->out, s->samples, o->probes, strerror(-rc));
	munmap(pool, copies * bytes);
	gns_sketch_free(scratch);
	return rc;
}

static int usage(FILE *to, int status)
{
	fputs("usage: bench_sketch [--mib N] [--rounds N] [--probes N] [--f64] [--feature] [--isa portable|avx2|avx512]\n"
	      "                    [ROWS IN OUT SAMPLES]...\n"
	      "GB/s of the per-sample norm sketch and of the exact norm beside a plain sum of the same buffers.\n", to);
	return status;
}

/* The number after option i, or -1. */
static long number_after(int argc, char **argv, int *i)
{
	char *end = NULL;
	long value = *i + 1 < argc ? strtol(argv[++*i], &end, 10) : -1;

	return end && !*end && value > 0 ? value : -1;
}

static int parse_isa(const char *name, enum gns_isa *isa)
{
	for (unsigned i = 0; name && i < 3; i++)
		if (!strcmp(name, isa_names[i])) {
			*isa = i < (unsigned)*isa ? (enum gns_isa)i : *isa;
			return 0;
		}
	return -EINVAL;
}

int main(int argc, char **argv)
{
	static const struct shape defaults[] = {
		{2048, 256, 768, 32}, {2048, 256, 256, 32}, {2048, 1024, 1024, 32}, {2048, 1024, 4096, 32},
		{8192, 1024, 1024, 8}, {128, 784, 512, 128}, {1024, 256, 768, 64},
	};
	struct options o = {.mib = 512, .rounds = 15, .probes = GNS_PROBES_DEFAULT, .dtype = GNS_F32, .isa = gns_sketch_best_isa()};
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		long value = 1;
		if (!strcmp(argv[i], "--help"))
			return usage(stdout, 0);
		else if (!strcmp(argv[i], "--mib"))
			o.mib = (size_t)(value = number_after(argc, argv, &i));
		else if (!strcmp(argv[i], "--rounds"))
			o.rounds = (int)(value = number_after(argc, argv, &i));
		else if (!strcmp(argv[i], "--probes"))
			o.probes = (unsigned)(value = number_after(argc, argv, &i));
		else if (!strcmp(argv[i], "--f64"))
			o.dtype = GNS_F64;
		else if (!strcmp(argv[i], "--feature"))
			o.feature = 1;
		else if (!strcmp(argv[i], "--isa"))
			value = parse_isa(i + 1 < argc ? argv[++i] : NULL, &o.isa) ? -1 : 1;
		else
			value = -1;
		if (value < 0 || o.rounds > ROUNDS_MAX)
			return usage(stderr, 2);
	}
	if ((argc - i) % 4)
		return usage(stderr, 2);
	printf("%-5s %14s %14s %5s  %-8s %7s %7s %6s %7s %6s %9s\n", "cache", "X", "Y", "samp", "isa", "sum", "sketch", "ratio",
	       "norm2", "ratio", "sketch");
	printf("%-5s %14s %14s %5s  %-8s %7s %7s %6s %7s %6s %9s\n", "", "", "", "", "", "GB/s", "GB/s", "", "GB/s", "",
	       "us/call");
	for (size_t k = 0; i == argc && k < sizeof defaults / sizeof *defaults; k++)
		if (bench_shape(&o, &defaults[k]))
			return 1;
	for (; i + 3 < argc; i += 4) {
		const struct shape s = {strtoul(argv[i], NULL, 10), strtoul(argv[i + 1], NULL, 10),
					strtoul(argv[i + 2], NULL, 10), strtoul(argv[i + 3], NULL, 10)};
		if (!s.rows || !s.in || !s.out || !s.samples)
			return usage(stderr, 2);
		if (bench_shape(&o, &s))
			return 1;
	}
	return 0;
}
