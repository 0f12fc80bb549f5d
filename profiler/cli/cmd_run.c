/* `gnscope run`: a trainer under the shim, its terminal untouched, its exit status ours. */
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/cli/cli.h"
#include "profiler/cli/launch.h"
#include "profiler/cli/loss.h"
#include "profiler/cli/pass.h"
#include "profiler/cli/words.h"
#include "profiler/shim/process/config.h"
#include "tui/top.h"

#define SETTING_MAX (1 << 30) /* the shim's own bound */

static const char help[] =
	"Usage: gnscope run [OPTION]... [--] COMMAND [ARGUMENT]...\n"
	"Trains COMMAND under gnscope and measures the noise of its gradients. The\n"
	"command, its input and its output are unchanged. At the end a summary goes to\n"
	"standard error, the verdict first. Exit status: the command's own (killed by a\n"
	"signal: gnscope dies of the same signal; 127: not found; 126: not executable).\n"
	"\n"
	"      --store FILE      keep the run in FILE                     (GNSCOPE_STORE)\n"
	"      --name S          name of the run                           (GNSCOPE_NAME)\n"
	"      --samples N       batch size of one process (samples in a micro-step).\n"
	"                        In PyTorch it is detected; elsewhere, without it, each\n"
	"                        row counts as one sample\n"
	"                                                               (GNSCOPE_SAMPLES)\n"
	"      --layout L        order of the rows in a PyTorch model's input, where it\n"
	"                        cannot be detected: batch-first, time-major, or, with\n"
	"                        several rows a sample, interleaved or blocks\n"
	"                                                                (GNSCOPE_LAYOUT)\n"
	"      --every K         measure every K-th step; 1: all          (GNSCOPE_EVERY)\n"
	"      --budget PCT      or spend PCT percent of the time on it; default 1\n"
	"                                                                (GNSCOPE_BUDGET)\n"
	"      --probes N        sign probes of a sketch: 8, 16, 24 or 32; default 8\n"
	"                                                                (GNSCOPE_PROBES)\n"
	"      --loss-regex R    read the loss from the command's output: a POSIX\n"
	"                        extended regular expression whose first group is the\n"
	"                        number\n"
	"                                                            (GNSCOPE_LOSS_REGEX)\n"
	"      --top, --no-top   show the dashboard; the command's output then\n"
	"                        goes to a file beside the store    (GNSCOPE_TOP=1 or 0)\n"
	"      --no-torch        measure a PyTorch program by its GEMMs alone, not\n"
	"                        every parameter                      (GNSCOPE_TORCH=0)\n"
	"      --no-gpu          do not measure on CUDA devices         (GNSCOPE_GPU=0)\n"
	"      --kernels WHEN    kernel times on GPUs, by CUPTI: auto (some steps of a\n"
	"                        hundred, the default), on (all), off  (GNSCOPE_KERNELS)\n"
	"      --no-command      store the program's name without its arguments; keys,\n"
	"                        tokens, secrets and passwords are masked anyway\n"
	"      --lib FILE        the shim library, libgnscope.so            (GNSCOPE_LIB)\n"
	"  -h, --help            this text\n"
	"\n"
	"An option overrides its variable. GNSCOPE_LOSSES=every reads the loss of every\n"
	"step of a PyTorch program; by default it is read in measured steps and, between\n"
	"them, every 50 ms.\n"
	"Example: gnscope run -- python3 train.py --batch-size 128\n";

struct run {
	struct gns_launch launch;
	struct gns_channel out, err;
	struct gns_loss loss;
	const char *loss_regex;
	bool top, dashboard_left;
	pid_t dashboard;
	char store[4096], log[4200];
	struct gns_error no_store; /* why there is no place for one */
	int log_fd, null_fd;
};

static const char *setting(const char *flag, const char *variable)
{
	const char *value = flag ? flag : getenv(variable);
	return value && *value ? value : NULL;
}

