/* Inside the fit: which runs enter, of each batch those of its best learning rate. */
#ifndef GNS_PROFILER_ESTIMATE_CHOOSE_H
#define GNS_PROFILER_ESTIMATE_CHOOSE_H

#include "gnscope/fit.h"

struct gns_choice {
	struct gns_fit_point *point; /* that enter, sorted by batch */
	size_t n;
	struct gns_fit_batch *table; /* a batch a row, sorted */
	size_t n_table, batches_reached;
	/* Private. */
	size_t total;
	bool *taken; /* of the caller's points */
};

/* -EINVAL, -ENODATA (no points), -ENOMEM; nothing to free then. */
int gns_choose(const struct gns_fit_point *points, size_t n, struct gns_choice *out);
void gns_choice_free(struct gns_choice *choice);
/* Counts and what needs no law: b_sfo. */
void gns_choice_describe(const struct gns_choice *choice, struct gns_fit *out);
void gns_choice_copy(const struct gns_choice *choice, struct gns_fit_batch *table_or_null, size_t *n_or_null, bool *taken_or_null);

#endif
