/* Text from outside, made harmless; numbers, made readable. Outside the trainer only. */
#ifndef GNSCOPE_TEXT_H
#define GNSCOPE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "gnscope/estimate.h"
#include "gnscope/fit.h"

/* Copies at most size-1 bytes of valid UTF-8: control characters (C0, DEL, C1), escape bytes, bidirectional
 * overrides and invalid sequences become '?'. Returns dst. */
char *gns_text_safe(char *dst, size_t size, const char *src);
/* Length in bytes and code point of the valid UTF-8 sequence at `text`; 0 where there is none. */
size_t gns_text_decode(const char *text, uint32_t *point);
/* Neither a control character (C0, DEL, C1) nor a separator of lines or a bidirectional control. */
bool gns_text_harmless(uint32_t point);
/* Writes JSON, as a library serialized it, with such characters inside its strings as \uXXXX: the values stay the same. 0, or -1
 * where `out` has an error. */
int gns_text_json(FILE *out, const char *json);
/* Writes one cell of CSV (RFC 4180), without a comma or line end after it. Control characters but tabs and line ends, and invalid
 * UTF-8, become '?'. A text that a spreadsheet would run as a formula (it begins with = + - @, a tab or a line end, and is no number)
 * gets an apostrophe in front. */
void gns_text_csv(FILE *out, const char *cell);
/* 1840 -> "1,840"; 0.0123 -> "0.0123"; from ten million on 12345678 -> "12.3M" (then G, T); three significant digits
 * at least. NaN -> "-". */
char *gns_text_number(char *dst, size_t size, double value);
/* The 95% limits of a resolved ratio: "95% CI 1,610 to 2,120"; "95% CI below 12.9" where the lower one is not above
 * zero, which is no limit of a batch size. */
char *gns_text_interval(char *dst, size_t size, const struct gns_ratio *ratio);
/* "1,840 samples (95% CI 1,610 to 2,120)" or "unresolved: >= 900 samples" or "unresolved". DESIGN.md, words a user
 * sees. */
char *gns_text_ratio(char *dst, size_t size, const struct gns_ratio *ratio, const char *unit);
/* The same as a line of its own, naming the number: "B_noise 1,840 samples (95% CI 1,610 to 2,120)" or
 * "unresolved: B_noise >= 900 samples" or "unresolved". */
char *gns_text_named_ratio(char *dst, size_t size, const char *name, const struct gns_ratio *ratio, const char *unit);

/* ---- the verdict: is the batch small or large? ----
 *
 * SMALL below half of B_crit, LARGE above twice, else OK. On the tradeoff curve (McCandlish et al. 2018, eq. 2.11)
 * these are the batches from which doubling saves a third of the steps or more for at most a third more samples, and
 * from which halving saves a third of the samples or more for at most a third more steps: the same on both sides of
 * B_crit on a log scale. The point estimate decides; where the 95% interval of B_crit reaches into another class the
 * sentence names both ("SMALL or OK").
 *
 * Too early, in this order: fewer than GNS_VERDICT_STEPS measured steps; a coverage under GNS_VERDICT_COVERAGE;
 * start-up lasts; and, until GNS_VERDICT_SETTLED steps are measured, while B_noise moves by more than its interval
 * (gns_trend.moving). From there on the verdict is given with its trend, since a run whose B_noise rises for days
 * needs one, too.
 *
 * Unresolved: B_noise or B_crit has no finite upper limit. Then there is a lower limit at most, and never a ratio. */
enum gns_batch_verdict {
	GNS_BATCH_UNKNOWN = 0, /* B_crit is known, the batch is not */
	GNS_BATCH_SMALL,
	GNS_BATCH_OK,
	GNS_BATCH_LARGE,
	GNS_BATCH_TOO_EARLY,
	GNS_BATCH_UNRESOLVED
};
#define GNS_VERDICT_STEPS 40
#define GNS_VERDICT_SETTLED 400
#define GNS_VERDICT_COVERAGE 0.5
/* "", "small", "ok", "large", "too_early", "unresolved": the JSON key `verdict`, null for "". */
extern const char *const gns_batch_verdict_names[6];

struct gns_summary;
enum gns_batch_verdict gns_verdict_of(const struct gns_summary *summary);
/* SMALL, OK or LARGE: may a batch be advised? */
bool gns_verdict_is_class(enum gns_batch_verdict verdict);
/* The other batch that the sentence speaks of: half of a LARGE one, else twice. NaN where there is no verdict. */
double gns_verdict_other_batch(const struct gns_summary *summary);
/* "Batch 128 is SMALL: 0.36x the critical batch size of 354 (95% CI 331 to 378). Doubling it: -37% steps, +27%
 * samples, -2 to +23% time.", or what is missing for a verdict; never "". `time`: the time to the loss with
 * gns_verdict_other_batch, times that with the batch in use, value or limits; NULL or NaN: not known, not said. */
char *gns_text_verdict(char *dst, size_t size, const struct gns_summary *summary, const struct gns_interval *time);
#define GNS_VERDICT_SIZE 400

/* "42 s", "3 min 7 s", "2 h 05 min", "4 d 2 h"; "-" for a negative or unknown one. */
char *gns_text_duration(char *dst, size_t size, double seconds);

#endif
