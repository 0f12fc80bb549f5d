/* What gpu_mlp can be asked for; gpu_mlp --help says what it means. */
#ifndef GNS_TESTS_PROGRAMS_GPU_MLP_OPTIONS_H
#define GNS_TESTS_PROGRAMS_GPU_MLP_OPTIONS_H

#include "gpu_product.h"

#define MLP_DEVICES 2
#define MLP_STREAMS 2

struct mlp_options {
	int steps, batch, tokens, in, hidden, accumulate, capture, streams, devices;
	enum gpu_api api;
	bool wide, attention, bgrad, weights_first, hash;
	enum mlp_type type, g_type;
	double lr, momentum;
	uint64_t seed;
	const char *losses, *truth;
};

/* Ends the program where they make no sense. */
struct mlp_options mlp_options_parse(int argc, char **argv);

#endif
