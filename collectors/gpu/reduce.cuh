/* Single values, copies, and sums over any dimensions. Part of kernels.cu. */

static __device__ inline double value_at(const void *data, uint32_t dtype, int64_t at)
{
	switch (dtype) { /* enum gns_dtype */
	case 1: return ((const float *)data)[at];
	case 2: return ((const double *)data)[at];
	case 3: return widen(((const f16 *)data)[at]);
	default: return widen(((const bf16 *)data)[at]);
	}
}

static __device__ inline void value(const gns_cu_value &a)
{
	if (threadIdx.x)
		return;
	const double first = value_at(a.data, a.dtype, 0);
	*a.out = a.add ? *a.out + first : first;
}

static __device__ inline void copy_bytes(void *out, uint64_t to, const void *data, int64_t from, uint32_t item_size)
{
	switch (item_size) {
	case 2: ((uint16_t *)out)[to] = ((const uint16_t *)data)[from]; break;
	case 4: ((uint32_t *)out)[to] = ((const uint32_t *)data)[from]; break;
	case 8: ((uint64_t *)out)[to] = ((const uint64_t *)data)[from]; break;
	default: ((raw16 *)out)[to] = ((const raw16 *)data)[from]; break;
	}
}

static __device__ inline void copy(const gns_cu_copy &a)
{
	const uint64_t step = (uint64_t)gridDim.x * GNS_CU_THREADS;

	for (uint64_t i = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x; i < a.count; i += step) {
		uint64_t rest = i;
		int64_t from = 0;
#pragma unroll
		for (int d = GNS_CU_COPY_DIMS - 1; d > 0; d--)
			if (d < (int)a.dims) {
				from += (int64_t)(rest % a.size[d]) * a.stride[d];
				rest /= a.size[d];
			}
		from += (int64_t)rest * a.stride[0];
		if (a.from == a.to)
			copy_bytes(a.out, i, a.data, from, a.item_size);
		else if (a.to == 2)
			((double *)a.out)[i] = value_at(a.data, a.from, from);
		else
			((float *)a.out)[i] = (float)value_at(a.data, a.from, from);
	}
}

struct place3 {
	uint64_t at[3];
};

static __device__ inline place3 place_of(uint64_t index, const uint64_t (&size)[3])
{
	if (size[0] == 1 && size[1] == 1)
		return {{0, 0, index}};
	const uint64_t rest = index / size[2];
	return {{rest / size[1], rest % size[1], index % size[2]}};
}

static __device__ inline int64_t offset_of(const place3 &place, const int64_t (&stride)[3])
{
	return (int64_t)place.at[0] * stride[0] + (int64_t)place.at[1] * stride[1] + (int64_t)place.at[2] * stride[2];
}

static __device__ inline double side_at(const gns_cu_side &side, int64_t kept, const place3 &r, double absent)
{
	return side.data ? value_at(side.data, side.dtype, kept + offset_of(r, side.reduced)) : absent;
}

static __device__ inline double reduce_element(const gns_cu_reduce &a, uint64_t sample, uint64_t k, uint64_t from, uint64_t to, uint64_t step)
{
	const place3 kept = place_of(k, a.kept);
	const int64_t y = (int64_t)sample * a.y.sample_step + offset_of(kept, a.y.kept);
	const int64_t x = (int64_t)sample * a.x.sample_step + offset_of(kept, a.x.kept);
	const int64_t mean = (int64_t)sample * a.mean.sample_step + offset_of(kept, a.mean.kept);
	const int64_t rstd = (int64_t)sample * a.rstd.sample_step + offset_of(kept, a.rstd.kept);
	double sum = 0;

#pragma unroll 4
	for (uint64_t index = from; index < to; index += step) {
		const place3 r = place_of(index, a.reduced);
		const double factor = a.x.data ? (side_at(a.x, x, r, 0) - side_at(a.mean, mean, r, 0)) * side_at(a.rstd, rstd, r, 1) : 1;
		sum = fma(factor, side_at(a.y, y, r, 0), sum);
	}
	return sum;
}

static __device__ inline void reduce(const gns_cu_reduce &a)
{
	__shared__ double by_warp[WARPS][LANES];
	const uint64_t sample = blockIdx.z, lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
	const uint64_t from = blockIdx.y * a.chunk, to = from + a.chunk < a.reduced_n ? from + a.chunk : a.reduced_n;
	const uint64_t k = a.along ? (uint64_t)blockIdx.x * WARPS + warp : (uint64_t)blockIdx.x * LANES + lane;
	double *part = a.part + (sample * gridDim.y + blockIdx.y) * a.kept_n;
	double sum = 0;

	if (k < a.kept_n)
		sum = reduce_element(a, sample, k, from + (a.along ? lane : warp), to, a.along ? LANES : WARPS);
	if (a.along) {
		sum = warp_sum(sum);
		if (lane == 0 && k < a.kept_n)
			part[k] = sum;
		return;
	}
	by_warp[warp][lane] = sum;
	__syncthreads();
	if (warp || k >= a.kept_n)
		return;
	sum = 0;
	for (int w = 0; w < WARPS; w++)
		sum += by_warp[w][lane];
	part[k] = sum;
}
