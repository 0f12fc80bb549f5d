/* The norm and sketch kernels. Compiled by nvcc into the image, and by a C++ compiler with tests/fakes/emulate.h for the tests. */
#ifdef GNS_EMULATE
#include "tests/fakes/emulate.h"
#endif
#include "kernels.h"

#define LANES 32
#define WARPS (GNS_CU_THREADS / LANES)
#define ALL_LANES 0xffffffffu
#define BATCH 4 /* rows or vectors loaded before the first is used */

/* ---- element types ---- */

struct f16 {
	uint16_t bits;
};
struct bf16 {
	uint16_t bits;
};
struct alignas(16) raw16 {
	uint32_t word[4];
};

template <class T> struct of;
template <> struct of<float> { typedef float acc; };
template <> struct of<double> { typedef double acc; };
template <> struct of<f16> { typedef float acc; };
template <> struct of<bf16> { typedef float acc; };
template <class T> struct vec { enum { n = 16 / sizeof(T) }; };

static __device__ inline float float_of(uint32_t bits)
{
	float value;
	memcpy(&value, &bits, sizeof value);
	return value;
}

static __device__ inline float widen(float value) { return value; }
static __device__ inline double widen(double value) { return value; }
static __device__ inline float widen(bf16 value) { return float_of((uint32_t)value.bits << 16); }
static __device__ inline float widen(f16 value)
{
#ifdef __CUDA_ARCH__
	float wide;
	asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
	return wide;
#else
	const uint32_t sign = (uint32_t)(value.bits & 0x8000) << 16, rest = value.bits & 0x7fff;
	if (rest >= 0x7c00)
		return float_of(sign | 0x7f800000 | (rest & 0x3ff) << 13);
	if (rest < 0x400) /* subnormal: rest * 2^-24 */
		return (sign ? -1.0f : 1.0f) * (float)rest * 5.9604644775390625e-8f;
	return float_of(sign | ((rest << 13) + (112u << 23)));
#endif
}

static __device__ inline void unpack(const raw16 &raw, const float *, float *out)
{
	for (int i = 0; i < 4; i++)
		out[i] = float_of(raw.word[i]);
}

static __device__ inline void unpack(const raw16 &raw, const double *, double *out)
{
	for (int i = 0; i < 2; i++) {
		const uint64_t bits = (uint64_t)raw.word[2 * i + 1] << 32 | raw.word[2 * i];
		memcpy(&out[i], &bits, sizeof bits);
	}
}

template <class T> static __device__ inline void unpack(const raw16 &raw, const T *, float *out)
{
	for (int i = 0; i < 4; i++) {
		const T low = {(uint16_t)raw.word[i]}, high = {(uint16_t)(raw.word[i] >> 16)};
		out[2 * i] = widen(low);
		out[2 * i + 1] = widen(high);
	}
}

static __device__ inline float multiply_add(float a, float b, float c) { return fmaf(a, b, c); }
static __device__ inline double multiply_add(double a, double b, double c) { return fma(a, b, c); }

/* ---- reading rows ---- */

template <class T> static __device__ inline const T *row_at(const gns_cu_rows &m, uint64_t sample, uint64_t row)
{
	return (const T *)m.data + (int64_t)sample * m.sample_step + (int64_t)row * m.row_stride;
}

/* Columns col .. col + 15 / sizeof(T) of N rows, zeros beyond the matrix; all loads before the first use. */
template <class T, bool VEC, int N>
static __device__ inline void load_rows(const T *const (&row)[N], const bool (&there)[N], const gns_cu_rows &m, uint64_t col,
					typename of<T>::acc (&out)[N][vec<T>::n])
{
	const int n = vec<T>::n;
	if (VEC) {
		raw16 raw[N];
#pragma unroll
		for (int r = 0; r < N; r++) {
			raw16 zero = {{0, 0, 0, 0}};
			raw[r] = there[r] && col + n <= m.cols ? *(const raw16 *)(row[r] + col) : zero;
		}
#pragma unroll
		for (int r = 0; r < N; r++)
			unpack(raw[r], row[r], out[r]);
		if (col + n <= m.cols)
			return;
	}
#pragma unroll
	for (int r = 0; r < N; r++) {
#pragma unroll
		for (int i = 0; i < n; i++)
			out[r][i] = there[r] && col + i < m.cols ? widen(row[r][(int64_t)(col + i) * m.col_stride]) : 0;
		asm volatile("" ::: "memory"); /* one row's addresses at a time: or the fast path has no registers left */
	}
}

