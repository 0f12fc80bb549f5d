/* What another batch size would cost: closed forms. */
#include <math.h>

#include "gnscope/estimate.h"

static bool positive(double value)
{
	return value > 0 && isfinite(value);
}

/* McCandlish et al. 2018 (arXiv 1812.06162), app. A.1: the variance of a U-statistic of n/b group means. */
struct gns_step_variance gns_step_variance(double n, double b, double trace_sigma2, double g_sigma_g, double kappa4)
{
	if (!positive(b) || !(b < n) || !isfinite(n))
		return (struct gns_step_variance){NAN, NAN, NAN};
	double pairs = n * (n - b);
	return (struct gns_step_variance){
		.s = kappa4 / n + 2 * trace_sigma2 / (n / b - 1),
		.g2 = 4 * g_sigma_g / n + 2 * trace_sigma2 / pairs,
		.cov = -2 * trace_sigma2 * b / pairs,
	};
}

double gns_steps_factor(double batch, double b_crit)
{
	return positive(batch) && b_crit >= 0 ? 1 + b_crit / batch : NAN;
}

double gns_samples_factor(double batch, double b_crit)
{
	return batch >= 0 && positive(b_crit) ? 1 + batch / b_crit : NAN;
}

double gns_sample_efficiency(double batch, double b_crit)
{
	return 1 / gns_samples_factor(batch, b_crit);
}

double gns_lr_factor(double batch, double b_noise)
{
	return 1 / gns_steps_factor(batch, b_noise);
}

double gns_fastest_batch(double b_crit, double alpha, double beta)
{
	return b_crit >= 0 && alpha >= 0 && positive(beta) ? sqrt(b_crit * alpha / beta) : NAN;
}

double gns_pollux_efficiency(double phi, double m0, double m)
{
	return phi >= 0 && positive(m0) && positive(m) ? (phi + m0) / (phi + m) : NAN;
}

double gns_kaplan_bcrit(double loss)
{
	return positive(loss) ? 2e8 * pow(loss, -1 / 0.21) : NAN;
}

double gns_adaptive_gain(const double *b_noise, const double *ds, size_t n)
{
	double root = 0, steps = 0, samples = 0;
	for (size_t i = 0; i < n; i++) {
		if (!(b_noise[i] >= 0) || !(ds[i] >= 0))
			return NAN;
		root += sqrt(b_noise[i]) * ds[i];
		steps += ds[i];
		samples += b_noise[i] * ds[i];
	}
	return positive(steps) && positive(samples) ? root / steps * (root / samples) : NAN;
}