static int check_settings(const struct gns_launch *l)
{
	int64_t whole;
	double number;
	const char *samples = setting(l->samples, "GNSCOPE_SAMPLES"), *every = setting(l->every, "GNSCOPE_EVERY");
	const char *budget = setting(l->budget, "GNSCOPE_BUDGET"), *probes = setting(l->probes, "GNSCOPE_PROBES");
	const char *kernels = setting(l->kernels, "GNSCOPE_KERNELS"), *layout = setting(l->layout, "GNSCOPE_LAYOUT");
	if (l->every && l->budget)
		return gns_cli_usage("run", "--every and --budget exclude each other: either says which steps are measured");
	if (samples && gns_cli_integer(samples, 1, SETTING_MAX, &whole) != 0)
		return gns_cli_usage("run", "samples '%s' is not a whole number from 1 (--samples, GNSCOPE_SAMPLES)", samples);
	if (layout && !gns_layout_of(layout))
		return gns_cli_usage("run", "layout '%s' is not batch-first, time-major, interleaved or blocks (--layout, GNSCOPE_LAYOUT)", layout);
	if (every && gns_cli_integer(every, 1, SETTING_MAX, &whole) != 0)
		return gns_cli_usage("run", "interval '%s' is not a whole number from 1 (--every, GNSCOPE_EVERY)", every);
	if (budget && (gns_cli_number(budget, &number) != 0 || number <= 0 || number > 100))
		return gns_cli_usage("run", "budget '%s' is not a percentage above 0 and up to 100 (--budget, GNSCOPE_BUDGET)", budget);
	if (probes && (gns_cli_integer(probes, 8, 32, &whole) != 0 || whole % 8 != 0))
		return gns_cli_usage("run", "probes '%s' is not 8, 16, 24 or 32 (--probes, GNSCOPE_PROBES)", probes);
	if (kernels && strcmp(kernels, "auto") != 0 && strcmp(kernels, "on") != 0 && strcmp(kernels, "off") != 0)
		return gns_cli_usage("run", "kernels '%s' is not auto, on or off (--kernels, GNSCOPE_KERNELS)", kernels);
	return 0;
}

/* Returns -1 to go on, or an exit status. */
static int parse(int argc, char **argv, struct run *r)
{
	enum { STORE = 256, NAME, SAMPLES, LAYOUT, EVERY, BUDGET, LOSS, TOP, NO_TOP, LIB, PROBES, NO_TORCH, NO_GPU, KERNELS, NO_COMMAND };
	static const struct option longs[] = {
		{"store", required_argument, NULL, STORE}, {"name", required_argument, NULL, NAME},
		{"samples", required_argument, NULL, SAMPLES}, {"layout", required_argument, NULL, LAYOUT}, {"every", required_argument, NULL, EVERY},
		{"budget", required_argument, NULL, BUDGET}, {"loss-regex", required_argument, NULL, LOSS},
		{"top", no_argument, NULL, TOP}, {"no-top", no_argument, NULL, NO_TOP},
		{"lib", required_argument, NULL, LIB}, {"probes", required_argument, NULL, PROBES},
		{"no-torch", no_argument, NULL, NO_TORCH}, {"no-gpu", no_argument, NULL, NO_GPU},
		{"kernels", required_argument, NULL, KERNELS}, {"no-command", no_argument, NULL, NO_COMMAND},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0},
	};
	struct gns_launch *l = &r->launch;
	struct gns_error err = {""};
	const char *store = NULL, *top = setting(NULL, "GNSCOPE_TOP");
	r->top = top && strcmp(top, "0") != 0 && isatty(0) && isatty(1);
	opterr = 0;
	for (int c; (c = getopt_long(argc, argv, "+:h", longs, NULL)) != -1;) {
		switch (c) {
		case STORE: store = optarg; break;
		case NAME: l->name = optarg; break;
		case SAMPLES: l->samples = optarg; break;
		case LAYOUT: l->layout = optarg; break;
		case EVERY: l->every = optarg; break;
		case BUDGET: l->budget = optarg; break;
		case LOSS: r->loss_regex = optarg; break;
		case TOP: r->top = true; break;
		case NO_TOP: r->top = false; break;
		case LIB: l->lib = optarg; break;
		case PROBES: l->probes = optarg; break;
		case NO_TORCH: l->torch = "0"; break;
		case NO_COMMAND: l->no_command = true; break;
		case NO_GPU: l->gpu = "0"; break;
		case KERNELS: l->kernels = optarg; break;
		case 'h': fputs(help, stdout); return GNS_EXIT_OK;
		default: return gns_cli_bad_option(argv, c);
		}
	}
	if (optind >= argc || !*argv[optind])
		return gns_cli_usage(argv[0], "the command to run is missing");
	l->argv = argv + optind;
	r->loss_regex = setting(r->loss_regex, "GNSCOPE_LOSS_REGEX");
	int rc = check_settings(l);
	if (rc)
		return rc;
	if (r->loss_regex && gns_loss_init(&r->loss, r->loss_regex, &err) != 0)
		return gns_cli_usage(argv[0], "%s", err.text);
	if (gns_cli_store_path(store, r->store, sizeof r->store, &r->no_store) != 0) {
		if (store)
			return gns_cli_fail(argv[0], "%s", r->no_store.text);
		r->store[0] = '\0';
	}
	l->store = r->store;
	l->wants_losses = r->loss_regex != NULL;
	return -1;
}

static bool same_file(int a, int b)
{
	struct stat sa, sb;
	return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino &&
	       sa.st_rdev == sb.st_rdev;
}

