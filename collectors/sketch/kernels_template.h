/* The kernels for one element type and one instruction set; included once for each pair. The including file defines
 *   K_T, K_U      element type, and the same for foreign memory     K_NAME(x)  names of this pair
 *   K_V, K_W      vector of K_W elements                            K_D        vector of doubles, K_DW of them
 *   K_LOAD(p)     K_W elements, any alignment                       K_LOADN(p, n)  the first n, zero beyond; no fault
 *   K_STORE(p, v), K_SET(s), K_FMA(a, b, c) = a b + c               K_DFMA the same for doubles
 *   K_WIDE(p)     K_DW elements as doubles
 *   K_PARTS       number of K_D in a K_V                            K_WIDEN(v, part) that part as doubles
 *   K_ZV, K_ZB    fold: vectors of columns by buckets kept in registers
 *   K_PAIR        shift_dots: pieces whose products with 8 maps are kept in registers
 *   K_SUM8(v, s)  if there is a quick one: the lane sums of eight vectors as doubles
 *   K_EVEN(a, b)  if there is a quick one: lanes 0, 2, 4, ... of a and then of b
 *   K_PERM        if there is a lane permutation: K_WORDS type, K_WORD(p) table bytes as lanes, K_SIGN(w) +-1,
 *                 K_PERM(v, w); K_W is then 8 or 16
 * and undefines them afterwards. */

#ifndef GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H
#define GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H 4      /* rows that share the decoding of the table */
#define K_WIDE_ROWS 8 /* rows that share a load and a store of their sum */
#define K_PIECES 8    /* pieces that share a load of one map */
#endif

#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* ---- one direction: weighted sums of rows, and rows along a vector ---- */

/* g += sum of a[r] row r; a fresh g begins at 0. */
INLINE void K_NAME(weigh_rows)(const K_U *y, ptrdiff_t ld, size_t cols, const K_T *a, K_T *g, const bool fresh, const int rows)
{
	K_V weight[K_WIDE_ROWS];
	size_t j = 0;

	UNROLL for (int r = 0; r < rows; r++)
		weight[r] = K_SET(a[r]);
	for (; j + K_W <= cols; j += K_W) {
		K_V sum = fresh ? K_SET(0) : K_LOAD((const K_U *)g + j);
		UNROLL for (int r = 0; r < rows; r++)
			sum = K_FMA(K_LOAD(y + r * ld + (ptrdiff_t)j), weight[r], sum);
		K_STORE(g + j, sum);
	}
	if (j < cols) {
		K_V sum = fresh ? K_SET(0) : K_LOAD((const K_U *)g + j);
		UNROLL for (int r = 0; r < rows; r++)
			sum = K_FMA(K_LOADN(y + r * ld + (ptrdiff_t)j, cols - j), weight[r], sum);
		K_STORE(g + j, sum);
	}
}

static void K_NAME(add_rows)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, void *out, bool fresh)
{
	static const K_T ones[K_WIDE_ROWS] = {1, 1, 1, 1, 1, 1, 1, 1};
	const K_U *x = data;

	for (; rows >= K_WIDE_ROWS; rows -= K_WIDE_ROWS, x += K_WIDE_ROWS * ld, fresh = false)
		K_NAME(weigh_rows)(x, ld, cols, ones, out, fresh, K_WIDE_ROWS);
	for (; rows; rows--, x += ld, fresh = false)
		K_NAME(weigh_rows)(x, ld, cols, ones, out, fresh, 1);
}

INLINE double K_NAME(sum_lanes)(K_V v)
{
	K_D wide = K_WIDEN(v, 0);
	double lane[K_DW];

	UNROLL for (int part = 1; part < K_PARTS; part++)
		wide += K_WIDEN(v, part);
	K_DSTORE(lane, wide);
	for (int half = K_DW / 2; half; half /= 2)
		for (int l = 0; l < half; l++)
			lane[l] += lane[l + half];
	return lane[0];
}

