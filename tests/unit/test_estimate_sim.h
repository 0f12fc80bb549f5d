/* Random numbers and simulated training steps for the tests of the estimator: the same on every machine. */
#ifndef GNS_TESTS_UNIT_TEST_ESTIMATE_SIM_H
#define GNS_TESTS_UNIT_TEST_ESTIMATE_SIM_H

#include <math.h>
#include <stdint.h>

struct sim_rng {
	uint64_t state;
	double spare;
	int has_spare;
};

static inline struct sim_rng sim_seed(uint64_t seed)
{
	return (struct sim_rng){seed * 0xd1342543de82ef95u + 1, 0, 0};
}

static inline uint64_t sim_bits(struct sim_rng *rng)
{
	uint64_t z = rng->state += 0x9e3779b97f4a7c15u; /* SplitMix64 (Steele, Lea, Flood 2014) */
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static inline double sim_uniform(struct sim_rng *rng) /* (0, 1) */
{
	return ((double)(sim_bits(rng) >> 11) + 0.5) * 0x1p-53;
}

static inline double sim_normal(struct sim_rng *rng) /* Box and Muller 1958 */
{
	if (rng->has_spare) {
		rng->has_spare = 0;
		return rng->spare;
	}
	double radius = sqrt(-2 * log(sim_uniform(rng))), angle = 6.283185307179586 * sim_uniform(rng);
	rng->spare = radius * sin(angle);
	rng->has_spare = 1;
	return radius * cos(angle);
}

static inline double sim_chi2(struct sim_rng *rng, double dof) /* Marsaglia and Tsang 2000; dof >= 2 */
{
	double d = dof / 2 - 1.0 / 3, c = 1 / sqrt(9 * d);
	for (;;) {
		double x = sim_normal(rng), v = 1 + c * x;
		if (v <= 0)
			continue;
		v = v * v * v;
		if (log(sim_uniform(rng)) < x * x / 2 + d - d * v + d * log(v))
			return 2 * d * v;
	}
}

/* One step's q_small (b = 1) and q_big for n samples whose gradients are N(G, (trace/dims) I) with |G|^2 = g2: exact
 * in distribution, without drawing the samples. dims >= 3. */
struct sim_step {
	double n, dims, trace, g2;
};
static inline void sim_gaussian_step(struct sim_rng *rng, const struct sim_step *step, double *q_small, double *q_big)
{
	double var = step->trace / step->dims;
	double along = sqrt(step->g2) + sqrt(var / step->n) * sim_normal(rng);
	*q_big = along * along + var / step->n * sim_chi2(rng, step->dims - 1);
	*q_small = *q_big + var / step->n * sim_chi2(rng, (step->n - 1) * step->dims);
}

#endif
