/* Several uses of one parameter: sums of sketches with common signs along its first dimension. Part of kernels.cu. */

/* acc += what the chunks hold, a thread an accumulator. */
template <class A> static __device__ inline void add_up(const gns_cu_add_up &a)
{
	const uint64_t k = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x, cell = k % (GNS_CU_BUCKETS * a.cols), sample = k / (GNS_CU_BUCKETS * a.cols);
	const uint64_t l = cell / a.cols, col = cell % a.cols;
	double sum = 0;

	if (sample >= a.samples)
		return;
	for (uint64_t chunk = 0; chunk < a.chunks; chunk++)
		sum += ((const A *)a.part)[(sample * a.chunks + chunk) * GNS_CU_BUCKETS * a.cols + l * a.lane_step + col * a.col_step];
	a.acc[k] = (float)((double)a.acc[k] + sum);
}

/* The place among the kept elements, as the kernel `reduce` numbers them, of an element in the parameter's own order. */
static __device__ inline uint64_t kept_index(const gns_cu_add_rows &a, uint64_t element)
{
	uint64_t k = 0;
	for (int d = 0; d < 3; d++)
		k = k * a.kept[d] + element / a.own[d] % a.kept[d];
	return k;
}

static __device__ inline void add_rows(const gns_cu_add_rows &a)
{
	const uint64_t k = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x, cell = k % (a.lanes * a.cols), sample = k / (a.lanes * a.cols);
	const uint64_t l = cell / a.cols, col = cell % a.cols, key = make_key(a.seed, a.stream, a.first_sample + sample);
	double sum = 0;

	if (sample >= a.samples)
		return;
	for (uint64_t block = 0; block * a.lanes < a.rows; block++) {
		const uint64_t word = mix(key + block / 4 * 0x9e3779b97f4a7c15ull);
		const uint64_t row = a.lanes == 1 ? block : block * 8 + (l ^ ((unsigned)(word >> (32 + 3 * (block % 4))) & 7));
		if (row >= a.rows)
			continue;
		double one = 0;
		for (uint64_t chunk = 0; chunk < a.chunks; chunk++)
			one += a.part[(sample * a.chunks + chunk) * a.rows * a.cols + kept_index(a, row * a.cols + col)];
		sum += a.lanes > 1 && word >> (8 * (block % 4) + l) & 1 ? -one : one;
	}
	a.acc[k] = (float)((double)a.acc[k] + sum);
}

/* Rows of y to the buckets of their ids: a thread a column, a batch of ids at a time. */
template <class T> static __device__ inline void add_ids(const gns_cu_add_ids &a)
{
	__shared__ double sum[GNS_CU_BUCKETS][GNS_CU_THREADS]; /* each thread its own column */
	__shared__ uint8_t bucket[GNS_CU_THREADS];
	__shared__ int8_t sign[GNS_CU_THREADS]; /* 0: adds nothing */
	const gns_cu_embedding &e = a.of;
	const uint64_t sample = blockIdx.y, col = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x;
	const uint64_t key = make_key(a.seed, a.stream, a.first_sample + sample);

	for (int l = 0; l < GNS_CU_BUCKETS; l++)
		sum[l][threadIdx.x] = 0;
	for (uint64_t from = 0; from < e.y.rows; from += GNS_CU_THREADS) {
		const uint64_t t = from + threadIdx.x, rows = e.y.rows - from < GNS_CU_THREADS ? e.y.rows - from : GNS_CU_THREADS;
		const int64_t id = t < e.y.rows ? id_at(e, sample, t) : 0;
		const uint64_t row = (uint64_t)id, word = mix(key + row / 32 * 0x9e3779b97f4a7c15ull);
		const unsigned block = (unsigned)(row / 8) % 4, l = ((unsigned)row % 8) ^ ((unsigned)(word >> (32 + 3 * block)) & 7);
		bucket[threadIdx.x] = (uint8_t)l;
		sign[threadIdx.x] = e.padding_idx >= 0 && id == e.padding_idx ? 0 : word >> (8 * block + l) & 1 ? -1 : 1;
		__syncthreads();
		if (col < e.y.cols)
#pragma unroll 8
			for (unsigned r = 0; r < rows; r++) {
				const double value = widen(row_at<T>(e.y, sample, from + r)[(int64_t)col * e.y.col_stride]);
				sum[bucket[r]][threadIdx.x] += sign[r] ? sign[r] * value : 0;
			}
		__syncthreads();
	}
	for (int l = 0; l < GNS_CU_BUCKETS && col < e.y.cols; l++) {
		float *to = &a.acc[(sample * GNS_CU_BUCKETS + l) * e.y.cols + col];
		*to = (float)((double)*to + sum[l][threadIdx.x]);
	}
}
