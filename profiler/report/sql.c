/* The queries behind the pictures. Each was written for the tables of docs/reference/schema.md; a test runs them and compares. */
#include <inttypes.h>
#include <math.h>

#include "profiler/report/report.h"

#define ID run->summary.run.run_id

/* The last step that a stored block of `size` holds: the block of the last step is not stored, even when it is full. */
static int64_t blocks_end(const struct gns_report_run *run, int64_t size)
{
	return run->rolled > 0 ? (run->rolled - 1) / size * size : 0;
}

/* Something of each stretch of `w` steps; `place` is a row's distance from the first step. */
static void by_stretch(char *dst, size_t size, int64_t w, const char *with, const char *place, const char *columns, const char *from)
{
	snprintf(dst, size, "%sSELECT %s / %" PRId64 " * %" PRId64 " + 1 AS from_step, %s\nFROM %sGROUP BY 1 ORDER BY 1;", with, place, w, w, columns, from);
}

static void noise(char *dst, size_t size, const struct gns_report_run *run)
{
	char with[400] = "", from[200] = "part ";
	bool steps = run->width < 32; /* of fewer than a block: from single steps */
	if (steps)
		snprintf(from, sizeof from, "step_total WHERE run_id = %" PRId64 " AND step <= %" PRId64 "\n", ID, run->rolled);
	else
		snprintf(with, sizeof with,
			 "WITH part AS (\n"
			 "  SELECT block * 32 + 1 AS step, count, s, g2 FROM rollup WHERE run_id = %" PRId64 " AND size = 32 AND count > 0\n"
			 "  UNION ALL\n"
			 "  SELECT step, 1, weight * s, weight * g2 FROM step_total WHERE run_id = %" PRId64 " AND step > %" PRId64 " AND step <= %" PRId64 ")\n",
			 ID, ID, blocks_end(run, 32), run->rolled);
	by_stretch(dst, size, run->width, with, "(step - 1)", steps ? "count(*) AS measured, sum(weight * s) / sum(weight * g2) AS b_noise" :
		   "sum(count) AS measured, sum(s) / sum(g2) AS b_noise", from);
}

static void loss(char *dst, size_t size, const struct gns_report_run *run)
{
	char from[200];
	bool steps = run->fine_width < 32;
	if (steps)
		snprintf(from, sizeof from, "step WHERE run_id = %" PRId64 " AND loss IS NOT NULL AND step <= %" PRId64 "\n", ID, run->rolled);
	else
		snprintf(from, sizeof from, "rollup WHERE run_id = %" PRId64 " AND size = 32 AND loss_count > 0 AND block * 32 < %" PRId64 "\n", ID, run->rolled);
	by_stretch(dst, size, run->fine_width, "", steps ? "(step - 1)" : "block * 32", steps ? "avg(loss) AS loss" :
		   "sum(loss_sum) / sum(loss_count) AS loss", from);
}

static void tradeoff(char *dst, size_t size, const struct gns_report_run *run)
{
	snprintf(dst, size,
		 "WITH RECURSIVE\n"
		 "  crit AS (SELECT b_crit, b_crit_lo, b_crit_hi FROM run WHERE run_id = %" PRId64 "),\n"
		 "  batch(b) AS (SELECT %.17g / 8 UNION ALL SELECT b * 2 FROM batch LIMIT 7)\n"
		 "SELECT b AS batch, 1 + b_crit / b AS steps_over_fewest, 1 + b / b_crit AS samples_over_fewest,\n"
		 "       1 / (1 + b / b_crit) AS samples_that_count\n"
		 "FROM batch, crit ORDER BY b;", ID, run->summary.samples_per_step);
}

static void layers(char *dst, size_t size, const struct gns_report_run *run)
{
	int64_t end = blocks_end(run, 256);
	snprintf(dst, size,
		 "WITH part AS (\n"
		 "  SELECT param_id, source, weight, s, g2 FROM rollup_param WHERE run_id = %" PRId64 " AND size = 256\n"
		 "  UNION ALL\n"
		 "  SELECT g.param_id, g.source, t.weight, t.weight * (g.q_small - g.q_big) / (1.0 / g.n_small - 1.0 / g.n_big),\n"
		 "         t.weight * (g.n_big * g.q_big - g.n_small * g.q_small) / (g.n_big - g.n_small)\n"
		 "  FROM grad g JOIN step t USING (run_id, step, rank) WHERE run_id = %" PRId64 " AND step > %" PRId64 " AND step <= %" PRId64 ")\n"
		 "SELECT p.name, source, sum(s) / sum(g2) AS b_noise, sum(s) / sum(weight) AS s, sum(g2) / sum(weight) AS g2\n"
		 "FROM part JOIN param p ON p.run_id = %" PRId64 " AND p.param_id = part.param_id\n"
		 "GROUP BY part.param_id, source ORDER BY 4 DESC;", ID, ID, end, run->rolled, ID);
}

