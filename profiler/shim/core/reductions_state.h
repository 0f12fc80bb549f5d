/* What reductions.c, reductions_steps.c and reductions_records.c share; nothing here is for others. Under the core's lock, but for lane. */
#ifndef GNS_PROFILER_SHIM_CORE_REDUCTIONS_STATE_H
#define GNS_PROFILER_SHIM_CORE_REDUCTIONS_STATE_H

#include "profiler/shim/process/lock.h"

#include "profiler/shim/steps/step_clock.h"
#include "reductions.h"

#define GNS_MAKINGS 4u      /* steps that ranks of one process may be apart */
#define GNS_ENTRIES 1024u
#define GNS_BUCKET_ID 49152u /* PARAM ids of buckets begin here: above those of weights */

struct gns_set;
struct gns_step_report;

enum gns_reductions_clock { GNS_CLOCK_WAIT = 0, GNS_CLOCK_FEED, GNS_CLOCK_PRODUCTS, GNS_CLOCK_MARKS, GNS_CLOCK_SEQUENCE };

struct gns_reductions_entry {
	uint16_t bucket, track;
	uint32_t slot; /* and the next: small, big */
	bool done;
};

struct gns_reductions_step { /* in the making */
	uint64_t serial; /* 0: free */
	uint64_t step;
	bool measured;
	bool over;      /* given up while somebody was measuring: the last of them frees it */
	enum gns_reduction_why refused;
	uint32_t users; /* between before and after */
	uint32_t tracks_done;
	struct gns_set *set[GNS_REDUCE_TRACKS];
	uint32_t n;
	struct gns_reductions_entry entry[GNS_ENTRIES];
};

struct gns_reductions {
	struct gns_reduction_sequence reduce;
	enum gns_reductions_clock clock;
	struct gns_lock lane[GNS_REDUCE_TRACKS]; /* who enqueues in a track's set */
	uint32_t users[GNS_REDUCE_TRACKS];
	struct gns_reductions_step making[GNS_MAKINGS];
	bool backward; /* a backward pass has begun in the step in progress */
	uint64_t serials, current; /* current: serial of the step in progress, where others tell steps; 0 none */
	/* Where the sequence or marks make the steps. */
	struct gns_step_clock steps;
	bool running;
	uint64_t first, told; /* running: measured from this step on; told: handed over */
	bool unit_told, rank_batches;
	bool ranks_ours;  /* rank and world are as the communicators have them: no launcher told */
	uint32_t devices; /* of this process, as known then */
};

/* reductions_steps.c */
void gns_reductions_look_at_clock(struct gns_reductions *r);
struct gns_reductions_step *gns_reductions_step_at(struct gns_reductions *r, uint64_t serial); /* NULL: over */
/* The step that a track's next reduction belongs to; NULL: none that is measured. */
struct gns_reductions_step *gns_reductions_step_for(struct gns_reductions *r, const struct gns_reduction_track *track);
void gns_reductions_drop(struct gns_reductions_step *making); /* or later, when nobody measures in it */
void gns_reductions_learned(struct gns_reductions *r);        /* a track has just learned its sequence */
void gns_reductions_progress(struct gns_reductions *r, struct gns_reduction_track *track); /* one of its reductions has been launched */
/* Tracks whose reductions are gradients. */
uint32_t gns_reductions_gradient_tracks(const struct gns_reductions *r);

/* Who this process is among the ranks, where no launcher has told. */
void gns_reductions_know_ranks(struct gns_reductions *r);

/* Reductions of the step in progress are still to come: it is not over with its last product. */
bool gns_reductions_expects(void);

/* reductions_records.c */
void gns_reductions_sent(bool sent);
uint32_t gns_publish_rank_stage(struct gns_publish *publish, struct gns_reductions *r, struct gns_reductions_step *making,
				const struct gns_step_facts *of);
/* A step of which only reductions are known. making NULL: not measured. */
void gns_publish_rank_step(struct gns_publish *publish, struct gns_reductions *r, const struct gns_step_report *report,
			   struct gns_reductions_step *making);

#endif
