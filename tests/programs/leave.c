/* A small trainer on plain loops whose threads leave in the middle: cancelled, ended or left by siglongjmp, on small stacks, by exit or fork
 * in a handler.
 *
 *     leave deferred STEPS | async MICROSECONDS | jump MICROSECONDS | end MICROSECONDS | fork MICROSECONDS | exit MICROSECONDS | stack KIB
 *
 * Prints "trained" once another thread has trained on. Ten seconds without that: SIGALRM. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

void cblas_sgemm(int order, int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc);

enum { ROW_MAJOR = 101, PLAIN = 111, TURNED = 112, ROWS = 8, WIDE = 24 };
static float w[2][WIDE * WIDE], x[2][ROWS * WIDE], y[2][ROWS * WIDE], dy[2][ROWS * WIDE], dw[2][WIDE * WIDE], dx[ROWS * WIDE];
static unsigned long long random_state = 88172645463325252ull;
static sigjmp_buf back;
static const char *how;
static _Atomic bool go;

static float uniform(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (float)((double)(random_state >> 11) / 9007199254740992.0 - 0.5);
}

static void step(void)
{
	for (int l = 0; l < 2; l++) {
		for (int i = 0; i < ROWS * WIDE; i++)
			x[l][i] = l == 0 ? uniform() : y[0][i] > 0 ? y[0][i] : 0;
		cblas_sgemm(ROW_MAJOR, PLAIN, TURNED, ROWS, WIDE, WIDE, 1, x[l], WIDE, w[l], WIDE, 0, y[l], WIDE);
	}
	for (int i = 0; i < ROWS * WIDE; i++)
		dy[1][i] = (y[1][i] - uniform()) / ROWS;
	cblas_sgemm(ROW_MAJOR, PLAIN, PLAIN, ROWS, WIDE, WIDE, 1, dy[1], WIDE, w[1], WIDE, 0, dx, WIDE);
	for (int i = 0; i < ROWS * WIDE; i++)
		dy[0][i] = x[1][i] > 0 ? dx[i] : 0;
	for (int l = 1; l >= 0; l--)
		cblas_sgemm(ROW_MAJOR, TURNED, PLAIN, WIDE, WIDE, ROWS, 1, dy[l], WIDE, x[l], WIDE, 0, dw[l], WIDE);
	for (int l = 0; l < 2; l++)
		for (int i = 0; i < WIDE * WIDE; i++)
			w[l][i] -= 0.05f * dw[l][i];
}

static void *train(void *arg)
{
	for (int i = 0; i < 30; i++)
		step();
	return arg;
}

static void *train_until_cancelled(void *arg)
{
	int before, steps = *(int *)arg;
	if (strcmp(how, "async") == 0) {
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &before);
		for (;;)
			step();
	}
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
	while (!go)
		;
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
	for (int i = 0; i < steps; i++)
		step();
	return NULL;
}

static void cancelled(int amount)
{
	pthread_t thread;
	void *result;
	pthread_create(&thread, NULL, train_until_cancelled, &amount);
	if (strcmp(how, "async") == 0)
		usleep((useconds_t)amount);
	pthread_cancel(thread);
	go = true;
	pthread_join(thread, &result);
	/* No cancellation point is in those steps. */
	if ((result == PTHREAD_CANCELED) != (strcmp(how, "async") == 0))
		puts("cancelled where the program alone would not be");
}

static void on_time(int sig)
{
	if (strcmp(how, "jump") == 0)
		siglongjmp(back, sig);
	if (strcmp(how, "end") == 0)
		pthread_exit(NULL);
	if (strcmp(how, "exit") == 0) {
		if (write(1, "trained\n", 8) != 8)
			_exit(3);
		exit(0);
	}
	if (fork() == 0) {
		train(NULL);
		_exit(0);
	}
	go = true;
}

static void *train_until_left(void *arg)
{
	struct itimerval once = { .it_value = { .tv_usec = *(int *)arg } };
	sigset_t timer;
	sigemptyset(&timer);
	sigaddset(&timer, SIGALRM);
	if (sigsetjmp(back, 1) == 0) {
		setitimer(ITIMER_REAL, &once, NULL);
		pthread_sigmask(SIG_UNBLOCK, &timer, NULL); /* of this thread alone */
		while (!go)
			step();
		int status;
		if (wait(&status) < 0 || status)
			puts("the child did not train");
	}
	pthread_sigmask(SIG_BLOCK, &timer, NULL);
	return NULL;
}

static void left(int amount)
{
	pthread_t thread;
	sigset_t timer;
	sigemptyset(&timer);
	sigaddset(&timer, SIGALRM);
	signal(SIGALRM, on_time);
	pthread_sigmask(SIG_BLOCK, &timer, NULL);
	pthread_create(&thread, NULL, train_until_left, &amount);
	pthread_join(thread, NULL);
	signal(SIGALRM, SIG_DFL);
	pthread_sigmask(SIG_UNBLOCK, &timer, NULL);
}

int main(int argc, char **argv)
{
	int amount = argc > 2 ? atoi(argv[2]) : 0;
	pthread_t thread;
	pthread_attr_t stack;
	pthread_attr_init(&stack);
	how = argc > 1 ? argv[1] : "";
	for (int l = 0; l < 2; l++)
		for (int i = 0; i < WIDE * WIDE; i++)
			w[l][i] = uniform();
	if (strcmp(how, "stack") == 0)
		pthread_attr_setstacksize(&stack, (size_t)amount << 10);
	else if (strcmp(how, "async") == 0 || strcmp(how, "deferred") == 0)
		cancelled(amount);
	else
		left(amount);
	alarm(10);
	if (pthread_create(&thread, &stack, train, NULL))
		return 4;
	pthread_join(thread, NULL);
	train(NULL);
	puts("trained");
	return 0;
}
