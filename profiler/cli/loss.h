/* Losses read from the trainer's output: `run --loss-regex`.
 *
 * The expression is a POSIX extended one; its first group is the number. A loss belongs to the step that is in progress when
 * its line arrives: one more than the newest step that the shim has closed, read from the trainer's ring without touching
 * it. A trainer that keeps its output in a buffer tells its losses late; two losses for one step are a sign of that.
 *
 * The losses travel as records in a ring of our own, so the recorder stays the only writer of the database. */
#ifndef GNS_LOSS_H
#define GNS_LOSS_H

#include <regex.h>
#include <stdbool.h>

#include "gnscope/error.h"
#include "profiler/shim/ring.h"

struct gns_loss {
	regex_t regex;
	const char *session_name;
	struct gns_session *session;
	struct gns_ring own;          /* ours, claimed at the first loss */
	struct gns_ring seen[GNS_SLOTS]; /* the trainers' */
	uint64_t looked[GNS_SLOTS];   /* each looked at up to this index */
	uint64_t newest;              /* highest closed step of any process */
	uint64_t last_step;           /* of the last loss */
	uint64_t found, crowded;      /* losses; of which for a step that had one already */
};

int gns_loss_init(struct gns_loss *loss, const char *expression, struct gns_error *err);
/* Once the session exists; neither is owned. */
void gns_loss_attach(struct gns_loss *loss, const char *session_name, struct gns_session *session);
/* For struct gns_channel; `loss` is the struct. */
void gns_loss_line(void *loss, const char *line);
/* Closes our ring, so that the recorder can drain it, and frees the rest. */
void gns_loss_free(struct gns_loss *loss);

#endif