/* A row at a time, in the order of memory: twice the speed of four side by side from the second-level cache. */
static void K_NAME(project)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, const void *along, void *out)
{
	const K_U *x = data, *v = along;
	K_T *a = out;

	for (size_t t = 0; t < rows; t++, x += ld) {
		double sum = 0;
		for (size_t j = 0; j < cols;) {
			const size_t stop = cols - j > GNS_RUN * K_W ? j + GNS_RUN * K_W : cols;
			K_V acc[4] = {K_SET(0), K_SET(0), K_SET(0), K_SET(0)};
			for (; j + 4 * K_W <= stop; j += 4 * K_W)
				UNROLL for (int k = 0; k < 4; k++)
					acc[k] = K_FMA(K_LOAD(x + j + k * K_W), K_LOAD(v + j + k * K_W), acc[k]);
			for (; j < stop; j += K_W) {
				const size_t n = stop - j < K_W ? stop - j : K_W;
				acc[0] = K_FMA(K_LOADN(x + j, n), K_LOAD(v + j), acc[0]);
			}
			sum += K_NAME(sum_lanes)((acc[0] + acc[1]) + (acc[2] + acc[3]));
		}
		a[t] = (K_T)sum;
	}
}

/* Feature-major: each column is contiguous and gives one sum. */
static void K_NAME(weigh_feature)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, const void *weights, void *out)
{
	const K_U *y = data, *a = weights;
	K_T *g = out;

	for (size_t j = 0; j < cols; j++, y += ld) {
		K_V acc = K_SET(0);
		size_t t = 0;
		for (; t + K_W <= rows; t += K_W)
			acc = K_FMA(K_LOAD(y + t), K_LOAD(a + t), acc);
		if (t < rows)
			acc = K_FMA(K_LOADN(y + t, rows - t), K_LOADN(a + t, rows - t), acc);
		g[j] = (K_T)K_NAME(sum_lanes)(acc);
	}
}

/* ---- u: signed sums of columns into buckets, row-major ---- */

#ifdef K_PERM

/* Columns from..to, at most GNS_RUN vectors, into one vector a row; with `a` also into g, weighted. */
INLINE void K_NAME(bucket_run)(const K_U *y, ptrdiff_t ld, size_t cols, size_t from, size_t to, const int8_t *table,
			       ptrdiff_t ahead, K_V acc[GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H], const K_T *a, K_T *g, const bool fresh, const int rows)
{
	/* Rows without gaps are hinted in the order of memory, which suits the machine's own prefetcher best. */
	const bool gapless = ld == (ptrdiff_t)cols;
	const ptrdiff_t hint_row = gapless ? K_W : ld, hint_step = gapless ? rows * K_W : K_W;
	const K_U *hint = y + ahead + (gapless ? rows : 1) * (ptrdiff_t)from;
	K_V weight[GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H];
	size_t j = from;

	UNROLL for (int r = 0; r < rows; r++) {
		acc[r] = K_SET(0);
		weight[r] = K_SET(a ? a[r] : 0);
	}
	for (; j + K_W <= to; j += K_W, hint += hint_step) {
		const K_WORDS word = K_WORD(table + j);
		const K_V sign = K_SIGN(word);
		K_V weighted = fresh || !a ? K_SET(0) : K_LOAD((const K_U *)g + j);
		UNROLL for (int r = 0; r < rows; r++) {
			const K_V value = K_LOAD(y + r * ld + (ptrdiff_t)j);
			__builtin_prefetch(hint + r * hint_row, 0, 3);
			acc[r] = K_FMA(K_PERM(value, word), sign, acc[r]);
			if (a)
				weighted = K_FMA(value, weight[r], weighted);
		}
		if (a)
			K_STORE(g + j, weighted);
	}
	if (j < to) {
		const K_WORDS word = K_WORD(table + j);
		const K_V sign = K_SIGN(word);
		K_V weighted = fresh || !a ? K_SET(0) : K_LOAD((const K_U *)g + j);
		UNROLL for (int r = 0; r < rows; r++) {
			const K_V value = K_LOADN(y + r * ld + (ptrdiff_t)j, to - j);
			acc[r] = K_FMA(K_PERM(value, word), sign, acc[r]);
			if (a)
				weighted = K_FMA(value, weight[r], weighted);
		}
		if (a)
			K_STORE(g + j, weighted);
	}
}

