/* Sentences and short texts that several views share. All write into the caller's buffer and return it; NaN becomes "-". */
#ifndef GNS_SAY_H
#define GNS_SAY_H

#include "tui/model.h"

/* "42 s", "3 min 12 s", "2 h 05 min", "3 d 4 h". */
char *gns_say_duration(char *buf, size_t size, double seconds);
/* "running", "no step for 14 s" (running, but nothing came for long), "finished after 3 min 12 s", "failed with exit status 1", ... */
char *gns_say_status(char *buf, size_t size, const struct gns_model *model);
/* The sentence on top of the screen: the verdict of DESIGN.md, or what can truly be said without a resolved B_crit. */
char *gns_say_verdict(char *buf, size_t size, const struct gns_summary *summary);
/* "1,840 [1,610 to 2,120]", "≥ 900", "unresolved": for tables whose title has the unit. */
char *gns_say_ratio(char *buf, size_t size, const struct gns_ratio *ratio);
/* "0.62%", three significant digits; share is 0..1. */
char *gns_say_percent(char *buf, size_t size, double share);
/* What a run without a number is waiting for; "" when it has measured steps. */
char *gns_say_waiting(char *buf, size_t size, const struct gns_model *model);

#endif
