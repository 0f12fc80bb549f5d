/* The sketch of a product: one operand to buckets and along the direction, row by row; the other one weighted by both. Each is
 * read once. Part of kernels.cu. */

/* v of a sample begins at a multiple of 32 bytes. */
static __device__ inline uint64_t v_step(uint64_t cols) { return (cols + 7) / 8 * 8; }

template <class T> static __device__ inline void direction(const gns_cu_direction &a)
{
	typedef typename of<T>::acc A;
	const uint64_t col = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x;
	A sum = 0;

	if (col >= a.m.cols)
		return;
#pragma unroll 8
	for (uint64_t row = a.from; row < a.m.rows; row += a.stride)
		sum += widen(row_at<T>(a.m, blockIdx.y, row)[(int64_t)col * a.m.col_stride]);
	((A *)a.v)[blockIdx.y * v_step(a.m.cols) + col] = sum;
}

/* The bucket of a column and its sign, by the order of docs/internals/sketch.md. */
static __device__ inline unsigned bucket_of(uint64_t key, uint64_t col, double *sign)
{
	const uint64_t word = mix(key + col / 32 * 0x9e3779b97f4a7c15ull);
	const unsigned block = (unsigned)(col / 8) % 4, bucket = ((unsigned)col % 8) ^ ((unsigned)(word >> (32 + 3 * block)) & 7);

	*sign = word >> (8 * block + bucket) & 1 ? -1 : 1;
	return bucket;
}

static __device__ inline double power_for(double length2)
{
	int exponent = 0;
	frexp(length2, &exponent);
	return isfinite(length2) && length2 > 0 ? ldexp(1.0, -(exponent / 2)) : 1;
}

template <class A> static __device__ inline void along(const gns_cu_along &a)
{
	__shared__ double shared[2];
	const uint64_t sample = blockIdx.x, key = make_key(a.seed, a.stream, a.first_sample + sample);
	A *v = (A *)a.v + sample * v_step(a.cols);
	double length2 = 0, sum[GNS_CU_BUCKETS] = {0};

	for (uint64_t col = threadIdx.x; col < a.cols; col += GNS_CU_THREADS)
		length2 = fma((double)v[col], (double)v[col], length2);
	length2 = block_sum(length2);
	if (threadIdx.x == 0) {
		shared[0] = power_for(length2);
		shared[1] = length2 * shared[0] * shared[0];
	}
	__syncthreads();
	for (uint64_t col = threadIdx.x; col < a.cols; col += GNS_CU_THREADS) {
		const A scaled = v[col] * (A)shared[0];
		double sign;
		const unsigned bucket = bucket_of(key, col, &sign);
		v[col] = scaled;
#pragma unroll
		for (unsigned l = 0; l < GNS_CU_BUCKETS; l++)
			sum[l] += l == bucket ? sign * (double)scaled : 0;
	}
	const double inverse = shared[1] == 0 ? 0 : 1 / shared[1];
#pragma unroll
	for (int l = 0; l < GNS_CU_BUCKETS; l++) {
		const double total = block_sum(sum[l]);
		if (threadIdx.x == 0)
			a.share[sample * GNS_CU_WEIGHTS + l] = total * inverse;
	}
	if (threadIdx.x == 0)
		a.share[sample * GNS_CU_WEIGHTS + GNS_CU_BUCKETS] = inverse;
}

/* The N consecutive values to the order of their buckets: value i goes to i xor turn. Selects, so that all stay in registers. */
template <class A, int N> static __device__ inline void turn_order(A (&e)[N], unsigned turn)
{
#pragma unroll
	for (int bit = 1; bit < N; bit *= 2)
#pragma unroll
		for (int i = 0; i < N; i++)
			if (!(i & bit)) {
				const A low = e[i], high = e[i | bit];
				e[i] = turn & bit ? high : low;
				e[i | bit] = turn & bit ? low : high;
			}
}

/* Eight that follow each other. */
template <class A> static __device__ inline void load_eight(const A *from, A (&v)[8])
{
	enum { n = vec<A>::n };
#pragma unroll
	for (int k = 0; k < 8 / n; k++) {
		const raw16 raw = ((const raw16 *)from)[k]; /* by itself, or it is loaded by words */
		unpack(raw, from, v + k * n);
	}
}

template <class T> static __device__ inline void load_direction(const float *from, float (&v)[4], const T *)
{
	const raw16 raw = *(const raw16 *)from;
	unpack(raw, from, v);
}

