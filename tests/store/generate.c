/* The generator: see generate.h. */
#include "tests/store/generate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t mix(uint64_t x) /* splitmix64's finaliser (Steele, Lea, Flood 2014) */
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

double gns_generate_normal(uint64_t seed, uint64_t a, uint64_t b)
{
	uint64_t bits = mix(mix(mix(seed) ^ a) ^ b);
	double u = ((double)(bits >> 11) + 0.5) / 9007199254740992.0;
	double v = ((double)(mix(bits) >> 11) + 0.5) / 9007199254740992.0;
	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

double gns_generate_b_noise(const struct gns_generate *o, int64_t step)
{
	double at = o->steps > 1 ? (double)(step - 1) / (double)(o->steps - 1) : 0;
	return o->b_from * pow(o->b_to / o->b_from, at);
}

struct gns_record gns_generate_record(enum gns_record_kind kind)
{
	struct gns_record record;
	memset(&record, 0, sizeof record);
	record.kind = (uint16_t)kind;
	record.version = GNS_RECORD_VERSION;
	return record;
}

static uint64_t day(const struct gns_generate *o)
{
	return o->start_ns ? o->start_ns : 1760000000000000000u;
}

struct gns_record gns_generate_proc(const struct gns_generate *o, int rank)
{
	struct gns_record r = gns_generate_record(GNS_REC_PROC);
	r.u.proc = (struct gns_rec_proc){ .pid = 1000 + (uint32_t)rank, .rank = rank, .world = o->ranks,
		.unit = o->rows ? GNS_UNIT_ROWS : GNS_UNIT_SAMPLES, .samples = o->rows ? 0 : (uint32_t)o->batch,
		.every = (uint32_t)o->every, .budget_pct = NAN, .start_ns = day(o), .host = "node1" };
	return r;
}

static uint64_t layer_rows(int id) { return id % 4 == 3 ? 10 : id % 4 == 2 ? 256 : 512; }
static uint64_t layer_cols(int id) { return id % 4 == 0 ? 784 : id % 4 == 3 ? 256 : 512; }

struct gns_record gns_generate_param(int id)
{
	struct gns_record r = gns_generate_record(GNS_REC_PARAM);
	r.u.param = (struct gns_rec_param){ .param_id = (uint32_t)id + 1, .dtype = GNS_F32, .rows = layer_rows(id),
		.cols = layer_cols(id) };
	snprintf(r.u.param.name, sizeof r.u.param.name, "layers.%d.weight", id);
	return r;
}

static const char *const families[] = { "wgrad", "forward", "dgrad", "other" };

struct gns_record gns_generate_kernel(int id)
{
	struct gns_record r = gns_generate_record(GNS_REC_KERNEL);
	static const char *const forms[] = { "NT", "TN", "NN", "NN" };
	r.u.kernel.kernel_id = (uint32_t)id + 1;
	snprintf(r.u.kernel.family, sizeof r.u.kernel.family, "%s", families[id % 4]);
	snprintf(r.u.kernel.name, sizeof r.u.kernel.name, "sgemm %s %llux128x%llu", forms[id % 4],
		 (unsigned long long)layer_rows(id / 4), (unsigned long long)layer_cols(id / 4));
	return r;
}

static struct gns_record grad_of(const struct gns_generate *o, int rank, int64_t step, int layer)
{
	struct gns_record r = gns_generate_record(GNS_REC_GRAD);
	uint64_t stream = (uint64_t)rank * 4096 + (uint64_t)layer;
	double at = (double)step / (double)(o->steps + 1);
	double share = (1 + layer % 3) / (double)o->layers;
	double g2 = share * 0.02 * exp(-2 * at);
	double s = g2 * gns_generate_b_noise(o, step);
	g2 *= 1 + 4 * o->noise * gns_generate_normal(o->seed, (uint64_t)step, 2 * stream);
	s *= 1 + o->noise * gns_generate_normal(o->seed, (uint64_t)step, 2 * stream + 1);
	r.u.grad = (struct gns_rec_grad){ .step = (uint64_t)step, .param_id = (uint32_t)layer + 1,
		.source = o->torch ? GNS_SOURCE_TORCH : GNS_SOURCE_GEMM,
		.n_small = 1, .n_big = o->batch, .groups = o->batch, .q_small = g2 + s, .q_big = g2 + s / (double)o->batch };
	return r;
}

static struct gns_record kernel_of(const struct gns_generate *o, int rank, int64_t step, int kernel)
{
	struct gns_record r = gns_generate_record(GNS_REC_KERNEL_STEP);
	double x = gns_generate_normal(o->seed + 7, (uint64_t)step, (uint64_t)(rank * 4096 + kernel));
	double ns = 150000.0 * (1 + kernel % 4) * (1 + 0.05 * x) / (kernel / 4 + 1);
	r.u.kernel_step = (struct gns_rec_kernel_step){ .step = (uint64_t)step, .kernel_id = (uint32_t)kernel + 1, .calls = 2,
		.total_ns = (uint64_t)ns, .max_ns = (uint64_t)(0.6 * ns),
		.flops = 4.0 * (double)o->batch * (double)layer_rows(kernel / 4) * (double)layer_cols(kernel / 4) };
	return r;
}

#define PHASES 3
static struct gns_record phase_of(const struct gns_generate *o, int64_t step, int phase, bool name)
{
	static const char *const names[PHASES] = { "forward", "backward", "optimizer" };
	struct gns_record r = gns_generate_record(name ? GNS_REC_KERNEL : GNS_REC_KERNEL_STEP);
	uint32_t id = 1000 + (uint32_t)phase;
	if (name) {
		r.u.kernel = (struct gns_rec_kernel){ .kernel_id = id, .family = "phase" };
		snprintf(r.u.kernel.name, sizeof r.u.kernel.name, "%s", names[phase]);
	} else {
		uint64_t ns = 4000000u >> phase;
		r.u.kernel_step = (struct gns_rec_kernel_step){ .step = (uint64_t)step, .kernel_id = id, .calls = 1, .total_ns = ns,
			.max_ns = ns };
	}
	return r;
}

static int kernels_of(const struct gns_generate *o)
{
	return o->kernels ? (o->layers < 3 ? o->layers : 3) * 4 : 0;
}

/* ---- a device ---- */

struct gns_record gns_generate_device_step(const struct gns_generate *o, int rank, int64_t step)
{
	struct gns_record r = gns_generate_record(GNS_REC_DEVICE_STEP);
	uint64_t wall = (uint64_t)(11000000 * (1 + 0.02 * gns_generate_normal(o->seed + 11, (uint64_t)step, (uint64_t)rank)));
	uint64_t comm = wall / 16, copy = wall / 50, idle = wall / 8, compute = wall - comm - copy - idle;
	r.u.device_step = (struct gns_rec_device_step){ .step = (uint64_t)step, .device = (uint32_t)rank, .kernels = 60, .wall_ns = wall,
		.compute_ns = compute, .comm_exposed_ns = comm, .copy_exposed_ns = copy, .idle_ns = idle, .comm_ns = 3 * comm,
		.copy_ns = 2 * copy, .own_ns = compute / 200, .queue_ns = 60 * 8500 };
	return r;
}

static const struct { const char *family, *name; uint16_t registers, block; uint32_t grid, shared, calls; double of_compute; } device_kernels[] = {
	{ "gpu matmul", "sm90_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128x128x64_warpgroupsize1x1x1_cublas", 168, 384, 132, 232448, 24, 0.55 },
	{ "gpu attention", "flash_fwd_kernel<Flash_fwd_kernel_traits<64, 128, 128, 4, bfloat16_t>, ...>", 255, 128, 1536, 49152, 12, 0.2 },
	{ "gpu elementwise", "vectorized_elementwise_kernel<4, GeluFunctor>(int, GeluFunctor)", 32, 128, 6144, 0, 12, 0.1 },
	{ "gpu optimizer", "multi_tensor_apply_kernel<AdamFunctor>", 40, 512, 320, 0, 4, 0.06 },
	{ "gpu comm", "ncclDevKernel_AllReduce_Sum_bf16_RING_LL", 96, 544, 24, 82240, 2, 0.18 },
	{ "gpu copy", "memcpy host to device", 0, 0, 0, 0, 3, 0.04 },
	{ "gpu gnscope", "gns_sketch_linear_bf16", 96, 256, 264, 20480, 5, 0.005 },
};

struct gns_record gns_generate_device_kernel(int which)
{
	struct gns_record r = gns_generate_record(GNS_REC_KERNEL);
	r.u.kernel = (struct gns_rec_kernel){ .kernel_id = 2000 + (uint32_t)which, .registers = device_kernels[which].registers,
		.block = device_kernels[which].block, .grid = device_kernels[which].grid, .shared = device_kernels[which].shared };
	snprintf(r.u.kernel.family, sizeof r.u.kernel.family, "%s", device_kernels[which].family);
	snprintf(r.u.kernel.name, sizeof r.u.kernel.name, "%s", device_kernels[which].name);
	return r;
}

struct gns_record gns_generate_device_use(const struct gns_generate *o, int rank, int64_t step, int which)
{
	struct gns_record r = gns_generate_record(GNS_REC_KERNEL_STEP), d = gns_generate_device_step(o, rank, step);
	uint64_t ns = (uint64_t)(device_kernels[which].of_compute * (double)d.u.device_step.compute_ns);
	r.u.kernel_step = (struct gns_rec_kernel_step){ .step = (uint64_t)step, .kernel_id = 2000 + (uint32_t)which,
		.calls = device_kernels[which].calls, .total_ns = ns, .max_ns = ns / device_kernels[which].calls + 1000 };
	return r;
}

static size_t device_of(const struct gns_generate *o, int rank, int64_t step, struct gns_record *out)
{
	size_t n = 0;
	if (step < 1 || step % GNS_GENERATE_DEVICE_EVERY != 0)
		return 0;
	for (int i = 0; i < GNS_GENERATE_DEVICE_KERNELS; i++)
		out[n++] = gns_generate_device_use(o, rank, step, i);
	out[n++] = gns_generate_device_step(o, rank, step);
	return n;
}

static struct gns_record library_of(const char *name, const char *version, const char *path, const char *note)
{
	struct gns_record r = gns_generate_record(GNS_REC_LIBRARY);
	snprintf(r.u.library.name, sizeof r.u.library.name, "%s", name);
	snprintf(r.u.library.version, sizeof r.u.library.version, "%s", version);
	snprintf(r.u.library.path, sizeof r.u.library.path, "%s", path);
	snprintf(r.u.library.note, sizeof r.u.library.note, "%s", note);
	return r;
}

size_t gns_generate_step(const struct gns_generate *o, int rank, int64_t step, struct gns_record *out)
{
	size_t n = 0;
	bool measured = step % o->every == 0 || o->every == 1;
	double wobble = gns_generate_normal(o->seed + 3, (uint64_t)step, (uint64_t)rank);
	for (int i = 0; measured && i < o->layers; i++)
		out[n++] = grad_of(o, rank, step, i);
	for (int i = 0; measured && i < kernels_of(o); i++)
		out[n++] = kernel_of(o, rank, step, i);
	for (int i = 0; measured && o->torch && i < PHASES; i++)
		out[n++] = phase_of(o, step, i, false);
	if (o->losses) {
		struct gns_record loss = gns_generate_record(GNS_REC_LOSS);
		loss.u.loss.step = (uint64_t)step;
		loss.u.loss.loss = 0.35 + 2 * exp(-5 * (double)step / (double)o->steps) + 0.02 * wobble;
		out[n++] = loss;
	}
	struct gns_record last = gns_generate_record(GNS_REC_STEP);
	last.u.step = (struct gns_rec_step){ .step = (uint64_t)step, .start_ns = day(o) + (uint64_t)step * 12000000u,
		.dur_ns = (uint64_t)(12000000 + 200000 * wobble), .overhead_ns = measured ? 110000 : 3000,
		.samples = o->rows ? 0 : o->batch, .rows = o->batch, .micro_steps = 1,
		.flags = measured ? GNS_STEP_MEASURED : 0, .params = measured ? (uint32_t)o->layers : 0, .every = (uint32_t)o->every,
		.lr = o->torch ? 0.001 * (1 + cos(M_PI * (double)step / (double)o->steps)) : (double)NAN };
	out[n++] = last;
	if (o->device)
		n += device_of(o, rank, step - 2, out + n);
	return n;
}

static int put(struct gns_store *store, int64_t row, struct gns_record record, struct gns_error *err)
{
	return gns_store_record(store, row, &record, err);
}

static int put_names(struct gns_store *store, const struct gns_generate *o, int rank, int64_t row, struct gns_error *err)
{
	int rc = put(store, row, gns_generate_proc(o, rank), err);
	for (int i = 0; rc == 0 && i < o->layers; i++)
		rc = put(store, row, gns_generate_param(i), err);
	for (int i = 0; rc == 0 && i < kernels_of(o); i++)
		rc = put(store, row, gns_generate_kernel(i), err);
	return rc;
}

static int put_device(struct gns_store *store, int64_t row, struct gns_error *err)
{
	struct gns_record records[] = { library_of("cuda", "13.0", "/usr/lib/x86_64-linux-gnu/libcuda.so.1", ""),
		library_of("cublas", "13.0.2", "/opt/cuda/lib64/libcublas.so.13", ""), library_of("cublaslt", "", "/opt/cuda/lib64/libcublasLt.so.13", ""),
		library_of("nccl", "2.28.3", "/opt/venv/lib/libnccl.so.2", ""), library_of("cupti", "", "/opt/cuda/lib64/libcupti.so.13", "owner"),
		library_of("cublaslt", "13.0.2", "/opt/cuda/lib64/libcublasLt.so.13", "") };
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof records / sizeof *records; i++)
		rc = put(store, row, records[i], err);
	for (int i = 0; rc == 0 && i < GNS_GENERATE_DEVICE_KERNELS; i++)
		rc = put(store, row, gns_generate_device_kernel(i), err);
	return rc;
}

