/* Convolutions: collectors/sketch/layers_conv.c for a device. Part of kernels.cu.
 *
 * The input is laid out padded, a plane a phase of the stride, so that every entry (channel, tap) of the kernel is one shift of it and
 * nothing looks at borders any more. Maps of positions are made of pieces of one side, a thread a position; pieces of the other
 * side are multiplied with the maps, a warp eight pieces. */

/* The element of the input, by its index along one dimension, that a plane's element is; false: padding. */
static __device__ inline bool axis_source(const gns_cu_axes &x, int d, uint32_t slot, uint32_t at, uint32_t *source)
{
	const uint32_t t = slot * x.dilation[d] % x.stride[d] + at * x.stride[d];
	*source = t - x.padding[d];
	return t >= x.padding[d] && *source < x.in[d];
}

static __device__ inline double plane_value(const gns_cu_conv_lay &a, int64_t base, uint32_t e)
{
	const gns_cu_axes &x = a.axes;
	uint32_t source[3], slot[3] = {0, 0, 0};
	bool there = true;

#pragma unroll
	for (int d = 2; d >= 0; d--) {
		source[d] = d ? e % x.length[d] : e;
		e = d ? e / x.length[d] : e;
	}
	if (x.phases[0] * x.phases[1] * x.phases[2] > 1) {
		e = source[0] / x.length[0];
		source[0] %= x.length[0];
		slot[2] = e % x.phases[2], e /= x.phases[2];
		slot[1] = e % x.phases[1], slot[0] = e / x.phases[1];
	}
#pragma unroll
	for (int d = 0; d < 3; d++)
		there = axis_source(x, d, slot[d], source[d], &source[d]) && there;
	if (!there)
		return 0;
	return value_at(a.data, a.dtype, base + source[0] * a.step[0] + source[1] * a.step[1] + source[2] * a.step[2]);
}

template <class A> static __device__ inline void conv_lay(const gns_cu_conv_lay &a)
{
	const uint64_t one = blockIdx.x / a.tiles, tile = blockIdx.x % a.tiles, image = one / a.channels, channel = one % a.channels;
	const int64_t base = (int64_t)image * a.image_step + (int64_t)channel * a.channel_step;
	const uint64_t from = tile * GNS_CU_LAY, to = from + GNS_CU_LAY < a.plane ? from + GNS_CU_LAY : a.plane;
	A *out = (A *)a.out + one * a.plane;
	double sum = 0;

	for (uint64_t e = from + threadIdx.x; e < to; e += GNS_CU_THREADS) {
		const double value = plane_value(a, base, (uint32_t)e);
		sum += value;
		if (a.out)
			out[e] = (A)value;
	}
	if (!a.part)
		return;
	sum = block_sum(sum);
	if (threadIdx.x == 0)
		a.part[blockIdx.x] = sum;
}

template <class A> static __device__ inline void conv_direction(const gns_cu_conv_direction &a)
{
	const uint64_t k = (uint64_t)blockIdx.x * GNS_CU_THREADS + threadIdx.x, sample = k / a.channels, channel = k % a.channels;
	double sum = 0;

	if (sample >= a.samples)
		return;
	for (uint64_t image = 0; image < a.images; image++)
		for (uint64_t tile = 0; tile < a.tiles; tile++)
			sum += a.part[((sample * a.images + image) * a.channels + channel) * a.tiles + tile];
	((A *)a.v)[k] = (A)sum;
}

/* ---- pieces ---- */

static __device__ inline int32_t piece_shift(const gns_cu_pieces &p, uint64_t piece)
{
	const gns_cu_axes &x = p.axes;
	uint32_t tap = (uint32_t)(piece % p.taps), k[3], slot = 0, shift = 0;

	k[2] = tap % x.kernel[2], tap /= x.kernel[2];
	k[1] = tap % x.kernel[1], k[0] = tap / x.kernel[1];
	for (int d = 0; d < 3; d++) {
		slot = slot * x.phases[d] + k[d] % x.phases[d];
		shift = shift * x.length[d] + k[d] * x.dilation[d] / x.stride[d];
	}
	shift += slot * x.length[0] * x.length[1] * x.length[2];
	return (int32_t)((int64_t)(piece / p.taps) * p.channel_step) + (int32_t)(p.padded ? shift : 0);
}

