/* The sums of a step over its weight-gradient GEMMs. */
#include "product_sums.h"

#include <string.h>

#include "profiler/shim/process/pages.h"

#define ODD_RUN 4 /* gradients of one weight in a row */

const char *gns_refusal_name(enum gns_refusal why)
{
	static const char *const names[GNS_REFUSALS] = {
		[GNS_REFUSED_NOT] = "none", [GNS_REFUSED_NOT_DIVIDING] = "samples_not_dividing",
		[GNS_REFUSED_ROWS_DIFFER] = "rows_differ", [GNS_REFUSED_ONE_SAMPLE] = "one_sample",
		[GNS_REFUSED_NOT_FINITE] = "not_finite", [GNS_REFUSED_MEMORY] = "no_scratch_memory",
		[GNS_REFUSED_TOO_MANY] = "too_many_weights", [GNS_REFUSED_TYPE] = "element_type",
		[GNS_REFUSED_ROWS_CHANGED] = "rows_changed", [GNS_REFUSED_DEVICE_BEHIND] = "device_behind",
	};
	return why < GNS_REFUSALS ? names[why] : "unknown";
}

bool gns_product_sums_init(struct gns_product_sums *m)
{
	memset(m, 0, sizeof *m);
	m->param = gns_pages(GNS_PARAMS_MAX * sizeof *m->param);
	m->given = gns_pages(GNS_NAMES_MAX * sizeof *m->given);
	m->isa = gns_sketch_best_isa();
	return m->param && m->given;
}

void gns_product_sums_free(struct gns_product_sums *m)
{
	for (unsigned i = 0; i < GNS_POOL; i++)
		if (m->pool[i].sketch)
			gns_sketch_free(m->pool[i].sketch);
	for (unsigned i = 0; i < GNS_PENDING_MAX; i++)
		gns_pages_free(m->pending[i].copy, m->pending[i].copy_size);
	gns_pages_free(m->param, GNS_PARAMS_MAX * sizeof *m->param);
	gns_pages_free(m->given, GNS_NAMES_MAX * sizeof *m->given);
	memset(m, 0, sizeof *m);
}

static void refuse(struct gns_product_sums *m, enum gns_refusal why)
{
	if (m->refused == GNS_REFUSED_NOT)
		m->refused = why;
}

static bool is_given(const struct gns_given_name *g, const struct gns_key *key)
{
	uint64_t numel = (uint64_t)key->slow_n * key->fast_n;
	return g->data == key->data && (!g->rows || !g->cols || g->rows * g->cols == numel);
}

void gns_product_sums_name(struct gns_product_sums *m, const char *name, const void *data, uint64_t rows, uint64_t cols)
{
	uint32_t i = 0;
	while (i < m->n_given && m->given[i].data != data)
		i++;
	if (i == GNS_NAMES_MAX)
		return;
	if (i == m->n_given)
		m->n_given++;
	struct gns_given_name *g = &m->given[i];
	*g = (struct gns_given_name){ .data = data, .rows = rows, .cols = cols };
	strncpy(g->name, name, sizeof g->name - 1);
	for (uint32_t id = 1; id <= m->n_params; id++)
		if (m->param[id - 1].known && is_given(g, &m->param[id - 1].key)) {
			memcpy(m->param[id - 1].name, g->name, sizeof g->name);
			m->param[id - 1].told = false;
		}
}

/* A forward use after a gradient begins the next micro-step, unless its input was seen before in this step: then it
 * is a recomputation (activation checkpointing) for a weight that is used more than once. */
static bool repeats(struct gns_param_sum *p, uint64_t input)
{
	for (uint32_t i = 0; i < GNS_INPUTS && i < p->n_inputs; i++)
		if (p->input[i] == input)
			return true;
	p->input[p->n_inputs++ % GNS_INPUTS] = input;
	return false;
}

