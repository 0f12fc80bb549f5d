/* The run along its steps: walks over roll-ups that cost the same for any length, and the curve made of them. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

struct walk {
	struct gns_store *store;
	int64_t run_id, rolled;
	gns_total_fn fn;
	void *arg;
};

int64_t gns_cover_size(int64_t steps)
{
	if (steps <= 4096)
		return 1;
	if (steps <= 4096 * GNS_SIZE_FINE)
		return GNS_SIZE_FINE;
	return steps <= 4096 * (int64_t)GNS_SIZE_MIDDLE ? GNS_SIZE_MIDDLE : GNS_SIZE_COARSE;
}

static int64_t finer(int64_t size)
{
	return size == GNS_SIZE_COARSE ? GNS_SIZE_MIDDLE : size == GNS_SIZE_MIDDLE ? GNS_SIZE_FINE : 1;
}

struct gathered { struct gns_rank_step rows[64]; size_t n; };

static int hand_out(struct walk *walk, struct gathered *step)
{
	if (step->n == 0)
		return 0;
	struct gns_total total;
	gns_total_of_step(step->rows, step->n, &total);
	step->n = 0;
	return walk->fn(walk->arg, step->rows[0].step, step->rows[0].step, &total);
}

static int walk_steps(struct walk *walk, int64_t lo, int64_t hi)
{
	sqlite3_stmt *stmt = gns_sql_bind(walk->store, GNS_SQL_STEPS, "iii", walk->run_id, lo, hi);
	struct gathered step = { .n = 0 };
	int rc = SQLITE_ERROR, out = 0;
	while (out == 0 && stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct gns_rank_step row;
		gns_step_read(stmt, &row);
		if (step.n > 0 && step.rows[0].step != row.step)
			out = hand_out(walk, &step);
		if (step.n < sizeof step.rows / sizeof *step.rows)
			step.rows[step.n++] = row;
	}
	if (out == 0 && rc == SQLITE_DONE)
		out = hand_out(walk, &step);
	sqlite3_reset(stmt);
	return out != 0 ? out : rc == SQLITE_DONE ? 0 : -EIO;
}

static int walk_blocks(struct walk *walk, int64_t size, int64_t from, int64_t to)
{
	sqlite3_stmt *stmt = gns_sql_bind(walk->store, GNS_SQL_ROLLUPS, "iiii", walk->run_id, size, from, to);
	int rc = SQLITE_ERROR, out = 0;
	while (out == 0 && stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct gns_total total;
		gns_rollup_read(stmt, &total);
		int64_t block = sqlite3_column_int64(stmt, 0);
		out = walk->fn(walk->arg, block * size + 1, (block + 1) * size, &total);
	}
	sqlite3_reset(stmt);
	return out != 0 ? out : rc == SQLITE_DONE ? 0 : -EIO;
}

static int walk_range(struct walk *walk, int64_t lo, int64_t hi, int64_t size)
{
	if (lo > hi)
		return 0;
	if (size == 1)
		return walk_steps(walk, lo, hi);
	int64_t from = (lo - 1 + size - 1) / size; /* first block that begins at or after lo */
	int64_t to = hi / size;                    /* first block that ends after hi */
	if (to > gns_block_of(walk->rolled, size))
		to = gns_block_of(walk->rolled, size); /* the open block is not stored */
	if (from >= to)
		return walk_range(walk, lo, hi, finer(size));
	int rc = walk_range(walk, lo, from * size, finer(size));
	if (rc == 0)
		rc = walk_blocks(walk, size, from, to);
	return rc == 0 ? walk_range(walk, to * size + 1, hi, finer(size)) : rc;
}

int gns_cover(struct gns_store *store, int64_t run_id, int64_t lo, int64_t hi, int64_t size, gns_total_fn fn, void *arg)
{
	struct walk walk = { store, run_id, gns_sql_int(store, GNS_SQL_RUN_ROLLED, 0, "i", run_id), fn, arg };
	if (hi < 0 || hi > walk.rolled)
		hi = walk.rolled;
	return walk_range(&walk, lo < 1 ? 1 : lo, hi, size);
}

/* ---- the curve ---- */

struct curve {
	struct gns_store *store;
	int64_t run_id, width, lo;
	struct gns_point *points;
	size_t n, max;
	/* the point in the making */
	int64_t index;
	struct gns_total sum;
	int64_t step_lo, step_hi;
	struct gns_pile pile;
};

static int64_t ceil_to(int64_t value, int64_t unit)
{
	return (value + unit - 1) / unit * unit;
}

static void one_step_noise(struct curve *curve, struct gns_point *point)
{
	sqlite3_stmt *stmt = gns_sql_bind(curve->store, GNS_SQL_LIVE_AT, "iid", curve->run_id, point->step_hi, GNS_HALF_LIFE_LONG);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		point->b_noise.value = gns_column_double(stmt, 0);
		point->b_noise.lo = gns_column_double(stmt, 1);
		point->b_noise.hi = gns_column_double(stmt, 2);
		point->b_noise.resolved = sqlite3_column_int(stmt, 3) != 0;
	}
	sqlite3_reset(stmt);
}

