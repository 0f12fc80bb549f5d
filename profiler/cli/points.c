/* From the store to points of a fit. */
#include "profiler/cli/points.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gnscope/crossing.h"
#include "gnscope/sweep.h"
#include "gnscope/text.h"
#include "profiler/cli/json.h"

void gns_note_add(struct gns_notes *notes, const char *name, const char *fmt, ...)
{
	va_list ap;
	if (notes->n == GNS_NOTES_MAX)
		return;
	struct gns_note *note = &notes->note[notes->n++];
	snprintf(note->name, sizeof note->name, "%s", name);
	va_start(ap, fmt);
	vsnprintf(note->text, sizeof note->text, fmt, ap);
	va_end(ap);
}

json_t *gns_notes_json(const struct gns_notes *notes)
{
	json_t *list = json_array();
	for (size_t i = 0; i < notes->n; i++) {
		json_t *o = json_object();
		json_object_set_new(o, "name", gns_json_text(notes->note[i].name));
		json_object_set_new(o, "text", gns_json_text(notes->note[i].text));
		json_array_append_new(list, o);
	}
	return list;
}

void gns_notes_print(const struct gns_notes *notes)
{
	char safe[320];
	for (size_t i = 0; i < notes->n; i++)
		printf("note       %s: %s\n", notes->note[i].name, gns_text_safe(safe, sizeof safe, notes->note[i].text));
}

void gns_points_free(struct gns_points *points)
{
	free(points->point);
	free(points->fact);
	points->point = NULL;
	points->fact = NULL;
	points->n = points->n_facts = 0;
}

int gns_points_losses(struct gns_store *store, int64_t run_id, double **steps, double **losses, size_t *n, struct gns_error *err)
{
	enum { CHUNK = 65536 };
	size_t got = 0, max = 0;
	int rc = 0;
	*steps = *losses = NULL;
	*n = 0;
	struct gns_loss_point *part = malloc(CHUNK * sizeof *part);
	if (!part)
		return gns_fail(err, -ENOMEM, "no memory left for the losses of run %" PRId64, run_id);
	do {
		rc = gns_store_losses(store, run_id, *n ? (int64_t)(*steps)[*n - 1] : 0, part, CHUNK, &got, err);
		if (rc == 0 && *n + got > max) {
			max = *n + got;
			double *a = realloc(*steps, (max + 1) * sizeof *a), *b = realloc(*losses, (max + 1) * sizeof *b);
			*steps = a ? a : *steps;
			*losses = b ? b : *losses;
			rc = a && b ? 0 : gns_fail(err, -ENOMEM, "no memory left for the losses of run %" PRId64, run_id);
		}
		for (size_t i = 0; rc == 0 && i < got; i++) {
			if (!isfinite(part[i].loss))
				continue;
			(*steps)[*n] = (double)part[i].step;
			(*losses)[(*n)++] = part[i].loss;
		}
	} while (rc == 0 && got == CHUNK);
	free(part);
	if (rc) {
		free(*steps);
		free(*losses);
		*steps = *losses = NULL;
	}
	return rc;
}

/* ---- a run ---- */

struct seen {
	struct gns_summary summary;
	struct gns_crossing end; /* at a target that is never reached: the smoothed loss at the end */
	double *steps, *losses;
	size_t n;
};

static int look(struct gns_store *store, int64_t run_id, struct seen *out, struct gns_error *err)
{
	memset(out, 0, sizeof *out);
	int rc = gns_store_summary(store, run_id, 0, &out->summary, err);
	if (rc == 0)
		rc = gns_points_losses(store, run_id, &out->steps, &out->losses, &out->n, err);
	double least = INFINITY, most = -INFINITY;
	for (size_t i = 0; rc == 0 && i < out->n; i++) {
		least = fmin(least, out->losses[i]);
		most = fmax(most, out->losses[i]);
	}
	if (rc == 0) /* lines over a window stay within a few ranges of what they are fitted to */
		gns_crossing(out->steps, out->losses, out->n, least - 10 * (most - least + fabs(least)), GNS_CROSSING_WINDOW, &out->end);
	return rc;
}

static void forget(struct seen *seen)
{
	free(seen->steps);
	free(seen->losses);
}

static void add_fact(struct gns_points *out, const struct seen *s)
{
	out->fact[out->n_facts++] = (struct gns_fact){
		.run_id = s->summary.run.run_id, .loss = s->n >= GNS_CROSSING_LOSSES ? s->end.loss : s->summary.loss,
		.samples = (double)s->summary.run.steps * s->summary.samples_per_step,
		.b_noise = s->summary.b_noise, .b_crit = s->summary.b_crit,
	};
}

