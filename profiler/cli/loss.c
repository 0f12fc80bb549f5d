/* Finds the number in a line, and the step it belongs to. */
#include "profiler/cli/loss.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/cli/launch.h"
#include "profiler/cli/pass.h"
#include "profiler/shim/process/clock.h"

#define MATCH_SECONDS 1
#define MATCH_MEMORY ((rlim_t)1 << 30)

int gns_number_regex(regex_t *regex, const char *option, const char *expression, struct gns_error *err)
{
	char why[200];
	int rc = regcomp(regex, expression, REG_EXTENDED);
	if (rc) {
		regerror(rc, regex, why, sizeof why);
		return gns_fail(err, -EINVAL, "%s '%s' is not a POSIX extended regular expression: %s", option, expression, why);
	}
	if (regex->re_nsub == 0) {
		regfree(regex);
		return gns_fail(err, -EINVAL, "%s '%s' has no group for the number; write for instance '%.4s ([0-9.e+-]+)'", option, expression,
				option + 2);
	}
	return 0;
}

bool gns_number_in(const regex_t *regex, const char *line, double *out)
{
	regmatch_t match[2];
	char text[64], *end;
	if (regexec(regex, line, 2, match, 0) != 0 || match[1].rm_so < 0)
		return false;
	size_t n = (size_t)(match[1].rm_eo - match[1].rm_so);
	if (n == 0 || n >= sizeof text)
		return false;
	memcpy(text, line + match[1].rm_so, n);
	text[n] = '\0';
	*out = strtod(text, &end);
	return end != text;
}

int gns_loss_init(struct gns_loss *l, const char *expression, struct gns_error *err)
{
	memset(l, 0, sizeof *l);
	l->lines = -1;
	return gns_number_regex(&l->regex, "--loss-regex", expression, err);
}

/* The newest closed step is near the head; what the recorder has taken already is still there to read. */
static void look_at_ring(struct gns_loss *l, uint32_t slot)
{
	struct gns_ring *ring = &l->seen[slot];
	uint64_t head = atomic_load_explicit(&ring->shared->head, memory_order_acquire);
	uint64_t stop = l->looked[slot];
	if (head < stop || head - stop > ring->capacity / 2)
		stop = head < ring->capacity / 2 ? 0 : head - ring->capacity / 2;
	for (uint64_t i = head; i > stop; i--) {
		const struct gns_record *record = gns_ring_read(ring, i - 1);
		if (record->kind == GNS_REC_STEP) {
			if (record->u.step.step > l->newest)
				l->newest = record->u.step.step;
			break;
		}
	}
	l->looked[slot] = head;
}

static uint64_t newest_step(struct gns_loss *l)
{
	for (uint32_t slot = 0; slot < GNS_SLOTS; slot++) {
		if (!l->seen[slot].shared && atomic_load(&l->session->slot[slot].state) != GNS_SLOT_FREE)
			gns_ring_attach(l->session_name, l->session, slot, &l->seen[slot]);
		if (l->seen[slot].shared)
			look_at_ring(l, slot);
	}
	return l->newest;
}

struct message {
	uint64_t step, time_ns;
	char line[GNS_PASS_LINE + 1];
};

static void match(struct gns_loss *l, const struct message *m, uint64_t *last_step)
{
	struct gns_loss_record record = {.step = m->step, .time_ns = m->time_ns};
	if (!gns_number_in(&l->regex, m->line, &record.loss) || !isfinite(record.loss))
		return;
	l->counts->found++;
	if (m->step == 0)
		return;
	l->counts->crowded += m->step == *last_step;
	*last_step = m->step;
	if (write(l->pipe, &record, sizeof record) != (ssize_t)sizeof record)
		l->counts->lost++;
}

/* The process that matches. SIGVTALRM ends it. */
static _Noreturn void match_lines(struct gns_loss *l, int from)
{
	static struct message message;
	const struct itimerval second = {.it_value = {.tv_sec = MATCH_SECONDS}};
	const struct rlimit memory = {MATCH_MEMORY, MATCH_MEMORY}, no_core = {0, 0};
	uint64_t last_step = 0;
	sigset_t set;
	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGVTALRM, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGVTALRM);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	while (recv(from, &message, sizeof message, 0) > (ssize_t)offsetof(struct message, line)) {
		atomic_store(&l->counts->matching, true);
		setitimer(ITIMER_VIRTUAL, &second, NULL);
		match(l, &message, &last_step);
		atomic_store(&l->counts->matching, false);
	}
	_exit(0);
}

int gns_loss_attach(struct gns_loss *l, const char *session_name, struct gns_session *session, int pipe, struct gns_error *err)
{
	int ends[2];
	l->pipe = pipe;
	l->session_name = session_name;
	l->session = session;
	l->counts = mmap(NULL, sizeof *l->counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->counts == MAP_FAILED || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return gns_fail(err, -errno, "cannot start the search for losses: %s", strerror(errno));
	l->matcher = fork();
	if (l->matcher == 0) {
		close(ends[0]);
		match_lines(l, ends[1]);
	}
	close(ends[1]);
	l->lines = ends[0];
	return l->matcher > 0 ? 0 : gns_fail(err, -EAGAIN, "cannot start a process: %s", strerror(errno));
}

void gns_loss_line(void *loss, const char *line)
{
	static struct message message;
	struct gns_loss *l = loss;
	size_t n = strlen(line);
	if (!l->session || l->lines < 0 || n > GNS_PASS_LINE)
		return;
	message.step = newest_step(l);
	message.time_ns = gns_realtime();
	memcpy(message.line, line, n + 1);
	if (send(l->lines, &message, offsetof(struct message, line) + n + 1, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		l->skipped++;
}

void gns_loss_finish(struct gns_loss *l)
{
	if (l->lines >= 0)
		close(l->lines);
	l->lines = -1;
	for (int i = 0; i < 200 && l->matcher > 0 && waitpid(l->matcher, NULL, WNOHANG) == 0; i++)
		poll(NULL, 0, 10);
	if (l->matcher > 0 && waitpid(l->matcher, NULL, WNOHANG) == 0) {
		kill(l->matcher, SIGKILL);
		waitpid(l->matcher, NULL, 0);
	}
	l->matcher = 0;
}

void gns_loss_free(struct gns_loss *l)
{
	for (uint32_t slot = 0; slot < GNS_SLOTS; slot++)
		gns_ring_detach(&l->seen[slot]);
	regfree(&l->regex);
	l->session = NULL;
}
