/* One step of a run, all its ranks together, and sums of such steps. */
#include "store/internal.h"

#include <string.h>

const char *const gns_source_names[GNS_SOURCES] = { "", "gemm", "rank", "microstep", "consecutive", "torch", "shard" };
const char *const gns_unit_names[GNS_UNITS] = { "rows", "samples", "rank batches" };

const uint32_t gns_source_order[GNS_SOURCES - 1] = { GNS_SOURCE_TORCH, GNS_SOURCE_GEMM, GNS_SOURCE_RANK, GNS_SOURCE_SHARD,
	GNS_SOURCE_MICROSTEP, GNS_SOURCE_CONSECUTIVE };

uint32_t gns_source_place(uint32_t source)
{
	uint32_t place = 0;
	while (place < GNS_SOURCES - 1 && gns_source_order[place] != source)
		place++;
	return place;
}

uint32_t gns_source_of(const char *name)
{
	for (uint32_t i = 1; i < GNS_SOURCES; i++)
		if (name && strcmp(name, gns_source_names[i]) == 0)
			return i;
	return 0;
}

void gns_step_read(sqlite3_stmt *stmt, struct gns_rank_step *out)
{
	*out = (struct gns_rank_step){
		.step = sqlite3_column_int64(stmt, 0),
		.rank = sqlite3_column_int64(stmt, 1),
		.start_ns = sqlite3_column_int64(stmt, 2),
		.dur_ns = sqlite3_column_int64(stmt, 3),
		.overhead_ns = sqlite3_column_int64(stmt, 4),
		.samples = gns_column_int(stmt, 5, -1),
		.micro_steps = gns_column_int(stmt, 6, 1),
		.n_small = gns_column_int(stmt, 7, -1),
		.n_big = gns_column_int(stmt, 8, -1),
		.measured = sqlite3_column_int(stmt, 9) != 0,
		.refused = sqlite3_column_int(stmt, 10) != 0,
		.q_small = gns_column_double(stmt, 11),
		.q_big = gns_column_double(stmt, 12),
		.s = gns_column_double(stmt, 13),
		.g2 = gns_column_double(stmt, 14),
		.loss = gns_column_double(stmt, 15),
		.rows = gns_column_int(stmt, 16, -1),
		.sharded = gns_source_of((const char *)sqlite3_column_text(stmt, 17)) == GNS_SOURCE_SHARD,
		.world = gns_column_int(stmt, 18, 1),
		.weight = gns_column_double(stmt, 19),
		.startup = sqlite3_column_int(stmt, 20) != 0,
	};
}

/* A damaged store may hold any number: what no sum can hold is 292 years, which nobody takes for a time, and not undefined. */
static void add(int64_t *sum, int64_t value)
{
	if (__builtin_add_overflow(*sum, value, sum))
		*sum = value < 0 ? INT64_MIN : INT64_MAX;
}

void gns_total_clear(struct gns_total *total)
{
	*total = (struct gns_total){ .n_min = NAN, .n_max = NAN };
	gns_block_clear(&total->block);
}

void gns_total_merge(struct gns_total *into, const struct gns_total *from)
{
	if (from->block.count > 0)
		gns_block_merge(&into->block, &from->block);
	into->n_min = fmin(into->n_min, from->n_min);
	into->n_max = fmax(into->n_max, from->n_max);
	add(&into->steps, from->steps);
	add(&into->startup, from->startup);
	add(&into->measured, from->measured);
	add(&into->refused, from->refused);
	add(&into->dur_ns, from->dur_ns);
	into->timed += from->timed;
	into->timed_ns += from->timed_ns;
	add(&into->overhead_ns, from->overhead_ns);
	into->start_ns = from->start_ns > into->start_ns ? from->start_ns : into->start_ns;
	into->loss_sum += from->loss_sum;
	into->loss_count += from->loss_count;
}

/* Samples of the whole optimizer step on one rank: as told, else those behind q_big (where weights differ, the rows of
 * the tallest product) in every micro-step. */
static double step_samples(const struct gns_rank_step *row)
{
	if (row->samples > 0)
		return (double)row->samples;
	double each = row->n_big > 0 ? (double)row->n_big : row->rows > 0 ? (double)row->rows : (double)NAN;
	return each * (double)(row->micro_steps > 1 ? row->micro_steps : 1);
}

static void count_row(struct gns_one_step *out, const struct gns_rank_step *row)
{
	struct gns_total *total = &out->total;
	total->steps++;
	total->startup += row->startup;
	total->measured += row->measured;
	total->refused += row->refused;
	total->start_ns = row->start_ns > total->start_ns ? row->start_ns : total->start_ns;
	if (isfinite(row->loss)) {
		total->loss_sum += row->loss;
		total->loss_count++;
	}
	if (row->startup)
		return;
	add(&total->dur_ns, row->dur_ns);
	add(&total->overhead_ns, row->overhead_ns);
	if (row->measured) {
		out->timed++;
		out->timed_ns += (double)row->dur_ns;
	}
}

