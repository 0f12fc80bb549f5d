/* From the store to the model. */
#include "tui/feed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static uint64_t realtime_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void drop_store(struct gns_feed *feed)
{
	if (feed->store)
		gns_store_close(feed->store);
	feed->store = NULL;
}

void gns_feed_close(struct gns_feed *feed)
{
	drop_store(feed);
}

void gns_feed_show_run(struct gns_feed *feed, int64_t run_id)
{
	feed->dirty |= feed->run_id != run_id;
	feed->run_id = run_id;
}

void gns_feed_set_window(struct gns_feed *feed, int64_t window)
{
	feed->dirty |= feed->window != window;
	feed->window = window;
}

void gns_feed_set_end(struct gns_feed *feed, int64_t end)
{
	feed->dirty |= feed->end != end;
	feed->end = end;
}

void gns_feed_set_marks(struct gns_feed *feed, const int64_t *run_ids, size_t n)
{
	n = n < GNS_MARKS_MAX ? n : GNS_MARKS_MAX;
	feed->dirty |= n != feed->n_marked || memcmp(feed->marked, run_ids, n * sizeof *run_ids) != 0;
	memcpy(feed->marked, run_ids, n * sizeof *run_ids);
	feed->n_marked = n;
}

int64_t gns_feed_next_run(struct gns_feed *feed, int by)
{
	struct gns_error err = {.text = ""};
	struct gns_run_info *runs = NULL;
	size_t n = 0;
	int64_t next = 0;
	if (!feed->store || gns_store_runs(feed->store, &runs, &n, &err) != 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		if (runs[i].run_id == feed->run_id && (int64_t)i + by >= 0 && (int64_t)i + by < (int64_t)n)
			next = runs[(int64_t)i + by].run_id;
	free(runs);
	return next;
}

uint64_t gns_feed_session_key(struct gns_feed *feed)
{
	struct gns_error err = {.text = ""};
	if (feed->store && feed->run_id > 0 && feed->key_run != feed->run_id &&
	    gns_store_session_key(feed->store, feed->run_id, &feed->key, &err) == 0)
		feed->key_run = feed->run_id;
	return feed->key_run == feed->run_id ? feed->key : 0;
}

void gns_feed_set_points(struct gns_feed *feed, size_t max_points)
{
	feed->dirty |= feed->max_points != max_points;
	feed->max_points = max_points;
}

/* A state without a run. Returns 1 when that is news. */
static int tell(struct gns_feed *feed, struct gns_model *model, enum gns_model_state state, const char *text)
{
	bool same = model->state == state && strcmp(model->message, text) == 0;
	gns_model_free(model);
	model->state = state;
	snprintf(model->message, sizeof model->message, "%s", text);
	model->now_ns = realtime_ns();
	model->window = feed->window;
	feed->dirty = true;
	return !same;
}

static bool same_file(const struct gns_feed *feed)
{
	struct stat st;
	return stat(feed->path, &st) == 0 && (uint64_t)st.st_dev == feed->device && (uint64_t)st.st_ino == feed->inode;
}

static int open_store(struct gns_feed *feed, struct gns_error *err)
{
	struct stat st;
	if (stat(feed->path, &st) != 0)
		return gns_fail(err, -errno, "There is no run database at %s (%s). The first run makes it: gnscope run -- COMMAND",
				feed->path, strerror(errno));
	int rc = gns_store_open_read(feed->path, &feed->store, err);
	if (rc != 0)
		return rc;
	feed->device = (uint64_t)st.st_dev;
	feed->inode = (uint64_t)st.st_ino;
	feed->version = gns_store_data_version(feed->store);
	feed->dirty = true;
	return 0;
}

static int find_run(struct gns_feed *feed, struct gns_error *err)
{
	if (feed->run_id > 0)
		return 0;
	if (feed->find_run) {
		int64_t id = feed->find_run(feed->find_run_arg);
		if (id <= 0)
			return gns_fail(err, -ENOENT, "Waiting for the first GEMM with a weight.");
		feed->run_id = id;
		return 0;
	}
	return gns_store_find_run(feed->store, feed->ref, &feed->run_id, err);
}

/* Points of the curve. While there are few steps each is a point (with the long half-life's estimate); then every point pools at
 * least twenty measured steps, because fewer say little alone and a plot of them is all noise. */
static size_t points_wanted(size_t max_points, int64_t steps, int64_t measured)
{
	enum { SINGLE_STEPS = 480, STEPS_A_POINT = 20 };
	size_t most = max_points ? max_points : 512;
	if (steps <= SINGLE_STEPS)
		return SINGLE_STEPS;
	size_t pooled = (size_t)measured / STEPS_A_POINT;
	return pooled < 2 ? 2 : pooled < most ? pooled : most;
}

static int64_t first_step(const struct gns_feed *feed, int64_t last)
{
	return feed->window > 0 && last > feed->window ? last - feed->window + 1 : 1;
}

static int load_series(struct gns_feed *feed, struct gns_model *m, struct gns_error *err)
{
	int64_t last = feed->end > 0 ? feed->end : m->last_step, first = first_step(feed, last);
	size_t points = points_wanted(feed->max_points, last - first + 1, m->summary.measured);
	return gns_store_series(feed->store, feed->run_id, first, feed->end > 0 ? feed->end : -1, points, &m->points, &m->n_points, err);
}

static int load_overlays(struct gns_feed *feed, struct gns_model *m, struct gns_error *err)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < feed->n_marked; i++) {
		struct gns_overlay *o = &m->overlay[m->n_overlay];
		struct gns_summary s;
		if (gns_store_summary(feed->store, feed->marked[i], 0, &s, err) != 0)
			continue; /* a run that is no longer there */
		*o = (struct gns_overlay){.run_id = s.run.run_id, .start_ns = s.run.start_ns, .samples_per_step = s.samples_per_step,
					  .step_ms = s.step_ms, .b_noise = s.b_noise, .params = s.params};
		memcpy(o->sample_unit, s.sample_unit, sizeof o->sample_unit);
		memcpy(o->name, s.run.name, sizeof o->name);
		rc = gns_store_series(feed->store, feed->marked[i], 1, -1, points_wanted(feed->max_points, s.run.steps, s.measured), &o->points,
				      &o->n_points, err);
		m->n_overlay++;
	}
	return rc;
}

