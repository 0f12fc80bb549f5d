/* AVX-512 (F, DQ, VL, BW). */
#include <immintrin.h>

#include "kernels.h"
#include "kernels_sum8.h"

#define K_D __m512d
#define K_DW 8
#define K_DLOAD(p) _mm512_loadu_pd(p)
#define K_DSTORE(p, v) _mm512_storeu_pd(p, v)
#define K_DFMA(a, b, c) _mm512_fmadd_pd(a, b, c)

#define LANES16(n) ((__mmask16)((1u << (n)) - 1))
#define LANES8(n) ((__mmask8)((1u << (n)) - 1))

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

#define K_TABLE gns_kernels_avx512
#include "kernels_wide.h"