bool gns_one_step(const struct gns_rank_step *rows, size_t n, struct gns_one_step *out)
{
	const struct gns_rank_step *first = NULL;
	double s = 0, g2 = 0, q_big = 0, samples = 0, ranks = 0; /* of those that measured and agree */
	bool agree = true;
	*out = (struct gns_one_step){ .measured = false };
	gns_total_clear(&out->total);
	for (size_t i = 0; i < n; i++) {
		const struct gns_rank_step *row = &rows[i];
		count_row(out, row);
		samples += step_samples(row);
		if (!isfinite(row->s) || !isfinite(row->g2))
			continue;
		if (!first)
			first = row;
		if (row->n_small != first->n_small || row->n_big != first->n_big || row->sharded != first->sharded) {
			agree = false;
			continue;
		}
		s += row->s;
		g2 += row->g2;
		q_big += row->q_big;
		ranks++;
	}
	/* A rank that did not measure the step does not know its samples; those behind q_big are the whole job's where it says so. */
	if (first && !isfinite(samples) && first->samples > 0 && first->n_big == first->samples * first->world)
		samples = (double)first->n_big;
	bool missing = first && first->sharded && ranks < (double)first->world;
	if (!first || missing || !isfinite(samples))
		return agree;
	s /= ranks;
	g2 /= ranks;
	/* Ranks of other nodes are stored elsewhere, but their samples are behind q_big. */
	samples = fmax(samples, (double)first->n_big);
	/* The norm at the batch of the whole step: E q = g2 + s / samples, which q_big is when one rank and one micro-step
	 * saw them all. */
	double at_step = samples == (double)first->n_big ? q_big / ranks : g2 + s / samples;
	out->values = (struct gns_measured){ first->step, s, g2, at_step, samples };
	out->measured = isfinite(s) && isfinite(g2);
	out->total.n_min = out->total.n_max = samples;
	return agree;
}

double gns_step_weight(const struct gns_rank_step *rows, size_t n)
{
	double weight = NAN;
	for (size_t i = 0; i < n; i++)
		weight = isfinite(rows[i].weight) ? rows[i].weight : weight;
	return weight;
}

void gns_one_step_weigh(struct gns_one_step *step, double weight)
{
	if (!step->measured)
		return;
	gns_block_clear(&step->total.block);
	gns_block_add(&step->total.block, &step->values, weight);
	step->total.timed = weight * step->timed;
	step->total.timed_ns = weight * step->timed_ns;
}

bool gns_total_of_step(const struct gns_rank_step *rows, size_t n, struct gns_total *out)
{
	struct gns_one_step one;
	bool agree = gns_one_step(rows, n, &one);
	gns_one_step_weigh(&one, gns_step_weight(rows, n));
	*out = one.total;
	return agree;
}

void gns_rollup_read(sqlite3_stmt *stmt, struct gns_total *out)
{
	*out = (struct gns_total){
		.loss_count = sqlite3_column_double(stmt, 1),
		.loss_sum = sqlite3_column_double(stmt, 2),
		.block = {
			.first_step = sqlite3_column_int64(stmt, 3),
			.last_step = sqlite3_column_int64(stmt, 4),
			.count = sqlite3_column_double(stmt, 5),
			.weight = sqlite3_column_double(stmt, 6),
			.weight2 = sqlite3_column_double(stmt, 7),
			.s = sqlite3_column_double(stmt, 8),
			.g2 = sqlite3_column_double(stmt, 9),
			.ss = sqlite3_column_double(stmt, 10),
			.sg = sqlite3_column_double(stmt, 11),
			.gg = sqlite3_column_double(stmt, 12),
			.q_big = sqlite3_column_double(stmt, 13),
			.n_big = sqlite3_column_double(stmt, 14),
		},
		.n_min = gns_column_double(stmt, 15),
		.n_max = gns_column_double(stmt, 16),
		.steps = sqlite3_column_int64(stmt, 17),
		.startup = sqlite3_column_int64(stmt, 18),
		.measured = sqlite3_column_int64(stmt, 19),
		.refused = sqlite3_column_int64(stmt, 20),
		.dur_ns = sqlite3_column_int64(stmt, 21),
		.overhead_ns = sqlite3_column_int64(stmt, 22),
		.timed = sqlite3_column_double(stmt, 23),
		.timed_ns = sqlite3_column_double(stmt, 24),
		.start_ns = sqlite3_column_int64(stmt, 25),
	};
}
