/* From CUPTI's records and the boundaries of steps to what is told of a step. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/cupti/cupti_api.h"
#include "collectors/cupti/cupti_buffers.h"
#include "collectors/gpu/kernels.h"
#include "collectors/cupti/step_times.h"

static struct gns_activities all;
static struct gns_boundaries bounds;
static struct gns_told told;

static void begin(void)
{
	cr_assert(gns_activities_init(&all));
}

static void add_kernel(uint32_t device, const char *name, uint64_t start, uint64_t end)
{
	struct gns_cupti_kernel k = { .kind = GNS_CUPTI_CONCURRENT_KERNEL, .registers = 40, .start = start, .end = end, .device = device,
				      .grid = { 4, 3, 2 }, .block = { 32, 4, 1 }, .static_shared = 1000, .dynamic_shared = 24,
				      .name = name };
	gns_activities_add(&all, &k, 130001);
}

static void add_mark(uint32_t device, uint64_t step, uint64_t at)
{
	struct gns_cupti_kernel k = { .kind = GNS_CUPTI_CONCURRENT_KERNEL, .start = at, .end = at + 2, .device = device,
				      .grid = { 1, 1, 1 }, .block = { (int32_t)(1 + step % GNS_CU_MARKS), 1, 1 }, .name = "gns_mark" };
	gns_activities_add(&all, &k, 130001);
}

static void add_boundary(uint64_t step, uint64_t host_ns, uint32_t marked, bool tell)
{
	struct gns_boundary b = { .step = step, .host_ns = host_ns, .marked = marked, .tell = tell };
	cr_assert(gns_boundaries_add(&bounds, &b));
}

static const struct gns_kernel_time *use_of(const char *name)
{
	for (uint32_t row = 0; row < all.n_rows; row++) {
		gns_activities_resolve(&all, row, NULL, free);
		if (strcmp(all.row[row].pretty, name) == 0 && told.use[row].calls)
			return &told.use[row];
	}
	return NULL;
}

Test(step_times, a_step_is_what_lies_between_its_marks, .init = begin)
{
	/* The host is far ahead: its boundaries are at 10, 20 and 30. */
	add_boundary(7, 10, 1, false);
	add_boundary(8, 20, 1, true);
	add_boundary(9, 30, 1, true);
	add_kernel(0, "ampere_sgemm_64x32", 60, 95);
	add_mark(0, 7, 100);
	add_kernel(0, "ampere_sgemm_64x32", 110, 140);
	add_kernel(0, "ampere_sgemm_64x32", 150, 160);
	add_mark(0, 8, 200);
	add_kernel(0, "layernorm_forward", 230, 260);
	cr_expect_eq(gns_boundaries_next(&bounds), 2);
	cr_expect_eq(gns_told_marks(&bounds, 2, &all), GNS_MARKS_IN);
	cr_expect_eq(gns_told_marks(&bounds, 3, &all), GNS_MARKS_AWAITED, "the mark of step 9 has not come");
	cr_assert(gns_told_make(&bounds, 2, &all, &told));
	cr_expect_eq(told.step, 8);
	cr_expect_not(told.approximate);
	cr_assert_eq(told.n_devices, 1);
	cr_expect_eq(told.device[0].account.wall_ns, 100);
	cr_expect_eq(told.device[0].account.compute_ns, 2 + 30 + 10);
	cr_expect_eq(told.device[0].account.own_ns, 2);
	const struct gns_kernel_time *use = use_of("ampere_sgemm_64x32");
	cr_assert(use != NULL);
	cr_expect_eq(use->calls, 2);
	cr_expect_eq(use->total_ns, 40);
	cr_expect_eq(use->max_ns, 30);
	cr_expect_eq(use->grid, 24);
	cr_expect_eq(use->block, 128);
	cr_expect_eq(use->registers, 40);
	cr_expect_eq(use->shared, 1024);
	add_mark(0, 9, 300);
	cr_assert_eq(gns_boundaries_next(&bounds), 3);
	cr_expect_eq(gns_told_marks(&bounds, 3, &all), GNS_MARKS_IN, "the mark that the step begins with is kept");
	cr_assert(gns_told_make(&bounds, 3, &all, &told));
	cr_expect_eq(told.device[0].account.compute_ns, 2 + 30);
	cr_expect(use_of("ampere_sgemm_64x32") == NULL);
	cr_expect_eq(gns_boundaries_next(&bounds), 0);
	cr_expect_eq(all.n, 1, "the last mark is what is left");
}

