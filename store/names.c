/* What the weights and kernels of a process are, and which number each has in the run. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

static const char *const dtype_names[GNS_DTYPES] = { NULL, "f32", "f64", "f16", "bf16" };
const char *const gns_left_out_names[GNS_LEFT_OUTS] = GNS_LEFT_OUT_NAMES;

int gns_ids_set(struct gns_ids *ids, uint32_t local, uint32_t id)
{
	if (local >= GNS_MAX_LOCAL_ID)
		return -EINVAL;
	if (local >= ids->n) {
		uint32_t n = ids->n ? ids->n : 64;
		while (n <= local)
			n *= 2;
		uint32_t *of = realloc(ids->of, n * sizeof *of);
		if (!of)
			return -ENOMEM;
		memset(of + ids->n, 0, (n - ids->n) * sizeof *of);
		ids->of = of;
		ids->n = n;
	}
	ids->of[local] = id;
	return 0;
}

uint32_t gns_ids_get(const struct gns_ids *ids, uint32_t local)
{
	return local < ids->n ? ids->of[local] : 0;
}

static bool ids_have(const struct gns_ids *ids, int64_t id)
{
	for (uint32_t i = 0; i < ids->n; i++)
		if (ids->of[i] == id)
			return true;
	return false;
}

/* ---- weights ---- */

static bool possible(const struct gns_rec_param *param)
{
	uint64_t cols = 1;
	if (param->param_id == 0 || param->param_id >= GNS_MAX_LOCAL_ID || param->dtype >= GNS_DTYPES || param->rows == 0 ||
	    param->cols == 0 || param->rows > GNS_WHOLE_MAX / param->cols || param->excluded >= GNS_LEFT_OUTS || param->bucket > 1)
		return false;
	for (int i = 0; i < 4 && param->dims[i]; i++)
		cols *= param->dims[i]; /* four of 16 bits: fits */
	return param->dims[0] == 0 || cols == param->cols;
}

/* "64x3x7x7"; a vector has one dimension. */
static void shape_of(const struct gns_rec_param *param, char *out, size_t size)
{
	int at = snprintf(out, size, "%llu", (unsigned long long)param->rows);
	if (param->dims[0] == 0 && param->cols > 1)
		snprintf(out + at, size - (size_t)at, "x%llu", (unsigned long long)param->cols);
	for (int i = 0; i < 4 && param->dims[i]; i++)
		at += snprintf(out + at, size - (size_t)at, "x%u", param->dims[i]);
}

static bool same_shape(struct gns_store *store, int64_t run_id, int64_t param_id, const struct gns_rec_param *param, bool *exists)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_PARAM_SHAPE, "ii", run_id, param_id);
	*exists = stmt && sqlite3_step(stmt) == SQLITE_ROW;
	bool same = *exists && (uint64_t)sqlite3_column_int64(stmt, 0) == param->rows &&
		    (uint64_t)sqlite3_column_int64(stmt, 1) == param->cols;
	sqlite3_reset(stmt);
	return same;
}

/* The number of a weight that another rank has told of: the one of the same name and shape, else the one that has
 * the same number there. 0: none. */
static int64_t shared_id(struct gns_store *store, const struct gns_rank *rank, int64_t run_id, const struct gns_rec_param *param,
			 const char *name)
{
	bool exists;
	if (!rank->pooled)
		return 0;
	int64_t id = gns_sql_int(store, GNS_SQL_PARAM_NAMED, 0, "itiii", run_id, name, (int64_t)param->rows, (int64_t)param->cols,
				 (int64_t)param->param_id);
	if (id > 0 && !ids_have(&rank->params, id))
		return id;
	id = param->param_id;
	return same_shape(store, run_id, id, param, &exists) && !ids_have(&rank->params, id) ? id : 0;
}

static int insert_param(struct gns_store *store, int64_t run_id, int64_t id, const char *name, const struct gns_rec_param *param)
{
	char shape[64];
	shape_of(param, shape, sizeof shape);
	return gns_sql_run(store, GNS_SQL_PARAM_INSERT, "iittiiiitti", run_id, id, name, dtype_names[param->dtype], (int64_t)param->rows,
			   (int64_t)param->cols, (int64_t)(param->rows * param->cols), (int64_t)(param->excluded != 0),
			   param->excluded ? gns_left_out_names[param->excluded] : NULL, shape, (int64_t)param->bucket);
}

int gns_names_param(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_param *param)
{
	int64_t run_id = store->writer->runs[rank->run].run_id;
	char name[sizeof param->name + 1];
	bool exists;
	if (!possible(param))
		return gns_malformed(rank, "weight: id, dtype, shape or reason out of range");
	if (GNS_FIELD(name, param->name)[0] == 0)
		snprintf(name, sizeof name, "weight %u", param->param_id);
	int64_t id = gns_ids_get(&rank->params, param->param_id);
	if (id > 0) {
		if (!same_shape(store, run_id, id, param, &exists))
			return gns_malformed(rank, "weight: its shape changed");
		return gns_sql_run(store, GNS_SQL_PARAM_UPDATE, "titii", name, (int64_t)(param->excluded != 0),
				   param->excluded ? gns_left_out_names[param->excluded] : NULL, run_id, id);
	}
	int rc = SQLITE_OK;
	id = shared_id(store, rank, run_id, param, name);
	if (id == 0) {
		id = param->param_id;
		same_shape(store, run_id, id, param, &exists);
		if (exists)
			id = gns_sql_int(store, GNS_SQL_PARAM_FREE, 1, "i", run_id);
		rc = insert_param(store, run_id, id, name, param);
	}
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_RANK_PARAM_INSERT, "iii", rank->rank_id, (int64_t)param->param_id, id);
	if (rc == SQLITE_OK && gns_ids_set(&rank->params, param->param_id, (uint32_t)id) < 0)
		rc = SQLITE_NOMEM;
	return rc;
}

