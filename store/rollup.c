/* A step made final: the live estimate, the roll-ups, and what is thinned away behind them.
 *
 * The watermark run.rolled_step parts the two: up to it totals are final, and of every size the blocks before the one
 * that holds it are complete and stored. The open blocks are in memory only and can be read again from the raw rows. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

#define CRIT_BLOCKS 64
#define EMA_REPLAY 16000 /* measured steps: 32 of the long half-lives, beyond which weights are below 1e-9 */
#define RANKS_COME_NS 3000000000u /* the ranks of a job do not begin at once; those of other nodes never come */
#define RANK_LAG 1000    /* a rank so many steps behind is no longer waited for */

static const int64_t sizes[GNS_LOSS_BLOCKS] = { GNS_SIZE_FINE, GNS_SIZE_MIDDLE, GNS_SIZE_COARSE };

int gns_layers_room(struct gns_run *run, uint32_t param_id)
{
	if (param_id < run->n_layers)
		return 0;
	uint32_t n = run->n_layers ? run->n_layers : 64;
	while (n <= param_id)
		n *= 2;
	struct gns_layer_open *layers = realloc(run->layers, n * sizeof *layers);
	if (!layers)
		return -ENOMEM;
	memset(layers + run->n_layers, 0, (n - run->n_layers) * sizeof *layers);
	run->layers = layers;
	run->n_layers = n;
	return 0;
}

int gns_kernels_room(struct gns_run *run, uint32_t kernel_id)
{
	if (kernel_id < run->n_kernels)
		return 0;
	uint32_t n = run->n_kernels ? run->n_kernels : 64;
	while (n <= kernel_id)
		n *= 2;
	struct gns_kernel_open *kernels = realloc(run->kernels, n * sizeof *kernels);
	if (!kernels)
		return -ENOMEM;
	memset(kernels + run->n_kernels, 0, (n - run->n_kernels) * sizeof *kernels);
	run->kernels = kernels;
	run->n_kernels = n;
	return 0;
}

/* ---- closing blocks ---- */

static int close_total(struct gns_store *store, struct gns_run *run, int64_t block)
{
	const struct gns_total *t = &run->open;
	bool measured = t->block.count > 0;
	const struct gns_block *b = &t->block;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_ROLLUP_SET, "iiiii"
		"dddddddddddd" "iiiiiiddi", run->run_id, (int64_t)GNS_SIZE_FINE, block,
		b->first_step, b->last_step, b->count, b->weight, b->weight2, b->s, b->g2, b->ss, b->sg, b->gg, b->q_big, b->n_big, t->n_min,
		t->n_max, t->steps, t->startup, t->measured, t->refused, t->dur_ns, t->overhead_ns, t->timed, t->timed_ns, t->start_ns);
	if (!stmt)
		return sqlite3_errcode(store->db);
	if (!measured) {
		sqlite3_bind_null(stmt, 4);
		sqlite3_bind_null(stmt, 5);
	}
	sqlite3_step(stmt);
	gns_total_clear(&run->open);
	return sqlite3_reset(stmt);
}

static int merge(struct gns_store *store, struct gns_run *run, enum gns_sql id, int64_t size, int64_t block, int64_t from)
{
	int64_t parts = size / from;
	return gns_sql_run(store, id, "iiiiii", run->run_id, size, block, from, block * parts, (block + 1) * parts);
}

static int close_layers(struct gns_store *store, struct gns_run *run, int64_t block)
{
	for (uint32_t id = 0; id < run->n_layers; id++)
		for (uint32_t source = 1; source < GNS_SOURCES; source++) {
			struct gns_layer_sum *sum = &run->layers[id].source[source];
			const struct gns_block *b = &sum->block;
			if (!(b->count > 0))
				continue;
			int rc = gns_sql_run(store, GNS_SQL_ROLLUP_PARAM_SET, "iiiitiiddddddddddd", run->run_id,
				(int64_t)GNS_SIZE_LAYER, block, (int64_t)id, gns_source_names[source], b->first_step, b->last_step,
				b->count, b->weight, b->weight2, sum->q_small, b->q_big, b->n_big, b->s, b->g2, b->ss, b->sg, b->gg);
			if (rc != SQLITE_OK)
				return rc;
			*sum = (struct gns_layer_sum){ 0 };
		}
	for (uint32_t id = 0; id < run->n_kernels; id++) {
		struct gns_kernel_open *k = &run->kernels[id];
		if (k->count == 0)
			continue;
		int rc = gns_sql_run(store, GNS_SQL_ROLLUP_KERNEL_SET, "iiiiiddid", run->run_id, (int64_t)GNS_SIZE_LAYER, block,
				     (int64_t)id, k->count, k->calls, k->total_ns, k->max_ns, k->flops);
		if (rc != SQLITE_OK)
			return rc;
		*k = (struct gns_kernel_open){ 0 };
	}
	return SQLITE_OK;
}

