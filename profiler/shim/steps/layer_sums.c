/* Streams and parameters of the layer API, and the sums of a step. */
#include "layer_sums.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "profiler/shim/process/pages.h"
#include "profiler/shim/process/clock.h"

#define TURNS 32

static void copy(char *dst, size_t size, const char *src)
{
	snprintf(dst, size, "%s", src ? src : "");
}

bool gns_layer_sums_init(struct gns_layer_sums *sums, uint32_t first_id, uint64_t first_step)
{
	memset(sums, 0, sizeof *sums);
	sums->first_id = first_id;
	sums->first_step = first_step;
	sums->began_ns = gns_now();
	sums->began_real_ns = gns_realtime();
	copy(sums->phase, sizeof sums->phase, "forward");
	sums->param = gns_pages(GNS_PARAMS_MAX * sizeof *sums->param);
	return sums->param != NULL;
}

void gns_layer_sums_free(struct gns_layer_sums *sums)
{
	for (uint32_t i = 0; i < sums->n_params; i++)
		gns_shared_free(sums->param[i].uses);
	for (unsigned i = 0; i < GNS_LAYER_SUMS_POOL; i++)
		gns_layers_free(sums->pool[i].layers);
	gns_pages_free(sums->param, GNS_PARAMS_MAX * sizeof *sums->param);
	memset(sums, 0, sizeof *sums);
}

/* Counts the streams that have ended a step during this one's last steps. An optimizer that is not used any more does
 * not count. */
static uint32_t in_turns(const struct gns_layer_sums *sums, const struct gns_layer_sums_stream *s)
{
	const struct gns_recent *wall = &s->clock.wall;
	double span = wall->n ? TURNS * wall->value[(wall->n - 1) % GNS_RECENT] : 0;
	uint32_t n = 1;
	for (uint32_t i = 0; i < sums->n_streams; i++) {
		const struct gns_step_clock *other = &sums->stream[i].clock;
		n += other != &s->clock && other->began_ns &&
		     (double)s->clock.began_ns - (double)other->began_ns < span;
	}
	return n;
}

/* Begins a step with this stream's share of the budget. */
static void begin_step(struct gns_layer_sums *sums, struct gns_layer_sums_stream *s, const struct gns_config *config,
		       uint32_t control, uint64_t step)
{
	struct gns_config share = *config;
	share.budget_pct /= in_turns(sums, s);
	gns_step_clock_begin(&s->clock, &share, control, step);
	s->loss = 0;
	s->any_loss = s->touched = false;
	s->marked_before = s->marked;
	s->marked = false;
}

int gns_layer_sums_stream(struct gns_layer_sums *sums, const char *optimizer, const struct gns_config *config,
			  uint32_t control)
{
	if (sums->n_streams == GNS_STREAMS_MAX)
		return -1;
	int stream = (int)sums->n_streams++;
	struct gns_layer_sums_stream *s = &sums->stream[stream];
	gns_step_clock_init(&s->clock, 0);
	s->clock.began_ns = stream ? gns_now() : sums->began_ns;
	s->clock.began_real_ns = stream ? gns_realtime() : sums->began_real_ns;
	s->scale = 1;
	begin_step(sums, s, config, control, stream == 0 && sums->first_step ? sums->first_step : 1);
	gns_layer_sums_setting(sums, stream, "optimizer", (double)NAN, optimizer);
	return stream;
}

struct gns_layer_sums_stream *gns_layer_sums_stream_at(struct gns_layer_sums *sums, int64_t stream)
{
	return stream >= 0 && stream < (int64_t)sums->n_streams ? &sums->stream[stream] : NULL;
}

struct gns_layer_sums_param *gns_layer_sums_param_at(struct gns_layer_sums *sums, int64_t id)
{
	int64_t at = id - (int64_t)sums->first_id;
	return id > 0 && at >= 0 && at < (int64_t)sums->n_params ? &sums->param[at] : NULL;
}

static void resend_param(struct gns_layer_sums *sums, struct gns_layer_sums_param *p)
{
	p->told = false;
	sums->stream[p->stream].params_new = true;
}

/* As record.h has it: rows x cols, and the factors of cols if there are several. */
static void set_shape(struct gns_layer_sums_param *p, unsigned dims, const uint64_t *size)
{
	p->rows = dims ? size[0] : 1;
	p->cols = 1;
	for (unsigned i = 1; i < dims; i++)
		p->cols *= size[i];
	bool plain = dims < 2 || (dims == 2 && p->cols != 1); /* a matrix with one column keeps its shape */
	if (plain || dims > 5)
		return;
	for (unsigned i = 1; i < dims; i++)
		if (size[i] > UINT16_MAX)
			return;
	for (unsigned i = 1; i < dims; i++)
		p->dims[i - 1] = (uint16_t)size[i];
}

