/* How a captured set is delivered.
 *
 * Each stream's delivery becomes a node of the graph behind that stream's newest node, and before nothing. Launched on the stream it
 * would be one more piece of work that the trainer, who may have joined its streams by now, would have to wait for: a capture with an
 * unjoined stream fails. A graph that is being captured may be given nodes (cuda.h on cuStreamGetCaptureInfo). */
#include <errno.h>

#include "device_private.h"

static int add_node(struct gns_set *set, CUstream stream, const struct gns_cu_deliver *deliver)
{
	const struct gns_driver *driver = set->device->driver;
	void *parameters[] = { (void *)deliver };
	const CUDA_KERNEL_NODE_PARAMS node = { .func = gns_device_function(set->device, GNS_DELIVER), .gridDimX = 1, .gridDimY = 1,
					       .gridDimZ = 1, .blockDimX = GNS_CU_THREADS, .blockDimY = 1, .blockDimZ = 1,
					       .kernelParams = parameters };
	const CUgraphNode *behind = NULL;
	CUstreamCaptureStatus status;
	CUgraphNode added;
	CUgraph graph;
	uint64_t capture = 0;
	size_t n = 0;

	if (driver->capture_info_2(stream, &status, &capture, &graph, &behind, &n) != CUDA_SUCCESS ||
	    status != CU_STREAM_CAPTURE_STATUS_ACTIVE || capture != set->capture)
		return -EXDEV;
	CUresult rc = driver->graph_add_kernel_node(&added, graph, behind, n, &node);
	if (rc != CUDA_SUCCESS)
		return gns_device_failed(set->device, rc);
	GNS_DEVICE_COUNT(launches);
	return 0;
}

int gns_set_deliver_captured(struct gns_set *set)
{
	struct gns_set_words *words = gns_set_words_there(set);
	int rc = 0;

	for (unsigned i = 0; !rc && i < set->n_streams; i++) {
		const struct gns_set_stream *s = &set->streams[i];
		const struct gns_cu_deliver deliver = {
			.gate = gns_set_gate_of(set, i), .slots = set->slots, .host = (double *)(uintptr_t)set->host_device,
			.chunks = { s->chunks[0], s->chunks[1] }, .begun = &words->begun[i], .done = &words->done[i],
			.counter = &words->counter[i], .open = words->open[i], .ring = GNS_SET_RING, .stride = GNS_SET_SLOTS,
		};
		if (s->worked)
			rc = add_node(set, s->handle, &deliver);
	}
	if (rc)
		GNS_DEVICE_COUNT(refused_capture);
	return rc;
}
