/* A small correct trainer in hostile surroundings: a process that forks, closes, chroots, limits, filters, traps or ends in the middle.
 *
 *     attack HOW [STEPS]
 *
 * Trains a net of three linear layers with cblas_sgemm and prints for each weight and step what is true, by plain loops in double:
 *     TRUTH n q_small q_big
 * Whatever the surroundings, all that the shim reports must be among these lines. */
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cblas.h>

#define LAYERS 3
#define ROWS 8
#define WIDE 24

extern char **environ;
static const int width[LAYERS + 1] = { 10, 24, 17, 5 };

struct model {
	float w[LAYERS][WIDE * WIDE], dw[LAYERS][WIDE * WIDE];
	float x[LAYERS][ROWS * WIDE], y[LAYERS][ROWS * WIDE], dy[LAYERS][ROWS * WIDE], dx[LAYERS][ROWS * WIDE];
	uint64_t random;
};

static double uniform(struct model *m)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return (double)(m->random >> 11) / 9007199254740992.0 - 0.5;
}

static struct model *model(uint64_t seed)
{
	struct model *m = calloc(1, sizeof *m);
	m->random = seed * 0x9e3779b97f4a7c15ull | 1;
	for (int l = 0; l < LAYERS; l++)
		for (int i = 0; i < width[l] * width[l + 1]; i++)
			m->w[l][i] = (float)uniform(m);
	return m;
}

static bool silent;

static void truth(const struct model *m, int l)
{
	int in = width[l], out = width[l + 1];
	double small = 0, big = 0;
	for (int o = 0; o < out; o++)
		for (int i = 0; i < in; i++) {
			double all = 0;
			for (int r = 0; r < ROWS; r++) {
				double one = (double)m->dy[l][r * out + o] * (double)m->x[l][r * in + i];
				small += ROWS * one * one;
				all += one;
			}
			big += all * all;
		}
	if (!silent)
		printf("TRUTH %d %.17g %.17g\n", ROWS, small, big);
}

static void forward(struct model *m)
{
	for (int l = 0; l < LAYERS; l++) {
		int in = width[l], out = width[l + 1];
		for (int i = 0; i < ROWS * in; i++)
			m->x[l][i] = l == 0 ? (float)uniform(m) : m->y[l - 1][i] > 0 ? m->y[l - 1][i] : 0;
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, ROWS, out, in, 1, m->x[l], in, m->w[l], in, 0, m->y[l], out);
	}
}

static void backward(struct model *m)
{
	for (int i = 0; i < ROWS * width[LAYERS]; i++)
		m->dy[LAYERS - 1][i] = (float)(((double)m->y[LAYERS - 1][i] - uniform(m)) / ROWS);
	for (int l = LAYERS - 1; l >= 0; l--) {
		int in = width[l], out = width[l + 1];
		if (l)
			cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, ROWS, in, out, 1, m->dy[l], out, m->w[l], in, 0, m->dx[l], in);
		cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, ROWS, 1, m->dy[l], out, m->x[l], in, 0, m->dw[l], in);
		truth(m, l);
		for (int i = 0; l && i < ROWS * in; i++)
			m->dy[l - 1][i] = m->x[l][i] > 0 ? m->dx[l][i] : 0;
	}
}

static void step(struct model *m)
{
	forward(m);
	backward(m);
	for (int l = 0; l < LAYERS; l++)
		for (int i = 0; i < width[l] * width[l + 1]; i++)
			m->w[l][i] -= 0.05f * m->dw[l][i];
}

static void train(struct model *m, int steps)
{
	for (int i = 0; i < steps; i++)
		step(m);
	fflush(stdout);
}

static void finish(pid_t pid)
{
	int status;
	if (waitpid(pid, &status, 0) != pid || status != 0)
		_exit(90);
}

/* ---- fork, and what is like it ---- */

static _Atomic int stop;

static void *busy(void *arg)
{
	float *a = calloc(3 * 256 * 256, sizeof *a);
	while (!atomic_load(&stop))
		cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, 256, 256, 256, 1, a, 256, a + 65536, 256, 0, a + 131072, 256);
	free(a);
	return arg;
}

