#include "tests/fuzz/read_all.h"

#include <stdlib.h>

#include "gnscope/sweep.h"
#include "gnscope/text.h"

static void read_tables(struct gns_store *store, int64_t run, int64_t window)
{
	struct gns_layer *layers = NULL;
	struct gns_kernel_row *kernels = NULL;
	struct gns_gpu gpu;
	struct gns_split split;
	size_t n;
	if (gns_store_layers(store, run, window, &layers, &n, NULL) == 0) {
		const struct gns_layer *noisiest, *most;
		gns_layers_outstanding(layers, n, &noisiest, &most);
	}
	gns_store_kernels(store, run, window, &kernels, &n, NULL);
	if (gns_store_gpu(store, run, window, &gpu, NULL) == 0)
		gns_gpu_free(&gpu);
	gns_store_split(store, run, window, &split, NULL);
	free(layers);
	free(kernels);
}

static void read_series(struct gns_store *store, int64_t run)
{
	struct gns_point *points = NULL;
	struct gns_history history;
	struct gns_loss_point losses[64];
	struct gns_live live[4];
	size_t n;
	gns_store_series(store, run, 1, -1, 50, &points, &n, NULL);
	free(points);
	points = NULL;
	gns_store_series(store, run, 10, 40, 7, &points, &n, NULL);
	free(points);
	if (gns_store_layer_history(store, run, 20, &history, NULL) == 0)
		free(history.s);
	gns_store_losses(store, run, 0, losses, 64, &n, NULL);
	gns_store_live(store, run, live, 4, &n, NULL);
}

void gns_fuzz_read_run(struct gns_store *store, int64_t run)
{
	struct gns_summary summary;
	struct gns_counter_row *counters = NULL;
	struct gns_event_row *events = NULL;
	struct gns_setting_row *settings = NULL;
	struct gns_run_info *streams = NULL;
	char text[1024];
	uint64_t key;
	size_t n;
	for (int64_t window = 0; window <= 40; window += 20)
		if (gns_store_summary(store, run, window, &summary, NULL) == 0)
			gns_text_verdict(text, sizeof text, &summary, NULL);
	gns_store_summary_range(store, run, 5, 30, &summary, NULL);
	read_tables(store, run, 0);
	read_tables(store, run, 17);
	read_series(store, run);
	gns_store_counters(store, run, &counters, &n, NULL);
	gns_store_events(store, run, &events, &n, NULL);
	gns_store_settings(store, run, &settings, &n, NULL);
	gns_store_streams(store, run, &streams, &n, NULL);
	gns_store_session_key(store, run, &key, NULL);
	free(counters);
	free(events);
	free(settings);
	free(streams);
}

void gns_fuzz_read_all(struct gns_store *store)
{
	struct gns_run_info *runs = NULL;
	struct gns_sweep sweep;
	struct gns_sweep_point *points = NULL;
	size_t n = 0;
	if (gns_store_runs(store, &runs, &n, NULL) != 0)
		n = 0;
	for (size_t i = 0; i < n && i < 8; i++)
		gns_fuzz_read_run(store, runs[i].run_id);
	free(runs);
	if (gns_store_find_sweep(store, NULL, &sweep, NULL) == 0)
		gns_store_sweep_points(store, sweep.sweep_id, &points, &n, NULL);
	free(points);
}
