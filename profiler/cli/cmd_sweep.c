/* `gnscope sweep`: one program at several batch sizes to one loss, which measures B_crit. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/cli/cli.h"
#include "profiler/cli/launch.h"
#include "profiler/cli/loss.h"
#include "profiler/cli/sweep.h"
#include "profiler/shim/process/clock.h"

#define GIVE_UP 2.0

static const char help[] =
	"Usage: gnscope sweep --batch LIST --target-loss L [OPTION]... [--] COMMAND ...\n"
	"  or:  gnscope sweep --show NAME [--json]\n"
	"Trains COMMAND at several batch sizes until its loss is L, and stores how many\n"
	"steps that took; 'gnscope fit' estimates B_crit from them.\n"
	"{batch}, {lr} and {seed} in COMMAND are replaced. Each training is a run in the\n"
	"store like any other. If interrupted, run the same command again to resume.\n"
	"\n"
	"      --batch LIST        batch sizes, samples in a step: 16,32,64,128,256,512\n"
	"      --target-loss L     the loss to reach\n"
	"      --seeds N           seeds 0 to N-1; or a list: 3,5,7\n"
	"      --lr LIST           learning rates to try, the fastest counts; needs {lr}\n"
	"      --lr-rule RULE      how they change with the batch: none, linear,\n"
	"                          sqrt, or noise:N: lr / (1 + N/batch); default none\n"
	"      --lr-batch N        the batch where linear and sqrt take them as they are;\n"
	"                          default: the smallest\n"
	"      --tune N            try all learning rates with the first N seeds, the\n"
	"                          quickest of each batch with the others; default 1\n"
	"      --give-up F         stop at F times the steps of the batch's quickest\n"
	"                          learning rate; default 2, 0: never\n"
	"      --max-steps N       stop there: the target is not reached (censored)\n"
	"      --max-samples N     the same, in samples\n"
	"      --max-seconds N     the same, in time\n"
	"      --loss-regex R      read the loss from the output, as 'gnscope run' does;\n"
	"                          without it, from what the store has\n"
	"                                                            (GNSCOPE_LOSS_REGEX)\n"
	"      --step-regex R      read the step from the output, too; without it, it is\n"
	"                          the latest step that was seen\n"
	"      --window R          smooth the loss over steps k/R to k; default 1.5\n"
	"      --jobs N            trainings at once; default 1\n"
	"      --name S            name of the sweep; default: command and target\n"
	"      --every K, --budget PCT, --lib FILE\n"
	"                          as of 'gnscope run', for every run; where the loss\n"
	"                          comes from the store, every step is measured\n"
	"      --dry-run           print the commands, run nothing\n"
	"      --show NAME         what a sweep has found so far\n"
	"      --json              the result as one object\n"
	"      --store FILE        the store                              (GNSCOPE_STORE)\n"
	"  -h, --help              this text\n"
	"\n"
	"The smoothed loss at a step is the middle of a line fitted to the losses around\n"
	"it, from step/sqrt(R) to step*sqrt(R), over the logarithm of the step, the same\n"
	"share of the way at every batch, so that neither noise nor lag favours one.\n"
	"Example: gnscope sweep --batch 16,32,64,128,256,512 --target-loss 0.45 \\\n"
	"           --seeds 3 --lr 0.05,0.1,0.2 --lr-rule sqrt -- \\\n"
	"           python3 train.py --batch-size {batch} --lr {lr} --seed {seed}\n";

struct sweep {
	struct gns_sweep_settings s;
	struct gns_sweep_reader reader;
	const char *store, *show, *batch, *seeds, *lr, *rule, *target;
	bool json, dry;
};

static int whole(const char *option, const char *text, int64_t min, int64_t *out)
{
	if (gns_cli_integer(text, min, INT64_MAX / 2, out) == 0)
		return 0;
	return gns_cli_usage("sweep", "%s '%s' is not a whole number from %" PRId64, option, text, min);
}

static int number(const char *option, const char *text, double above, double *out)
{
	if (gns_cli_number(text, out) == 0 && *out > above)
		return 0;
	return gns_cli_usage("sweep", "%s '%s' is not a number above %g", option, text, above);
}

static int copy(const char *option, const char *text, char *dst, size_t size)
{
	if (strlen(text) < size && *text) {
		strcpy(dst, text);
		return 0;
	}
	return gns_cli_usage("sweep", "%s is %s", option, *text ? "too long" : "empty");
}

enum { BATCH = 256, TARGET, SEEDS, LR, LR_RULE, LR_BATCH, TUNE, GIVE, MAX_STEPS, MAX_SAMPLES, MAX_SECONDS, LOSS, STEP, WINDOW, JOBS, NAME,
       EVERY, BUDGET, LIB, DRY, SHOW, JSON, STORE };

static const struct option longs[] = {
	{"batch", required_argument, NULL, BATCH}, {"target-loss", required_argument, NULL, TARGET}, {"seeds", required_argument, NULL, SEEDS},
	{"lr", required_argument, NULL, LR}, {"lr-rule", required_argument, NULL, LR_RULE}, {"lr-batch", required_argument, NULL, LR_BATCH},
	{"tune", required_argument, NULL, TUNE}, {"give-up", required_argument, NULL, GIVE},
	{"max-steps", required_argument, NULL, MAX_STEPS}, {"max-samples", required_argument, NULL, MAX_SAMPLES},
	{"max-seconds", required_argument, NULL, MAX_SECONDS}, {"loss-regex", required_argument, NULL, LOSS},
	{"step-regex", required_argument, NULL, STEP}, {"window", required_argument, NULL, WINDOW}, {"jobs", required_argument, NULL, JOBS},
	{"name", required_argument, NULL, NAME}, {"every", required_argument, NULL, EVERY}, {"budget", required_argument, NULL, BUDGET},
	{"lib", required_argument, NULL, LIB}, {"dry-run", no_argument, NULL, DRY}, {"show", required_argument, NULL, SHOW},
	{"json", no_argument, NULL, JSON}, {"store", required_argument, NULL, STORE}, {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
};

static int take_option(struct sweep *o, int c, char **argv)
{
	struct gns_sweep_settings *s = &o->s;
	int64_t n;
	switch (c) {
	case BATCH: o->batch = optarg; return 0;
	case TARGET: o->target = optarg; return 0;
	case SEEDS: o->seeds = optarg; return 0;
	case LR: o->lr = optarg; return 0;
	case LR_RULE: o->rule = optarg; return 0;
	case LR_BATCH: return number("--lr-batch", optarg, 0, &s->sweep.lr_batch);
	case TUNE: return whole("--tune", optarg, 1, &s->tune);
	case GIVE:
		if (gns_cli_number(optarg, &s->give_up) != 0 || (s->give_up != 0 && s->give_up < 1))
			return gns_cli_usage("sweep", "--give-up '%s' is neither 0 nor a number from 1", optarg);
		return 0;
	case MAX_STEPS: return whole("--max-steps", optarg, 1, &s->max_steps);
	case MAX_SAMPLES: return whole("--max-samples", optarg, 1, &s->max_samples);
	case MAX_SECONDS: return number("--max-seconds", optarg, 0, &s->max_seconds);
	case LOSS: return copy("--loss-regex", optarg, s->sweep.loss_regex, sizeof s->sweep.loss_regex);
	case STEP: return copy("--step-regex", optarg, s->sweep.step_regex, sizeof s->sweep.step_regex);
	case WINDOW: return number("--window", optarg, 1, &s->sweep.window);
	case JOBS:
		if (gns_cli_integer(optarg, 1, 256, &s->jobs) != 0)
			return gns_cli_usage("sweep", "--jobs '%s' is not a whole number from 1 to 256", optarg);
		return 0;
	case NAME: return copy("--name", optarg, s->sweep.name, 91);
	case EVERY: s->every = optarg; return whole("--every", optarg, 1, &n);
	case BUDGET: s->budget = optarg; return number("--budget", optarg, 0, &(double){0});
	case LIB: s->lib = optarg; return 0;
	case DRY: o->dry = true; return 0;
	case SHOW: o->show = optarg; return 0;
	case JSON: o->json = true; return 0;
	case STORE: o->store = optarg; return 0;
	default: return gns_cli_bad_option(argv, c);
	}
}

static int take_lists(struct sweep *o, struct gns_error *err)
{
	struct gns_sweep_settings *s = &o->s;
	int rc = gns_sweep_integers(o->batch, "--batch", 1, s->batch, &s->n_batch, err);
	bool count = o->seeds && !strchr(o->seeds, ',') && !strchr(o->seeds, '-');
	int64_t seeds = 0;
	if (!rc && o->lr)
		rc = gns_sweep_numbers(o->lr, "--lr", s->lr, &s->n_lr, err);
	if (!rc && count && gns_cli_integer(o->seeds, 1, GNS_SWEEP_LIST, &seeds) != 0)
		rc = gns_fail(err, -EINVAL, "--seeds '%s' is neither a number of seeds from 1 to %d nor a list like 3,5,7", o->seeds, GNS_SWEEP_LIST);
	else if (!rc && o->seeds && !count)
		rc = gns_sweep_integers(o->seeds, "--seeds", 0, s->seed, &s->n_seed, err);
	for (; !rc && s->n_seed < (size_t)seeds; s->n_seed++)
		s->seed[s->n_seed] = (int64_t)s->n_seed;
	if (!rc)
		rc = gns_sweep_rule(o->rule ? o->rule : "none", s, err);
	if (!rc && o->rule && !o->lr && s->rule != GNS_LR_NONE)
		rc = gns_fail(err, -EINVAL, "--lr-rule says how --lr changes with the batch, but no --lr is given");
	return rc ? rc : gns_sweep_check(s, err);
}

static bool seed_in(char *const *argv)
{
	for (; *argv; argv++)
		if (strstr(*argv, "{seed}"))
			return true;
	return false;
}

static int complete(struct sweep *o, struct gns_error *err)
{
	struct gns_sweep_settings *s = &o->s;
	int rc = take_lists(o, err);
	if (rc)
		return rc;
	bool seeds = seed_in(s->argv);
	s->n_seed = !seeds ? 0 : s->n_seed ? s->n_seed : 1; /* the one seed is 0 */
	if (!isfinite(s->sweep.lr_batch))
		for (size_t i = 0; i < s->n_batch; i++)
			s->sweep.lr_batch = fmin(s->sweep.lr_batch, (double)s->batch[i]);
	if (!getcwd(s->sweep.cwd, sizeof s->sweep.cwd))
		s->sweep.cwd[0] = '\0';
	s->sweep.start_ns = gns_realtime();
	if (!s->sweep.name[0])
		gns_sweep_default_name(s->sweep.name, 91, s->argv, s->sweep.target_loss);
	return gns_sweep_command_text(s->sweep.command, sizeof s->sweep.command, s->argv, err);
}

