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

char *gns_text_interval(char *dst, size_t size, const struct gns_ratio *ratio)
{
	char lo[56], hi[56];
	gns_text_number(hi, sizeof hi, ratio->hi);
	if (ratio->lo > 0)
		snprintf(dst, size, "95%% CI %s to %s", gns_text_number(lo, sizeof lo, ratio->lo), hi);
	else
		snprintf(dst, size, "95%% CI below %s", hi);
	return dst;
}

static char *ratio_text(char *dst, size_t size, const char *bound_of, const struct gns_ratio *ratio, const char *unit)
{
	char number[56], interval[160];
	const char *gap = unit && *unit ? " " : "";
	if (size == 0)
		return dst;
	unit = unit ? unit : "";
	if (ratio->resolved && ratio->value > 0)
		snprintf(dst, size, "%s%s%s (%s)", gns_text_number(number, sizeof number, ratio->value), gap, unit,
			 gns_text_interval(interval, sizeof interval, ratio));
	else if (ratio->resolved)
		snprintf(dst, size, "below %s%s%s (95%% CI)", gns_text_number(number, sizeof number, ratio->hi), gap, unit);
	else if (ratio->lo > 0)
		snprintf(dst, size, "unresolved: %s%s>= %s%s%s", bound_of, *bound_of ? " " : "", gns_text_number(number, sizeof number, ratio->lo),
			 gap, unit);
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