uint32_t gns_layer_sums_param(struct gns_layer_sums *sums, int64_t stream, const char *name, unsigned dims,
			      const uint64_t *size, uint32_t dtype, const void *data)
{
	if (!gns_layer_sums_stream_at(sums, stream) || sums->n_params == GNS_PARAMS_MAX)
		return 0;
	struct gns_layer_sums_param *p = &sums->param[sums->n_params];
	memset(p, 0, sizeof *p);
	p->stream = (uint32_t)stream;
	p->dtype = dtype;
	p->data = data;
	set_shape(p, dims, size);
	sums->stream[stream].numel += p->rows * p->cols;
	copy(p->name, sizeof p->name, name);
	resend_param(sums, p);
	return sums->first_id + sums->n_params++;
}

void gns_layer_sums_rename(struct gns_layer_sums *sums, struct gns_layer_sums_param *p, const char *name)
{
	if (p->given || strncmp(p->name, name, sizeof p->name - 1) == 0)
		return;
	copy(p->name, sizeof p->name, name);
	resend_param(sums, p);
}

void gns_layer_sums_given(struct gns_layer_sums *sums, const char *name, const void *data, uint64_t rows, uint64_t cols)
{
	for (uint32_t i = 0; data && i < sums->n_params; i++) {
		struct gns_layer_sums_param *p = &sums->param[i];
		if (p->data != data || (rows && cols && rows * cols != p->rows * p->cols))
			continue;
		p->given = false;
		gns_layer_sums_rename(sums, p, name);
		p->given = true;
	}
}

void gns_layer_sums_leave_out(struct gns_layer_sums *sums, struct gns_layer_sums_param *p, const char *reason)
{
	static const char *const words[] = GNS_LEFT_OUT_NAMES;
	enum gns_left_out why = GNS_LEFT_OPERATION;
	for (unsigned i = 0; i < GNS_LEFT_OUTS; i++)
		if (strcmp(words[i], reason) == 0)
			why = (enum gns_left_out)i;
	if (why == p->left_out)
		return;
	p->left_out = why;
	resend_param(sums, p);
	if (gns_layer_sums_closed(p))
		gns_layer_sums_void(sums, p);
}

bool gns_layer_sums_closed(const struct gns_layer_sums_param *p)
{
	return p->left_out && p->left_out != GNS_LEFT_UNUSED;
}

bool gns_layer_sums_measuring(const struct gns_layer_sums *sums, int64_t stream)
{
	return stream >= 0 && stream < (int64_t)sums->n_streams && sums->stream[stream].clock.measured;
}

bool gns_layer_sums_any_measuring(const struct gns_layer_sums *sums)
{
	bool any = false;
	for (uint32_t i = 0; i < sums->n_streams; i++)
		any |= sums->stream[i].clock.measured;
	return any;
}

static void refuse(struct gns_layer_sums_param *p, enum gns_refusal why)
{
	if (!p->refused)
		p->refused = why;
}

void gns_layer_sums_sum(struct gns_layer_sums_param *p, double sum)
{
	if (!isfinite(sum))
		refuse(p, GNS_REFUSED_NOT_FINITE);
	p->sum += sum;
	p->any_sum = true;
}

void gns_layer_sums_used(struct gns_layer_sums_param *p, uint64_t n)
{
	p->n += n;
}

void gns_layer_sums_big(struct gns_layer_sums_param *p, double q_big, uint32_t world)
{
	if (!isfinite(q_big))
		refuse(p, GNS_REFUSED_NOT_FINITE);
	p->q_big = q_big;
	p->world = world ? world : 1;
	p->any_big = true;
}

void gns_layer_sums_uses_drop(struct gns_layer_sums *sums, struct gns_layer_sums_param *p)
{
	if (p->device_uses) {
		gns_device_uses_drop(p->device_uses);
		sums->device_uses--;
		p->device_uses = NULL;
	}
	if (!p->uses)
		return;
	if (p->working) {
		p->uses_dropped = true;
		return;
	}
	gns_shared_free(p->uses);
	sums->uses_bytes -= p->uses_bytes;
	p->uses = NULL;
	p->uses_left = 0;
	p->uses_dropped = false;
}

