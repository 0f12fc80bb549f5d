/* Numbers and verdicts in the words of the project's screens. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "gnscope/text.h"

static void grouped(char *dst, size_t size, double value)
{
	char digits[32], out[48];
	int length = snprintf(digits, sizeof digits, "%.0f", value);
	int used = 0;
	for (int i = 0; i < length; i++) {
		if (i > 0 && (length - i) % 3 == 0)
			out[used++] = ',';
		out[used++] = digits[i];
	}
	out[used] = '\0';
	snprintf(dst, size, "%s", out);
}

/* Three significant digits of 10^7 and more, with a suffix; rounding may carry into the next one. */
static void scaled(char *dst, size_t size, double value)
{
	static const char suffix[] = "MGT";
	double unit = 1e6;
	size_t i = 0;
	while (i < 2 && value / unit >= 999.5) {
		unit *= 1e3;
		i++;
	}
	double x = value / unit;
	if (x >= 999.5)
		snprintf(dst, size, "%.2e", value);
	else
		snprintf(dst, size, "%.*f%c", x < 9.995 ? 2 : x < 99.95 ? 1 : 0, x, suffix[i]);
}

char *gns_text_number(char *dst, size_t size, double value)
{
	char body[48];
	double x = fabs(value);
	if (isnan(value))
		snprintf(body, sizeof body, "-");
	else if (isinf(value))
		snprintf(body, sizeof body, "inf");
	else if (x < 999.5)
		snprintf(body, sizeof body, "%.3g", x);
	else if (x < 9999999.5)
		grouped(body, sizeof body, x);
	else
		scaled(body, sizeof body, x);
	if (size > 0)
		snprintf(dst, size, "%s%s", value < 0 ? "-" : "", body);
	return dst;
}

static char *ratio_text(char *dst, size_t size, const char *bound_of, const struct gns_ratio *ratio, const char *unit)
{
	char value[48], lo[48], hi[48];
	const char *gap = unit && *unit ? " " : "";
	if (size == 0)
		return dst;
	unit = unit ? unit : "";
	gns_text_number(lo, sizeof lo, ratio->lo);
	if (ratio->resolved)
		snprintf(dst, size, "%s%s%s [%s to %s]", gns_text_number(value, sizeof value, ratio->value), gap, unit, lo,
			 gns_text_number(hi, sizeof hi, ratio->hi));
	else if (!isnan(ratio->lo))
		snprintf(dst, size, "unresolved: %s%s>= %s%s%s", bound_of, *bound_of ? " " : "", lo, gap, unit);
	else
		snprintf(dst, size, "unresolved");
	return dst;
}

char *gns_text_ratio(char *dst, size_t size, const struct gns_ratio *ratio, const char *unit)
{
	return ratio_text(dst, size, "", ratio, unit);
}

char *gns_text_named_ratio(char *dst, size_t size, const char *name, const struct gns_ratio *ratio, const char *unit)
{
	if (!ratio->resolved)
		return ratio_text(dst, size, name, ratio, unit);
	int used = snprintf(dst, size, "%s ", name);
	if (used >= 0 && (size_t)used < size)
		ratio_text(dst + used, size - (size_t)used, "", ratio, unit);
	return dst;
}

/* Two significant digits, without an exponent for what is large. */
static char *rough(char *dst, size_t size, double value)
{
	if (value < 99.5)
		snprintf(dst, size, "%.2g", value);
	else
		gns_text_number(dst, size, value);
	return dst;
}

/* "100%" would claim more than is so. */
static void share_of_hundred(char *dst, size_t size, double percent)
{
	if (percent >= 99.95)
		snprintf(dst, size, "over 99.9");
	else if (percent >= 99.5)
		snprintf(dst, size, "%.1f", percent);
	else if (percent >= 9.95)
		snprintf(dst, size, "%.0f", percent);
	else
		snprintf(dst, size, "%.2g", percent);
}

char *gns_text_verdict(char *dst, size_t size, double batch, const struct gns_ratio *b_crit)
{
	if (size == 0)
		return dst;
	dst[0] = '\0';
	if (!b_crit->resolved || !(b_crit->value > 0) || !(batch > 0) || isinf(batch))
		return dst;
	char number[48], share[48], times[48], percent[48];
	double count = 100 * gns_sample_efficiency(batch, b_crit->value);
	double steps = gns_steps_factor(batch, b_crit->value);
	share_of_hundred(percent, sizeof percent, count);
	if (steps < 9.95)
		snprintf(times, sizeof times, "%.1f", steps);
	else
		rough(times, sizeof times, steps);
	snprintf(dst, size, "your batch %s is %s of B_crit: %s%% of its samples count, %s times the fewest steps",
		 gns_text_number(number, sizeof number, batch), rough(share, sizeof share, batch / b_crit->value), percent, times);
	return dst;
}

char *gns_text_run_verdict(char *dst, size_t size, double batch, const char *unit, const struct gns_ratio *b_crit, int64_t measured)
{
	char number[48], of[48], safe[32];
	gns_text_verdict(dst, size, batch, b_crit);
	if (size == 0 || dst[0])
		return dst;
	gns_text_safe(safe, sizeof safe, unit);
	gns_text_number(of, sizeof of, batch);
	gns_text_number(number, sizeof number, b_crit->resolved ? b_crit->value : b_crit->lo);
	if (measured == 0)
		snprintf(dst, size, "nothing was measured yet");
	else if (b_crit->resolved)
		snprintf(dst, size, "B_crit of the run so far is %s %s; the batch in use is not known", number, safe);
	else if (b_crit->lo > 0 && isfinite(batch))
		snprintf(dst, size, "B_crit is unresolved: at least %s %s, so your batch %s is at most %.2g of it", number, safe, of,
			 batch / b_crit->lo);
	else if (b_crit->lo > 0)
		snprintf(dst, size, "B_crit is unresolved: at least %s %s", number, safe);
	else
		snprintf(dst, size, "B_crit is unresolved: after %" PRId64 " measured steps the signal is still lost in the noise", measured);
	return dst;
}

char *gns_text_duration(char *dst, size_t size, double seconds)
{
	int64_t s = isfinite(seconds) && seconds >= 0 && seconds < 1e15 ? (int64_t)seconds : -1;
	if (s < 0)
		snprintf(dst, size, "-");
	else if (s < 60)
		snprintf(dst, size, "%" PRId64 " s", s);
	else if (s < 3600)
		snprintf(dst, size, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
	else if (s < 86400)
		snprintf(dst, size, "%" PRId64 " h %02" PRId64 " min", s / 3600, s / 60 % 60);
	else
		snprintf(dst, size, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
	return dst;
}
