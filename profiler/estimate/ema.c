/* Decaying averages of s and g2, for a number that follows the run. */
#include <errno.h>
#include <math.h>

#include "profiler/estimate/variance.h"

void gns_ema_init(struct gns_ema *ema, double half_life)
{
	*ema = (struct gns_ema){.half_life = half_life};
}

void gns_ema_add(struct gns_ema *ema, const struct gns_measured *step, double weight)
{
	if (!isfinite(step->s) || !isfinite(step->g2) || !(weight > 0))
		return;
	double beta = exp2(-1 / ema->half_life);
	if (ema->count > 0) {
		double ds = step->s - ema->last.s, dg = step->g2 - ema->last.g2;
		ema->dss = beta * ema->dss + ds * ds / 2;
		ema->dsg = beta * ema->dsg + ds * dg / 2;
		ema->dgg = beta * ema->dgg + dg * dg / 2;
		ema->dweight = beta * ema->dweight + 1;
	}
	ema->s *= beta;
	ema->g2 *= beta;
	ema->q_big *= beta;
	ema->n_big *= beta;
	ema->weight *= beta;
	ema->weight2 *= beta * beta;
	ema->last = *step;
	ema->last_weight = 0;
	gns_ema_reweigh(ema, weight);
	ema->count += 1;
}

void gns_ema_reweigh(struct gns_ema *ema, double more)
{
	ema->s += more * ema->last.s;
	ema->g2 += more * ema->last.g2;
	ema->q_big += more * ema->last.q_big;
	ema->n_big += more * ema->last.n_big;
	ema->weight += more;
	ema->weight2 += more * (2 * ema->last_weight + more);
	ema->last_weight += more;
}

/* (sum w)^2 / sum w^2 of the weights 1, beta, ..., beta^(count-1):
 * (1 + beta)/(1 - beta) (1 - beta^count)/(1 + beta^count). */
static double effective_steps(double half_life, double count)
{
	double rate = log(2) / (2 * half_life);
	return tanh(count * rate) / tanh(rate);
}

int gns_ema_meanvar(const struct gns_ema *ema, struct gns_meanvar *out)
{
	*out = (struct gns_meanvar){NAN, NAN, NAN, NAN, NAN, GNS_VAR_NONE};
	if (!(ema->half_life > 0) || !isfinite(ema->half_life))
		return -EINVAL;
	if (ema->count > 0) {
		out->s = ema->s / ema->weight;
		out->g2 = ema->g2 / ema->weight;
	}
	if (ema->count < 3)
		return -ENODATA;
	/* Half squared successive differences carry 2/3 of a degree of freedom each (von Neumann et al. 1941). */
	double dof = effective_steps(ema->half_life, ema->count - 1) * 2 / 3;
	double scale = gns_small_sample(dof) * ema->weight2 / (ema->dweight * ema->weight * ema->weight);
	out->v_s = ema->dss * scale;
	out->v_g = ema->dgg * scale;
	out->v_sg = ema->dsg * scale;
	out->method = GNS_VAR_DIFFERENCES;
	return 0;
}

int gns_ema_noise(const struct gns_ema *ema, double z, struct gns_ratio *out)
{
	struct gns_meanvar mv;
	int rc = gns_ema_meanvar(ema, &mv);
	*out = (struct gns_ratio){NAN, NAN, NAN, false, NAN};
	if (rc == 0)
		rc = gns_fieller(&mv, z, out);
	out->count = ema->weight2 > 0 ? ema->weight * ema->weight / ema->weight2 : 0;
	return rc;
}
