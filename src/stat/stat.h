/* stat.h - statistics on plain arrays: means, quantiles, two-sample tests, rank statistics, resampling, and the ROUGE
 * scores of texts. Arrays in, numbers out; what needs memory asks for a scratch arena and leaves it as it was.
 * Nothing here knows what a model, a data set or a metric is. A NaN in gives a NaN out, never a number. */
#ifndef UL_STAT_H
#define UL_STAT_H
#include "base/base.h"

/* ---- means and quantiles ---------------------------------------------------------------------------------------- */
/* Neumaier's compensated sum in index order: within an ulp of the true sum, so that it agrees with any other program
 * however that one orders its additions. The mean of nothing is NaN. */
double ul_sum(const double *x, int64_t n);
double ul_mean(const double *x, int64_t n);
/* n / sum(1 / x); 0 as soon as one entry is 0 (as scipy's hmean); NaN for a negative entry or n = 0. */
double ul_harmonic_mean(const double *x, int64_t n);
void ul_sort(double *x, int64_t n); /* ascending; NaN last */
/* Type 7 (Hyndman and Fan 1996; numpy's and R's default): h = (n - 1) q, linear between neighbours. */
double ul_quantile(const double *sorted, int64_t n, double q);

/* ---- two samples ------------------------------------------------------------------------------------------------ */
/* P(positive > negative) + P(equal) / 2 (Mann-Whitney), as sklearn's roc_auc_score. Sorts both in place. */
double ul_auc(double *positive, int64_t n, double *negative, int64_t m);
/* The share of positives above the (1 - fpr) quantile threshold of the negatives: the best true positive rate at a
 * false positive rate of at most `fpr`. Both sorted ascending (ul_auc leaves them so). */
double ul_tpr_at_fpr(const double *positive, int64_t n, const double *negative, int64_t m, double fpr);
/* The points (share of negatives, share of positives) at or above every threshold, from (0, 0) to (1, 1);
 * both sides sorted ascending, without NaN; fpr, tpr: n + m + 1 places. Returns how many.
 * The area under it (trapezia) is ul_auc. */
int64_t ul_roc(const double *positive, int64_t n, const double *negative, int64_t m, double *fpr, double *tpr);
/* Two-sided two-sample Kolmogorov-Smirnov test, as scipy.stats.ks_2samp(method "auto"): exact when max(n, m) <= 10000
 * or n = m (ties are counted as the empirical distributions have them and ignored by the null distribution); beyond
 * that Kolmogorov's limit law with Stephens' correction at round(n m / (n + m)), within 1 % of scipy's p where p is
 * above 1e-3. Sorts x and y in place; scratch: min(n, m) + 1 numbers. */
typedef struct {
    double d, p;
    bool exact;
} ul_ks;
ul_ks ul_ks_2samp(double *x, int64_t n, double *y, int64_t m, double *scratch);

/* The largest of k scores drawn without replacement from n, on average: sum over i >= k of S_(i) C(i-1, k-1) / C(n, k),
 * S ascending. For scores 0 and 1 this is pass@k, 1 - C(n-c, k) / C(n, k). Sorts in place; NaN unless 1 <= k <= n. */
double ul_expected_max(double *score, int64_t n, int64_t k);

/* ---- distances (distance.c has the formulas) --------------------------------------------------------------------- */
double ul_kl(const double *p, const double *q, int64_t n); /* nat, of two distributions over n values */
double ul_js(const double *p, const double *q, int64_t n); /* nat */
double ul_total_variation(const double *p, const double *q, int64_t n);
/* KL(x || y) of the normal distributions with the samples' means and variances; NaN when one does not vary. */
double ul_gaussian_kl(const double *x, int64_t n, const double *y, int64_t m);
/* KL(own || other) from n texts drawn from `own`: the mean of log p_own - log p_other.
 * Both ways added: Jeffreys' divergence. */
double ul_sampled_kl(const double *own, const double *other, int64_t n);
/* Linear CKA of two sets of states of the same n examples, x [n, width_x], y [n, width_y];
 * NaN when one does not vary. */
ul_status ul_linear_cka(ul_arena *scratch, const double *x, int64_t width_x, const double *y, int64_t width_y,
                        int64_t n, double *out) UL_MUST;