INLINE void K_NAME(bucket_rows)(const K_U *y, ptrdiff_t ld, size_t cols, const int8_t *table, K_T *u, ptrdiff_t ahead,
				const K_T *a, K_T *g, const bool fresh, const int rows)
{
	const size_t run = GNS_RUN * K_W;
	double sum[GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H * GNS_BUCKETS];
	K_V acc[GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H];
	K_T lane[K_W];

	K_NAME(bucket_run)(y, ld, cols, 0, cols < run ? cols : run, table, ahead, acc, a, g, fresh, rows);
	if (cols <= run) {
		UNROLL for (int r = 0; r < rows; r++) {
			K_STORE(lane, acc[r]);
			for (int l = 0; l < GNS_BUCKETS; l++)
				u[GNS_BUCKETS * r + l] = lane[l] + (K_W > GNS_BUCKETS ? lane[K_W - GNS_BUCKETS + l] : 0);
		}
		return;
	}
	for (int i = 0; i < rows * GNS_BUCKETS; i++)
		sum[i] = 0;
	for (size_t j = 0; j < cols; j += run) {
		if (j)
			K_NAME(bucket_run)(y, ld, cols, j, cols - j < run ? cols : j + run, table, ahead, acc, a, g,
					   fresh, rows);
		UNROLL for (int r = 0; r < rows; r++) {
			K_STORE(lane, acc[r]);
			for (int l = 0; l < K_W; l++)
				sum[GNS_BUCKETS * r + l % GNS_BUCKETS] += (double)lane[l];
		}
	}
	for (int i = 0; i < rows * GNS_BUCKETS; i++)
		u[i] = (K_T)sum[i];
}

#else

INLINE void K_NAME(bucket_rows)(const K_U *y, ptrdiff_t ld, size_t cols, const int8_t *table, K_T *u, ptrdiff_t ahead,
				const K_T *a, K_T *g, const bool fresh, const int rows)
{
	double sum[GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H * GNS_BUCKETS] = {0};
	const size_t whole = cols / 8 * 8;

	for (size_t j = 0; j < whole;) {
		const size_t stop = whole - j > 8 * GNS_RUN ? j + 8 * GNS_RUN : whole;
		K_T acc[GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H * GNS_BUCKETS] = {0};
		for (; j < stop; j += 8)
			for (int l = 0; l < GNS_BUCKETS; l++) {
				const K_U *from = y + j + (table[j + l] & 7);
				const K_T sign = table[j + l] < 0 ? -1 : 1;
				UNROLL for (int r = 0; r < rows; r++)
					acc[GNS_BUCKETS * r + l] += sign * from[r * ld];
			}
		for (int i = 0; i < rows * GNS_BUCKETS; i++)
			sum[i] += (double)acc[i];
	}
	for (int l = 0; l < GNS_BUCKETS && whole < cols; l++) {
		const size_t col = whole + (table[whole + l] & 7);
		for (int r = 0; r < rows && col < cols; r++) {
			const double value = y[r * ld + (ptrdiff_t)col];
			sum[GNS_BUCKETS * r + l] += table[whole + l] < 0 ? -value : value;
		}
	}
	for (int i = 0; i < rows * GNS_BUCKETS; i++)
		u[i] = (K_T)sum[i];
	if (a)
		K_NAME(weigh_rows)(y, ld, cols, a, g, fresh, rows);
}

#endif

