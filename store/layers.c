/* Weights over a window: complete blocks from the roll-ups, the rest from raw rows. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define PILE_BLOCKS 64

static int over(struct gns_store *store, int64_t run_id, int64_t lo, int64_t hi, int64_t size, int64_t rolled, gns_rows_fn fn, void *arg)
{
	if (lo > hi)
		return 0;
	if (size == 1)
		return fn(store, run_id, lo, hi, 1, arg);
	int64_t next = size == GNS_SIZE_COARSE ? GNS_SIZE_LAYER : 1;
	int64_t from = (lo - 1 + size - 1) / size, to = hi / size;
	if (to > gns_block_of(rolled, size))
		to = gns_block_of(rolled, size);
	if (from >= to)
		return over(store, run_id, lo, hi, next, rolled, fn, arg);
	int rc = over(store, run_id, lo, from * size, next, rolled, fn, arg);
	if (rc == 0)
		rc = fn(store, run_id, from, to, size, arg);
	return rc == 0 ? over(store, run_id, to * size + 1, hi, next, rolled, fn, arg) : rc;
}

int gns_over_window(struct gns_store *store, int64_t run_id, struct gns_window window, gns_rows_fn fn, void *arg)
{
	return over(store, run_id, window.lo, window.hi, GNS_SIZE_COARSE, window.hi, fn, arg);
}

struct gns_window gns_window_of_rows(struct gns_store *store, int64_t run_id, int64_t window)
{
	struct gns_window w;
	gns_window(store, run_id, window, &w);
	if (w.lo <= gns_sql_int(store, GNS_SQL_RUN_THINNED, 0, "i", run_id))
		w.lo = (w.lo - 1 + GNS_SIZE_LAYER - 1) / GNS_SIZE_LAYER * GNS_SIZE_LAYER + 1;
	return w;
}

/* ---- weights ---- */

struct layer_sum {
	struct gns_layer layer;
	uint32_t source;
	double q_small; /* weighted, as all sums */
	struct gns_block total;
	struct gns_pile pile;
};
struct layer_sums { struct layer_sum *of; size_t n; };

static int by_id(const void *a, const void *b)
{
	const int64_t *key = a;
	const struct layer_sum *sum = b;
	return *key < sum->layer.param_id ? -1 : *key > sum->layer.param_id;
}

/* One source for each weight: the preferred one that it has in the window. */
static int layer_add(struct layer_sums *sums, int64_t id, uint32_t source, const struct gns_block *block, double q_small)
{
	struct layer_sum *sum = sums->n ? bsearch(&id, sums->of, sums->n, sizeof *sums->of, by_id) : NULL;
	if (!sum || source == 0 || (sum->source && gns_source_place(sum->source) < gns_source_place(source)) || !(block->count > 0))
		return 0;
	if (!sum->pile.blocks && gns_pile_init(&sum->pile, PILE_BLOCKS) < 0)
		return -ENOMEM;
	if (sum->source != source) {
		sum->source = source;
		sum->q_small = 0;
		gns_block_clear(&sum->total);
		sum->pile.n = 0;
		sum->pile.target = 1;
	}
	sum->q_small += q_small;
	gns_block_merge(&sum->total, block);
	gns_pile_add(&sum->pile, block);
	return 0;
}

static int layer_step(void *arg, int64_t step, double weight, const struct gns_grad_row *rows, size_t n)
{
	int out = 0;
	for (size_t i = 0; i < n && out == 0; i++) {
		struct gns_block block;
		gns_block_clear(&block);
		gns_block_add(&block, &(struct gns_measured){ step, rows[i].s, rows[i].g2, rows[i].q_big, (double)rows[i].n_big }, weight);
		out = layer_add(arg, rows[i].param, rows[i].source, &block, weight * rows[i].q_small);
	}
	return out;
}

static int layer_rows(struct gns_store *store, int64_t run_id, int64_t a, int64_t b, int64_t size, void *arg)
{
	if (size == 1)
		return gns_step_grads(store, run_id, a, b, layer_step, arg);
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_ROLLUP_PARAMS, "iiii", run_id, size, a, b);
	int rc = SQLITE_ERROR, out = 0;
	while (out == 0 && stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct gns_block block = { .first_step = sqlite3_column_int64(stmt, 2),
			.last_step = sqlite3_column_int64(stmt, 3), .count = sqlite3_column_double(stmt, 4),
			.q_big = sqlite3_column_double(stmt, 6), .n_big = sqlite3_column_double(stmt, 7),
			.s = sqlite3_column_double(stmt, 8), .g2 = sqlite3_column_double(stmt, 9),
			.ss = sqlite3_column_double(stmt, 10), .sg = sqlite3_column_double(stmt, 11),
			.gg = sqlite3_column_double(stmt, 12), .weight = sqlite3_column_double(stmt, 13),
			.weight2 = sqlite3_column_double(stmt, 14) };
		out = layer_add(arg, sqlite3_column_int64(stmt, 0), gns_source_of((const char *)sqlite3_column_text(stmt, 1)), &block,
				sqlite3_column_double(stmt, 5));
	}
	sqlite3_reset(stmt);
	return out != 0 ? out : rc == SQLITE_DONE ? 0 : -EIO;
}

/* What the first or the last measured step of the window counts more or less there than in the run. */
struct at_edge { struct layer_sums *sums; const struct gns_edge *edge; bool last; };

