/* Everything that is known of a run's devices, and why nothing is known of their kernels. */
#include "gnscope/text.h"
#include "internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int64_t counted(const struct gns_counter_row *rows, size_t n, const char *collector, const char *name)
{
	int64_t sum = 0;
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].collector, collector) == 0 && (!name || strcmp(rows[i].name, name) == 0))
			sum += rows[i].value;
	return sum;
}

/* Whether the program has asked a device for anything: a library of CUDA's in the process is no use of it yet. */
static bool uses_device(const struct gns_gpu *gpu, const struct gns_counter_row *rows, size_t n)
{
	static const char *const collectors[] = { "cublas", "cublaslt", "cudnn", "nccl", "cuda", "cupti" };
	for (size_t i = 0; i < sizeof collectors / sizeof *collectors; i++)
		if (counted(rows, n, collectors[i], NULL) > 0)
			return true;
	for (size_t i = 0; i < gpu->n_libraries; i++)
		if (strcmp(gpu->libraries[i].name, "cuda") != 0 && strcmp(gpu->libraries[i].name, "cupti") != 0)
			return true;
	return false;
}

static bool has_library(const struct gns_gpu *gpu, const char *name)
{
	for (size_t i = 0; i < gpu->n_libraries; i++)
		if (strcmp(gpu->libraries[i].name, name) == 0)
			return true;
	return false;
}

static void why_not(struct gns_gpu *gpu, const struct gns_counter_row *rows, size_t n)
{
	int64_t windows = counted(rows, n, "cupti", "windows"), given_up = counted(rows, n, "cupti", "steps_abandoned");
	int64_t refused = counted(rows, n, "cupti", "refused");
	if (gpu->n_devices > 0 || !uses_device(gpu, rows, n))
		return;
	if (gpu->owner[0])
		snprintf(gpu->why_not, sizeof gpu->why_not, "no kernel times: CUPTI serves one client at a time, and %s had it", gpu->owner);
	else if (windows > 0)
		snprintf(gpu->why_not, sizeof gpu->why_not, "no kernel times: %" PRId64 " window%s opened, no step of %s was reported (%" PRId64 " given up)",
			 windows, windows == 1 ? " was" : "s were", windows == 1 ? "it" : "them", given_up);
	else if (refused > 0)
		snprintf(gpu->why_not, sizeof gpu->why_not, "no kernel times: CUPTI could not be used, %" PRId64 " time%s", refused, refused == 1 ? "" : "s");
	else if (counted(rows, n, "cupti", "not_found") > 0)
		snprintf(gpu->why_not, sizeof gpu->why_not, "no kernel times: no libcupti was found that fits the program's CUDA");
	else if (has_library(gpu, "cupti"))
		snprintf(gpu->why_not, sizeof gpu->why_not, "no kernel times: no window was opened yet");
	else
		snprintf(gpu->why_not, sizeof gpu->why_not, "no kernel times: CUPTI was not used: --kernels off, or too short a run");
}

static int read_why(struct gns_store *store, int64_t run_id, struct gns_gpu *gpu, struct gns_error *err)
{
	struct gns_counter_row *counters = NULL;
	struct gns_run_info run;
	size_t n = 0;
	int rc = gns_store_run_info(store, run_id, &run, err);
	if (rc == 0)
		rc = gns_store_counters(store, run.main_run_id, &counters, &n, err);
	if (rc < 0)
		return rc;
	char owner[96];
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_EVENT_TEXT, "it", run.main_run_id, "cupti_owner");
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW) {
		gns_column_text(stmt, 0, owner, sizeof owner);
		gns_text_safe(gpu->owner, sizeof gpu->owner, owner);
	}
	sqlite3_reset(stmt);
	why_not(gpu, counters, n);
	free(counters);
	return 0;
}

int gns_store_gpu(struct gns_store *store, int64_t run_id, int64_t window, struct gns_gpu *out, struct gns_error *err)
{
	bool mine;
	*out = (struct gns_gpu){ 0 };
	int rc = gns_snapshot_begin(store, err, "read", &mine);
	if (rc < 0)
		return rc;
	rc = gns_store_devices(store, run_id, window, &out->devices, &out->n_devices, err);
	if (rc == 0)
		rc = gns_store_device_kernels(store, run_id, window, &out->kernels, &out->n_kernels, err);
	if (rc == 0)
		rc = gns_store_libraries(store, run_id, &out->libraries, &out->n_libraries, err);
	if (rc == 0)
		rc = read_why(store, run_id, out, err);
	gns_snapshot_end(store, mine);
	if (rc < 0)
		gns_gpu_free(out);
	return rc;
}
