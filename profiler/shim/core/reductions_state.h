/* Shared by reductions.c, reductions_steps.c and reductions_records.c only. All of it is guarded by the core's lock,
 * except `lane`. */
#ifndef GNS_PROFILER_SHIM_CORE_REDUCTIONS_STATE_H
#define GNS_PROFILER_SHIM_CORE_REDUCTIONS_STATE_H

#include "profiler/shim/process/lock.h"

#include "profiler/shim/steps/step_clock.h"
#include "reductions.h"

#define GNS_MAKINGS 4u      /* open steps: the ranks of one process may be this many steps apart */
#define GNS_ENTRIES 1024u
#define GNS_BUCKET_ID 49152u /* PARAM ids of buckets begin here: above those of weights */

struct gns_set;
struct gns_step_report;

enum gns_reductions_clock { GNS_CLOCK_WAIT = 0, GNS_CLOCK_FEED, GNS_CLOCK_PRODUCTS, GNS_CLOCK_MARKS,
			    GNS_CLOCK_SEQUENCE };

struct gns_reductions_entry {
	uint16_t bucket, track;
	uint32_t slot; /* and the next: small, big */
	bool done;
};

struct gns_reductions_step { /* a measured step whose reductions are not complete yet */
	uint64_t serial; /* 0: free */
	uint64_t step;
	bool measured;
	bool over;      /* dropped while users != 0: the last user frees it */
	enum gns_reduction_why refused;
	uint32_t users; /* reductions between gns_reductions_before and _after */
	uint32_t tracks_done;
	struct gns_set *set[GNS_REDUCE_TRACKS];
	uint32_t n;
	struct gns_reductions_entry entry[GNS_ENTRIES];
};

struct gns_reductions {
	struct gns_reduction_sequence reduce;
	enum gns_reductions_clock clock;
	struct gns_lock lane[GNS_REDUCE_TRACKS]; /* held while kernels of a track's set are enqueued */
	uint32_t users[GNS_REDUCE_TRACKS];
	struct gns_reductions_step making[GNS_MAKINGS];
	bool backward; /* a backward pass has begun in the step in progress */
	/* current: serial of the step in progress if another source gives the steps; 0 none */
	uint64_t serials, current;
	/* Used where the sequence or marks give the steps: */
	struct gns_step_clock steps;
	bool running;
	uint64_t first, published; /* running: measured from `first` on; the latest step that was published */
	bool unit_known, rank_batches;
	bool ranks_ours;  /* rank and world are taken from the communicators: no launcher has set them */
	uint32_t devices; /* of this process, when rank and world were taken */
};

/* reductions_steps.c */
void gns_reductions_look_at_clock(struct gns_reductions *r);
/* NULL: the step is over */
struct gns_reductions_step *gns_reductions_step_at(struct gns_reductions *r, uint64_t serial);
/* The step that a track's next reduction belongs to; NULL: it is not measured. */
struct gns_reductions_step *gns_reductions_step_for(struct gns_reductions *r, const struct gns_reduction_track *track);
void gns_reductions_drop(struct gns_reductions_step *making); /* frees it, now or when its last user is done */
void gns_reductions_learned(struct gns_reductions *r);        /* a track has just learned its sequence */
/* one of its reductions has been launched */
void gns_reductions_progress(struct gns_reductions *r, struct gns_reduction_track *track);
/* The number of tracks whose reductions are gradients. */
uint32_t gns_reductions_gradient_tracks(const struct gns_reductions *r);

/* Takes rank and world from the communicators if no launcher has set them. */
void gns_reductions_know_ranks(struct gns_reductions *r);

/* True while reductions of the step in progress are still expected: it does not end with its last GEMM. */
bool gns_reductions_expects(void);

/* reductions_records.c */
void gns_reductions_sent(bool sent);
uint32_t gns_publish_rank_stage(struct gns_publish *publish, struct gns_reductions *r,
				struct gns_reductions_step *making,
				const struct gns_step_facts *of);
/* Publishes a step for which reductions are the only source. making NULL: the step is not measured. */
void gns_publish_rank_step(struct gns_publish *publish, struct gns_reductions *r, const struct gns_step_report *report,
			   struct gns_reductions_step *making);

#endif