static void K_NAME(bucket)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, const int8_t *table, void *out,
			   ptrdiff_t ahead, const void *weights, void *weighted)
{
	const K_U *y = data;
	const K_T *a = weights;
	K_T *u = out, *g = weighted;
	size_t t = 0;

	for (; !a && t + GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H <= rows; t += GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H)
		K_NAME(bucket_rows)(y + (ptrdiff_t)t * ld, ld, cols, table, u + t * GNS_BUCKETS, ahead, NULL, NULL, false, GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H);
	for (; a && t + GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H <= rows; t += GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H)
		K_NAME(bucket_rows)(y + (ptrdiff_t)t * ld, ld, cols, table, u + t * GNS_BUCKETS, ahead, a + t, g, t == 0, GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H);
	for (; t < rows; t++)
		K_NAME(bucket_rows)(y + (ptrdiff_t)t * ld, ld, cols, table, u + t * GNS_BUCKETS, ahead, a ? a + t : NULL, g,
				    t == 0, 1);
}

/* ---- u, feature-major: vectors of rows, eight buckets in registers ---- */

#define K_TILE 64 /* columns: a tile is read whole, however many strips of rows it has */

/* Columns from..to of up to two vectors of rows, of which n when there is one. acc: 8 x GNS_CHUNK_ROWS. */
INLINE void K_NAME(bucket_strip)(const K_U *y, ptrdiff_t ld, size_t n, size_t from, size_t to, size_t cols, const int8_t *table,
				 K_T *acc, const int vectors)
{
	K_V sum[GNS_BUCKETS][2];

	UNROLL for (int l = 0; l < GNS_BUCKETS; l++)
		UNROLL for (int v = 0; v < vectors; v++)
			sum[l][v] = K_LOAD((const K_U *)acc + l * GNS_CHUNK_ROWS + v * K_W);
	for (size_t j = from; j < to; j += 8)
		UNROLL for (int l = 0; l < GNS_BUCKETS; l++) {
			const size_t col = j + (table[j + l] & 7);
			const K_V sign = K_SET(table[j + l] < 0 ? -1 : 1);
			const K_U *column = y + (ptrdiff_t)col * ld;
			if (col >= cols)
				continue;
			UNROLL for (int v = 0; v < vectors; v++) {
				__builtin_prefetch(column + 64 * ld + v * K_W, 0, 3);
				sum[l][v] = K_FMA(vectors == 1 ? K_LOADN(column, n) : K_LOAD(column + v * K_W), sign, sum[l][v]);
			}
		}
	UNROLL for (int l = 0; l < GNS_BUCKETS; l++)
		UNROLL for (int v = 0; v < vectors; v++)
			K_STORE(acc + l * GNS_CHUNK_ROWS + v * K_W, sum[l][v]);
}

static void K_NAME(bucket_feature)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, const int8_t *table, void *out,
				   double *sum)
{
	const K_U *y = data;
	K_T *u = out, *acc = (K_T *)(void *)(sum + GNS_BUCKETS * GNS_CHUNK_ROWS);

	memset(sum, 0, GNS_BUCKETS * GNS_CHUNK_ROWS * sizeof *sum);
	for (size_t run = 0; run < cols; run += 8 * GNS_RUN) {
		const size_t end = cols - run < 8 * GNS_RUN ? cols : run + 8 * GNS_RUN;
		memset(acc, 0, GNS_BUCKETS * GNS_CHUNK_ROWS * sizeof *acc);
		for (size_t j = run; j < end; j += K_TILE) {
			const size_t to = end - j < K_TILE ? end : j + K_TILE;
			size_t t = 0;
			for (; t + 2 * K_W <= rows; t += 2 * K_W)
				K_NAME(bucket_strip)(y + t, ld, 0, j, to, cols, table, acc + t, 2);
			for (; t < rows; t += K_W)
				K_NAME(bucket_strip)(y + t, ld, rows - t < K_W ? rows - t : K_W, j, to, cols, table, acc + t, 1);
		}
		for (int i = 0; i < GNS_BUCKETS * GNS_CHUNK_ROWS; i++)
			sum[i] += (double)acc[i];
	}
	for (size_t t = 0; t < rows; t++)
		for (int l = 0; l < GNS_BUCKETS; l++)
			u[GNS_BUCKETS * t + l] = (K_T)sum[l * GNS_CHUNK_ROWS + t];
}

