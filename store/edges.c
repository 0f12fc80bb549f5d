/* A window of a run pooled. In the run's sums a measured step represents half the gap to each measured neighbour, wherever these are; in a
 * window its first and last measured steps reach to the window's ends (SCIENCE.md, "Averages over a run"). */
#include "store/internal.h"

#include <stdlib.h>

#define PILE_BLOCKS 4096

static int read_one(struct gns_store *store, int64_t run_id, int64_t step, struct gns_edge *edge)
{
	struct gns_rank_step rows[64];
	struct gns_one_step one;
	size_t n = 0;
	int rc = SQLITE_ERROR;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STEPS, "iii", run_id, step, step);
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW)
		if (n < sizeof rows / sizeof *rows)
			gns_step_read(stmt, &rows[n++]);
	sqlite3_reset(stmt);
	if (rc != SQLITE_DONE)
		return -EIO;
	gns_one_step(rows, n, &one);
	double weight = gns_step_weight(rows, n);
	if (one.measured && weight > 0)
		*edge = (struct gns_edge){ .step = one.values, .weight = weight };
	return 0;
}

int gns_edges(struct gns_store *store, int64_t run_id, struct gns_window w, struct gns_edge edge[2])
{
	edge[0] = edge[1] = (struct gns_edge){ .more = 0 };
	int64_t first = gns_sql_int(store, GNS_SQL_WEIGHED_AFTER, 0, "ii", run_id, w.lo - 1);
	int64_t last = gns_sql_int(store, GNS_SQL_WEIGHED_BEFORE, 0, "ii", run_id, w.hi + 1);
	if (first < w.lo || last > w.hi || first > last)
		return 0;
	int rc = read_one(store, run_id, first, &edge[0]);
	if (rc == 0)
		rc = read_one(store, run_id, last, &edge[1]);
	if (rc < 0 || !(edge[0].weight > 0) || !(edge[1].weight > 0))
		return rc;
	/* A neighbour outside of the window is mirrored at its end. */
	int64_t second = first == last ? 2 * w.hi + 1 - first : gns_sql_int(store, GNS_SQL_WEIGHED_AFTER, last, "ii", run_id, first);
	int64_t before = gns_sql_int(store, GNS_SQL_WEIGHED_BEFORE, first, "ii", run_id, last);
	edge[0].more = (double)(second - (2 * w.lo - 1 - first)) / 2 - edge[0].weight;
	if (first != last)
		edge[1].more = (double)(2 * w.hi + 1 - last - before) / 2 - edge[1].weight;
	return 0;
}

static int pool(void *arg, int64_t step_lo, int64_t step_hi, const struct gns_total *total)
{
	struct gns_pooled_window *pooled = arg;
	gns_total_merge(&pooled->total, total);
	gns_pile_add(&pooled->pile, &total->block);
	return 0;
}

int gns_pool_window(struct gns_store *store, int64_t run_id, struct gns_window w, struct gns_pooled_window *out)
{
	struct gns_edge edge[2];
	if (gns_pile_init(&out->pile, PILE_BLOCKS) < 0)
		return -ENOMEM;
	gns_total_clear(&out->total);
	int rc = gns_cover(store, run_id, w.lo, w.hi, gns_cover_size(w.hi - w.lo + 1), pool, out);
	if (rc == 0)
		rc = gns_edges(store, run_id, w, edge);
	for (int i = 0; rc == 0 && i < 2 && out->pile.n > 0; i++) {
		struct gns_block *block = &out->pile.blocks[i == 0 ? 0 : out->pile.n - 1];
		gns_block_reweigh(block, &edge[i].step, edge[i].weight, edge[i].more);
		gns_block_reweigh(&out->total.block, &edge[i].step, edge[i].weight, edge[i].more);
	}
	if (rc < 0)
		gns_pooled_free(out);
	return rc;
}

void gns_pooled_free(struct gns_pooled_window *pooled)
{
	gns_pile_free(&pooled->pile);
}

void gns_pooled_noise(const struct gns_pooled_window *pooled, struct gns_ratio *b_noise, struct gns_ratio *b_crit, struct gns_meanvar *mv)
{
	gns_pile_noise(&pooled->pile, b_noise, mv);
	if (gns_bcrit_from_blocks(pooled->pile.blocks, pooled->pile.n, GNS_Z95, b_crit) < 0)
		*b_crit = (struct gns_ratio){ NAN, NAN, NAN, false, 0 };
}