/* ---- kernels ---- */

static bool device_family(const char *family)
{
	static const char *const families[] = GNS_DEVICE_FAMILIES;
	for (size_t i = 0; i < sizeof families / sizeof *families; i++)
		if (strcmp(family, families[i]) == 0)
			return true;
	return false;
}

static int add_kernel(struct gns_store *store, struct gns_rank *rank, uint32_t local, const char *family, const char *name)
{
	struct gns_ids *ids = device_family(family) ? &rank->device_kernels : &rank->kernels;
	int64_t run_id = store->writer->runs[rank->run].run_id;
	int64_t id = gns_sql_int(store, GNS_SQL_KERNEL_FIND, -1, "itt", run_id, family, name);
	int rc = SQLITE_OK;
	if (id < 0) {
		id = gns_sql_int(store, GNS_SQL_KERNEL_FREE, 1, "i", run_id);
		rc = gns_sql_run(store, GNS_SQL_KERNEL_INSERT, "iitt", run_id, id, family, name);
	}
	if (rc == SQLITE_OK)
		rc = gns_sql_run(store, GNS_SQL_RANK_KERNEL_INSERT, "iii", rank->rank_id, (int64_t)local, id);
	if (rc == SQLITE_OK && gns_ids_set(ids, local, (uint32_t)id) < 0)
		rc = SQLITE_NOMEM;
	return rc;
}

/* Numbers that are 0 are not known. */
static int set_device(struct gns_store *store, const struct gns_rank *rank, int64_t id, const int64_t of[4])
{
	int64_t run_id = store->writer->runs[rank->run].run_id;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_KERNEL_DEVICE, "iiiiii", of[0], of[1], of[2], of[3], run_id, id);
	if (!stmt)
		return sqlite3_errcode(store->db);
	for (int i = 0; i < 4; i++)
		if (of[i] == 0)
			sqlite3_bind_null(stmt, i + 1);
	sqlite3_step(stmt);
	return sqlite3_reset(stmt);
}

static bool same_name(struct gns_store *store, const struct gns_rank *rank, int64_t id, const char *family, const char *name)
{
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_KERNEL_NAME, "ii", store->writer->runs[rank->run].run_id, id);
	bool same = stmt && sqlite3_step(stmt) == SQLITE_ROW && strcmp((const char *)sqlite3_column_text(stmt, 0), family) == 0 &&
		    strcmp((const char *)sqlite3_column_text(stmt, 1), name) == 0;
	sqlite3_reset(stmt);
	return same;
}

/* A kernel on a device may be told of again, when a longer call had another grid. */
static int name_device_kernel(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_kernel *kernel, const char *family,
			      const char *name)
{
	const int64_t of[4] = { kernel->registers, kernel->block, kernel->grid, kernel->shared };
	int64_t id = gns_ids_get(&rank->device_kernels, kernel->kernel_id);
	if (id > 0 && !same_name(store, rank, id, family, name))
		return gns_malformed(rank, "kernel: named twice");
	int rc = id > 0 ? SQLITE_OK : add_kernel(store, rank, kernel->kernel_id, family, name);
	return rc == SQLITE_OK ? set_device(store, rank, gns_ids_get(&rank->device_kernels, kernel->kernel_id), of) : rc;
}

int gns_names_kernel(struct gns_store *store, struct gns_rank *rank, const struct gns_rec_kernel *kernel)
{
	char name[sizeof kernel->name + 1], family[sizeof kernel->family + 1];
	if (kernel->kernel_id == 0 || kernel->kernel_id >= GNS_MAX_LOCAL_ID)
		return gns_malformed(rank, "kernel: id out of range");
	if (gns_ids_get(&rank->kernels, kernel->kernel_id) > 0)
		return gns_malformed(rank, "kernel: named twice");
	GNS_FIELD(family, kernel->family);
	GNS_FIELD(name, kernel->name);
	if (device_family(family))
		return name_device_kernel(store, rank, kernel, family, name);
	if (strncmp(family, "gpu ", 4) == 0 || gns_ids_get(&rank->device_kernels, kernel->kernel_id) > 0)
		return gns_malformed(rank, "kernel: of an unknown family, or named twice");
	return add_kernel(store, rank, kernel->kernel_id, family, name);
}

int gns_names_adopt_kernel(struct gns_store *store, struct gns_rank *rank, const struct gns_rank *from, uint32_t local)
{
	char name[96] = "", family[24] = "";
	int64_t device = gns_ids_get(&from->device_kernels, local), id = device > 0 ? device : gns_ids_get(&from->kernels, local), of[4] = { 0 };
	if (id == 0 || gns_ids_get(&rank->kernels, local) > 0 || gns_ids_get(&rank->device_kernels, local) > 0)
		return SQLITE_OK;
	sqlite3_stmt *stmt = gns_sql_bind(store, GNS_SQL_KERNEL_NAME, "ii", store->writer->runs[from->run].run_id, id);
	bool known = stmt && sqlite3_step(stmt) == SQLITE_ROW;
	if (known) {
		gns_column_text(stmt, 0, family, sizeof family);
		gns_column_text(stmt, 1, name, sizeof name);
		for (int i = 0; i < 4; i++)
			of[i] = sqlite3_column_int64(stmt, 2 + i);
	}
	sqlite3_reset(stmt);
	int rc = known ? add_kernel(store, rank, local, family, name) : SQLITE_OK;
	return rc == SQLITE_OK && known && device > 0 ? set_device(store, rank, gns_ids_get(&rank->device_kernels, local), of) : rc;
}
