/* See laws.h. */
#include "profiler/cli/laws.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/json.h"

static void fit_one(const struct gns_fact *facts, size_t n, struct gns_law *law)
{
	double *x = calloc(2 * n + 1, sizeof *x), *y = x ? x + n : NULL;
	size_t m = 0;
	law->rc = -ENOMEM;
	if (!x)
		return;
	for (size_t i = 0; i < n; i++) {
		const struct gns_ratio *b = strcmp(law->of, "b_noise") == 0 ? &facts[i].b_noise : &facts[i].b_crit;
		double at = strcmp(law->against, "loss") == 0 ? facts[i].loss : facts[i].samples;
		if (!b->resolved || !(b->value > 0) || !(at > 0) || !isfinite(at))
			continue;
		x[m] = at;
		y[m++] = b->value;
	}
	law->rc = gns_fit_power(x, y, m, &law->law);
	free(x);
}

bool gns_law_holds(const struct gns_law *law)
{
	return law->rc == 0 && (law->law.power.lo > 0 || law->law.power.hi < 0);
}

void gns_laws_fit(const struct gns_fact *facts, size_t n, struct gns_law laws[GNS_LAWS])
{
	static const char *const of[] = {"b_noise", "b_crit"}, *const against[] = {"loss", "samples"};
	for (size_t i = 0; i < GNS_LAWS; i++) {
		laws[i] = (struct gns_law){.of = of[i / 2], .against = against[i % 2]};
		fit_one(facts, n, &laws[i]);
	}
	for (size_t i = 0; i < GNS_LAWS; i++) {
		const struct gns_law *a = &laws[i], *b = &laws[i ^ 1];
		/* AICc compares fits of the same runs only. */
		laws[i].better = gns_law_holds(a) && gns_law_holds(b) && a->law.n == b->law.n && a->law.aicc < b->law.aicc;
	}
}

json_t *gns_laws_json(const struct gns_law laws[GNS_LAWS])
{
	json_t *list = json_array();
	for (size_t i = 0; i < GNS_LAWS; i++) {
		const struct gns_law *l = &laws[i];
		bool there = l->rc == 0, holds = gns_law_holds(l);
		json_t *o = json_object();
		json_object_set_new(o, "of", json_string(l->of));
		json_object_set_new(o, "against", json_string(l->against));
		json_object_set_new(o, "runs", json_integer((json_int_t)l->law.n));
		json_object_set_new(o, "factor", gns_json_number(holds ? l->law.factor : NAN));
		json_object_set_new(o, "power", gns_json_number(holds ? l->law.power.value : NAN));
		json_object_set_new(o, "power_lo", gns_json_number(there ? l->law.power.lo : NAN));
		json_object_set_new(o, "power_hi", gns_json_number(there ? l->law.power.hi : NAN));
		json_object_set_new(o, "r2", gns_json_number(there ? l->law.r2 : NAN));
		json_object_set_new(o, "aicc", gns_json_number(there ? l->law.aicc : NAN));
		json_object_set_new(o, "better", json_boolean(l->better));
		json_array_append_new(list, o);
	}
	return list;
}

void gns_laws_print(const struct gns_law laws[GNS_LAWS], const char *unit)
{
	char factor[40];
	bool none = true;
	for (size_t i = 0; i < GNS_LAWS; i++)
		none &= laws[i].law.n == 0;
	if (none)
		puts("law        B_noise and B_crit over the runs: too few, no run has a resolved one");
	for (size_t i = 0; i < GNS_LAWS && !none; i++) {
		const struct gns_law *l = &laws[i];
		const char *name = strcmp(l->of, "b_noise") == 0 ? "B_noise" : "B_crit";
		const char *x = strcmp(l->against, "loss") == 0 ? "loss" : unit;
		if (l->law.n < 3) {
			printf("law        %s against %s: too few, %zu run%s with a resolved %s and three needed\n", name, x, l->law.n,
			       l->law.n == 1 ? "" : "s", name);
			continue;
		}
		if (l->rc != 0) {
			printf("law        %s against %s: none, the %zu runs do not differ in it\n", name, x, l->law.n);
			continue;
		}
		if (!gns_law_holds(l)) {
			printf("law        %s against %s: no trend in %zu runs, the exponent is between %.3g and %.3g\n", name, x, l->law.n,
			       l->law.power.lo, l->law.power.hi);
			continue;
		}
		printf("law        %s = %s %s^%.3g [%.3g to %.3g], %zu runs, R2 %.2f", name,
		       gns_text_number(factor, sizeof factor, l->law.factor), x, l->law.power.value, l->law.power.lo, l->law.power.hi, l->law.n,
		       l->law.r2);
		if (isfinite(l->law.aicc))
			printf(", AICc %.1f%s\n", l->law.aicc, l->better ? ", the better of the two" : "");
		else
			printf("; below five runs it is unknown which fits better\n");
	}
}