void gns_layer_sums_void(struct gns_layer_sums *sums, struct gns_layer_sums_param *p)
{
	p->sum = p->q_big = 0;
	p->n = 0;
	p->world = 0;
	p->any_sum = p->any_big = false;
	p->refused = GNS_REFUSED_NOT;
	gns_layer_sums_terms_forget(p->term);
	gns_layer_sums_uses_drop(sums, p);
}

static void void_all(struct gns_layer_sums *sums, uint32_t stream)
{
	for (uint32_t i = 0; i < sums->n_params; i++)
		if (sums->param[i].stream == stream)
			gns_layer_sums_void(sums, &sums->param[i]);
}

void gns_layer_sums_skip(struct gns_layer_sums *sums, int64_t stream)
{
	struct gns_layer_sums_stream *s = gns_layer_sums_stream_at(sums, stream);
	if (!s)
		return;
	if (s->clock.measured)
		void_all(sums, (uint32_t)stream);
	gns_layer_sums_terms_forget(s->term);
	s->loss = 0;
	s->any_loss = false;
}

int gns_layer_sums_uses(struct gns_layer_sums *sums, struct gns_layer_sums_param *p, uint32_t count, uint64_t n,
			uint64_t dim0, uint64_t rest, unsigned probes, uint64_t seed, uint64_t stream)
{
	gns_layer_sums_uses_drop(sums, p);
	if (p->uses || !count)
		return -EINVAL;
	size_t bytes = gns_shared_bytes(n, dim0, rest, probes);
	if (bytes > GNS_LAYER_SUMS_USES_MAX - sums->uses_bytes)
		return -ENOMEM;
	p->uses = gns_shared_init(n, dim0, rest, probes, seed, stream);
	if (!p->uses)
		return -ENOMEM;
	p->uses_left = count;
	p->uses_bytes = bytes;
	sums->uses_bytes += bytes;
	return 0;
}

static void take_uses(struct gns_layer_sums *sums, struct gns_layer_sums_param *p)
{
	if (!p->uses_dropped && !p->working)
		gns_layer_sums_sum(p, gns_shared_sum(p->uses));
	gns_layer_sums_uses_drop(sums, p);
}

void gns_layer_sums_uses_done(struct gns_layer_sums *sums, struct gns_layer_sums_param *p)
{
	if (p->uses_dropped)
		gns_layer_sums_uses_drop(sums, p);
	else if (p->uses && p->uses_left && !--p->uses_left && !p->working)
		take_uses(sums, p);
}

void gns_layer_sums_backward_done(struct gns_layer_sums *sums)
{
	for (uint32_t i = 0; sums->uses_bytes && i < sums->n_params; i++)
		if (sums->param[i].uses)
			take_uses(sums, &sums->param[i]);
}

void gns_layer_sums_loss(struct gns_layer_sums *sums, int64_t stream, double value)
{
	struct gns_layer_sums_stream *s = gns_layer_sums_stream_at(sums, stream);
	if (!s)
		return;
	s->loss += value;
	s->any_loss = true;
}

uint64_t gns_layer_sums_mark_loss(struct gns_layer_sums *sums)
{
	struct gns_layer_sums_stream *s = &sums->stream[0];
	sums->losses_marked = true;
	bool late = !s->touched && s->clock.step > 1 && !s->marked_before;
	*(late ? &s->marked_before : &s->marked) = true;
	return late ? s->clock.step - 1 : s->clock.step;
}

