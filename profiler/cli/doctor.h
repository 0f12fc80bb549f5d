/* The parts of `gnscope doctor`. Each prints its findings to stdout and returns the number of faults found. */
#ifndef GNS_DOCTOR_H
#define GNS_DOCTOR_H

#include "gnscope/store.h"

enum gns_finding { GNS_OK, GNS_NOTE, GNS_FAULT };

/* One finding; text from outside is made harmless. Returns 1 for a fault. */
__attribute__((format(printf, 3, 4))) int gns_finding(enum gns_finding kind, const char *about, const char *fmt, ...);

/* A stored run: what was measured, what was not and why. `processes`: that claimed a place, -1 unknown. */
int gns_doctor_run(struct gns_store *store, int64_t run_id, int processes);

/* Of one run, its other optimizers' included: source, reason, samples, optimizer, each with its share. */
void gns_doctor_explain(struct gns_store *store, const struct gns_summary *summary);

/* Whether it tells what this warning tells. */
bool gns_doctor_explains(const char *warning);

struct gns_doctor_command {
	char *const *argv;
	const char *samples, *lib;
	int64_t seconds, steps; /* the command is stopped after so long, or once so many steps are measured */
};
/* A command under the shim with a store of its own, for a moment. A negative value: could not be run, as an exit status. */
int gns_doctor_command(const struct gns_doctor_command *command);

#endif