/* ---- sums in a fixed order ---- */

template <class A> static __device__ inline A warp_sum(A value)
{
#pragma unroll
	for (int step = LANES / 2; step; step /= 2)
		value += __shfl_xor_sync(ALL_LANES, value, step);
	return value;
}

/* Half of the values to the lane BIT away, for half of its own. */
template <int BIT> struct exchange {
	template <class A, int N> static __device__ inline void over(A (&value)[N])
	{
		const bool upper = threadIdx.x & BIT;
#pragma unroll
		for (int i = 0; i < BIT; i++) {
			const A give = upper ? value[i] : value[i + BIT], keep = upper ? value[i + BIT] : value[i];
			value[i] = keep + __shfl_xor_sync(ALL_LANES, give, BIT);
		}
		exchange<BIT / 2>::over(value);
	}
};
template <> struct exchange<0> {
	template <class A, int N> static __device__ inline void over(A (&)[N]) {}
};

/* Lane i gets the sum over the warp of value[i % N]; N a power of two. The array is used up. */
template <int N, class A> static __device__ inline A warp_sums(A (&value)[N])
{
	exchange<N / 2>::over(value);
#pragma unroll
	for (int step = N; step < LANES; step *= 2)
		value[0] += __shfl_xor_sync(ALL_LANES, value[0], step);
	return value[0];
}

/* Of a whole block; the result is thread 0's. */
static __device__ inline double block_sum(double value)
{
	__shared__ double warps[WARPS];
	value = warp_sum(value);
	if (threadIdx.x % LANES == 0)
		warps[threadIdx.x / LANES] = value;
	__syncthreads();
	double sum = 0;
	if (threadIdx.x == 0)
		for (int w = 0; w < WARPS; w++)
			sum += warps[w];
	__syncthreads();
	return sum;
}

/* ---- norms ---- */

template <class A> static __device__ inline double squared(A value, A before, A scale, double sum)
{
	const double d = multiply_add(-scale, before, value);
	return fma(d, d, sum);
}

/* AHEAD vectors of a row, `step` apart, all loads before the first use. */
template <class T, bool DIFF, int AHEAD>
static __device__ inline double norm2_vectors(const T *m, const T *n, uint64_t step, typename of<T>::acc scale, double sum)
{
	typedef typename of<T>::acc A;
	raw16 raw[AHEAD], other[DIFF ? AHEAD : 1];

#pragma unroll
	for (int k = 0; k < AHEAD; k++) {
		raw[k] = *(const raw16 *)(m + k * step);
		if (DIFF)
			other[k] = *(const raw16 *)(n + k * step);
	}
#pragma unroll
	for (int k = 0; k < AHEAD; k++) {
		A value[vec<T>::n], before[vec<T>::n] = {0};
		unpack(raw[k], m, value);
		if (DIFF)
			unpack(other[k], m, before);
#pragma unroll
		for (int i = 0; i < vec<T>::n; i++)
			sum = DIFF ? squared(value[i], before[i], scale, sum) : fma((double)value[i], (double)value[i], sum);
	}
	return sum;
}

