/* Captures, and the graphs that come of them. */
#include <stdlib.h>
#include <string.h>

#include "cuda_private.h"

/* cuda.h on cuThreadExchangeStreamCaptureMode. */
void fake_unsafe(const char *call)
{
	fake_lock();
	for (unsigned i = 0; i < CONTEXTS_MAX; i++) {
		const struct fake_capture *c = fake.captures[i];
		if (!c || fake_mode == CU_STREAM_CAPTURE_MODE_RELAXED)
			continue;
		bool own = pthread_equal(c->thread, pthread_self());
		if (own && c->mode != CU_STREAM_CAPTURE_MODE_RELAXED)
			gns_fake_die("%s: forbidden while this thread captures", call);
		if (!own && c->mode == CU_STREAM_CAPTURE_MODE_GLOBAL && fake_mode == CU_STREAM_CAPTURE_MODE_GLOBAL)
			gns_fake_die("%s: forbidden while another thread captures", call);
	}
	fake_unlock();
}

static struct fake_stream *blocking_captured(const struct fake_context *context)
{
	for (struct fake_stream *s = fake.streams; s; s = s->all)
		if (s->context == context && s->live && s->capture && s->blocking)
			return s;
	return NULL;
}

void fake_no_capture(struct fake_stream *stream, const char *call)
{
	if (stream->capture)
		gns_fake_die("%s: stream %llu is being captured", call, stream->id);
	struct fake_stream *other = stream->legacy ? blocking_captured(stream->context) : NULL;
	if (other)
		gns_fake_die("%s: on the legacy stream while blocking stream %llu is being captured", call, other->id);
}

/* ---- in a capture; under the lock ---- */

struct fake_capture *fake_capture_of(const struct fake_event *event)
{
	for (unsigned i = 0; event->capture && i < CONTEXTS_MAX; i++)
		if (fake.captures[i] == event->capture)
			return event->capture;
	return NULL;
}

static void join(struct fake_capture *c, struct fake_stream *s)
{
	if (c->n_streams == JOINED_MAX)
		gns_fake_die("more than %d streams in one capture", JOINED_MAX);
	if (s->legacy)
		gns_fake_die("the legacy stream cannot be captured");
	s->joined = c->n_streams;
	c->streams[c->n_streams++] = s;
	s->capture = c;
	memset(s->known, 0, sizeof s->known);
}

static void add_node(struct fake_graph *g, struct fake_op *op)
{
	*(g->last ? &g->last->next : &g->first) = op;
	g->last = op;
	op->ticket = ++g->nodes;
}

void fake_capture_op(struct fake_stream *stream, struct fake_op *op)
{
	struct fake_capture *c = stream->capture;
	add_node(c->graph, op);
	c->newest[stream->joined] = stream->known[stream->joined] = op->ticket;
}

/* The nodes that the next one of this stream would come behind. */
static size_t nodes_before(struct fake_stream *stream)
{
	size_t n = 0;
	for (unsigned i = 0; i < JOINED_MAX; i++)
		for (struct fake_op *op = stream->capture->graph->first; stream->known[i] && op; op = op->next)
			if (op->ticket == stream->known[i])
				stream->before[n++] = (CUgraphNode)op;
	return n;
}

void fake_capture_event(struct fake_stream *stream, struct fake_event *event)
{
	event->recorded = true;
	event->capture = stream->capture;
	memcpy(event->known, stream->known, sizeof event->known);
}

void fake_capture_wait(struct fake_stream *stream, const struct fake_event *event)
{
	if (!event->recorded)
		return;
	if (!fake_capture_of(event))
		gns_fake_die("cuStreamWaitEvent: stream %llu is being captured, the event was recorded outside of it", stream->id);
	if (!stream->capture)
		join(event->capture, stream);
	if (stream->capture != event->capture)
		gns_fake_die("cuStreamWaitEvent: stream and event are of two captures");
	for (unsigned i = 0; i < JOINED_MAX; i++)
		if (event->known[i] > stream->known[i])
			stream->known[i] = event->known[i];
}

