/* What devices tell: how steps were spent, kernels, libraries. Accounts come late, may be damaged, and are never mixed with the times of
 * the host. */
#include "tests/store/opened.h"

#include "gnscope/median.h"
#include "store/internal.h"

static int64_t run_id, row;

static void begin_store(void)
{
	struct gns_run_start start = { .key = 7, .command = "train.py", .start_ns = 1 };
	begin_run(&start, &run_id, &row);
}

TestSuite(device, .init = begin_store, .fini = close_store);

static struct gns_generate options(int64_t steps)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	o.steps = steps;
	o.layers = 2;
	o.device = true;
	return o;
}

static void put(struct gns_record record)
{
	cr_assert_eq(gns_store_record(store, row, &record, &err), 0, "%s", err.text);
}

static void put_step(int64_t step)
{
	struct gns_record last = gns_generate_record(GNS_REC_STEP);
	last.u.step = (struct gns_rec_step){ .step = (uint64_t)step, .start_ns = (uint64_t)step * 1000, .dur_ns = 1000000, .every = 1, .lr = NAN };
	put(last);
}

static struct gns_record account(int64_t step, uint64_t wall)
{
	struct gns_record r = gns_generate_record(GNS_REC_DEVICE_STEP);
	r.u.device_step = (struct gns_rec_device_step){ .step = (uint64_t)step, .wall_ns = wall, .compute_ns = wall / 2,
		.idle_ns = wall - wall / 2, .kernels = 10, .own_ns = wall / 100 };
	return r;
}

static struct gns_record use(int64_t step, uint32_t id, uint32_t calls, uint64_t total, uint64_t most)
{
	struct gns_record r = gns_generate_record(GNS_REC_KERNEL_STEP);
	r.u.kernel_step = (struct gns_rec_kernel_step){ .step = (uint64_t)step, .kernel_id = id, .calls = calls, .total_ns = total, .max_ns = most };
	return r;
}

static double malformed(void)
{
	return query(db, "SELECT coalesce(sum(value),0) FROM collector WHERE collector='store' AND name='malformed'");
}

/* ---- the median ---- */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

/* Ranks of the limits from printed tables of the sign test (Conover, table A3). */
Test(device, a_median_has_the_limits_of_the_sign_test)
{
	static const struct { size_t n, k; } known[] = { { 1, 0 }, { 5, 0 }, { 6, 1 }, { 10, 2 }, { 20, 6 }, { 50, 18 }, { 100, 40 }, { 1000, 469 } };
	static double values[1000];
	struct gns_interval m;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
		size_t n = known[i].n, k = known[i].k;
		for (size_t j = 0; j < n; j++)
			values[j] = (double)((j * 7919) % n) + 1; /* 1 .. n in some order; 7919 is prime to all of them */
		gns_median(values, n, &m);
		cr_expect_eq(m.value, ((double)n + 1) / 2, "%zu: %g", n, m.value);
		if (k == 0)
			cr_expect(isnan(m.lo) && isnan(m.hi), "%zu", n);
		else
			cr_expect(m.lo == (double)k && m.hi == (double)(n + 1 - k), "%zu: %g to %g", n, m.lo, m.hi);
	}
	gns_median(values, 0, &m);
	cr_expect(isnan(m.value) && isnan(m.lo) && isnan(m.hi));
}

/* ---- reading ---- */