/* ---- a sweep ---- */

static int sweep_facts(struct gns_store *store, const struct gns_sweep_point *points, size_t n, struct gns_points *out)
{
	struct seen seen;
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < n; i++) {
		if (points[i].run_id < 0 || gns_store_summary(store, points[i].run_id, 0, &seen.summary, NULL) < 0)
			continue;
		seen.n = 0;
		add_fact(out, &seen);
		out->fact[out->n_facts - 1].loss = points[i].loss;
		if (strcmp(seen.summary.sample_unit, "samples") == 0)
			snprintf(out->unit, sizeof out->unit, "samples");
	}
	return rc;
}

int gns_points_of_sweep(struct gns_store *store, const char *ref, struct gns_points *out, struct gns_error *err)
{
	struct gns_sweep sweep;
	struct gns_sweep_point *points = NULL;
	size_t n = 0, failed = 0, open = 0;
	memset(out, 0, sizeof *out);
	int rc = gns_store_find_sweep(store, ref, &sweep, err);
	if (rc == 0)
		rc = gns_store_sweep_points(store, sweep.sweep_id, &points, &n, err);
	if (rc < 0)
		return rc;
	out->point = calloc(n + 1, sizeof *out->point);
	out->fact = calloc(n + 1, sizeof *out->fact);
	if (!out->point || !out->fact) {
		free(points);
		gns_points_free(out);
		return gns_fail(err, -ENOMEM, "no memory left for the points of a sweep");
	}
	snprintf(out->what, sizeof out->what, "sweep %s", sweep.name);
	snprintf(out->unit, sizeof out->unit, "samples"); /* of a sweep: the user's own --batch */
	out->target = sweep.target_loss;
	for (size_t i = 0; i < n; i++) {
		const struct gns_sweep_point *p = &points[i];
		failed += p->status == GNS_SWEEP_FAILED;
		open += !p->reached && !p->censored && p->status != GNS_SWEEP_FAILED;
		if ((p->reached || p->censored) && p->steps > 0)
			out->point[out->n++] = (struct gns_fit_point){.batch = (double)p->batch, .steps = p->steps, .lr = p->lr,
				.seed = p->seed, .run_id = p->run_id, .censored = p->censored};
	}
	if (failed)
		gns_note_add(&out->notes, "failed_runs", "%zu of %zu runs of the sweep failed and are left out", failed, n);
	if (open)
		gns_note_add(&out->notes, "open_runs", "%zu of %zu runs of the sweep are not done; repeat its command to go on", open, n);
	rc = sweep_facts(store, points, n, out);
	free(points);
	return rc;
}

/* ---- saved runs ---- */

static const char *next_word(const char *at, const char **end)
{
	at += strspn(at, " ");
	*end = at + strcspn(at, " ");
	return at;
}

static bool has_digit(const char *word, const char *end)
{
	for (; word < end; word++)
		if (isdigit((unsigned char)*word))
			return true;
	return false;
}

bool gns_points_same_command(const char *a, const char *b)
{
	const char *a_end, *b_end;
	bool option = false;
	for (;; a = a_end, b = b_end) {
		a = next_word(a, &a_end);
		b = next_word(b, &b_end);
		if (a == a_end || b == b_end)
			return a == a_end && b == b_end;
		bool same = a_end - a == b_end - b && memcmp(a, b, (size_t)(a_end - a)) == 0;
		if (!same && !option && !(has_digit(a, a_end) && has_digit(b, b_end) && *a != '/' && strcspn(a, "/") >= (size_t)(a_end - a)))
			return false;
		/* The word after an option that is the same is its value. */
		option = same && *a == '-' && !memchr(a, '=', (size_t)(a_end - a));
	}
}

static int one_program(const struct seen *first, const struct seen *other, struct gns_points *out, struct gns_error *err)
{
	const struct gns_summary *a = &first->summary, *b = &other->summary;
	char x[40], y[40];
	if (a->params != b->params)
		return gns_fail(err, -EXDEV, "runs %" PRId64 " (%s) and %" PRId64 " (%s) are of different programs: %s and %s weights; name runs "
				"of one program that differ in batch, learning rate and seed only", a->run.run_id, a->run.name, b->run.run_id,
				b->run.name, gns_text_number(x, sizeof x, (double)a->params), gns_text_number(y, sizeof y, (double)b->params));
	if (strcmp(a->sample_unit, b->sample_unit) != 0)
		return gns_fail(err, -EXDEV, "run %" PRId64 " counts %s and run %" PRId64 " %s; run both with --samples BATCH", a->run.run_id,
				a->sample_unit, b->run.run_id, b->sample_unit);
	if (!gns_points_same_command(a->run.command, b->run.command))
		gns_note_add(&out->notes, "commands_differ", "runs %" PRId64 " and %" PRId64 " differ in more than numbers and options: are they "
			     "the same program?", a->run.run_id, b->run.run_id);
	return 0;
}

