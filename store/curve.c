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

/* The steps of one fine block, each with all its ranks. */
struct steps {
	int64_t first;
	struct gns_total total[GNS_SIZE_FINE];
	bool present[GNS_SIZE_FINE];
};

struct gathered { struct gns_rank_step rows[64]; size_t n; };

static void put(struct steps *steps, struct gathered *step)
{
	if (step->n == 0)
		return;
	int64_t i = step->rows[0].step - steps->first;
	gns_total_of_step(step->rows, step->n, &steps->total[i]);
	steps->present[i] = true;
	step->n = 0;
}

static int read_steps(struct walk *walk, int64_t lo, int64_t hi, struct steps *steps)
{
	sqlite3_stmt *stmt = gns_sql_bind(walk->store, GNS_SQL_STEPS, "iii", walk->run_id, lo, hi);
	struct gathered step = { .n = 0 };
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct gns_rank_step row;
		gns_step_read(stmt, &row);
		if (step.n > 0 && step.rows[0].step != row.step)
			put(steps, &step);
		if (step.n < sizeof step.rows / sizeof *step.rows)
			step.rows[step.n++] = row;
	}
	put(steps, &step);
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? 0 : -EIO;
}

/* Each is the mean of its step; `count` losses are behind all of them. */
static int read_losses(struct walk *walk, struct steps *steps, double count)
{
	double loss[GNS_SIZE_FINE], n = 0;
	bool has[GNS_SIZE_FINE] = { false };
	sqlite3_stmt *stmt = gns_sql_bind(walk->store, GNS_SQL_STEP_LOSSES, "iii", walk->run_id, steps->first, steps->first + GNS_SIZE_FINE - 1);
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		int64_t i = sqlite3_column_int64(stmt, 0) - steps->first;
		n += !has[i];
		has[i] = true;
		loss[i] = sqlite3_column_double(stmt, 1);
	}
	for (int i = 0; i < GNS_SIZE_FINE; i++)
		if (has[i] && count > 0) {
			steps->total[i].loss_sum += loss[i] * count / n;
			steps->total[i].loss_count += count / n;
		}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? 0 : -EIO;
}

/* The part of the block's sum that its rows do not explain, spread over the steps whose rows were thinned away: each gets the whole share
 * up to it less what those before it got, so that nothing is lost to rounding. */
static void fill(struct steps *steps, struct gns_total missing)
{
	int64_t n = 0, at = 0, block[3] = { missing.steps, missing.dur_ns, missing.overhead_ns };
	for (int i = 0; i < GNS_SIZE_FINE; i++)
		n += !steps->present[i];
	for (int i = 0; i < GNS_SIZE_FINE; i++) {
		struct gns_total *total = &steps->total[i];
		int64_t *part[3] = { &total->steps, &total->dur_ns, &total->overhead_ns };
		if (steps->present[i])
			continue;
		at++;
		for (int k = 0; k < 3; k++)
			*part[k] = block[k] / n * at + block[k] % n * at / n - block[k] / n * (at - 1) - block[k] % n * (at - 1) / n;
		steps->present[i] = total->steps > 0;
	}
}

/* Where the block's sum counts more rows than there are, they were thinned away. */
static int fill_thinned(struct walk *walk, struct steps *steps)
{
	struct gns_total of, known;
	int rc = SQLITE_DONE;
	sqlite3_stmt *stmt = gns_sql_bind(walk->store, GNS_SQL_ROLLUPS, "iiii", walk->run_id, (int64_t)GNS_SIZE_FINE,
					  gns_block_of(steps->first, GNS_SIZE_FINE), gns_block_of(steps->first, GNS_SIZE_FINE) + 1);
	gns_total_clear(&of);
	gns_total_clear(&known);
	if (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		gns_rollup_read(stmt, &of);
	sqlite3_reset(stmt);
	if (!stmt || (rc != SQLITE_ROW && rc != SQLITE_DONE))
		return -EIO;
	for (int i = 0; i < GNS_SIZE_FINE; i++)
		if (steps->present[i])
			gns_total_merge(&known, &steps->total[i]);
	of.steps -= known.steps;
	of.dur_ns -= known.dur_ns;
	of.overhead_ns -= known.overhead_ns;
	if (of.steps <= 0 || of.dur_ns < 0 || of.overhead_ns < 0)
		return 0;
	fill(steps, of);
	return read_losses(walk, steps, of.loss_count - known.loss_count);
}

static int walk_within_block(struct walk *walk, int64_t lo, int64_t hi)
{
	int64_t block = gns_block_of(lo, GNS_SIZE_FINE);
	bool complete = block < gns_block_of(walk->rolled, GNS_SIZE_FINE);
	struct steps steps = { .first = block * GNS_SIZE_FINE + 1 };
	for (int i = 0; i < GNS_SIZE_FINE; i++)
		gns_total_clear(&steps.total[i]);
	int rc = read_steps(walk, complete ? steps.first : lo, complete ? steps.first + GNS_SIZE_FINE - 1 : hi, &steps);
	if (rc == 0 && complete)
		rc = fill_thinned(walk, &steps);
	for (int64_t step = lo; rc == 0 && step <= hi; step++)
		if (steps.present[step - steps.first])
			rc = walk->fn(walk->arg, step, step, &steps.total[step - steps.first]);
	return rc;
}

static int walk_steps(struct walk *walk, int64_t lo, int64_t hi)
{
	int rc = 0;
	for (int64_t end; rc == 0 && lo <= hi; lo = end + 1) {
		end = (gns_block_of(lo, GNS_SIZE_FINE) + 1) * GNS_SIZE_FINE;
		end = end < hi ? end : hi;
		rc = walk_within_block(walk, lo, end);
	}
	return rc;
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
