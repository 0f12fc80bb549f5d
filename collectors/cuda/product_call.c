/* From a described call to the shim's middle. */
#include "collectors/cuda/product_call.h"

#include <string.h>

#include "collectors/gpu/device.h"
#include "collectors/gpu/on.h"

static struct gns_live_counter element_type = { .collector = "cuda", .name = "products_element_type" };
static struct gns_live_counter arguments = { .collector = "cuda", .name = "products_arguments" };
static struct gns_live_counter no_device = { .collector = "cuda", .name = "products_no_device" };
static struct gns_live_counter long_batch = { .collector = "cuda", .name = "products_batch_cut" };
static struct gns_live_counter call_failed = { .collector = "cuda", .name = "calls_failed" };

bool gns_product_enter(struct gns_call *call, struct gns_live_counter *calls)
{
	/* The name of the products in the table of kernels: what runs on a device is timed there, so the API's name will do. */
	if (!gns_cuda_on() || !gns_core_enter(call, calls->name))
		return false;
	gns_count(calls);
	return true;
}

void gns_product_before(struct gns_call *call, const struct gns_gemm *g, void *stream)
{
	struct gns_product p;
	struct gns_device *device = g && g->m > 0 && g->n > 0 && g->k > 0 ? gns_device_current(NULL) : NULL;
	if (g && !device)
		gns_count(&no_device);
	for (int64_t i = 0; device && i < g->batch; i++) {
		if (i == GNS_BATCH_MAX) {
			gns_count(&long_batch);
			break;
		}
		const char *why = gns_gemm_describe(&p, g, i);
		if (why) {
			gns_count(strcmp(why, "arguments") == 0 ? &arguments : &element_type);
			break;
		}
		p.device = device;
		p.stream = stream;
		gns_core_before(call, &p);
	}
	gns_core_calling(call);
}

void gns_product_after(struct gns_call *call, bool failed)
{
	call->failed = failed;
	if (failed)
		gns_count(&call_failed);
	gns_core_after(call);
}
