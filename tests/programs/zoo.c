/* A small trainer that can behave in every way the collectors must understand, and says what the truth is.
 *
 * A stack of linear layers with an elementwise function between, mean loss 1/2 |y - target|^2, SGD, all products by BLAS. After each
 * step it prints, for every weight, the brute-force answer (plain loops in double, sample by sample):
 *     TRUTH step weight n_big q_small q_big
 * Options are listed in main(). REAL is float or double. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>

#include "gnscope/gnscope.h"

#ifndef REAL
#define REAL float
#endif
#define IS_DOUBLE (sizeof(REAL) == 8)

enum api { API_ROW, API_COL, API_FORTRAN };

static struct {
	enum api api;
	int feature_major, weight_io, pad, fresh, full_batch, sigmoid, first_dx, accumulate, beta, tied, shared, fused, lr0, eval,
		marks, rows_per_sample, samples, steps, wgrad_first, layers, scaled, named, copy_x;
} opt = { .samples = 8, .rows_per_sample = 1, .steps = 8, .accumulate = 1, .layers = 3 };

void sgemm_(const char *, const char *, const int *, const int *, const int *, const float *, const float *, const int *, const float *,
	    const int *, const float *, float *, const int *);
void dgemm_(const char *, const char *, const int *, const int *, const int *, const double *, const double *, const int *,
	    const double *, const int *, const double *, double *, const int *);

struct mat { /* logical rows x cols; stored by rows, or by columns when `by_col` */
	REAL *p;
	int rows, cols, ld, by_col;
};

static REAL *at(const struct mat *m, int r, int c)
{
	return &m->p[m->by_col ? (size_t)c * m->ld + r : (size_t)r * m->ld + c];
}

static struct mat make(int rows, int cols, int by_col)
{
	struct mat m = { .rows = rows, .cols = cols, .ld = (by_col ? rows : cols) + opt.pad, .by_col = by_col };
	size_t n = (size_t)(by_col ? cols : rows) * m.ld;
	m.p = malloc(n * sizeof *m.p);
	for (size_t i = 0; i < n; i++)
		m.p[i] = NAN; /* padding must never count */
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < cols; c++)
			*at(&m, r, c) = 0;
	return m;
}

static uint64_t state = 88172645463325252ull;
static double uniform(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (double)(state >> 11) / 9007199254740992.0 - 0.5;
}

/* C = alpha op(A) op(B) + beta C in logical terms, through the API of choice. */
static void product(struct mat *c, const struct mat *a, int ta, const struct mat *b, int tb, double alpha, double beta)
{
	int k = ta ? a->rows : a->cols;
	if (c->by_col) { /* C^T = op(B)^T op(A)^T is stored by rows */
		struct mat ct = { c->p, c->cols, c->rows, c->ld, 0 }, at_ = { a->p, a->cols, a->rows, a->ld, !a->by_col },
			   bt = { b->p, b->cols, b->rows, b->ld, !b->by_col };
		product(&ct, &bt, tb, &at_, ta, alpha, beta);
		return;
	}
	int fa = ta ^ a->by_col, fb = tb ^ b->by_col; /* flags of a row-major call */
	REAL al = (REAL)alpha, be = (REAL)beta;
	if (opt.api == API_ROW) {
		if (IS_DOUBLE)
			cblas_dgemm(CblasRowMajor, fa ? CblasTrans : CblasNoTrans, fb ? CblasTrans : CblasNoTrans, c->rows, c->cols, k, al,
				    (void *)a->p, a->ld, (void *)b->p, b->ld, be, (void *)c->p, c->ld);
		else
			cblas_sgemm(CblasRowMajor, fa ? CblasTrans : CblasNoTrans, fb ? CblasTrans : CblasNoTrans, c->rows, c->cols, k,
				    (float)al, (void *)a->p, a->ld, (void *)b->p, b->ld, (float)be, (void *)c->p, c->ld);
	} else if (opt.api == API_COL) {
		if (IS_DOUBLE)
			cblas_dgemm(CblasColMajor, fb ? CblasTrans : CblasNoTrans, fa ? CblasTrans : CblasNoTrans, c->cols, c->rows, k, al,
				    (void *)b->p, b->ld, (void *)a->p, a->ld, be, (void *)c->p, c->ld);
		else
			cblas_sgemm(CblasColMajor, fb ? CblasTrans : CblasNoTrans, fa ? CblasTrans : CblasNoTrans, c->cols, c->rows, k,
				    (float)al, (void *)b->p, b->ld, (void *)a->p, a->ld, (float)be, (void *)c->p, c->ld);
	} else if (IS_DOUBLE) {
		dgemm_(fb ? "T" : "N", fa ? "T" : "N", &c->cols, &c->rows, &k, (void *)&al, (void *)b->p, &b->ld, (void *)a->p, &a->ld,
		       (void *)&be, (void *)c->p, &c->ld);
	} else {
		sgemm_(fb ? "t" : "n", fa ? "T" : "N", &c->cols, &c->rows, &k, (void *)&al, (void *)b->p, &b->ld, (void *)a->p, &a->ld,
		       (void *)&be, (void *)c->p, &c->ld);
	}
}