static int compile_both(struct sweep *o, struct gns_error *err)
{
	struct gns_sweep *w = &o->s.sweep;
	const char *env = getenv("GNSCOPE_LOSS_REGEX");
	if (!w->loss_regex[0] && env)
		snprintf(w->loss_regex, sizeof w->loss_regex, "%s", env);
	if (w->step_regex[0] && !w->loss_regex[0])
		return gns_fail(err, -EINVAL, "--step-regex needs --loss-regex: both are read from the output");
	/* A collector tells the loss of the steps that it measures. */
	if (!w->loss_regex[0] && !o->s.every && !o->s.budget && !getenv("GNSCOPE_EVERY") && !getenv("GNSCOPE_BUDGET"))
		o->s.every = "1";
	o->reader.from_output = w->step_regex[0] != '\0';
	int rc = w->loss_regex[0] ? gns_number_regex(&o->reader.loss, "--loss-regex", w->loss_regex, err) : 0;
	return rc || !o->reader.from_output ? rc : gns_number_regex(&o->reader.step, "--step-regex", w->step_regex, err);
}

/* Returns -1 to go on, or an exit status. */
static int parse(int argc, char **argv, struct sweep *o)
{
	struct gns_error err = {""};
	int rc;
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "+:h", longs, NULL)) != -1;) {
		if (c == 'h') {
			fputs(help, stdout);
			return GNS_EXIT_OK;
		}
		if ((rc = take_option(o, c, argv)) != 0)
			return rc;
	}
	if (gns_cli_store_path(o->store, o->s.store, sizeof o->s.store, &err) != 0)
		return gns_cli_fail("sweep", "%s", err.text);
	o->s.argv = argv + optind;
	if (o->show)
		return optind < argc ? gns_cli_usage("sweep", "unexpected argument '%s' (--show takes a name and runs nothing)", argv[optind]) : -1;
	if (optind >= argc || !*argv[optind])
		return gns_cli_usage("sweep", "the command to run is missing");
	if (!o->batch)
		return gns_cli_usage("sweep", "--batch is missing; give the batch sizes, as in --batch 16,32,64,128,256,512");
	if (!o->target)
		return gns_cli_usage("sweep", "--target-loss is missing; give a loss that every batch can reach, as in --target-loss 0.45");
	if (gns_cli_number(o->target, &o->s.sweep.target_loss) != 0)
		return gns_cli_usage("sweep", "--target-loss '%s' is not a number", o->target);
	if (o->s.every && o->s.budget)
		return gns_cli_usage("sweep", "--every and --budget exclude each other: either says which steps are measured");
	if (complete(o, &err) != 0 || compile_both(o, &err) != 0)
		return gns_cli_usage("sweep", "%s", err.text);
	return -1;
}