static void end_point(struct curve *curve)
{
	const struct gns_total *sum = &curve->sum;
	const struct gns_block *b = &sum->block;
	if (b->count > 0 && curve->n < curve->max) {
		struct gns_point *point = &curve->points[curve->n++];
		double steps = sum->steps > sum->startup ? (double)(sum->steps - sum->startup) : (double)NAN;
		*point = (struct gns_point){ .step_lo = curve->step_lo, .step_hi = curve->step_hi, .count = b->count,
			.time_ns = (uint64_t)sum->start_ns, .s = b->s / b->weight, .g2 = b->g2 / b->weight,
			.samples_per_step = b->n_big / b->weight,
			.loss = sum->loss_count > 0 ? sum->loss_sum / sum->loss_count : (double)NAN,
			.step_ms = (double)sum->dur_ns / steps / 1e6, .overhead_ms = (double)sum->overhead_ns / steps / 1e6 };
		gns_pile_noise(&curve->pile, &point->b_noise, NULL);
		if (curve->width == 1)
			one_step_noise(curve, point);
		point->b_noise.count = b->count;
	}
	gns_total_clear(&curve->sum);
	curve->pile.n = 0;
	curve->pile.target = 1;
}

static int add_to_curve(void *arg, int64_t step_lo, int64_t step_hi, const struct gns_total *total)
{
	struct curve *curve = arg;
	int64_t index = (step_lo - 1) / curve->width;
	if (index != curve->index)
		end_point(curve);
	if (curve->sum.steps == 0)
		curve->step_lo = step_lo;
	curve->index = index;
	curve->step_hi = step_hi;
	gns_total_merge(&curve->sum, total);
	gns_pile_add(&curve->pile, &total->block);
	return 0;
}

static int64_t size_within(int64_t width)
{
	int64_t size = GNS_SIZE_COARSE;
	while (size > width)
		size = finer(size);
	return size;
}

static int series_of(struct curve *curve, int64_t hi, int64_t size, struct gns_error *err)
{
	int rc = gns_cover(curve->store, curve->run_id, curve->lo, hi, size, add_to_curve, curve);
	if (rc < 0)
		return gns_store_fail(curve->store, err, "read");
	end_point(curve);
	return 0;
}

int gns_store_series(struct gns_store *store, int64_t run_id, int64_t step_lo, int64_t step_hi, size_t max_points,
		     struct gns_point **points, size_t *n, struct gns_error *err)
{
	*points = NULL;
	*n = 0;
	struct curve curve = { .store = store, .run_id = run_id, .lo = step_lo < 1 ? 1 : step_lo, .max = max_points, .index = -1 };
	bool mine;
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	int64_t rolled = gns_sql_int(store, GNS_SQL_RUN_ROLLED, 0, "i", run_id);
	int64_t hi = step_hi < 0 || step_hi > rolled ? rolled : step_hi;
	if (hi >= curve.lo && max_points > 0) {
		int64_t width = (hi - curve.lo + (int64_t)max_points) / (int64_t)max_points;
		int64_t size = size_within(width);
		width = ceil_to(width, size);
		while ((hi - 1) / width - (curve.lo - 1) / width >= (int64_t)max_points)
			width += size;
		curve.width = width;
		gns_total_clear(&curve.sum);
		curve.points = malloc(max_points * sizeof *curve.points);
		rc = curve.points && gns_pile_init(&curve.pile, 64) == 0 ? 0 : gns_fail(err, -ENOMEM, "no memory left");
		if (rc == 0)
			rc = series_of(&curve, hi, size, err);
		gns_pile_free(&curve.pile);
	}
	gns_snapshot_end(store, mine);
	if (rc < 0) {
		free(curve.points);
		return rc;
	}
	*points = curve.points;
	*n = curve.n;
	return 0;
}

int gns_store_live(struct gns_store *store, int64_t run_id, struct gns_live *rows, size_t max, size_t *n, struct gns_error *err)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_LIVE, "i", run_id);
	int rc = SQLITE_ERROR;
	*n = 0;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW && *n < max) {
		rows[(*n)++] = (struct gns_live){
			.step = sqlite3_column_int64(stmt, 0), .half_life = sqlite3_column_double(stmt, 1),
			.s = gns_column_double(stmt, 2), .g2 = gns_column_double(stmt, 3),
			.b_noise = { .value = gns_column_double(stmt, 4), .lo = gns_column_double(stmt, 5),
				     .hi = gns_column_double(stmt, 6), .resolved = sqlite3_column_int(stmt, 7) != 0, .count = NAN },
			.b_crit = gns_column_double(stmt, 8), .b_crit_lo = gns_column_double(stmt, 9),
			.b_crit_hi = gns_column_double(stmt, 10) };
	}
	int code = rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : gns_store_fail(store, err, "read");
	sqlite3_reset(stmt);
	return code;
}
