/* Optional marks for C and C++ trainers. Header only, nothing to link: without gnscope in the process every mark is
 * a test of one pointer. (glibc before 2.34 needs -ldl for dlsym.)
 *
 *     #include <gnscope/gnscope.h>
 *
 *     gns_param("fc1", w1, 512, 784);       // once: a name for a weight, by its address
 *     for (...) {
 *             gns_samples(batch);            // before a backward pass: samples in this micro-step of this process
 *             ... forward, backward ...
 *             gns_loss(loss);                // of the present step
 *             ... optimizer ...
 *             gns_step();                    // the optimizer step is over
 *     }
 *
 * In a process that trains with PyTorch the optimizer's own steps count and gns_step is not looked at; a marked loss wins over the
 * one that backward() was called on.
 * Each alone is useful; none is needed. `gnscope run --samples N` wins over gns_samples. Any thread; the first call looks the
 * shim up, so make one before a signal handler would. */
#ifndef GNSCOPE_GNSCOPE_H
#define GNSCOPE_GNSCOPE_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum gns_mark { GNS_MARK_STEP = 1, GNS_MARK_SAMPLES = 2, GNS_MARK_LOSS = 3, GNS_MARK_PARAM = 4 };

typedef void (*gns_mark_fn)(int what, const char *name, const void *data, uint64_t a, uint64_t b, double value);

static inline void gns_mark(int what, const char *name, const void *data, uint64_t a, uint64_t b, double value)
{
	static void *found; /* NULL: not looked up yet; &found: there is no gnscope */
	void *fn = __atomic_load_n(&found, __ATOMIC_ACQUIRE);
	if (!fn) {
		fn = dlsym(RTLD_DEFAULT, "gnscope_mark_v1");
		if (!fn)
			fn = (void *)&found;
		__atomic_store_n(&found, fn, __ATOMIC_RELEASE);
	}
	if (fn != (void *)&found)
		((gns_mark_fn)fn)(what, name, data, a, b, value);
}

/* An optimizer step has ended. From the first call on steps end here and nowhere else. */
static inline void gns_step(void) { gns_mark(GNS_MARK_STEP, NULL, NULL, 0, 0, 0); }
/* Samples in the coming micro-step of this process; they must divide the rows of its products. */
static inline void gns_samples(uint64_t samples) { gns_mark(GNS_MARK_SAMPLES, NULL, NULL, samples, 0, 0); }
/* The loss of the present step. */
static inline void gns_loss(double loss) { gns_mark(GNS_MARK_LOSS, NULL, NULL, 0, 0, loss); }
/* Names the weight at `data`, rows x cols as stored (either order is accepted; 0: any shape). */
static inline void gns_param(const char *name, const void *data, uint64_t rows, uint64_t cols)
{
	gns_mark(GNS_MARK_PARAM, name, data, rows, cols, 0);
}

#ifdef __cplusplus
}
#endif

#endif
