/* Runs a program under the shim without a recorder and prints the records that arrive, "SLOT KIND NAME=VALUE... stream=N",
 * a line each: the shim's own tests need nothing of the rooms behind it.
 *     watch LIBRARY OUTPUT COMMAND ARGS... */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "profiler/shim/ring/ring.h"

static void print(FILE *out, const struct gns_record *r)
{
	switch (r->kind) {
	case GNS_REC_PROC:
		fprintf(out, "PROC unit=%u samples=%u every=%u rank=%d world=%d", r->u.proc.unit, r->u.proc.samples, r->u.proc.every,
			r->u.proc.rank, r->u.proc.world);
		break;
	case GNS_REC_PARAM:
		fprintf(out, "PARAM id=%u rows=%" PRIu64 " cols=%" PRIu64 " excluded=%u name=%.80s dtype=%u dims=%u,%u,%u,%u",
			r->u.param.param_id, r->u.param.rows, r->u.param.cols, r->u.param.excluded, r->u.param.name, r->u.param.dtype,
			r->u.param.dims[0], r->u.param.dims[1], r->u.param.dims[2], r->u.param.dims[3]);
		break;
	case GNS_REC_KERNEL:
		fprintf(out, "KERNEL id=%u family=%.16s name=%.88s", r->u.kernel.kernel_id, r->u.kernel.family, r->u.kernel.name);
		break;
	case GNS_REC_GRAD:
		fprintf(out, "GRAD step=%" PRIu64 " param=%u n_small=%" PRIu64 " n_big=%" PRIu64 " groups=%" PRIu64 " q_small=%.17g q_big=%.17g source=%u",
			r->u.grad.step, r->u.grad.param_id, r->u.grad.n_small, r->u.grad.n_big, r->u.grad.groups, r->u.grad.q_small,
			r->u.grad.q_big, r->u.grad.source);
		break;
	case GNS_REC_KERNEL_STEP:
		fprintf(out, "KERNEL_STEP step=%" PRIu64 " kernel=%u calls=%u total_ns=%" PRIu64 "", r->u.kernel_step.step,
			r->u.kernel_step.kernel_id, r->u.kernel_step.calls, r->u.kernel_step.total_ns);
		break;
	case GNS_REC_LOSS:
		fprintf(out, "LOSS step=%" PRIu64 " loss=%.17g", r->u.loss.step, r->u.loss.loss);
		break;
	case GNS_REC_STEP:
		fprintf(out, "STEP step=%" PRIu64 " flags=%u samples=%" PRIu64 " rows=%" PRIu64 " micro=%u params=%u dur_ns=%" PRIu64 " overhead_ns=%" PRIu64 " every=%u lr=%.17g",
			r->u.step.step, r->u.step.flags, r->u.step.samples, r->u.step.rows, r->u.step.micro_steps, r->u.step.params,
			r->u.step.dur_ns, r->u.step.overhead_ns, r->u.step.every, r->u.step.lr);
		break;
	case GNS_REC_COUNTER:
		fprintf(out, "COUNTER name=%.40s value=%" PRIu64 " text=%.48s collector=%.24s", r->u.counter.name,
			r->u.counter.value, r->u.counter.text, r->u.counter.collector);
		break;
	case GNS_REC_EVENT:
		fprintf(out, "EVENT name=%.32s text=%.72s", r->u.event.name, r->u.event.text);
		break;
	case GNS_REC_SETTING:
		fprintf(out, "SETTING step=%" PRIu64 " name=%.32s value=%.17g text=%.64s", r->u.setting.step, r->u.setting.name,
			r->u.setting.value, r->u.setting.text);
		break;
	default:
		fprintf(out, "UNKNOWN kind=%u", r->kind);
	}
	fprintf(out, " stream=%u\n", r->stream);
}

static void drain(const char *name, struct gns_session *session, FILE *out, struct gns_ring *rings, uint64_t *tails)
{
	for (uint32_t slot = 0; slot < GNS_SLOTS; slot++) {
		if (!rings[slot].shared && gns_ring_attach(name, session, slot, &rings[slot]) != 0)
			continue;
		for (int64_t n = gns_ring_ready(&rings[slot], tails[slot]); n > 0; n--) {
			fprintf(out, "%u ", slot);
			print(out, gns_ring_read(&rings[slot], tails[slot]++));
		}
		gns_ring_release(&rings[slot], tails[slot]);
	}
}

int main(int argc, char **argv)
{
	static struct gns_ring rings[GNS_SLOTS];
	static uint64_t tails[GNS_SLOTS];
	struct gns_session *session;
	char name[GNS_NAME_MAX];
	int status = 0;
	FILE *out = argc > 3 ? fopen(argv[2], "w") : NULL;
	snprintf(name, sizeof name, "/gnscope-%u-%016x", (unsigned)getuid(), (unsigned)getpid());
	if (!out || gns_session_create(name, &session) != 0)
		return 99;
	pid_t pid = fork();
	if (pid == 0) {
		setenv("GNSCOPE_SESSION", name, 1);
		setenv("LD_PRELOAD", argv[1], 1);
		execvp(argv[3], argv + 3);
		_exit(127);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		drain(name, session, out, rings, tails);
		usleep(2000);
	}
	drain(name, session, out, rings, tails);
	gns_session_unlink(name);
	fclose(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
