/* A trainer that writes into the session as the shim in a real one would: two weights, a known noise scale.
 *
 *   gns_fake_trainer STEPS [sleep_us=N] [noise=B] [batch=N] [loss=1] [exit=N] [kill=SIG] [close=0] [print=0] [ask=1]
 *                    [torch=1] [optimizers=N] [left_out=REASON] [idle=1] [gpu=1|2|3]
 *
 * Each step has q_small = g2 + s and q_big = g2 + s/n with g2 = 1 and s = B, +-1% in turn, so that s/g2 is B to rounding of the
 * pairs. With loss=1 it prints "step I loss L" with L = 10/I once step I has been published; with
 * ask=1 it then waits for a byte on its input. With torch=1 it tells what PyTorch would: its version, an optimizer, a weight left out,
 * parts of a step; optimizers=N makes N of them, the K-th with K times the noise;
 * with idle=1 the first never steps. With gpu=1 it tells what the collectors of a GPU would: libraries, calls, a capture, kernels and how every
 * other step went; with gpu=2 libraries and calls, while somebody else holds CUPTI; with gpu=3 a library that nobody calls. */
#include <math.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "profiler/shim/ring/ring.h"

static long setting(int argc, char **argv, const char *name, long otherwise)
{
	size_t n = strlen(name);
	for (int i = 2; i < argc; i++)
		if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
			return strtol(argv[i] + n + 1, NULL, 10);
	return otherwise;
}

static uint64_t now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct gns_record *next(struct gns_ring *ring, uint32_t *used, enum gns_record_kind kind)
{
	struct gns_record *record = gns_ring_at(ring, (*used)++);
	memset(record, 0, sizeof *record);
	record->kind = (uint16_t)kind;
	record->version = GNS_RECORD_VERSION;
	return record;
}

static bool torch, idle;
static uint32_t optimizers = 1, left_out; /* left_out: every weight for this reason */

static void introduce_torch(struct gns_ring *ring, uint32_t *used, uint32_t stream)
{
	static const char *const classes[] = {"AdamW", "SGD"}, *const phases[] = {"forward", "backward", "optimizer"};
	struct gns_record *r = next(ring, used, GNS_REC_SETTING);
	r->stream = stream;
	r->u.setting = (struct gns_rec_setting){.step = 1, .value = NAN, .name = "optimizer"};
	strcpy(r->u.setting.text, classes[stream > 0]);
	r = next(ring, used, GNS_REC_PARAM);
	r->stream = stream;
	r->u.param = (struct gns_rec_param){.param_id = 100 + stream, .dtype = GNS_F32, .rows = 10, .cols = 36, .dims = {4, 3, 3},
					    .excluded = left_out ? left_out : GNS_LEFT_COMPILED, .name = "stem.weight"};
	for (uint32_t i = 0; stream == 0 && i < 3; i++) {
		r = next(ring, used, GNS_REC_KERNEL);
		r->u.kernel = (struct gns_rec_kernel){.kernel_id = 1 + i, .family = "phase"};
		strcpy(r->u.kernel.name, phases[i]);
	}
	if (stream > 0)
		return;
	r = next(ring, used, GNS_REC_EVENT);
	r->u.event = (struct gns_rec_event){.time_ns = now(), .step = 1, .name = "torch", .text = "PyTorch 2.15.0"};
}

static void introduce(struct gns_ring *ring, uint32_t *used, uint32_t batch)
{
	struct gns_record *r = next(ring, used, GNS_REC_PROC);
	r->u.proc = (struct gns_rec_proc){.pid = (uint32_t)getpid(), .world = 1, .unit = GNS_UNIT_SAMPLES, .samples = batch, .every = 1,
					  .budget_pct = NAN, .start_ns = now()};
	strcpy(r->u.proc.host, "fake");
	for (uint32_t i = 1; i <= 2 * optimizers; i++) {
		r = next(ring, used, GNS_REC_PARAM);
		r->stream = (i - 1) / 2;
		r->u.param = (struct gns_rec_param){.param_id = i, .dtype = GNS_F32, .rows = 10, .cols = 10 * i, .excluded = left_out};
		snprintf(r->u.param.name, sizeof r->u.param.name, "layer%u.weight", i);
	}
}

