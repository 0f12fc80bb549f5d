/* Matrices for the tests of the sketch: any layout, random values, NaN in every gap. */
#ifndef GNS_TESTS_UNIT_TEST_SKETCH_MATS_H
#define GNS_TESTS_UNIT_TEST_SKETCH_MATS_H

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/sketch/sketch.h"

static uint64_t random_state = 88172645463325252ull;

static double uniform(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (double)(random_state >> 11) * 0x1p-53;
}

static double gauss(void)
{
	return sqrt(-2 * log(1 - uniform())) * cos(2 * M_PI * uniform());
}

/* How a matrix lies in memory. Gaps between its elements hold NaN. */
enum layout { ROW_MAJOR, ROW_PADDED, FEATURE_MAJOR, FEATURE_PADDED, SCATTERED, REVERSED, LAYOUTS };

struct held {
	struct gns_mat mat;
	void *memory;
};

static void put(const struct gns_mat *m, size_t t, size_t i, double value)
{
	char *p = (char *)m->data + ((ptrdiff_t)t * m->row_stride + (ptrdiff_t)i * m->col_stride) * (m->dtype == GNS_F64 ? 8 : 4);
	if (m->dtype == GNS_F64)
		memcpy(p, &value, 8);
	else
		memcpy(p, &(float){(float)value}, 4);
}

static double get(const struct gns_mat *m, size_t t, size_t i)
{
	const char *p =
		(const char *)m->data + ((ptrdiff_t)t * m->row_stride + (ptrdiff_t)i * m->col_stride) * (m->dtype == GNS_F64 ? 8 : 4);
	double wide;
	float narrow;
	if (m->dtype == GNS_F64)
		return memcpy(&wide, p, 8), wide;
	return memcpy(&narrow, p, 4), (double)narrow;
}

/* `offset` bytes off a page boundary. */
static struct held hold(enum layout layout, uint32_t dtype, size_t rows, size_t cols, size_t offset)
{
	const size_t item = dtype == GNS_F64 ? 8 : 4;
	const size_t count = 3 * (rows + 3) * (cols + 5) + 8;
	struct held held = {.mat = {.dtype = dtype, .rows = rows, .cols = cols}};
	ptrdiff_t first = 0;

	held.memory = aligned_alloc(4096, (count * item + offset + 4095) / 4096 * 4096);
	for (size_t i = 0; i < count; i++) {
		if (item == 8)
			memcpy((char *)held.memory + offset + 8 * i, &(double){NAN}, 8);
		else
			memcpy((char *)held.memory + offset + 4 * i, &(float){NAN}, 4);
	}
	held.mat.row_stride = layout == ROW_MAJOR ? (ptrdiff_t)cols : layout == ROW_PADDED ? (ptrdiff_t)cols + 5 : 1;
	held.mat.col_stride = layout == FEATURE_MAJOR ? (ptrdiff_t)rows : layout == FEATURE_PADDED ? (ptrdiff_t)rows + 3 : 1;
	if (layout == SCATTERED) {
		held.mat.col_stride = 3;
		held.mat.row_stride = 3 * (ptrdiff_t)(cols + 1);
	}
	if (layout == REVERSED) {
		held.mat.row_stride = -(ptrdiff_t)(cols + 1);
		first = (ptrdiff_t)((rows - 1) * (cols + 1));
	}
	held.mat.data = (char *)held.memory + offset + (size_t)first * item;
	return held;
}

static void fill_gauss(const struct gns_mat *m)
{
	for (size_t t = 0; t < m->rows; t++)
		for (size_t i = 0; i < m->cols; i++)
			put(m, t, i, gauss());
}

/* Gaussian rows around a mean of its own for every sample. */
static void fill_around(const struct gns_mat *m, size_t rows, double mean)
{
	double *centre = calloc(m->cols, sizeof *centre);

	for (size_t t = 0; t < m->rows; t++)
		for (size_t i = 0; i < m->cols; i++) {
			if (t % rows == 0)
				centre[i] = mean * gauss();
			put(m, t, i, centre[i] + gauss());
		}
	free(centre);
}

#endif