void gns_product_sums_weight(struct gns_product_sums *m, const struct gns_weight *w, uint64_t input)
{
	if (w->id > GNS_PARAMS_MAX) {
		refuse(m, GNS_REFUSED_TOO_MANY);
		return;
	}
	struct gns_param_sum *p = &m->param[w->id - 1];
	if (p->known && p->key.data != w->key.data)
		p->key = w->key; /* the weight may have moved in memory */
	if (!p->known) {
		p->known = true;
		p->key = w->key;
		if (w->id > m->n_params)
			m->n_params = w->id;
		size_t widest = w->key.slow_n > w->key.fast_n ? w->key.slow_n : w->key.fast_n;
		if (widest > m->max_cols)
			m->max_cols = widest;
		for (uint32_t i = 0; i < m->n_given; i++)
			if (is_given(&m->given[i], &w->key))
				memcpy(p->name, m->given[i].name, sizeof p->name);
	}
	if (!input || !repeats(p, input))
		p->in_micro = 0;
}

void gns_product_sums_clear(struct gns_product_sums *m)
{
	for (uint32_t i = 0; i < m->n_params; i++) {
		struct gns_param_sum *p = &m->param[i];
		p->q_small = p->q_big = 0;
		p->micro = p->in_micro = 0;
		p->n = p->rows = 0;
		p->n_inputs = 0;
	}
	m->n_open = 0;
	m->rows = m->n = 0;
	m->refused = GNS_REFUSED_NOT;
}

static uint64_t samples_of(struct gns_product_sums *m, const struct gns_product *p)
{
	uint64_t n = m->samples ? m->samples : p->k;
	if (p->k % n)
		refuse(m, GNS_REFUSED_NOT_DIVIDING);
	else if (n < 2)
		refuse(m, GNS_REFUSED_ONE_SAMPLE);
	else if (m->n && m->n != n)
		refuse(m, GNS_REFUSED_ROWS_DIFFER);
	m->n = n;
	if (p->k > m->rows)
		m->rows = p->k;
	return n;
}

/* --samples is wrong for a smaller last batch, but may still divide its rows. If the rows changed by whole samples of
 * the usual length, the step is skipped, until the new number has become usual or rows are known to vary (sequences
 * of changing length). */
static bool rows_doubtful(struct gns_param_sum *p, uint64_t rows, uint64_t n)
{
	if (!p->usual_rows)
		p->usual_rows = rows;
	if (rows == p->usual_rows) {
		p->odd_run = 0;
		return false;
	}
	p->odd_same = !p->odd_run || (p->odd_same && rows == p->odd_rows);
	p->odd_rows = rows;
	bool doubtful = !p->rows_vary && p->usual_rows > n && rows % (p->usual_rows / n) == 0;
	if (++p->odd_run == ODD_RUN) {
		p->rows_vary |= !p->odd_same;
		p->usual_rows = rows;
		p->odd_run = 0;
	}
	return doubtful;
}

/* Copies the output before the call, densely packed: it is subtracted later to get alpha X^T dY alone. */
static bool keep_output(struct gns_pending *e)
{
	const struct gns_product *p = &e->product;
	size_t size = gns_dtype_size(p->dtype);
	bool rows_slow = p->c_row_stride > p->c_col_stride;
	size_t slow = rows_slow ? p->m : p->n, fast = rows_slow ? p->n : p->m;
	size_t ld = (size_t)(rows_slow ? p->c_row_stride : p->c_col_stride), need = slow * fast * size;
	if (need > GNS_COPY_MAX)
		return false;
	if (need > e->copy_size) {
		gns_pages_free(e->copy, e->copy_size);
		e->copy = gns_pages(need);
		e->copy_size = e->copy ? need : 0;
		if (!e->copy)
			return false;
	}
	for (size_t i = 0; i < slow; i++)
		memcpy((char *)e->copy + i * fast * size, (const char *)p->c + i * ld * size, fast * size);
	return true;
}

static struct gns_pending *free_entry(struct gns_product_sums *m)
{
	for (unsigned i = 0; i < GNS_PENDING_MAX; i++) {
		int idle = 0;
		if (atomic_compare_exchange_strong(&m->pending[i].busy, &idle, 1))
			return &m->pending[i];
	}
	return NULL;
}

