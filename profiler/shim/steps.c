/* The clock of steps. */
#include "steps.h"

#include <string.h>

#include "ring.h"

#define GIFTS 3
#define UNSURE_STEPS 16
#define SMOOTH 0.2

void gns_steps_init(struct gns_steps *s, uint64_t now)
{
	memset(s, 0, sizeof *s);
	s->first_ns = now;
	s->gifts = GIFTS;
	s->unsure = 1;
}

/* The budget is an account: time brings credit, all that the shim does is paid from it. A step is measured when its
 * expected cost is covered. */
static bool affordable(struct gns_steps *s, const struct gns_config *config)
{
	if (s->gifts) {
		s->gifts--;
		return true;
	}
	double credit = config->budget_pct / 100 * (double)(s->began_ns - s->first_ns);
	return s->spent + s->measured_cost <= credit;
}

void gns_steps_begin(struct gns_steps *s, const struct gns_config *config, uint32_t control, uint64_t step)
{
	uint32_t every = GNS_CONTROL_EVERY(control) ? GNS_CONTROL_EVERY(control) : config->every;
	s->step = step;
	s->published = false;
	s->gradients = 0;
	if (control & GNS_CONTROL_PAUSED)
		s->measured = false;
	else if (every)
		s->measured = !s->last_measured || step - s->last_measured >= every;
	else
		s->measured = affordable(s, config);
	if (s->measured) {
		s->interval = every ? every : s->last_measured ? (uint32_t)(step - s->last_measured) : 1;
		s->last_measured = step;
	}
}

static void smooth(double *mean, double value)
{
	*mean = *mean > 0 ? *mean + SMOOTH * (value - *mean) : value;
}

uint64_t gns_steps_close(struct gns_steps *s, uint64_t now, uint64_t now_real)
{
	uint64_t dur = s->began_ns && now > s->began_ns ? now - s->began_ns : 0;
	s->spent += (double)s->overhead_ns;
	smooth(s->measured ? &s->measured_cost : &s->plain_cost, (double)s->overhead_ns);
	s->overhead_ns = 0;
	s->began_ns = now;
	s->began_real_ns = now_real;
	s->published = true;
	if (s->gradients == s->expected && s->unsure)
		s->unsure--;
	else if (s->gradients != s->expected)
		s->unsure = s->expected ? UNSURE_STEPS : 0;
	s->expected = s->gradients;
	return dur;
}

bool gns_steps_gradient(struct gns_steps *s)
{
	s->gradients++;
	if (s->published) {
		/* More came than the steps before had: do not trust the number for a while. */
		s->late++;
		s->expected = s->gradients;
		s->unsure = UNSURE_STEPS;
		return false;
	}
	return !s->unsure && !s->marked && s->expected && s->gradients == s->expected;
}
