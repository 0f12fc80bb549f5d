/* The kernels for one element type and one instruction set; included once for each pair. The including file defines
 *   K_T, K_U      element type, and the same for foreign memory     K_NAME(x)  names of this pair
 *   K_V, K_W      vector of K_W elements                            K_D        vector of doubles, K_DW of them
 *   K_LOAD(p)     K_W elements, any alignment                       K_LOADN(p, n)  the first n, zero beyond; no fault
 *   K_STORE(p, v), K_SET(s), K_FMA(a, b, c) = a b + c               K_DFMA the same for doubles
 *   K_PARTS       number of K_D in a K_V                            K_WIDEN(v, part) that part as doubles
 *   K_ZV, K_ZB    fold: vectors of columns by buckets kept in registers
 *   K_PERM        if there is a lane permutation: K_WORDS type, K_WORD(p) table bytes as lanes, K_SIGN(w) +-1,
 *                 K_PERM(v, w); K_W is then 8 or 16
 * and undefines them afterwards. */

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

/* ---- u: signed sums of columns into buckets, row-major ---- */

#ifdef K_PERM

INLINE void K_NAME(bucket_rows)(const K_U *y, ptrdiff_t ld, size_t cols, const int8_t *table, K_T *u, ptrdiff_t ahead,
				const int rows)
{
	double sum[8 * GNS_BUCKETS] = {0};
	size_t j = 0;

	for (size_t stop = 0; j < cols;) {
		K_V acc[8];
		stop = cols - stop > GNS_RUN * K_W ? stop + GNS_RUN * K_W : cols;
		UNROLL for (int r = 0; r < rows; r++)
			acc[r] = K_SET(0);
		for (; j + K_W <= stop; j += K_W) {
			K_WORDS word = K_WORD(table + j);
			K_V sign = K_SIGN(word);
			UNROLL for (int r = 0; r < rows; r++) {
				__builtin_prefetch(y + r * ld + (ptrdiff_t)j + ahead, 0, 2);
				acc[r] = K_FMA(K_PERM(K_LOAD(y + r * ld + (ptrdiff_t)j), word), sign, acc[r]);
			}
		}
		if (j < stop) {
			K_WORDS word = K_WORD(table + j);
			K_V sign = K_SIGN(word);
			UNROLL for (int r = 0; r < rows; r++)
				acc[r] = K_FMA(K_PERM(K_LOADN(y + r * ld + (ptrdiff_t)j, stop - j), word), sign, acc[r]);
			j = stop;
		}
		UNROLL for (int r = 0; r < rows; r++) {
			K_T lane[K_W];
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
				const int rows)
{
	double sum[8 * GNS_BUCKETS] = {0};
	const size_t whole = cols / 8 * 8;

	for (size_t j = 0; j < whole;) {
		const size_t stop = whole - j > 8 * GNS_RUN ? j + 8 * GNS_RUN : whole;
		K_T acc[8 * GNS_BUCKETS] = {0};
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
}

#endif

static void K_NAME(bucket)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, const int8_t *table, void *out,
			   ptrdiff_t ahead)
{
	const K_U *y = data;
	K_T *u = out;

	for (; rows >= 8; rows -= 8, y += 8 * ld, u += 8 * GNS_BUCKETS)
		K_NAME(bucket_rows)(y, ld, cols, table, u, ahead, 8);
	if (rows >= 4) {
		K_NAME(bucket_rows)(y, ld, cols, table, u, ahead, 4);
		rows -= 4, y += 4 * ld, u += 4 * GNS_BUCKETS;
	}
	for (; rows; rows--, y += ld, u += GNS_BUCKETS)
		K_NAME(bucket_rows)(y, ld, cols, table, u, ahead, 1);
}

/* ---- u, feature-major: whole vectors of rows, one bucket after the other ---- */

INLINE void K_NAME(bucket_strip)(const K_U *y, ptrdiff_t ld, size_t n, size_t cols, const int8_t *table, K_T *u,
				 const int vectors)
{
	for (int l = 0; l < GNS_BUCKETS; l++) {
		double sum[4 * K_W] = {0};
		for (size_t j = 0; j < cols;) {
			const size_t stop = cols - j > 8 * GNS_RUN ? j + 8 * GNS_RUN : cols;
			K_V acc[4];
			UNROLL for (int v = 0; v < vectors; v++)
				acc[v] = K_SET(0);
			for (; j < stop; j += 8) {
				const size_t col = j + (table[j + l] & 7);
				const K_V sign = K_SET(table[j + l] < 0 ? -1 : 1);
				const K_U *from = y + (ptrdiff_t)col * ld;
				if (col >= cols)
					continue;
				UNROLL for (int v = 0; v < vectors; v++)
					acc[v] = K_FMA(vectors == 1 ? K_LOADN(from, n) : K_LOAD(from + v * K_W), sign, acc[v]);
			}
			UNROLL for (int v = 0; v < vectors; v++) {
				K_T lane[K_W];
				K_STORE(lane, acc[v]);
				for (int i = 0; i < K_W; i++)
					sum[v * K_W + i] += (double)lane[i];
			}
		}
		for (size_t i = 0; i < n; i++)
			u[GNS_BUCKETS * i + l] = (K_T)sum[i];
	}
}

static void K_NAME(bucket_feature)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, const int8_t *table, void *out)
{
	const K_U *y = data;
	K_T *u = out;

	for (; rows >= 4 * K_W; rows -= 4 * K_W, y += 4 * K_W, u += 4 * K_W * GNS_BUCKETS)
		K_NAME(bucket_strip)(y, ld, 4 * K_W, cols, table, u, 4);
	while (rows) {
		const size_t n = rows < K_W ? rows : K_W;
		K_NAME(bucket_strip)(y, ld, n, cols, table, u, 1);
		rows -= n, y += n, u += n * GNS_BUCKETS;
	}
}

/* ---- z: rows weighted by u ---- */

/* A panel of `vectors` vectors of columns, the last of which has n columns. */
INLINE double K_NAME(fold_panel)(const K_U *x, ptrdiff_t ld, size_t rows, size_t n, const K_T *u, double *acc, size_t acc_ld,
				 ptrdiff_t next, const int vectors)
{
	K_D total = {0};

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
					} else
						total = K_DFMA(wide, wide, total);
				}
	}
	double sum = 0;
	for (int i = 0; i < K_DW; i++)
		sum += total[i];
	return sum;
}