void gns_product_sums_refuse(struct gns_product_sums *m, enum gns_refusal why)
{
	refuse(m, why);
}

bool gns_product_sums_admit(struct gns_product_sums *m, const struct gns_product *product,
			    const struct gns_verdict *verdict, const struct gns_roles *roles, struct gns_admitted *out)
{
	out->n_id = 0;
	for (unsigned i = 0; i < verdict->n; i++) {
		uint32_t one = roles->weights[verdict->weight[i]].id;
		if (one > GNS_PARAMS_MAX || m->param[one - 1].excluded)
			continue;
		out->dy[out->n_id] = verdict->output_gradient[i];
		out->id[out->n_id++] = one;
	}
	if (!out->n_id)
		return false;
	out->n = samples_of(m, product);
	if (m->samples && !m->samples_marked && rows_doubtful(&m->param[out->id[0] - 1], product->k, out->n))
		refuse(m, GNS_REFUSED_ROWS_CHANGED);
	return !m->refused;
}

struct gns_pending *gns_product_sums_before(struct gns_product_sums *m, const struct gns_product *product,
					    const struct gns_verdict *verdict, const struct gns_roles *roles)
{
	struct gns_admitted a;
	if (product->dtype != GNS_F32 && product->dtype != GNS_F64)
		refuse(m, GNS_REFUSED_TYPE);
	if (!gns_product_sums_admit(m, product, verdict, roles, &a))
		return NULL;
	struct gns_pending *e = free_entry(m);
	if (!e) {
		refuse(m, GNS_REFUSED_MEMORY);
		return NULL;
	}
	e->product = *product;
	e->n_id = a.n_id;
	memcpy(e->id, a.id, sizeof e->id);
	memcpy(e->dy, a.dy, sizeof e->dy);
	e->n = a.n;
	e->refused = GNS_REFUSED_NOT;
	if (product->beta != 0 && !keep_output(e))
		e->refused = GNS_REFUSED_MEMORY;
	return e;
}

static struct gns_sketch *borrow(struct gns_product_sums *m, size_t cols, unsigned *which)
{
	for (unsigned i = 0; i < GNS_POOL; i++) {
		int idle = 0;
		if (!atomic_compare_exchange_strong(&m->pool[i].busy, &idle, 1))
			continue;
		if (m->pool[i].cols < cols) {
			if (m->pool[i].sketch)
				gns_sketch_free(m->pool[i].sketch);
			m->pool[i].cols = cols > m->max_cols ? cols : m->max_cols;
			m->pool[i].sketch = gns_sketch_init(m->pool[i].cols, m->isa);
			if (!m->pool[i].sketch)
				m->pool[i].cols = 0;
		}
		*which = i;
		if (m->pool[i].sketch)
			return m->pool[i].sketch;
		atomic_store(&m->pool[i].busy, 0);
		return NULL;
	}
	return NULL;
}

static struct gns_mat by_rows(const struct gns_operand *o, uint32_t dtype)
{
	return (struct gns_mat){ .data = o->data, .dtype = dtype, .rows = o->sum_n, .cols = o->free_n,
				 .row_stride = o->sum_fast ? 1 : o->ld, .col_stride = o->sum_fast ? o->ld : 1 };
}

static double output_norm2(const struct gns_pending *e, enum gns_isa isa)
{
	const struct gns_product *p = &e->product;
	struct gns_mat now = { .data = p->c, .dtype = p->dtype, .rows = p->m, .cols = p->n,
			       .row_stride = p->c_row_stride, .col_stride = p->c_col_stride };
	if (p->beta == 0)
		return gns_norm2(&now, isa);
	bool rows_slow = p->c_row_stride > p->c_col_stride;
	struct gns_mat before = { .data = e->copy, .dtype = p->dtype, .rows = p->m, .cols = p->n,
				  .row_stride = rows_slow ? (ptrdiff_t)p->n : 1, .col_stride = rows_slow ? 1
						: (ptrdiff_t)p->m };
	return gns_diff_norm2(&now, &before, p->beta, isa);
}

