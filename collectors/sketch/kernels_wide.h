/* What closes an instruction set, included once for each, after the template for both element types and with K_D and its functions
 * defined: plain loops that the compiler turns into vectors, and the table of all kernels, whose name is K_TABLE. */

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

const struct gns_sketch_kernels K_TABLE = {
	.bucket = {bucket_f32, bucket_f64},
	.bucket_feature = {bucket_feature_f32, bucket_feature_f64},
	.weigh_feature = {weigh_feature_f32, weigh_feature_f64},
	.add_rows = {add_rows_f32, add_rows_f64},
	.project = {project_f32, project_f64},
	.fold = {fold_f32, fold_f64},
	.dot = {dot_f32, dot_f64},
	.norm2 = {norm2_f32, norm2_f64},
	.diff_norm2 = {diff_norm2_f32, diff_norm2_f64},
	.to_f32 = {to_f32_f16, to_f32_bf16},
	.to_f64 = {to_f64_f32, to_f64_f64, to_f64_f16, to_f64_bf16},
	.add = add,
	.add_product = add_product,
	.add_scaled = add_scaled,
	.total = total,
	.shift_sum = {shift_sum_f32, shift_sum_f64},
	.shift_dots = {shift_dots_f32, shift_dots_f64},
	.copy_rows = {copy_rows_f32, copy_rows_f64},
	.copy_second = {copy_second_f32, copy_second_f64},
	.add_wide_rows = {add_wide_rows_f32, add_wide_rows_f64},
	.add_gain = {add_gain_f32, add_gain_f64},
	.sum_run = {sum_run_f32, sum_run_f64},
	.sum_gain = {sum_gain_f32, sum_gain_f64},
	.row_norms_feature = {row_norms_feature_f32, row_norms_feature_f64},
};
