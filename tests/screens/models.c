/* See models.h. All numbers are closed forms of the index, so that a screen can be checked by hand. */
#include "tests/screens/models.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ull
#define START (1700000000ull * SECOND) /* 2023-11-14 22:13:20 UTC */

static void *rows(size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (!p)
		abort();
	return p;
}

static struct gns_ratio known(double value, double lo, double hi, double count)
{
	return (struct gns_ratio){.value = value, .lo = lo, .hi = hi, .resolved = true, .count = count};
}

static struct gns_ratio at_least(double lo, double count)
{
	return (struct gns_ratio){.value = NAN, .lo = lo, .hi = NAN, .resolved = false, .count = count};
}

static void set_points(struct gns_model *m)
{
	m->n_points = 100;
	m->points = rows(m->n_points, sizeof *m->points);
	for (size_t i = 0; i < m->n_points; i++) {
		struct gns_point *p = &m->points[i];
		double t = (double)i / 99, noise = 300 * pow(10, t);
		*p = (struct gns_point){.step_lo = (int64_t)(20 * i + 1), .step_hi = (int64_t)(20 * i + 20), .count = 20, .samples_per_step = 256,
					.loss = 2.3 * exp(-2 * t) + 0.1, .step_ms = 12 + (i % 10 == 9 ? 3 : 0), .overhead_ms = 0.075};
		p->b_noise = i < 10 ? at_least(200, 20) : known(noise, noise / 1.25, noise * 1.25, 20);
		if (i >= 40 && i < 44) /* a stretch without any number */
			p->b_noise = at_least(NAN, 0);
	}
}

static void set_summary(struct gns_model *m)
{
	struct gns_summary *s = &m->summary;
	m->state = GNS_MODEL_RUN;
	m->now_ns = START + 31 * SECOND;
	s->run = (struct gns_run_info){.run_id = 3, .name = "fashion_mnist", .command = "python3 examples/fashion_mnist.py --epochs 5",
				       .host = "anna", .status = "running", .start_ns = START, .steps = 2000, .steps_measured = 1960, .world = 1};
	s->measured = 1960;
	s->samples_per_step = 256;
	strcpy(s->sample_unit, "samples");
	strcpy(s->sources, "gemm");
	s->coverage = 0.98;
	strcpy(s->coverage_note, "of 535,818 weights in matrix multiplications; biases, norms and embeddings are not seen");
	s->params = s->params_measured = 3;
	s->b_noise = known(1840, 1610, 2120, 1960);
	s->b_crit = known(256 / 0.26, 256 / 0.30, 256 / 0.22, 1960);
	s->trend = (struct gns_trend){GNS_STEADY, known(1900, 1700, 2150, 196), known(1850, 1600, 2100, 196), false};
	s->step_ms = s->mean_step_ms = 12.3;
	s->overhead_pct = 0.62;
	s->loss = 0.4113;
	s->lr = NAN;
	s->last_step_ns = START + 30 * SECOND;
	s->n_warnings = 1;
	s->warnings[0] = (struct gns_warning){"blas_only", "weights outside matrix products are not seen: coverage 98%"};
	m->live[0] = (struct gns_live){.step = 2000, .half_life = 32, .b_noise = known(2990, 2400, 3900, 32)};
	m->live[1] = (struct gns_live){.step = 2000, .half_life = 512, .b_noise = known(2410, 2200, 2650, 512)};
	m->n_live = 2;
}

