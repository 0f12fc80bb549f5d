/* Tail probabilities, as tests and likelihoods need them. */
#include "profiler/estimate/distribution.h"

#include <math.h>

/* I_x(a, b) by its continued fraction, evaluated from the front (Lentz 1976); converges quickly for x < (a + 1)/(a + b + 2). */
static double beta_fraction(double x, double a, double b)
{
	const double tiny = 1e-300;
	double c = 1, d = 1 - (a + b) * x / (a + 1), f;
	d = 1 / (fabs(d) < tiny ? tiny : d);
	f = d;
	for (int m = 1; m < 1000; m++) {
		double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
		double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
		d = 1 + even * d;
		c = 1 + even / c;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		f *= c * d;
		d = 1 + odd * d;
		c = 1 + odd / c;
		d = 1 / (fabs(d) < tiny ? tiny : d);
		c = fabs(c) < tiny ? tiny : c;
		f *= c * d;
		if (fabs(c * d - 1) < 1e-14)
			break;
	}
	return f;
}

static double incomplete_beta(double x, double a, double b)
{
	if (x <= 0 || x >= 1)
		return x <= 0 ? 0 : 1;
	double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
	if (x < (a + 1) / (a + b + 2))
		return front * beta_fraction(x, a, b) / a;
	return 1 - front * beta_fraction(1 - x, b, a) / b;
}

double gns_f_tail(double f, double a, double b)
{
	if (!(f >= 0) || !(a > 0) || !(b > 0))
		return NAN;
	return incomplete_beta(b / (b + a * f), b / 2, a / 2);
}

double gns_log_normal_cdf(double z)
{
	if (z > -30)
		return log(erfc(-z * M_SQRT1_2) / 2);
	return -z * z / 2 - log(-z) - log(2 * M_PI) / 2 + log1p(-1 / (z * z)); /* Abramowitz and Stegun, 26.2.12 */
}

double gns_normal_hazard(double z)
{
	return exp(-z * z / 2 - log(2 * M_PI) / 2 - gns_log_normal_cdf(z));
}
