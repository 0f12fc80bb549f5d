/* The clock of steps. */
#include "steps.h"

#include <stdlib.h>
#include <string.h>

#include "ring.h"

#define FIRST_STEPS 3        /* measured at once, so that there is something to see and a cost to go by */
#define UNSURE_STEPS 16
#define SHARE 0.8            /* of the budget is planned with; the rest is for what was not foreseen */
#define DEBT_STEPS 1000.0    /* what learning has cost is paid back over so many steps, */
#define DEBT_NS 300e9        /* or over so long, where steps are short: getting in costs the same for them */
#define INTERVAL_MAX 1000000

void gns_steps_init(struct gns_steps *s, uint64_t now)
{
	memset(s, 0, sizeof *s);
	s->unsure = 1;
}

static void note(struct gns_recent *r, double value)
{
	r->value[r->n++ % GNS_RECENT] = value;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* The mean without the largest tenth: a call that was suspended in the middle costs the trainer nothing more, and must not move
 * the interval. (Not the median: most calls of a plain step are not timed, some stand for sixteen.) */
static double usual(const struct gns_recent *r)
{
	double sorted[GNS_RECENT], sum = 0;
	uint32_t n = r->n < GNS_RECENT ? r->n : GNS_RECENT, kept = n - n / 10;
	memcpy(sorted, r->value, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_value);
	for (uint32_t i = 0; i < kept; i++)
		sum += sorted[i];
	return n ? sum / kept : 0;
}

/* Every K-th step costs (measured - plain) / K more than none: the least K that keeps to the budget. It moves by at most a
 * factor of two at a time: measured steps should stand for equal stretches of the run. */
static uint32_t affordable_interval(const struct gns_steps *s, double budget_pct)
{
	double plain = usual(&s->plain), extra = usual(&s->costly) - plain, wall = usual(&s->wall);
	double debt_steps = wall > 0 && DEBT_NS / wall > DEBT_STEPS ? DEBT_NS / wall : DEBT_STEPS;
	double room = SHARE * budget_pct / 100 * wall - plain - s->learning_cost / debt_steps;
	double k = room > 0 ? extra / room : INTERVAL_MAX;
	if (k < 1)
		k = 1;
	if (s->planned && k > 2.0 * s->planned)
		k = 2.0 * s->planned;
	if (s->planned && k < s->planned / 2.0)
		k = s->planned / 2.0;
	return k < INTERVAL_MAX ? (uint32_t)(k + 0.999) : INTERVAL_MAX;
}

static uint32_t power_of_two(uint32_t least)
{
	uint32_t p = 1;
	while (p < least)
		p *= 2;
	return p;
}

/* Numbers of several ranks are of use together where they measure the same steps, whatever it costs each of them: the multiples of the
 * longest of their intervals. */
static bool due(struct gns_steps *s, uint64_t step, bool together)
{
	if (!s->last_measured)
		return true;
	if (!together)
		return step - s->last_measured >= s->interval;
	s->interval = power_of_two(s->interval);
	return step % s->interval == 0;
}

void gns_steps_begin(struct gns_steps *s, const struct gns_config *config, uint32_t control, uint64_t step)
{
	uint32_t every = GNS_CONTROL_EVERY(control) ? GNS_CONTROL_EVERY(control) : config->every;
	s->step = step;
	s->published = false;
	s->gradients = 0;
	if (!every && s->costly.n < FIRST_STEPS)
		every = 1;
	if (!every && !s->planned)
		s->planned = affordable_interval(s, config->budget_pct);
	s->interval = every ? every : s->planned;
	s->measured = !(control & GNS_CONTROL_PAUSED) && due(s, step, config->world > 1 && !every);
	if (s->measured) {
		s->last_measured = step;
		if (!every)
			s->planned = affordable_interval(s, config->budget_pct);
	}
}

uint64_t gns_steps_close(struct gns_steps *s, uint64_t now, uint64_t now_real, bool learning)
{
	uint64_t dur = s->began_ns && now > s->began_ns ? now - s->began_ns : 0;
	if (learning)
		s->learning_cost += (double)s->overhead_ns;
	else
		note(s->measured ? &s->costly : &s->plain, (double)s->overhead_ns);
	note(&s->wall, (double)dur);
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
