/* The weight of the newest measured step: how many steps it represents is known when the next one comes, or the run ends. Until then it
 * reaches to its own end only. Its sums may be in blocks that are stored already. */
#include "store/internal.h"

#include <stdlib.h>
#include <time.h>

static const int64_t total_sizes[] = { GNS_SIZE_FINE, GNS_SIZE_MIDDLE, GNS_SIZE_COARSE };
static const int64_t row_sizes[] = { GNS_SIZE_LAYER, GNS_SIZE_COARSE };

/* Whether the block of this size that holds the step is stored, and no longer in memory. */
static bool is_stored(const struct gns_run *run, int64_t step, int64_t size)
{
	return gns_block_of(step, size) < gns_block_of(run->rolled, size);
}

static int reweigh_totals(struct gns_store *store, struct gns_run *run, double more)
{
	const struct gns_one_step *one = &run->newest;
	int64_t step = one->values.step;
	int rc = SQLITE_OK;
	struct gns_block block = { 0 };
	gns_block_reweigh(&block, &one->values, run->newest_weight, more);
	if (!is_stored(run, step, GNS_SIZE_FINE)) {
		gns_block_reweigh(&run->open.block, &one->values, run->newest_weight, more);
		run->open.timed += more * one->timed;
		run->open.timed_ns += more * one->timed_ns;
	}
	for (size_t i = 0; rc == SQLITE_OK && i < sizeof total_sizes / sizeof *total_sizes; i++)
		if (is_stored(run, step, total_sizes[i]))
			rc = gns_sql_run(store, GNS_SQL_ROLLUP_REWEIGH, "iii" "ddddddddddd", run->run_id, total_sizes[i],
				gns_block_of(step, total_sizes[i]), block.weight, block.weight2, block.s, block.g2, block.ss, block.sg,
				block.gg, block.q_big, block.n_big, more * one->timed, more * one->timed_ns);
	for (int i = 0; i < 2; i++)
		gns_ema_reweigh(&run->ema[i], more);
	if (run->crit.n > 0)
		gns_block_reweigh(&run->crit.blocks[run->crit.n - 1], &one->values, run->newest_weight, more);
	return rc;
}

/* ---- weights of a model, kernels ---- */

struct reweigh { struct gns_store *store; struct gns_run *run; double more; int rc; };

static int reweigh_grads(void *arg, int64_t step, double weight, const struct gns_grad_row *rows, size_t n)
{
	struct reweigh *r = arg;
	for (size_t i = 0; r->rc == SQLITE_OK && i < n; i++) {
		const struct gns_grad_row *g = &rows[i];
		struct gns_block b = { 0 };
		if (!isfinite(g->s) || !isfinite(g->g2))
			continue;
		struct gns_measured values = { step, g->s, g->g2, g->q_big, (double)g->n_big };
		gns_block_reweigh(&b, &values, r->run->newest_weight, r->more);
		if (!is_stored(r->run, step, GNS_SIZE_LAYER) && g->param < r->run->n_layers) {
			struct gns_layer_sum *sum = &r->run->layers[g->param].source[g->source];
			gns_block_reweigh(&sum->block, &values, r->run->newest_weight, r->more);
			sum->q_small += r->more * g->q_small;
		}
		for (size_t k = 0; r->rc == SQLITE_OK && k < sizeof row_sizes / sizeof *row_sizes; k++)
			if (is_stored(r->run, step, row_sizes[k]))
				r->rc = gns_sql_run(r->store, GNS_SQL_ROLLUP_PARAM_REWEIGH, "iiiit" "dddddddddd", r->run->run_id, row_sizes[k],
					gns_block_of(step, row_sizes[k]), (int64_t)g->param, gns_source_names[g->source], b.weight, b.weight2,
					r->more * g->q_small, b.q_big, b.n_big, b.s, b.g2, b.ss, b.sg, b.gg);
	}
	return r->rc == SQLITE_OK ? 0 : -EIO;
}

