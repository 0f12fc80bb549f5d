/* See adopt.h. */
#include "store/adopt.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "profiler/shim/ring/ring.h"
#include "store/recorder.h"

static void adopt(const char *name, const char *store, struct gns_adopted *out)
{
	struct gns_session *session = NULL;
	char path[GNS_PATH_MAX], run_name[sizeof session->run_name];
	struct gns_error err = { "" };
	if (gns_session_recorded(name) || gns_session_held(name) || gns_session_attach(name, &session) != 0)
		return;
	memcpy(path, session->store, sizeof path);
	memcpy(run_name, session->run_name, sizeof run_name);
	path[sizeof path - 1] = run_name[sizeof run_name - 1] = 0;
	gns_session_detach(session);
	struct gns_recorder_options options = { .session = name, .store = path[0] ? path : store, .name = run_name[0] ? run_name : NULL,
						.adopt = true };
	int rc = gns_recorder_run(&options, &err);
	if (rc == 0) {
		out->sessions++;
	} else if (rc != -EBUSY && rc != -ENOENT) {
		out->left++;
		out->text = err;
	}
}

void gns_adopt_sessions(const char *store, struct gns_adopted *out)
{
	char prefix[64], name[GNS_NAME_MAX];
	memset(out, 0, sizeof *out);
	snprintf(prefix, sizeof prefix, "gnscope-%u-", (unsigned)getuid());
	DIR *folder = opendir("/dev/shm");
	for (struct dirent *entry; folder && (entry = readdir(folder));) {
		size_t length = strlen(entry->d_name);
		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || strchr(entry->d_name, '.') || length + 2 > sizeof name)
			continue;
		name[0] = '/';
		memcpy(name + 1, entry->d_name, length + 1);
		adopt(name, store, out);
	}
	if (folder)
		closedir(folder);
}