static void set_layers(struct gns_model *m)
{
	m->n_layers = 4;
	m->layers = rows(m->n_layers, sizeof *m->layers);
	m->layers[0] = (struct gns_layer){.param_id = 1, .name = "fc1.weight", .shape = "512x784", .numel = 401408, .count = 1960,
					  .b_noise = known(2210, 1900, 2600, 1960), .share_s = 0.61, .share_g2 = 0.508, .source = "gemm"};
	m->layers[1] = (struct gns_layer){.param_id = 2, .name = "fc2.weight", .shape = "256x512", .numel = 131072, .count = 1960,
					  .b_noise = known(1515, 1300, 1790, 1960), .share_s = 0.28, .share_g2 = 0.34, .source = "gemm"};
	m->layers[2] = (struct gns_layer){.param_id = 3, .name = "fc3.weight", .shape = "10x256", .numel = 2560, .count = 1960,
					  .b_noise = at_least(900, 1960), .share_s = 0.11, .share_g2 = 0.152, .source = "gemm"};
	m->layers[3] = (struct gns_layer){.param_id = 4, .name = "tied", .shape = "10x10", .numel = 100, .excluded = true,
					  .b_noise = at_least(NAN, 0), .share_s = NAN, .share_g2 = NAN};
}

static void set_kernels(struct gns_model *m)
{
	static const struct gns_kernel_row kernel[] = {
		{"sgemm NT 784x512x256", "wgrad", 1, 3.21, 5.02, 64.0, 0.261, false, -1, -1, -1, -1},
		{"sgemm TN 512x256x784", "forward", 1, 2.95, 4.4, 69.7, 0.240, false, -1, -1, -1, -1},
		{"sgemm NN 512x256x256", "dgrad", 1, 0.98, 1.2, 68.5, 0.0797, false, -1, -1, -1, -1},
		{"sgemm NT 512x256x256", "wgrad", 1, 0.91, 1.31, 73.7, 0.074, false, -1, -1, -1, -1},
	};
	m->n_kernels = 4;
	m->kernels = rows(m->n_kernels, sizeof *m->kernels);
	memcpy(m->kernels, kernel, sizeof kernel);
}

static void set_split(struct gns_model *m)
{
	m->split = (struct gns_split){.steps = 100, .step_ms = 12.3, .gnscope_ms = 0.11,
				      .family = {{"wgrad", 4.12}, {"forward", 2.95}, {"dgrad", 0.98}}, .n_families = 3};
	m->last_step = m->summary.run.steps;
}

static void set_runs(struct gns_model *m)
{
	m->n_runs = 3;
	m->runs = rows(m->n_runs, sizeof *m->runs);
	m->runs[0] = m->summary.run;
	m->runs[1] = (struct gns_run_info){.run_id = 2, .name = "char_lm", .command = "python3 examples/char_lm.py", .status = "killed",
					   .start_ns = START - 7200 * SECOND, .end_ns = START - 3500 * SECOND, .exit_code = -9, .steps = 41200,
					   .steps_measured = 1030};
	m->runs[2] = (struct gns_run_info){.run_id = 1, .name = "mlp", .command = "./mlp", .status = "finished",
					   .start_ns = START - 86400 * SECOND, .end_ns = START - 86340 * SECOND, .steps = 500, .steps_measured = 500};
}

static void set_health(struct gns_model *m)
{
	m->n_counters = 2;
	m->counters = rows(m->n_counters, sizeof *m->counters);
	m->counters[0] = (struct gns_counter_row){0, "blas", "rejected_attention", "sgemm NT 64x64x32", 11760};
	m->counters[1] = (struct gns_counter_row){0, "shim", "samples_not_dividing", "", 40};
	m->n_events = 2;
	m->events = rows(m->n_events, sizeof *m->events);
	m->events[0] = (struct gns_event_row){3, START + SECOND, "tied_weight", "tied: used more than once in a micro-step, left out"};
	m->events[1] = (struct gns_event_row){1200, START + 9 * SECOND, "batch_changed", "256 samples a step instead of 128"};
}

void model_training(struct gns_model *m)
{
	*m = (struct gns_model){0};
	set_summary(m);
	set_points(m);
	set_layers(m);
	set_kernels(m);
	set_split(m);
	set_runs(m);
	set_health(m);
}