static __device__ inline uint32_t position_offset(const gns_cu_pieces &p, uint32_t q)
{
	const gns_cu_axes &x = p.axes;

	if (!p.padded)
		return q;
	const uint32_t row = q / x.out[2];
	return (row / x.out[1] * x.length[1] + row % x.out[1]) * x.length[2] + q % x.out[2];
}

template <class T> static __device__ inline const T *pieces_at(const gns_cu_pieces &p, uint64_t image, uint64_t group)
{
	return (const T *)p.base + (int64_t)image * p.image_step + (int64_t)group * p.group_step;
}

/* ---- maps ---- */

template <class A> struct listed {
	int32_t shift;
	A sign, along;
};

/* The piece of bucket `index` % 8 in block `index` / 8 of columns, by the order of docs/internals/sketch.md. */
template <class A>
static __device__ inline listed<A> list_piece(const gns_cu_conv_maps &a, uint64_t key, uint64_t v_at, uint64_t index)
{
	const uint64_t first = a.form == GNS_CU_CONV_BUCKETS ? a.first_column % 8 : 0;
	uint64_t piece = index, sign = 0;

	if (a.form == GNS_CU_CONV_BUCKETS) {
		const uint64_t column = a.first_column - first + index, word = mix(key + column / 32 * 0x9e3779b97f4a7c15ull);
		const unsigned block = (unsigned)(column / 8) % 4, bucket = (unsigned)(column % 8);
		piece = index / 8 * 8 + (bucket ^ ((unsigned)(word >> (32 + 3 * block)) & 7)) - first;
		sign = word >> (8 * block + bucket) & 1;
	}
	if (piece >= a.pieces.count)
		return {0, 0, 0};
	const A along = a.v ? ((const A *)a.v)[v_at + piece / a.pieces.taps] : 0;
	return {piece_shift(a.pieces, piece), sign ? (A)-1 : (A)1, along};
}

/* One run of at most GNS_CU_LIST pieces, its blocks of eight dealt to `parts` teams. */
template <class T>
static __device__ inline void map_run(const listed<typename of<T>::acc> *list, unsigned blocks, unsigned part, unsigned parts, const T *at,
				      typename of<T>::acc (&acc)[9])
{
	for (unsigned m = part; m < blocks; m += parts) {
		typename of<T>::acc e[8];
#pragma unroll
		for (int l = 0; l < 8; l++)
			e[l] = widen(at[list[8 * m + l].shift]);
#pragma unroll
		for (int l = 0; l < 8; l++) {
			acc[l] = multiply_add(list[8 * m + l].sign, e[l], acc[l]);
			acc[8] = multiply_add(list[8 * m + l].along, e[l], acc[8]);
		}
	}
}

template <class T> static __device__ inline void conv_maps(const gns_cu_conv_maps &a)
{
	typedef typename of<T>::acc A;
	__shared__ listed<A> list[GNS_CU_LIST];
	__shared__ A by_part[9][GNS_CU_THREADS];
	const uint64_t tile = blockIdx.x % a.tiles, one = blockIdx.x / a.tiles, group = one % a.groups, image = one / a.groups;
	const uint64_t sample = image / a.images;
	const uint64_t key = make_key(a.seed, a.stream, (a.first_sample + sample) * (a.common ? 1 : a.groups) + (a.common ? 0 : group));
	const unsigned parts = GNS_CU_THREADS / a.width, part = threadIdx.x / a.width, lane = threadIdx.x % a.width;
	const uint64_t q = tile * a.width + lane;
	const T *at = pieces_at<T>(a.pieces, image, group) + position_offset(a.pieces, (uint32_t)(q < a.positions ? q : 0));
	const uint64_t v_at = (sample * a.groups + group) * (a.pieces.count / a.pieces.taps);
	gns_cu_conv_maps own = a;
	double total[9] = {0};

	if (a.common)
		own.first_column = group * a.pieces.count;
	const uint64_t entries = (own.first_column % 8 + a.pieces.count + 7) / 8 * 8;
	for (uint64_t from = 0; from < entries; from += GNS_CU_LIST) {
		const unsigned count = (unsigned)(entries - from < GNS_CU_LIST ? entries - from : GNS_CU_LIST);
		A acc[9] = {0};
		for (unsigned k = threadIdx.x; k < count; k += GNS_CU_THREADS)
			list[k] = list_piece<A>(own, key, v_at, from + k);
		__syncthreads();
		map_run<T>(list, count / 8, part, parts, at, acc);
		__syncthreads();
#pragma unroll
		for (int l = 0; l < 9; l++)
			total[l] += acc[l];
	}
#pragma unroll
	for (int l = 0; l < 9; l++)
		by_part[l][threadIdx.x] = (A)total[l];
	__syncthreads();
	if (part || q >= a.positions)
		return;
	A *out = (A *)a.out + one * a.total * a.positions + q;
	for (unsigned l = 0; l < 9; l++) {
		if (l < 8 ? l >= a.maps : !a.along)
			continue;
		double sum = 0;
		for (unsigned p = 0; p < parts; p++)
			sum += by_part[l][p * a.width + lane];
		out[(l < 8 ? l : a.total - 1) * a.positions] = (A)sum;
	}
}

