/* What is kept in memory of one process: the rows of the step in the making, and what is counted of it. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

const char *gns_field_text(char *out, size_t size, const char *field, size_t field_size)
{
	size_t n = strnlen(field, field_size < size ? field_size : size - 1);
	memcpy(out, field, n);
	out[n] = 0;
	return out;
}

static void *room(void *array, uint32_t *max, uint32_t used, size_t size)
{
	if (used < *max)
		return array;
	uint32_t n = *max ? *max * 2 : 64;
	void *grown = realloc(array, n * size);
	if (grown)
		*max = n;
	return grown;
}

int gns_rank_grad(struct gns_rank *rank, uint32_t param, uint32_t source, int64_t n_small, int64_t n_big, int64_t groups,
		  double q_small, double q_big)
{
	if (source == 0 || source >= GNS_SOURCES)
		return 0;
	struct gns_grad_row *grads = room(rank->grads, &rank->max_grads, rank->n_grads, sizeof *grads);
	if (!grads)
		return -ENOMEM;
	rank->grads = grads;
	struct gns_grad_row *row = &grads[rank->n_grads++];
	*row = (struct gns_grad_row){ .param = param, .source = source, .n_small = n_small, .n_big = n_big, .groups = groups,
		.world = rank->world > 1 ? rank->world : 1, .q_small = q_small, .q_big = q_big };
	struct gns_source_sum *tally = &rank->tally[source];
	if (gns_two_batch((double)n_small, (double)n_big, q_small, q_big, &row->s, &row->g2) < 0) {
		row->s = row->g2 = NAN;
		tally->bad = true;
	}
	if (tally->params++ == 0) {
		tally->n_small = n_small;
		tally->n_big = n_big;
	}
	tally->mixed = tally->mixed || tally->n_small != n_small || tally->n_big != n_big;
	tally->q_small += q_small;
	tally->q_big += q_big;
	tally->s += row->s;
	tally->g2 += row->g2;
	return 0;
}

int gns_rank_use(struct gns_rank *rank, const struct gns_kernel_use *use)
{
	struct gns_kernel_use *uses = room(rank->uses, &rank->max_uses, rank->n_uses, sizeof *uses);
	if (!uses)
		return -ENOMEM;
	rank->uses = uses;
	uses[rank->n_uses++] = *use;
	return 0;
}

int gns_rank_save_counts(struct gns_store *store, struct gns_rank *rank)
{
	int64_t run_id = store->writer->runs[rank->run].run_id;
	int rc = SQLITE_OK;
	if (rank->malformed > 0 && rank->malformed_text)
		rc = gns_sql_run(store, GNS_SQL_COLLECTOR_SET, "iittit", run_id, rank->number, "store", "malformed",
				 rank->malformed, rank->malformed_text);
	if (rc == SQLITE_OK && rank->nonfinite > 0)
		rc = gns_sql_run(store, GNS_SQL_COLLECTOR_SET, "iittin", run_id, rank->number, "store", "nonfinite_steps",
				 rank->nonfinite);
	if (rc == SQLITE_OK && rank->events > GNS_EVENTS_STORED)
		rc = gns_sql_run(store, GNS_SQL_COLLECTOR_SET, "iittin", run_id, rank->number, "store", "events_not_stored",
				 rank->events - GNS_EVENTS_STORED);
	return rc;
}

int gns_rank_count(struct gns_store *store, struct gns_run *run)
{
	run->pooled = (uint32_t)gns_sql_int(store, GNS_SQL_RANK_COUNT, 0, "i", run->run_id);
	return SQLITE_OK;
}

/* A record that cannot be true is counted and skipped. */
int gns_malformed(struct gns_rank *rank, const char *why)
{
	rank->malformed++;
	rank->empty = false; /* the count is a row */
	rank->malformed_text = why;
	rank->dirty = true;
	return SQLITE_OK;
}