void model_unresolved(struct gns_model *m)
{
	model_training(m);
	m->summary.b_noise = at_least(900, 60);
	m->summary.b_crit = at_least(640, 60);
	m->summary.run.steps = m->summary.run.steps_measured = m->summary.measured = 60;
	m->summary.trend = (struct gns_trend){0};
	m->live[0].b_noise = at_least(700, 32);
	m->live[1].b_noise = at_least(850, 60);
	m->n_points = 60;
	for (size_t i = 0; i < m->n_points; i++) {
		m->points[i].step_lo = m->points[i].step_hi = (int64_t)i + 1;
		m->points[i].b_noise = i < 5 ? at_least(NAN, 1) : at_least(15 * (double)i, 1);
	}
}

void model_finished(struct gns_model *m)
{
	model_training(m);
	strcpy(m->summary.run.status, "finished");
	m->summary.run.end_ns = START + 192 * SECOND;
}

void model_waiting(struct gns_model *m)
{
	*m = (struct gns_model){0};
	set_summary(m);
	m->n_live = 0;
	m->summary.run.steps = 12;
	m->summary.run.steps_measured = m->summary.measured = 0;
	m->summary.trend = (struct gns_trend){0};
	m->summary.b_noise = m->summary.b_crit = at_least(NAN, 0);
	m->summary.last_step_ns = m->now_ns;
}

void model_no_store(struct gns_model *m)
{
	*m = (struct gns_model){.state = GNS_MODEL_NO_STORE};
	strcpy(m->message, "There is no run database at /tmp/x.db (No such file or directory). The first run makes it: gnscope run -- COMMAND");
}

void model_no_run(struct gns_model *m)
{
	*m = (struct gns_model){.state = GNS_MODEL_NO_RUN};
	strcpy(m->message, "There is no run in /tmp/x.db yet.\033]0;evil\007");
}

static struct gns_interval about(double value)
{
	return (struct gns_interval){value, value * 0.99, value * 1.01};
}

static void set_gpu(struct gns_model *m, size_t devices)
{
	static const double share[GNS_PARTS] = {0.715, 0.0625, 0.02, 0.2025, 0.1875, 0.04, 0.004};
	static const struct gns_library_row library[] = {
		{0, "cublas", "13.0.2", "/opt/cuda/lib64/libcublas.so.13", ""}, {0, "cuda", "13.0", "/usr/lib/x86_64-linux-gnu/libcuda.so.1", ""},
		{0, "cupti", "", "/opt/cuda/lib64/libcupti.so.13", "owner"}};
	m->gpu.n_devices = devices;
	m->gpu.devices = rows(devices, sizeof *m->gpu.devices);
	for (size_t i = 0; i < devices; i++) {
		struct gns_device_row *row = &m->gpu.devices[i];
		double idle = 0.005 * (double)i;
		*row = (struct gns_device_row){.rank = (int64_t)i / 4, .device = (int64_t)i % 4, .looked_at = 100, .steps = 2000, .taken = 100,
					       .wall_ms = about(11), .total_ms = 1100, .kernels = 60, .queue_us = 8.5};
		for (int k = 0; k < GNS_PARTS; k++) {
			row->share[k] = share[k] + (k == GNS_PART_IDLE ? idle : k == GNS_PART_COMPUTE ? -idle : 0);
			row->ms[k] = about(11 * row->share[k]);
		}
	}
	m->gpu.n_libraries = 3;
	m->gpu.libraries = rows(3, sizeof library[0]);
	memcpy(m->gpu.libraries, library, sizeof library);
}