template <class T> static __device__ inline void load_direction(const float *from, float (&v)[8], const T *) { load_eight(from, v); }
template <class T> static __device__ inline void load_direction(const double *from, double (&v)[2], const T *)
{
	const raw16 raw = *(const raw16 *)from;
	unpack(raw, from, v);
}

/* BATCH rows of one warp: sums of buckets and along the direction. */
template <class T> struct bucket_sums {
	typedef typename of<T>::acc A;
	enum { n = vec<T>::n, parts = GNS_CU_BUCKETS / n };
	A u[BATCH * GNS_CU_BUCKETS], dot[BATCH];
	double total, total_dot; /* of row lane / 8 and bucket lane % 8; of row lane % BATCH */

	__device__ inline void clear()
	{
#pragma unroll
		for (int k = 0; k < BATCH * GNS_CU_BUCKETS; k++)
			u[k] = 0;
#pragma unroll
		for (int r = 0; r < BATCH; r++)
			dot[r] = 0;
	}

	/* The n columns from col on; e is used up. */
	__device__ inline void add(uint64_t key, uint64_t col, A (&e)[BATCH][n], const A (&v)[n])
	{
		const uint64_t word = mix(key + (col / 32) * 0x9e3779b97f4a7c15ull);
		const unsigned block = (unsigned)(col / 8) % 4, turn = (unsigned)(word >> (32 + 3 * block)) & 7;
		const unsigned part = ((unsigned)col % 8 ^ turn) / n, minus = (unsigned)(word >> (8 * block + part * n));
		A sign[n];
#pragma unroll
		for (int i = 0; i < n; i++)
			sign[i] = minus >> i & 1 ? (A)-1 : (A)1;
#pragma unroll
		for (int r = 0; r < BATCH; r++) {
			A part_dot = 0;
#pragma unroll
			for (int i = 0; i < n; i++)
				part_dot = multiply_add(v[i], e[r][i], part_dot);
			dot[r] += part_dot;
			turn_order<A, n>(e[r], turn);
#pragma unroll
			for (int p = 0; p < parts; p++)
#pragma unroll
				for (int i = 0; i < n; i++) {
					A &sum = u[r * GNS_CU_BUCKETS + p * n + i];
					sum = multiply_add(parts == 1 || p == (int)part ? sign[i] : (A)0, e[r][i], sum);
				}
		}
	}

	__device__ inline void fold()
	{
		total += warp_sums<BATCH * GNS_CU_BUCKETS>(u);
		total_dot += warp_sums<BATCH>(dot);
		clear();
	}
};

template <class T> static __device__ inline void buckets(const gns_cu_buckets &a)
{
	typedef typename of<T>::acc A;
	enum { n = vec<T>::n, tile = LANES * n };
	const uint64_t sample = blockIdx.y, lane = threadIdx.x % LANES;
	const uint64_t first = (uint64_t)blockIdx.x * GNS_CU_BUCKET_ROWS + threadIdx.x / LANES * BATCH;
	const uint64_t key = make_key(a.seed, a.stream, a.first_sample + sample);
	const A *v = (const A *)a.v + sample * v_step(a.b.cols);
	const T *row[BATCH];
	bucket_sums<T> sums;
	A e[BATCH][n], weight[n] = {0};
	unsigned run = 0;
	uint64_t base = 0;

	if (first >= a.b.rows)
		return;
	sums.total = sums.total_dot = 0;
	sums.clear();
#pragma unroll
	for (int r = 0; r < BATCH; r++) /* what is not there is read as the first, and not written */
		row[r] = row_at<T>(a.b, sample, first + r < a.b.rows ? first + r : first);
	for (; a.b.vec && base + tile <= a.b.cols; base += tile) {
		const uint64_t col = base + lane * n;
		raw16 raw[BATCH];
#pragma unroll
		for (int r = 0; r < BATCH; r++)
			raw[r] = *(const raw16 *)(row[r] + col);
		if (a.v)
			load_direction(v + col, weight, row[0]);
#pragma unroll
		for (int r = 0; r < BATCH; r++)
			unpack(raw[r], row[r], e[r]);
		sums.add(key, col, e, weight);
		if (++run % 64 == 0)
			sums.fold();
	}
	for (; base < a.b.cols; base += tile) {
		const uint64_t col = base + lane * n;
#pragma unroll
		for (int i = 0; i < n; i++) {
			const bool there = col + i < a.b.cols;
			weight[i] = a.v && there ? v[col + i] : 0;
#pragma unroll
			for (int r = 0; r < BATCH; r++)
				e[r][i] = there ? widen(row[r][(int64_t)(col + i) * a.b.col_stride]) : 0;
		}
		sums.add(key, col, e, weight);
		if (++run % 64 == 0)
			sums.fold();
	}
	sums.fold();
	const uint64_t at = sample * a.b.rows + first;
	if (first + lane / GNS_CU_BUCKETS < a.b.rows)
		((A *)a.u)[at * GNS_CU_BUCKETS + lane] = (A)sums.total;
	if (a.v && lane < BATCH && first + lane < a.b.rows)
		((A *)a.a)[at + lane] = (A)sums.total_dot;
}