/* ---- products ---- */

/* One warp: eight pieces with up to MAPS maps over a chunk of positions. */
template <class T, int MAPS> static __device__ inline void dot_pieces(const gns_cu_conv_dots &a, uint64_t unit)
{
	typedef typename of<T>::acc A;
	const uint64_t tiles = (a.pieces.count + 7) / 8, tile = unit % tiles, place = unit / tiles;
	const uint64_t chunk = place % a.chunks, one = place / a.chunks, group = one % a.groups, image = one / a.groups;
	const uint64_t from = chunk * a.chunk, to = from + a.chunk < a.positions ? from + a.chunk : a.positions;
	const unsigned lane = threadIdx.x % LANES;
	const A *maps = (const A *)a.maps + (one * a.total + a.first_map) * a.positions;
	const T *base = pieces_at<T>(a.pieces, image, group);
	int32_t shift[8];
	A acc[MAPS][8] = {{0}};

#pragma unroll
	for (int j = 0; j < 8; j++)
		shift[j] = piece_shift(a.pieces, tile * 8 + j < a.pieces.count ? tile * 8 + j : tile * 8);
	for (uint64_t q = from + lane; q < to; q += LANES) {
		const T *at = base + position_offset(a.pieces, (uint32_t)q);
		A e[8];
#pragma unroll
		for (int j = 0; j < 8; j++)
			e[j] = widen(at[shift[j]]);
#pragma unroll
		for (int l = 0; l < MAPS; l++) {
			const A map = (uint32_t)l < a.maps_n ? maps[l * a.positions + q] : 0;
#pragma unroll
			for (int j = 0; j < 8; j++)
				acc[l][j] = multiply_add(map, e[j], acc[l][j]);
		}
	}
	A *part = (A *)a.part + (place * a.pieces.count + tile * 8 + lane) * a.maps_n;
#pragma unroll
	for (int l = 0; l < MAPS; l++) {
		const A sum = warp_sums<8>(acc[l]);
		if (lane < 8 && tile * 8 + lane < a.pieces.count && (uint32_t)l < a.maps_n)
			part[l] = sum;
	}
}

template <class T> static __device__ inline void conv_dots(const gns_cu_conv_dots &a)
{
	const uint64_t unit = (uint64_t)blockIdx.x * WARPS + threadIdx.x / LANES;

	if (unit >= a.units)
		return;
	if (a.maps_n == 1)
		dot_pieces<T, 1>(a, unit);
	else
		dot_pieces<T, 9>(a, unit);
}

/* ---- the estimate ---- */

/* z (or g) of one piece and map, over the sample's images and chunks. */
template <class A>
static __device__ inline double fold_part(const gns_cu_conv_finish &a, const void *part, uint64_t count, uint64_t maps, uint64_t sample,
					  uint64_t group, uint64_t at)
{
	double sum = 0;
	for (uint64_t image = 0; image < a.images; image++)
		for (uint64_t chunk = 0; chunk < a.chunks; chunk++)
			sum += ((const A *)part)[(((sample * a.images + image) * a.groups + group) * a.chunks + chunk) * count * maps + at];
	return sum;
}

