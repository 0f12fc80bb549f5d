/* `gnscope advise`: what another batch would cost, and what else would change with it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/cli/advice.h"
#include "profiler/cli/cli.h"
#include "profiler/cli/json.h"

static const char help[] =
	"Usage: gnscope advise [OPTION]... [RUN]\n"
	"What another batch size would cost in steps, samples, hours and money; the best\n"
	"batch size; and the learning rate, betas and weight decay by published rules.\n"
	"RUN is an id or a name; default: the latest run.\n"
	"\n"
	"      --batch N          show this batch size, too: samples a step, all devices\n"
	"      --devices N        on so many devices; default: as the run had\n"
	"      --price P          of a device-hour\n"
	"      --target-loss L    to this loss, which the run must have reached\n"
	"      --steps N          to the loss that N steps at the run's batch reach;\n"
	"                         default: the loss that the run has reached\n"
	"      --exchange X       the best batch where a step is worth X samples\n"
	"      --max-batch N      the largest batch that the hardware takes\n"
	"      --sweep NAME       B_crit as fitted to this sweep, not of the run\n"
	"      --json             one object, numbers as numbers, absent ones null\n"
	"      --store FILE       the store to read                       (GNSCOPE_STORE)\n"
	"  -h, --help             this text\n";

struct options {
	const char *store, *ref;
	struct gns_advice_ask ask;
	bool json;
};

static int positive(char **argv, const char *option, bool whole, double *out)
{
	if (gns_cli_number(optarg, out) == 0 && *out > 0 && (!whole || (*out == floor(*out) && *out >= 1)))
		return -1;
	return gns_cli_usage(argv[0], "%s '%s' is not %s", option, optarg, whole ? "a whole number from 1" : "a number above 0");
}

static int parse(int argc, char **argv, struct options *o)
{
	enum { STORE = 256, BATCH, DEVICES, PRICE, TARGET, STEPS, EXCHANGE, MOST, SWEEP, JSON };
	static const struct option longs[] = {
		{"store", required_argument, NULL, STORE}, {"batch", required_argument, NULL, BATCH},
		{"devices", required_argument, NULL, DEVICES}, {"price", required_argument, NULL, PRICE},
		{"target-loss", required_argument, NULL, TARGET}, {"steps", required_argument, NULL, STEPS},
		{"exchange", required_argument, NULL, EXCHANGE}, {"sweep", required_argument, NULL, SWEEP},
		{"max-batch", required_argument, NULL, MOST}, {"json", no_argument, NULL, JSON}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	struct gns_advice_ask *ask = &o->ask;
	int rc = -1;
	opterr = 0;
	for (int c; rc < 0 && (c = getopt_long(argc, argv, ":h", longs, NULL)) != -1;) {
		switch (c) {
		case STORE: o->store = optarg; break;
		case BATCH: rc = positive(argv, "--batch", true, &ask->batch); break;
		case DEVICES: rc = positive(argv, "--devices", true, &ask->devices); break;
		case PRICE: rc = positive(argv, "--price", false, &ask->price); break;
		case STEPS: rc = positive(argv, "--steps", true, &ask->steps); break;
		case EXCHANGE: rc = positive(argv, "--exchange", false, &ask->exchange); break;
		case MOST: rc = positive(argv, "--max-batch", true, &ask->most); break;
		case SWEEP: ask->sweep = optarg; break;
		case JSON: o->json = true; break;
		case TARGET:
			if (gns_cli_number(optarg, &ask->target) != 0)
				rc = gns_cli_usage(argv[0], "--target-loss '%s' is not a number", optarg);
			break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	if (rc >= 0)
		return rc;
	if (isfinite(ask->target) && isfinite(ask->steps))
		return gns_cli_usage(argv[0], "--target-loss and --steps together: give one or the other");
	o->ref = optind < argc ? argv[optind++] : NULL;
	if (optind < argc)
		return gns_cli_usage(argv[0], "unexpected argument '%s' (advise takes one RUN)", argv[optind]);
	return -1;
}

int gns_cmd_advise(int argc, char **argv)
{
	struct options o = {.ask = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NULL}};
	struct gns_store *store = NULL;
	struct gns_error err = {""};
	int64_t run_id;
	int rc = parse(argc, argv, &o);
	if (rc >= 0)
		return rc;
	rc = gns_cli_open_run(argv[0], o.store, o.ref, &store, &run_id);
	if (rc)
		return rc;
	struct gns_advice *advice = calloc(1, sizeof *advice);
	rc = advice ? gns_advise(store, run_id, &o.ask, advice, &err) : gns_fail(&err, -ENOMEM, "no memory left");
	if (rc < 0)
		rc = gns_cli_fail_of(argv[0], &err, rc);
	else if (o.json)
		rc = gns_json_print(argv[0], gns_advice_json(advice), stdout);
	else
		gns_advice_print(advice);
	free(advice);
	gns_store_close(store);
	return rc;
}