static struct gns_record setting_of(const char *name, double value, const char *text)
{
	struct gns_record r = gns_generate_record(GNS_REC_SETTING);
	r.u.setting.step = 1;
	r.u.setting.value = value;
	snprintf(r.u.setting.name, sizeof r.u.setting.name, "%s", name);
	snprintf(r.u.setting.text, sizeof r.u.setting.text, "%s", text);
	return r;
}

static int streams_of(const struct gns_generate *o)
{
	return o->streams > 1 ? o->streams : 1;
}

/* What PyTorch adds, for each optimizer: AdamW, then SGD for all others. Their weights are numbered on. */
static int put_torch(struct gns_store *store, const struct gns_generate *o, int64_t row, struct gns_error *err)
{
	struct gns_record records[16];
	int rc = 0;
	for (int stream = 0; rc == 0 && stream < streams_of(o); stream++) {
		size_t n = 0;
		for (int i = 0; stream == 0 && i < PHASES; i++)
			records[n++] = phase_of(o, 0, i, true);
		records[n++] = setting_of("optimizer", NAN, stream ? "SGD" : "AdamW");
		records[n++] = stream ? setting_of("momentum", 0.9, "") : setting_of("beta1", 0.9, "");
		records[n++] = setting_of("weight_decay", 0.01, "");
		struct gns_record left = gns_generate_record(GNS_REC_PARAM);
		left.u.param = (struct gns_rec_param){ .param_id = 900 + (uint32_t)stream, .dtype = GNS_F32, .rows = 64, .cols = 147,
			.dims = { 3, 7, 7 }, .excluded = GNS_LEFT_CHECKPOINT };
		snprintf(left.u.param.name, sizeof left.u.param.name, "stem.weight");
		records[n++] = left;
		for (size_t i = 0; rc == 0 && i < n; i++) {
			records[i].stream = (uint32_t)stream;
			rc = put(store, row, records[i], err);
		}
	}
	return rc;
}