static void library(struct gns_ring *ring, uint32_t *used, const char *name, const char *version, const char *path)
{
	struct gns_record *r = next(ring, used, GNS_REC_LIBRARY);
	strcpy(r->u.library.name, name);
	strcpy(r->u.library.version, version);
	strcpy(r->u.library.path, path);
}

static struct gns_record *counter(struct gns_ring *ring, uint32_t *used, const char *collector, const char *name, uint64_t value)
{
	struct gns_record *r = next(ring, used, GNS_REC_COUNTER);
	r->u.counter.value = value;
	strcpy(r->u.counter.collector, collector);
	strcpy(r->u.counter.name, name);
	return r;
}

static long gpu;

static void introduce_gpu(struct gns_ring *ring, uint32_t *used)
{
	library(ring, used, "cuda", "13.0", "/usr/lib/libcuda.so.1");
	library(ring, used, "cublas", gpu == 3 ? "" : "13.0.2", "/opt/cuda/libcublas.so.13");
	if (gpu == 3)
		return;
	library(ring, used, "cupti", "", "/opt/cuda/libcupti.so.13");
	counter(ring, used, "cublas", "cublasGemmEx", 1234);
	counter(ring, used, "cublas", "cublasSgemm_v2", 5);
	counter(ring, used, "cuda", "products_element_type", 6);
	counter(ring, used, "cuda", "contexts", 2);
	counter(ring, used, "cuda", "device_bytes", 135000000);
	counter(ring, used, "cuda", "driver_version", 13010);
	strcpy(counter(ring, used, "cuda", "off", gpu == 2 ? 7 : 0)->u.counter.text, gpu == 2 ? "driver_error 700" : "");
	if (gpu == 2) {
		struct gns_record *r = next(ring, used, GNS_REC_EVENT);
		r->u.event = (struct gns_rec_event){.time_ns = now(), .step = 1, .name = "cupti_owner", .text = "libnsys-cupti.so"};
		return;
	}
	counter(ring, used, "cuda", "cudaStreamEndCapture", 1);
	counter(ring, used, "cuda", "cudaGraphLaunch", 40);
	counter(ring, used, "cupti", "windows", 3);
	counter(ring, used, "cupti", "steps_told", 7);
	counter(ring, used, "cupti", "host_us", 1500);
	struct gns_record *r = next(ring, used, GNS_REC_KERNEL);
	r->u.kernel = (struct gns_rec_kernel){.kernel_id = 1000, .family = "gpu matmul", .name = "sm90_xmma_gemm", .grid = 132, .block = 384};
}

static void tell_device(struct gns_ring *ring, uint32_t *used, uint64_t number)
{
	struct gns_record *r = next(ring, used, GNS_REC_KERNEL_STEP);
	r->u.kernel_step = (struct gns_rec_kernel_step){.step = number, .kernel_id = 1000, .calls = 3, .total_ns = 600, .max_ns = 250};
	r = next(ring, used, GNS_REC_DEVICE_STEP);
	r->u.device_step = (struct gns_rec_device_step){.step = number, .kernels = 3, .wall_ns = 1000, .compute_ns = 600, .comm_exposed_ns = 120,
							.idle_ns = 280, .comm_ns = 240, .own_ns = 6};
}

