/* The way from the shim to the ring: the session, the recorder, and the records of one step, staged one by one and
 * sent together.
 *
 * The records of a step are made by product_records.c (GEMMs), layer_records.c (layer API) and the sources of
 * step_hooks.h. All calls under the core's lock, at step boundaries only. No function waits for the recorder: records
 * that cannot be delivered are counted in the session as lost. */
#ifndef GNS_PROFILER_SHIM_PUBLISH_PUBLISH_H
#define GNS_PROFILER_SHIM_PUBLISH_PUBLISH_H

#include "profiler/shim/process/config.h"
#include "kernel_table.h"
#include "deferred.h"
#include "profiler/shim/ring/ring.h"
#include "record_text.h"

#define GNS_COUNTERS_MAX 256
#define GNS_EVENTS_MAX 16
#define GNS_LOSSES_MAX 64

enum gns_link { GNS_LINK_NONE = 0, GNS_LINK_OPEN, GNS_LINK_OFF };

struct gns_publish {
	enum gns_link link;
	char session_name[GNS_NAME_MAX];
	struct gns_session *session;
	struct gns_ring ring;
	struct gns_record *stage; /* one step's records */
	uint32_t staged;
	struct gns_deferred *deferred;    /* steps whose values are still on a device; NULL until the first of them */
	bool hello;           /* PROC has to be sent */
	uint64_t counters_ns; /* when counters were last sent */
	uint64_t watched_ns;  /* when the recorder was last checked */
	uint32_t spawns;      /* recorders started after the first */
	uint32_t libraries_told, libraries_staged; /* bit masks over the table of libraries.c: sent; staged */
	struct { uint64_t sent; bool ever; } counter[GNS_COUNTERS_MAX];
	struct { char name[32], text[72]; uint64_t step; uint32_t stream; } event[GNS_EVENTS_MAX];
	uint32_t n_events;
	struct { uint64_t step; double loss; uint32_t stream; } loss[GNS_LOSSES_MAX];
	uint32_t n_losses;
};

struct gns_counter {
	const char *collector, *name;
	uint64_t value;
	char text[48];
};

struct gns_step_report {
	uint64_t step, start_ns, dur_ns, overhead_ns;
	uint32_t flags, every;
};

/* `flags` with another outcome: GNS_STEP_MEASURED, GNS_STEP_REFUSED or 0. */
static inline uint32_t gns_publish_outcome(uint32_t flags, uint32_t outcome)
{
	return (flags & GNS_STEP_STARTUP) | outcome;
}

bool gns_publish_init(struct gns_publish *publish);
void gns_publish_free(struct gns_publish *publish);

/* Finds the session or makes one and starts its recorder, then takes a ring. Returns true once records can be sent;
 * tries again at each call, until an error is permanent. */
bool gns_publish_open(struct gns_publish *publish, const struct gns_config *config);
/* The control word, 0 when there is no session. */
uint32_t gns_publish_control(const struct gns_publish *publish);
/* Starts another recorder if the last one is gone. A silent recorder is checked at most once a second; `last`:
 * checked now. */
void gns_publish_revive(struct gns_publish *publish, const struct gns_config *config, bool last);

/* Kept until records are sent. False when there are too many. */
bool gns_publish_event(struct gns_publish *publish, uint32_t stream, uint64_t step, const char *name, const char *text);
void gns_publish_loss(struct gns_publish *publish, uint32_t stream, uint64_t step, double loss);
/* True about once a second: building the counters is too expensive for every step. */
bool gns_publish_counters_due(const struct gns_publish *publish, uint64_t now);

/* Stages a record of this kind and stream. Returns it, zeroed except its header. */
struct gns_record *gns_publish_stage(struct gns_publish *publish, uint16_t kind, uint32_t stream);
/* Stages PROC if it has not been sent or has changed (publish->hello). Must come before all other records. */
void gns_publish_proc(struct gns_publish *publish, const struct gns_config *config, uint64_t samples,
		      enum gns_unit unit);
/* of stream 0 */
void gns_publish_kernels(struct gns_publish *publish, const struct gns_kernels *kernels, uint64_t step);
void gns_publish_counters(struct gns_publish *publish, const struct gns_counter *counters, size_t n_counters);
void gns_publish_notes(struct gns_publish *publish); /* losses and events */
/* Sends all staged records at once. With items of deferred.h, or behind steps that have items, they are sent when the
 * values have come. `steps`: the number of steps among them, for the count of lost steps. False when they were lost:
 * records that are sent once must then be staged again. */
bool gns_publish_send(struct gns_publish *publish, uint32_t steps);
/* Sends counters and events without a step. */
void gns_publish_rest(struct gns_publish *publish, const struct gns_config *config, uint64_t samples,
		      enum gns_unit unit, const struct gns_counter *counters, size_t n_counters);

#endif
