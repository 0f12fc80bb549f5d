/* gns_generate: a store of any size with known answers. */
#include "tests/store/generate.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: gns_generate --store FILE [options]\n"
	"Writes runs with a known B_noise into FILE (made when missing) through gnscope's own writing API.\n"
	"  --name S      name of the run (\"generated\"; with --runs a number is added)\n"
	"  --runs N      number of runs (1)\n"
	"  --steps N     steps of each (1000)          --layers L   weights (4)\n"
	"  --every K     measure every K-th step (1)   --batch N    samples a step (128)\n"
	"  --from A      true B_noise at the start (200 samples)\n"
	"  --to B        true B_noise at the end (2000 samples)\n"
	"  --noise X     relative spread of one step's s (0.05); of g2 four times that\n"
	"  --ranks R     ranks (1)                     --seed N     of the generator (1)\n"
	"  --start NS    realtime clock of the start, nanoseconds\n"
	"  --rows        no samples told: the unit is rows\n"
	"  --warnings    a few warnings                --running    leave the run open\n"
	"  --torch       as PyTorch tells it            --streams N  optimizers (1)\n"
	"  --device      on a GPU\n"
	"  --no-kernels  --no-losses\n";

static const struct option options[] = {
	{ "store", required_argument, NULL, 'S' }, { "name", required_argument, NULL, 'n' }, { "runs", required_argument, NULL, 'r' },
	{ "steps", required_argument, NULL, 's' }, { "layers", required_argument, NULL, 'l' }, { "every", required_argument, NULL, 'k' },
	{ "batch", required_argument, NULL, 'b' }, { "from", required_argument, NULL, 'f' }, { "to", required_argument, NULL, 't' },
	{ "noise", required_argument, NULL, 'x' }, { "ranks", required_argument, NULL, 'R' }, { "seed", required_argument, NULL, 'd' },
	{ "start", required_argument, NULL, 'T' }, { "rows", no_argument, NULL, 'u' }, { "warnings", no_argument, NULL, 'w' },
	{ "running", no_argument, NULL, 'o' }, { "no-kernels", no_argument, NULL, 'K' }, { "no-losses", no_argument, NULL, 'L' },
	{ "torch", no_argument, NULL, 'p' }, { "streams", required_argument, NULL, 'm' },
	{ "device", no_argument, NULL, 'g' },
	{ "help", no_argument, NULL, 'h' }, { NULL, 0, NULL, 0 },
};

static void set(struct gns_generate *o, int c, const char *value)
{
	switch (c) {
	case 'n': o->name = value; break;
	case 's': o->steps = atoll(value); break;
	case 'l': o->layers = atoi(value); break;
	case 'k': o->every = atoll(value); break;
	case 'b': o->batch = strtoull(value, NULL, 10); break;
	case 'f': o->b_from = atof(value); break;
	case 't': o->b_to = atof(value); break;
	case 'x': o->noise = atof(value); break;
	case 'R': o->ranks = atoi(value); break;
	case 'd': o->seed = strtoull(value, NULL, 10); break;
	case 'T': o->start_ns = strtoull(value, NULL, 10); break;
	case 'u': o->rows = true; break;
	case 'w': o->warnings = true; break;
	case 'o': o->running = true; break;
	case 'p': o->torch = true; break;
	case 'm': o->streams = atoi(value); break;
	case 'g': o->device = true; break;
	case 'K': o->kernels = false; break;
	default: o->losses = false; break;
	}
}

int main(int argc, char **argv)
{
	struct gns_generate o = GNS_GENERATE_DEFAULT;
	struct gns_error err = { "" };
	struct gns_store *store;
	const char *path = NULL;
	int runs = 1, c;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			return fputs(usage, stdout) < 0;
		if (c == '?')
			return 2;
		if (c == 'S')
			path = optarg;
		else if (c == 'r')
			runs = atoi(optarg);
		else
			set(&o, c, optarg);
	}
	if (!path || o.every < 1 || o.layers < 1 || o.ranks < 1 || o.batch < 2) {
		fputs(usage, stderr);
		return 2;
	}
	int rc = gns_store_open_write(path, &store, &err);
	const char *name = o.name;
	for (int i = 0; rc == 0 && i < runs; i++) {
		char numbered[128];
		int64_t run_id;
		snprintf(numbered, sizeof numbered, "%s-%d", name, i + 1);
		o.name = runs > 1 ? numbered : name;
		rc = gns_generate_run(store, &o, &run_id, &err);
		if (rc == 0)
			printf("run %lld: %s, %lld steps, %d weights\n", (long long)run_id, o.name, (long long)o.steps, o.layers);
		o.seed++;
		o.start_ns = (o.start_ns ? o.start_ns : 1760000000000000000u) + 3600000000000u;
	}
	if (rc < 0)
		fprintf(stderr, "gns_generate: %s\n", err.text);
	else
		gns_store_close(store);
	return rc < 0;
}