/* `raw`: without the C library's handlers. The child trains on and ends as `raw` says: _exit or exit. */
static void forked(int steps, int raw, int children)
{
	struct model *m = model(1);
	pthread_t thread;
	pthread_create(&thread, NULL, busy, NULL);
	train(m, steps);
	for (int i = 0; i < children; i++) {
		pid_t pid = raw ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
		if (pid == 0) {
			if (i % 2)
				train(m, steps);
			if (raw)
				exit(0);
			_exit(0);
		}
		finish(pid);
	}
	train(m, steps);
	atomic_store(&stop, 1);
	pthread_join(thread, NULL);
}

static void spawned(int steps)
{
	struct model *m = model(1);
	char *argv[] = { (char *)"true", NULL };
	train(m, steps);
	for (int i = 0; i < 20; i++) {
		pid_t pid;
		if (i % 2 == 0 && posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0)
			finish(pid);
		if (i % 2 && (pid = vfork()) == 0) {
			execvp("true", argv);
			_exit(127);
		} else if (i % 2)
			finish(pid);
	}
	train(m, steps);
	if (execlp("true", "true", NULL) != 0)
		_exit(91);
}

/* ---- the end, in the middle ---- */

static void *ends(void *arg)
{
	usleep(20000);
	exit(0);
	return arg;
}

static void ended(void)
{
	struct model *m = model(1);
	pthread_t one, two;
	silent = true; /* printf() beside exit() in another thread can crash in the C library */
	pthread_create(&one, NULL, busy, NULL);
	pthread_create(&two, NULL, ends, NULL);
	for (;;)
		step(m);
}

/* ---- less of everything ---- */

static void closed(int steps)
{
	struct model *m = model(1);
	train(m, steps);
	int out = dup2(1, 900);
	for (int fd = 0; fd < 900; fd++)
		close(fd);
	for (int i = 0; i < steps; i++)
		step(m);
	dup2(out, 1);
}

static void limited(int what, rlim_t most, int steps)
{
	struct rlimit limit;
	getrlimit(what, &limit);
	limit.rlim_cur = most;
	setrlimit(what, &limit);
	train(model(1), steps);
}

static int filter(int with_pipes, unsigned action)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, with_pipes ? SYS_pipe2 : SYS_process_vm_readv, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, action),
	};
	struct sock_fprog program = { sizeof code / sizeof *code, code };
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void denied(int with_pipes, int steps)
{
	if (filter(with_pipes, SECCOMP_RET_ERRNO | EPERM))
		_exit(77);
	train(model(1), steps);
}

/* ---- numbers ---- */

#if defined(__x86_64__)
static unsigned control(void) { return __builtin_ia32_stmxcsr() & ~0x3fu; }
static void flush_denormals(void) { __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040); }
#else
static unsigned control(void) { return 0; }
static void flush_denormals(void) { }
#endif

static void strange_numbers(int how, int steps)
{
	struct model *m = model(1);
	if (how == 0)
		flush_denormals();
	else if (how == 1)
		fesetround(FE_UPWARD);
	else if (how == 2)
		feenableexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO | FE_UNDERFLOW);
	for (int i = 0; i < steps; i++) {
		unsigned before = control();
		feclearexcept(FE_ALL_EXCEPT);
		errno = 1234;
		step(m);
		if (control() != before || errno != 1234)
			_exit(92);
		if (how == 3) /* gradients whose squares are beyond a float */
			for (int j = 0; j < width[0] * width[1]; j++)
				m->w[0][j] *= i == 6 ? 1e25f : i == 7 ? 1e-25f : 1;
		printf("RAISED %d\n", fetestexcept(FE_INVALID | FE_OVERFLOW | FE_DIVBYZERO | FE_UNDERFLOW));
	}
}

/* ---- threads ---- */

struct job {
	struct model *m;
	int steps;
	pthread_mutex_t *turn;
};

static void *trains(void *arg)
{
	struct job *job = arg;
	for (int i = 0; i < job->steps; i++) {
		if (job->turn)
			pthread_mutex_lock(job->turn);
		step(job->m);
		if (job->turn)
			pthread_mutex_unlock(job->turn);
		sched_yield();
	}
	return NULL;
}