/* v . h of every bucket where v is of the buckets' side. */
template <class A> static __device__ inline void along_buckets(const gns_cu_conv_finish &a, uint64_t key, const A *v, double (&along)[8])
{
	__shared__ double by_thread[8][GNS_CU_THREADS];
	const unsigned l = threadIdx.x % 8;
	double sum = 0;

	for (uint64_t block = threadIdx.x / 8; block * 8 < a.pieces; block += GNS_CU_THREADS / 8) {
		const uint64_t word = mix(key + block / 4 * 0x9e3779b97f4a7c15ull);
		const uint64_t piece = block * 8 + (l ^ ((unsigned)(word >> (32 + 3 * (block % 4))) & 7));
		if (piece < a.pieces)
			sum += (word >> (8 * (block % 4) + l) & 1 ? -1 : 1) * (double)v[piece / a.taps];
	}
	by_thread[l][threadIdx.x / 8] = sum;
	__syncthreads();
#pragma unroll
	for (int k = 0; k < 8; k++) {
		along[k] = 0;
#pragma unroll 4
		for (int t = 0; t < GNS_CU_THREADS / 8; t++)
			along[k] += by_thread[k][t];
	}
}

template <class A> static __device__ inline double direction_length2(const gns_cu_conv_finish &a, const A *v)
{
	__shared__ double shared;
	double sum = 0;

	for (uint64_t c = threadIdx.x; c < a.channels; c += GNS_CU_THREADS)
		sum = fma((double)v[c], (double)v[c], sum);
	sum = block_sum(sum);
	if (threadIdx.x == 0)
		shared = sum * (double)a.taps;
	__syncthreads();
	return shared;
}

/* Buckets of the input: z_l - g (v . h_l) / |v|^2, and |g|^2 / |v|^2. */
template <class A>
static __device__ inline double finish_outputs(const gns_cu_conv_finish &a, uint64_t sample, uint64_t group, const A *v, double length2)
{
	double along[8], sum = 0;

	along_buckets(a, make_key(a.seed, a.stream, (a.first_sample + sample) * a.groups + group), v, along);
	for (uint64_t o = threadIdx.x; o < a.count; o += GNS_CU_THREADS) {
		const double g = fold_part<A>(a, a.z, a.count, 9, sample, group, o * 9 + 8);
		for (int l = 0; l < 8; l++) {
			const double z = fold_part<A>(a, a.z, a.count, 9, sample, group, o * 9 + l) - (length2 == 0 ? 0 : g * (along[l] / length2));
			sum = fma(z, z, sum);
		}
		if (length2 != 0)
			sum += g * g / length2;
	}
	return block_sum(sum);
}

/* Buckets of the outputs: what z has along v goes, |g|^2 / |v|^2 comes. */
template <class A>
static __device__ inline double finish_inputs(const gns_cu_conv_finish &a, uint64_t sample, uint64_t group, const A *v, double length2)
{
	double sum = 0, dot[8] = {0}, part = 0;

	for (uint64_t j = threadIdx.x; j < a.count; j += GNS_CU_THREADS)
		for (int l = 0; l < 8; l++) {
			const double z = fold_part<A>(a, a.z, a.count, 8, sample, group, j * 8 + l);
			sum = fma(z, z, sum);
			dot[l] = fma(z, (double)v[j / a.taps], dot[l]);
		}
	for (uint64_t o = threadIdx.x; o < a.g_count && length2 != 0; o += GNS_CU_THREADS) {
		const double g = fold_part<A>(a, a.g, a.g_count, 1, sample, group, o);
		sum += g * g / length2;
	}
	for (int l = 0; l < 8; l++) {
		const double total = block_sum(dot[l]);
		part += total * total;
	}
	sum = block_sum(sum);
	return length2 == 0 ? sum : sum - part / length2;
}

template <class A> static __device__ inline void conv_finish(const gns_cu_conv_finish &a)
{
	const uint64_t sample = blockIdx.x / a.groups, group = blockIdx.x % a.groups;
	double sum = 0;

	if (a.v) {
		const A *v = (const A *)a.v + (sample * a.groups + group) * a.channels;
		const double length2 = direction_length2(a, v);
		sum = a.g ? finish_inputs(a, sample, group, v, length2) : finish_outputs(a, sample, group, v, length2);
	} else {
		for (uint64_t k = threadIdx.x; k < a.count * a.maps; k += GNS_CU_THREADS) {
			const double z = fold_part<A>(a, a.z, a.count, a.maps, sample, group, k);
			sum = fma(z, z, sum);
		}
		sum = block_sum(sum);
	}
	if (threadIdx.x == 0)
		a.value[blockIdx.x] = sum;
}
