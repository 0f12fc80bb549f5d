/* What a sweep prints: a line for each run that ended, a bar while they run, the table at the end. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "gnscope/text.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/json.h"
#include "profiler/cli/sweep.h"

#define BAR 20

static char *duration(char *dst, size_t size, double seconds)
{
	if (!isfinite(seconds))
		snprintf(dst, size, "-");
	else if (seconds < 90)
		snprintf(dst, size, "%.0f s", ceil(seconds));
	else if (seconds < 5400)
		snprintf(dst, size, "%.0f min", seconds / 60);
	else
		snprintf(dst, size, "%.1f h", seconds / 3600);
	return dst;
}

static char *outcome(char *dst, size_t size, const struct gns_sweep_point *p)
{
	static const char *const why[] = {"waiting", "running", "reached", "not reached: at the limit", "not reached: another learning rate is quicker",
					  "not reached: the command ended", "diverged", "failed", "stopped"};
	char steps[40], samples[40], safe[220];
	gns_text_number(steps, sizeof steps, round(p->steps));
	gns_text_number(samples, sizeof samples, round(p->samples));
	if (p->reached)
		snprintf(dst, size, "reached after %s steps%s, %s samples%s%s", steps, p->batch > 0 && isfinite(p->steps_se) ? "" : " (error unknown)", samples,
			 p->note[0] ? "; " : "", gns_text_safe(safe, sizeof safe, p->note));
	else if (p->censored && isfinite(p->loss))
		snprintf(dst, size, "%s within %s steps, smoothed loss %.4g", why[p->status], steps, p->loss);
	else if (p->censored)
		snprintf(dst, size, "%s, too few losses to smooth", why[p->status]);
	else
		snprintf(dst, size, "%s%s%s", why[p->status], p->note[0] ? ": " : "", gns_text_safe(safe, sizeof safe, p->note));
	return dst;
}

void gns_sweep_say_point(const struct gns_sweep_progress *g, const struct gns_sweep_point *p)
{
	char label[64], text[400], took[32], left[32];
	if (g->quiet)
		return;
	gns_sweep_clear_bar(g);
	duration(took, sizeof took, p->end_ns > p->start_ns ? (double)(p->end_ns - p->start_ns) / 1e9 : (double)NAN);
	fprintf(stderr, "gnscope sweep: %zu of %zu: %s: %s; took %s", g->done, g->all, gns_sweep_label(label, sizeof label, p),
		outcome(text, sizeof text, p), took);
	if (g->done < g->all && isfinite(g->seconds_left))
		fprintf(stderr, ", %s left", duration(left, sizeof left, g->seconds_left));
	fputc('\n', stderr);
}

static int columns(void)
{
	struct winsize size;
	return ioctl(2, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void gns_sweep_clear_bar(const struct gns_sweep_progress *g)
{
	if (g->terminal)
		fputs("\r\033[K", stderr);
}

static const char *loss_so_far(char *dst, size_t size, const struct gns_sweep_child *c)
{
	snprintf(dst, size, c->n && isfinite(c->crossing.loss) ? "%.4g" : "-", c->crossing.loss);
	return dst;
}

void gns_sweep_say_bar(const struct gns_sweep_progress *g, const struct gns_sweep_child *children, size_t n, double target)
{
	char line[512], bar[BAR + 1], left[32], label[64], loss[32];
	if (!g->terminal)
		return;
	size_t full = g->all ? BAR * g->done / g->all : 0;
	memset(bar, '.', BAR);
	memset(bar, '#', full);
	bar[BAR] = '\0';
	int used = snprintf(line, sizeof line, "[%s] %zu of %zu, %s left", bar, g->done, g->all, duration(left, sizeof left, g->seconds_left));
	for (size_t i = 0; i < n && used < (int)sizeof line - 120; i++)
		if (children[i].used)
			used += snprintf(line + used, sizeof line - (size_t)used, " | %s: step %" PRId64 ", loss %s, to %g",
					 gns_sweep_label(label, sizeof label, &children[i].point), children[i].newest_step,
					 loss_so_far(loss, sizeof loss, &children[i]), target);
	fprintf(stderr, "\r\033[K%.*s", columns() - 1, line);
	fflush(stderr);
}

/* ---- the end ---- */

static json_t *json_point(const struct gns_sweep_point *p)
{
	json_t *o = json_object();
	json_object_set_new(o, "batch", json_integer(p->batch));
	json_object_set_new(o, "lr", gns_json_number(p->lr));
	json_object_set_new(o, "seed", gns_json_count(p->seed));
	json_object_set_new(o, "run", gns_json_count(p->run_id));
	json_object_set_new(o, "status", gns_json_text(gns_sweep_status_name(p->status)));
	json_object_set_new(o, "reached", json_boolean(p->reached));
	json_object_set_new(o, "censored", json_boolean(p->censored));
	json_object_set_new(o, "steps", gns_json_number(p->steps));
	json_object_set_new(o, "steps_se", gns_json_number(p->steps_se));
	json_object_set_new(o, "samples", gns_json_number(p->samples));
	json_object_set_new(o, "loss", gns_json_number(p->loss));
	json_object_set_new(o, "losses", gns_json_count(p->losses));
	json_object_set_new(o, "seconds", gns_json_number(p->end_ns > p->start_ns ? (double)(p->end_ns - p->start_ns) / 1e9 : (double)NAN));
	json_object_set_new(o, "note", gns_json_text(p->note));
	return o;
}

