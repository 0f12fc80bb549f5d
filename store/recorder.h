/* The recorder: drains the rings of one session into the store. One per node and run; it runs as the
 * hidden command `gnscope record`, started by `gnscope run` or by the shim itself. */
#ifndef GNS_STORE_RECORDER_H
#define GNS_STORE_RECORDER_H

#include <stdbool.h>
#include "gnscope/error.h"

struct gns_recorder_options {
	const char *session; /* shared memory name, "/gnscope-..." */
	const char *store;   /* NULL: the default path */
	const char *name;    /* of the run, NULL: from the command */
	const char *command, *cwd; /* NULL: taken from /proc/PID of the first trainer */
	bool detached;       /* started by the shim: ends by itself 2 s after the last trainer is gone, and
			      * removes the session; otherwise ends once `closing` is set and all rings are drained */
	bool adopt;          /* nobody is left of the session: stores what is in its rings, ends the run as "lost", and removes the
			      * session if that worked. -EBUSY when somebody is, after all */
	bool echo;           /* print messages to stderr (never in detached mode) */
};

/* Runs until done. At a store that cannot be written it keeps the rings untouched, tells why in the session
 * (recorder_text) and tries again every second (a full disk may be freed) until the trainers are gone; then it gives up, having
 * counted the loss. Returns 0, or a negative errno with a sentence when something was lost or the store was refused. */
int gns_recorder_run(const struct gns_recorder_options *options, struct gns_error *err);

struct gns_session;
/* Why processes could not hand over their measurements, and how many; false: none has said so. */
bool gns_session_join_trouble(const struct gns_session *session, char *text, size_t size);

#endif
