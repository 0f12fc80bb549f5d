/* The feed: keeps a model up to date with the store. Reads through include/gnscope/store.h only, one thread. */
#ifndef GNS_TUI_FEED_H
#define GNS_TUI_FEED_H

#include "tui/model.h"

struct gns_feed {
	const char *path;  /* of the store; borrowed */
	const char *ref;   /* run asked for, NULL the newest; borrowed */
	int64_t (*find_run)(void *arg); /* see top.h */
	void *find_run_arg;
	int64_t run_id;    /* 0: not known yet */
	int64_t window;    /* of the model, last N steps; 0 all */
	int64_t end;       /* the last step to look at; 0: follow the newest */
	size_t max_points; /* of the curve */

	struct gns_store *store; /* the rest is the feed's own */
	uint64_t device, inode;  /* of the open file: another file under the same name is opened anew */
	int64_t version;
	enum gns_view loaded;
	bool dirty;
	int64_t marked[GNS_MARKS_MAX];
	size_t n_marked;
	uint64_t key;    /* of the run's session, and of which run */
	int64_t key_run;
};

/* Options first (path, ref, find_run, window, end, max_points), everything else zero. */
/* Looks whether there is anything new and fills the model for `view`. Returns 1 when the model changed, 0 when not. Trouble is a
 * state of the model with a sentence, not an error: the store may come, or come back. */
int gns_feed_poll(struct gns_feed *feed, struct gns_model *model, enum gns_view view);
void gns_feed_show_run(struct gns_feed *feed, int64_t run_id); /* another run from the next poll on */
void gns_feed_set_window(struct gns_feed *feed, int64_t window);
void gns_feed_set_end(struct gns_feed *feed, int64_t end);
void gns_feed_set_points(struct gns_feed *feed, size_t max_points);
void gns_feed_set_marks(struct gns_feed *feed, const int64_t *run_ids, size_t n);
/* The id of the run that is `by` places older (or newer: negative) than the shown one; 0 none. */
int64_t gns_feed_next_run(struct gns_feed *feed, int by);
/* The key of the shown run's session, 0 unknown. */
uint64_t gns_feed_session_key(struct gns_feed *feed);
void gns_feed_close(struct gns_feed *feed);

#endif
