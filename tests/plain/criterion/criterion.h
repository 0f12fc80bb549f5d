/* The part of Criterion that the tests use, for builds in which Criterion itself does not run: its arena in memory shared with its
 * children fails under the thread sanitizer. Each test runs in a child of its own; a child that a sanitizer ends has failed.
 * usage of a test program: PROGRAM [SUITE/TEST] with * as in a shell */
#ifndef GNS_TESTS_PLAIN_CRITERION_CRITERION_H
#define GNS_TESTS_PLAIN_CRITERION_CRITERION_H

#include <fnmatch.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PLAIN_SKIPPED 77

struct plain_options {
	void (*init)(void), (*fini)(void);
	double timeout; /* seconds */
	int exit_code, signal;
	const char *description;
	bool disabled;
};

struct plain_test {
	const char *suite, *name; /* name NULL: the options are those of the suite */
	void (*run)(void);
	struct plain_options options;
	struct plain_test *next;
};

__attribute__((weak)) struct plain_test *plain_tests;
__attribute__((weak)) int plain_failed;

#define PLAIN_ADD(var, ...) \
	static struct plain_test var = { __VA_ARGS__ }; \
	__attribute__((constructor)) static void var##_add(void) { var.next = plain_tests; plain_tests = &var; }

#define Test(suite_, name_, ...) \
	static void plain_##suite_##_##name_(void); \
	PLAIN_ADD(plain_##suite_##_##name_##_test, .suite = #suite_, .name = #name_, .run = plain_##suite_##_##name_, \
		  .options = { .disabled = false, ##__VA_ARGS__ }) \
	static void plain_##suite_##_##name_(void)
#define TestSuite(suite_, ...) PLAIN_ADD(plain_suite_##suite_, .suite = #suite_, .options = { .disabled = false, ##__VA_ARGS__ })

__attribute__((weak, format(printf, 6, 7))) void plain_check(bool fatal, bool ok, const char *file, int line, const char *what,
							      const char *format, ...)
{
	va_list ap;
	if (ok)
		return;
	plain_failed++;
	fprintf(stderr, "%s:%d: %s\n    ", file, line, what);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (fatal)
		exit(1);
}

#define PLAIN(fatal, ok, what, ...) plain_check(fatal, ok, __FILE__, __LINE__, what, " " __VA_ARGS__)
#define PLAIN_OP(fatal, a, op, b, ...) PLAIN(fatal, (a) op (b), #a " " #op " " #b, __VA_ARGS__)
#define PLAIN_STR(fatal, a, b, want, ...) PLAIN(fatal, (strcmp(a, b) == 0) == want, "strcmp(" #a ", " #b ")", __VA_ARGS__)
#define PLAIN_NEAR(fatal, a, b, e, ...) PLAIN(fatal, fabs((double)(a) - (double)(b)) <= (double)(e), #a " is not near " #b, __VA_ARGS__)
#define PLAIN_ARR(fatal, a, b, n, ...) PLAIN(fatal, memcmp(a, b, n) == 0, #a " differs from " #b, __VA_ARGS__)

#define cr_assert(a, ...) PLAIN(true, a, #a, __VA_ARGS__)
#define cr_assert_fail(...) PLAIN(true, false, "failed", __VA_ARGS__)
#define cr_assert_not(a, ...) PLAIN(true, !(a), "not " #a, __VA_ARGS__)
#define cr_assert_null(a, ...) PLAIN(true, (a) == NULL, #a " is not NULL", __VA_ARGS__)
#define cr_assert_not_null(a, ...) PLAIN(true, (a) != NULL, #a " is NULL", __VA_ARGS__)
#define cr_assert_eq(a, b, ...) PLAIN_OP(true, a, ==, b, __VA_ARGS__)
#define cr_assert_neq(a, b, ...) PLAIN_OP(true, a, !=, b, __VA_ARGS__)
#define cr_assert_lt(a, b, ...) PLAIN_OP(true, a, <, b, __VA_ARGS__)
#define cr_assert_leq(a, b, ...) PLAIN_OP(true, a, <=, b, __VA_ARGS__)
#define cr_assert_gt(a, b, ...) PLAIN_OP(true, a, >, b, __VA_ARGS__)
#define cr_assert_geq(a, b, ...) PLAIN_OP(true, a, >=, b, __VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) PLAIN_STR(true, a, b, true, __VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) PLAIN_STR(true, a, b, false, __VA_ARGS__)
#define cr_assert_float_eq(a, b, e, ...) PLAIN_NEAR(true, a, b, e, __VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) PLAIN_ARR(true, a, b, n, __VA_ARGS__)
#define cr_expect(a, ...) PLAIN(false, a, #a, __VA_ARGS__)
#define cr_expect_fail(...) PLAIN(false, false, "failed", __VA_ARGS__)
#define cr_expect_not(a, ...) PLAIN(false, !(a), "not " #a, __VA_ARGS__)
#define cr_expect_null(a, ...) PLAIN(false, (a) == NULL, #a " is not NULL", __VA_ARGS__)
#define cr_expect_not_null(a, ...) PLAIN(false, (a) != NULL, #a " is NULL", __VA_ARGS__)
#define cr_expect_eq(a, b, ...) PLAIN_OP(false, a, ==, b, __VA_ARGS__)
#define cr_expect_neq(a, b, ...) PLAIN_OP(false, a, !=, b, __VA_ARGS__)
#define cr_expect_lt(a, b, ...) PLAIN_OP(false, a, <, b, __VA_ARGS__)
#define cr_expect_leq(a, b, ...) PLAIN_OP(false, a, <=, b, __VA_ARGS__)
#define cr_expect_gt(a, b, ...) PLAIN_OP(false, a, >, b, __VA_ARGS__)
#define cr_expect_geq(a, b, ...) PLAIN_OP(false, a, >=, b, __VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) PLAIN_STR(false, a, b, true, __VA_ARGS__)
#define cr_expect_str_neq(a, b, ...) PLAIN_STR(false, a, b, false, __VA_ARGS__)
#define cr_expect_str_empty(a, ...) PLAIN(false, (a)[0] == 0, #a " is not empty", __VA_ARGS__)
#define cr_expect_float_eq(a, b, e, ...) PLAIN_NEAR(false, a, b, e, __VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) PLAIN_ARR(false, a, b, n, __VA_ARGS__)
#define cr_log_info(...) (fprintf(stderr, __VA_ARGS__), fputc('\n', stderr))
#define cr_skip_test(...) (fprintf(stderr, " " __VA_ARGS__), fputc('\n', stderr), exit(PLAIN_SKIPPED))
#define cr_skip(...) cr_skip_test(__VA_ARGS__)

static inline const struct plain_options *plain_suite(const struct plain_test *test)
{
	static const struct plain_options none;
	for (const struct plain_test *t = plain_tests; t; t = t->next)
		if (!t->name && strcmp(t->suite, test->suite) == 0)
			return &t->options;
	return &none;
}

static inline void plain_child(const struct plain_test *test)
{
	const struct plain_options *suite = plain_suite(test), *own = &test->options;
	double seconds = own->timeout > 0 ? own->timeout : suite->timeout;
	if (seconds > 0)
		alarm((unsigned)(10 * seconds) + 1); /* sanitizers are slow */
	if (suite->init)
		suite->init();
	if (own->init)
		own->init();
	test->run();
	if (own->fini)
		own->fini();
	if (suite->fini)
		suite->fini();
	exit(plain_failed ? 1 : 0);
}

static inline bool plain_passes(const struct plain_test *test)
{
	int status = 0;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		plain_child(test);
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return false;
	if (test->options.signal)
		return WIFSIGNALED(status) && WTERMSIG(status) == test->options.signal;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	return code == test->options.exit_code || code == PLAIN_SKIPPED;
}

__attribute__((weak)) int main(int argc, char **argv)
{
	int tested = 0, failed = 0;
	for (const struct plain_test *t = plain_tests; t; t = t->next) {
		char name[256];
		snprintf(name, sizeof name, "%s/%s", t->suite, t->name ? t->name : "");
		if (!t->name || t->options.disabled || (argc > 1 && fnmatch(argv[1], name, 0) != 0))
			continue;
		bool ok = plain_passes(t);
		tested++;
		failed += !ok;
		if (!ok)
			fprintf(stderr, "FAIL %s\n", name);
	}
	fprintf(stderr, "%d tests, %d failed\n", tested, failed);
	return failed ? 1 : 0;
}

#endif