static void reweigh_kernel(struct reweigh *r, int64_t step, const struct gns_kernel_use *u)
{
	double calls = r->more * (double)u->calls, ns = r->more * (double)u->total_ns, flops = isfinite(u->flops) ? r->more * u->flops : 0;
	if (!is_stored(r->run, step, GNS_SIZE_LAYER) && u->kernel < r->run->n_kernels) {
		struct gns_kernel_open *k = &r->run->kernels[u->kernel];
		k->calls += calls;
		k->total_ns += ns;
		k->flops += flops;
	}
	for (size_t k = 0; r->rc == SQLITE_OK && k < sizeof row_sizes / sizeof *row_sizes; k++)
		if (is_stored(r->run, step, row_sizes[k]))
			r->rc = gns_sql_run(r->store, GNS_SQL_ROLLUP_KERNEL_REWEIGH, "iiii" "ddd", r->run->run_id, row_sizes[k],
				gns_block_of(step, row_sizes[k]), (int64_t)u->kernel, calls, ns, flops);
}

static int reweigh_rows(struct reweigh *r)
{
	int64_t step = r->run->newest.values.step;
	if (gns_step_grads(r->store, r->run->run_id, step, step, reweigh_grads, r) < 0)
		return r->rc != SQLITE_OK ? r->rc : SQLITE_ERROR;
	sqlite3_stmt *stmt = gns_sql_bind(r->store, GNS_SQL_STEP_KERNELS, "iii", r->run->run_id, step, step);
	int rc = SQLITE_ERROR;
	while (r->rc == SQLITE_OK && stmt && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct gns_kernel_use use;
		gns_kernel_read(stmt, &use);
		reweigh_kernel(r, step, &use);
	}
	sqlite3_reset(stmt);
	return r->rc != SQLITE_OK ? r->rc : rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int gns_run_weigh_newest(struct gns_store *store, struct gns_run *run, int64_t next)
{
	if (!(run->newest_weight > 0))
		return SQLITE_OK;
	double step = (double)run->newest.values.step, after = next > 0 ? (double)next : 2 * (double)run->rolled + 1 - step;
	double weight = (after - run->newest_before) / 2;
	struct reweigh r = { store, run, weight - run->newest_weight, SQLITE_OK };
	if (r.more == 0)
		return SQLITE_OK;
	int rc = reweigh_totals(store, run, r.more);
	if (rc == SQLITE_OK)
		rc = reweigh_rows(&r);
	run->newest_weight = weight;
	return rc == SQLITE_OK ? gns_sql_run(store, GNS_SQL_STEP_SET_WEIGHT, "iid", run->run_id, run->newest.values.step, weight) : rc;
}

/* ---- the run's numbers, for readers without our program ---- */

#define RENEW_NS 1000000000u

uint64_t gns_store_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

int gns_run_save_noise(struct gns_store *store, struct gns_run *run)
{
	uint64_t ns = gns_store_now();
	if (run->rolled == run->noise_step || (run->noise_ns && ns - run->noise_ns < RENEW_NS))
		return SQLITE_OK;
	struct gns_pooled_window pooled;
	struct gns_ratio noise, crit;
	int rc = gns_pool_window(store, run->run_id, (struct gns_window){ 1, run->rolled }, &pooled);
	if (rc < 0)
		return rc == -ENOMEM ? SQLITE_NOMEM : SQLITE_ERROR;
	gns_pooled_noise(&pooled, &noise, &crit, NULL);
	gns_pooled_free(&pooled);
	run->noise_step = run->rolled;
	run->noise_ns = ns;
	return gns_sql_run(store, GNS_SQL_RUN_SET_NOISE, "idddidddi", run->rolled, noise.value, noise.lo, noise.hi, (int64_t)noise.resolved,
			   crit.resolved ? crit.value : (double)NAN, crit.lo, crit.hi, run->run_id);
}
