/* A store that gives out the models of models.c, so that the live dashboard is tested without a database. Settings:
 * FAKE_STORE = training, waiting, finished, no-run; FAKE_FAULT = segv or abort, raised at the third look; FAKE_STUCK: the
 * third look never returns; STORE.stuck is made then. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/screens/models.h"

struct gns_store {
	struct gns_model model;
	int64_t version;
	char stuck[4096];
};

static void *copied(const void *rows, size_t n, size_t size)
{
	void *copy = malloc(n ? n * size : 1);
	return copy && n ? memcpy(copy, rows, n * size) : copy;
}

int gns_store_default_path(char *buf, size_t size)
{
	return -ENOENT;
}

int gns_store_open_read(const char *path, struct gns_store **out, struct gns_error *err)
{
	const char *kind = getenv("FAKE_STORE");
	struct gns_store *store = calloc(1, sizeof *store);
	if (!store)
		return gns_fail(err, -ENOMEM, "no memory");
	snprintf(store->stuck, sizeof store->stuck, "%s.stuck", path);
	if (kind && strcmp(kind, "waiting") == 0)
		model_waiting(&store->model);
	else if (kind && strcmp(kind, "finished") == 0)
		model_finished(&store->model);
	else
		model_training(&store->model);
	*out = store;
	return 0;
}

void gns_store_close(struct gns_store *store)
{
	gns_model_free(&store->model);
	free(store);
}

int gns_store_find_run(struct gns_store *store, const char *ref, int64_t *run_id, struct gns_error *err)
{
	const char *kind = getenv("FAKE_STORE");
	if (kind && strcmp(kind, "no-run") == 0)
		return gns_fail(err, -ENOENT, "There is no run in this store yet.");
	*run_id = 3;
	return 0;
}

int64_t gns_store_data_version(struct gns_store *store)
{
	const char *fault = getenv("FAKE_FAULT");
	store->version++;
	if (fault && store->version == 3)
		raise(strcmp(fault, "segv") == 0 ? SIGSEGV : SIGABRT);
	if (getenv("FAKE_STUCK") && store->version == 3) {
		FILE *f = fopen(store->stuck, "w");
		if (f)
			fclose(f);
		for (;;)
			pause();
	}
	return store->version;
}

int gns_store_summary(struct gns_store *store, int64_t run_id, int64_t window, struct gns_summary *out, struct gns_error *err)
{
	*out = store->model.summary;
	out->run.run_id = run_id;
	if (run_id != 3)
		strcpy(out->run.name, run_id == 2 ? "char_lm" : "mlp");
	if (out->run.steps >= 2000)
		out->run.steps += store->version;
	out->last_step_ns = UINT64_MAX;
	return 0;
}

int gns_store_live(struct gns_store *store, int64_t run_id, struct gns_live *rows, size_t max, size_t *n, struct gns_error *err)
{
	*n = store->model.n_live < max ? store->model.n_live : max;
	memcpy(rows, store->model.live, *n * sizeof *rows);
	return 0;
}

int gns_store_series(struct gns_store *store, int64_t run_id, int64_t step_lo, int64_t step_hi, size_t max_points,
		     struct gns_point **points, size_t *n, struct gns_error *err)
{
	*n = store->model.n_points;
	*points = copied(store->model.points, *n, sizeof **points);
	return 0;
}

int gns_store_run_info(struct gns_store *store, int64_t run_id, struct gns_run_info *out, struct gns_error *err)
{
	*out = store->model.summary.run;
	return 0;
}

int gns_store_summary_range(struct gns_store *store, int64_t run_id, int64_t step_lo, int64_t step_hi, struct gns_summary *out,
			    struct gns_error *err)
{
	gns_store_summary(store, run_id, 0, out, err);
	out->run.steps = step_hi;
	return 0;
}

int gns_store_split(struct gns_store *store, int64_t run_id, int64_t newest, struct gns_split *out, struct gns_error *err)
{
	*out = store->model.split;
	return 0;
}

int gns_store_layer_history(struct gns_store *store, int64_t run_id, size_t max_points, struct gns_history *out, struct gns_error *err)
{
	*out = (struct gns_history){0};
	return 0;
}

int gns_store_session_key(struct gns_store *store, int64_t run_id, uint64_t *key, struct gns_error *err)
{
	const char *told = getenv("FAKE_KEY");
	*key = told ? strtoull(told, NULL, 10) : 1;
	return 0;
}

int gns_store_gpu(struct gns_store *store, int64_t run_id, int64_t window, struct gns_gpu *out, struct gns_error *err)
{
	*out = (struct gns_gpu){0};
	return 0;
}

#define GIVE(function, type, field)                                                                                        \
	int function                                                                                                       \
	{                                                                                                                  \
		*n = store->model.n_##field;                                                                               \
		*rows = copied(store->model.field, *n, sizeof(type));                                                      \
		return 0;                                                                                                  \
	}

GIVE(gns_store_layers(struct gns_store *store, int64_t run_id, int64_t window, struct gns_layer **rows, size_t *n, struct gns_error *err),
     struct gns_layer, layers)
GIVE(gns_store_kernels(struct gns_store *store, int64_t run_id, int64_t window, struct gns_kernel_row **rows, size_t *n,
		       struct gns_error *err),
     struct gns_kernel_row, kernels)
GIVE(gns_store_runs(struct gns_store *store, struct gns_run_info **rows, size_t *n, struct gns_error *err), struct gns_run_info, runs)
GIVE(gns_store_counters(struct gns_store *store, int64_t run_id, struct gns_counter_row **rows, size_t *n, struct gns_error *err),
     struct gns_counter_row, counters)
GIVE(gns_store_events(struct gns_store *store, int64_t run_id, struct gns_event_row **rows, size_t *n, struct gns_error *err),
     struct gns_event_row, events)