Test(step_times, a_mark_of_no_length_is_kept_for_the_next_step, .init = begin)
{
	struct gns_cupti_kernel k = { .kind = GNS_CUPTI_CONCURRENT_KERNEL, .name = "gns_mark", .grid = { 1, 1, 1 }, .block = { 1, 1, 1 } };
	for (int step = 1; step <= 3; step++) {
		k.start = k.end = (uint64_t)step * 100;
		k.block[0] = 1 + step;
		gns_activities_add(&all, &k, 130001);
		add_kernel(0, "gemm", k.start + 10, k.start + 20);
		add_boundary((uint64_t)step, 0, 1, step > 1);
	}
	cr_assert(gns_told_make(&bounds, 2, &all, &told));
	cr_assert_eq(gns_told_marks(&bounds, 3, &all), GNS_MARKS_IN);
	cr_assert(gns_told_make(&bounds, 3, &all, &told));
	cr_expect_eq(told.device[0].account.wall_ns, 100);
}

Test(step_times, a_mark_that_is_missing_before_later_ones_is_lost, .init = begin)
{
	for (uint64_t step = 1; step <= 4; step++)
		add_boundary(step, 0, 1, step > 1);
	add_mark(0, 1, 100);
	cr_expect_eq(gns_told_marks(&bounds, 2, &all), GNS_MARKS_AWAITED);
	add_mark(1, 3, 300);
	cr_expect_eq(gns_told_marks(&bounds, 2, &all), GNS_MARKS_AWAITED, "another device's");
	add_mark(0, 4, 400);
	cr_expect_eq(gns_told_marks(&bounds, 2, &all), GNS_MARKS_LOST);
	cr_expect_eq(gns_told_marks(&bounds, 4, &all), GNS_MARKS_LOST, "the one that it begins with");
	add_mark(0, 3, 300);
	cr_expect_eq(gns_told_marks(&bounds, 4, &all), GNS_MARKS_IN);
}

Test(step_times, devices_have_marks_of_their_own, .init = begin)
{
	add_boundary(1, 0, 3, false);
	add_boundary(2, 0, 3, true);
	add_mark(0, 1, 100);
	add_mark(0, 2, 200);
	add_mark(1, 1, 1000);
	add_mark(1, 2, 1300);
	add_kernel(0, "gemm", 110, 120);
	add_kernel(1, "ncclDevKernel_AllReduce", 1100, 1200);
	cr_assert(gns_told_make(&bounds, 2, &all, &told));
	cr_assert_eq(told.n_devices, 2);
	cr_expect_eq(told.device[0].account.wall_ns, 100);
	cr_expect_eq(told.device[0].account.compute_ns, 12);
	cr_expect_eq(told.device[1].device, 1);
	cr_expect_eq(told.device[1].account.wall_ns, 300);
	cr_expect_eq(told.device[1].account.comm_exposed_ns, 100);
	cr_expect_eq(use_of("gemm")->calls, 1);
}

Test(step_times, without_marks_the_hosts_times_divide_and_it_says_so, .init = begin)
{
	add_boundary(1, 100, 0, false);
	add_boundary(2, 300, 0, true);
	add_kernel(0, "gemm", 110, 120);
	add_kernel(0, "gemm", 290, 320);
	cr_assert(gns_told_make(&bounds, 2, &all, &told));
	cr_expect(told.approximate);
	cr_expect_eq(told.device[0].account.wall_ns, 200);
	cr_expect_eq(told.device[0].account.compute_ns, 20);
}