static double file_bytes(const char *path, const char *suffix)
{
	char name[4200];
	struct stat st;
	snprintf(name, sizeof name, "%s%s", path, suffix);
	return stat(name, &st) == 0 ? (double)st.st_size : 0;
}

/* Those of devices go first: in a program that uses one they are where the time is, the host's calls only launch them. */
static int load_kernels(struct gns_feed *feed, struct gns_model *m, int64_t window, struct gns_error *err)
{
	int rc = gns_store_kernels(feed->store, feed->run_id, window, &m->kernels, &m->n_kernels, err);
	if (rc == 0)
		rc = gns_store_gpu(feed->store, feed->run_id, window, &m->gpu, err);
	if (rc != 0 || m->gpu.n_kernels == 0)
		return rc;
	size_t devices = m->gpu.n_kernels;
	struct gns_kernel_row *all = malloc((devices + m->n_kernels) * sizeof *all);
	if (!all)
		return gns_fail(err, -ENOMEM, "no memory left for the kernels");
	memcpy(all, m->gpu.kernels, devices * sizeof *all);
	if (m->n_kernels > 0)
		memcpy(all + devices, m->kernels, m->n_kernels * sizeof *all);
	free(m->kernels);
	m->kernels = all;
	m->n_kernels += devices;
	return 0;
}

