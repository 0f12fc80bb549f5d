/* The options of gpu_mlp. */
#include "gpu_mlp_options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"Usage: gpu_mlp [OPTION]...\n"
	"Train a small network on a GPU by cuBLAS.\n\n"
	"  --type T         fp32, fp64 or bf16 (fp32); bf16 keeps float32 master weights\n"
	"  --grad-type T    of weight gradients, where it is not --type\n"
	"  --api A          gemm, gemmex, lt or lt-row (gemmex)\n"
	"  --wide           the 64-bit forms\n"
	"  --batch N        samples of a micro-step (32)\n"
	"  --tokens N       rows of a sample (1)\n"
	"  --in N, --hidden N   widths (48, 64)\n"
	"  --accumulate N   micro-steps of a step (1)\n"
	"  --attention      a block of attention with batched products\n"
	"  --weights-first  each layer's weight gradient before its data gradient\n"
	"  --bgrad          sums of output gradients beside weight gradients (--api lt)\n"
	"  --capture K      from step K + 1 on replay a graph (0: never)\n"
	"  --streams N      1, or 2: weight gradients on a stream of their own\n"
	"  --devices N      1, or 2: the second has the last two layers\n"
	"  --steps N        (60)\n"
	"  --lr X, --momentum X   (0.05, 0.9)\n"
	"  --seed N         (1)\n"
	"  --losses FILE    write every step's loss as an exact hexadecimal float\n"
	"  --truth FILE     write every weight's exact per-sample norms, a JSON object a step\n"
	"  --weights-hash   print the FNV-1a hash of the final weights\n";

static double number(const char *name, const char *text, double low, double high)
{
	char *end;
	double v = strtod(text, &end);
	if (*end || end == text || !(v >= low && v <= high))
		gpu_die("--%s %s: not a number from %g to %g", name, text, low, high);
	return v;
}

static int word(const char *name, const char *text, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (strcmp(words[i], text) == 0)
			return i;
	gpu_die("--%s %s: see --help", name, text);
}

struct mlp_options mlp_options_parse(int argc, char **argv)
{
	enum { TYPE = 1, G_TYPE, API, WIDE, BATCH, TOKENS, IN, HIDDEN, ACCUMULATE, ATTENTION, BGRAD, FIRST, CAPTURE, STREAM, DEVICE, STEPS, LR, MOMENTUM,
	       SEED, LOSSES, TRUTH, HASH, HELP };
	static const struct option longs[] = {
		{ "type", 1, NULL, TYPE }, { "grad-type", 1, NULL, G_TYPE }, { "api", 1, NULL, API }, { "wide", 0, NULL, WIDE },
		{ "batch", 1, NULL, BATCH }, { "tokens", 1, NULL, TOKENS }, { "in", 1, NULL, IN }, { "hidden", 1, NULL, HIDDEN },
		{ "accumulate", 1, NULL, ACCUMULATE }, { "attention", 0, NULL, ATTENTION }, { "bgrad", 0, NULL, BGRAD },
		{ "weights-first", 0, NULL, FIRST },
		{ "capture", 1, NULL, CAPTURE }, { "streams", 1, NULL, STREAM }, { "devices", 1, NULL, DEVICE }, { "steps", 1, NULL, STEPS },
		{ "lr", 1, NULL, LR }, { "momentum", 1, NULL, MOMENTUM }, { "seed", 1, NULL, SEED }, { "losses", 1, NULL, LOSSES },
		{ "truth", 1, NULL, TRUTH }, { "weights-hash", 0, NULL, HASH }, { "help", 0, NULL, HELP }, { NULL, 0, NULL, 0 },
	};
	static const char *const types[] = { "", "fp32", "fp64", "bf16", NULL }, *const apis[] = { "gemm", "gemmex", "lt", "lt-row", NULL };
	struct mlp_options o = { .steps = 60, .batch = 32, .tokens = 1, .in = 48, .hidden = 64, .accumulate = 1, .streams = 1, .devices = 1,
			     .api = GPU_GEMM_EX, .type = MLP_F32, .lr = 0.05, .momentum = 0.9, .seed = 1 };
	for (int c, at; (c = getopt_long(argc, argv, "", longs, &at)) != -1;) {
		const char *name = c == '?' ? "" : longs[at].name;
		switch (c) {
		case TYPE: o.type = (enum mlp_type)word(name, optarg, types); break;
		case G_TYPE: o.g_type = (enum mlp_type)word(name, optarg, types); break;
		case API: o.api = (enum gpu_api)word(name, optarg, apis); break;
		case WIDE: o.wide = true; break;
		case BATCH: o.batch = (int)number(name, optarg, 1, 1 << 20); break;
		case TOKENS: o.tokens = (int)number(name, optarg, 1, 1 << 16); break;
		case IN: o.in = (int)number(name, optarg, 1, 1 << 16); break;
		case HIDDEN: o.hidden = (int)number(name, optarg, 1, 1 << 16); break;
		case ACCUMULATE: o.accumulate = (int)number(name, optarg, 1, 1 << 10); break;
		case ATTENTION: o.attention = true; break;
		case BGRAD: o.bgrad = true; break;
		case FIRST: o.weights_first = true; break;
		case CAPTURE: o.capture = (int)number(name, optarg, 0, 1 << 20); break;
		case STREAM: o.streams = (int)number(name, optarg, 1, MLP_STREAMS); break;
		case DEVICE: o.devices = (int)number(name, optarg, 1, MLP_DEVICES); break;
		case STEPS: o.steps = (int)number(name, optarg, 0, 1 << 30); break;
		case LR: o.lr = number(name, optarg, 0, 1e6); break;
		case MOMENTUM: o.momentum = number(name, optarg, 0, 1); break;
		case SEED: o.seed = (uint64_t)number(name, optarg, 0, 0x1p53); break;
		case LOSSES: o.losses = optarg; break;
		case TRUTH: o.truth = optarg; break;
		case HASH: o.hash = true; break;
		case HELP: fputs(usage, stdout); exit(0);
		default: fputs(usage, stderr); exit(2);
		}
	}
	if (optind < argc)
		gpu_die("unexpected argument %s; see --help", argv[optind]);
	if (o.capture && o.devices > 1)
		gpu_die("--capture is of one device");
	if (!o.g_type)
		o.g_type = o.type;
	return o;
}