Test(device, the_split_is_that_of_the_steps_looked_at)
{
	struct gns_generate o = options(402);
	struct gns_device_row *rows;
	size_t n, k = 0;
	double wall[100], idle[100], walls = 0, idles = 0;
	int64_t id = generate(&o);
	cr_assert_eq(gns_store_devices(store, id, 0, &rows, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 1);
	for (int64_t step = 4; step <= 400; step += 4, k++) {
		struct gns_record d = gns_generate_device_step(&o, 0, step);
		walls += wall[k] = (double)d.u.device_step.wall_ns / 1e6;
		idles += idle[k] = (double)d.u.device_step.idle_ns / 1e6;
	}
	qsort(wall, k, sizeof *wall, ascending);
	qsort(idle, k, sizeof *idle, ascending);
	cr_assert_eq(k, 100);
	cr_expect_eq(rows->looked_at, 100);
	cr_expect_eq(rows->steps, 402);
	cr_expect_eq(rows->taken, 100);
	cr_expect_float_eq(rows->wall_ms.value, (wall[49] + wall[50]) / 2, 1e-9);
	cr_expect_float_eq(rows->wall_ms.lo, wall[39], 1e-9);
	cr_expect_float_eq(rows->wall_ms.hi, wall[60], 1e-9);
	cr_expect_float_eq(rows->ms[GNS_PART_IDLE].value, (idle[49] + idle[50]) / 2, 1e-9);
	cr_expect_float_eq(rows->share[GNS_PART_IDLE], idles / walls, 1e-12);
	cr_expect_float_eq(rows->total_ms, walls, 1e-9);
	double whole = 0;
	for (int i = 0; i < GNS_PARTS_OF_WALL; i++)
		whole += rows->share[i];
	cr_expect_float_eq(whole, 1, 1e-9);
	cr_expect_float_eq(rows->share[GNS_PART_COMM], 3 * rows->share[GNS_PART_COMM_EXPOSED], 1e-9);
	cr_expect_float_eq(rows->queue_us, 8.5, 1e-9);
	cr_expect_eq(rows->kernels, 60);
	free(rows);
	cr_assert_eq(gns_store_devices(store, id, 40, &rows, &n, &err), 0, "%s", err.text);
	cr_expect_eq(rows->looked_at, 10);
	cr_expect_eq(rows->steps, 40);
	free(rows);
}

Test(device, long_runs_speak_of_the_newest_steps)
{
	struct gns_generate o = options(6002);
	struct gns_device_row *rows;
	size_t n;
	int64_t id = generate(&o);
	cr_assert_eq(gns_store_devices(store, id, 0, &rows, &n, &err), 0, "%s", err.text);
	cr_expect_eq(rows->looked_at, 1500);
	cr_expect_eq(rows->taken, GNS_DEVICE_STEPS);
	double want = query(db, "SELECT avg(wall_ns)/1e6 FROM (SELECT wall_ns FROM device_step WHERE run_id=2 ORDER BY step DESC LIMIT 1000) LIMIT 1");
	double idle = query(db, "SELECT 1.0*sum(idle_ns)/sum(wall_ns) FROM device_step WHERE run_id=2 AND step>2000");
	cr_expect_float_eq(rows->share[GNS_PART_IDLE], idle, 1e-12);
	cr_expect(rows->wall_ms.lo < want && want < rows->wall_ms.hi);
	free(rows);
}

static const struct gns_kernel_row *named(const struct gns_kernel_row *rows, size_t n, const char *family)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(rows[i].family, family) == 0)
			return &rows[i];
	cr_assert(false, "no kernel of family %s", family);
	return NULL;
}