static void move_to_stream(struct gns_record *record, const struct gns_generate *o, int stream)
{
	record->stream = (uint32_t)stream;
	if (record->kind == GNS_REC_GRAD)
		record->u.grad.param_id += (uint32_t)(stream * o->layers);
}

static int put_stream(struct gns_store *store, const struct gns_generate *o, int stream, int rank, int64_t step, int64_t row,
		      struct gns_record *records, struct gns_error *err)
{
	struct gns_generate mine = *o;
	int rc = 0;
	mine.seed += 1000 * (uint64_t)stream;
	mine.device = false;
	mine.b_from *= pow(2, stream);
	mine.b_to *= pow(2, stream);
	if (step == 1 || step == o->first_step)
		for (int i = 0; rc == 0 && i < o->layers; i++) {
			struct gns_record param = gns_generate_param(i);
			param.stream = (uint32_t)stream;
			param.u.param.param_id += (uint32_t)(stream * o->layers);
			rc = put(store, row, param, err);
		}
	size_t n = gns_generate_step(&mine, rank, step, records);
	for (size_t i = 0; rc == 0 && i < n; i++) {
		move_to_stream(&records[i], o, stream);
		rc = gns_store_record(store, row, &records[i], err);
	}
	return rc;
}

static int put_warnings(struct gns_store *store, const struct gns_generate *o, int64_t row, struct gns_error *err)
{
	struct gns_record event = gns_generate_record(GNS_REC_EVENT), counter = gns_generate_record(GNS_REC_COUNTER);
	event.u.event = (struct gns_rec_event){ .time_ns = day(o) + 1000000000u, .step = 3, .name = "clipping",
		.text = "max_norm 1" };
	counter.u.counter = (struct gns_rec_counter){ .value = 1204, .collector = "blas", .name = "rejected_attention",
		.text = "sgemm NT 64x64x128" };
	struct gns_record tied = gns_generate_param(o->layers);
	tied.u.param.excluded = 1;
	int rc = put(store, row, event, err);
	if (rc == 0)
		rc = put(store, row, counter, err);
	if (rc == 0)
		rc = put(store, row, tied, err);
	return rc == 0 ? gns_store_set_tail(store, row, 0, 70, 5, err) : rc;
}