/* Raw rows of blocks that are complete, older than the newest `keep` measured steps. */
static int thin(struct gns_store *store, struct gns_run *run)
{
	int64_t horizon = 0;
	double newer = 0;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_ROLLUP_COUNTS, "ii", run->run_id, (int64_t)GNS_SIZE_MIDDLE);
	if (!stmt)
		return sqlite3_errcode(store->db);
	while (horizon == 0 && sqlite3_step(stmt) == SQLITE_ROW) {
		if (newer >= (double)store->writer->keep)
			horizon = (sqlite3_column_int64(stmt, 0) + 1) * GNS_SIZE_MIDDLE;
		newer += sqlite3_column_double(stmt, 1);
	}
	sqlite3_reset(stmt);
	int64_t done = gns_sql_int(store, GNS_SQL_RUN_THINNED, 0, "i", run->run_id);
	if (horizon <= done)
		return SQLITE_OK;
	int rc = gns_sql_run(store, GNS_SQL_THIN_GRAD, "iii", run->run_id, done, horizon);
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_THIN_KERNEL, "iii", run->run_id, done, horizon);
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_THIN_DEVICE_KERNEL, "iii", run->run_id, done, horizon);
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_THIN_ESTIMATE, "iii", run->run_id, done, horizon);
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_RUN_SET_THINNED, "ii", horizon, run->run_id);
	return rc;
}

/* Rows of steps older than the newest `keep` steps that no rank measured: their times are in the sums of 32 steps. */
static int thin_steps(struct gns_store *store, struct gns_run *run)
{
	int64_t horizon = (gns_block_of(run->rolled, GNS_SIZE_MIDDLE) + 1) * GNS_SIZE_MIDDLE - store->writer->keep;
	horizon -= horizon % GNS_SIZE_MIDDLE;
	if (horizon <= run->steps_thinned)
		return SQLITE_OK;
	int rc = gns_sql_run(store, GNS_SQL_THIN_STEP_TO_LOSS, "iii", run->run_id, run->steps_thinned, horizon);
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_THIN_STEP, "iii", run->run_id, run->steps_thinned, horizon);
	run->steps_thinned = horizon;
	return rc;
}

/* Before a step of a later block: every block that ends before it is stored. Blocks of no steps are never stored. */
static int close_before(struct gns_store *store, struct gns_run *run, int64_t step)
{
	int64_t old = run->rolled;
	int rc = SQLITE_OK;
	if (old == 0)
		return rc;
#define PASSED(size) (gns_block_of(old, size) != gns_block_of(step, size))
	if (PASSED(GNS_SIZE_FINE))
		rc = close_total(store, run, gns_block_of(old, GNS_SIZE_FINE));
	if (rc == SQLITE_OK && PASSED(GNS_SIZE_LAYER))
		rc = close_layers(store, run, gns_block_of(old, GNS_SIZE_LAYER));
	if (rc == SQLITE_OK && PASSED(GNS_SIZE_MIDDLE))
		rc = merge(store, run, GNS_SQL_ROLLUP_MERGE, GNS_SIZE_MIDDLE, gns_block_of(old, GNS_SIZE_MIDDLE), GNS_SIZE_FINE);
	if (rc == SQLITE_OK && PASSED(GNS_SIZE_MIDDLE))
		rc = thin(store, run);
	if (rc == SQLITE_OK && PASSED(GNS_SIZE_MIDDLE))
		rc = thin_steps(store, run);
	if (!PASSED(GNS_SIZE_COARSE))
		return rc;
#undef PASSED
	int64_t block = gns_block_of(old, GNS_SIZE_COARSE);
	if (rc == SQLITE_OK)
		rc = merge(store, run, GNS_SQL_ROLLUP_MERGE, GNS_SIZE_COARSE, block, GNS_SIZE_MIDDLE);
	if (rc == SQLITE_OK)
		rc = merge(store, run, GNS_SQL_ROLLUP_PARAM_MERGE, GNS_SIZE_COARSE, block, GNS_SIZE_LAYER);
	if (rc == SQLITE_OK)
		rc = merge(store, run, GNS_SQL_ROLLUP_KERNEL_MERGE, GNS_SIZE_COARSE, block, GNS_SIZE_LAYER);
	return rc;
}

