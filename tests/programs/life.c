/* The lives of weights: a trainer whose weights are evaluated, recomputed, shared, moved, frozen and thawed, alone or in turn with
 * another model's, on batches that change their size.
 *
 *     life HOW [STEPS]
 *
 * Prints for each weight and step what is true, by plain loops in double: TRUTH n q_small q_big. One side of every weight has at most 8 columns, so that the sketch is exact. Buffers are malloc'd and freed as they are needed,
 * and come back at addresses where others stood. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#define LAYERS_MAX 6

struct weight {
	float *w, *dw;
	int in, out, frozen, tied;
};

struct model {
	struct weight layer[LAYERS_MAX];
	int n, use[LAYERS_MAX]; /* whose weight a layer uses */
};

struct pass { /* one micro-step */
	float *x[LAYERS_MAX + 1];
	int rows, samples;
};

static uint64_t state = 88172645463325252ull;
static int checkpoint;

static float uniform(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (float)((double)(state >> 11) / 9007199254740992.0 - 0.5);
}

static float *floats(int n)
{
	return malloc((size_t)n * sizeof(float));
}

static struct model make(const int *width, int n)
{
	struct model m = { .n = n };
	for (int l = 0; l < n; l++) {
		struct weight *w = &m.layer[l];
		*w = (struct weight){ floats(width[l] * width[l + 1]), calloc((size_t)(width[l] * width[l + 1]), 4), width[l], width[l + 1], 0, 0 };
		for (int i = 0; i < w->in * w->out; i++)
			w->w[i] = uniform();
		m.use[l] = l;
	}
	return m;
}

static float *layer_forward(const struct weight *w, const float *x, int rows)
{
	float *y = floats(rows * w->out);
	cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, w->out, w->in, 1, x, w->in, w->w, w->in, 0, y, w->out);
	for (int i = 0; i < rows * w->out; i++)
		y[i] = y[i] > 0 ? y[i] : 0.1f * y[i];
	return y;
}

/* Keeps every input, or under checkpointing only the first. */
static void forward(struct model *m, struct pass *p)
{
	for (int l = 0; l < m->n; l++) {
		p->x[l + 1] = layer_forward(&m->layer[m->use[l]], p->x[l], p->rows);
		if (l && checkpoint) {
			free(p->x[l]);
			p->x[l] = NULL;
		}
	}
}

static void truth(const struct weight *w, const float *x, const float *dy, const struct pass *p)
{
	int t = p->rows / p->samples;
	double small = 0, big = 0;
	for (int o = 0; o < w->out; o++)
		for (int i = 0; i < w->in; i++) {
			double all = 0;
			for (int s = 0; s < p->samples; s++) {
				double one = 0;
				for (int r = s * t; r < (s + 1) * t; r++)
					one += (double)dy[r * w->out + o] * (double)x[r * w->in + i];
				small += p->samples * one * one;
				all += one;
			}
			big += all * all;
		}
	if (!w->tied)
		printf("TRUTH %d %.17g %.17g\n", p->samples, small, big);
}

/* The input of layer l once more, from the first one. */
static void recompute(struct model *m, struct pass *p, int l)
{
	float *x = p->x[0];
	for (int i = 0; i < l; i++) {
		float *y = layer_forward(&m->layer[m->use[i]], x, p->rows);
		if (i)
			free(x);
		x = y;
	}
	p->x[l] = x;
	free(layer_forward(&m->layer[m->use[l]], x, p->rows)); /* the whole block runs again, its last product as well */
}

/* Consumes dy and the pass; returns the gradient of its first input. */
static float *backward(struct model *m, struct pass *p, float *dy, int params)
{
	for (int l = m->n - 1; l >= 0; l--) {
		struct weight *w = &m->layer[m->use[l]];
		for (int i = 0; i < p->rows * w->out; i++)
			dy[i] *= p->x[l + 1][i] > 0 ? 1 : 0.1f;
		if (checkpoint && !p->x[l])
			recompute(m, p, l);
		float *dx = floats(p->rows * w->in);
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p->rows, w->in, w->out, 1, dy, w->out, w->w, w->in, 0, dx, w->in);
		if (params && !w->frozen) {
			float *dw = floats(w->in * w->out);
			cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, w->out, w->in, p->rows, 1, dy, w->out, p->x[l], w->in, 0, dw,
				    w->in);
			truth(w, p->x[l], dy, p);
			for (int i = 0; i < w->in * w->out; i++)
				w->dw[i] += dw[i];
			free(dw);
		}
		free(dy);
		free(p->x[l + 1]);
		p->x[l + 1] = NULL;
		dy = dx;
	}
	return dy;
}

static float *batch(int rows, int cols)
{
	float *x = floats(rows * cols);
	for (int i = 0; i < rows * cols; i++)
		x[i] = uniform();
	return x;
}