#define MAX_LAYERS 8
struct layer {
	struct mat w, dw;   /* logical out x in */
	struct mat x, y, dy, dx;
	int in, out, use;   /* use: index of the layer whose weight this one uses (tied) */
	double truth_small, truth_big;
	int truth_n;
};
static struct layer layer[MAX_LAYERS];
static int rows;

static void forward_product(struct layer *l, struct layer *owner)
{
	product(&l->y, &l->x, 0, &owner->w, 1, 1, 0);
}

static double squash(double v) { return opt.sigmoid ? 1 / (1 + exp(-v)) : v > 0 ? v : 0; }
static double slope(double y) { return opt.sigmoid ? y * (1 - y) : y > 0; }

/* Brute force: sample i's gradient of n * its share, element by element. */
static void truth(struct layer *l, struct layer *owner)
{
	int n = opt.samples, t = rows / n;
	double small = 0, big = 0;
	for (int o = 0; o < l->out; o++)
		for (int i = 0; i < l->in; i++) {
			double all = 0;
			for (int s = 0; s < n; s++) {
				double one = 0;
				for (int r = s * t; r < (s + 1) * t; r++)
					one += (double)*at(&l->dy, r, o) * (double)*at(&l->x, r, i);
				small += n * one * one;
				all += one;
			}
			big += all * all;
		}
	owner->truth_small += small;
	owner->truth_big += big;
	owner->truth_n++;
}

static void gradient_product(struct layer *l, struct layer *owner, int micro, double lr)
{
	struct mat copy = { 0 };
	const struct mat *x = &l->x;
	double alpha = opt.scaled ? 1.0 / opt.samples : 1;
	if (opt.copy_x) {
		copy = make(l->x.rows, l->x.cols, l->x.by_col);
		for (int r = 0; r < l->x.rows; r++)
			for (int c = 0; c < l->x.cols; c++)
				*at(&copy, r, c) = *at(&l->x, r, c);
		x = &copy;
	}
	if (opt.fused) /* the update itself is the product: W -= lr dY^T X */
		product(&owner->w, &l->dy, 1, x, 0, -lr, 1);
	else if (owner->dw.rows == l->out) /* either order of the operands is a weight gradient; W's own storage decides */
		product(&owner->dw, &l->dy, 1, x, 0, alpha, (opt.beta && (micro || opt.beta > 1)) || (opt.tied && owner->truth_n) ? 1 : 0);
	truth(l, owner);
	free(copy.p);
}

static void load_batch(struct mat *x, struct mat *target)
{
	uint64_t keep = state;
	if (opt.full_batch)
		state = 4242;
	for (int r = 0; r < x->rows; r++)
		for (int c = 0; c < x->cols; c++)
			*at(x, r, c) = (REAL)uniform();
	for (int r = 0; r < target->rows; r++)
		for (int c = 0; c < target->cols; c++)
			*at(target, r, c) = (REAL)(uniform() + (c == r % 3));
	if (opt.full_batch)
		state = keep;
}

