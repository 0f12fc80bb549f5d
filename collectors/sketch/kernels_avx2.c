/* AVX2 with FMA. */
#include <immintrin.h>

#include "kernels.h"

#define K_D __m256d
#define K_DW 4
#define K_DLOAD(p) _mm256_loadu_pd(p)
#define K_DSTORE(p, v) _mm256_storeu_pd(p, v)
#define K_DFMA(a, b, c) _mm256_fmadd_pd(a, b, c)

/* The first n of 8 lanes: a window into eight ones and eight zeros. */
static const int32_t lane_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
#define LANES8(n) _mm256_loadu_si256((const __m256i *)(lane_window + 8 - (n)))
#define LANES4(n) _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)(lane_window + 8 - (n))))

/* Lane sums of eight vectors of eight. */
static inline __attribute__((always_inline)) void sum8(const __m256 v[8], double *sum)
{
	const __m256 low = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
	const __m256 high = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));

	_mm256_storeu_pd(sum, _mm256_cvtps_pd(_mm_add_ps(_mm256_castps256_ps128(low), _mm256_extractf128_ps(low, 1))));
	_mm256_storeu_pd(sum + 4, _mm256_cvtps_pd(_mm_add_ps(_mm256_castps256_ps128(high), _mm256_extractf128_ps(high, 1))));
}

#define K_T float
#define K_U gns_f32
#define K_NAME(x) x##_f32
#define K_V __m256
#define K_W 8
#define K_LOAD(p) _mm256_loadu_ps((const float *)(const void *)(p))
#define K_LOADN(p, n) _mm256_maskload_ps((const float *)(const void *)(p), LANES8(n))
#define K_STORE(p, v) _mm256_storeu_ps(p, v)
#define K_SET(s) _mm256_set1_ps(s)
#define K_FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define K_WIDE(p) _mm256_cvtps_pd(_mm_loadu_ps((const float *)(const void *)(p)))
#define K_PARTS 2
#define K_WIDEN(v, part) _mm256_cvtps_pd((part) ? _mm256_extractf128_ps(v, 1) : _mm256_castps256_ps128(v))
#define K_ZV 3
#define K_ZB 4
#define K_PAIR 1
#define K_WORDS __m256i
#define K_WORD(p) _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(p)))
#define K_SIGN(w) _mm256_or_ps(_mm256_and_ps(_mm256_castsi256_ps(w), _mm256_set1_ps(-0.0f)), _mm256_set1_ps(1))
#define K_PERM(v, w) _mm256_permutevar8x32_ps(v, w)
#define K_SUM8(v, s) sum8(v, s)
#define K_EVEN(a, b) \
	_mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(_mm256_shuffle_ps(a, b, 0x88)), 0xd8))
#include "kernels_template.h"

#define K_T double
#define K_U gns_f64
#define K_NAME(x) x##_f64
#define K_V __m256d
#define K_W 4
#define K_LOAD(p) _mm256_loadu_pd((const double *)(const void *)(p))
#define K_LOADN(p, n) _mm256_maskload_pd((const double *)(const void *)(p), LANES4(n))
#define K_STORE(p, v) _mm256_storeu_pd(p, v)
#define K_SET(s) _mm256_set1_pd(s)
#define K_FMA(a, b, c) _mm256_fmadd_pd(a, b, c)
#define K_WIDE(p) _mm256_loadu_pd((const double *)(const void *)(p))
#define K_PARTS 1
#define K_WIDEN(v, part) (v)
#define K_ZV 3
#define K_ZB 4
#define K_PAIR 1
#include "kernels_template.h"

#include "kernels_wide.h"

const struct gns_kernels gns_kernels_avx2 = {
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
	.add_run = {add_run_f32, add_run_f64},
	.add_gain = {add_gain_f32, add_gain_f64},
	.sum_run = {sum_run_f32, sum_run_f64},
	.sum_gain = {sum_gain_f32, sum_gain_f64},
	.row_norms_feature = {row_norms_feature_f32, row_norms_feature_f64},
};
