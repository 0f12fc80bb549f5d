/* How a device spent a step, against a count of every nanosecond. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/cupti/time_split.h"

static const uint8_t families[] = { GNS_DEVICE_MATMUL, GNS_DEVICE_COMM, GNS_DEVICE_COPY, GNS_DEVICE_OWN, GNS_DEVICE_OTHER };
enum { MATMUL, COMM, COPY, OWN, OTHER };

static struct gns_activity kernel(uint64_t start, uint64_t end, uint32_t name)
{
	return (struct gns_activity){ .start = start, .end = end, .name = name, .copy = name == COPY };
}

static void check(const struct gns_account *a, uint64_t compute, uint64_t comm_exposed, uint64_t copy_exposed, uint64_t idle)
{
	cr_expect_eq(a->compute_ns, compute, "compute %lu", a->compute_ns);
	cr_expect_eq(a->comm_exposed_ns, comm_exposed, "comm exposed %lu", a->comm_exposed_ns);
	cr_expect_eq(a->copy_exposed_ns, copy_exposed, "copy exposed %lu", a->copy_exposed_ns);
	cr_expect_eq(a->idle_ns, idle, "idle %lu", a->idle_ns);
	cr_expect_eq(compute + comm_exposed + copy_exposed + idle, a->wall_ns);
}

Test(time_split, a_timeline_by_hand)
{
	/* 0   10        30   40    50      70  80   90 100
	 *     | matmul  |        | own | idle                     stream 1
	 *          | nccl 20..60         |                         stream 2
	 *                                | copy 65..85 |           stream 3, 65..70 under another kernel */
	struct gns_activity list[] = { kernel(10, 30, MATMUL), kernel(20, 60, COMM), kernel(40, 50, OWN), kernel(62, 70, OTHER),
				       kernel(65, 85, COPY) };
	struct gns_account a;
	list[0].queued = 4;
	list[3].queued = 60;
	gns_account_step(list, 5, 0, 0, 100, families, 5, &a);
	check(&a, 20 + 10 + 8, 10 + 10, 15, 100 - 38 - 20 - 15);
	cr_expect_eq(a.comm_ns, 40);
	cr_expect_eq(a.copy_ns, 20);
	cr_expect_eq(a.own_ns, 10);
	cr_expect_eq(a.kernels, 4);
	cr_expect_eq(a.queue_ns, 6 + 2);
}

Test(time_split, what_runs_over_the_edge_counts_where_it_runs)
{
	struct gns_activity list[] = { kernel(50, 120, MATMUL), kernel(180, 260, COMM) };
	struct gns_account a;
	gns_account_step(list, 2, 0, 100, 200, families, 5, &a);
	check(&a, 20, 20, 0, 60);
	cr_expect_eq(a.kernels, 1, "the first began in the step before");
	gns_account_step(list, 2, 0, 200, 300, families, 5, &a);
	check(&a, 0, 60, 0, 40);
	cr_expect_eq(a.kernels, 0);
	gns_account_step(list, 2, 0, 200, 200, families, 5, &a);
	cr_expect_eq(a.wall_ns, 0);
	cr_expect_eq(a.idle_ns, 0);
}

Test(time_split, devices_are_told_apart_and_odd_records_do_no_harm)
{
	struct gns_activity list[] = { kernel(0, 50, MATMUL), kernel(10, 90, COMM), kernel(20, 5, MATMUL), kernel(60, 70, 77) };
	struct gns_account a;
	list[1].device = 1;
	gns_account_step(list, 4, 0, 0, 100, families, 5, &a);
	check(&a, 60, 0, 0, 40);
	gns_account_step(list, 4, 1, 0, 100, families, 5, &a);
	check(&a, 0, 80, 0, 20);
}

Test(time_split, random_timelines_agree_with_a_count_of_every_nanosecond)
{
	enum { N = 60, T = 400 };
	srand(7);
	for (int round = 0; round < 300; round++) {
		struct gns_activity list[N], scratch[N];
		struct gns_account a;
		unsigned char on[T] = { 0 };
		uint64_t from = 100, to = 300, want[7] = { 0 }; /* compute comm copy idle; comm, copy, own in all */
		for (int i = 0; i < N; i++) {
			uint64_t start = (uint64_t)(rand() % (T - 60)), name = (uint64_t)(rand() % 5);
			list[i] = kernel(start, start + (uint64_t)(rand() % (i % 7 ? 9 : 60)), (uint32_t)name);
			for (uint64_t t = start; t < list[i].end; t++)
				on[t] |= (unsigned char)(1u << name);
		}
		gns_activity_sort(list, scratch, N);
		for (int i = 1; i < N; i++)
			cr_assert_leq(list[i - 1].start, list[i].start);
		gns_account_step(list, N, 0, from, to, families, 5, &a);
		for (uint64_t t = from; t < to; t++) {
			bool compute = on[t] & (1u << MATMUL | 1u << OWN | 1u << OTHER), comm = on[t] >> COMM & 1, copy = on[t] >> COPY & 1;
			want[compute ? 0 : comm ? 1 : copy ? 2 : 3]++;
			want[4] += comm;
			want[5] += copy;
			want[6] += on[t] >> OWN & 1;
		}
		check(&a, want[0], want[1], want[2], want[3]);
		cr_assert_eq(a.comm_ns, want[4]);
		cr_assert_eq(a.copy_ns, want[5]);
		cr_assert_eq(a.own_ns, want[6]);
	}
}

Test(time_split, the_longest_call_tells_its_shape)
{
	struct gns_kernel_time use = { 0 };
	struct gns_activity a = kernel(0, 10, MATMUL), b = kernel(20, 50, MATMUL), c = kernel(60, 65, MATMUL);
	a.grid = 1, b.grid = 2, c.grid = 3;
	b.block = 256, b.registers = 40, b.shared = 1024;
	gns_kernel_used(&use, &a);
	gns_kernel_used(&use, &b);
	gns_kernel_used(&use, &c);
	cr_expect_eq(use.calls, 3);
	cr_expect_eq(use.total_ns, 45);
	cr_expect_eq(use.max_ns, 30);
	cr_expect_eq(use.grid, 2);
	cr_expect_eq(use.block, 256);
	cr_expect_eq(use.registers, 40);
	cr_expect_eq(use.shared, 1024);
}