static void at_target(const struct seen *s, double target, struct gns_points *out)
{
	struct gns_crossing c;
	const struct gns_summary *m = &s->summary;
	int rc = gns_crossing(s->steps, s->losses, s->n, target, GNS_CROSSING_WINDOW, &c);
	if (rc < 0) {
		gns_note_add(&out->notes, "no_losses", "run %" PRId64 " has %zu losses, too few to tell when it reached a target; it is left out",
			     m->run.run_id, s->n);
		return;
	}
	if (!(m->samples_per_step > 0)) {
		gns_note_add(&out->notes, "no_batch", "the batch of run %" PRId64 " is not known; it is left out", m->run.run_id);
		return;
	}
	if (c.early)
		gns_note_add(&out->notes, "early", "run %" PRId64 " was below the target from its first losses on: its steps are an upper limit",
			     m->run.run_id);
	out->point[out->n++] = (struct gns_fit_point){.batch = m->samples_per_step, .steps = c.crossed ? c.step : c.centre, .lr = m->lr,
						      .seed = -1, .run_id = m->run.run_id, .censored = !c.crossed};
}

static double reached_by_all(const struct seen *seen, size_t n)
{
	double worst = NAN;
	for (size_t i = 0; i < n; i++)
		if (seen[i].n >= GNS_CROSSING_LOSSES)
			worst = fmax(worst, seen[i].end.loss);
	return worst + 1e-9 * fabs(worst); /* the one that sets it reaches it, rounding or not */
}

static int look_at_all(struct gns_store *store, char *const *refs, size_t n, struct seen *seen, struct gns_points *out, struct gns_error *err)
{
	for (size_t i = 0; i < n; i++) {
		int64_t run_id;
		int rc = gns_store_find_run(store, refs[i], &run_id, err);
		for (size_t j = 0; rc == 0 && j < i; j++)
			if (seen[j].summary.run.run_id == run_id)
				rc = gns_fail(err, -EINVAL, "run %" PRId64 " is named twice ('%s'); name each run once", run_id, refs[i]);
		if (rc == 0)
			rc = look(store, run_id, &seen[i], err);
		if (rc == 0 && i > 0)
			rc = one_program(&seen[0], &seen[i], out, err);
		if (rc < 0)
			return rc;
		add_fact(out, &seen[i]);
	}
	return 0;
}

int gns_points_of_runs(struct gns_store *store, char *const *refs, size_t n, double target, bool facts_only, struct gns_points *out,
		       struct gns_error *err)
{
	memset(out, 0, sizeof *out);
	struct seen *seen = calloc(n + 1, sizeof *seen);
	out->point = calloc(n + 1, sizeof *out->point);
	out->fact = calloc(n + 1, sizeof *out->fact);
	int rc = seen && out->point && out->fact ? 0 : gns_fail(err, -ENOMEM, "no memory left for %zu runs", n);
	if (rc == 0)
		rc = look_at_all(store, refs, n, seen, out, err);
	if (rc == 0) {
		snprintf(out->what, sizeof out->what, "%zu run%s", n, n == 1 ? "" : "s");
		snprintf(out->unit, sizeof out->unit, "%s", seen[0].summary.sample_unit);
		out->target = isfinite(target) || facts_only ? target : reached_by_all(seen, n);
		if (strcmp(out->unit, "rows") == 0)
			gns_note_add(&out->notes, "rows_as_samples", "the batch size is unknown: batches count rows of matrices; run with --samples BATCH");
	}
	if (rc == 0 && !facts_only && isnan(out->target))
		rc = gns_fail(err, -ENODATA, "none of the runs has losses, so there is no loss that they reached; run with --loss-regex, "
			      "under PyTorch, or mark losses with gns_loss");
	if (rc == 0 && !facts_only && !isfinite(target)) {
		char number[40];
		gns_note_add(&out->notes, "target", "no --target-loss was given: %s, the lowest loss that all runs have reached, is taken",
			     gns_text_number(number, sizeof number, out->target));
	}
	for (size_t i = 0; rc == 0 && !facts_only && i < n; i++)
		at_target(&seen[i], out->target, out);
	for (size_t i = 0; seen && i < n; i++)
		forget(&seen[i]);
	free(seen);
	if (rc < 0)
		gns_points_free(out);
	return rc;
}