static int open_log(struct run *r, struct gns_error *err)
{
	char folder[4096];
	snprintf(folder, sizeof folder, "%s", r->store);
	snprintf(r->log, sizeof r->log, "%s/%s.log", dirname(folder), r->launch.session_name + 1);
	r->log_fd = open(r->log, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (r->log_fd < 0)
		return gns_fail(err, -errno, "cannot make '%s' for the command's output: %s", r->log, strerror(errno));
	r->null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

/* Which descriptors the trainer gets, and channels where we look at what it writes. */
static int wire(struct run *r, int fds[3], struct gns_error *err)
{
	int dst[3] = {0, 1, 2}, rc = 0;
	fds[0] = fds[1] = fds[2] = -1;
	if (r->top && (rc = open_log(r, err)) != 0)
		return rc;
	for (int i = 1; r->top && i < 3; i++)
		if (isatty(i))
			fds[i] = dst[i] = r->log_fd;
	if (r->top && isatty(0))
		fds[0] = r->null_fd;
	if (!r->loss_regex)
		return 0;
	if ((rc = gns_loss_attach(&r->loss, r->launch.session_name, r->launch.session, r->launch.losses[1], err)) != 0)
		return rc;
	if ((rc = gns_channel_open(&r->out, dst[1], err)) != 0)
		return rc;
	fds[1] = fds[2] = r->out.give;
	if (!same_file(dst[1], dst[2])) {
		if ((rc = gns_channel_open(&r->err, dst[2], err)) != 0)
			return rc;
		fds[2] = r->err.give;
	}
	r->out.on_line = r->err.on_line = gns_loss_line;
	r->out.arg = r->err.arg = &r->loss;
	return 0;
}

static int64_t session_run(void *arg)
{
	return (int64_t)atomic_load(&((struct gns_session *)arg)->run_id);
}

static void start_dashboard(struct run *r)
{
	struct gns_top_options options = {.store = r->store, .find_run = session_run, .find_run_arg = r->launch.session,
					  .watch_pid = r->launch.trainer, .quit_with_watched = true};
	pid_t pid = fork();
	if (pid != 0) {
		r->dashboard = pid > 0 ? pid : 0;
		return;
	}
	sigprocmask(SIG_SETMASK, &r->launch.old_mask, NULL);
	sigaction(SIGCHLD, &r->launch.old_chld, NULL);
	if (r->launch.losses[1] >= 0)
		close(r->launch.losses[1]);
	exit(gns_top_main(&options));
}

static void child_ended(void *arg, pid_t pid, int status)
{
	struct run *r = arg;
	if (pid != r->dashboard)
		return;
	r->dashboard = 0;
	if (r->launch.trainer_ended || kill(r->launch.trainer, 0) != 0)
		return;
	if (!r->dashboard_left && isatty(2))
		fprintf(stderr, "gnscope: the dashboard is closed; the command continues, its output is in %s\n", r->log);
	r->dashboard_left = true;
}

static void shut_losses(struct gns_launch *l)
{
	if (l->losses[1] >= 0)
		close(l->losses[1]);
	l->losses[1] = -1;
}

static void follow(struct run *r)
{
	struct gns_launch *l = &r->launch;
	while (!l->trainer_ended) {
		struct pollfd fds[3] = {{.fd = l->signals, .events = POLLIN}};
		int n_out = gns_channel_poll(&r->out, fds + 1), n_err = gns_channel_poll(&r->err, fds + 1 + n_out);
		poll(fds, (nfds_t)(1 + n_out + n_err), 200);
		if (gns_launch_signals(l, child_ended, r) & (uint64_t)1 << SIGWINCH && r->loss_regex) {
			gns_channel_resize(&r->out);
			gns_channel_resize(&r->err);
			kill(l->trainer, SIGWINCH);
		}
		gns_channel_serve(&r->out, fds + 1, n_out);
		gns_channel_serve(&r->err, fds + 1 + n_out, n_err);
		gns_launch_tick(l);
	}
	if (!r->loss_regex)
		return;
	gns_channel_drain(&r->out);
	gns_channel_drain(&r->err);
	gns_loss_finish(&r->loss);
	shut_losses(l); /* the recorder waits for its end */
	gns_channel_outlive(&r->out, &r->err);
	gns_channel_close(&r->out);
	gns_channel_close(&r->err);
	gns_loss_free(&r->loss);
}

static void wait_dashboard(struct run *r)
{
	while (r->dashboard > 0) {
		struct pollfd watch = {.fd = r->launch.signals, .events = POLLIN};
		poll(&watch, 1, 200);
		gns_launch_signals(&r->launch, child_ended, r);
	}
}

static void words_on_losses(const struct run *r)
{
	const struct gns_loss_counts *c = r->loss.counts;
	if (atomic_load(&c->matching))
		gns_cli_fail(NULL, "--loss-regex '%s' took over a second on one line: no loss was read after that; write a simpler expression",
			     r->loss_regex);
	else if (c->found == 0)
		gns_cli_fail(NULL, "no line of the output matched --loss-regex '%s'", r->loss_regex);
	else if (r->loss.skipped)
		gns_cli_fail(NULL, "%" PRIu64 " lines were not searched for losses: they came faster than --loss-regex matches", r->loss.skipped);
	if (c->lost)
		gns_cli_fail(NULL, "%" PRIu64 " losses were lost: they came faster than they could be stored", c->lost);
	if (c->crowded > c->found / 2)
		gns_cli_fail(NULL, "most losses came several to a step, as from a command that keeps its output in a buffer: their steps are "
				   "late (python3 -u writes at once)");
}

static void closing_words(struct run *r, int64_t run_id, int processes)
{
	struct gns_store *store = NULL;
	struct gns_summary summary;
	struct gns_error err = {""};
	int rc = run_id ? gns_store_open_read(r->store, &store, &err) : -ENOENT;
	if (!rc)
		rc = gns_store_summary(store, run_id, 0, &summary, &err);
	if (!rc)
		gns_words_closing(stderr, store, &summary, processes, r->launch.trouble);
	else
		gns_cli_fail(NULL, "the run could not be stored: %s", r->launch.trouble[0] ? r->launch.trouble : err.text);
	gns_store_close(store);
	if (r->loss_regex)
		words_on_losses(r);
	if (r->top)
		gns_cli_fail(NULL, "the command's output is in %s", r->log);
}

/* The trainer's own end, so that the shell that waits for us sees the truth, a signal included. */
static int leave(const struct gns_launch *l)
{
	int status = l->trainer_status;
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	struct rlimit no_core = {0, 0};
	struct sigaction standard = {.sa_handler = SIG_DFL};
	sigset_t set;
	int signo = WTERMSIG(status);
	fflush(NULL);
	setrlimit(RLIMIT_CORE, &no_core);
	sigaction(signo, &standard, NULL);
	sigemptyset(&set);
	sigaddset(&set, signo);
	raise(signo);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + signo;
}

/* The command comes first: where the machine lets us measure nothing, it runs as it would without us. */
static int run_unmeasured(struct run *r, const struct gns_error *err)
{
	gns_launch_abandon(&r->launch);
	gns_channel_close(&r->out);
	gns_channel_close(&r->err);
	if (r->log_fd >= 0)
		unlink(r->log);
	gns_cli_fail("run", "the command runs, but nothing is measured: %s", err->text);
	fflush(NULL);
	execvp(r->launch.argv[0], r->launch.argv);
	int code = errno;
	gns_cli_fail("run", "cannot run '%s': %s", r->launch.argv[0], strerror(code));
	return code == ENOENT ? GNS_EXIT_NOT_FOUND : GNS_EXIT_CANNOT_RUN;
}

int gns_cmd_run(int argc, char **argv)
{
	static struct run run = {.log_fd = -1, .null_fd = -1, .out = {.src = -1, .give = -1}, .err = {.src = -1, .give = -1}};
	struct run *r = &run;
	struct gns_error err = {""};
	int64_t run_id = 0;
	int fds[3], rc = parse(argc, argv, r);
	if (rc >= 0)
		return rc;
	if (r->top && !(isatty(0) && isatty(1)))
		return gns_cli_usage("run", "--top needs a terminal for its input and its output");
	if (!r->store[0])
		return run_unmeasured(r, &r->no_store);
	if (gns_launch_prepare(&r->launch, &err) != 0)
		return r->launch.surroundings ? run_unmeasured(r, &err) : gns_cli_fail("run", "%s", err.text);
	if (wire(r, fds, &err) != 0)
		return run_unmeasured(r, &err);
	rc = gns_launch_start(&r->launch, fds, &err);
	if (rc == -EAGAIN || rc == -EMFILE || rc == -ENFILE)
		return run_unmeasured(r, &err);
	if (rc) {
		rc = rc == -ENOENT ? GNS_EXIT_NOT_FOUND : GNS_EXIT_CANNOT_RUN;
		gns_launch_abandon(&r->launch);
		if (r->log_fd >= 0)
			unlink(r->log);
		gns_cli_fail("run", "%s", err.text);
		return rc;
	}
	gns_channel_started(&r->out);
	gns_channel_started(&r->err);
	if (r->top)
		start_dashboard(r);
	follow(r);
	wait_dashboard(r);
	int processes = gns_launch_claimed(r->launch.session);
	if (!processes && atomic_load(&r->launch.session->join_error))
		processes = GNS_PROCESSES_REFUSED;
	gns_launch_finish(&r->launch, &run_id);
	closing_words(r, run_id, processes);
	if (run_id)
		gns_cli_adopt("run", r->store);
	return leave(&r->launch);
}