static void step(struct gns_ring *ring, uint32_t stream, uint64_t number, double noise, uint32_t batch, uint64_t start, uint64_t duration)
{
	uint32_t used = 0;
	if (!gns_ring_reserve(ring, 64)) {
		gns_ring_drop(ring, 64, 1);
		return;
	}
	if (number == 1 && stream == 0)
		introduce(ring, &used, batch);
	if (number == 1 && torch)
		introduce_torch(ring, &used, stream);
	if (number == 1 && stream == 0 && gpu)
		introduce_gpu(ring, &used);
	if (idle && stream == 0) {
		gns_ring_publish(ring, used);
		return;
	}
	double wobble = number % 2 ? 1.01 : 0.99;
	for (uint32_t i = 1; i <= 2 && !left_out; i++) {
		struct gns_record *r = next(ring, &used, GNS_REC_GRAD);
		r->stream = stream;
		double s = wobble * noise / 2, g2 = wobble * 0.5;
		r->u.grad = (struct gns_rec_grad){.step = number, .param_id = 2 * stream + i,
						  .source = torch ? GNS_SOURCE_TORCH : GNS_SOURCE_GEMM, .n_small = 1, .n_big = batch,
						  .groups = batch, .q_small = g2 + s, .q_big = g2 + s / batch};
	}
	for (uint32_t i = 0; torch && i < 3; i++) {
		struct gns_record *r = next(ring, &used, GNS_REC_KERNEL_STEP);
		uint64_t ns = duration * (3 - i) / 10;
		r->stream = stream;
		r->u.kernel_step = (struct gns_rec_kernel_step){.step = number, .kernel_id = 1 + i, .calls = 1, .total_ns = ns, .max_ns = ns};
	}
	struct gns_record *r = next(ring, &used, GNS_REC_STEP);
	r->stream = stream;
	r->u.step = (struct gns_rec_step){.step = number, .start_ns = start, .dur_ns = duration, .overhead_ns = duration / 200,
					  .samples = batch, .rows = batch, .micro_steps = 1, .flags = GNS_STEP_MEASURED, .params = 2,
					  .every = 1, .lr = torch ? 0.001 : NAN};
	if (gpu == 1 && number % 2 == 0)
		tell_device(ring, &used, number);
	gns_ring_publish(ring, used);
}

int main(int argc, char **argv)
{
	long steps = argc > 1 ? strtol(argv[1], NULL, 10) : 10, pause_us = setting(argc, argv, "sleep_us", 1000);
	const char *name = getenv("GNSCOPE_SESSION"), *samples = getenv("GNSCOPE_SAMPLES");
	uint32_t batch = (uint32_t)setting(argc, argv, "batch", samples ? strtol(samples, NULL, 10) : 64);
	struct gns_session *session;
	struct gns_ring ring = {0};
	left_out = (uint32_t)setting(argc, argv, "left_out", 0);
	idle = setting(argc, argv, "idle", 0) != 0;
	torch = setting(argc, argv, "torch", 0) != 0;
	gpu = setting(argc, argv, "gpu", 0);
	optimizers = (uint32_t)setting(argc, argv, "optimizers", 1);
	if (!name || gns_session_attach(name, &session) != 0 || gns_ring_claim(name, session, &ring) != 0) {
		fprintf(stderr, "fake trainer: no session\n");
		return 99;
	}
	if (setting(argc, argv, "print", 1)) {
		printf("training\n");
		fflush(stdout);
	}
	for (long i = 1; i <= steps; i++) {
		uint64_t start = now();
		usleep((useconds_t)pause_us);
		for (uint32_t k = 0; k < optimizers; k++)
			step(&ring, k, (uint64_t)i, (double)setting(argc, argv, "noise", 500) * (k + 1), batch, start, now() - start);
		if (setting(argc, argv, "loss", 0)) {
			printf("step %ld loss %.9g\n", i, 10.0 / (double)i);
			fflush(stdout);
			if (setting(argc, argv, "ask", 0) && getchar() == EOF)
				return 98;
		}
	}
	if (setting(argc, argv, "kill", 0))
		raise((int)setting(argc, argv, "kill", 0));
	if (setting(argc, argv, "close", 1))
		gns_ring_close(&ring);
	return (int)setting(argc, argv, "exit", 0);
}
