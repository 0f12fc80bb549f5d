/* The control word of a live run. */
#include "tui/control.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "profiler/shim/ring/ring.h"

#define LOOK_MS 1000

static bool is_live(const struct gns_session *session)
{
	for (int i = 0; i < GNS_SLOTS; i++) {
		uint32_t state = atomic_load(&session->slot[i].state);
		if ((state == GNS_SLOT_CLAIMED || state == GNS_SLOT_READY) && gns_slot_alive(&session->slot[i]))
			return true;
	}
	return false;
}

void gns_control_close(struct gns_control *control)
{
	if (control->session)
		gns_session_detach(control->session);
	control->session = NULL;
}

/* Rings are named after their session with a dot; another user's session is refused by the attach. */
static struct gns_session *session_of(uint64_t key)
{
	DIR *dir = opendir("/dev/shm");
	struct gns_session *found = NULL;
	for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
		char name[GNS_NAME_MAX];
		if (strncmp(entry->d_name, "gnscope-", 8) != 0 || strchr(entry->d_name, '.') ||
		    snprintf(name, sizeof name, "/%s", entry->d_name) >= (int)sizeof name)
			continue;
		if (gns_session_attach(name, &found) == 0 && found->key != key) {
			gns_session_detach(found);
			found = NULL;
		}
	}
	if (dir)
		closedir(dir);
	return found;
}

bool gns_control_find(struct gns_control *control, uint64_t key, uint64_t now_ms)
{
	if (control->key != key) {
		gns_control_close(control);
		control->key = key;
		control->asked_ms = 0;
	}
	if (control->session && !is_live(control->session))
		gns_control_close(control);
	if (!control->session && key != 0 && (control->asked_ms == 0 || now_ms - control->asked_ms >= LOOK_MS)) {
		control->asked_ms = now_ms;
		control->session = session_of(key);
		if (control->session && !is_live(control->session))
			gns_control_close(control);
	}
	return control->session != NULL;
}

uint32_t gns_control_word(const struct gns_control *control)
{
	return atomic_load(&control->session->control);
}

static int change(struct gns_control *control, uint32_t clear, uint32_t set, struct gns_error *err)
{
	if (!control->session)
		return gns_fail(err, -ESRCH, "this run is not training here under your user: measuring stays as it is");
	uint32_t word = atomic_load(&control->session->control);
	while (!atomic_compare_exchange_weak(&control->session->control, &word, (word & ~clear) | set))
		;
	return 0;
}

int gns_control_pause(struct gns_control *control, bool pause, struct gns_error *err)
{
	return change(control, GNS_CONTROL_PAUSED, pause ? GNS_CONTROL_PAUSED : 0, err);
}

int gns_control_every(struct gns_control *control, uint32_t every, struct gns_error *err)
{
	return change(control, ~GNS_CONTROL_PAUSED, GNS_CONTROL_EVERY(every), err);
}
