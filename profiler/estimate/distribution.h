/* Inside the estimator: tail probabilities. */
#ifndef GNS_PROFILER_ESTIMATE_DISTRIBUTION_H
#define GNS_PROFILER_ESTIMATE_DISTRIBUTION_H

/* P(F(a, b) > f), a and b degrees of freedom: the regularised incomplete beta function (Abramowitz and Stegun 1964, 26.6.2 and the
 * continued fraction 26.5.8), 1e-10. NaN for what is no number. */
double gns_f_tail(double f, double a, double b);

/* ln Phi(z) and phi(z)/Phi(z) of the standard normal distribution, also where Phi underflows. */
double gns_log_normal_cdf(double z);
double gns_normal_hazard(double z);

#endif
