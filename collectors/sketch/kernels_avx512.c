/* AVX-512 (F, DQ, VL, BW). */
#include <immintrin.h>

#include "kernels.h"

#define K_D __m512d
#define K_DW 8
#define K_DLOAD(p) _mm512_loadu_pd(p)
#define K_DSTORE(p, v) _mm512_storeu_pd(p, v)
#define K_DFMA(a, b, c) _mm512_fmadd_pd(a, b, c)

#define LANES16(n) ((__mmask16)((1u << (n)) - 1))
#define LANES8(n) ((__mmask8)((1u << (n)) - 1))

/* Lane sums of eight vectors of eight. */
static inline __attribute__((always_inline)) void sum8(const __m256 v[8], double *sum)
{
	const __m256 low = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
	const __m256 high = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));

	_mm256_storeu_pd(sum, _mm256_cvtps_pd(_mm_add_ps(_mm256_castps256_ps128(low), _mm256_extractf128_ps(low, 1))));
	_mm256_storeu_pd(sum + 4, _mm256_cvtps_pd(_mm_add_ps(_mm256_castps256_ps128(high), _mm256_extractf128_ps(high, 1))));
}

static inline __attribute__((always_inline)) void sum8_wide(const __m512 v[8], double *sum)
{
	__m256 half[8];

	for (int l = 0; l < 8; l++)
		half[l] = _mm256_add_ps(_mm512_castps512_ps256(v[l]), _mm512_extractf32x8_ps(v[l], 1));
	sum8(half, sum);
}

#define K_T float
#define K_U gns_f32
#define K_NAME(x) x##_f32
#define K_V __m512
#define K_W 16
#define K_LOAD(p) _mm512_loadu_ps(p)
#define K_LOADN(p, n) _mm512_maskz_loadu_ps(LANES16(n), p)
#define K_STORE(p, v) _mm512_storeu_ps(p, v)
#define K_SET(s) _mm512_set1_ps(s)
#define K_FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define K_WIDE(p) _mm512_cvtps_pd(_mm256_loadu_ps((const float *)(const void *)(p)))
#define K_PARTS 2
#define K_WIDEN(v, part) _mm512_cvtps_pd((part) ? _mm512_extractf32x8_ps(v, 1) : _mm512_castps512_ps256(v))
#define K_ZV 3
#define K_ZB 8
#define K_PAIR 3
#define K_WORDS __m512i
#define K_WORD(p) _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(p)))
/* The sign bit of the word over the bits of 1.0: (word & mask) | one. */
#define K_SIGN(w) _mm512_castsi512_ps(_mm512_ternarylogic_epi32( \
	w, _mm512_set1_epi32(INT32_MIN), _mm512_set1_epi32(0x3f800000), 0xea))
#define K_PERM(v, w) _mm512_permutexvar_ps(w, v)
#define K_SUM8(v, s) sum8_wide(v, s)
#define K_EVEN(a, b) _mm512_permutex2var_ps(a, _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0), b)
#include "kernels_template.h"

#define K_T double
#define K_U gns_f64
#define K_NAME(x) x##_f64
#define K_V __m512d
#define K_W 8
#define K_LOAD(p) _mm512_loadu_pd(p)
#define K_LOADN(p, n) _mm512_maskz_loadu_pd(LANES8(n), p)
#define K_STORE(p, v) _mm512_storeu_pd(p, v)
#define K_SET(s) _mm512_set1_pd(s)
#define K_FMA(a, b, c) _mm512_fmadd_pd(a, b, c)
#define K_WIDE(p) _mm512_loadu_pd(p)
#define K_PARTS 1
#define K_WIDEN(v, part) (v)
#define K_ZV 3
#define K_ZB 8
#define K_PAIR 3
#define K_WORDS __m512i
#define K_WORD(p) _mm512_cvtepi8_epi64(_mm_loadl_epi64((const __m128i *)(p)))
#define K_SIGN(w) _mm512_castsi512_pd(_mm512_ternarylogic_epi64( \
	w, _mm512_set1_epi64(INT64_MIN), _mm512_set1_epi64(0x3ff0000000000000), 0xea))
#define K_PERM(v, w) _mm512_permutexvar_pd(w, v)
#include "kernels_template.h"

#include "kernels_wide.h"

const struct gns_kernels gns_kernels_avx512 = {
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
