/* The parts of `gnscope doctor`. Each prints its findings to stdout and returns the number of faults found. */
#ifndef GNS_PROFILER_CLI_DOCTOR_H
#define GNS_PROFILER_CLI_DOCTOR_H

#include "gnscope/store.h"
#include "profiler/cli/loaded.h"

enum gns_finding { GNS_OK, GNS_NOTE, GNS_FAULT };

/* One finding; text from outside is made harmless. Returns 1 for a fault. */
__attribute__((format(printf, 3, 4))) int gns_finding(enum gns_finding kind, const char *about, const char *fmt, ...);

/* A stored run: what was measured, what was not and why. `processes`: that claimed a place, -1 unknown; `loaded`: by them, NULL unknown. */
int gns_doctor_run(struct gns_store *store, int64_t run_id, int processes, const struct gns_loaded *loaded);

/* Of one run, its other optimizers' included: source, reason, samples, optimizer, each with its share. */
void gns_doctor_explain(struct gns_store *store, const struct gns_summary *summary);

/* The machine's GPUs, and what the shim at this path was built for. */
void gns_doctor_machine(const char *shim);
/* The libraries of GPUs that a process has loaded. */
void gns_doctor_process(pid_t pid);
/* Of a run that met a GPU: libraries, hooks, captures, kernel times, and why a device is not used. `loaded`: of its processes; NULL not known. */
void gns_doctor_gpu(struct gns_store *store, int64_t run_id, const struct gns_loaded *loaded);

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