static int show(const struct sweep *o, const char *name)
{
	struct gns_store *store = NULL;
	struct gns_sweep sweep;
	struct gns_error err = {""};
	int rc = gns_cli_open_read("sweep", o->s.store, &store);
	if (rc)
		return rc;
	rc = gns_store_find_sweep(store, name, &sweep, &err) ? gns_cli_fail("sweep", "%s", err.text) : gns_sweep_print(store, &sweep, o->json);
	gns_store_close(store);
	return rc;
}

static void print_words(char *const *words)
{
	for (; *words; words++)
		printf("%s%s", *words, words[1] ? " " : "\n");
}

static int dry_run(const struct gns_sweep_settings *s)
{
	size_t lrs = s->n_lr ? s->n_lr : 1, seeds = s->n_seed ? s->n_seed : 1;
	for (size_t seed = 0; seed < seeds; seed++)
		for (size_t b = 0; b < s->n_batch; b++)
			for (size_t l = 0; l < lrs; l++) {
				struct gns_sweep_point p = {.batch = s->batch[b], .seed = s->n_seed ? s->seed[seed] : -1,
							    .lr = s->n_lr ? gns_sweep_lr(s, s->lr[l], s->batch[b]) : (double)NAN};
				bool tuned = lrs > 1 && seed >= (size_t)s->tune;
				char **words = gns_sweep_words(s->argv, &p);
				if (tuned && l == 0)
					printf("# batch %" PRId64 ", seed %" PRId64 ": with the quickest of its %zu learning rates\n", p.batch, p.seed, lrs);
				if (!tuned && words)
					print_words(words);
				gns_sweep_free_words(words);
			}
	return GNS_EXIT_OK;
}

int gns_cmd_sweep(int argc, char **argv)
{
	static struct sweep sweep = {.s = {.tune = 1, .give_up = GIVE_UP, .jobs = 1,
					   .sweep = {.window = GNS_CROSSING_WINDOW, .lr_batch = INFINITY, .target_loss = NAN}}};
	struct sweep *o = &sweep;
	int rc = parse(argc, argv, o);
	if (rc >= 0)
		return rc;
	if (o->show)
		return show(o, o->show);
	if (o->dry)
		return dry_run(&o->s);
	int status = gns_sweep_all(&o->s, &o->reader, o->json);
	if (o->s.sweep.sweep_id > 0)
		rc = show(o, o->s.sweep.name);
	if (!status && !o->json)
		printf("next: gnscope fit --sweep %s\n", o->s.sweep.name);
	return status ? status : rc;
}
