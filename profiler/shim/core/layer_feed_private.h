/* What feeding.c and feeding_device.c share: the lock, and who is charged. */
#ifndef GNS_FEEDING_PRIVATE_H
#define GNS_FEEDING_PRIVATE_H

#include "layer_feed.h"

/* Takes the lock, if there is a feed (or, with `wake`, one may be made). */
bool gns_feeding_enter(struct gns_guard *hold, bool wake);
void gns_feeding_leave(const struct gns_guard *hold);
/* The parameter, and the lock, if there is one; what is timed is charged to its stream. */
struct gns_feed_param *gns_feeding_enter_param(struct gns_guard *hold, int64_t id);

/* Under the lock: some clock has changed its mind. */
void gns_feeding_show_measuring(void);
/* feeding_device.c; under the lock: uses that have not come will not. */
void gns_feeding_device_backward_done(void);

#endif
