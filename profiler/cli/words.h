/* The sentences that `run`, `show` and `doctor` say of a run; one place, so that they agree. */
#ifndef GNS_PROFILER_CLI_WORDS_H
#define GNS_PROFILER_CLI_WORDS_H

#include <stdio.h>

#include "gnscope/store.h"

/* The first line of a run on every page: the verdict, or why nothing was measured. */
char *gns_words_verdict(char *dst, size_t size, struct gns_store *store, const struct gns_summary *summary, int processes);
/* A counter's reason in plain words with what to do about it; the name itself, spaced, where we know none. */
const char *gns_words_reason(char *dst, size_t size, const char *name);
#define GNS_PROCESSES_REFUSED (-2)

/* Why a run has no estimate: from its steps, its counters and the processes that were seen (-1: not known; GNS_PROCESSES_REFUSED: only such
 * as could not have their place in shared memory). */
char *gns_words_why_nothing(char *dst, size_t size, struct gns_store *store, const struct gns_summary *summary, int processes);
/* What `gnscope run` prints at its end: four lines, one more where the program has several
 * optimizers and one where steps were lost or there are warnings, each beginning with "gnscope: ". `trouble` may be "". */
void gns_words_closing(FILE *out, struct gns_store *store, const struct gns_summary *summary, int processes, const char *trouble);
/* "run 2 (gan.2, SGD): B_noise 1,202 samples [1,186 to 1,218]; run 3 ...": the program's other optimizers; "" when there is none. */
char *gns_words_others(char *dst, size_t size, struct gns_store *store, int64_t run_id);
/* "left out: used more than once in a pass", by gns_layer.left_out. */
char *gns_words_left_out(char *dst, size_t size, const char *left_out);
/* The command to type next: advise once there is a verdict, else show, or doctor where nothing was measured. */
const char *gns_words_next(const struct gns_summary *summary);
/* "128 samples" or "- samples" */
char *gns_words_quantity(char *dst, size_t size, double value, const char *unit);

#endif
