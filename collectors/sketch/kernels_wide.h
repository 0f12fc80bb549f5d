/* Plain loops that the compiler turns into vectors; included once for each instruction set, with K_D and its functions defined. */

static void to_f32_f16(const void *from, size_t n, float *to)
{
	const gns_half *half = from;
	for (size_t i = 0; i < n; i++)
		to[i] = gns_from_f16(half[i]);
}

static void to_f32_bf16(const void *from, size_t n, float *to)
{
	const gns_half *half = from;
	for (size_t i = 0; i < n; i++)
		to[i] = gns_from_bf16(half[i]);
}

#define WIDEN(NAME, TYPE, VALUE)                                                                                       \
	static void to_f64_##NAME(const void *from, size_t n, double *to)                                              \
	{                                                                                                              \
		const TYPE *p = from;                                                                                  \
		for (size_t i = 0; i < n; i++)                                                                         \
			to[i] = (double)VALUE(p[i]);                                                                   \
	}
WIDEN(f32, gns_f32, )
WIDEN(f64, gns_f64, )
WIDEN(f16, gns_half, gns_from_f16)
WIDEN(bf16, gns_half, gns_from_bf16)
#undef WIDEN

static void add(double *restrict sum, const double *restrict a, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum[i] += a[i];
}

static void add_product(double *restrict sum, const double *restrict a, const double *restrict b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum[i] += a[i] * b[i];
}

static void add_scaled(double *restrict sum, const double *restrict a, double s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sum[i] += s * a[i];
}

static double total(const double *a, size_t n)
{
	K_D lanes[4] = {{0}};
	double sum = 0;
	size_t i = 0;

	for (; i + 4 * K_DW <= n; i += 4 * K_DW)
		for (int v = 0; v < 4; v++)
			lanes[v] += K_DLOAD(a + i + v * K_DW);
	lanes[0] += lanes[1] + (lanes[2] + lanes[3]);
	for (int l = 0; l < K_DW; l++)
		sum += lanes[0][l];
	for (; i < n; i++)
		sum += a[i];
	return sum;
}