static void shape_buffers(struct layer *l)
{
	struct mat *all[] = { &l->x, &l->y, &l->dy, &l->dx };
	int cols[] = { l->in, l->out, l->out, l->in };
	for (int i = 0; i < 4; i++) {
		if (all[i]->p && !opt.fresh)
			continue;
		free(all[i]->p);
		*all[i] = make(rows, cols[i], opt.feature_major);
	}
}

static void forward(int n_layers)
{
	for (int i = 0; i < n_layers; i++) {
		struct layer *l = &layer[i], *owner = &layer[l->use];
		if (i)
			for (int r = 0; r < rows; r++)
				for (int c = 0; c < l->in; c++)
					*at(&l->x, r, c) = (REAL)squash((double)*at(&layer[i - 1].y, r, c));
		forward_product(l, owner);
		if (opt.shared && i == 0) { /* a second layer of the same shape on the same input: gate and up */
			forward_product(&layer[n_layers], &layer[n_layers]);
			for (int r = 0; r < rows; r++)
				for (int c = 0; c < l->out; c++)
					*at(&l->y, r, c) += *at(&layer[n_layers].y, r, c);
		}
	}
}

static double loss_and_dy(struct mat *dy, const struct mat *y, const struct mat *target)
{
	double loss = 0;
	for (int r = 0; r < rows; r++)
		for (int c = 0; c < y->cols; c++) {
			double d = (double)*at(y, r, c) - (double)*at(target, r, c);
			loss += 0.5 * d * d / rows;
			*at(dy, r, c) = (REAL)(d / rows * (opt.scaled ? opt.samples : 1));
		}
	return loss;
}

static void layer_backward(struct layer *l, struct layer *owner, int micro, double lr, int wants_dx)
{
	if (opt.wgrad_first)
		gradient_product(l, owner, micro, lr);
	if (wants_dx)
		product(&l->dx, &l->dy, 0, &owner->w, 0, 1, 0);
	if (!opt.wgrad_first)
		gradient_product(l, owner, micro, lr);
}

static void backward(int n_layers, int micro, double lr)
{
	for (int i = n_layers - 1; i >= 0; i--) {
		struct layer *l = &layer[i], *owner = &layer[l->use];
		if (opt.shared && i == 0) {
			struct layer *twin = &layer[n_layers];
			for (int r = 0; r < rows; r++)
				for (int c = 0; c < l->out; c++)
					*at(&twin->dy, r, c) = (REAL)0.5 * *at(&l->dy, r, c);
			layer_backward(twin, twin, micro, lr, opt.first_dx);
		}
		layer_backward(l, owner, micro, lr, i || opt.first_dx);
		if (i)
			for (int r = 0; r < rows; r++)
				for (int c = 0; c < l->in; c++)
					*at(&layer[i - 1].dy, r, c) =
						(REAL)((double)*at(&l->dx, r, c) * slope((double)*at(&l->x, r, c)));
	}
}

static int flag(const char *arg, const char *name, int *value)
{
	size_t n = strlen(name);
	if (strncmp(arg, name, n) != 0 || (arg[n] && arg[n] != '='))
		return 0;
	*value = arg[n] ? atoi(arg + n + 1) : 1;
	return 1;
}

