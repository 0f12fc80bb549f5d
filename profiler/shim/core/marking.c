/* The functions of gnscope.h: what the training program reports itself. */
#include "gnscope/gnscope.h"

#include "core.h"
#include "guard.h"
#include "profiler/shim/steps/step_hooks.h"
#include "state.h"

static bool mark_begin(struct gns_guard *g)
{
	return gns_guard_enter(g, GNS_GUARD_WAKE);
}

static void mark_end(const struct gns_guard *g)
{
	gns_core_unlock();
	gns_hooks_turn(NULL, NULL);
	gns_guard_drop(g);
}

void gns_core_mark_step(void)
{
	struct gns_guard guard;
	if (!mark_begin(&guard))
		return;
	gns_core.steps.marked = true;
	if (gns_core.aside) {
		/* The layer API reports the optimizer's steps: the mark is not needed. */
	} else if (!gns_core.steps.step) {
		gns_core.early_marks++;
		gns_hooks_mark(gns_core.steps_base + gns_core.early_marks + 1);
	} else {
		if (!gns_core.steps.published)
			gns_step_boundary_close(false);
		gns_step_boundary_begin(gns_core.steps.step + 1);
	}
	mark_end(&guard);
}

void gns_core_mark_samples(uint64_t samples)
{
	struct gns_guard guard;
	if (!mark_begin(&guard))
		return;
	/* --samples on the command line takes precedence over gns_samples(). */
	gns_core.product_sums->samples_marked = !gns_core.config.samples;
	if (!gns_core.config.samples && samples && samples <= 1u << 30 && gns_core.product_sums->samples != samples) {
		gns_core.product_sums->samples = samples;
		gns_core.publish.hello = true;
	}
	mark_end(&guard);
}

void gns_core_mark_loss(double loss)
{
	struct gns_guard guard;
	if (!mark_begin(&guard))
		return;
	if (gns_core.aside && gns_core.layer_sums->n_streams) {
		gns_publish_loss(&gns_core.publish, 0, gns_layer_sums_mark_loss(gns_core.layer_sums), loss);
		mark_end(&guard);
		return;
	}
	/* Before the weights are found, only marks count steps; without marks the step of this loss is unknown. */
	if (gns_core.steps.step || gns_core.steps.marked)
		gns_publish_loss(&gns_core.publish, 0,
				 gns_core.steps.step ? gns_core.steps.step
				 : gns_core.steps_base + gns_core.early_marks + 1, loss);
	mark_end(&guard);
}

void gns_core_mark_param(const char *name, const void *data, uint64_t rows, uint64_t cols)
{
	struct gns_guard guard;
	if (!name || !mark_begin(&guard))
		return;
	gns_product_sums_name(gns_core.product_sums, name, data, rows, cols);
	if (gns_core.layer_sums)
		gns_layer_sums_given(gns_core.layer_sums, name, data, rows, cols);
	mark_end(&guard);
}

__attribute__((visibility("default"))) void gnscope_mark_v1(int what, const char *name, const void *data, uint64_t a,
							    uint64_t b,
							    double value);

void gnscope_mark_v1(int what, const char *name, const void *data, uint64_t a, uint64_t b, double value)
{
	switch (what) {
	case GNS_MARK_STEP: gns_core_mark_step(); break;
	case GNS_MARK_SAMPLES: gns_core_mark_samples(a); break;
	case GNS_MARK_LOSS: gns_core_mark_loss(value); break;
	case GNS_MARK_PARAM: gns_core_mark_param(name, data, a, b); break;
	default: break;
	}
}