/* ---- z: rows weighted by u ---- */

/* A panel of `vectors` vectors of columns, the last of which has n columns. */
INLINE void K_NAME(fold_panel)(const K_U *x, ptrdiff_t ld, size_t rows, size_t n, const K_T *u, double *acc, size_t acc_ld,
			       ptrdiff_t next, const K_T *v_at, K_D total[4], K_D along[GNS_BUCKETS], const int vectors)
{
	for (int b = 0; b < GNS_BUCKETS; b += K_ZB) {
		const K_U *row = x;
		K_V z[K_ZB][K_ZV];
		UNROLL for (int l = 0; l < K_ZB; l++)
			UNROLL for (int v = 0; v < vectors; v++)
				z[l][v] = K_SET(0);
		for (size_t t = 0; t < rows; t++, row += ld) {
			K_V value[K_ZV];
			UNROLL for (int v = 0; v < vectors; v++) {
				value[v] = vectors == 1 ? K_LOADN(row, n) : K_LOAD(row + v * K_W);
				if (b == 0)
					__builtin_prefetch(row + v * K_W + next, 0, 2);
			}
			UNROLL for (int l = 0; l < K_ZB; l++) {
				const K_V weight = K_SET(u[GNS_BUCKETS * t + b + l]);
				UNROLL for (int v = 0; v < vectors; v++)
					z[l][v] = K_FMA(value[v], weight, z[l][v]);
			}
		}
		UNROLL for (int l = 0; l < K_ZB; l++)
			UNROLL for (int v = 0; v < vectors; v++)
				UNROLL for (int part = 0; part < K_PARTS; part++) {
					const K_D wide = K_WIDEN(z[l][v], part);
					if (acc) {
						double *to = acc + (size_t)(b + l) * acc_ld + v * K_W + part * K_DW;
						K_DSTORE(to, K_DLOAD(to) + wide);
						continue;
					}
					total[l % 4] = K_DFMA(wide, wide, total[l % 4]);
					if (v_at)
						along[b + l] = K_DFMA(wide, K_WIDE((const K_U *)v_at + v * K_W + part * K_DW),
								      along[b + l]);
				}
	}
}

static double K_NAME(fold)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, const void *weights, double *acc,
			   size_t acc_ld, ptrdiff_t next, const void *direction, double *out)
{
	const size_t panel = K_ZV * K_W;
	const K_U *x = data;
	const K_T *u = weights;
	const K_T *v = acc ? NULL : direction;
	K_D total[4] = {{0}}, along[GNS_BUCKETS] = {{0}};
	double sum = 0;
	size_t j = 0;

	for (; j + panel <= cols; j += panel) {
		K_NAME(fold_panel)(x + j, ld, rows, K_W, u, acc ? acc + j : NULL, acc_ld, next, v ? v + j : NULL, total,
				   along, K_ZV);
	}
	for (; j < cols; j += K_W) {
		const size_t n = cols - j < K_W ? cols - j : K_W;
		K_NAME(fold_panel)(x + j, ld, rows, n, u, acc ? acc + j : NULL, acc_ld, next, v ? v + j : NULL, total, along,
				   1);
	}
	total[0] += total[1] + (total[2] + total[3]);
	for (int l = 0; l < K_DW; l++)
		sum += total[0][l];
	for (int l = 0; v && l < GNS_BUCKETS; l++)
		for (int k = 0; k < K_DW; k++)
			out[l] += along[l][k];
	return sum;
}

/* ---- convolutions: sums of shifted pieces, and their products with maps ---- */

#define K_SHIFT_RUN 64 /* terms of a lane before it is folded */

