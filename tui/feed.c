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
			return gns_fail(err, -ENOENT, "Waiting for the first product of the trainer that a weight takes part in.");
		feed->run_id = id;
		return 0;
	}
	return gns_store_find_run(feed->store, feed->ref, &feed->run_id, err);
}

/* Points of the curve. While there are few steps each is a point (with the long half-life's estimate); then every point pools at
 * least twenty measured steps, because fewer say little alone and a plot of them is all noise. */
static size_t points_wanted(const struct gns_feed *feed, const struct gns_summary *summary)
{
	enum { SINGLE_STEPS = 480, STEPS_A_POINT = 20 };
	size_t most = feed->max_points ? feed->max_points : 512;
	int64_t measured = summary->run.steps_measured;
	if (feed->window > 0 && measured > feed->window)
		measured = feed->window;
	if (measured <= SINGLE_STEPS)
		return SINGLE_STEPS;
	size_t pooled = (size_t)measured / STEPS_A_POINT;
	return pooled < most ? pooled : most;
}

/* What a view needs besides the summary. */
static int load_rows(struct gns_feed *feed, struct gns_model *m, enum gns_view view, struct gns_error *err)
{
	int64_t run = feed->run_id, from = 0, last = m->summary.run.steps;
	if (feed->window > 0 && last > feed->window)
		from = last - feed->window + 1;
	switch (view) {
	case GNS_VIEW_NOW:
		return gns_store_series(feed->store, run, from, -1, points_wanted(feed, &m->summary), &m->points, &m->n_points, err);
	case GNS_VIEW_LAYERS:
		return gns_store_layers(feed->store, run, feed->window, &m->layers, &m->n_layers, err);
	case GNS_VIEW_KERNELS:
		return gns_store_kernels(feed->store, run, feed->window, &m->kernels, &m->n_kernels, err);
	case GNS_VIEW_RUNS:
		return gns_store_runs(feed->store, &m->runs, &m->n_runs, err);
	case GNS_VIEW_HEALTH: {
		int rc = gns_store_counters(feed->store, run, &m->counters, &m->n_counters, err);
		return rc ? rc : gns_store_events(feed->store, run, &m->events, &m->n_events, err);
	}
	default:
		return 0;
	}
}

static int load(struct gns_feed *feed, struct gns_model *model, enum gns_view view)
{
	struct gns_error err = {.text = ""};
	struct gns_model next = {.state = GNS_MODEL_RUN, .window = feed->window, .now_ns = realtime_ns()};
	int rc = gns_store_summary(feed->store, feed->run_id, feed->window, &next.summary, &err);
	if (rc == 0)
		rc = gns_store_live(feed->store, feed->run_id, next.live, GNS_LIVE_MAX, &next.n_live, &err);
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