static int put_steps(struct gns_store *store, const struct gns_generate *o, const int64_t *rows, struct gns_error *err)
{
	struct gns_record *records = malloc(((size_t)o->layers + 32) * sizeof *records);
	int64_t first = o->first_step > 0 ? o->first_step : 1;
	int rc = records ? 0 : gns_fail(err, -ENOMEM, "no memory left");
	uint64_t tail = 1 + (uint64_t)o->layers + (uint64_t)kernels_of(o);
	for (int64_t step = first; rc == 0 && step <= o->steps; step++) {
		if ((step - first) % 512 == 0)
			rc = gns_store_begin(store, err);
		for (int rank = 0; rc == 0 && rank < o->ranks; rank++) {
			size_t n = gns_generate_step(o, rank, step, records);
			for (size_t i = 0; rc == 0 && i < n; i++)
				rc = gns_store_record(store, rows[rank], &records[i], err);
			for (int stream = 1; rc == 0 && stream < streams_of(o); stream++)
				rc = put_stream(store, o, stream, rank, step, rows[rank], records, err);
			tail += rank == 0 ? n : 0;
		}
		if (rc == 0 && ((step - first) % 512 == 511 || step == o->steps)) {
			for (int rank = 0; rc == 0 && rank < o->ranks; rank++)
				rc = gns_store_set_tail(store, rows[rank], tail, 0, o->warnings && rank == 0 ? 5 : 0, err);
			if (rc == 0)
				rc = gns_store_commit(store, err);
		}
	}
	free(records);
	return rc;
}

