/* Sentences and short texts that several views share. All write into the caller's buffer and return it; NaN becomes "-". */
#ifndef GNS_TUI_SAY_H
#define GNS_TUI_SAY_H

#include "tui/cost.h"
#include "tui/model.h"

/* "running", "no step for 14 s" (running, but nothing came for long), "finished after 3 min 12 s", "failed with exit status 1", ... */
char *gns_say_status(char *buf, size_t size, const struct gns_model *model);
/* "1,840 [1,610 to 2,120]", "4.3 [below 12.9]", "≥ 900", "unresolved": for tables whose title has the unit. */
char *gns_say_ratio(char *buf, size_t size, const struct gns_ratio *ratio);
/* "0.62%", three significant digits; share is 0..1. */
char *gns_say_percent(char *buf, size_t size, double share);
/* What a run without a number is waiting for; "" when it has measured steps. */
char *gns_say_waiting(char *buf, size_t size, const struct gns_model *model);

/* "4.85 [4.33 to 5.54]", "4.33 to 5.54", "≥ 4.33", "≤ 5.54", "-"; wide false: without the brackets. Each number by `number`, which
 * writes into its buffer and returns it. */
char *gns_say_range(char *buf, size_t size, const struct gns_range *range, char *(*number)(char *, size_t, double), bool wide);
/* "products 65.4% (wgrad 33.5, forward 24, dgrad 7.97) · rest 33.7% · gnscope 0.9%", of a measured step; "" when not known. What does
 * not add up (products beside one another) is said so. Where phases are known: "forward 33% (products 12%) · backward 50% (products
 * 30%) · optimizer 8% · gnscope 0.9% · rest 8.1%". */
char *gns_say_split(char *buf, size_t size, const struct gns_split *split, bool wide);
/* "over the last 100 measured steps": the typical steps that the split is of. */
char *gns_say_split_steps(char *buf, size_t size, const struct gns_split *split);
/* How a step went on a device: "compute 79.2% · exposed communication 6.25% · exposed copies 2.00% · idle 12.5%", which make up the whole, and
 * what is beside them: "gnscope's kernels 0.40% · communication 18.8% in all, 66.7% of it overlapped · a kernel waits 8.5 us". */
extern const char *const gns_say_parts[GNS_PARTS_OF_WALL];
char *gns_say_device(char *buf, size_t size, const struct gns_device_row *row);
char *gns_say_device_beside(char *buf, size_t size, const struct gns_device_row *row);
/* "11.0 ms a step [10.9 to 11.1], 100 of 402 steps looked at". */
char *gns_say_device_step(char *buf, size_t size, const struct gns_device_row *row);
/* "measuring paused", "every 10th step by hand", "" when nothing was changed. */
char *gns_say_control(char *buf, size_t size, const struct gns_model *model);
/* "last 1,000 steps", "steps 201 to 1,200, frozen", "" for the whole run. */
char *gns_say_stretch(char *buf, size_t size, const struct gns_model *model);
/* A number of three significant digits; seconds: "12.3 s", "4.1 min", "3.2 h"; money: "12.30". */
char *gns_say_three(char *buf, size_t size, double value);
char *gns_say_seconds(char *buf, size_t size, double seconds);
/* A range of times in the unit of its greater limit: "23.7 to 56.4 s", "26.3 [25 to 28] min". */
char *gns_say_times(char *buf, size_t size, const struct gns_range *seconds, bool wide);
char *gns_say_money(char *buf, size_t size, double value);

#endif