/* Whole vectors, or the first n elements of one. */
INLINE void K_NAME(shift_tile)(const K_U *base, const ptrdiff_t *shift, const K_T *weight, size_t count, size_t n, K_T *out,
			       const int vectors)
{
	K_V sum[4];

	UNROLL for (int v = 0; v < vectors; v++)
		sum[v] = K_SET(0);
	for (size_t j = 0; j < count;) {
		const size_t stop = count - j < K_SHIFT_RUN ? count : j + K_SHIFT_RUN;
		K_V run[4];
		UNROLL for (int v = 0; v < vectors; v++)
			run[v] = K_SET(0);
		for (; j < stop; j++) {
			const K_V w = K_SET(weight[j]);
			UNROLL for (int v = 0; v < vectors; v++)
				run[v] = K_FMA(vectors == 1 ? K_LOADN(base + shift[j], n) : K_LOAD(base + shift[j] + v * K_W), w,
					       run[v]);
		}
		UNROLL for (int v = 0; v < vectors; v++)
			sum[v] += run[v];
	}
	UNROLL for (int v = 0; v < vectors; v++)
		K_STORE(out + v * K_W, sum[v]);
}

static void K_NAME(shift_sum)(const void *data, const ptrdiff_t *shift, const void *weights, size_t count, size_t n, void *to)
{
	const K_U *base = data;
	K_T *out = to;
	size_t q = 0;

	for (; q + 4 * K_W <= n; q += 4 * K_W)
		K_NAME(shift_tile)(base + q, shift, weights, count, K_W, out + q, 4);
	for (; q < n; q += K_W)
		K_NAME(shift_tile)(base + q, shift, weights, count, n - q < K_W ? n - q : K_W, out + q, 1);
}

INLINE void K_NAME(sum_eight)(const K_V v[8], double sum[8])
{
#ifdef K_SUM8
	K_SUM8(v, sum);
#else
	UNROLL for (int l = 0; l < 8; l++)
		sum[l] = K_NAME(sum_lanes)(v[l]);
#endif
}

/* `maps` maps by `pieces` pieces. */
INLINE void K_NAME(dot_tile)(const K_U *base, const ptrdiff_t *shift, size_t n, ptrdiff_t ahead, const K_T *map, double *z,
			     size_t z_step, size_t z_map, const int maps, const int pieces)
{
	K_V acc[8][K_PIECES], column[8];
	double sum[8];

	UNROLL for (int l = 0; l < maps; l++)
		UNROLL for (int j = 0; j < pieces; j++)
			acc[l][j] = K_SET(0);
	for (size_t q = 0; q < n; q += K_W) {
		K_V value[K_PIECES];
		UNROLL for (int j = 0; j < pieces; j++) {
			value[j] = n - q < K_W ? K_LOADN(base + shift[j] + q, n - q) : K_LOAD(base + shift[j] + q);
			if (maps > 1)
				__builtin_prefetch(base + shift[j] + q + ahead, 0, 2);
		}
		UNROLL for (int l = 0; l < maps; l++) {
			const K_V m = K_LOAD((const K_U *)map + l * GNS_MAP + q);
			UNROLL for (int j = 0; j < pieces; j++)
				acc[l][j] = K_FMA(value[j], m, acc[l][j]);
		}
	}
	if (maps == 1 && pieces == K_PIECES) {
		K_NAME(sum_eight)(acc[0], sum);
		for (int j = 0; j < pieces; j++)
			z[(size_t)j * z_step] += sum[j];
		return;
	}
	UNROLL for (int j = 0; j < pieces; j++) {
		UNROLL for (int l = 0; l < maps; l++)
			column[l] = acc[l][j];
		if (maps == 8)
			K_NAME(sum_eight)(column, sum);
		else
			sum[0] = K_NAME(sum_lanes)(column[0]);
		for (int l = 0; l < maps; l++)
			z[(size_t)j * z_step + (size_t)l * z_map] += sum[l];
	}
}

