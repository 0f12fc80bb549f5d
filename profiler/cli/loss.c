/* Finds the number in a line, and the step it belongs to. */
#include "profiler/cli/loss.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/cli/launch.h"

int gns_number_regex(regex_t *regex, const char *option, const char *expression, struct gns_error *err)
{
	char why[200];
	int rc = regcomp(regex, expression, REG_EXTENDED);
	if (rc) {
		regerror(rc, regex, why, sizeof why);
		return gns_fail(err, -EINVAL, "%s '%s' is not a POSIX extended regular expression: %s", option, expression, why);
	}
	if (regex->re_nsub == 0) {
		regfree(regex);
		return gns_fail(err, -EINVAL, "%s '%s' has no group for the number; write for instance '%.4s ([0-9.e+-]+)'", option, expression,
				option + 2);
	}
	return 0;
}

bool gns_number_in(const regex_t *regex, const char *line, double *out)
{
	regmatch_t match[2];
	char text[64], *end;
	if (regexec(regex, line, 2, match, 0) != 0 || match[1].rm_so < 0)
		return false;
	size_t n = (size_t)(match[1].rm_eo - match[1].rm_so);
	if (n == 0 || n >= sizeof text)
		return false;
	memcpy(text, line + match[1].rm_so, n);
	text[n] = '\0';
	*out = strtod(text, &end);
	return end != text;
}

int gns_loss_init(struct gns_loss *l, const char *expression, struct gns_error *err)
{
	memset(l, 0, sizeof *l);
	return gns_number_regex(&l->regex, "--loss-regex", expression, err);
}

void gns_loss_attach(struct gns_loss *l, const char *session_name, struct gns_session *session, int pipe)
{
	l->pipe = pipe;
	l->session_name = session_name;
	l->session = session;
}

/* The newest closed step is near the head; what the recorder has taken already is still there to read. */
static void look_at_ring(struct gns_loss *l, uint32_t slot)
{
	struct gns_ring *ring = &l->seen[slot];
	uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
	uint64_t stop = l->looked[slot];
	if (head < stop || head - stop > ring->capacity / 2)
		stop = head < ring->capacity / 2 ? 0 : head - ring->capacity / 2;
	for (uint64_t i = head; i > stop; i--) {
		const struct gns_record *record = gns_ring_read(ring, i - 1);
		if (record->kind == GNS_REC_STEP) {
			if (record->u.step.step > l->newest)
				l->newest = record->u.step.step;
			break;
		}
	}
	l->looked[slot] = head;
}

static uint64_t newest_step(struct gns_loss *l)
{
	for (uint32_t slot = 0; slot < GNS_SLOTS; slot++) {
		if (!l->seen[slot].shared && atomic_load(&l->session->slot[slot].state) != GNS_SLOT_FREE)
			gns_ring_attach(l->session_name, l->session, slot, &l->seen[slot]);
		if (l->seen[slot].shared)
			look_at_ring(l, slot);
	}
	return l->newest;
}

static void send(struct gns_loss *l, uint64_t step, double value)
{
	struct gns_loss_record record = {.step = step, .time_ns = gns_clock_ns(CLOCK_REALTIME), .loss = value};
	if (write(l->pipe, &record, sizeof record) != (ssize_t)sizeof record)
		l->lost++;
}

void gns_loss_line(void *loss, const char *line)
{
	struct gns_loss *l = loss;
	double value;
	if (!l->session || !gns_number_in(&l->regex, line, &value) || !isfinite(value))
		return;
	uint64_t step = newest_step(l);
	l->found++;
	if (step == 0)
		return;
	l->crowded += step == l->last_step;
	l->last_step = step;
	send(l, step, value);
}

void gns_loss_free(struct gns_loss *l)
{
	for (uint32_t slot = 0; slot < GNS_SLOTS; slot++)
		gns_ring_detach(&l->seen[slot]);
	regfree(&l->regex);
	l->session = NULL;
}