Test(step_times, steps_that_do_not_follow_each_other_are_not_told, .init = begin)
{
	add_boundary(1, 0, 0, false);
	add_boundary(3, 0, 0, true);
	cr_expect_eq(gns_boundaries_next(&bounds), 0, "step 2 was not seen to end");
	add_boundary(4, 0, 0, true);
	cr_expect_eq(gns_boundaries_next(&bounds), 3);
	cr_expect_not(gns_told_make(&bounds, 3, &all, &told), "no device did anything");
	for (uint64_t i = 5; bounds.next - bounds.first < GNS_BOUNDARIES; i++)
		add_boundary(i, 0, 0, true);
	cr_expect_not(gns_boundaries_add(&bounds, &(struct gns_boundary){ 0 }));
}

Test(step_times, copies_fills_and_overheads, .init = begin)
{
	struct gns_cupti_memcpy copy = { .kind = GNS_CUPTI_MEMCPY, .copy_kind = 1, .start = 110, .end = 130 }, far = copy;
	struct gns_cupti_memset fill = { .kind = GNS_CUPTI_MEMSET, .start = 140, .end = 145 };
	struct gns_cupti_overhead overhead = { .kind = GNS_CUPTI_OVERHEAD, .overhead_kind = 2u << 16, .start = 10, .end = 40 };
	uint32_t unknown[64] = { 9999 };
	far.kind = GNS_CUPTI_MEMCPY2;
	far.copy_kind = 10;
	far.start = 150, far.end = 151;
	add_boundary(1, 100, 0, false);
	add_boundary(2, 200, 0, true);
	gns_activities_add(&all, &copy, 130001);
	gns_activities_add(&all, &far, 130001);
	gns_activities_add(&all, &fill, 130001);
	gns_activities_add(&all, &overhead, 130001);
	gns_activities_add(&all, unknown, 130001);
	cr_expect_eq(all.overhead_ns, 30);
	cr_assert(gns_told_make(&bounds, 2, &all, &told));
	cr_expect_eq(told.device[0].account.copy_ns, 26);
	cr_expect_eq(told.device[0].account.copy_exposed_ns, 26);
	cr_expect_eq(told.device[0].account.kernels, 0);
	cr_expect_eq(use_of("memcpy HtoD")->calls, 1);
	cr_expect_eq(use_of("memcpy PtoP")->calls, 1);
	cr_expect_eq(use_of("memset")->total_ns, 5);
}

Test(step_times, what_overhead_data_is_ours_is_freed, .init = begin)
{
	struct { struct gns_cupti_overhead o; uint32_t correlation, reserved; void *data; } r = { .o = { .kind = GNS_CUPTI_OVERHEAD } };
	cr_assert_eq((char *)&r.data - (char *)&r, GNS_CUPTI_OVERHEAD_DATA);
	r.o.overhead_kind = GNS_CUPTI_OVERHEAD_COMMAND_BUFFER_FULL;
	r.data = (void *)8; /* of an older CUPTI, whose record ends before: not looked at */
	gns_activities_add(&all, &r, 26);
	r.data = malloc(12); /* freed, or the leak checker speaks where it may */
	gns_activities_add(&all, &r, 130001);
}

Test(step_times, what_has_not_ended_or_does_not_fit_is_counted, .init = begin)
{
	add_kernel(0, "gemm", 100, 0);
	add_kernel(0, "gemm", 0, 0);
	add_kernel(0, NULL, 100, 110);
	cr_expect_eq(all.incomplete, 2);
	cr_expect_eq(all.n, 1);
	for (uint32_t i = 0; i < GNS_ACTIVITIES_MAX + 5; i++)
		add_kernel(0, "gemm", 1000 + i, 1001 + i);
	cr_expect_eq(all.n, GNS_ACTIVITIES_MAX);
	cr_expect_eq(all.dropped, 6);
}

