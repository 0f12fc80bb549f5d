/* Sessions that nobody is left of: every process was killed at once, or the machine's users were logged out. What is still in shared
 * memory is stored, the run ends as "lost", and the memory is given back. */
#ifndef GNS_STORE_ADOPT_H
#define GNS_STORE_ADOPT_H

#include "gnscope/error.h"

struct gns_adopted {
	int sessions;          /* stored and removed */
	int left;              /* dead, too, but could not be stored: they stay as they are */
	struct gns_error text; /* why, of the last of those */
};

/* Looks at every session of this user. One that is recorded, or that a process holds, is left alone: by locks, so that two callers
 * and a recorder that just starts do not meet. Each goes to the store that its recorder used; `store`: of those that never had one. */
void gns_adopt_sessions(const char *store, struct gns_adopted *out);

#endif