static void K_NAME(shift_dots)(const void *data, const ptrdiff_t *shift, size_t count, size_t n, ptrdiff_t ahead,
			       const void *maps_at, size_t maps, double *z, size_t z_step, size_t z_map)
{
	const K_U *base = data;
	const K_T *map = maps_at;
	size_t j = 0;

	if (maps == 1) {
		for (; j + K_PIECES <= count; j += K_PIECES)
			K_NAME(dot_tile)(base, shift + j, n, ahead, map, z + j * z_step, z_step, z_map, 1, K_PIECES);
		for (; j < count; j++)
			K_NAME(dot_tile)(base, shift + j, n, ahead, map, z + j * z_step, z_step, z_map, 1, 1);
		return;
	}
	for (; j + K_PAIR <= count; j += K_PAIR)
		K_NAME(dot_tile)(base, shift + j, n, ahead, map, z + j * z_step, z_step, z_map, 8, K_PAIR);
	for (; j < count; j++)
		K_NAME(dot_tile)(base, shift + j, n, ahead, map, z + j * z_step, z_step, z_map, 8, 1);
}

static void K_NAME(copy_rows)(const void *data, ptrdiff_t from_ld, size_t rows, size_t cols, ptrdiff_t ahead, void *out,
			      size_t to_ld)
{
	const K_U *from = data;
	K_T *to = out;

	for (; rows; rows--, from += from_ld, to += to_ld) {
		size_t i = 0;
		for (; i + K_W <= cols; i += K_W) {
			const K_V value = K_LOAD(from + i);
			__builtin_prefetch(from + i + ahead, 0, 2);
			K_STORE(to + i, value);
		}
		if (i < cols) {
			__builtin_prefetch(from + i + ahead, 0, 2);
			const K_V value = K_LOADN(from + i, cols - i);
			K_STORE(to + i, value);
		}
	}
}

static void K_NAME(copy_second)(const void *data, ptrdiff_t from_ld, size_t rows, size_t cols, ptrdiff_t ahead, void *out,
				size_t to_ld)
{
	const K_U *from = data;
	K_T *to = out;

	for (; rows; rows--, from += from_ld, to += to_ld) {
		size_t i = 0;
#ifdef K_EVEN
		for (; i + K_W < cols; i += K_W) {
			const K_V value = K_EVEN(K_LOAD(from + 2 * i), K_LOAD(from + 2 * i + K_W));
			__builtin_prefetch(from + 2 * i + ahead, 0, 2);
			__builtin_prefetch(from + 2 * i + K_W + ahead, 0, 2);
			K_STORE(to + i, value);
		}
		__builtin_prefetch(from + 2 * i + ahead, 0, 2);
		__builtin_prefetch(from + 2 * i + K_W + ahead, 0, 2);
		const size_t span = 2 * (cols - i) - 1; /* the last element read is one that is wanted */
		const K_V value = K_EVEN(K_LOADN(from + 2 * i, span < K_W ? span : K_W),
					 K_LOADN(from + 2 * i + K_W, span < K_W ? 0 : span - K_W));
		K_STORE(to + i, value);
#else
		for (; i < cols; i++)
			to[i] = from[2 * i];
#endif
	}
}

/* ---- exact sums: every element is widened first ---- */

#define SUM_OVER(PRODUCT_OF_LANES, PRODUCT)                                                                            \
	K_D acc[8] = {{0}};                                                                                            \
	double sum = 0;                                                                                                \
	size_t i = 0;                                                                                                  \
	for (; i + 8 * K_DW <= n; i += 8 * K_DW)                                                                       \
		UNROLL for (int v = 0; v < 8; v++) {                                                                   \
			const size_t at = i + (size_t)v * K_DW;                                                        \
			PRODUCT_OF_LANES;                                                                              \
		}                                                                                                      \
	for (int half = 4; half; half /= 2)                                                                            \
		for (int v = 0; v < half; v++)                                                                         \
			acc[v] += acc[v + half];                                                                       \
	for (int l = 0; l < K_DW; l++)                                                                                 \
		sum += acc[0][l];                                                                                      \
	for (; i < n; i++)                                                                                             \
		PRODUCT;                                                                                               \
	return sum;

static double K_NAME(dot)(const void *first, const void *second, size_t n)
{
	const K_U *a = first, *b = second;
	SUM_OVER(acc[v] = K_DFMA(K_WIDE(a + at), K_WIDE(b + at), acc[v]), sum += (double)a[i] * (double)b[i])
}