/* ---- adding a step ---- */

static int write_estimates(struct gns_store *store, struct gns_run *run, int64_t step)
{
	struct gns_ratio crit;
	if (gns_bcrit_from_blocks(run->crit.blocks, run->crit.n, GNS_Z95, &crit) < 0)
		crit = (struct gns_ratio){ NAN, NAN, NAN, false, 0 };
	for (int i = 0; i < 2; i++) {
		struct gns_meanvar mv;
		struct gns_ratio ratio;
		const struct gns_ema *ema = &run->ema[i];
		if (gns_ema_meanvar(ema, &mv) < 0)
			mv = (struct gns_meanvar){ .s = ema->s / ema->weight, .g2 = ema->g2 / ema->weight };
		if (gns_ema_noise(ema, GNS_Z95, &ratio) < 0)
			ratio = (struct gns_ratio){ NAN, NAN, NAN, false, 0 };
		int rc = gns_sql_run(store, GNS_SQL_ESTIMATE_INSERT, "iiddddddiddd", run->run_id, step, ema->half_life, mv.s, mv.g2,
				     ratio.value, ratio.lo, ratio.hi, (int64_t)ratio.resolved, crit.value, crit.lo, crit.hi);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

int gns_run_add_rows(struct gns_run *run, int64_t step, double weight, struct gns_grad_row *grads, size_t n_grads,
		     const struct gns_kernel_use *uses, size_t n_uses)
{
	n_grads = gns_grads_pool(grads, n_grads);
	for (size_t i = 0; i < n_grads; i++) {
		const struct gns_grad_row *g = &grads[i];
		if (gns_layers_room(run, g->param) < 0)
			return SQLITE_NOMEM;
		if (!isfinite(g->s) || !isfinite(g->g2) || !(weight > 0))
			continue;
		struct gns_layer_sum *sum = &run->layers[g->param].source[g->source];
		gns_block_add(&sum->block, &(struct gns_measured){ step, g->s, g->g2, g->q_big, (double)g->n_big }, weight);
		sum->q_small += weight * g->q_small;
	}
	for (size_t i = 0; i < n_uses; i++) {
		const struct gns_kernel_use *u = &uses[i];
		if (gns_kernels_room(run, u->kernel) < 0)
			return SQLITE_NOMEM;
		struct gns_kernel_open *k = &run->kernels[u->kernel];
		k->count++;
		k->calls += weight * (double)u->calls;
		k->total_ns += weight * (double)u->total_ns;
		k->max_ns = u->max_ns > k->max_ns ? u->max_ns : k->max_ns;
		k->flops += isfinite(u->flops) ? weight * u->flops : 0;
	}
	return SQLITE_OK;
}

/* The step's weight as the newest measured one; that of the one before it is put right. 0: it does not count. */
static int weigh(struct gns_store *store, struct gns_run *run, struct gns_one_step *one, double stored, double *weight)
{
	int64_t step = one->values.step;
	*weight = 0;
	if (!one->measured)
		return isfinite(stored) ? gns_sql_run(store, GNS_SQL_STEP_SET_WEIGHT, "iid", run->run_id, one->values.step, (double)NAN) : SQLITE_OK;
	int rc = gns_run_weigh_newest(store, run, step);
	run->newest_before = run->newest_weight > 0 ? (double)run->newest.values.step : 1 - (double)step;
	*weight = ((double)step + 1 - run->newest_before) / 2;
	gns_one_step_weigh(one, *weight);
	run->newest = *one;
	run->newest_weight = *weight;
	if (rc == SQLITE_OK && stored != *weight)
		rc = gns_sql_run(store, GNS_SQL_STEP_SET_WEIGHT, "iid", run->run_id, step, *weight);
	return rc;
}

int gns_run_finish_step(struct gns_store *store, struct gns_run *run, const struct gns_rank_step *rows, size_t n,
			struct gns_grad_row *grads, size_t n_grads, const struct gns_kernel_use *uses, size_t n_uses)
{
	int64_t step = rows[0].step;
	struct gns_one_step one;
	double weight;
	if (step <= run->rolled)
		return SQLITE_OK;
	if (!gns_one_step(rows, n, &one))
		run->disagreements++;
	one.values.step = step;
	int rc = weigh(store, run, &one, gns_step_weight(rows, n), &weight);
	if (rc == SQLITE_OK)
		rc = close_before(store, run, step);
	if (rc != SQLITE_OK)
		return rc;
	gns_total_merge(&run->open, &one.total);
	run->rolled = step;
	rc = gns_run_add_rows(run, step, weight, grads, n_grads, uses, n_uses);
	if (rc != SQLITE_OK || !one.measured)
		return rc;
	for (int i = 0; i < 2; i++)
		gns_ema_add(&run->ema[i], &one.values, weight);
	gns_pile_add(&run->crit, &one.total.block);
	return write_estimates(store, run, step);
}

/* ---- several ranks: from the rows that all have written ---- */

struct rows { /* growing arrays, reused from step to step */
	struct gns_rank_step *steps;
	struct gns_grad_row *grads;
	struct gns_kernel_use *uses;
	size_t n_steps, n_grads, n_uses, max_steps, max_grads, max_uses;
};

static void *more(void *array, size_t *max, size_t used, size_t size)
{
	if (used < *max)
		return array;
	*max = *max ? *max * 2 : 64;
	return realloc(array, *max * size);
}

static int read_grads(struct gns_store *store, struct gns_run *run, int64_t lo, int64_t hi, struct rows *rows)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STEP_GRADS, "iii", run->run_id, lo, hi);
	int rc = SQLITE_ERROR;
	rows->n_grads = 0;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rows->grads = more(rows->grads, &rows->max_grads, rows->n_grads, sizeof *rows->grads);
		if (!rows->grads)
			break;
		gns_grad_read(stmt, &rows->grads[rows->n_grads]);
		if (rows->grads[rows->n_grads++].source == 0)
			break;
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc == SQLITE_ROW ? SQLITE_NOMEM : rc;
}