template <class T, bool DIFF> static __device__ inline double norm2_row(const gns_cu_norm2 &a, const T *m, const T *n)
{
	typedef typename of<T>::acc A;
	enum { width = vec<T>::n, ahead = DIFF ? 4 : 8 };
	const uint64_t step = (uint64_t)gridDim.x * GNS_CU_THREADS * width;
	const uint64_t first = ((uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x) * width;
	const bool vec = a.m.vec && (!DIFF || a.n.vec);
	double sum = 0;
	uint64_t at = first;

	for (; vec && at + (ahead - 1) * step + width <= a.m.cols; at += ahead * step)
		sum = norm2_vectors<T, DIFF, ahead>(m + at, n + at, step, (A)a.scale, sum);
	for (; vec && at + width <= a.m.cols; at += step)
		sum = norm2_vectors<T, DIFF, 1>(m + at, n + at, step, (A)a.scale, sum);
	for (; at < a.m.cols; at += step)
		for (uint64_t col = at; col < at + width && col < a.m.cols; col++) {
			const A value = widen(m[(int64_t)col * a.m.col_stride]);
			sum = DIFF ? squared<A>(value, widen(n[(int64_t)col * a.n.col_stride]), (A)a.scale, sum) :
				     fma((double)value, (double)value, sum);
		}
	return sum;
}

template <class T, bool DIFF> static __device__ inline double norm2_rows(const gns_cu_norm2 &a)
{
	double sum = 0;

	for (uint64_t row = blockIdx.y; row < a.m.samples * a.m.rows; row += gridDim.y) {
		const uint64_t sample = row / a.m.rows, t = row % a.m.rows;
		const T *m = row_at<T>(a.m, sample, t);
		sum += norm2_row<T, DIFF>(a, m, DIFF ? row_at<T>(a.n, sample, t) : m);
	}
	return sum;
}

template <class T> static __device__ inline void norm2(const gns_cu_norm2 &a)
{
	const double sum = block_sum(a.n.data ? norm2_rows<T, true>(a) : norm2_rows<T, false>(a));
	if (threadIdx.x == 0)
		a.partial[(uint64_t)blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

static __device__ inline double strided_sum(const double *values, uint64_t n)
{
	double sum = 0;
	for (uint64_t i = threadIdx.x; i < n; i += GNS_CU_THREADS)
		sum += values[i];
	return block_sum(sum);
}

/* ---- the sketch ---- */

/* The generator of collectors/sketch/signs.c, bit for bit. */
static __device__ inline uint64_t mix(uint64_t v)
{
	v = (v ^ (v >> 30)) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ (v >> 27)) * 0x94d049bb133111ebull;
	return v ^ (v >> 31);
}

static __device__ inline uint64_t make_key(uint64_t seed, uint64_t stream, uint64_t sample)
{
	uint64_t key = mix(seed + 0x9e3779b97f4a7c15ull);
	key = mix(key + stream * 0xd1342543de82ef95ull + 0x632be59bd9b4e019ull);
	return mix(key + sample * 0xaf251af3b0f025b5ull + 0x8ebc6af09c88c6e3ull);
}

#include "sketch.cuh"

/* ---- few rows: exact ---- */

template <class T, bool VEC> static __device__ inline void gram_slice(const gns_cu_gram &a, uint64_t sample, uint64_t slice, double *part)
{
	typedef typename of<T>::acc A;
	const int n = vec<T>::n;
	const uint64_t lane = threadIdx.x % LANES, from = slice * a.slice_cols;
	const uint64_t to = from + a.slice_cols < a.m.cols ? from + a.slice_cols : a.m.cols;
	const T *row[GNS_CU_GRAM_ROWS];
	bool there[GNS_CU_GRAM_ROWS];
	double sum[GNS_CU_GRAM_PAIRS] = {0};

#pragma unroll
	for (int r = 0; r < GNS_CU_GRAM_ROWS; r++) {
		there[r] = (uint64_t)r < a.m.rows;
		row[r] = row_at<T>(a.m, sample, there[r] ? r : 0);
	}
	for (uint64_t col = from + lane * n; col < to; col += LANES * n) {
		A m[GNS_CU_GRAM_ROWS][n];
		load_rows<T, VEC, GNS_CU_GRAM_ROWS>(row, there, a.m, col, m);
#pragma unroll
		for (int r = 0, pair = 0; r < GNS_CU_GRAM_ROWS; r++)
#pragma unroll
			for (int s = 0; s <= r; s++, pair++)
				if ((uint64_t)r < a.m.rows)
#pragma unroll
					for (int i = 0; i < n; i++)
						sum[pair] = fma((double)m[r][i], (double)m[s][i], sum[pair]);
	}
#pragma unroll
	for (int pair = 0; pair < GNS_CU_GRAM_PAIRS; pair++) {
		const double total = warp_sum(sum[pair]);
		if (lane == 0)
			part[pair] = total;
	}
}

/* The one product of a single row, with more loads in flight. */
template <class T> static __device__ inline void row_slice(const gns_cu_gram &a, uint64_t sample, uint64_t slice, double *part)
{
	enum { n = vec<T>::n, ahead = 8 };
	const uint64_t from = slice * a.slice_cols, to = from + a.slice_cols < a.m.cols ? from + a.slice_cols : a.m.cols;
	const T *row = row_at<T>(a.m, sample, 0);
	uint64_t col = from + threadIdx.x % LANES * n;
	double sum = 0;

	for (; col + (ahead - 1) * LANES * n + n <= to; col += ahead * LANES * n)
		sum = norm2_vectors<T, false, ahead>(row + col, row + col, LANES * n, 0, sum);
	for (; col + n <= to; col += LANES * n)
		sum = norm2_vectors<T, false, 1>(row + col, row + col, LANES * n, 0, sum);
	for (; col < to; col++) {
		const double value = widen(row[col]);
		sum = fma(value, value, sum);
	}
	sum = warp_sum(sum);
	if (threadIdx.x % LANES == 0)
		*part = sum;
}

template <class T> static __device__ inline void gram(const gns_cu_gram &a)
{
	const uint64_t k = (uint64_t)blockIdx.x * WARPS + threadIdx.x / LANES;
	if (k >= a.m.samples * a.slices)
		return;
	if (a.m.vec && a.m.rows == 1)
		row_slice<T>(a, k / a.slices, k % a.slices, a.part + k * GNS_CU_GRAM_PAIRS);
	else if (a.m.vec)
		gram_slice<T, true>(a, k / a.slices, k % a.slices, a.part + k * GNS_CU_GRAM_PAIRS);
	else
		gram_slice<T, false>(a, k / a.slices, k % a.slices, a.part + k * GNS_CU_GRAM_PAIRS);
}

static __device__ inline void gram_finish(const gns_cu_gram_finish &a)
{
	const uint64_t sample = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x;
	if (sample >= a.samples)
		return;
	double sum = 0;
	for (unsigned r = 0, pair = 0; r < a.rows; r++)
		for (unsigned s = 0; s <= r; s++, pair++) {
			double x = 0, y = 0;
			for (uint64_t k = 0; k < a.x_slices; k++)
				x += a.x[(sample * a.x_slices + k) * GNS_CU_GRAM_PAIRS + pair];
			for (uint64_t k = 0; k < a.y_slices; k++)
				y += a.y[(sample * a.y_slices + k) * GNS_CU_GRAM_PAIRS + pair];
			sum += (r == s ? 1 : 2) * x * y;
		}
	a.value[sample] = sum;
}

#include "reduce.cuh"

/* ---- biases, gains, embeddings ---- */

static __device__ inline double statistic_at(const gns_cu_statistic &s, uint64_t sample, uint64_t row, double absent)
{
	return s.data ? value_at(s.data, s.dtype, (int64_t)sample * s.sample_step + (int64_t)row * s.row_stride) : absent;
}

template <class A, int n> static __device__ inline void add_columns(const A (&y)[n], const A (&x)[n], A mean, A rstd, A (&acc)[n])
{
#pragma unroll
	for (int i = 0; i < n; i++)
		acc[i] = multiply_add((x[i] - mean) * rstd, y[i], acc[i]);
}

/* Rows from `from` on, one in WARPS, of this lane's columns; FULL: all of them are there, and rows aligned. GAIN: y times x. */
template <class T, bool FULL, bool GAIN>
static __device__ inline void column_chunk(const gns_cu_columns &a, uint64_t from, uint64_t to, uint64_t col, typename of<T>::acc (&acc)[vec<T>::n])
{
	typedef typename of<T>::acc A;
	enum { n = vec<T>::n };
	const uint64_t sample = blockIdx.z;
	uint64_t t = from;
	A y[n], x[n];

	for (; FULL && t + (BATCH - 1) * WARPS < to; t += BATCH * WARPS) {
		raw16 raw[BATCH], other[BATCH];
#pragma unroll
		for (int r = 0; r < BATCH; r++) {
			raw[r] = *(const raw16 *)(row_at<T>(a.y, sample, t + r * WARPS) + col);
			if (GAIN)
				other[r] = *(const raw16 *)(row_at<T>(a.x, sample, t + r * WARPS) + col);
		}
#pragma unroll
		for (int r = 0; r < BATCH; r++) {
			const uint64_t at = t + r * WARPS;
			unpack(raw[r], (const T *)0, y);
			if (GAIN) {
				unpack(other[r], (const T *)0, x);
				add_columns<A, n>(y, x, (A)statistic_at(a.mean, sample, at, 0), (A)statistic_at(a.rstd, sample, at, 1), acc);
			} else {
#pragma unroll
				for (int i = 0; i < n; i++)
					acc[i] += y[i];
			}
		}
	}
#pragma unroll 1
	for (; t < to; t += WARPS) {
		const T *row = row_at<T>(a.y, sample, t), *other = row_at<T>(a.x, sample, t);
#pragma unroll
		for (int i = 0; i < n; i++) {
			const bool there = col + i < a.y.cols;
			y[i] = there ? widen(row[(int64_t)(col + i) * a.y.col_stride]) : 0;
			x[i] = GAIN && there ? widen(other[(int64_t)(col + i) * a.x.col_stride]) : 1;
		}
		add_columns<A, n>(y, x, GAIN ? (A)statistic_at(a.mean, sample, t, 0) : 0, GAIN ? (A)statistic_at(a.rstd, sample, t, 1) : 1, acc);
	}
}

template <class T> static __device__ inline void columns(const gns_cu_columns &a)
{
	typedef typename of<T>::acc A;
	enum { n = vec<T>::n, tile = LANES * n };
	__shared__ A by_warp[WARPS][tile];
	const uint64_t sample = blockIdx.z, lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
	const uint64_t base = (uint64_t)blockIdx.x * tile, col = base + lane * n, from = blockIdx.y * a.chunk_rows;
	const uint64_t to = from + a.chunk_rows < a.y.rows ? from + a.chunk_rows : a.y.rows;
	const bool full = a.y.vec && (!a.x.data || a.x.vec) && base + tile <= a.y.cols;
	A acc[n] = {0};

	if (full && a.x.data)
		column_chunk<T, true, true>(a, from + warp, to, col, acc);
	else if (full)
		column_chunk<T, true, false>(a, from + warp, to, col, acc);
	else if (a.x.data)
		column_chunk<T, false, true>(a, from + warp, to, col, acc);
	else
		column_chunk<T, false, false>(a, from + warp, to, col, acc);
#pragma unroll
	for (int i = 0; i < n; i++)
		by_warp[warp][lane * n + i] = acc[i];
	__syncthreads();
	if (threadIdx.x < tile && base + threadIdx.x < a.y.cols) {
		double sum = 0;
		for (int w = 0; w < WARPS; w++)
			sum += by_warp[w][threadIdx.x];
		((A *)a.part)[(sample * gridDim.y + blockIdx.y) * a.y.cols + base + threadIdx.x] = (A)sum;
	}
}

template <class T> static __device__ inline void inner(const gns_cu_inner &a)
{
	typedef typename of<T>::acc A;
	const int n = vec<T>::n;
	const uint64_t lane = threadIdx.x % LANES, k = (uint64_t)blockIdx.x * WARPS + threadIdx.x / LANES;
	if (k >= a.y.rows)
		return;
	const T *const row[1] = {row_at<T>(a.y, blockIdx.y, k)};
	const bool there[1] = {true};
	double sum = 0;
	for (uint64_t col = lane * n; col < a.y.cols; col += LANES * n) {
		A y[1][n], part = 0;
		if (a.y.vec)
			load_rows<T, true, 1>(row, there, a.y, col, y);
		else
			load_rows<T, false, 1>(row, there, a.y, col, y);
#pragma unroll
		for (int i = 0; i < n; i++)
			part += y[0][i];
		sum += part;
	}
	sum = warp_sum(sum);
	if (lane == 0)
		a.value[blockIdx.y * a.y.rows + k] = sum * sum;
}

static __device__ inline int64_t id_at(const gns_cu_embedding &a, uint64_t sample, uint64_t row)
{
	const int64_t at = (int64_t)sample * a.ids_sample_step + (int64_t)row * a.ids_row_stride;
	return a.ids_wide ? ((const int64_t *)a.ids)[at] : ((const int32_t *)a.ids)[at];
}

static __device__ inline unsigned lowest_bit(uint32_t word) { return __ffs((int)word) - 1; }

template <class T> static __device__ inline void embedding(const gns_cu_embedding &a)
{
	typedef typename of<T>::acc A;
	enum { n = vec<T>::n };
	__shared__ uint32_t same[WARPS]; /* a bit a row */
	__shared__ uint32_t earlier[WARPS];
	const uint64_t first = blockIdx.x, sample = blockIdx.y;
	const int64_t id = id_at(a, sample, first);
	uint32_t found = a.padding_idx >= 0 && id == a.padding_idx;
	double norm2 = 0;

	for (uint64_t t = threadIdx.x; t < first; t += GNS_CU_THREADS)
		found |= id_at(a, sample, t) == id;
	found = warp_sum(found);
	if (threadIdx.x % LANES == 0)
		earlier[threadIdx.x / LANES] = found;
	__syncthreads();
	found = 0;
	for (int w = 0; w < WARPS; w++)
		found |= earlier[w];
	for (uint64_t base = 0; !found && base < a.y.cols; base += GNS_CU_THREADS * n) {
		const uint64_t col = base + threadIdx.x * n;
		double sum[n] = {0};
		for (uint64_t t = first; t < a.y.rows; t += GNS_CU_THREADS) {
			const uint32_t mask = __ballot_sync(ALL_LANES, t + threadIdx.x < a.y.rows && id_at(a, sample, t + threadIdx.x) == id);
			if (threadIdx.x % LANES == 0)
				same[threadIdx.x / LANES] = mask;
			__syncthreads();
			for (unsigned k = 0; k < GNS_CU_THREADS; k++) {
				const uint32_t left = same[k / LANES] >> k % LANES;
				if (!(left & 1)) { /* on to the next one, or to the next word */
					k += left ? lowest_bit(left) - 1 : LANES - 1 - k % LANES;
					continue;
				}
				const T *const row[1] = {row_at<T>(a.y, sample, t + k)};
				const bool there[1] = {true};
				A y[1][n];
				if (a.y.vec)
					load_rows<T, true, 1>(row, there, a.y, col, y);
				else
					load_rows<T, false, 1>(row, there, a.y, col, y);
#pragma unroll
				for (int i = 0; i < n; i++)
					sum[i] += y[0][i];
			}
			__syncthreads();
		}
#pragma unroll
		for (int i = 0; i < n; i++)
			norm2 = fma(sum[i], sum[i], norm2);
	}
	norm2 = block_sum(norm2);
	if (threadIdx.x == 0)
		a.value[sample * a.y.rows + first] = norm2;
}

#include "conv.cuh"
#include "uses.cuh"

/* ---- fingerprints: profiler/shim/weights/fingerprint.c ---- */

static __device__ inline void print(const gns_cu_print &a)
{
	__shared__ uint64_t bits[GNS_CU_PRINT_N];
	const unsigned j = threadIdx.x;
	if (j < GNS_CU_PRINT_N) {
		const uint64_t slow = __umul64hi((j + 1) * 0x9e3779b97f4a7c15ull, a.slow_n);
		const uint64_t fast = __umul64hi((j + 1) * 0xd1b54a32d192ed03ull, a.fast_n);
		const int64_t at = (int64_t)slow * a.ld + (int64_t)fast;
		bits[j] = a.item_size == 8 ? ((const uint64_t *)a.data)[at] :
			  a.item_size == 4 ? ((const uint32_t *)a.data)[at] :
					     ((const uint16_t *)a.data)[at];
		if (a.bits)
			a.bits[j] = bits[j];
	}
	__syncthreads();
	if (j)
		return;
	uint64_t h = 0x9e3779b97f4a7c15ull, g = 0xd1b54a32d192ed03ull, second = 0;
	for (int k = 0; k < GNS_CU_PRINT_N; k += 2) {
		h = (h ^ bits[k]) * 0xff51afd7ed558ccdull;
		g = (g ^ bits[k + 1]) * 0xc4ceb9fe1a85ec53ull;
		h ^= h >> 32;
		g ^= g >> 29;
		second = mix(mix(second ^ bits[k]) + bits[k + 1] + 0x632be59bd9b4e019ull);
	}
	a.hash[0] = h ^ (g << 31 | g >> 33);
	a.hash[1] = second;
}

#include "deliver.cuh"

/* ---- entries ---- */

#ifndef GNS_EMULATE
#define GNS_EMULATED(name, args)
#endif
#define ENTRY(symbol, bounds, args, call) UNGATED(symbol, bounds, args, if (!a.gate || *a.gate) call)
#define UNGATED(symbol, bounds, args, call) \
	extern "C" __global__ void __launch_bounds__ bounds symbol(const struct args a) \
	{ \
		call; \
	} \
	GNS_EMULATED(symbol, args)
#define ENTRIES(name, args) ENTRIES_OF(name, args, (GNS_CU_THREADS, 1))
#define ENTRIES_OF(name, args, bounds) \
	ENTRY(gns_##name##_f32, bounds, args, name<float>(a)) \
	ENTRY(gns_##name##_f64, bounds, args, name<double>(a)) \
	ENTRY(gns_##name##_f16, bounds, args, name<f16>(a)) \
	ENTRY(gns_##name##_bf16, bounds, args, name<bf16>(a))

ENTRIES(direction, gns_cu_direction)
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
#define HEAVY_BLOCKS 1 /* there nvcc 13.0 spills in 128 registers */
#else
#define HEAVY_BLOCKS 2
#endif
/* Blocks a multiprocessor, and with them registers a thread: for loads enough in flight. */
ENTRIES_OF(norm2, gns_cu_norm2, (GNS_CU_THREADS, 4))
ENTRY(gns_buckets_f32, (GNS_CU_THREADS, HEAVY_BLOCKS), gns_cu_buckets, buckets<float>(a))
ENTRY(gns_buckets_f64, (GNS_CU_THREADS, 1), gns_cu_buckets, buckets<double>(a))
ENTRY(gns_buckets_f16, (GNS_CU_THREADS, HEAVY_BLOCKS), gns_cu_buckets, buckets<f16>(a))
ENTRY(gns_buckets_bf16, (GNS_CU_THREADS, HEAVY_BLOCKS), gns_cu_buckets, buckets<bf16>(a))
ENTRIES_OF(weigh, gns_cu_weigh, (GNS_CU_THREADS, 2))
ENTRIES_OF(columns, gns_cu_columns, (GNS_CU_THREADS, HEAVY_BLOCKS))
ENTRIES(gram, gns_cu_gram)
ENTRIES(inner, gns_cu_inner)
ENTRIES(embedding, gns_cu_embedding)
ENTRIES(add_ids, gns_cu_add_ids)
ENTRY(gns_add_up_f32, (GNS_CU_THREADS), gns_cu_add_up, add_up<float>(a))
ENTRY(gns_add_up_f64, (GNS_CU_THREADS), gns_cu_add_up, add_up<double>(a))
ENTRY(gns_add_rows, (GNS_CU_THREADS), gns_cu_add_rows, add_rows(a))
ENTRIES(conv_maps, gns_cu_conv_maps)
ENTRIES(conv_dots, gns_cu_conv_dots)
ENTRY(gns_conv_lay_f32, (GNS_CU_THREADS), gns_cu_conv_lay, conv_lay<float>(a))
ENTRY(gns_conv_lay_f64, (GNS_CU_THREADS), gns_cu_conv_lay, conv_lay<double>(a))
ENTRY(gns_conv_direction_f32, (GNS_CU_THREADS), gns_cu_conv_direction, conv_direction<float>(a))
ENTRY(gns_conv_direction_f64, (GNS_CU_THREADS), gns_cu_conv_direction, conv_direction<double>(a))
ENTRY(gns_conv_finish_f32, (GNS_CU_THREADS, 1), gns_cu_conv_finish, conv_finish<float>(a))
ENTRY(gns_conv_finish_f64, (GNS_CU_THREADS, 1), gns_cu_conv_finish, conv_finish<double>(a))
ENTRY(gns_gather_f32, (GNS_CU_THREADS), gns_cu_gather, gather<float>(a))
ENTRY(gns_gather_f64, (GNS_CU_THREADS), gns_cu_gather, gather<double>(a))
ENTRY(gns_along_f32, (GNS_CU_THREADS), gns_cu_along, along<float>(a))
ENTRY(gns_along_f64, (GNS_CU_THREADS), gns_cu_along, along<double>(a))
ENTRY(gns_settle_f32, (GNS_CU_THREADS), gns_cu_settle, settle<float>(a))
ENTRY(gns_settle_f64, (GNS_CU_THREADS), gns_cu_settle, settle<double>(a))
ENTRY(gns_gram_finish, (GNS_CU_THREADS), gns_cu_gram_finish, gram_finish(a))
ENTRY(gns_print, (32), gns_cu_print, print(a))

static __device__ inline void sum_all(const gns_cu_sum &a)
{
	const double sum = strided_sum(a.partial, a.n);
	if (threadIdx.x == 0)
		*a.out = a.add ? *a.out + sum : sum;
}
ENTRY(gns_sum, (GNS_CU_THREADS), gns_cu_sum, sum_all(a))

ENTRY(gns_value, (32), gns_cu_value, value(a))
ENTRY(gns_reduce, (GNS_CU_THREADS), gns_cu_reduce, reduce(a))
ENTRY(gns_copy, (GNS_CU_THREADS), gns_cu_copy, copy(a))
ENTRY(gns_fill, (GNS_CU_THREADS), gns_cu_fill, fill(a))
UNGATED(gns_gate, (32), gns_cu_gate, gate(a))
UNGATED(gns_deliver, (GNS_CU_THREADS), gns_cu_deliver, deliver(a))

/* A place on the device's timeline: nothing but the record of its run. */
static __device__ inline void mark(const gns_cu_mark &)
{
}
UNGATED(gns_mark, (GNS_CU_MARKS), gns_cu_mark, mark(a))
