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