CUresult cuStreamBeginCapture_v2(CUstream stream, CUstreamCaptureMode mode)
{
	ENTER_CONTEXT();
	struct fake_stream *s = fake_stream_of(stream, "cuStreamBeginCapture");
	fake_lock();
	fake_no_capture(s, "cuStreamBeginCapture");
	unsigned at = 0;
	while (at < CONTEXTS_MAX && fake.captures[at])
		at++;
	if (at == CONTEXTS_MAX)
		gns_fake_die("more than %d captures at once", CONTEXTS_MAX);
	struct fake_capture *c = calloc(1, sizeof *c);
	c->id = ++fake.ids;
	c->mode = (int)mode;
	c->thread = pthread_self();
	c->origin = s;
	c->graph = calloc(1, sizeof *c->graph);
	c->graph->live = true;
	join(c, s);
	fake.captures[at] = c;
	fake_unlock();
	return CUDA_SUCCESS;
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph)
{
	ENTER_CONTEXT();
	struct fake_stream *s = fake_stream_of(stream, "cuStreamEndCapture");
	fake_lock();
	struct fake_capture *c = s->capture;
	if (!c || c->origin != s)
		gns_fake_die("cuStreamEndCapture: no capture was begun on stream %llu", s->id);
	if (c->mode != CU_STREAM_CAPTURE_MODE_RELAXED && !pthread_equal(c->thread, pthread_self()))
		gns_fake_die("cuStreamEndCapture: another thread began this capture");
	for (unsigned i = 0; i < c->n_streams; i++) {
		if (s->known[i] < c->newest[i])
			gns_fake_die("cuStreamEndCapture: work of stream %llu was never joined", c->streams[i]->id);
		c->streams[i]->capture = NULL;
	}
	for (unsigned i = 0; i < CONTEXTS_MAX; i++)
		if (fake.captures[i] == c)
			fake.captures[i] = NULL;
	*graph = (CUgraph)c->graph;
	fake_unlock();
	return CUDA_SUCCESS; /* the capture itself stays: events still name it */
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, CUstreamCaptureStatus *status, uint64_t *id, CUgraph *graph,
				   const CUgraphNode **dependencies, size_t *n)
{
	ENTER();
	fake_lock();
	struct fake_stream *s = fake_stream_find(stream, "cuStreamGetCaptureInfo");
	struct fake_capture *c = s->capture;
	bool implicit = s->legacy && blocking_captured(s->context);
	*status = c ? CU_STREAM_CAPTURE_STATUS_ACTIVE : CU_STREAM_CAPTURE_STATUS_NONE;
	if (c && id)
		*id = c->id;
	if (c && graph)
		*graph = (CUgraph)c->graph;
	if (n)
		*n = c ? nodes_before(s) : 0;
	if (dependencies)
		*dependencies = s->before;
	fake_unlock();
	return implicit ? (CUresult)CUDA_ERROR_STREAM_CAPTURE_IMPLICIT : CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus *status)
{
	return cuStreamGetCaptureInfo_v2(stream, status, NULL, NULL, NULL, NULL);
}

CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
	int before = fake_mode;
	__atomic_fetch_add(&fake.calls, 1, __ATOMIC_RELAXED);
	fake_mode = (int)*mode;
	*mode = (CUstreamCaptureMode)before;
	return CUDA_SUCCESS;
}

/* ---- graphs ---- */

static struct fake_graph *graph_of(const void *handle, const char *call)
{
	struct fake_graph *g = (struct fake_graph *)handle;
	if (!g || !g->live)
		gns_fake_die("%s: %s", call, g ? "this graph was destroyed" : "no graph");
	return g;
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode *node, CUgraph graph, const CUgraphNode *behind, size_t n, const CUDA_KERNEL_NODE_PARAMS *params)
{
	ENTER_CONTEXT();
	struct fake_graph *g = graph_of(graph, "cuGraphAddKernelNode");
	struct fake_op *op = fake_launch_op(params->func, (const uint32_t[]){ params->gridDimX, params->gridDimY, params->gridDimZ },
					    (const uint32_t[]){ params->blockDimX, params->blockDimY, params->blockDimZ },
					    params->kernelParams);
	fake_lock();
	for (size_t i = 0; i < n; i++) {
		const struct fake_op *before = g->first;
		while (before && before != (const struct fake_op *)behind[i])
			before = before->next;
		if (!before)
			gns_fake_die("cuGraphAddKernelNode: it is to come behind a node of another graph");
	}
	add_node(g, op);
	fake_unlock();
	*node = (CUgraphNode)op;
	return CUDA_SUCCESS;
}

CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags)
{
	ENTER_CONTEXT();
	const struct fake_graph *g = graph_of(graph, "cuGraphInstantiate");
	struct fake_graph *copy = calloc(1, sizeof *copy);
	copy->live = true;
	for (const struct fake_op *op = g->first; op; op = op->next) {
		struct fake_op *node = fake_op_new(op->activity.name, op->run, op->args, op->size);
		node->activity = op->activity;
		*(copy->last ? &copy->last->next : &copy->first) = node;
		copy->last = node;
		copy->nodes++;
	}
	*exec = (CUgraphExec)copy;
	return CUDA_SUCCESS;
}

struct launch {
	struct fake_graph *graph;
	struct fake_stream *stream;
	uint64_t queued;
};

static void run_graph(void *args)
{
	const struct launch *l = args;
	for (struct fake_op *op = l->graph->first; op; op = op->next)
		fake_run(l->stream, op, l->queued);
}

/* A graph never runs beside itself. */
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream)
{
	ENTER_CONTEXT();
	struct fake_stream *s = fake_stream_of(stream, "cuGraphLaunch");
	struct launch l = { graph_of(exec, "cuGraphLaunch"), s, fake_now() };
	struct fake_op *op = fake_op_new(NULL, run_graph, &l, sizeof l);
	if (l.graph->ran_on && !s->capture) {
		op->waits = malloc(sizeof *op->waits);
		op->waits[0] = (struct fake_wait){ l.graph->ran_on, l.graph->ticket };
		op->n_waits = 1;
	}
	fake_submit(s, op, "cuGraphLaunch");
	if (!s->capture) {
		l.graph->ran_on = s;
		l.graph->ticket = s->enqueued;
	}
	return CUDA_SUCCESS;
}

/* Never freed: a launch may be under way. */
CUresult cuGraphDestroy(CUgraph graph)
{
	ENTER();
	graph_of(graph, "cuGraphDestroy")->live = false;
	return CUDA_SUCCESS;
}

CUresult cuGraphExecDestroy(CUgraphExec exec)
{
	ENTER();
	graph_of(exec, "cuGraphExecDestroy")->live = false;
	return CUDA_SUCCESS;
}
