/* Which steps of a run are measured. */
#include "step_plan.h"

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

bool gns_step_plan_takes(uint64_t seed, uint64_t step, double interval)
{
	if (!(interval > 1))
		return true;
	uint64_t below = (uint64_t)(0x1p64 / interval);
	/* Digit by digit: the first that differs decides, after two on average. */
	for (int place = 63; place >= 0; place--) {
		unsigned digit = step & 1, limit = below >> place & 1;
		step >>= 1;
		digit ^= mix(seed ^ mix(step << 6 | (uint64_t)place)) >> 63;
		if (digit != limit)
			return digit < limit;
	}
	return false;
}
