/* What the views draw: plain data. A feed (feed.h) fills it from the store, a test by hand. Views never ask anyone else. */
#ifndef GNS_TUI_MODEL_H
#define GNS_TUI_MODEL_H

#include "gnscope/store.h"

enum gns_view { GNS_VIEW_NOW = 0, GNS_VIEW_TRADEOFF, GNS_VIEW_LAYERS, GNS_VIEW_KERNELS, GNS_VIEW_RUNS, GNS_VIEW_HEALTH, GNS_VIEWS };

enum gns_model_state {
	GNS_MODEL_NO_STORE = 0, /* nothing there yet, or refused: `message` says which */
	GNS_MODEL_NO_RUN,       /* a store without the run asked for (or any): `message` */
	GNS_MODEL_RUN
};

#define GNS_LIVE_MAX 4
#define GNS_MARKS_MAX 4

struct gns_overlay { /* a marked run */
	int64_t run_id;
	uint64_t start_ns;
	char name[128];
	double samples_per_step, step_ms; /* its batch in use and its median step time */
	char sample_unit[16];
	int64_t params; /* weights known */
	struct gns_ratio b_noise;
	struct gns_point *points;
	size_t n_points;
};

struct gns_model {
	enum gns_model_state state;
	char message[512]; /* a sentence from outside: not yet safe for a terminal */
	char trouble[512]; /* the last read failed for this reason, what is shown is older; "" none */
	uint64_t now_ns;   /* realtime clock when it was read, for ages; 0 unknown */
	bool watched_gone; /* the trainer this dashboard was started with has ended */
	int64_t window;    /* last N steps, 0 the whole run */
	int64_t end;       /* the last step looked at; 0: the newest, followed */
	int64_t last_step; /* of the run */
	bool control_known; /* the control word of the run's session could be read */
	uint32_t control;

	struct gns_summary summary; /* of the stretch that window and end choose */
	struct gns_live live[GNS_LIVE_MAX];
	size_t n_live;
	/* One malloc each, NULL when empty; filled for the views that show them. */
	struct gns_point *points;
	size_t n_points;
	struct gns_split split; /* steps 0: not known */
	struct gns_layer *layers;
	size_t n_layers;
	struct gns_history history; /* points 0: none */
	struct gns_kernel_row *kernels; /* of devices first */
	size_t n_kernels;
	struct gns_gpu gpu; /* its kernels are in `kernels` */
	struct gns_run_info *runs;
	size_t n_runs;
	struct gns_counter_row *counters;
	size_t n_counters;
	struct gns_event_row *events;
	size_t n_events;
	struct gns_overlay overlay[GNS_MARKS_MAX]; /* the marked runs */
	size_t n_overlay;
	double store_bytes; /* of the database and its log; NaN unknown */
};

void gns_model_free(struct gns_model *model); /* frees what it owns and leaves an empty one */

#endif
