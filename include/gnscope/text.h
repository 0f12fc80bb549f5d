/* Text from outside, made harmless; numbers, made readable. Outside the trainer only. */
#ifndef GNSCOPE_TEXT_H
#define GNSCOPE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include "gnscope/estimate.h"

/* Copies at most size-1 bytes of valid UTF-8: control characters (C0, DEL, C1), escape bytes, bidirectional overrides and
 * invalid sequences become '?'. Returns dst. */
char *gns_text_safe(char *dst, size_t size, const char *src);
/* 1840 -> "1,840"; 0.0123 -> "0.0123"; from ten million on 12345678 -> "12.3M" (then G, T); three significant digits at least.
 * NaN -> "-". */
char *gns_text_number(char *dst, size_t size, double value);
/* "1,840 samples [1,610 to 2,120]" or "unresolved: >= 900 samples" or "unresolved". DESIGN.md, words a user sees. */
char *gns_text_ratio(char *dst, size_t size, const struct gns_ratio *ratio, const char *unit);
/* The same as a line of its own, naming the number: "B_noise 1,840 samples [1,610 to 2,120]" or
 * "unresolved: B_noise >= 900 samples" or "unresolved". */
char *gns_text_named_ratio(char *dst, size_t size, const char *name, const struct gns_ratio *ratio, const char *unit);
/* "your batch 256 is 0.26 of B_crit: 79% of its samples count, 4.8 times the fewest steps"; "" when B_crit is unresolved. */
char *gns_text_verdict(char *dst, size_t size, double batch, const struct gns_ratio *b_crit);
/* The sentence at the head of a run, never "": the verdict, or what is known instead, as in "B_crit is unresolved: at least 640
 * samples, so your batch 256 is at most 0.4 of it". `batch` NaN: not known; `unit` is made harmless; `measured` steps. */
char *gns_text_run_verdict(char *dst, size_t size, double batch, const char *unit, const struct gns_ratio *b_crit, int64_t measured);
/* "42 s", "3 min 7 s", "2 h 05 min", "4 d 2 h"; "-" for a negative or unknown one. */
char *gns_text_duration(char *dst, size_t size, double seconds);

#endif
