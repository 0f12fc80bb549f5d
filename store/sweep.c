/* Sweeps: what they are, their points, and the losses of a run. The contract is include/gnscope/sweep.h. */
#include "gnscope/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

static const char *const names[] = {"waiting", "running", "reached", "capped", "slower", "ended", "diverged", "failed", "stopped"};
#define N_NAMES ((int)(sizeof names / sizeof *names))

const char *gns_sweep_status_name(enum gns_sweep_status status)
{
	return names[status];
}

int gns_sweep_status_of(const char *name)
{
	for (int i = 0; i < N_NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

/* Formats as of gns_sql_bind, and I: a negative integer is NULL; s: "" is NULL. */
static sqlite3_stmt *prepare(struct gns_store *store, const char *sql, const char *format, ...)
{
	sqlite3_stmt *stmt = NULL;
	if (sqlite3_prepare_v2(store->db, sql, -1, &stmt, NULL) != SQLITE_OK)
		return NULL;
	va_list ap;
	va_start(ap, format);
	for (int i = 1; *format; i++, format++) {
		if (*format == 'i' || *format == 'I') {
			int64_t value = va_arg(ap, int64_t);
			if (*format == 'i' || value >= 0)
				sqlite3_bind_int64(stmt, i, value);
		} else if (*format == 'd') {
			double value = va_arg(ap, double);
			if (isfinite(value))
				sqlite3_bind_double(stmt, i, value);
		} else {
			const char *value = va_arg(ap, const char *);
			if (*format == 't' || *value)
				sqlite3_bind_text(stmt, i, value, -1, SQLITE_TRANSIENT);
		}
	}
	va_end(ap);
	return stmt;
}

static int run(struct gns_store *store, sqlite3_stmt *stmt, struct gns_error *err)
{
	int step = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
	int rc = step == SQLITE_DONE || step == SQLITE_ROW ? 0 : gns_store_fail(store, err, "write");
	sqlite3_finalize(stmt);
	return rc;
}

#define SWEEP_COLUMNS "sweep_id,name,command,cwd,target_loss,window,loss_regex,step_regex,lr_rule,lr_batch,start_ns,end_ns"

static void read_sweep(sqlite3_stmt *stmt, struct gns_sweep *out)
{
	memset(out, 0, sizeof *out);
	out->sweep_id = sqlite3_column_int64(stmt, 0);
	gns_column_text(stmt, 1, out->name, sizeof out->name);
	gns_column_text(stmt, 2, out->command, sizeof out->command);
	gns_column_text(stmt, 3, out->cwd, sizeof out->cwd);
	out->target_loss = gns_column_double(stmt, 4);
	out->window = gns_column_double(stmt, 5);
	gns_column_text(stmt, 6, out->loss_regex, sizeof out->loss_regex);
	gns_column_text(stmt, 7, out->step_regex, sizeof out->step_regex);
	gns_column_text(stmt, 8, out->lr_rule, sizeof out->lr_rule);
	out->lr_batch = gns_column_double(stmt, 9);
	out->start_ns = (uint64_t)sqlite3_column_int64(stmt, 10);
	out->end_ns = (uint64_t)gns_column_int(stmt, 11, 0);
}

/* 1: found, 0: not there. */
static int find(struct gns_store *store, const char *ref, struct gns_sweep *out, struct gns_error *err)
{
	sqlite3_stmt *stmt;
	if (ref)
		stmt = prepare(store, "SELECT " SWEEP_COLUMNS " FROM sweep WHERE name=?1 OR sweep_id=CASE WHEN ?1 GLOB '[0-9]*' THEN "
			       "CAST(?1 AS INTEGER) END ORDER BY name=?1 DESC LIMIT 1", "t", ref);
	else
		stmt = prepare(store, "SELECT " SWEEP_COLUMNS " FROM sweep ORDER BY sweep_id DESC LIMIT 1", "");
	int step = stmt ? sqlite3_step(stmt) : SQLITE_ERROR;
	if (step == SQLITE_ROW)
		read_sweep(stmt, out);
	int rc = step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : gns_store_fail(store, err, "read");
	sqlite3_finalize(stmt);
	return rc;
}

static int not_there(struct gns_store *store, const char *ref, struct gns_error *err)
{
	char list[300] = "";
	size_t n = 0;
	sqlite3_stmt *stmt = prepare(store, "SELECT name FROM sweep ORDER BY sweep_id DESC LIMIT 8", "");
	while (stmt && sqlite3_step(stmt) == SQLITE_ROW && n + 64 < sizeof list)
		n += (size_t)snprintf(list + n, sizeof list - n, "%s%.50s", n ? ", " : "", (const char *)sqlite3_column_text(stmt, 0));
	sqlite3_finalize(stmt);
	if (!n)
		return gns_fail(err, -ENOENT, "there is no sweep in %s; start one with gnscope sweep", store->path);
	return gns_fail(err, -ENOENT, "there is no sweep '%s' in %s; there is: %s", ref, store->path, list);
}

int gns_store_find_sweep(struct gns_store *store, const char *ref, struct gns_sweep *out, struct gns_error *err)
{
	int found = find(store, ref, out, err);
	return found > 0 ? 0 : found < 0 ? found : not_there(store, ref ? ref : "", err);
}

static bool same(const struct gns_sweep *a, const struct gns_sweep *b)
{
	return strcmp(a->command, b->command) == 0 && a->target_loss == b->target_loss && a->window == b->window &&
	       strcmp(a->loss_regex, b->loss_regex) == 0 && strcmp(a->step_regex, b->step_regex) == 0;
}

static int exists(struct gns_store *store, const struct gns_sweep *there, const struct gns_sweep *wanted, struct gns_error *err)
{
	const char *what = strcmp(there->command, wanted->command) != 0 ? "of another command"
		: there->target_loss != wanted->target_loss ? "to another target loss" : "that reads or smooths the loss in another way";
	return gns_fail(err, -EEXIST, "there is already a sweep '%s' in %s, %s; give this one another --name, or repeat the command "
			"as it was to go on with that one", there->name, store->path, what);
}

int gns_store_sweep_begin(struct gns_store *store, struct gns_sweep *sweep, struct gns_error *err)
{
	struct gns_sweep there;
	int found = find(store, sweep->name, &there, err);
	if (found < 0)
		return found;
	if (found && strcmp(there.name, sweep->name) == 0) {
		if (!same(&there, sweep))
			return exists(store, &there, sweep, err);
		sweep->sweep_id = there.sweep_id;
		sweep->start_ns = there.start_ns;
		return 0;
	}
	int rc = run(store, prepare(store, "INSERT INTO sweep(name,command,cwd,target_loss,window,loss_regex,step_regex,lr_rule,lr_batch,"
				    "version,start_ns) VALUES(?,?,?,?,?,?,?,?,?,?,?)", "ttsddsstdti", sweep->name, sweep->command, sweep->cwd,
				    sweep->target_loss, sweep->window, sweep->loss_regex, sweep->step_regex, sweep->lr_rule,
				    sweep->lr_batch, GNS_VERSION, (int64_t)sweep->start_ns), err);
	sweep->sweep_id = sqlite3_last_insert_rowid(store->db);
	return rc;
}

#define POINT_COLUMNS "sweep_run_id,batch,lr,seed,run_id,status,steps,steps_se,samples,loss,losses,cap_steps,start_ns,end_ns,note"

static void read_point(sqlite3_stmt *stmt, struct gns_sweep_point *out)
{
	char status[32];
	memset(out, 0, sizeof *out);
	out->sweep_run_id = sqlite3_column_int64(stmt, 0);
	out->batch = sqlite3_column_int64(stmt, 1);
	out->lr = gns_column_double(stmt, 2);
	out->seed = gns_column_int(stmt, 3, -1);
	out->run_id = gns_column_int(stmt, 4, -1);
	gns_column_text(stmt, 5, status, sizeof status);
	int known = gns_sweep_status_of(status);
	out->status = known < 0 ? GNS_SWEEP_FAILED : (enum gns_sweep_status)known;
	out->reached = out->status == GNS_SWEEP_REACHED;
	out->censored = out->status >= GNS_SWEEP_CAPPED && out->status <= GNS_SWEEP_DIVERGED;
	out->steps = gns_column_double(stmt, 6);
	out->steps_se = gns_column_double(stmt, 7);
	out->samples = gns_column_double(stmt, 8);
	out->loss = gns_column_double(stmt, 9);
	out->losses = gns_column_int(stmt, 10, -1);
	out->cap_steps = gns_column_double(stmt, 11);
	out->start_ns = (uint64_t)gns_column_int(stmt, 12, 0);
	out->end_ns = (uint64_t)gns_column_int(stmt, 13, 0);
	gns_column_text(stmt, 14, out->note, sizeof out->note);
}

int gns_store_sweep_points(struct gns_store *store, int64_t sweep_id, struct gns_sweep_point **points, size_t *n,
			   struct gns_error *err)
{
	size_t max = 0;
	*points = NULL;
	*n = 0;
	sqlite3_stmt *stmt = prepare(store, "SELECT " POINT_COLUMNS " FROM sweep_run WHERE sweep_id=? ORDER BY batch,lr,seed", "i", sweep_id);
	int step = SQLITE_ERROR;
	while (stmt && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (*n == max) {
			max = max ? 2 * max : 64;
			struct gns_sweep_point *grown = realloc(*points, max * sizeof *grown);
			if (!grown)
				break;
			*points = grown;
		}
		read_point(stmt, &(*points)[(*n)++]);
	}
	int rc = step == SQLITE_DONE ? 0 : step == SQLITE_ROW ? gns_fail(err, -ENOMEM, "no memory left for the points of a sweep")
		: gns_store_fail(store, err, "read");
	sqlite3_finalize(stmt);
	if (rc) {
		free(*points);
		*points = NULL;
		*n = 0;
	}
	return rc;
}

int gns_store_sweep_add(struct gns_store *store, int64_t sweep_id, struct gns_sweep_point *point, struct gns_error *err)
{
	int rc = run(store, prepare(store, "INSERT INTO sweep_run(sweep_id,batch,lr,seed) SELECT ?1,?2,?3,?4 WHERE NOT EXISTS(SELECT 1 FROM "
				    "sweep_run WHERE sweep_id=?1 AND batch=?2 AND lr IS ?3 AND seed IS ?4)", "iidI", sweep_id, point->batch,
				    point->lr, point->seed), err);
	if (rc)
		return rc;
	sqlite3_stmt *stmt = prepare(store, "SELECT " POINT_COLUMNS " FROM sweep_run WHERE sweep_id=? AND batch=? AND lr IS ? AND seed IS ?",
				     "iidI", sweep_id, point->batch, point->lr, point->seed);
	if (stmt && sqlite3_step(stmt) == SQLITE_ROW)
		read_point(stmt, point);
	else
		rc = gns_store_fail(store, err, "read");
	sqlite3_finalize(stmt);
	return rc;
}

/* The sweep ended its run because the target was reached: that is how it ended, not by whom. */
static int mark_reached(struct gns_store *store, const struct gns_sweep_point *p, struct gns_error *err)
{
	return run(store, prepare(store, "UPDATE run SET status='reached' WHERE ?1 IN (run_id,main_run_id) AND status='killed'", "I", p->run_id), err);
}

int gns_store_sweep_set(struct gns_store *store, const struct gns_sweep_point *p, struct gns_error *err)
{
	int rc = p->reached ? mark_reached(store, p, err) : 0;
	if (rc < 0)
		return rc;
	return run(store, prepare(store, "UPDATE sweep_run SET run_id=?,status=?,steps=?,steps_se=?,samples=?,loss=?,losses=?,cap_steps=?,"
				  "start_ns=?,end_ns=?,note=? WHERE sweep_run_id=?", "ItddddIdIIsi", p->run_id, names[p->status], p->steps,
				  p->steps_se, p->samples, p->loss, p->losses, p->cap_steps, p->start_ns ? (int64_t)p->start_ns : -1,
				  p->end_ns ? (int64_t)p->end_ns : -1, p->note, p->sweep_run_id), err);
}

int gns_store_sweep_end(struct gns_store *store, int64_t sweep_id, uint64_t end_ns, struct gns_error *err)
{
	return run(store, prepare(store, "UPDATE sweep SET end_ns=? WHERE sweep_id=?", "Ii", end_ns ? (int64_t)end_ns : -1, sweep_id), err);
}

int gns_store_losses(struct gns_store *store, int64_t run_id, int64_t after_step, struct gns_loss_point *points, size_t max, size_t *n,
		     struct gns_error *err)
{
	*n = 0;
	sqlite3_stmt *stmt = prepare(store, "SELECT step,avg(loss) FROM step WHERE run_id=? AND step>? AND loss IS NOT NULL GROUP BY step "
				     "ORDER BY step LIMIT ?", "iii", run_id, after_step, (int64_t)max);
	int step = SQLITE_ERROR;
	while (stmt && (step = sqlite3_step(stmt)) == SQLITE_ROW && *n < max)
		points[(*n)++] = (struct gns_loss_point){sqlite3_column_int64(stmt, 0), sqlite3_column_double(stmt, 1)};
	int rc = step == SQLITE_DONE ? 0 : gns_store_fail(store, err, "read");
	sqlite3_finalize(stmt);
	return rc;
}