/* As a feed does it, those of devices first. */
static void set_device_kernels(struct gns_model *m)
{
	static const struct gns_kernel_row kernel[] = {
		{"sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_cublas", "gpu matmul", 24, 4.32, 0.182, NAN, 0.393, true, 168, 384, 132, 232448},
		{"flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4>, ...>", "gpu attention", 12, 1.57, 0.132, NAN, 0.143, true, 255, 128, 1536, 49152},
		{"ncclDevKernel_AllReduce_Sum_bf16_RING_LL", "gpu comm", 2, 2.06, 1.04, NAN, 0.1875, true, 96, 544, 24, 82240},
		{"vectorized_elementwise_kernel<4, GeluFunctor>", "gpu elementwise", 12, 0.787, 0.067, NAN, 0.0715, true, 32, 128, 6144, 0},
		{"gns_sketch_linear_bf16", "gpu gnscope", 5, 0.044, 0.011, NAN, 0.004, true, 96, 256, 264, 20480},
		{"memcpy host to device", "gpu copy", 3, 0.44, 0.2, NAN, 0.04, true, -1, -1, -1, -1},
	};
	size_t n = sizeof kernel / sizeof *kernel;
	struct gns_kernel_row *all = rows(n + m->n_kernels, sizeof *all);
	memcpy(all, kernel, sizeof kernel);
	memcpy(all + n, m->kernels, m->n_kernels * sizeof *all);
	free(m->kernels);
	m->kernels = all;
	m->n_kernels += n;
	m->gpu.kernels = rows(n, sizeof *all);
	memcpy(m->gpu.kernels, kernel, sizeof kernel);
	m->gpu.n_kernels = n;
}

void model_device(struct gns_model *m)
{
	model_training(m);
	set_gpu(m, 1);
	set_device_kernels(m);
}

void model_devices(struct gns_model *m)
{
	model_training(m);
	set_gpu(m, 12);
	set_device_kernels(m);
	strcpy(m->gpu.owner, "torch.profiler");
}

void model_no_kernel_times(struct gns_model *m)
{
	model_training(m);
	set_gpu(m, 0);
	strcpy(m->gpu.owner, "nsys");
	strcpy(m->gpu.why_not, "no kernel times: CUPTI serves one client at a time, and nsys had it");
}

void model_hostile(struct gns_model *m)
{
	model_training(m);
	set_gpu(m, 3);
	set_device_kernels(m);
	m->gpu.devices[0] = (struct gns_device_row){.rank = INT64_MAX, .device = INT64_MIN, .looked_at = INT64_MAX, .steps = -1, .wall_ms = {1e300, NAN, INFINITY},
						    .share = {7, -3, NAN, INFINITY}, .queue_us = 1e300, .total_ms = NAN, .dropped = INT64_MAX};
	memset(m->gpu.owner, '\033', sizeof m->gpu.owner - 1);
	memset(m->gpu.libraries[1].path, 'p', sizeof m->gpu.libraries[1].path - 1);
	strcpy(m->summary.run.name, "\033[2J\xe8\xae\xad\xe7\xbb\x83 a very long name of a run that somebody gave without thinking of the screen");
	memset(m->summary.run.command, 'x', sizeof m->summary.run.command - 1);
	m->summary.samples_per_step = 1e9;
	m->summary.overhead_pct = 1e6;
	m->summary.step_ms = 1e-7;
	m->summary.b_noise = known(1.5e12, 1e-9, 1e15, 5);
	m->summary.b_crit = known(3e14, 1e-3, 1e18, 5);
	m->summary.run.steps = INT64_MAX;
	m->summary.run.steps_measured = m->summary.measured = INT64_MAX / 2;
	m->summary.n_warnings = GNS_WARNINGS_MAX;
	for (size_t i = 0; i < GNS_WARNINGS_MAX; i++) {
		strcpy(m->summary.warnings[i].name, "a_warning_with_a_long_name_\x9b" "31m");
		memset(m->summary.warnings[i].text, 'w', sizeof m->summary.warnings[i].text - 1);
	}
	memset(m->layers[0].name, 'n', sizeof m->layers[0].name - 1);
	m->layers[1].share_s = -3;
	m->layers[2].share_s = 7;
	memset(m->kernels[0].name, 'k', sizeof m->kernels[0].name - 1);
	m->points[50].b_noise = known(1e-30, -5, 1e30, 1);
	m->points[51].b_noise = known(1e30, 1e-30, INFINITY, 1);
	m->points[52].loss = INFINITY;
	m->points[53].loss = NAN;
	strcpy(m->trouble, "the disk\nis \033[31mfull");
}
