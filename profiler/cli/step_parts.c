/* The parts of a run's step, out of the store, for the model of its time. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/cli/advice.h"

#define STEPS 200 /* newest measured ones that are looked at */

/* The last word of a kernel's name as three sizes. */
static bool sizes_of(const char *name, double size[3])
{
	const char *last = strrchr(name, ' ');
	return last && sscanf(last, " %lfx%lfx%lf", &size[0], &size[1], &size[2]) == 3;
}

static bool is_wgrad(const char *family, const char *name)
{
	return strcmp(family, "wgrad") == 0 || (strcmp(family, "backward") == 0 && strstr(name, " NT "));
}

double gns_advice_rows(const char *family, const char *name, double rows)
{
	double size[3];
	if (!sizes_of(name, size) || strcmp(family, "other") == 0)
		return NAN;
	if (is_wgrad(family, name))
		return size[2];
	for (int i = 0; i < 3; i++)
		if (size[i] == rows)
			return rows;
	return NAN;
}

/* A kernel's share of the time of the measured steps, our own time taken off. */
struct part {
	char family[24], name[96];
	double calls, share;
};
struct parts {
	struct part *part;
	size_t n;
};

static int take(void *arg, bool is_header, int n, const char *const *texts, const int *types)
{
	struct parts *parts = arg;
	if (is_header || n != 4 || !texts[0] || !texts[1] || !texts[2] || !texts[3] || parts->n == GNS_ADVICE_PARTS)
		return 0;
	struct part *p = &parts->part[parts->n++];
	snprintf(p->family, sizeof p->family, "%s", texts[0]);
	snprintf(p->name, sizeof p->name, "%s", texts[1]);
	p->calls = strtod(texts[2], NULL);
	p->share = strtod(texts[3], NULL);
	return 0;
}

/* Of the newest measured steps the quickest quarter: what else the machine does hits one part or another of a slow one. The first
 * step, in which memory is got and caches are cold, is left out. */
static int read_parts(struct gns_store *store, int64_t run_id, struct parts *out, struct gns_error *err)
{
	char sql[1200];
	snprintf(sql, sizeof sql,
		 "WITH m AS (SELECT step,rank,dur_ns-overhead_ns AS ns FROM step WHERE run_id=%1$" PRId64 " AND measured AND dur_ns>overhead_ns AND step>1 "
		 "AND rank=(SELECT min(rank) FROM rank WHERE run_id=%1$" PRId64 " AND pooled) ORDER BY step DESC LIMIT %2$d),"
		 "q AS (SELECT step,rank,ns FROM m ORDER BY ns LIMIT (SELECT max(3,count(*)/4) FROM m)) "
		 "SELECT k.family,k.name,avg(s.calls),1.0*sum(s.total_ns)/(SELECT sum(ns) FROM q) FROM q CROSS JOIN kernel_step s "
		 "ON s.run_id=%1$" PRId64 " AND s.step=q.step AND s.rank=q.rank JOIN kernel k ON k.run_id=s.run_id AND k.kernel_id=s.kernel_id "
		 "GROUP BY k.kernel_id ORDER BY 4 DESC", run_id, STEPS);
	return gns_store_sql(store, sql, take, out, err);
}

/* Rows of the weight gradient that takes most time. */
static double rows_of(const struct parts *parts)
{
	double size[3];
	for (size_t i = 0; i < parts->n; i++)
		if (is_wgrad(parts->part[i].family, parts->part[i].name) && sizes_of(parts->part[i].name, size))
			return size[2];
	return NAN;
}

int gns_advice_step(struct gns_store *store, const struct gns_summary *summary, double world, struct gns_step_model *out,
		    struct gns_error *err)
{
	struct gns_step_product product[GNS_ADVICE_PARTS];
	struct gns_step_seen seen = {.batch = summary->samples_per_step / world, .step_ms = summary->step_ms, .optimizer_ms = NAN,
				     .product = product};
	struct parts parts = {calloc(GNS_ADVICE_PARTS, sizeof *parts.part), 0};
	if (!parts.part)
		return gns_fail(err, -ENOMEM, "no memory left for the kernels of run %" PRId64, summary->run.run_id);
	int rc = read_parts(store, summary->run.run_id, &parts, err);
	double rows = rows_of(&parts);
	for (size_t i = 0; rc == 0 && i < parts.n; i++) {
		const struct part *p = &parts.part[i];
		double ms = p->share * seen.step_ms;
		if (strcmp(p->family, "phase") != 0)
			product[seen.n++] = (struct gns_step_product){ms, p->calls, gns_advice_rows(p->family, p->name, rows)};
		else if (strcmp(p->name, "optimizer") == 0)
			seen.optimizer_ms = ms;
	}
	free(parts.part);
	if (rc == 0)
		gns_step_from_parts(&seen, out);
	return rc;
}