static double K_NAME(norm2)(const void *data, size_t n)
{
	const K_U *a = data;
	SUM_OVER(const K_D p = K_WIDE(a + at); acc[v] = K_DFMA(p, p, acc[v]), sum += (double)a[i] * (double)a[i])
}

static double K_NAME(diff_norm2)(const void *first, const void *second, double scale, size_t n)
{
	const K_U *a = first, *b = second;
	SUM_OVER(const K_D d = K_WIDE(a + at) - scale * K_WIDE(b + at); acc[v] = K_DFMA(d, d, acc[v]),
		 sum += ((double)a[i] - scale * (double)b[i]) * ((double)a[i] - scale * (double)b[i]))
}

static double K_NAME(sum_run)(const void *data, size_t n)
{
	const K_U *a = data;
	SUM_OVER(acc[v] += K_WIDE(a + at), sum += (double)a[i])
}

static double K_NAME(sum_gain)(const void *first, const void *second, double mean, size_t n)
{
	const K_U *x = first, *y = second;
	SUM_OVER(acc[v] = K_DFMA(K_WIDE(x + at) - mean, K_WIDE(y + at), acc[v]), sum += ((double)x[i] - mean) * (double)y[i])
}

INLINE void K_NAME(add_few_rows)(const K_U *y, ptrdiff_t ld, size_t n, double *a, const int rows)
{
	size_t i = 0;

	for (; i + K_DW <= n; i += K_DW) {
		K_D sum = K_DLOAD(a + i);
		UNROLL for (int r = 0; r < rows; r++)
			sum += K_WIDE(y + r * ld + (ptrdiff_t)i);
		K_DSTORE(a + i, sum);
	}
	for (; i < n; i++)
		for (int r = 0; r < rows; r++)
			a[i] += (double)y[r * ld + (ptrdiff_t)i];
}

static void K_NAME(add_wide_rows)(const void *data, ptrdiff_t ld, size_t rows, size_t n, double *a)
{
	const K_U *y = data;

	for (; rows >= K_WIDE_ROWS; rows -= K_WIDE_ROWS, y += K_WIDE_ROWS * ld)
		K_NAME(add_few_rows)(y, ld, n, a, K_WIDE_ROWS);
	for (; rows; rows--, y += ld)
		K_NAME(add_few_rows)(y, ld, n, a, 1);
}

static void K_NAME(add_gain)(const void *first, const void *second, double mean, double rstd, size_t n, double *a)
{
	const K_U *x = first, *y = second;
	size_t i = 0;

	for (; i + K_DW <= n; i += K_DW) {
		const K_D sum = K_DFMA((K_WIDE(x + i) - mean) * rstd, K_WIDE(y + i), K_DLOAD(a + i));
		K_DSTORE(a + i, sum);
	}
	for (; i < n; i++)
		a[i] += ((double)x[i] - mean) * rstd * (double)y[i];
}

static void K_NAME(row_norms_feature)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, double *out)
{
	const K_U *x = data;

	for (size_t j = 0; j < cols; j++, x += ld)
		for (size_t t = 0; t < rows; t++)
			out[t] += (double)x[t] * (double)x[t];
}

#undef INLINE
#undef SUM_OVER
#undef K_TILE
#undef GNS_COLLECTORS_SKETCH_KERNELS_TEMPLATE_H
#undef K_WIDE_ROWS
#undef K_PIECES
#undef K_PAIR
#undef K_SHIFT_RUN
#undef K_WIDE
#undef UNROLL
#undef K_T
#undef K_U
#undef K_V
#undef K_W
#undef K_NAME
#undef K_LOAD
#undef K_LOADN
#undef K_STORE
#undef K_SET
#undef K_FMA
#undef K_PARTS
#undef K_WIDEN
#undef K_ZV
#undef K_ZB
#undef K_PERM
#undef K_WORDS
#undef K_WORD
#undef K_SIGN
#undef K_SUM8
#undef K_EVEN
