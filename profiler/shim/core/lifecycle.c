/* The shim's lifecycle in the training process: waking, fork, exit. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "profiler/shim/process/pages.h"
#include "profiler/shim/process/clock.h"
#include "guard.h"
#include "profiler/shim/steps/step_hooks.h"
#include "state.h"
#include "profiler/shim/publish/counters.h"

#define PAGE 4096

static void forget_parent(void)
{
	gns_hooks_forget();
	if (gns_core.publish.link == GNS_LINK_OPEN)
		gns_ring_detach(&gns_core.publish.ring);
	if (gns_core.publish.session)
		gns_session_detach(gns_core.publish.session);
	gns_publish_free(&gns_core.publish);
	gns_roles_free(&gns_core.roles);
	if (gns_core.product_sums)
		gns_product_sums_free(gns_core.product_sums);
	gns_live_counters_clear();
	gns_core.aside = gns_core.feeding = false;
	gns_pages_free(gns_core.product_sums, sizeof *gns_core.product_sums);
	gns_pages_free(gns_core.kernels, sizeof *gns_core.kernels);
	gns_pages_free((void *)gns_core.ours, PAGE);
	gns_core.product_sums = NULL;
	gns_core.kernels = NULL;
	gns_core.ours = NULL;
	gns_core.told_bad = false;
	memset(gns_core.counts, 0, sizeof gns_core.counts);
	memset(gns_core.refused, 0, sizeof gns_core.refused);
	memset(gns_core.last_why, 0, sizeof gns_core.last_why);
	gns_core.n_boundaries = gns_core.early_marks = 0;
	gns_core.steps_base = 0;
}

static bool set_up(void)
{
	gns_config_read(&gns_core.config);
	if (gns_core.config.off)
		return false;
	gns_core.product_sums = gns_pages(sizeof *gns_core.product_sums);
	gns_core.kernels = gns_pages(sizeof *gns_core.kernels);
	gns_core.ours = gns_pages(PAGE);
	if (!gns_core.ours || !gns_core.product_sums || !gns_core.kernels || !gns_roles_init(&gns_core.roles) ||
	    !gns_product_sums_init(gns_core.product_sums) ||
	    !gns_publish_init(&gns_core.publish))
		return false;
	madvise((void *)gns_core.ours, PAGE, MADV_WIPEONFORK);
	*gns_core.ours = 1;
	gns_core.product_sums->samples = gns_core.config.samples;
	gns_core.product_sums->probes = gns_core.config.probes;
	gns_core.first_ns = gns_now();
	gns_core.product_sums->seed = gns_core_seed(gns_core.config.rank);
	gns_step_clock_init(&gns_core.steps, gns_core.first_ns);
	gns_core.learning = true;
	gns_core.measured = false;
	return true;
}

void gns_lifecycle_wake(void)
{
	static bool fork_watched;
	sigset_t signals;
	if (!gns_lock_take(&gns_core.lock)) {
		gns_lifecycle_off();
		return;
	}
	gns_undisturbed_begin(&signals);
	if (gns_core.state == GNS_FORKED) {
		forget_parent();
		gns_core.state = GNS_ASLEEP;
	}
	if (gns_core.state == GNS_ASLEEP) {
		if (!fork_watched)
			pthread_atfork(NULL, NULL, gns_core_after_fork);
		fork_watched = true;
		bool up = set_up();
		if (!up)
			forget_parent(); /* frees what could be allocated: the training program may need the memory */
		gns_core.state = up ? GNS_AWAKE : GNS_OFF;
	}
	gns_undisturbed_end(&signals);
	gns_lock_release(&gns_core.lock);
}

/* For a program that exits within the shim, or in which the shim was turned off: everything published so far is
 * complete. */
static void close_slot(void)
{
	struct gns_ring *ring = &gns_core.publish.ring;
	uint32_t ready = GNS_SLOT_READY;
	if (gns_core.ours && *gns_core.ours && ring->shared)
		atomic_compare_exchange_strong(&ring->session->slot[ring->slot].state, &ready, GNS_SLOT_CLOSED);
}

/* Counters of a program that multiplied matrices but did not train are published only under `gnscope run`. */
static void publish_rest(void)
{
	struct gns_counter *list = gns_core.counter;
	struct gns_publish *p = &gns_core.publish;
	if (p->link != GNS_LINK_OPEN && !(gns_core.config.session && gns_publish_open(p, &gns_core.config)))
		return;
	gns_hooks_publish(p, true);
	gns_publish_rest(p, &gns_core.config, gns_core.aside ? gns_core.product_sums->samples : 0,
			 gns_hooks_unit(gns_core.aside ? GNS_UNIT_SAMPLES
					: GNS_UNIT_ROWS), list, gns_step_boundary_counters(list));
	gns_ring_close(&p->ring);
	gns_publish_revive(p, &gns_core.config, true);
}

void gns_lifecycle_notice_left(const void *frame)
{
	if (!gns_entered_at || (const char *)frame < gns_entered_at)
		return;
	int saved = errno;
	gns_entered_at = NULL;
	bool tell = !gns_lock_is_mine(&gns_core.lock) && gns_core_lock();
	if (tell) {
		gns_publish_event(&gns_core.publish, 0, gns_core.steps.step, "left",
				  "a call was left by longjmp: measuring stopped");
		publish_rest();
		gns_core.state = GNS_OFF;
		gns_lock_release(&gns_core.lock);
	}
	gns_lifecycle_off();
	gns_lock_left();
	gns_inside = 0;
	errno = saved;
}

__attribute__((destructor)) static void at_exit(void)
{
	/* exit() in a signal handler: the interrupted call never returns, its step stays incomplete */
	bool in_a_call = gns_inside;
	if (gns_lifecycle_state() != GNS_AWAKE || !gns_core_lock()) {
		close_slot();
		return;
	}
	gns_inside = 1;
	struct gns_step_clock *s = &gns_core.steps;
	if (!in_a_call && s->step && !s->published && s->gradients && (s->unsure || s->gradients == s->expected))
		gns_step_boundary_close(true);
	gns_deferred_end(&gns_core.publish);
	publish_rest();
	/* another thread may be in a GEMM and reach the end of its step after this */
	gns_core.publish.link = GNS_LINK_OFF;
	gns_core.state = GNS_OFF;
	gns_core_unlock();
}
