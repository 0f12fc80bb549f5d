/* See gnscope/trend.h. */
#include "gnscope/trend.h"

#include <math.h>

const char *const gns_direction_names[4] = { "", "rising", "steady", "falling" };

static bool known(const struct gns_ratio *r)
{
	return r->resolved && isfinite(r->value) && isfinite(r->lo) && isfinite(r->hi);
}

static bool is_bound(const struct gns_ratio *r)
{
	return !r->resolved && r->lo > 0 && isfinite(r->lo);
}

enum gns_direction gns_direction_of(const struct gns_ratio *last, const struct gns_ratio *before)
{
	if (is_bound(last) && known(before))
		return last->lo > before->hi ? GNS_RISING : GNS_DIRECTION_UNKNOWN;
	if (known(last) && is_bound(before))
		return last->hi < before->lo ? GNS_FALLING : GNS_DIRECTION_UNKNOWN;
	if (!known(last) || !known(before))
		return GNS_DIRECTION_UNKNOWN;
	double difference = last->value - before->value;
	if (difference - hypot(last->value - last->lo, before->hi - before->value) > 0)
		return GNS_RISING;
	return difference + hypot(last->hi - last->value, before->value - before->lo) < 0 ? GNS_FALLING : GNS_STEADY;
}

struct gns_trend gns_trend_of(const struct gns_ratio *last, const struct gns_ratio *before, const struct gns_ratio *whole)
{
	struct gns_trend trend = { .last = *last, .before = *before };
	if (last->count >= GNS_TREND_STEPS && before->count >= GNS_TREND_STEPS)
		trend.direction = gns_direction_of(last, before);
	double at = last->resolved ? last->value : last->lo;
	bool outside = known(whole) && (at > whole->hi || (last->resolved && at < whole->lo));
	trend.moving = outside && (trend.direction == GNS_RISING || trend.direction == GNS_FALLING);
	return trend;
}
