/* The one thing that flows back to a trainer: the control word of the session that records a run (profiler/shim/ring/ring.h). */
#ifndef GNS_TUI_CONTROL_H
#define GNS_TUI_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "gnscope/error.h"

struct gns_session;

struct gns_control {
	struct gns_session *session; /* NULL: none found */
	uint64_t key;
	uint64_t asked_ms; /* when a session was last looked for */
};

/* Finds the session with this key among the user's own; looks at most once a second. True while there is a live one. */
bool gns_control_find(struct gns_control *control, uint64_t key, uint64_t now_ms);
/* The word. Only after gns_control_find was true. */
uint32_t gns_control_word(const struct gns_control *control);
/* Pause or go on; or measure every K-th step (0: as configured). -ESRCH without a session, with a sentence. */
int gns_control_pause(struct gns_control *control, bool pause, struct gns_error *err);
int gns_control_every(struct gns_control *control, uint32_t every, struct gns_error *err);
void gns_control_close(struct gns_control *control);

#endif
