/* A trainer in C: a three-layer perceptron on cblas_sgemm, softmax cross-entropy, SGD with momentum.
 * Reads Fashion-MNIST; without it, or with --data synthetic, it learns from a random teacher network. */
#include <cblas.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>

#include "gnscope/gnscope.h"

#define LAYERS 3
#define CLASSES 10
#define SYNTHETIC_IN 64
#define SYNTHETIC_SAMPLES 8192

struct options {
	int batch, hidden, steps, log_every;
	float lr, momentum;
	uint64_t seed;
	bool marks;
	const char *data, *losses, *times;
	bool weights_hash;
};

struct dataset {
	int samples, width;
	float *x;
	uint8_t *label;
};

struct layer {
	int in, out;
	float *w, *b;   /* w: out x in */
	float *vw, *vb; /* velocity */
	float *gw, *gb;
	float *y, *dy;  /* batch x out */
};

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("mlp: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

static void *allocate(size_t count, size_t size)
{
	void *p = calloc(count, size);
	if (!p)
		die("cannot allocate %zu bytes", count * size);
	return p;
}

/* splitmix64 (Steele, Lea and Flood 2014) */
static uint64_t random_bits(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static float random_uniform(uint64_t *state, float limit)
{
	return limit * ((float)(random_bits(state) >> 40) * 0x1p-23f - 1.0f);
}

/* ---- data ---- */

static uint8_t *read_gz(const char *folder, const char *file, size_t skip, size_t size)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", folder, file);
	gzFile f = gzopen(path, "rb");
	if (!f)
		return NULL;
	uint8_t *buf = allocate(skip + size, 1);
	if (gzread(f, buf, (unsigned)(skip + size)) != (int)(skip + size))
		die("cannot read %zu bytes from %s: is it the Fashion-MNIST file?", skip + size, path);
	gzclose(f);
	memmove(buf, buf + skip, size);
	return buf;
}

static bool load_fashion(const char *folder, struct dataset *data)
{
	data->samples = 60000;
	data->width = 784;
	size_t pixels = (size_t)data->samples * (size_t)data->width;
	uint8_t *images = read_gz(folder, "train-images-idx3-ubyte.gz", 16, pixels);
	data->label = read_gz(folder, "train-labels-idx1-ubyte.gz", 8, (size_t)data->samples);
	if (!images || !data->label)
		return false;
	data->x = allocate(pixels, sizeof(float));
	for (size_t i = 0; i < pixels; i++)
		data->x[i] = ((float)images[i] / 255.0f - 0.286f) / 0.353f;
	free(images);
	return true;
}

/* A random linear teacher labels random inputs; every tenth label is drawn at random, so that noise remains. */
static void make_synthetic(uint64_t seed, struct dataset *data)
{
	uint64_t state = seed ^ 0x7465616368657273ull;
	float teacher[CLASSES][SYNTHETIC_IN];
	for (int c = 0; c < CLASSES; c++)
		for (int j = 0; j < SYNTHETIC_IN; j++)
			teacher[c][j] = random_uniform(&state, 1.0f);
	data->samples = SYNTHETIC_SAMPLES;
	data->width = SYNTHETIC_IN;
	data->x = allocate((size_t)data->samples * SYNTHETIC_IN, sizeof(float));
	data->label = allocate((size_t)data->samples, 1);
	for (int i = 0; i < data->samples; i++) {
		float *x = data->x + (size_t)i * SYNTHETIC_IN, best = -INFINITY;
		for (int j = 0; j < SYNTHETIC_IN; j++)
			x[j] = random_uniform(&state, 1.7f);
		for (int c = 0; c < CLASSES; c++) {
			float score = 0.0f;
			for (int j = 0; j < SYNTHETIC_IN; j++)
				score += teacher[c][j] * x[j];
			if (score > best) {
				best = score;
				data->label[i] = (uint8_t)c;
			}
		}
		if (random_bits(&state) % 10 == 0)
			data->label[i] = (uint8_t)(random_bits(&state) % CLASSES);
	}
}

/* ---- network ---- */

static void layer_init(struct layer *l, int in, int out, int batch, uint64_t *state)
{
	size_t weights = (size_t)in * (size_t)out, cells = (size_t)batch * (size_t)out;
	*l = (struct layer){ .in = in, .out = out };
	l->w = allocate(weights, sizeof(float));
	l->vw = allocate(weights, sizeof(float));
	l->gw = allocate(weights, sizeof(float));
	l->b = allocate((size_t)out, sizeof(float));
	l->vb = allocate((size_t)out, sizeof(float));
	l->gb = allocate((size_t)out, sizeof(float));
	l->y = allocate(cells, sizeof(float));
	l->dy = allocate(cells, sizeof(float));
	float limit = sqrtf(6.0f / (float)in);
	for (size_t i = 0; i < weights; i++)
		l->w[i] = random_uniform(state, limit);
}

static void forward(const struct layer *l, const float *x, int batch, bool relu)
{
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, batch, l->out, l->in, 1.0f, x, l->in, l->w, l->in, 0.0f,
		    l->y, l->out);
	for (int i = 0; i < batch; i++) {
		float *y = l->y + (size_t)i * (size_t)l->out;
		for (int j = 0; j < l->out; j++) {
			y[j] += l->b[j];
			if (relu && y[j] < 0.0f)
				y[j] = 0.0f;
		}
	}
}

