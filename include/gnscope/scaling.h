/* What else changes with the batch: learning rate, betas, averages and weight decay by every published rule that applies to the
 * optimizer in use, each by its name, side by side where they differ; and batches that follow the noise.
 * Pure functions of numbers, as estimate.h. kappa = B'/B. An absent number is NaN. */
#ifndef GNSCOPE_SCALING_H
#define GNSCOPE_SCALING_H

#include <stdbool.h>
#include <stddef.h>

#include "gnscope/estimate.h"
#include "gnscope/fit.h"

enum gns_optimizer_kind {
	GNS_OPT_UNTOLD,  /* not known what it is: all rules are listed, for the user to pick */
	GNS_OPT_UNKNOWN, /* one that no rule is known for */
	GNS_OPT_SGD,     /* with or without momentum */
	GNS_OPT_ADAM,    /* Adam and its kin: scaled by a root of a second moment */
	GNS_OPT_SIGN,    /* Lion, signSGD */
};
/* By the whole name of a class, a module before it or not ("torch.optim.AdamW"); "" is UNTOLD. Case does not matter. A class that merely
 * has a known name in its own (MuonWithAuxAdam) is UNKNOWN. */
enum gns_optimizer_kind gns_optimizer_of(const char *name);

struct gns_scaling_in {
	const char *optimizer;          /* its name, "" unknown */
	double from, to;                /* batch now and wanted, samples */
	double lr, beta1, beta2, eps, weight_decay, ema; /* now; NaN unknown */
	struct gns_ratio b_noise; /* samples, of now, as lr is */
	struct gns_ratio b_crit;  /* samples */
};

/* One rule's answer. */
struct gns_scaling {
	const char *what;   /* "lr", "beta1", "beta2", "eps", "weight_decay", "ema" */
	const char *rule;   /* "linear" */
	const char *formula; /* "lr kappa" */
	const char *paper;
	char note[120];     /* where it holds, or why it has no answer; "" */
	double now;         /* NaN unknown */
	double factor;      /* by which `now` is multiplied; NaN where the rule does not multiply or cannot be told */
	double value, lo, hi; /* NaN where `now` is unknown or the rule has no answer, `factor` then NaN, too; lo, hi from the limits of b_noise */
};
#define GNS_SCALING_MAX 16
/* All that apply, in the order of this list. Returns how many: none for an optimizer that is UNKNOWN. A rule that ends at B_crit has no answer
 * where either batch is at or above its estimate; between its lower limit and the estimate the note says so.
 *   lr           linear        lr kappa (Goyal et al. 2017, arXiv 1706.02677): SGD, below B_crit
 *                noise         lr (1 + Bn/B)/(1 + Bn/B') (McCandlish et al. 2018, eq. 2.6): SGD
 *                square root   lr sqrt(kappa) (Malladi et al. 2022, arXiv 2205.10287): Adam and its kin, sign
 *                surge         lr (sqrt(Bn/B) + sqrt(B/Bn))/(sqrt(Bn/B') + sqrt(B'/Bn)) (Li et al. 2024, arXiv 2405.14578): Adam, sign;
 *                              its Bn is not exactly B_noise
 *   beta1, beta2 sde           1 - kappa (1 - beta), eps/sqrt(kappa) with the square root rule (Malladi et al. 2022, scaling rule of Adam)
 *   beta2        half-life     beta2^kappa: the same half-life in samples (Marek et al. 2025, arXiv 2507.07101): Adam
 *   ema          ema           rho^kappa (Busbridge et al. 2023, arXiv 2307.13813): a running average of the weights
 *   weight_decay timescale     B/(lr lambda D) held constant (Bergsma et al. 2025, arXiv 2505.13738): AdamW, below B_crit;
 *                              lambda kappa at the same lr, lambda sqrt(kappa) beside the square root rule */
size_t gns_scaling_rules(const struct gns_scaling_in *in, struct gns_scaling out[GNS_SCALING_MAX]);

/* Norm test of a batch of n (Byrd et al. 2012; AdAdaGrad, Lau et al. 2024, arXiv 2402.11215): it is large enough while
 * (S/n) <= theta^2 |batch's own gradient|^2, the mean of which is Q = |G|^2 + S/n; else S/(theta^2 Q) is. In B_noise = S/|G|^2 that is
 * n B_noise/(theta^2 (n + B_noise)): at theta = 1 any batch passes. Rises with B_noise, to n/theta^2: limits follow from its limits, where hi
 * is not known from that. The test only ever raises a batch: below n means that n passes. */
struct gns_interval gns_norm_test_batch(const struct gns_ratio *b_noise, double n, double theta);

/* A batch that follows the noise, B(s) = sqrt(x B_noise(s)) (McCandlish et al. 2018, app. D), x chosen so that it takes as many steps
 * as the fixed batch of the run did. */
struct gns_schedule {
	double x;         /* exchange rate: samples that one step is worth */
	double gain;      /* gamma: (S/S_min - 1)(E/E_min - 1) of it, 1 for a fixed batch; gns_adaptive_gain */
	double samples;   /* its samples over those of the fixed batch, at the same progress and as many steps */
	double first, last; /* its batch at the first and the last point */
};
/* B_noise at n points of a run with `steps` steps each, at a fixed batch. -EINVAL unless all are positive; -ENODATA below 2. */
int gns_adaptive_schedule(const double *b_noise, const double *steps, size_t n, double batch, struct gns_schedule *out);

#endif
