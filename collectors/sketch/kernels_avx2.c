/* AVX2 with FMA. */
#include <immintrin.h>

#include "kernels.h"
#include "kernels_sum8.h"

#define K_D __m256d
#define K_DW 4
#define K_DLOAD(p) _mm256_loadu_pd(p)
#define K_DSTORE(p, v) _mm256_storeu_pd(p, v)
#define K_DFMA(a, b, c) _mm256_fmadd_pd(a, b, c)

/* The first n of 8 lanes: a window into eight ones and eight zeros. */
static const int32_t lane_window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
#define LANES8(n) _mm256_loadu_si256((const __m256i *)(lane_window + 8 - (n)))
#define LANES4(n) _mm256_cvtepi32_epi64(_mm_loadu_si128((const __m128i *)(lane_window + 8 - (n))))

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

#define K_TABLE gns_kernels_avx2
#include "kernels_wide.h"