static bool same_value(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

void gns_layer_sums_setting(struct gns_layer_sums *sums, int64_t stream, const char *name, double value,
			    const char *text)
{
	struct gns_layer_sums_stream *s = gns_layer_sums_stream_at(sums, stream);
	struct gns_layer_sums_setting now = { .value = value };
	uint32_t i = 0;
	if (!s)
		return;
	copy(now.name, sizeof now.name, name);
	copy(now.text, sizeof now.text, text);
	while (i < s->n_settings && strcmp(s->setting[i].name, now.name) != 0)
		i++;
	if (i == GNS_LAYER_SUMS_SETTINGS)
		return;
	if (i == s->n_settings)
		s->n_settings++;
	else if (same_value(s->setting[i].value, value) && strcmp(s->setting[i].text, now.text) == 0)
		return;
	now.step = s->clock.step;
	s->setting[i] = now;
	s->settings_new = true;
}

bool gns_layer_sums_event_new(struct gns_layer_sums *sums, uint32_t stream, const char *name)
{
	char key[32];
	snprintf(key, sizeof key, "%u%.30s", stream, name);
	for (uint32_t i = 0; i < sums->n_events; i++)
		if (strcmp(sums->event[i], key) == 0)
			return false;
	if (sums->n_events == GNS_LAYER_SUMS_EVENTS)
		return false;
	copy(sums->event[sums->n_events++], sizeof key, key);
	return true;
}

void gns_layer_sums_count(struct gns_layer_sums *sums, const char *name)
{
	uint32_t i = 0;
	while (i < sums->n_counts && strncmp(sums->count[i].name, name, sizeof sums->count->name - 1) != 0)
		i++;
	if (i == GNS_LAYER_SUMS_COUNTS)
		return;
	if (i == sums->n_counts)
		copy(sums->count[sums->n_counts++].name, sizeof sums->count->name, name);
	sums->count[i].value++;
}

/* The kernel table keeps the name's address, so it must be a constant. */
static const char *phase_name(const char *name)
{
	static const char *const names[] = { "forward", "backward", "optimizer" };
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(names[i], name) == 0)
			return names[i];
	return "other";
}

void gns_layer_sums_phase(struct gns_layer_sums *sums, struct gns_kernels *kernels, const char *name, uint64_t now)
{
	uint64_t ours = sums->spent_ns - sums->phase_spent_ns;
	if (gns_layer_sums_measuring(sums, 0) && sums->phase_ns && now > sums->phase_ns + ours)
		gns_kernels_add_phase(kernels, phase_name(sums->phase), now - sums->phase_ns - ours);
	copy(sums->phase, sizeof sums->phase, name);
	sums->phase_ns = now;
	sums->phase_spent_ns = sums->spent_ns;
}

void gns_layer_sums_charge(struct gns_layer_sums *sums, int64_t stream, uint64_t ns)
{
	sums->spent_ns += ns;
	for (uint32_t i = 0; stream < 0 && i < sums->n_streams; i++)
		if (sums->stream[i].clock.measured)
			stream = i;
	struct gns_layer_sums_stream *s = gns_layer_sums_stream_at(sums, stream);
	*(s ? &s->clock.overhead_ns : &sums->pool_ns) += ns;
}

enum gns_refusal gns_layer_sums_close(struct gns_layer_sums *sums, uint32_t stream, uint64_t *n, uint32_t *measured)
{
	enum gns_refusal why = GNS_REFUSED_NOT;
	bool lone = false;
	*n = 0;
	*measured = 0;
	gns_layer_sums_backward_done(sums);
	for (uint32_t i = 0; i < sums->n_params; i++) {
		const struct gns_layer_sums_param *p = &sums->param[i];
		if (p->stream == stream && p->n > *n)
			*n = p->n;
	}
	for (uint32_t i = 0; i < sums->n_params; i++) {
		const struct gns_layer_sums_param *p = &sums->param[i];
		if (p->stream != stream || p->left_out)
			continue;
		if (!why)
			why = p->refused;
		if (p->any_sum && p->any_big) {
			++*measured;
			lone |= *n * p->world < 2;
		}
	}
	if (!why && lone)
		why = GNS_REFUSED_ONE_SAMPLE;
	return why;
}

/* The slots belonged to the sets of the step that is over. */
static void forget_terms(struct gns_layer_sums *sums, uint32_t stream)
{
	memset(sums->stream[stream].term, 0, sizeof sums->stream[stream].term);
	for (uint32_t i = 0; i < sums->n_params; i++)
		if (sums->param[i].stream == stream)
			memset(sums->param[i].term, 0, sizeof sums->param[i].term);
}

void gns_layer_sums_measure_now(struct gns_layer_sums *sums, int64_t stream)
{
	struct gns_layer_sums_stream *s = gns_layer_sums_stream_at(sums, stream);
	if (!s || s->clock.measured)
		return;
	s->clock.measured = true;
	s->clock.last_measured = s->clock.step;
}

void gns_layer_sums_next(struct gns_layer_sums *sums, uint32_t stream, const struct gns_config *config,
			 uint32_t control, bool link)
{
	struct gns_layer_sums_stream *s = &sums->stream[stream];
	if (s->clock.measured)
		void_all(sums, stream);
	if (s->clock.measured)
		forget_terms(sums, stream);
	begin_step(sums, s, config, control, s->clock.step + 1);
	s->clock.measured &= link; /* no recorder would read it */
}
