/* Command lines are stored, reported and sent around; what opens a door in them is not. */
#ifndef GNS_STORE_MASK_H
#define GNS_STORE_MASK_H

#include <stdbool.h>
#include <stddef.h>

/* One argument, with "***" for what must not be stored: the value of an option or an assignment whose name holds "key", "token",
 * "secret" or "password" (--api-key=V, --api-key V, HF_TOKEN=V), and the user of a URL (https://user:password@host). `next` goes from one
 * argument to the next, false before the first. */
void gns_mask_argument(char *dst, size_t size, const char *argument, bool *next);

#endif
