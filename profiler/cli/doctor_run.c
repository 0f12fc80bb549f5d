/* What `gnscope doctor` says of a stored run. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/doctor.h"
#include "profiler/cli/words.h"

#define WEIGHTS 100 /* listed one by one */

static void print_counters(struct gns_store *store, int64_t run_id)
{
	struct gns_counter_row *rows = NULL;
	char words[128], name[64], text[64];
	size_t n = 0;
	if (gns_store_counters(store, run_id, &rows, &n, NULL) != 0 || n == 0)
		gns_finding(GNS_NOTE, "counters", "none: no collector had anything to count");
	for (size_t i = 0; i < n; i++) {
		gns_text_safe(name, sizeof name, rows[i].name);
		gns_text_safe(text, sizeof text, rows[i].text);
		printf("       %-9s %12" PRId64 "  %s%s%s%s (%s)\n", i ? "" : "counters", rows[i].value,
		       gns_words_reason(words, sizeof words, rows[i].name), text[0] ? "; last: " : "", text, "", name);
	}
	free(rows);
}

static void print_weights(struct gns_store *store, int64_t run_id, const char *unit)
{
	struct gns_layer *layers = NULL;
	char name[80], shape[48], ratio[128];
	size_t n = 0;
	if (gns_store_layers(store, run_id, 0, &layers, &n, NULL) != 0)
		n = 0;
	for (size_t i = 0; i < n && i < WEIGHTS; i++)
		printf("       %-9s %-28s %-12s %s\n", i ? "" : "weights", gns_text_safe(name, sizeof name, layers[i].name),
		       gns_text_safe(shape, sizeof shape, layers[i].shape),
		       layers[i].excluded ? gns_words_left_out(ratio, sizeof ratio, layers[i].left_out)
					  : gns_text_ratio(ratio, sizeof ratio, &layers[i].b_noise, unit));
	if (n > WEIGHTS)
		printf("       %-9s and %zu more: gnscope show --layers\n", "", n - WEIGHTS);
	free(layers);
}

int gns_doctor_run(struct gns_store *store, int64_t run_id, int processes, const struct gns_loaded *loaded)
{
	struct gns_summary s;
	struct gns_error err = {""};
	struct gns_event_row *events = NULL;
	char text[768], number[40];
	size_t n = 0;
	int faults = 0;
	if (gns_store_summary(store, run_id, 0, &s, &err) != 0)
		return gns_finding(GNS_FAULT, "run", "%s", err.text);
	gns_finding(GNS_OK, "run", "%" PRId64 " (%s), %s: %s", s.run.run_id, s.run.name, s.run.status, s.run.command);
	if (s.run.steps_measured > 0)
		gns_finding(GNS_OK, "steps", "%" PRId64 " of %" PRId64 " measured, %s %s a step; %s", s.measured, s.run.steps,
			    gns_text_number(number, sizeof number, s.samples_per_step), s.sample_unit,
			    gns_text_verdict(text, sizeof text, &s, NULL));
	else
		faults += gns_finding(strcmp(s.run.status, "running") == 0 ? GNS_NOTE : GNS_FAULT, "steps", "%s",
				      gns_words_why_nothing(text, sizeof text, store, &s, processes));
	if (isfinite(s.coverage))
		gns_finding(GNS_OK, "coverage", "%.3g%% %s", 100 * s.coverage, s.coverage_note);
	if (s.dropped > 0)
		faults += gns_finding(GNS_FAULT, "dropped", "%" PRId64 " steps were lost: the recorder was behind or could not write", s.dropped);
	for (size_t i = 0; i < s.n_warnings; i++)
		if (strcmp(s.warnings[i].name, "dropped") != 0 && !gns_doctor_explains(s.warnings[i].name))
			gns_finding(GNS_NOTE, "warning", "%s: %s", s.warnings[i].name, s.warnings[i].text);
	gns_doctor_explain(store, &s);
	gns_doctor_gpu(store, run_id, loaded);
	print_weights(store, run_id, s.sample_unit);
	print_counters(store, run_id);
	if (gns_store_events(store, run_id, &events, &n, NULL) == 0)
		for (size_t i = 0; i < n && i < 20; i++)
			gns_finding(GNS_NOTE, "event", "step %" PRId64 ": %s: %s", events[i].step, events[i].name, events[i].text);
	free(events);
	return faults;
}