/* ---- the other operand ---- */

/* What a lane of gns_weigh reads of a row: two doubles, or four of the others. */
struct alignas(8) raw8 {
	uint32_t word[2];
};
template <class T> struct few { enum { n = 4 }; typedef raw8 raw; };
template <> struct few<float> { enum { n = 4 }; typedef raw16 raw; };
template <> struct few<double> { enum { n = 2 }; typedef raw16 raw; };
template <class T> using few_raw = typename few<T>::raw;

static __device__ inline void unpack_few(const raw16 &raw, const float *like, float (&out)[4]) { unpack(raw, like, out); }
static __device__ inline void unpack_few(const raw16 &raw, const double *like, double (&out)[2]) { unpack(raw, like, out); }
template <class T> static __device__ inline void unpack_few(const raw8 &raw, const T *, float (&out)[4])
{
	for (int i = 0; i < 2; i++) {
		const T low = {(uint16_t)raw.word[i]}, high = {(uint16_t)(raw.word[i] >> 16)};
		out[2 * i] = widen(low);
		out[2 * i + 1] = widen(high);
	}
}

/* A column's share of the estimate. */
static __device__ inline double settled(const double (&z)[GNS_CU_WEIGHTS], const double *share)
{
	double sum = share ? z[GNS_CU_BUCKETS] * z[GNS_CU_BUCKETS] * share[GNS_CU_BUCKETS] : 0;
#pragma unroll
	for (int l = 0; l < GNS_CU_BUCKETS; l++) {
		const double rest = share ? fma(-z[GNS_CU_BUCKETS], share[l], z[l]) : z[l];
		sum = fma(rest, rest, sum);
	}
	return sum;
}

/* acc += the weights of a row times n of its columns. */
template <class A, bool ALONG, int n>
static __device__ inline void weigh_row(const A *u, const A *along, const A (&z)[n], A (&acc)[GNS_CU_WEIGHTS][n])
{
	A weight[GNS_CU_BUCKETS];
	const A last = ALONG ? *along : 0;

	load_eight(u, weight);
#pragma unroll
	for (int i = 0; i < n; i++) {
#pragma unroll
		for (int l = 0; l < GNS_CU_BUCKETS; l++)
			acc[l][i] = multiply_add(weight[l], z[i], acc[l][i]);
		if (ALONG)
			acc[GNS_CU_BUCKETS][i] = multiply_add(last, z[i], acc[GNS_CU_BUCKETS][i]);
	}
}

/* The rows from `from` on, one in WARPS, of what this lane has of the columns; FULL: all of it is there and aligned. */
template <class T, bool FULL, bool ALONG>
static __device__ inline void weigh_chunk(const gns_cu_weigh &a, uint64_t from, uint64_t to, uint64_t col,
					  typename of<T>::acc (&acc)[GNS_CU_WEIGHTS][few<T>::n])
{
	typedef typename of<T>::acc A;
	enum { n = few<T>::n, batch = sizeof(T) == 2 ? 8 : 4 };
	const uint64_t sample = blockIdx.z;
	const int64_t step = WARPS * a.z.row_stride;
	const T *row = row_at<T>(a.z, sample, from);
	const A *u = (const A *)a.u + (sample * a.z.rows + from) * GNS_CU_BUCKETS, *along = (const A *)a.a + (ALONG ? sample * a.z.rows + from : 0);
	uint64_t left = from < to ? (to - from + WARPS - 1) / WARPS : 0;

	for (; FULL && left >= batch; left -= batch) {
		few_raw<T> raw[batch];
#pragma unroll
		for (int r = 0; r < batch; r++)
			raw[r] = *(const few_raw<T> *)(row + r * step + col);
#pragma unroll
		for (int r = 0; r < batch; r++) {
			A z[n];
			unpack_few(raw[r], row, z);
			weigh_row<A, ALONG, n>(u + r * WARPS * GNS_CU_BUCKETS, along + r * WARPS, z, acc);
		}
		row += batch * step;
		u += batch * WARPS * GNS_CU_BUCKETS;
		along += batch * WARPS;
	}
	for (; left; left--) {
		A z[n];
#pragma unroll
		for (int i = 0; i < n; i++)
			z[i] = col + i < a.z.cols ? widen(row[(int64_t)(col + i) * a.z.col_stride]) : 0;
		weigh_row<A, ALONG, n>(u, along, z, acc);
		row += step;
		u += WARPS * GNS_CU_BUCKETS;
		along += WARPS;
	}
}