static int read_uses(struct gns_store *store, struct gns_run *run, int64_t lo, int64_t hi, struct rows *rows)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STEP_KERNELS, "iii", run->run_id, lo, hi);
	int rc = SQLITE_ERROR;
	rows->n_uses = 0;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rows->uses = more(rows->uses, &rows->max_uses, rows->n_uses, sizeof *rows->uses);
		if (!rows->uses)
			break;
		gns_kernel_read(stmt, &rows->uses[rows->n_uses++]);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc == SQLITE_ROW ? SQLITE_NOMEM : rc;
}

static int read_steps(struct gns_store *store, struct gns_run *run, int64_t lo, int64_t hi, struct rows *rows)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STEPS, "iii", run->run_id, lo, hi);
	int rc = SQLITE_ERROR;
	rows->n_steps = 0;
	while (stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rows->steps = more(rows->steps, &rows->max_steps, rows->n_steps, sizeof *rows->steps);
		if (!rows->steps)
			break;
		gns_step_read(stmt, &rows->steps[rows->n_steps++]);
	}
	sqlite3_reset(stmt);
	return rc == SQLITE_DONE ? SQLITE_OK : rc == SQLITE_ROW ? SQLITE_NOMEM : rc;
}

static size_t same_step(const struct rows *rows, size_t from)
{
	size_t n = from;
	while (n < rows->n_steps && rows->steps[n].step == rows->steps[from].step)
		n++;
	return n - from;
}