static void threaded(int models, int steps)
{
	pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
	struct model *shared = model(9);
	struct job job[3];
	pthread_t thread[3];
	for (int i = 0; i < 3; i++) {
		job[i] = (struct job){ models ? model(10 + (uint64_t)i) : shared, steps, models ? NULL : &turn };
		pthread_create(&thread[i], NULL, trains, &job[i]);
	}
	for (int i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
}

/* ---- is the recorder seen? ---- */

static volatile sig_atomic_t heard;
static void on_child(int sig) { heard += sig == SIGCHLD; }

static void watchful(int how, int steps)
{
	sigset_t before = { 0 }, after = { 0 };
	struct sigaction action = { .sa_handler = how == 1 ? SIG_IGN : on_child }, now;
	sigaction(SIGCHLD, &action, NULL);
	if (how == 2)
		prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigprocmask(SIG_SETMASK, NULL, &before);
	pid_t group = getpgrp();
	int fd = dup(0);
	close(fd);
	train(model(1), steps);
	usleep(300000); /* time for a stray to be seen */
	sigprocmask(SIG_SETMASK, NULL, &after);
	sigaction(SIGCHLD, NULL, &now);
	int subreaper = 0, next = dup(0);
	prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0);
	pid_t pid = waitpid(-1, NULL, WNOHANG | __WALL);
	printf("SEEN heard=%d wait=%d mask=%d handler=%d group=%d fd=%d subreaper=%d\n", (int)heard, pid == -1 && errno == ECHILD ? 0 : 1,
	       memcmp(&before, &after, 8) != 0 /* the kernel's 64 signals */, now.sa_handler != action.sa_handler, getpgrp() != group, next != fd,
	       subreaper != (how == 2));
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "plain";
	int steps = argc > 2 ? atoi(argv[2]) : 12;
	static char lines[1 << 20];
	setvbuf(stdout, lines, _IOFBF, sizeof lines);
	openblas_set_num_threads(1);
	if (strcmp(how, "fork") == 0)
		forked(steps, 0, 6);
	else if (strcmp(how, "rawfork") == 0)
		forked(steps, 1, 6);
	else if (strcmp(how, "storm") == 0)
		forked(steps, 0, 100);
	else if (strcmp(how, "spawn") == 0)
		spawned(steps);
	else if (strcmp(how, "exit") == 0)
		ended();
	else if (strcmp(how, "close") == 0)
		closed(steps);
	else if (strcmp(how, "chdir") == 0) {
		if (chdir("/"))
			return 93;
		train(model(1), steps);
	} else if (strcmp(how, "chroot") == 0) {
		if (chroot("/proc/self/fdinfo") || chdir("/"))
			return 77;
		train(model(1), steps);
	} else if (strcmp(how, "memory") == 0)
		limited(RLIMIT_AS, (rlim_t)(argc > 3 ? atol(argv[3]) : 300) << 20, steps);
	else if (strcmp(how, "fsize") == 0)
		limited(RLIMIT_FSIZE, 4096, steps);
	else if (strcmp(how, "files") == 0)
		limited(RLIMIT_NOFILE, 3, steps);
	else if (strcmp(how, "noread") == 0)
		denied(0, steps);
	else if (strcmp(how, "nothing") == 0)
		denied(1, steps);
	else if (strcmp(how, "ftz") == 0)
		strange_numbers(0, steps);
	else if (strcmp(how, "round") == 0)
		strange_numbers(1, steps);
	else if (strcmp(how, "trap") == 0)
		strange_numbers(2, steps);
	else if (strcmp(how, "flags") == 0) {
		strange_numbers(3, steps);
	} else if (strcmp(how, "threads") == 0)
		threaded(1, steps);
	else if (strcmp(how, "turns") == 0)
		threaded(0, steps);
	else if (strcmp(how, "seen") == 0)
		watchful(0, steps);
	else if (strcmp(how, "ignored") == 0)
		watchful(1, steps);
	else if (strcmp(how, "subreaper") == 0)
		watchful(2, steps);
	else
		train(model(1), steps);
	return 0;
}
