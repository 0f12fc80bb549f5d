/* The step clock. */
#include "step_clock.h"

#include <stdlib.h>
#include <string.h>

#include "profiler/shim/ring/ring.h"
#include "step_plan.h"

#define FIRST_STEPS 3        /* always measured, to have a first estimate of the cost */
#define UNSURE_STEPS 16
#define SHARE 0.85           /* of the budget is planned; the rest is a reserve */
#define EARLY_TIMES 5        /* the budget, or */
#define EARLY_PCT 5          /* percent, whatever is less, may be spent at first: */
#define EARLY_FULL 20        /* until so many steps are measured; */
#define EARLY_ENDS 100       /* from there to here it falls to the budget */
#define SHORT_UNTIL 400      /* measured steps, until which the interval is at most */
#define SHORT_MAX 64.0
#define INTERVAL_MAX 1024.0

void gns_step_clock_init(struct gns_step_clock *s, uint64_t now)
{
	memset(s, 0, sizeof *s);
	s->unsure = 1;
	s->startup = true;
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

/* The mean, with the largest tenth of the values replaced by the largest of the rest (winsorized): a call that was
 * preempted in the middle must not change the interval. The median would be wrong: most calls of an unmeasured step
 * are not timed, and some are weighted by sixteen. */
static double usual(const struct gns_recent *r)
{
	double sorted[GNS_RECENT], sum = 0;
	uint32_t n = r->n < GNS_RECENT ? r->n : GNS_RECENT, cut = n < 3 ? 0 : n < 10 ? 1 : n / 10;
	memcpy(sorted, r->value, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_value);
	for (uint32_t i = 0; i < n; i++)
		sum += sorted[i < n - cut ? i : n - cut - 1];
	return n ? sum / n : 0;
}

/* The share of the step time that may be spent now; falls from the early limit to the budget. */
static double allowed(const struct gns_step_clock *s, double budget_pct)
{
	double early = budget_pct * EARLY_TIMES < EARLY_PCT ? budget_pct * EARLY_TIMES : EARLY_PCT;
	double over = s->costed < EARLY_FULL ? 0 : (double)(s->costed - EARLY_FULL) / (EARLY_ENDS - EARLY_FULL);
	if (early <= budget_pct || over >= 1)
		return SHARE * budget_pct / 100;
	return SHARE / 100 / ((1 - over) / early + over / budget_pct);
}

static double affordable_interval(const struct gns_step_clock *s, double budget_pct)
{
	double plain = usual(&s->plain), extra = usual(&s->costly) - plain;
	double room = allowed(s, budget_pct) * usual(&s->wall) - plain;
	double most = s->costed < SHORT_UNTIL ? SHORT_MAX : INTERVAL_MAX, k = room > 0 ? extra / room : most;
	if (s->planned && k > 2 * s->planned)
		k = 2 * s->planned;
	if (s->planned && k < s->planned / 2)
		k = s->planned / 2;
	return k < 1 ? 1 : k > most ? most : k;
}

/* The first of 1, sqrt(2), 2, ... that is not below k. With hysteresis: the one in force stays until k is well above
 * it, or not above the next lower one. */
static double ladder(double in_force, double k)
{
	static const double up = 1.4142135623730951, slack = 1.06;
	double rung = 1;
	if (k <= slack * in_force && k * slack * up > in_force)
		return in_force;
	while (rung < k)
		rung *= up;
	return rung < INTERVAL_MAX ? rung : INTERVAL_MAX;
}

static void plan(struct gns_step_clock *s, const struct gns_config *config)
{
	if (s->planned && !s->cost_is_new)
		return;
	s->planned = affordable_interval(s, config->budget_pct);
	s->rung = ladder(s->rung, s->planned);
}

void gns_step_clock_begin(struct gns_step_clock *s, const struct gns_config *config, uint32_t control, uint64_t step)
{
	uint32_t every = GNS_CONTROL_EVERY(control) ? GNS_CONTROL_EVERY(control) : config->every;
	double k = every;
	bool due = true;
	s->step = step;
	s->published = false;
	s->gradients = 0;
	if (every) {
		due = !s->last_measured || step - s->last_measured >= every;
	} else if (s->costed < FIRST_STEPS) {
		k = 1;
	} else {
		plan(s, config);
		k = config->world > 1 ? s->rung : s->planned;
		due = gns_step_plan_takes(config->job, step, k);
	}
	s->interval = (uint32_t)(k + 0.5);
	s->measured = due && !(control & GNS_CONTROL_PAUSED);
	if (s->measured)
		s->last_measured = step;
}

/* The first steps ran with cold caches: their cost is dropped once as many others are known. */
static void note_measured(struct gns_step_clock *s, double cost)
{
	note(&s->costly, cost);
	s->cost_is_new = true;
	if (++s->costed != 2 * FIRST_STEPS)
		return;
	memmove(s->costly.value, s->costly.value + FIRST_STEPS, FIRST_STEPS * sizeof *s->costly.value);
	s->costly.n = FIRST_STEPS;
}

uint64_t gns_step_clock_close(struct gns_step_clock *s, uint64_t now, uint64_t now_real)
{
	uint64_t dur = s->began_ns && now > s->began_ns ? now - s->began_ns : 0;
	s->cost_is_new = false;
	if (!s->startup) {
		if (s->measured)
			note_measured(s, (double)s->overhead_ns);
		else
			note(&s->plain, (double)s->overhead_ns);
		note(&s->wall, dur > s->overhead_ns ? (double)(dur - s->overhead_ns) : 0);
	}
	s->startup = false;
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

bool gns_step_clock_gradient(struct gns_step_clock *s)
{
	s->gradients++;
	if (s->published) {
		/* More gradients than in the steps before: do not use the expected number for a while. */
		s->late++;
		s->expected = s->gradients;
		s->unsure = UNSURE_STEPS;
		return false;
	}
	return !s->unsure && !s->marked && s->expected && s->gradients == s->expected;
}