static void rows_free(struct rows *rows)
{
	free(rows->steps);
	free(rows->grads);
	free(rows->uses);
}

void gns_run_note_world(struct gns_run *run, int64_t world)
{
	if (world <= run->world)
		return;
	if (world > 1 && run->rolled == 0 && run->wait_ns == 0)
		run->wait_ns = gns_store_now() + RANKS_COME_NS;
	run->world = world;
}

int gns_run_finish_pending(struct gns_store *store, struct gns_run *run, bool all)
{
	if (!all && run->pooled < run->world && gns_store_now() < run->wait_ns)
		return SQLITE_OK;
	int64_t last = gns_sql_int(store, GNS_SQL_RANKS_LAST, 0, "i", run->run_id);
	int64_t reached = gns_sql_int(store, GNS_SQL_RANKS_REACHED, last, "ii", run->run_id, (int64_t)RANK_LAG);
	if (reached <= run->rolled)
		return SQLITE_OK;
	struct rows rows = { 0 };
	int rc = read_steps(store, run, run->rolled + 1, reached, &rows);
	for (size_t i = 0, n; rc == SQLITE_OK && i < rows.n_steps; i += n) {
		int64_t step = rows.steps[i].step;
		n = same_step(&rows, i);
		rc = read_grads(store, run, step, step, &rows);
		if (rc == SQLITE_OK)
			rc = read_uses(store, run, step, step, &rows);
		if (rc == SQLITE_OK)
			rc = gns_run_finish_step(store, run, &rows.steps[i], n, rows.grads, rows.n_grads, rows.uses, rows.n_uses);
	}
	if (rc == SQLITE_OK && run->disagreements > 0)
		rc = gns_sql_run(store, GNS_SQL_COLLECTOR_SET, "iittin", run->run_id, (int64_t)0, "store", "ranks_disagree",
				 run->disagreements);
	rows_free(&rows);
	return rc;
}

/* ---- memory from the database ---- */

static int pile_total(void *arg, int64_t lo, int64_t hi, const struct gns_total *total)
{
	gns_pile_add(arg, &total->block);
	return 0;
}

static int replay(struct gns_store *store, struct gns_run *run, struct rows *rows)
{
	int64_t from = gns_sql_int(store, GNS_SQL_MEASURED_BACK, run->rolled, "iii", run->run_id, run->rolled, (int64_t)EMA_REPLAY);
	int64_t fine = gns_block_of(run->rolled, GNS_SIZE_FINE) * GNS_SIZE_FINE + 1;
	int64_t layer = gns_block_of(run->rolled, GNS_SIZE_LAYER) * GNS_SIZE_LAYER + 1;
	from = from < fine ? from : fine;
	int rc = read_steps(store, run, from < layer ? from : layer, run->rolled, rows);
	for (size_t i = 0, n; rc == SQLITE_OK && i < rows->n_steps; i += n) {
		struct gns_one_step one;
		int64_t step = rows->steps[i].step;
		n = same_step(rows, i);
		double weight = gns_step_weight(&rows->steps[i], n);
		gns_one_step(&rows->steps[i], n, &one);
		gns_one_step_weigh(&one, weight);
		if (step >= fine)
			gns_total_merge(&run->open, &one.total);
		if (one.measured && weight > 0)
			for (int k = 0; k < 2; k++)
				gns_ema_add(&run->ema[k], &one.values, weight);
		if (one.measured && weight > 0) {
			run->newest = one;
			run->newest_weight = weight;
		}
		if (step < layer)
			continue;
		/* The blocks of weights and kernels want each row's own step. */
		rc = read_uses(store, run, step, step, rows);
		if (rc == SQLITE_OK)
			rc = read_grads(store, run, step, step, rows);
		if (rc == SQLITE_OK)
			rc = gns_run_add_rows(run, step, weight > 0 ? weight : 0, rows->grads, rows->n_grads, rows->uses, rows->n_uses);
	}
	if (run->newest_weight > 0)
		run->newest_before = (double)gns_sql_int(store, GNS_SQL_WEIGHED_BEFORE, 1 - run->newest.values.step, "ii", run->run_id,
							 run->newest.values.step);
	return rc;
}

