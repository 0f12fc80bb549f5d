/* Portable C: vectors of 16 bytes as gcc and clang give them on any machine. */
#include <string.h>

#include "kernels.h"

typedef float v4f __attribute__((vector_size(16)));
typedef double v2d __attribute__((vector_size(16)));
typedef float v2f __attribute__((vector_size(8)));

#define K_D v2d
#define K_DW 2
#define K_DLOAD(p) load_f64((const gns_f64 *)(p))
#define K_DSTORE(p, v) memcpy(p, &(v2d){(v)[0], (v)[1]}, sizeof(v2d))
#define K_DFMA(a, b, c) ((a) * (b) + (c))

static inline v4f load_f32(const gns_f32 *p)
{
	v4f v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline v2d load_f64(const gns_f64 *p)
{
	v2d v;
	memcpy(&v, p, sizeof v);
	return v;
}

static inline v4f load_some_f32(const gns_f32 *p, size_t n)
{
	v4f v = {0};
	memcpy(&v, p, (n < 4 ? n : 4) * sizeof(float));
	return v;
}

static inline v2d load_some_f64(const gns_f64 *p, size_t n)
{
	v2d v = {0};
	memcpy(&v, p, (n < 2 ? n : 2) * sizeof(double));
	return v;
}

static inline v2d wide_f32(const gns_f32 *p)
{
	return (v2d){(double)p[0], (double)p[1]};
}

static inline v2d widen_f32(v4f v, int part)
{
	return part ? (v2d){(double)v[2], (double)v[3]} : (v2d){(double)v[0], (double)v[1]};
}

#define K_T float
#define K_U gns_f32
#define K_NAME(x) x##_f32
#define K_V v4f
#define K_W 4
#define K_LOAD(p) load_f32(p)
#define K_LOADN(p, n) load_some_f32(p, n)
#define K_STORE(p, v) memcpy(p, &(v), sizeof(v4f))
#define K_SET(s) ((v4f){(s), (s), (s), (s)})
#define K_FMA(a, b, c) ((a) * (b) + (c))
#define K_WIDE(p) wide_f32(p)
#define K_PARTS 2
#define K_WIDEN(v, part) widen_f32(v, part)
#define K_ZV 2
#define K_ZB 4
#define K_PAIR 1
#define K_EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6)
#include "kernels_template.h"

#define K_T double
#define K_U gns_f64
#define K_NAME(x) x##_f64
#define K_V v2d
#define K_W 2
#define K_LOAD(p) load_f64(p)
#define K_LOADN(p, n) load_some_f64(p, n)
#define K_STORE(p, v) memcpy(p, &(v), sizeof(v2d))
#define K_SET(s) ((v2d){(s), (s)})
#define K_FMA(a, b, c) ((a) * (b) + (c))
#define K_WIDE(p) load_f64(p)
#define K_PARTS 1
#define K_WIDEN(v, part) (v)
#define K_ZV 2
#define K_ZB 4
#define K_PAIR 1
#include "kernels_template.h"

#define K_TABLE gns_kernels_portable
#include "kernels_wide.h"