int gns_generate_run(struct gns_store *store, const struct gns_generate *o, int64_t *run_id, struct gns_error *err)
{
	struct gns_run_start start = { .key = o->key ? o->key : mix(o->seed), .name = o->name, .cwd = "/home/user/project",
		.command = "python3 examples/fashion_mnist.py --batch 128", .host = "node1", .version = "generated",
		.start_ns = day(o) };
	int64_t rows[64];
	int rc = o->ranks > 64 ? gns_fail(err, -EINVAL, "at most 64 ranks") : gns_store_run_begin(store, &start, run_id, err);
	for (int rank = 0; rc == 0 && rank < o->ranks; rank++) {
		uint64_t tail;
		rc = gns_store_rank_begin(store, *run_id, (uint32_t)rank, 1000 + (uint32_t)rank, &rows[rank], &tail, err);
		if (rc < 0 || tail > 0)
			continue;
		rc = gns_store_begin(store, err);
		if (rc == 0)
			rc = put_names(store, o, rank, rows[rank], err);
		if (rc == 0 && o->device)
			rc = put_device(store, rows[rank], err);
		if (rc == 0 && o->torch)
			rc = put_torch(store, o, rows[rank], err);
		if (rc == 0 && rank == 0 && o->warnings)
			rc = put_warnings(store, o, rows[rank], err);
		if (rc == 0)
			rc = gns_store_commit(store, err);
	}
	if (rc == 0)
		rc = put_steps(store, o, rows, err);
	for (int rank = 0; rc == 0 && !o->running && rank < o->ranks; rank++)
		rc = gns_store_rank_end(store, rows[rank], err);
	if (rc == 0 && !o->running)
		rc = gns_store_run_end(store, *run_id, "finished", 0, day(o) + (uint64_t)(o->steps + 1) * 12000000u, err);
	return rc;
}