static double K_NAME(fold)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, const void *weights, double *acc,
			   size_t acc_ld, ptrdiff_t next)
{
	const size_t panel = K_ZV * K_W;
	const K_U *x = data;
	const K_T *u = weights;
	double sum = 0;
	size_t j = 0;

	for (; j + panel <= cols; j += panel) {
		/* Two panels on, or as far into the next chunk. */
		const ptrdiff_t hint = j + 3 * panel <= cols ? (ptrdiff_t)(2 * panel) : next + (ptrdiff_t)(2 * panel - cols);
		sum += K_NAME(fold_panel)(x + j, ld, rows, K_W, u, acc ? acc + j : NULL, acc_ld, hint, K_ZV);
	}
	for (; j < cols; j += K_W) {
		const size_t n = cols - j < K_W ? cols - j : K_W;
		sum += K_NAME(fold_panel)(x + j, ld, rows, n, u, acc ? acc + j : NULL, acc_ld, 0, 1);
	}
	return sum;
}

/* ---- exact sums ---- */

static double K_NAME(dot)(const void *first, const void *second, size_t n)
{
	const K_U *a = first, *b = second;
	K_D acc[4] = {{0}};
	double sum = 0;
	size_t i = 0;

	for (; i + 2 * K_W <= n; i += 2 * K_W)
		UNROLL for (int v = 0; v < 2; v++) {
			const K_V p = K_LOAD(a + i + v * K_W), q = K_LOAD(b + i + v * K_W);
			UNROLL for (int part = 0; part < K_PARTS; part++)
				acc[2 * v + part] = K_DFMA(K_WIDEN(p, part), K_WIDEN(q, part), acc[2 * v + part]);
		}
	acc[0] += acc[1] + acc[2] + acc[3];
	for (int l = 0; l < K_DW; l++)
		sum += acc[0][l];
	for (; i < n; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

static double K_NAME(diff_norm2)(const void *first, const void *second, double scale, size_t n)
{
	const K_U *a = first, *b = second;
	K_D acc[K_PARTS] = {{0}};
	double sum = 0;
	size_t i = 0;

	for (; i + K_W <= n; i += K_W) {
		const K_V p = K_LOAD(a + i), q = K_LOAD(b + i);
		UNROLL for (int part = 0; part < K_PARTS; part++) {
			const K_D diff = K_WIDEN(p, part) - scale * K_WIDEN(q, part);
			acc[part] = K_DFMA(diff, diff, acc[part]);
		}
	}
	for (int part = 0; part < K_PARTS; part++)
		for (int l = 0; l < K_DW; l++)
			sum += acc[part][l];
	for (; i < n; i++) {
		const double diff = (double)a[i] - scale * (double)b[i];
		sum += diff * diff;
	}
	return sum;
}

static void K_NAME(row_norms_feature)(const void *data, ptrdiff_t ld, size_t rows, size_t cols, double *out)
{
	const K_U *x = data;

	for (size_t j = 0; j < cols; j++, x += ld)
		for (size_t t = 0; t < rows; t++)
			out[t] += (double)x[t] * (double)x[t];
}

#undef INLINE
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