static void kernels_are(int64_t id, int64_t window, const struct gns_generate *o, int64_t from, int64_t to, double steps)
{
	struct gns_kernel_row *rows;
	size_t n;
	cr_assert_eq(gns_store_device_kernels(store, id, window, &rows, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, GNS_GENERATE_DEVICE_KERNELS);
	for (int i = 0; i < GNS_GENERATE_DEVICE_KERNELS; i++) {
		struct gns_record kernel = gns_generate_device_kernel(i);
		const struct gns_kernel_row *k = named(rows, n, kernel.u.kernel.family);
		double total = 0, most = 0, wall = 0, calls = 0;
		for (int64_t step = from; step <= to; step += GNS_GENERATE_DEVICE_EVERY) {
			struct gns_record u = gns_generate_device_use(o, 0, step, i), d = gns_generate_device_step(o, 0, step);
			total += (double)u.u.kernel_step.total_ns;
			calls += (double)u.u.kernel_step.calls;
			most = fmax(most, (double)u.u.kernel_step.max_ns);
			wall += (double)d.u.device_step.wall_ns;
		}
		cr_expect_float_eq(k->ms_per_step, total / steps / 1e6, 1e-9, "%s: %g, %g", k->name, k->ms_per_step, total / steps / 1e6);
		cr_expect_float_eq(k->calls_per_step, calls / steps, 1e-9);
		cr_expect_float_eq(k->max_ms, most / 1e6, 1e-12);
		cr_expect_float_eq(k->share, total / wall, 1e-9);
		cr_expect_eq(k->registers, kernel.u.kernel.registers ? kernel.u.kernel.registers : -1);
		cr_expect_eq(k->block, kernel.u.kernel.block ? kernel.u.kernel.block : -1);
		cr_expect_eq(k->grid, kernel.u.kernel.grid ? (int64_t)kernel.u.kernel.grid : -1);
		cr_expect_eq(k->shared, kernel.u.kernel.shared ? (int64_t)kernel.u.kernel.shared : -1);
	}
	for (size_t i = 1; i < n; i++)
		cr_expect(rows[i - 1].ms_per_step >= rows[i].ms_per_step, "most time first");
	free(rows);
}

Test(device, kernels_are_those_of_the_window)
{
	struct gns_generate o = options(1026);
	int64_t id = generate(&o);
	kernels_are(id, 0, &o, 4, 1024, 256);
	kernels_are(id, 40, &o, 988, 1024, 10);
	kernels_are(id, 600, &o, 428, 1024, 150);
}

Test(device, raw_rows_may_be_thinned_and_the_sums_stay)
{
	struct gns_generate o = options(4002);
	gns_store_set_keep(store, 500);
	cr_assert_eq(gns_generate_run(store, &o, &run_id, &err), 0, "%s", err.text);
	cr_expect(query(db, "SELECT min(step) FROM device_kernel_step WHERE run_id=2") > 2000);
	cr_expect_eq(query(db, "SELECT min(step) FROM device_step WHERE run_id=2"), 4, "a row of every step that was looked at stays");
	kernels_are(run_id, 0, &o, 4, 4000, 1000);
}

Test(device, times_of_the_host_and_of_the_device_never_mix)
{
	struct gns_generate o = options(602), host = options(602);
	struct gns_kernel_row *with, *without;
	struct gns_split split, plain;
	size_t n, m;
	host.device = false;
	host.key = 99;
	int64_t id = generate(&o), other = generate(&host);
	cr_assert_eq(gns_store_kernels(store, id, 0, &with, &n, &err), 0, "%s", err.text);
	cr_assert_eq(gns_store_kernels(store, other, 0, &without, &m, &err), 0, "%s", err.text);
	cr_assert_eq(n, m);
	for (size_t i = 0; i < n; i++) {
		cr_expect_str_eq(with[i].name, without[i].name);
		cr_expect_eq(with[i].share, without[i].share);
	}
	cr_assert_eq(gns_store_split(store, id, 0, &split, &err), 0);
	cr_assert_eq(gns_store_split(store, other, 0, &plain, &err), 0);
	cr_expect_eq(split.n_families, plain.n_families);
	cr_expect_eq(split.family[0].ms, plain.family[0].ms);
	cr_expect_eq(query(db, "SELECT count(*) FROM device_kernel_step WHERE run_id=2"), 150 * GNS_GENERATE_DEVICE_KERNELS);
	cr_expect_eq(query(db, "SELECT count(*) FROM device_kernel_step s JOIN kernel k USING (run_id, kernel_id) WHERE k.family NOT LIKE 'gpu %'"), 0);
	cr_expect_eq(malformed(), 0);
	cr_expect_eq(query(db, "SELECT count(*) FROM kernel_step s JOIN kernel k USING (run_id, kernel_id) WHERE k.family LIKE 'gpu %'"), 0);
	cr_expect_eq(query(db, "SELECT count(*) FROM rollup_kernel s JOIN kernel k USING (run_id, kernel_id) WHERE k.family LIKE 'gpu %'"), 0);
	free(with);
	free(without);
}

Test(device, views_speak_of_shares_and_sums)
{
	struct gns_generate o = options(102);
	int64_t id = generate(&o);
	cr_expect_eq(id, 2);
	cr_expect_float_eq(query(db, "SELECT max(abs(compute+comm_exposed+copy_exposed+idle-1)) FROM device_split WHERE run_id=2"), 0, 1e-12);
	cr_expect_float_eq(query(db, "SELECT avg(comm_overlapped) FROM device_split WHERE run_id=2"), 2.0 / 3, 1e-9);
	cr_expect_float_eq(query(db, "SELECT avg(queue_us) FROM device_split WHERE run_id=2"), 8.5, 1e-9);
	cr_expect_float_eq(query(db, "SELECT sum(total_ms) FROM device_kernel WHERE run_id=2"),
			   query(db, "SELECT sum(total_ns)/1e6 FROM device_kernel_step WHERE run_id=2"), 1e-9);
	cr_expect_eq(query(db, "SELECT grid FROM device_kernel WHERE run_id=2 AND family='gpu matmul'"), 132);
}

/* ---- writing ---- */

Test(device, an_account_may_come_late_early_or_without_its_step)
{
	begin();
	put(gns_generate_device_kernel(0));
	put(account(3, 1000000)); /* before its step, whose gradients are still on the device */
	put(use(3, 2000, 1, 5000, 5000));
	for (int64_t step = 1; step <= 600; step++)
		if (step != 500)
			put_step(step);
	put(use(100, 2000, 2, 7000, 4000)); /* its block was closed long ago */
	put(account(100, 1000000));
	put(account(500, 1000000)); /* its STEP was dropped */
	put(account(600 + 1025, 1000000));
	put(use(600 + 1025, 2000, 1, 1, 1));
	commit();
	cr_expect_eq(query(db, "SELECT count(*) FROM device_step"), 3);
	cr_expect_eq(malformed(), 2);
	struct gns_kernel_row *rows;
	size_t n;
	cr_assert_eq(gns_store_device_kernels(store, run_id, 0, &rows, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 1);
	cr_expect_float_eq(rows->ms_per_step, 0.012 / 3, 1e-12);
	cr_expect_float_eq(rows->max_ms, 0.005, 1e-12);
	free(rows);
}

Test(device, what_cannot_be_true_is_counted_and_skipped)
{
	static const struct { const char *what; size_t offset; uint64_t value; } wrong[] = {
#define AT(field) offsetof(struct gns_rec_device_step, field)
		{ "no step", AT(step), 0 }, { "step", AT(step), UINT64_MAX }, { "no wall", AT(wall_ns), 0 },
		{ "wall", AT(wall_ns), 1000000 + 6 }, { "idle", AT(idle_ns), 500000 - 6 }, { "compute", AT(compute_ns), UINT64_MAX - 499999 },
		{ "comm exposed", AT(comm_exposed_ns), 7 }, { "copy exposed", AT(copy_exposed_ns), 7 }, { "own", AT(own_ns), 500001 },
		{ "comm", AT(comm_ns), 1000001 }, { "copy", AT(copy_ns), 1000001 }, { "queue", AT(queue_ns), 1ull << 60 },
		{ "dropped", AT(dropped), UINT64_MAX },
#undef AT
	};
	size_t n = sizeof wrong / sizeof *wrong;
	begin();
	put_step((int64_t)n + 1);
	for (size_t i = 0; i < n; i++) { /* each of a step of its own */
		struct gns_record r = account((int64_t)i + 2, 1000000);
		memcpy((char *)&r.u.device_step + wrong[i].offset, &wrong[i].value, sizeof wrong[i].value);
		put(r);
	}
	struct gns_record far = account(2, 1000000), good = account(1, 1000000);
	far.u.device_step.device = 4096;
	put(far);
	good.u.device_step.idle_ns -= 5; /* rounding: 4 ns and a millionth of the step */
	put(good);
	put(good); /* twice */
	put(use(1, 2000, 1, 5, 5)); /* of a kernel that was not named */
	commit();
	for (size_t i = 0; i < n; i++) {
		char sql[96];
		snprintf(sql, sizeof sql, "SELECT count(*) FROM device_step WHERE step=%zu", i + 2);
		cr_expect_eq(query(db, sql), 0, "%s", wrong[i].what);
	}
	cr_expect_eq(query(db, "SELECT count(*) FROM device_step"), 1);
	cr_expect_eq(malformed(), (double)n + 3);
	cr_expect_eq(query(db, "SELECT count(*) FROM device_step WHERE queue_ns IS NULL"), 1);
}

Test(device, kernels_are_named_with_what_they_are)
{
	struct gns_record kernel = gns_generate_device_kernel(0), strange = kernel, renamed = kernel, host = gns_generate_kernel(0);
	begin();
	put_step(1);
	put(kernel);
	kernel.u.kernel.grid = 999;
	put(kernel); /* a longer call had another grid */
	strange.u.kernel.kernel_id = 3000;
	memcpy(strange.u.kernel.family, "gpu strange", 12);
	put(strange);
	renamed.u.kernel.name[0] = 'X';
	put(renamed);
	host.u.kernel.kernel_id = 2000;
	put(host); /* the number is taken */
	put(use(1, 2000, 0, 0, 0));
	put(use(1, 2000, 1, 5, 6));
	put(use(1, 2000, 2, 50, 30));
	put(use(1, 2000, 1, 40, 40)); /* adds */
	commit();
	cr_expect_eq(malformed(), 5);
	cr_expect_eq(query(db, "SELECT count(*) FROM kernel"), 1);
	cr_expect_eq(query(db, "SELECT grid FROM kernel"), 999);
	cr_expect_eq(query(db, "SELECT calls*10000+total_ns*100+max_ns FROM device_kernel_step"), 39040);
	cr_expect_eq(query(db, "SELECT count(*) FROM rollup_device_kernel WHERE calls=3 AND total_ns=90 AND max_ns=40"), 2);
}

Test(device, what_was_undone_is_not_counted_twice_and_names_last)
{
	begin();
	put_step(1);
	put(gns_generate_device_kernel(0));
	put(gns_generate_kernel(0));
	commit();
	for (int i = 0; i < 2; i++) {
		begin();
		put(use(1, 2000, 1, 100, 100));
		put(account(1, 1000000));
		if (i == 0)
			gns_store_rollback(store);
		else
			commit();
	}
	cr_expect_eq(query(db, "SELECT total_ns FROM rollup_device_kernel WHERE size=256"), 100);
	gns_store_close(store); /* a recorder that died: the next one knows which kernels are whose */
	cr_assert_eq(gns_store_open_write(db, &store, &err), 0, "%s", err.text);
	begin();
	put(use(2, 2000, 1, 10, 10));
	put(use(2, 1, 1, 10, 10));
	put_step(2);
	commit();
	cr_expect_eq(query(db, "SELECT sum(total_ns) FROM device_kernel_step"), 110);
	cr_expect_eq(query(db, "SELECT sum(total_ns) FROM kernel_step"), 10);
}

Test(device, another_optimizer_has_accounts_of_its_own)
{
	struct gns_record of_second = account(1, 2000000), kernel = use(1, 2000, 1, 10, 10), step = gns_generate_record(GNS_REC_STEP);
	begin();
	put(gns_generate_device_kernel(0));
	put_step(1);
	put(account(1, 1000000));
	step.u.step = (struct gns_rec_step){ .step = 1, .start_ns = 1, .dur_ns = 1, .lr = NAN };
	of_second.stream = kernel.stream = step.stream = 1;
	put(step);
	put(kernel);
	put(of_second);
	commit();
	cr_expect_eq(query(db, "SELECT wall_ns FROM device_step JOIN run USING (run_id) WHERE stream=1"), 2000000);
	cr_expect_eq(query(db, "SELECT grid FROM device_kernel JOIN run USING (run_id) WHERE stream=1 AND calls=1"), 132);
}

Test(device, several_processes_each_have_their_devices)
{
	struct gns_generate o = options(202);
	struct gns_device_row *rows;
	struct gns_kernel_row *kernels;
	size_t n;
	o.ranks = 2;
	int64_t id = generate(&o);
	cr_assert_eq(gns_store_devices(store, id, 0, &rows, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 2);
	cr_expect(rows[0].rank == 0 && rows[0].device == 0 && rows[1].rank == 1 && rows[1].device == 1);
	cr_expect_eq(rows[1].looked_at, 50);
	free(rows);
	cr_assert_eq(gns_store_device_kernels(store, id, 0, &kernels, &n, &err), 0, "%s", err.text);
	cr_expect_eq(named(kernels, n, "gpu matmul")->calls_per_step, 24, "of a step of one process");
	free(kernels);
}

static struct gns_record library(const char *name, const char *version, const char *path)
{
	struct gns_record r = gns_generate_record(GNS_REC_LIBRARY);
	snprintf(r.u.library.name, sizeof r.u.library.name, "%s", name);
	snprintf(r.u.library.version, sizeof r.u.library.version, "%s", version);
	snprintf(r.u.library.path, sizeof r.u.library.path, "%s", path);
	return r;
}

Test(device, libraries_are_kept_once_and_grow)
{
	struct gns_library_row *rows;
	struct gns_record full = library("nccl", "2.28.3", "/b/libnccl.so.2"), stream = library("cudnn", "9.1", "/c");
	size_t n;
	begin();
	put(library("cublas", "", "/a/libcublas.so.13"));
	put(library("cublas", "13.0.2", "/a/libcublas.so.13"));
	put(library("cublas", "12.9", "/other/libcublas.so.12")); /* two copies in one process */
	memset(full.u.library.name, 'x', sizeof full.u.library.name); /* no terminator */
	put(full);
	put(library("", "1", "/x"));
	stream.stream = 3; /* of the process, whatever stream tells it */
	put(stream);
	commit();
	cr_expect_eq(malformed(), 1);
	cr_assert_eq(gns_store_libraries(store, run_id, &rows, &n, &err), 0, "%s", err.text);
	cr_assert_eq(n, 4);
	cr_expect_str_eq(rows[0].name, "cublas");
	cr_expect_str_eq(rows[0].version, "13.0.2");
	cr_expect_str_eq(rows[2].name, "cudnn");
	cr_expect_str_eq(rows[3].name, "xxxxxxxxxxxxxxxx");
	free(rows);
	begin();
	for (int i = 0; i < 1000; i++) {
		char path[32];
		snprintf(path, sizeof path, "/%d", i);
		put(library("flood", "", path));
	}
	commit();
	cr_expect_eq(query(db, "SELECT count(*) FROM library"), 256);
}

/* ---- why there is nothing ---- */

static void count(const char *collector, const char *name, uint64_t value)
{
	struct gns_record r = gns_generate_record(GNS_REC_COUNTER);
	r.u.counter.value = value;
	snprintf(r.u.counter.collector, sizeof r.u.counter.collector, "%s", collector);
	snprintf(r.u.counter.name, sizeof r.u.counter.name, "%s", name);
	put(r);
}

static void why_is(const char *words)
{
	struct gns_gpu gpu;
	commit();
	cr_assert_eq(gns_store_gpu(store, run_id, 0, &gpu, &err), 0, "%s", err.text);
	cr_expect(words[0] ? strstr(gpu.why_not, words) != NULL : gpu.why_not[0] == 0, "\"%s\" is not in \"%s\"", words, gpu.why_not);
	gns_gpu_free(&gpu);
	cr_expect(gpu.libraries == NULL && gpu.n_libraries == 0);
	begin();
}

Test(device, the_reason_for_no_kernel_times_is_said)
{
	struct gns_record owner = gns_generate_record(GNS_REC_EVENT);
	begin();
	put_step(1);
	why_is("");
	put(library("cuda", "13.0", "/usr/lib/libcuda.so.1")); /* loaded, and nothing more: torch does that without a GPU */
	count("blas", "sgemm_", 7);
	why_is("");
	count("cublas", "cublasGemmEx", 12);
	why_is("CUPTI was not used");
	put(library("cupti", "", "/opt/libcupti.so.13"));
	why_is("no window was opened yet");
	count("cupti", "windows", 3);
	count("cupti", "steps_abandoned", 2);
	count("cupti", "windows", 0);
	count("cupti", "not_found", 1);
	why_is("no libcupti was found");
	count("cupti", "refused", 2);
	why_is("CUPTI could not be used, 2 times");
	count("cupti", "windows", 3);
	why_is("3 windows were opened, no step of them was reported (2 given up)");
	owner.u.event = (struct gns_rec_event){ .time_ns = 5, .name = "cupti_owner", .text = "torch.profiler\033[2J" };
	put(owner);
	why_is("one client at a time, and torch.profiler?[2J had it");
	put(account(1, 1000000));
	why_is("");
	commit();
}