static void read_options(int argc, char **argv)
{
	struct { const char *name; int *value; } known[] = {
		{ "feature_major", &opt.feature_major }, /* activations stored features x rows */
		{ "weight_io", &opt.weight_io },         /* weights stored in x out */
		{ "pad", &opt.pad },                     /* leading dimensions larger than needed, filled with NaN */
		{ "fresh", &opt.fresh },                 /* activations allocated anew every step */
		{ "full_batch", &opt.full_batch },       /* the same batch every step */
		{ "sigmoid", &opt.sigmoid }, { "first_dx", &opt.first_dx }, /* also the gradient of the first input */
		{ "accumulate", &opt.accumulate }, { "beta", &opt.beta },   /* micro-steps; sum them in the product (2: always) */
		{ "tied", &opt.tied }, { "shared", &opt.shared }, { "fused", &opt.fused }, { "lr0", &opt.lr0 }, { "eval", &opt.eval },
		{ "marks", &opt.marks }, { "rows_per_sample", &opt.rows_per_sample }, { "samples", &opt.samples },
		{ "steps", &opt.steps }, { "wgrad_first", &opt.wgrad_first }, { "layers", &opt.layers }, { "scaled", &opt.scaled },
		{ "named", &opt.named }, { "copy_x", &opt.copy_x },
	};
	for (int i = 1; i < argc; i++) {
		int ok = 1;
		if (strcmp(argv[i], "api=row") == 0)
			opt.api = API_ROW;
		else if (strcmp(argv[i], "api=col") == 0)
			opt.api = API_COL;
		else if (strcmp(argv[i], "api=fortran") == 0)
			opt.api = API_FORTRAN;
		else
			ok = 0;
		for (size_t j = 0; j < sizeof known / sizeof *known && !ok; j++)
			ok = flag(argv[i], known[j].name, known[j].value);
		if (!ok) {
			fprintf(stderr, "zoo: unknown option %s\n", argv[i]);
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	static const int width[MAX_LAYERS + 1] = { 12, 20, 20, 20, 7, 9, 11, 13, 5 };
	read_options(argc, argv);
	int n_layers = opt.layers, all = n_layers + opt.shared;
	rows = opt.samples * opt.rows_per_sample;
	for (int i = 0; i < all; i++) {
		struct layer *l = &layer[i];
		int shape = i < n_layers ? i : 0;
		l->in = width[shape];
		l->out = shape == n_layers - 1 && !opt.tied ? 3 : width[shape + 1];
		l->use = opt.tied && i == 2 ? 1 : i; /* the third layer uses the second one's weight */
		l->w = make(l->out, l->in, opt.weight_io);
		l->dw = make(l->out, l->in, opt.weight_io);
		for (int o = 0; o < l->out; o++)
			for (int k = 0; k < l->in; k++)
				*at(&l->w, o, k) = (REAL)uniform();
		char name[16];
		snprintf(name, sizeof name, "zoo%d", i);
		if (opt.named)
			gns_param(name, l->w.p, (uint64_t)l->out, (uint64_t)l->in);
	}
	struct mat target = { 0 };
	for (int step = 1; step <= opt.steps; step++) {
		double loss = 0, lr = opt.lr0 && step == 1 ? 0 : 0.05;
		for (int i = 0; i < all; i++)
			layer[i].truth_small = layer[i].truth_big = layer[i].truth_n = 0;
		for (int micro = 0; micro < opt.accumulate; micro++) {
			for (int i = 0; i < all; i++)
				shape_buffers(&layer[i]);
			free(target.p);
			target = make(rows, layer[n_layers - 1].out, opt.feature_major);
			load_batch(&layer[0].x, &target);
			if (opt.shared)
				layer[n_layers].x = layer[0].x;
			if (opt.marks)
				gns_samples((uint64_t)opt.samples);
			forward(n_layers);
			loss += loss_and_dy(&layer[n_layers - 1].dy, &layer[n_layers - 1].y, &target);
			backward(n_layers, micro, lr);
			if (opt.shared && opt.fresh)
				layer[n_layers].x.p = NULL;
		}
		if (opt.marks)
			gns_loss(loss);
		for (int i = 0; i < all; i++) {
			struct layer *l = &layer[i];
			for (int o = 0; o < l->out && !opt.fused; o++)
				for (int k = 0; k < l->in; k++)
					*at(&l->w, o, k) -= (REAL)lr * *at(&l->dw, o, k);
			if (opt.beta > 1)
				for (int o = 0; o < l->out; o++)
					for (int k = 0; k < l->in; k++)
						*at(&l->dw, o, k) = 0;
			double scale = l->truth_n ? 1.0 / l->truth_n : 0;
			if (opt.fused)
				scale *= lr * lr;
			if (opt.scaled)
				scale /= (double)opt.samples * opt.samples;
			if (l->use == i)
				printf("TRUTH %d %d %d %.17g %.17g\n", step, i, opt.samples, l->truth_small * scale,
				       l->truth_big * scale);
		}
		if (opt.marks)
			gns_step();
		printf("LOSS %d %a\n", step, loss);
		fflush(stdout);
		if (opt.eval && step % 2 == 0) { /* forward passes that train nothing */
			load_batch(&layer[0].x, &target);
			forward(n_layers);
			forward(n_layers);
		}
	}
	return 0;
}