void gns_product_sums_run(struct gns_product_sums *m, struct gns_pending *e, uint64_t step)
{
	const struct gns_product *p = &e->product;
	if (e->refused)
		return;
	struct gns_mat x = by_rows(&p->left, p->dtype), y = by_rows(&p->right, p->dtype);
	unsigned which;
	struct gns_sketch *sketch = borrow(m, x.cols > y.cols ? x.cols : y.cols, &which);
	double sum = 0;
	int rc = sketch ? gns_sketch_sum(sketch, &x, &y, e->n, m->probes, m->seed + step, e->id[0], &sum, NULL) : -1;
	if (sketch)
		atomic_store(&m->pool[which].busy, 0);
	if (rc) {
		e->refused = GNS_REFUSED_MEMORY;
		return;
	}
	e->q_small = p->alpha * p->alpha * (double)e->n * sum;
	e->q_big = output_norm2(e, m->isa);
	if (!__builtin_isfinite(e->q_small) || !__builtin_isfinite(e->q_big))
		e->refused = GNS_REFUSED_NOT_FINITE;
}

static void add(struct gns_product_sums *m, uint32_t id, double q_small, double q_big, uint64_t n, uint64_t rows)
{
	struct gns_param_sum *p = &m->param[id - 1];
	if (p->excluded)
		return;
	if (++p->in_micro > 1) {
		p->excluded = p->newly_excluded = true;
		return;
	}
	p->q_small += q_small;
	p->q_big += q_big;
	p->micro++;
	p->n = n;
	p->rows = rows;
}

void gns_product_sums_after(struct gns_product_sums *m, struct gns_pending *e)
{
	if (e->refused)
		refuse(m, e->refused);
	else if (e->n_id == 1)
		add(m, e->id[0], e->q_small, e->q_big, e->n, e->product.k);
	else if (m->n_open == GNS_OPEN_MAX)
		refuse(m, GNS_REFUSED_TOO_MANY);
	else {
		struct gns_open *o = &m->open[m->n_open++];
		*o = (struct gns_open){ .n_id = e->n_id, .q_small = e->q_small, .q_big = e->q_big, .n = e->n,
					.rows = e->product.k };
		memcpy(o->id, e->id, sizeof o->id);
		memcpy(o->dy, e->dy, sizeof o->dy);
	}
	atomic_store(&e->busy, 0);
}

void gns_product_sums_drop(struct gns_pending *e)
{
	atomic_store(&e->busy, 0);
}

static void take_open(struct gns_product_sums *m, uint32_t i, uint32_t id)
{
	struct gns_open o = m->open[i];
	m->open[i] = m->open[--m->n_open];
	add(m, id, o.q_small, o.q_big, o.n, o.rows);
}

void gns_product_sums_settle(struct gns_product_sums *m, const void *dy, uint32_t id)
{
	for (uint32_t i = m->n_open; i-- > 0;)
		for (unsigned j = 0; j < m->open[i].n_id; j++)
			if (m->open[i].id[j] == id && m->open[i].dy[j] == dy) {
				take_open(m, i, id);
				return;
			}
}

/* Gradients whose weight no data-gradient GEMM has shown (first layers that share their input) are assigned in the
 * reverse order of the forward pass. The numbers are right in any case; at worst two layers' names are exchanged. */
static void settle_rest(struct gns_product_sums *m)
{
	while (m->n_open) {
		struct gns_open *o = &m->open[0];
		uint32_t best = 0;
		for (unsigned j = 0; j < o->n_id; j++)
			if (!m->param[o->id[j] - 1].in_micro && o->id[j] > best)
				best = o->id[j];
		take_open(m, 0, best ? best : o->id[0]);
	}
}

enum gns_refusal gns_product_sums_close(struct gns_product_sums *m)
{
	settle_rest(m);
	return m->refused;
}
