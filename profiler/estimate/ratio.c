/* A ratio of two noisy means, and its Fieller confidence set. */
#include <errno.h>
#include <math.h>

#include "gnscope/estimate.h"

static const struct gns_ratio absent = {NAN, NAN, NAN, false, NAN};

/* The set is a B^2 - 2 b B + c <= 0. With a <= 0 it holds all B beyond some point, so there is no upper limit; it is
 * "B >= lo" on the side where a noise scale can be (B > 0) only when B = 0 is outside (c > 0) and s is the positive one. Then
 * the roots have opposite signs and lo is the positive one. With c <= 0 small B are in the set too, and nothing is known. */
static double unbounded_lo(double a, double b, double c, double s)
{
	if (!(c > 0) || !(s > 0))
		return NAN;
	double root = sqrt(b * b - a * c); /* a <= 0 < c */
	if (b > 0)
		return c / (b + root); /* also the limit a = 0 */
	return a < 0 ? (b - root) / a : NAN;
}

int gns_fieller(const struct gns_meanvar *mv, double z, struct gns_ratio *out)
{
	*out = absent;
	if (!isfinite(mv->s) || !isfinite(mv->g2) || !(mv->v_s >= 0) || !(mv->v_g >= 0) || !isfinite(mv->v_s) ||
	    !isfinite(mv->v_g) || !isfinite(mv->v_sg) || !(z >= 0) || !isfinite(z))
		return -EINVAL;
	double z2 = z * z;
	double a = mv->g2 * mv->g2 - z2 * mv->v_g;
	double b = mv->s * mv->g2 - z2 * mv->v_sg;
	double c = mv->s * mv->s - z2 * mv->v_s;
	if (a > 0) {
		/* A g2 that is surely below zero contradicts what it is: no verdict, and no bound either. */
		if (mv->g2 < 0)
			return 0;
		/* s / g2 is in the set, so the roots are real; only rounding can say otherwise. */
		double root = sqrt(fmax(0, b * b - a * c));
		double far = b >= 0 ? b + root : b - root; /* no cancellation: the other root from the product c/a */
		double one = far / a, other = far != 0 ? c / far : 0;
		out->value = mv->s / mv->g2;
		out->lo = fmin(one, other);
		out->hi = fmax(one, other);
		out->resolved = true;
		return 0;
	}
	out->lo = unbounded_lo(a, b, c, mv->s);
	return 0;
}

int gns_noise_from_blocks(const struct gns_block *blocks, size_t n, double z, struct gns_ratio *out,
			  struct gns_meanvar *mv_or_null)
{
	struct gns_meanvar mv;
	int rc = gns_meanvar_from_blocks(blocks, n, &mv);
	*out = absent;
	if (rc == 0)
		rc = gns_fieller(&mv, z, out);
	double count = 0;
	for (size_t i = 0; i < n; i++)
		count += blocks[i].count > 0 ? blocks[i].count : 0;
	out->count = count;
	if (mv_or_null)
		*mv_or_null = mv;
	return rc;
}