Test(step_times, too_many_names_are_counted_under_their_family, .init = begin)
{
	char name[64];
	add_boundary(1, 100, 0, false);
	add_boundary(2, 200000, 0, true);
	for (unsigned i = 0; i < 2 * GNS_KERNEL_ROWS; i++) {
		snprintf(name, sizeof name, "%s_%u", i % 2 ? "gemm" : "conv", i);
		add_kernel(0, name, 1000 + 10 * i, 1005 + 10 * i);
	}
	unsigned rest = 2 * GNS_KERNEL_ROWS - (GNS_KERNEL_ROWS - GNS_DEVICE_FAMILIES_N);
	cr_expect_eq(all.n_rows, GNS_KERNEL_ROWS);
	cr_expect_eq(all.names_not_listed, rest);
	cr_assert(gns_told_make(&bounds, 2, &all, &told));
	cr_expect_eq(told.use[GNS_DEVICE_MATMUL].calls + told.use[GNS_DEVICE_CONV].calls, rest);
	cr_expect_eq(told.use[GNS_DEVICE_MATMUL].calls, rest / 2);
	cr_expect_eq(all.family[GNS_DEVICE_CONV], GNS_DEVICE_CONV);
	cr_expect_eq(told.device[0].account.compute_ns, 2 * GNS_KERNEL_ROWS * 5);
}

static char *demangle(const char *mangled, char *buffer, size_t *size, int *status)
{
	*status = strcmp(mangled, "_Z3bad") == 0 ? -2 : 0;
	return *status ? NULL : strdup("void nice<int>(float*)");
}

Test(step_times, names_are_demangled_once_by_who_can, .init = begin)
{
	add_kernel(0, "_Z4niceIiEvPf", 1, 2);
	add_kernel(0, "_Z3bad", 1, 2);
	add_kernel(0, "plain", 1, 2);
	for (uint32_t row = 0; row < all.n_rows; row++)
		gns_activities_resolve(&all, row, demangle, free);
	cr_expect_str_eq(all.row[GNS_DEVICE_FAMILIES_N].pretty, "nice<int>");
	cr_expect_str_eq(all.row[GNS_DEVICE_FAMILIES_N + 1].pretty, "_Z3bad");
	cr_expect_str_eq(all.row[GNS_DEVICE_FAMILIES_N + 2].pretty, "plain");
	gns_activities_resolve(&all, GNS_DEVICE_FAMILIES_N, NULL, free);
	cr_expect_str_eq(all.row[GNS_DEVICE_FAMILIES_N].pretty, "nice<int>");
}

Test(step_times, buffers_are_a_bounded_number_of_our_own)
{
	static struct gns_buffers b;
	uint8_t *out[GNS_BUFFERS], other;
	cr_expect(gns_buffers_lend(&b) == NULL, "before there are any");
	cr_assert(gns_buffers_init(&b));
	gns_buffers_boundary(&b, 5);
	for (unsigned i = 0; i < GNS_BUFFERS; i++) {
		if (i == 3)
			gns_buffers_boundary(&b, 6);
		out[i] = gns_buffers_lend(&b);
		cr_assert(out[i] != NULL);
		cr_expect_eq((uintptr_t)out[i] % GNS_CUPTI_BUFFER_ALIGN, 0);
		memset(out[i], 1, GNS_BUFFER_SIZE);
		cr_expect(gns_buffers_owns(&b, out[i]));
	}
	cr_expect(gns_buffers_lend(&b) == NULL);
	cr_expect_eq(b.refused, 2);
	cr_expect_not(gns_buffers_owns(&b, &other));
	gns_buffers_take(&b, &other);
	cr_expect_eq(gns_buffers_out(&b, 5), 0);
	cr_expect_eq(gns_buffers_out(&b, 6), 3, "lent before boundary 6");
	cr_expect_eq(gns_buffers_out(&b, UINT64_MAX), GNS_BUFFERS);
	gns_buffers_take(&b, out[0]);
	cr_expect_eq(gns_buffers_out(&b, 6), 2);
	gns_buffers_rest(&b);
	cr_expect_eq(out[1][0], 1, "what is out is not touched");
	cr_expect_eq(gns_buffers_lend(&b), out[0]);
	cr_expect_eq(out[0][0], 0);
}