/* Mean loss of the batch; leaves its gradient in the last layer's dy. */
static float softmax_loss(struct layer *l, const uint8_t *label, int batch)
{
	double total = 0.0;
	for (int i = 0; i < batch; i++) {
		const float *y = l->y + (size_t)i * (size_t)l->out;
		float *dy = l->dy + (size_t)i * (size_t)l->out;
		float top = y[0], sum = 0.0f;
		for (int j = 1; j < l->out; j++)
			top = fmaxf(top, y[j]);
		for (int j = 0; j < l->out; j++)
			sum += dy[j] = expf(y[j] - top);
		for (int j = 0; j < l->out; j++)
			dy[j] = (dy[j] / sum - (j == label[i])) / (float)batch;
		total += (double)(logf(sum) - (y[label[i]] - top));
	}
	return (float)(total / batch);
}

static void backward(struct layer *l, const float *x, struct layer *below, int batch)
{
	cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, l->out, l->in, batch, 1.0f, l->dy, l->out, x, l->in, 0.0f,
		    l->gw, l->in);
	memset(l->gb, 0, (size_t)l->out * sizeof(float));
	for (int i = 0; i < batch; i++)
		for (int j = 0; j < l->out; j++)
			l->gb[j] += l->dy[(size_t)i * (size_t)l->out + (size_t)j];
	if (!below)
		return;
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, batch, l->in, l->out, 1.0f, l->dy, l->out, l->w, l->in,
		    0.0f, below->dy, l->in);
	for (size_t i = 0; i < (size_t)batch * (size_t)l->in; i++)
		if (below->y[i] <= 0.0f)
			below->dy[i] = 0.0f;
}

static void descend(float *w, float *v, const float *g, size_t n, const struct options *o)
{
	for (size_t i = 0; i < n; i++) {
		v[i] = o->momentum * v[i] + g[i];
		w[i] -= o->lr * v[i];
	}
}

static float train_step(struct layer *layers, const float *x, const uint8_t *label, const struct options *o)
{
	const float *input[LAYERS] = { x, layers[0].y, layers[1].y };
	for (int k = 0; k < LAYERS; k++)
		forward(&layers[k], input[k], o->batch, k < LAYERS - 1);
	float loss = softmax_loss(&layers[LAYERS - 1], label, o->batch);
	for (int k = LAYERS - 1; k >= 0; k--)
		backward(&layers[k], input[k], k ? &layers[k - 1] : NULL, o->batch);
	for (int k = 0; k < LAYERS; k++) {
		struct layer *l = &layers[k];
		descend(l->w, l->vw, l->gw, (size_t)l->in * (size_t)l->out, o);
		descend(l->b, l->vb, l->gb, (size_t)l->out, o);
	}
	return loss;
}