/* d loss / d y in place of y's own values, of a random target. */
static float *loss(const float *y, int rows, int cols)
{
	float *dy = batch(rows, cols);
	for (int i = 0; i < rows * cols; i++)
		dy[i] = (y[i] - dy[i]) / (float)rows;
	return dy;
}

static void learn(struct model *m, int samples, int t)
{
	struct pass p = { .rows = samples * t, .samples = samples };
	p.x[0] = batch(p.rows, m->layer[0].in);
	forward(m, &p);
	free(backward(m, &p, loss(p.x[m->n], p.rows, m->layer[m->use[m->n - 1]].out), 1));
	free(p.x[0]);
}

static void update(struct model *m)
{
	for (int l = 0; l < m->n; l++)
		for (int i = 0; i < m->layer[l].in * m->layer[l].out; i++) {
			m->layer[l].w[i] -= 0.1f * m->layer[l].dw[i];
			m->layer[l].dw[i] = 0;
		}
}

static void evaluate(struct model *m, int samples, int passes)
{
	int keep = checkpoint;
	checkpoint = 1;
	for (int i = 0; i < passes; i++) {
		struct pass p = { .rows = samples };
		p.x[0] = batch(samples, m->layer[0].in);
		forward(m, &p);
		free(p.x[0]);
		free(p.x[m->n]);
	}
	checkpoint = keep;
}

static void freeze(struct model *m, int layer, int frozen)
{
	m->layer[layer].frozen = frozen;
}

/* Elsewhere, and where it was there is room for activations. */
static void move(struct weight *w)
{
	float *to = floats(w->in * w->out + 64);
	memcpy(to, w->w, (size_t)(w->in * w->out) * sizeof *to);
	free(w->w);
	w->w = to;
}

/* A discriminator and a generator, each with its optimizer; the generator's gradient comes through the discriminator. */
static void in_turn(struct model *g, struct model *d, int steps, int whole)
{
	for (int step = 0; step < steps; step++) {
		learn(d, 8, 1);
		update(d);
		struct pass pg = { .rows = 8, .samples = 8 }, pd = { .rows = 8, .samples = 8 };
		pg.x[0] = batch(8, g->layer[0].in);
		forward(g, &pg);
		pd.x[0] = pg.x[g->n];
		forward(d, &pd);
		float *dy = backward(d, &pd, loss(pd.x[d->n], 8, d->layer[d->n - 1].out), whole);
		free(backward(g, &pg, dy, 1));
		free(pg.x[0]);
		update(g);
		for (int l = 0; l < d->n; l++)
			memset(d->layer[l].dw, 0, (size_t)(d->layer[l].in * d->layer[l].out) * 4);
	}
}

int main(int argc, char **argv)
{
	static const int width[] = { 12, 8, 20, 8, 6 }, square[] = { 12, 8, 8, 8, 6 }, small[] = { 6, 8, 3 };
	static char lines[1 << 22];
	const char *how = argc > 1 ? argv[1] : "plain";
	int steps = argc > 2 ? atoi(argv[2]) : 40, tied = strstr(how, "tied") != NULL, is_moved = strcmp(how, "moved") == 0;
	setvbuf(stdout, lines, _IOFBF, sizeof lines);
	struct model m = make(tied || is_moved ? square : width, 4), d = make(small, 2);
	checkpoint = strstr(how, "checkpoint") != NULL;
	if (tied) {
		m.use[2] = 1;
		m.layer[1].tied = 1;
	}
	if (strcmp(how, "turns") == 0 || strcmp(how, "gan") == 0) {
		in_turn(&m, &d, steps, strcmp(how, "gan") == 0);
		return 0;
	}
	for (int step = 1; step <= steps; step++) {
		int samples = 8, t = 1, micro = strstr(how, "micro") ? 2 : 1;
		if (strcmp(how, "lengths") == 0)
			t = 1 + (int)(state % 4);
		if (strcmp(how, "last") == 0) {
			t = 4;
			samples = step % 6 == 0 ? 6 : 8;
		}
		if (strcmp(how, "late") == 0)
			freeze(&m, 0, step < 50);
		if (strcmp(how, "thawed") == 0) /* from the head down */
			for (int l = 0; l < 3; l++)
				freeze(&m, l, step < 30 * (3 - l));
		if (is_moved && step % 25 == 0)
			for (int l = 0; l < (step % 50 ? 4 : 1); l++)
				move(&m.layer[l]);
		for (int i = 0; i < micro; i++)
			learn(&m, samples, t);
		update(&m);
		if (strncmp(how, "eval", 4) == 0 && step % 3 == 0)
			evaluate(&m, step % 2 ? 8 : 5, 4);
	}
	return 0;
}