static void step_time(char *dst, size_t size, const struct gns_report_run *run)
{
	char typical[GNS_TYPICAL_SQL_SIZE];
	snprintf(dst, size,
		 "%s"
		 "SELECT k.family AS part, sum(t.weight * u.total_ns) / 1e6 / (SELECT sum(weight) FROM typical) AS ms\n"
		 "FROM typical t CROSS JOIN kernel_step u USING (run_id, step, rank) CROSS JOIN kernel k USING (run_id, kernel_id) GROUP BY k.family\n"
		 "UNION ALL SELECT 'gnscope', sum(weight * overhead_ns) / sum(weight) / 1e6 FROM typical\n"
		 "UNION ALL SELECT 'step', sum(weight * dur_ns) / sum(weight) / 1e6 FROM typical;", gns_typical_steps_sql(typical, sizeof typical, ID, 1));
}

char *gns_kernels_sql(char *dst, size_t size, const struct gns_report_run *run)
{
	char typical[GNS_TYPICAL_SQL_SIZE];
	snprintf(dst, size, "%s, calls AS (%s)\n"
		 "SELECT family, name, 1.0 * calls / n AS calls_per_step, total_ns / 1e6 / n AS ms_per_step,\n"
		 "       max_ns / 1e6 AS max_ms, flops / total_ns AS gflops\n"
		 "FROM calls, (SELECT sum(weight) AS n FROM typical) WHERE family <> 'phase' ORDER BY 4 DESC;",
		 gns_typical_steps_sql(typical, sizeof typical, ID, 1), GNS_TYPICAL_KERNELS_SQL);
	return dst;
}

char *gns_devices_sql(char *dst, size_t size, const struct gns_report_run *run)
{
	snprintf(dst, size,
		 "WITH newest(step) AS (SELECT min(step) FROM (SELECT DISTINCT step FROM device_step WHERE run_id = %" PRId64 " AND step <= %" PRId64 "\n"
		 "  ORDER BY step DESC LIMIT %d))\n"
		 "SELECT rank, device, count(*) AS steps, 1.0 * sum(compute_ns) / sum(wall_ns) AS compute,\n"
		 "       1.0 * sum(comm_exposed_ns) / sum(wall_ns) AS comm_exposed, 1.0 * sum(copy_exposed_ns) / sum(wall_ns) AS copy_exposed,\n"
		 "       1.0 * sum(idle_ns) / sum(wall_ns) AS idle, 1.0 * sum(own_ns) / sum(wall_ns) AS gnscope\n"
		 "FROM device_step d JOIN newest ON d.step >= newest.step WHERE run_id = %" PRId64 " AND d.step <= %" PRId64 " GROUP BY rank, device;",
		 ID, run->rolled, GNS_DEVICE_STEPS, ID, run->rolled);
	return dst;
}

char *gns_device_kernels_sql(char *dst, size_t size, const struct gns_report_run *run)
{
	int64_t end = blocks_end(run, 256);
	snprintf(dst, size,
		 "WITH use AS (\n"
		 "  SELECT kernel_id, calls, total_ns, max_ns FROM rollup_device_kernel WHERE run_id = %" PRId64 " AND size = 256 AND block < %" PRId64 "\n"
		 "  UNION ALL\n"
		 "  SELECT kernel_id, calls, total_ns, max_ns FROM device_kernel_step\n"
		 "  WHERE run_id = %" PRId64 " AND step > %" PRId64 " AND step <= %" PRId64 "),\n"
		 "  steps(n) AS (SELECT count(*) FROM (SELECT DISTINCT step, rank FROM device_step WHERE run_id = %" PRId64 " AND step <= %" PRId64 "))\n"
		 "SELECT k.family, k.name, sum(calls) * 1.0 / n AS calls_per_step, sum(total_ns) / 1e6 / n AS ms_per_step,\n"
		 "       max(max_ns) / 1e6 AS max_ms, grid, block, registers, shared\n"
		 "FROM use JOIN kernel k ON k.run_id = %" PRId64 " AND k.kernel_id = use.kernel_id, steps\n"
		 "GROUP BY use.kernel_id ORDER BY 4 DESC;", ID, end / 256, ID, end, run->rolled, ID, run->rolled, ID);
	return dst;
}

char *gns_figure_sql(char *dst, size_t size, enum gns_figure figure, const struct gns_report_run *run)
{
	static void (*const of[GNS_FIGURES])(char *, size_t, const struct gns_report_run *) = {
		[GNS_FIGURE_NOISE] = noise, [GNS_FIGURE_LOSS] = loss, [GNS_FIGURE_TRADEOFF] = tradeoff,
		[GNS_FIGURE_LAYERS] = layers, [GNS_FIGURE_TIME] = step_time,
	};
	of[figure](dst, size, run);
	return dst;
}
