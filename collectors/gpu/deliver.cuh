/* Kernels of a set of results: its slots, its gate, its delivery. Part of kernels.cu. */

static __device__ inline void fill(const gns_cu_fill &a)
{
	for (uint64_t i = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x; i < a.n; i += (uint64_t)gridDim.x * GNS_CU_THREADS)
		a.out[i] = 0;
}

static __device__ inline void gate(const gns_cu_gate &a)
{
	if (threadIdx.x == 0)
		*a.gate = *(const volatile uint32_t *)a.host;
}

static __device__ inline uint64_t next_number(const gns_cu_deliver &a)
{
	return a.counter ? *a.counter + 1 : a.number;
}

/* Bits, not doubles: a slot may hold a hash. */
static __device__ inline void move_slots(const gns_cu_deliver &a, uint64_t block)
{
	const bool open = !a.gate || *a.gate;
	uint64_t *slots = (uint64_t *)a.slots;
	volatile uint64_t *host = (volatile uint64_t *)a.host + block * a.stride;
	const unsigned group = threadIdx.x / GNS_CU_CHUNK, lane = threadIdx.x % GNS_CU_CHUNK;

	for (unsigned chunk = group; chunk < 128; chunk += GNS_CU_THREADS / GNS_CU_CHUNK) {
		const unsigned at = chunk * GNS_CU_CHUNK + lane;
		if (!(a.chunks[chunk / 64] >> chunk % 64 & 1))
			continue;
		host[at] = open ? slots[at] : 0;
		slots[at] = 0;
	}
	if (threadIdx.x == 0 && a.open)
		((volatile uint64_t *)a.open)[block] = open;
}

static __device__ inline void deliver(const gns_cu_deliver &a)
{
	const uint64_t number = next_number(a), block = a.counter ? (number - 1) % a.ring : 0;

	if (threadIdx.x == 0 && a.begun) {
		*(volatile uint64_t *)a.begun = number;
		__threadfence_system();
	}
	__syncthreads(); /* also: all have read the counter */
	move_slots(a, block);
	__threadfence_system();
	__syncthreads();
	if (threadIdx.x)
		return;
	if (a.counter)
		*a.counter = number;
	*(volatile uint64_t *)a.done = number;
	__threadfence_system();
}
