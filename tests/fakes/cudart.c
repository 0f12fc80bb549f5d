/* libcudart.so.13, as far as graphs go: it calls the driver, as the real one does. */
#include "cuda_api.h"

int cudaStreamEndCapture(CUstream stream, CUgraph *graph);
int cudaGraphLaunch(CUgraphExec exec, CUstream stream);

int cudaStreamEndCapture(CUstream stream, CUgraph *graph)
{
	return (int)cuStreamEndCapture(stream, graph);
}

int cudaGraphLaunch(CUgraphExec exec, CUstream stream)
{
	return (int)cuGraphLaunch(exec, stream);
}