/* x minus its part along `direction` (any length but 0). */
void ul_remove_direction(double *x, const double *direction, int64_t n);

/* ---- bounds ------------------------------------------------------------------------------------------------------ */
/* Clopper and Pearson's one-sided upper bound at level 1 - alpha of a probability that showed c times in n. */
double ul_binomial_upper(int64_t c, int64_t n, double alpha);
/* Upper bound at level 1 - alpha of the mean of a score in [0, 1] from n samples of it, of any distribution.
 * Sorts in place. */
double ul_mean_upper(double *score, int64_t n, double alpha);

/* ---- resampling ------------------------------------------------------------------------------------------------- */
/* Rows of one entity stand and fall together: the unit of resampling is the cluster. Cluster c has the rows
 * row[first[c]] .. row[first[c + 1] - 1]; clusters are numbered in order of first appearance. */
typedef struct {
    int64_t n_cluster, n_row;
    const int64_t *first, *row;
} ul_clusters;
/* entity [n_row], any labels; NULL = every row is its own cluster. */
ul_status ul_clusters_init(ul_arena *a, const int64_t *entity, int64_t n_row, ul_clusters *out) UL_MUST;
/* The clusters of replicate `rep`: draw[i] = below(n) by counter (seed, UL_STREAM_BOOTSTRAP, group << 32 | rep, i).
 * `group` tells independent sets of clusters apart (forget 0, phantom 1, ...); one group and one seed = one draw,
 * so that everything computed from it is paired. */
void ul_resample(uint64_t seed, uint32_t group, uint32_t rep, int64_t n, int64_t *draw);
/* Means over the rows of the drawn clusters, by column. */
void ul_means_of_draw(const ul_clusters *c, const double *const *column, int n_col, const int64_t *draw, double *mean);
/* The same of every replicate: out[rep * n_col + k]. A statistic of means (a ratio, a normalised
 * score) is computed by the caller from each replicate's row. */
ul_status ul_bootstrap_means(ul_arena *scratch, const ul_clusters *c, const double *const *column, int n_col,
                             uint64_t seed, uint32_t group, uint32_t n_rep, double *out) UL_MUST;
/* Percentile interval: the (1 - level)/2 and (1 + level)/2 quantiles of the replicates. Sorts in place; replicates that
 * are NaN (a denominator too near 0) are left out and counted. */
typedef struct {
    double lo, hi;
    int64_t n_used, n_discarded;
} ul_interval;
ul_interval ul_interval_percentile(double *replicate, int64_t n, double level);

/* ---- text ------------------------------------------------------------------------------------------------------- */
/* Porter's stemmer as nltk.stem.PorterStemmer does it (mode NLTK_EXTENSIONS): in place on n lower-case ASCII
 * characters, returns the new length (never more than n). */
size_t ul_porter_stem(char *word, size_t n);
/* rouge_score's scores of one text against its reference: lower case, split at [^a-z0-9]+, tokens longer than 3
 * stemmed when `stem`. An empty side scores 0. */
typedef struct {
    double precision, recall, f1;
} ul_prf;
typedef struct {
    ul_prf rouge1, rouge2, rougeL;
} ul_rouge_scores;
ul_status ul_rouge(ul_arena *scratch, const char *reference, const char *text, bool stem, ul_rouge_scores *out) UL_MUST;
/* ROUGE-L of the package "rouge" (pltrdy), over sets of words; not interchangeable with the above. */
ul_status ul_rouge_set(ul_arena *scratch, const char *reference, const char *text, ul_prf *out) UL_MUST;
/* Words of a text as numbers, equal exactly when the words are: runs of letters, digits and bytes beyond ASCII; every
 * other visible character is a word of its own; case counts. */
ul_status ul_words(ul_arena *a, const char *text, int64_t **out, int64_t *n) UL_MUST;
/* The n-grams of a sequence: entropy of their frequencies in bits, and distinct ones / all.
 * A sequence that is too short for one has 0 of either. */
ul_status ul_ngrams(ul_arena *scratch, const int64_t *id, int64_t n, int order, double *entropy,
                    double *distinct) UL_MUST;
#endif