/* Batches whose best learning rate is the least or largest tried: the best may lie beyond. */
static void edges(const struct gns_sweep_point *points, size_t n, char *dst, size_t size)
{
	size_t used = 0;
	*dst = '\0';
	for (size_t i = 0; i < n; i++) {
		double low = INFINITY, high = -INFINITY;
		bool any;
		if (i && points[i - 1].batch == points[i].batch)
			continue;
		for (size_t j = 0; j < n; j++)
			if (points[j].batch == points[i].batch && isfinite(points[j].lr)) {
				low = fmin(low, points[j].lr);
				high = fmax(high, points[j].lr);
			}
		double best = gns_sweep_best_lr(points, n, points[i].batch, &any);
		if (any && low < high && (best == low || best == high) && used + 40 < size)
			used += (size_t)snprintf(dst + used, size - used, "%s%" PRId64 " (%s)", used ? ", " : "", points[i].batch,
						 best == low ? "least" : "largest");
	}
}

/* No batch was trained at more than one learning rate. */
static bool untuned(const struct gns_sweep_point *points, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (points[i].batch == points[j].batch && isfinite(points[i].lr) && isfinite(points[j].lr) && points[i].lr != points[j].lr)
				return false;
	return n > 0;
}

#define UNTUNED "one learning rate at each batch: steps are those of an untuned rate, and B_crit is of that rate, not of the best; give --lr several"

static int print_json(const struct gns_sweep *sweep, const struct gns_sweep_point *points, size_t n)
{
	char text[1024];
	json_t *o = json_object(), *list = json_array(), *warnings = json_array();
	json_error_t error;
	json_t *command = json_loads(sweep->command, 0, &error);
	json_object_set_new(o, "sweep", gns_json_text(sweep->name));
	json_object_set_new(o, "sweep_id", json_integer(sweep->sweep_id));
	json_object_set_new(o, "command", command ? command : json_null());
	json_object_set_new(o, "target_loss", gns_json_number(sweep->target_loss));
	json_object_set_new(o, "window", gns_json_number(sweep->window));
	json_object_set_new(o, "lr_rule", gns_json_text(sweep->lr_rule));
	json_object_set_new(o, "lr_batch", gns_json_number(sweep->lr_batch));
	json_object_set_new(o, "complete", json_boolean(sweep->end_ns != 0));
	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_point(&points[i]));
	json_object_set_new(o, "points", list);
	edges(points, n, text, sizeof text);
	if (text[0])
		json_array_append_new(warnings, json_pack("{s:s, s:s}", "name", "lr_edge", "batches", text));
	if (untuned(points, n))
		json_array_append_new(warnings, json_pack("{s:s, s:s}", "name", "untuned", "text", UNTUNED));
	json_object_set_new(o, "warnings", warnings);
	return gns_json_print("sweep", o, stdout);
}

static void print_table(const struct gns_sweep *sweep, const struct gns_sweep_point *points, size_t n)
{
	char steps[40], samples[40], se[40], lr[32], seed[32], run[32], text[1024], safe[220];
	gns_text_safe(text, sizeof text, sweep->name);
	printf("sweep %s to loss %g%s\n", text, sweep->target_loss, sweep->end_ns ? "" : ", not complete");
	printf("%9s  %10s  %6s  %6s  %-8s  %11s  %9s  %13s\n", "BATCH", "LR", "SEED", "RUN", "STATUS", "STEPS", "+-", "SAMPLES");
	for (size_t i = 0; i < n; i++) {
		const struct gns_sweep_point *p = &points[i];
		snprintf(lr, sizeof lr, isfinite(p->lr) ? "%.4g" : "-", p->lr);
		snprintf(seed, sizeof seed, p->seed >= 0 ? "%" PRId64 : "-", p->seed);
		snprintf(run, sizeof run, p->run_id >= 0 ? "%" PRId64 : "-", p->run_id);
		gns_text_number(steps, sizeof steps, p->steps < 1000 ? p->steps : round(p->steps));
		gns_text_number(se, sizeof se, p->steps_se);
		gns_text_number(samples, sizeof samples, round(p->samples));
		printf("%9" PRId64 "  %10s  %6s  %6s  %-8s  %s%*s  %9s  %13s%s%s\n", p->batch, lr, seed, run,
		       gns_sweep_status_name(p->status), p->censored ? ">" : " ", 10, steps, se, samples, p->note[0] ? "  " : "",
		       gns_text_safe(safe, sizeof safe, p->note));
	}
	edges(points, n, text, sizeof text);
	if (text[0])
		printf("the best learning rate is at the edge of those tried at batch %s: try beyond it\n", text);
	if (untuned(points, n))
		puts("untuned: " UNTUNED);
}

int gns_sweep_print(struct gns_store *store, const struct gns_sweep *sweep, bool json)
{
	struct gns_sweep_point *points = NULL;
	struct gns_error err = {""};
	size_t n = 0;
	if (gns_store_sweep_points(store, sweep->sweep_id, &points, &n, &err) != 0)
		return gns_cli_fail("sweep", "%s", err.text);
	int status = GNS_EXIT_OK;
	if (json)
		status = print_json(sweep, points, n);
	else
		print_table(sweep, points, n);
	free(points);
	return status;
}