int gns_run_load(struct gns_store *store, struct gns_run *run)
{
	run->loaded = true;
	run->rolled = run->rolled_stored = gns_sql_int(store, GNS_SQL_RUN_ROLLED, 0, "i", run->run_id);
	run->disagreements = gns_sql_int(store, GNS_SQL_COLLECTOR_VALUE, 0, "iitt", run->run_id, (int64_t)0, "store", "ranks_disagree");
	run->settings = gns_sql_int(store, GNS_SQL_SETTING_COUNT, 0, "i", run->run_id);
	run->lr = run->lr_stored = NAN;
	gns_rank_count(store, run);
	gns_ema_init(&run->ema[0], GNS_HALF_LIFE_SHORT);
	gns_ema_init(&run->ema[1], GNS_HALF_LIFE_LONG);
	gns_total_clear(&run->open);
	if (gns_pile_init(&run->crit, CRIT_BLOCKS) < 0)
		return SQLITE_NOMEM;
	if (run->rolled == 0)
		return SQLITE_OK;
	struct rows rows = { 0 };
	int rc = replay(store, run, &rows);
	if (rc == SQLITE_OK && gns_cover(store, run->run_id, 1, run->rolled, gns_cover_size(run->rolled), pile_total, &run->crit) < 0)
		rc = SQLITE_ERROR;
	rows_free(&rows);
	return rc;
}

/* ---- losses: from the trainer's marks and from its output, maybe by two programs at once, so sums are added to ---- */

static int flush_loss(struct gns_store *store, struct gns_run *run, int i)
{
	struct gns_loss_sum *sum = &run->loss[i];
	int rc = SQLITE_OK;
	if (sum->block >= 0 && (sum->count != 0 || sum->sum != 0))
		rc = gns_sql_run(store, GNS_SQL_ROLLUP_ADD_LOSS, "iiidd", run->run_id, sizes[i], sum->block, sum->count, sum->sum);
	*sum = (struct gns_loss_sum){ .block = -1 };
	return rc;
}

int gns_loss_store(struct gns_store *store, struct gns_run *run, int64_t rank, int64_t step, double loss)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_STEP_LOSS, "iii", run->run_id, step, rank);
	if (!stmt)
		return sqlite3_errcode(store->db);
	double old = sqlite3_step(stmt) == SQLITE_ROW ? gns_column_double(stmt, 0) : (double)NAN;
	sqlite3_reset(stmt);
	int rc = gns_sql_run(store, GNS_SQL_STEP_SET_LOSS, "iiid", run->run_id, step, rank, loss);
	double count = (double)isfinite(loss) - (double)isfinite(old);
	double sum = (isfinite(loss) ? loss : 0) - (isfinite(old) ? old : 0);
	for (int i = 0; rc == SQLITE_OK && i < GNS_LOSS_BLOCKS; i++) {
		int64_t block = gns_block_of(step, sizes[i]);
		if (run->loss[i].block != block)
			rc = flush_loss(store, run, i);
		run->loss[i].block = block;
		run->loss[i].count += count;
		run->loss[i].sum += sum;
	}
	return rc;
}

int gns_run_flush(struct gns_store *store, struct gns_run *run)
{
	int rc = SQLITE_OK;
	for (int i = 0; rc == SQLITE_OK && i < GNS_LOSS_BLOCKS; i++)
		rc = flush_loss(store, run, i);
	if (rc == SQLITE_OK && run->loaded && run->rolled != run->rolled_stored) {
		rc = gns_sql_run(store, GNS_SQL_RUN_SET_ROLLED, "ii", run->rolled, run->run_id);
		run->rolled_stored = run->rolled;
	}
	if (rc == SQLITE_OK && run->loaded)
		rc = gns_run_save_noise(store, run);
	if (rc == SQLITE_OK && run->loaded && isfinite(run->lr) && run->lr != run->lr_stored) {
		rc = gns_sql_run(store, GNS_SQL_RUN_SET_LR, "di", run->lr, run->run_id);
		run->lr_stored = run->lr;
	}
	return rc;
}