/* What a view needs besides the summary. Weights and kernels know a window to the newest step only. */
static int load_rows(struct gns_feed *feed, struct gns_model *m, enum gns_view view, struct gns_error *err)
{
	enum { DEVICE_STEPS = 1000, PAST = 24 };
	int64_t run = feed->run_id, window = feed->end > 0 ? 0 : feed->window;
	int rc = 0;
	switch (view) {
	case GNS_VIEW_NOW:
		rc = gns_store_split(feed->store, run, window, &m->split, err);
		if (rc == 0)
			rc = gns_store_gpu(feed->store, run, DEVICE_STEPS, &m->gpu, err);
		return rc ? rc : load_series(feed, m, err);
	case GNS_VIEW_TRADEOFF:
		rc = gns_store_split(feed->store, run, window, &m->split, err);
		return rc ? rc : load_overlays(feed, m, err);
	case GNS_VIEW_LAYERS:
		rc = gns_store_layer_history(feed->store, run, PAST, &m->history, err);
		return rc ? rc : gns_store_layers(feed->store, run, window, &m->layers, &m->n_layers, err);
	case GNS_VIEW_KERNELS:
		rc = gns_store_split(feed->store, run, window, &m->split, err);
		return rc ? rc : load_kernels(feed, m, window, err);
	case GNS_VIEW_RUNS:
		rc = load_overlays(feed, m, err);
		return rc ? rc : gns_store_runs(feed->store, &m->runs, &m->n_runs, err);
	case GNS_VIEW_HEALTH:
		m->store_bytes = file_bytes(feed->path, "") + file_bytes(feed->path, "-wal");
		rc = gns_store_gpu(feed->store, run, window, &m->gpu, err);
		if (rc == 0)
			rc = gns_store_counters(feed->store, run, &m->counters, &m->n_counters, err);
		return rc ? rc : gns_store_events(feed->store, run, &m->events, &m->n_events, err);
	default:
		return 0;
	}
}

static int load_summary(struct gns_feed *feed, struct gns_model *m, struct gns_error *err)
{
	if (feed->end == 0) {
		int rc = gns_store_summary(feed->store, feed->run_id, feed->window, &m->summary, err);
		m->last_step = m->summary.run.steps;
		if (rc == 0)
			rc = gns_store_live(feed->store, feed->run_id, m->live, GNS_LIVE_MAX, &m->n_live, err);
		return rc;
	}
	struct gns_run_info info;
	int rc = gns_store_run_info(feed->store, feed->run_id, &info, err);
	if (rc == 0)
		rc = gns_store_summary_range(feed->store, feed->run_id, first_step(feed, feed->end), feed->end, &m->summary, err);
	m->last_step = info.steps;
	return rc;
}

static int load(struct gns_feed *feed, struct gns_model *model, enum gns_view view)
{
	struct gns_error err = {.text = ""};
	struct gns_model next = {.state = GNS_MODEL_RUN, .window = feed->window, .end = feed->end, .now_ns = realtime_ns(),
				 .control_known = model->control_known, .control = model->control,
				 .watched_gone = model->watched_gone};
	int rc = load_summary(feed, &next, &err);
	if (rc == 0)
		rc = load_rows(feed, &next, view, &err);
	if (rc != 0) {
		gns_model_free(&next);
		if (model->state != GNS_MODEL_RUN)
			return tell(feed, model, GNS_MODEL_NO_RUN, err.text);
		bool same = strcmp(model->trouble, err.text) == 0;
		snprintf(model->trouble, sizeof model->trouble, "%s", err.text);
		feed->dirty = true;
		return !same;
	}
	gns_model_free(model);
	*model = next;
	feed->dirty = false;
	feed->loaded = view;
	return 1;
}

int gns_feed_poll(struct gns_feed *feed, struct gns_model *model, enum gns_view view)
{
	struct gns_error err = {.text = ""};
	model->now_ns = realtime_ns();
	if (feed->store && !same_file(feed))
		drop_store(feed);
	if (!feed->store && open_store(feed, &err) != 0)
		return tell(feed, model, GNS_MODEL_NO_STORE, err.text);
	int64_t version = gns_store_data_version(feed->store);
	if (version == feed->version && !feed->dirty && view == feed->loaded)
		return 0;
	feed->version = version;
	if (find_run(feed, &err) != 0)
		return tell(feed, model, GNS_MODEL_NO_RUN, err.text);
	return load(feed, model, view);
}