static int layer_edge(void *arg, int64_t step, double weight, const struct gns_grad_row *rows, size_t n)
{
	const struct at_edge *at = arg;
	for (size_t i = 0; i < n; i++) {
		int64_t id = rows[i].param;
		struct layer_sum *sum = at->sums->n ? bsearch(&id, at->sums->of, at->sums->n, sizeof *at->sums->of, by_id) : NULL;
		if (!sum || sum->source != rows[i].source || sum->pile.n == 0 || !isfinite(rows[i].s) || !isfinite(rows[i].g2))
			continue;
		struct gns_measured values = { step, rows[i].s, rows[i].g2, rows[i].q_big, (double)rows[i].n_big };
		gns_block_reweigh(&sum->total, &values, at->edge->weight, at->edge->more);
		gns_block_reweigh(&sum->pile.blocks[at->last ? sum->pile.n - 1 : 0], &values, at->edge->weight, at->edge->more);
		sum->q_small += at->edge->more * rows[i].q_small;
	}
	return 0;
}

static int layers_at_edges(struct gns_store *store, int64_t run_id, struct gns_window w, struct layer_sums *sums)
{
	struct gns_edge edge[2];
	int rc = gns_edges(store, run_id, w, edge);
	for (int i = 0; rc == 0 && i < 2; i++) {
		struct at_edge at = { sums, &edge[i], i == 1 };
		if (edge[i].more != 0)
			rc = gns_step_grads(store, run_id, edge[i].step.step, edge[i].step.step, layer_edge, &at);
	}
	return rc;
}

static int read_params(struct gns_store *store, int64_t run_id, struct layer_sums *sums)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_PARAMS, "i", run_id);
	size_t max = 0;
	int rc = SQLITE_ERROR;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (sums->n == max) {
			max = max ? max * 2 : 64;
			struct layer_sum *grown = realloc(sums->of, max * sizeof *grown);
			if (!grown)
				break;
			sums->of = grown;
		}
		struct layer_sum *sum = &sums->of[sums->n++];
		memset(sum, 0, sizeof *sum);
		sum->layer.param_id = sqlite3_column_int64(stmt, 0);
		gns_column_text(stmt, 1, sum->layer.name, sizeof sum->layer.name);
		gns_column_text(stmt, 2, sum->layer.shape, sizeof sum->layer.shape);
		gns_column_text(stmt, 3, sum->layer.left_out, sizeof sum->layer.left_out);
		sum->layer.numel = sqlite3_column_int64(stmt, 4);
		sum->layer.excluded = sqlite3_column_int(stmt, 5) != 0;
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? 0 : rc == SQLITE_ROW ? -ENOMEM : -EIO;
}

static void layers_finish(const struct layer_sums *sums, double ranks, struct gns_layer *layers)
{
	/* A weight that two sources know under two names would be in one total twice: each source has its own. */
	double totals_s[GNS_SOURCES] = { 0 }, totals_g2[GNS_SOURCES] = { 0 };
	for (size_t i = 0; i < sums->n; i++)
		if (sums->of[i].total.count > 0) {
			totals_s[sums->of[i].source] += sums->of[i].total.s / sums->of[i].total.weight;
			totals_g2[sums->of[i].source] += sums->of[i].total.g2 / sums->of[i].total.weight;
		}
	for (size_t i = 0; i < sums->n; i++) {
		const struct layer_sum *sum = &sums->of[i];
		struct gns_layer *layer = &layers[i];
		*layer = sum->layer;
		double weight = sum->total.count > 0 ? sum->total.weight : (double)NAN;
		layer->count = gns_source_pools(sum->source) ? sum->total.count : sum->total.count / ranks;
		layer->q_small = sum->q_small / weight;
		layer->q_big = sum->total.q_big / weight;
		layer->s = sum->total.s / weight;
		layer->g2 = sum->total.g2 / weight;
		double s = totals_s[sum->source], g2 = totals_g2[sum->source];
		layer->share_s = s > 0 ? layer->s / s : (double)NAN;
		layer->share_g2 = g2 > 0 ? layer->g2 / g2 : (double)NAN;
		gns_pile_noise(&sum->pile, &layer->b_noise, NULL);
		snprintf(layer->source, sizeof layer->source, "%s", gns_source_names[sum->source]);
	}
}

int gns_store_layers(struct gns_store *store, int64_t run_id, int64_t window, struct gns_layer **layers, size_t *n,
		     struct gns_error *err)
{
	struct layer_sums sums = { 0 };
	bool mine;
	*layers = NULL;
	*n = 0;
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	struct gns_window w = gns_window_of_rows(store, run_id, window);
	rc = read_params(store, run_id, &sums);
	if (rc == 0)
		rc = gns_over_window(store, run_id, w, layer_rows, &sums);
	if (rc == 0)
		rc = layers_at_edges(store, run_id, w, &sums);
	double ranks = (double)gns_sql_int(store, GNS_SQL_RANK_COUNT, 1, "i", run_id);
	if (rc == 0 && sums.n > 0) {
		*layers = malloc(sums.n * sizeof **layers);
		if (*layers)
			layers_finish(&sums, ranks > 0 ? ranks : 1, *layers);
		*n = *layers ? sums.n : 0;
		rc = *layers ? 0 : -ENOMEM;
	}
	if (rc < 0)
		rc = gns_store_fail(store, err, "read");
	for (size_t i = 0; i < sums.n; i++)
		gns_pile_free(&sums.of[i].pile);
	free(sums.of);
	gns_snapshot_end(store, mine);
	return rc;
}