/* FNV-1a, 64 bits */
static uint64_t hash_floats(uint64_t hash, const float *v, size_t n)
{
	const unsigned char *p = (const unsigned char *)v;
	for (size_t i = 0; i < n * sizeof *v; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}

static double milliseconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static FILE *create(const char *path)
{
	FILE *f = path ? fopen(path, "w") : NULL;
	if (path && !f)
		die("cannot write to %s: %s", path, strerror(errno));
	return f;
}

/* Tells gnscope, if it is in the process, what the weights are called and how many samples a step has. */
static void mark_weights(const struct layer *layers, const struct options *o)
{
	static const char *const names[LAYERS] = { "fc1", "fc2", "fc3" };
	for (int k = 0; k < LAYERS; k++)
		gns_param(names[k], layers[k].w, (uint64_t)layers[k].out, (uint64_t)layers[k].in);
	gns_samples((uint64_t)o->batch);
}

static void train(struct layer *layers, const struct dataset *data, const struct options *o, uint64_t *state)
{
	float *x = allocate((size_t)o->batch * (size_t)data->width, sizeof(float));
	uint8_t *label = allocate((size_t)o->batch, 1);
	FILE *losses = create(o->losses), *times = create(o->times);
	double begin = milliseconds();
	if (o->marks)
		mark_weights(layers, o);
	for (int step = 1; step <= o->steps; step++) {
		for (int i = 0; i < o->batch; i++) {
			size_t pick = random_bits(state) % (uint64_t)data->samples;
			memcpy(x + (size_t)i * (size_t)data->width, data->x + pick * (size_t)data->width,
			       (size_t)data->width * sizeof(float));
			label[i] = data->label[pick];
		}
		float loss = train_step(layers, x, label, o);
		if (o->marks) {
			gns_loss((double)loss);
			gns_step();
		}
		if (losses) {
			fprintf(losses, "%d %a\n", step, (double)loss);
			fflush(losses);
		}
		if (o->log_every && step % o->log_every == 0) {
			printf("step %d loss %.9g\n", step, (double)loss);
			fflush(stdout);
		}
		if (times) {
			double end = milliseconds();
			fprintf(times, "%.6f\n", end - begin);
			begin = end;
		}
	}
	if (times)
		fclose(times);
	if (losses)
		fclose(losses);
	free(x);
	free(label);
}

/* ---- options ---- */

static const char usage[] =
	"Usage: mlp [OPTION]...\n"
	"Train a three-layer perceptron on cblas_sgemm.\n\n"
	"  --data DIR        folder of Fashion-MNIST, or \"synthetic\" (default /usr/share/datasets/fashion-mnist)\n"
	"  --batch N         samples a step (128)\n"
	"  --hidden N        width of the two hidden layers (512)\n"
	"  --lr X            learning rate (0.02)\n"
	"  --momentum X      (0.9)\n"
	"  --steps N         (2000)\n"
	"  --seed N          (0)\n"
	"  --log-every N     print the loss every N steps, 0 never (100)\n"
	"  --losses FILE     write every step's loss as an exact hexadecimal float\n"
	"  --times FILE      write every step's wall time in milliseconds\n"
	"  --marks           tell gnscope names, samples, losses and steps (gnscope/gnscope.h)\n"
	"  --weights-hash    print the FNV-1a hash of the final weights\n";

static double number(const char *name, const char *text, double low, double high)
{
	char *end;
	double v = strtod(text, &end);
	if (*end || end == text || !(v >= low && v <= high))
		die("--%s %s: not a number from %g to %g", name, text, low, high);
	return v;
}

static struct options parse(int argc, char **argv)
{
	static const struct option longs[] = {
		{ "data", required_argument, NULL, 'd' },   { "batch", required_argument, NULL, 'b' },
		{ "hidden", required_argument, NULL, 'w' }, { "lr", required_argument, NULL, 'r' },
		{ "momentum", required_argument, NULL, 'm' }, { "steps", required_argument, NULL, 's' },
		{ "seed", required_argument, NULL, 'e' },   { "log-every", required_argument, NULL, 'g' },
		{ "losses", required_argument, NULL, 'l' }, { "times", required_argument, NULL, 't' },
		{ "weights-hash", no_argument, NULL, 'x' }, { "marks", no_argument, NULL, 'k' },
		{ "help", no_argument, NULL, 'h' },         { NULL, 0, NULL, 0 },
	};
	struct options o = { .batch = 128, .hidden = 512, .steps = 2000, .log_every = 100, .lr = 0.02f, .momentum = 0.9f,
			     .data = "/usr/share/datasets/fashion-mnist" };
	int c, at = 0;
	while ((c = getopt_long(argc, argv, "", longs, &at)) != -1) {
		const char *name = longs[at].name;
		switch (c) {
		case 'd': o.data = optarg; break;
		case 'b': o.batch = (int)number(name, optarg, 1, 1 << 20); break;
		case 'w': o.hidden = (int)number(name, optarg, 1, 1 << 16); break;
		case 'r': o.lr = (float)number(name, optarg, 0, 1e6); break;
		case 'm': o.momentum = (float)number(name, optarg, 0, 1); break;
		case 's': o.steps = (int)number(name, optarg, 0, INT_MAX); break;
		case 'e': o.seed = (uint64_t)number(name, optarg, 0, 0x1p53); break;
		case 'g': o.log_every = (int)number(name, optarg, 0, INT_MAX); break;
		case 'l': o.losses = optarg; break;
		case 'k': o.marks = true; break;
		case 't': o.times = optarg; break;
		case 'x': o.weights_hash = true; break;
		case 'h': fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (optind < argc)
		die("unexpected argument %s; see --help", argv[optind]);
	return o;
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct dataset data = { 0 };
	bool synthetic = !strcmp(o.data, "synthetic");
	if (!synthetic && !load_fashion(o.data, &data)) {
		fprintf(stderr, "mlp: no Fashion-MNIST in %s; learning from a synthetic teacher instead\n", o.data);
		synthetic = true;
	}
	if (synthetic)
		make_synthetic(o.seed, &data);

	uint64_t state = o.seed;
	struct layer layers[LAYERS];
	const int width[LAYERS + 1] = { data.width, o.hidden, o.hidden, CLASSES };
	for (int k = 0; k < LAYERS; k++)
		layer_init(&layers[k], width[k], width[k + 1], o.batch, &state);
	train(layers, &data, &o, &state);
	if (o.weights_hash) {
		uint64_t hash = 0xcbf29ce484222325ull;
		for (int k = 0; k < LAYERS; k++) {
			hash = hash_floats(hash, layers[k].w, (size_t)layers[k].in * (size_t)layers[k].out);
			hash = hash_floats(hash, layers[k].b, (size_t)layers[k].out);
		}
		printf("weights %016llx\n", (unsigned long long)hash);
	}
	return 0;
}
