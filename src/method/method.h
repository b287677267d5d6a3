/* method.h - what the method files share: the retain term. The public record is in unlearn/method.h. */
#ifndef UL_METHOD_H
#define UL_METHOD_H
#include "stat/stat.h"
#include "unlearn/method.h"

/* alpha * NLL or alpha * KL of the retain document, as the parameters "alpha" and "retain" say:
 *   nll   -alpha / n_tok * sum_t log p(y_t)
 *   kl     alpha / n_tok * sum_t KL(reference || model)_t
 * n_tok counts the scored tokens of all retain documents of the step. Adds into dlogp or dkl. */
double ul_retain_term(const ul_args *args, ul_side *retain);
/* The same without alpha: this document's part of L_r; `weight` times its gradient is added. */
double ul_retain_loss(const ul_args *args, ul_side *retain, double weight);
/* gamma * mean over the forget side's tokens of KL(target || model): this document's part; adds into dkl. */
double ul_forget_kl(const ul_args *args, ul_side *forget);
/* The parameter "top". */
int32_t ul_target_top(const ul_args *args);
/* `needs`, plus UL_NEED_RETAIN_KL when "retain" is kl: what `needs_of` is where nothing else decides. */
unsigned ul_retain_needs(const ul_args *args, unsigned needs);
/* The same where alpha is above 0; else no retain rows. */
unsigned ul_some_retain_needs(const ul_args *args, unsigned needs);

double ul_side_sum(const double *x, int32_t n); /* a chain in rising order; 0 for NULL */
/* w times the mean of x over the document's tokens, over the step's documents; its gradient is added to d. */
double ul_side_mean(const ul_side *s, const double *x, double *d, double w);
/* Ascent on one token with a weight that is held constant: adds w to dlogp[t] and gives w log p(y_t). */
double ul_ascend(ul_side *s, int32_t t, double w);
/* 2 p^beta / (p^beta + p_ref^beta + eps) of token t, by the parameters "beta" and "eps". */
double ul_npo_token_weight(const ul_args *args, const ul_side *s, int32_t t);

/* Methods of hidden states (_state.c). The block that parameter `key` names; -1: so many sixteenths of the way up. */
int ul_state_layer(const ul_args *args, const char *key, int n_layer, int sixteenths);
/* "layer" of rmu and its kin; -1: rmu's block 7 of 32 in proportion; -2: of fewer than 8 the last, else as -1. */
int ul_steered_layer(const ul_args *args, int n_layer);
/* weight * mean over documents of the means of dist over their tokens: this document's part; adds into ddist. */
double ul_state_term(ul_side *s, double weight);

/* The parameter, or where it is negative, as small models have it, what suits the depth; rmu's alpha. */
double ul_by_depth(const ul_args *args, const char *key, int n_layer, double few, double many);
double ul_state_alpha(const ul_args *args, const ul_side *retain);
enum { UL_STATE_ALPHA_FEW = 10 };

#define UL_PARAM_STATE_ALPHA                                                                                           \
    {                                                                                                                  \
        "alpha", UL_REAL, 1200, -1, 1e6, NULL,                                                                         \
            "weight of the retain term; -1 (small models): 10 if they have fewer than 8 blocks, else 1200", NULL       \
    }
#define UL_PARAM_STEERED_LAYER(what)                                                                                   \
    {                                                                                                                  \
        "layer", UL_INT, -1, -2, 1000, "block",                                                                        \
            "block whose output is " what ", from 0; -1: the 7th of 32 in proportion; -2 (small models): the last if " \
            "they have fewer than 8, else as -1",                                                                      \
            NULL                                                                                                       \
    }
#define UL_PARAM_LAYER(help)                                                                                           \
    {                                                                                                                  \
        "layer", UL_INT, -1, -1, 1000, "block", help, NULL                                                             \
    }
#define UL_PARAM_ALPHA(dflt)                                                                                           \
    {                                                                                                                  \
        "alpha", UL_REAL, dflt, 0, 1000, NULL, "weight of the retain term", NULL                                       \
    }
#define UL_PARAM_GAMMA(dflt)                                                                                           \
    {                                                                                                                  \
        "gamma", UL_REAL, dflt, 0, 1000, NULL, "weight of the forget term", NULL                                       \
    }
#define UL_PARAM_TOKEN_EPS                                                                                             \
    {                                                                                                                  \
        "eps", UL_REAL, 0, 0, 1, NULL, "added to the weight's denominator (the authors' program: 1e-5)", NULL          \
    }
#define UL_PARAM_RETAIN                                                                                                \
    {                                                                                                                  \
        "retain", UL_TEXT, 0, 0, 0, "nll|kl",                                                                          \
            "retain term: nll = likelihood of the answers, kl = stay near the reference", "nll"                        \
    }
#endif
