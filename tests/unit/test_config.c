/* Names of sessions: who must share one does, and nobody else. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "profiler/shim/process/config.h"
#include "profiler/shim/ring/ring.h"

static char first[GNS_NAME_MAX], second[GNS_NAME_MAX];

static void begin(void)
{
	static const char *const launchers[] = { "RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID",
						 "SLURM_STEP_ID", "GNSCOPE_STORE", "GNSCOPE_NAME", "GNSCOPE_SESSION" };
	for (size_t i = 0; i < sizeof launchers / sizeof *launchers; i++)
		unsetenv(launchers[i]);
}

TestSuite(config, .init = begin);

static const char *name_now(char *out, unsigned attempt)
{
	struct gns_config config;
	gns_config_read(&config);
	gns_config_session_name(&config, attempt, out, GNS_NAME_MAX);
	return out;
}

static bool same(const char *variable, const char *a, const char *b)
{
	setenv(variable, a, 1);
	name_now(first, 0);
	setenv(variable, b, 1);
	return strcmp(first, name_now(second, 0)) == 0;
}

Test(config, a_process_alone_has_a_name_that_nobody_can_guess)
{
	static const char *const exported[] = { "MASTER_PORT", "SLURM_JOB_ID", "TORCHELASTIC_RUN_ID" };
	for (int i = 0; i < 3; i++)
		cr_expect_not(same(exported[i], "29500", "29500"), "%s of a launcher of one process is no job", exported[i]);
	setenv("WORLD_SIZE", "1", 1);
	cr_expect_not(same("MASTER_PORT", "29500", "29500"));
}

Test(config, the_name_carries_the_pid_namespace)
{
	struct stat st;
	char inode[32];
	cr_assert_eq(stat("/proc/self/ns/pid", &st), 0);
	snprintf(inode, sizeof inode, "-%llx-", (unsigned long long)st.st_ino);
	cr_expect(strstr(name_now(first, 0), inode) != NULL, "%s", first);
	setenv("WORLD_SIZE", "2", 1);
	setenv("MASTER_PORT", "29500", 1);
	cr_expect(strstr(name_now(first, 0), inode) != NULL, "%s", first);
	cr_expect_lt(strlen(first), GNS_NAME_MAX - 4);
}

Test(config, ranks_of_one_job_share_a_name)
{
	setenv("WORLD_SIZE", "2", 1);
	setenv("MASTER_PORT", "29500", 1);
	cr_expect(same("RANK", "0", "1"));
	cr_expect_not(same("MASTER_PORT", "29500", "29501"));
	cr_expect_not(same("SLURM_STEP_ID", "0", "1"));
	cr_expect_not(same("GNSCOPE_STORE", "/a.db", "/b.db"));
	cr_expect_not(same("GNSCOPE_NAME", "a", "b"));
	cr_expect_str_neq(name_now(first, 0), name_now(second, 1), "where that name is another's");
}