template <class T, bool ALONG> static __device__ inline void weigh_rows(const gns_cu_weigh &a)
{
	typedef typename of<T>::acc A;
	enum { n = few<T>::n, tile = LANES * n, lanes = GNS_CU_BUCKETS + ALONG };
	__shared__ A by_warp[WARPS][tile];
	const uint64_t sample = blockIdx.z, lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
	const uint64_t base = (uint64_t)blockIdx.x * tile, own = base + threadIdx.x;
	const uint64_t from = blockIdx.y * a.chunk_rows, to = from + a.chunk_rows < a.z.rows ? from + a.chunk_rows : a.z.rows;
	A *part = (A *)a.part + (sample * gridDim.y + blockIdx.y) * lanes * a.z.cols;
	A acc[GNS_CU_WEIGHTS][n] = {{0}};
	double z[GNS_CU_WEIGHTS] = {0}; /* of the column that this thread has, where it has one */

	if (a.z.vec && base + tile <= a.z.cols)
		weigh_chunk<T, true, ALONG>(a, from + warp, to, base + lane * n, acc);
	else
		weigh_chunk<T, false, ALONG>(a, from + warp, to, base + lane * n, acc);
#pragma unroll
	for (int l = 0; l < lanes; l++) {
#pragma unroll
		for (int i = 0; i < n; i++)
			by_warp[warp][lane * n + i] = acc[l][i];
		__syncthreads();
		if (threadIdx.x < tile)
#pragma unroll
			for (int w = 0; w < WARPS; w++)
				z[l] += by_warp[w][threadIdx.x];
		__syncthreads();
		if (a.part && threadIdx.x < tile && own < a.z.cols)
			part[l * a.z.cols + own] = (A)z[l];
	}
	if (a.part)
		return;
	const double sum = block_sum(settled(z, ALONG ? a.share + sample * GNS_CU_WEIGHTS : NULL));
	if (threadIdx.x == 0)
		a.value[sample * gridDim.x + blockIdx.x] = sum;
}

template <class T> static __device__ inline void weigh(const gns_cu_weigh &a)
{
	if (a.a)
		weigh_rows<T, true>(a);
	else
		weigh_rows<T, false>(a);
}

template <class A> static __device__ inline void settle(const gns_cu_settle &a)
{
	const uint64_t col = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x, sample = blockIdx.y;
	const unsigned lanes = a.share ? GNS_CU_WEIGHTS : GNS_CU_BUCKETS;
	const A *part = (const A *)a.part + sample * a.chunks * lanes * a.cols;
	double z[GNS_CU_WEIGHTS] = {0};

	for (uint64_t chunk = 0; chunk < a.chunks && col < a.cols; chunk++)
#pragma unroll
		for (unsigned l = 0; l < GNS_CU_WEIGHTS; l++)
			z[l] += l < lanes ? part[(chunk * lanes + l) * a.cols + col] : 0;
	const double sum = block_sum(settled(z, a.share ? a.share + sample * GNS_CU_WEIGHTS : NULL));
	if (threadIdx.x == 0)
		a.value[sample * gridDim.x + blockIdx.x] = sum;
}

template <class A> static __device__ inline void gather(const gns_cu_gather &a)
{
	const uint64_t col = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x, sample = blockIdx.y;
	const A *part = (const A *)a.part + sample * a.chunks * a.cols;
	double w = 0;

	for (uint64_t chunk = 0; chunk < a.chunks && col < a.cols; chunk++)
		w += part[chunk * a.cols + col];
	w = block_sum(w * w);
	if (threadIdx.x == 0)
		a.sq[sample * gridDim.x + blockIdx.x] = w;
}
