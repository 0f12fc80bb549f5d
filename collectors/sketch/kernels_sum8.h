/* Lane sums of eight vectors of eight, for what has AVX2. */
#ifndef GNS_COLLECTORS_SKETCH_KERNELS_SUM8_H
#define GNS_COLLECTORS_SKETCH_KERNELS_SUM8_H

#include <immintrin.h>

static inline __attribute__((always_inline)) void sum8(const __m256 v[8], double *sum)
{
	const __m256 low = _mm256_hadd_ps(_mm256_hadd_ps(v[0], v[1]), _mm256_hadd_ps(v[2], v[3]));
	const __m256 high = _mm256_hadd_ps(_mm256_hadd_ps(v[4], v[5]), _mm256_hadd_ps(v[6], v[7]));

	_mm256_storeu_pd(sum, _mm256_cvtps_pd(_mm_add_ps(_mm256_castps256_ps128(low), _mm256_extractf128_ps(low, 1))));
	_mm256_storeu_pd(sum + 4, _mm256_cvtps_pd(_mm_add_ps(_mm256_castps256_ps128(high), _mm256_extractf128_ps(high, 1))));
}

#endif
