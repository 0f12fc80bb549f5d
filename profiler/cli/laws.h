/* Power laws of B_noise and B_crit against loss and against samples, over runs. */
#ifndef GNS_PROFILER_CLI_LAWS_H
#define GNS_PROFILER_CLI_LAWS_H

#include "profiler/cli/points.h"

#define GNS_LAWS 4
struct gns_law {
	const char *of, *against; /* "b_noise" or "b_crit"; "loss" or "samples" */
	struct gns_power_law law;
	int rc;                   /* of gns_fit_power; the law is there when it is 0 */
	bool better;              /* than the other of the same `of`: smaller AICc */
};

void gns_laws_fit(const struct gns_fact *facts, size_t n, struct gns_law laws[GNS_LAWS]);
/* There is a law, and its exponent can be told from zero: without that neither a factor nor an exponent is shown, limits alone. */
bool gns_law_holds(const struct gns_law *law);
json_t *gns_laws_json(const struct gns_law laws[GNS_LAWS]);
void gns_laws_print(const struct gns_law laws[GNS_LAWS], const char *unit);

#endif
