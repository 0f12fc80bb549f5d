/* Settings of the shim. */
#include "config.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "identity.h"

static const char *setting(const char *name)
{
	const char *text = getenv(name);
	return text && *text ? text : NULL;
}

static void note_bad(struct gns_config *c, const char *name, const char *text)
{
	if (!c->bad[0])
		snprintf(c->bad, sizeof c->bad, "%s=%.24s ignored", name, text);
}

static uint32_t whole(struct gns_config *c, const char *name, uint32_t fallback, uint32_t least, uint32_t most)
{
	const char *text = setting(name);
	if (!text)
		return fallback;
	char *end;
	long long value = strtoll(text, &end, 10);
	if (*end || value < (long long)least || value > (long long)most) {
		note_bad(c, name, text);
		return fallback;
	}
	return (uint32_t)value;
}

static bool switched_off(struct gns_config *c, const char *name)
{
	const char *text = setting(name);
	if (text && strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
		note_bad(c, name, text);
	return text && strcmp(text, "0") == 0;
}

static bool every_loss(struct gns_config *c)
{
	const char *text = setting("GNSCOPE_LOSSES");
	bool every = text && strcmp(text, "every") == 0;
	if (text && !every && strcmp(text, "some") != 0)
		note_bad(c, "GNSCOPE_LOSSES", text);
	return every;
}

static enum gns_kernels_mode kernels_mode(struct gns_config *c)
{
	static const char *const modes[] = { [GNS_KERNELS_AUTO] = "auto", [GNS_KERNELS_ON] = "on",
					     [GNS_KERNELS_OFF] = "off" };
	const char *text = setting("GNSCOPE_KERNELS");
	for (unsigned i = 0; text && i < sizeof modes / sizeof *modes; i++)
		if (strcmp(text, modes[i]) == 0)
			return (enum gns_kernels_mode)i;
	if (text)
		note_bad(c, "GNSCOPE_KERNELS", text);
	return GNS_KERNELS_AUTO;
}

/* The value of the first of several launchers' variables that is set. */
static int32_t launched(const char *const *names, int32_t fallback)
{
	for (; *names; names++) {
		const char *text = setting(*names);
		char *end;
		long value = text ? strtol(text, &end, 10) : -1;
		if (text && !*end && value >= 0 && value < (1 << 24))
			return (int32_t)value;
	}
	return fallback;
}

static uint64_t hash(uint64_t h, const char *text)
{
	for (; text && *text; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3ull;
	return h * 0x9e3779b97f4a7c15ull ^ h >> 29;
}

/* Variables that together identify one start of one job. The last two are gnscope's own. */
static const char *const jobs[] = { "TORCHELASTIC_RUN_ID", "MASTER_PORT", "PMIX_NAMESPACE", "OMPI_MCA_ess_base_jobid",
				    "SLURM_JOB_ID", "SLURM_STEP_ID", NULL };
static const char *const starts[] = { "TORCHELASTIC_RESTART_COUNT", "MASTER_ADDR", "SLURM_RESTART_COUNT",
				      "GNSCOPE_STORE", "GNSCOPE_NAME", NULL };

#define HASH_SEED 0xcbf29ce484222325ull

static uint64_t hash_all(uint64_t h, const char *const *names)
{
	for (; *names; names++)
		h = hash(h, setting(*names));
	return h;
}

static uint32_t layout(struct gns_config *c)
{
	const char *value = setting("GNSCOPE_LAYOUT");
	uint32_t layout = value ? gns_layout_of(value) : GNS_LAYOUT_UNTOLD;
	if (value && !layout)
		note_bad(c, "GNSCOPE_LAYOUT", value);
	return layout;
}

void gns_config_read(struct gns_config *c)
{
	static const char *const ranks[] = { "RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", NULL };
	static const char *const worlds[] = { "WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", NULL };
	memset(c, 0, sizeof *c);
	const char *off = setting("GNSCOPE_OFF");
	c->off = off && strcmp(off, "0") != 0;
	c->no_torch = switched_off(c, "GNSCOPE_TORCH");
	c->no_gpu = switched_off(c, "GNSCOPE_GPU");
	c->every_loss = every_loss(c);
	c->kernels = kernels_mode(c);
	c->samples = whole(c, "GNSCOPE_SAMPLES", 0, 1, 1u << 30);
	c->layout = layout(c);
	c->every = whole(c, "GNSCOPE_EVERY", 0, 1, 1u << 30);
	c->probes = whole(c, "GNSCOPE_PROBES", 8, 8, 32) & ~7u;
	c->budget_pct = 1;
	const char *budget = setting("GNSCOPE_BUDGET");
	if (budget) {
		char *end;
		/* The training program's locale may have another decimal point. newlocale("C") allocates nothing and
		 * needs no freelocale. */
		locale_t c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
		double pct = c_locale ? strtod_l(budget, &end, c_locale) : strtod(budget, &end);
		if (*end || !(pct > 0 && pct <= 100))
			note_bad(c, "GNSCOPE_BUDGET", budget);
		else
			c->budget_pct = pct;
	}
	c->session = setting("GNSCOPE_SESSION");
	c->rank = launched(ranks, 0);
	c->world = launched(worlds, 1);
	c->job = hash_all(HASH_SEED, jobs);
}

bool gns_config_is_job(const struct gns_config *config)
{
	const char *const *job = jobs;
	while (*job && !setting(*job))
		job++;
	return *job && config->world > 1;
}

void gns_config_session_name(const struct gns_config *config, unsigned attempt, char *buf, size_t size)
{
	bool job = gns_config_is_job(config);
	uint64_t name = job ? hash_all(hash_all(HASH_SEED + attempt, jobs), starts) : gns_random();
	snprintf(buf, size, "/gnscope-%u-%llx-%s%016llx", (unsigned)getuid(), (unsigned long long)gns_pid_namespace(),
		 job ? "j" : "", (unsigned long long)name);
}
