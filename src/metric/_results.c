/* _results.c - results by name: what TOFU's table consists of, in open-unlearning's names and configuration
 * (configs/eval/tofu_metrics, commit d3d7cf9), and computing one from what is known about a model. */
#include "metric/metric_impl.h"
#include <math.h>
#include <string.h>

#define DATA(part, set, field) {.role = part, .data = set, .key = field}
#define OF(part, name) {.role = part, .result = name}
#define CONTROL(name) {.role = "retain", .reference = name}
#define PROB(name, set, field, how) {name, "probability", NULL, how, {DATA("data", set, field)}}
#define ROUGE(name, set, field, how) {name, "rouge", NULL, how, {DATA("data", set, field)}}
#define ONE(name, metric, args, set, field, how) {name, metric, args, how, {DATA("data", set, field)}}
#define RATIO(name, how, right, wrong, better)                                                                         \
    {name, "truth_ratio", how, better, {OF("correct", right), OF("wrong", wrong)}}
#define SHARE(name, right, wrong)                                                                                      \
    {name, "probability_w_options", NULL, UL_BETTER_HIGHER, {OF("correct", right), OF("wrong", wrong)}}
#define MIA(name, args)                                                                                                \
    {name, name, args, UL_BETTER_CLOSER, {DATA("forget", "forget", "answer"), DATA("holdout", "holdout", "answer")}}
#define CLOSE(name, mia) {name, "s_mia", NULL, UL_BETTER_HIGHER, {OF("forget", mia), CONTROL(mia)}}
#define PART(name) OF(name, name)

static const ul_result_spec tofu[] = {
    PROB("forget_Q_A_Prob", "forget", "answer", UL_BETTER_LOWER),
    PROB("forget_Q_A_PARA_Prob", "forget", "paraphrased_answer", UL_BETTER_LOWER),
    PROB("forget_Q_A_PERT_Prob", "forget", "perturbed_answer", UL_BETTER_HIGHER),
    ROUGE("forget_Q_A_ROUGE", "forget", "answer", UL_BETTER_LOWER),
    ROUGE("forget_Q_A_PARA_ROUGE", "forget", "paraphrased_answer", UL_BETTER_LOWER),
    PROB("retain_Q_A_Prob", "retain", "answer", UL_BETTER_HIGHER),
    PROB("retain_Q_A_PARA_Prob", "retain", "paraphrased_answer", UL_BETTER_HIGHER),
    PROB("retain_Q_A_PERT_Prob", "retain", "perturbed_answer", UL_BETTER_LOWER),
    ROUGE("retain_Q_A_ROUGE", "retain", "answer", UL_BETTER_HIGHER),
    PROB("ra_Q_A_Prob", "real_authors", "answer", UL_BETTER_HIGHER),
    PROB("ra_Q_A_PERT_Prob", "real_authors", "perturbed_answer", UL_BETTER_LOWER),
    ROUGE("ra_Q_A_ROUGE", "real_authors", "answer", UL_BETTER_HIGHER),
    PROB("wf_Q_A_Prob", "world_facts", "answer", UL_BETTER_HIGHER),
    PROB("wf_Q_A_PERT_Prob", "world_facts", "perturbed_answer", UL_BETTER_LOWER),
    ROUGE("wf_Q_A_ROUGE", "world_facts", "answer", UL_BETTER_HIGHER),
    RATIO("forget_truth_ratio", "aggregator=closer_to_1_better", "forget_Q_A_PARA_Prob", "forget_Q_A_PERT_Prob",
          UL_BETTER_HIGHER),
    /* TOFU's paper; its code and open-unlearning take the geometric mean over the wrong answers */
    RATIO("forget_truth_ratio_arithmetic", "aggregator=closer_to_1_better wrong=arithmetic", "forget_Q_A_PARA_Prob",
          "forget_Q_A_PERT_Prob", UL_BETTER_HIGHER),
    RATIO("forget_truth_ratio_prob_mean", "aggregator=prob_mean", "forget_Q_A_PARA_Prob", "forget_Q_A_PERT_Prob",
          UL_BETTER_LOWER),
    RATIO("retain_Truth_Ratio", "aggregator=true_better", "retain_Q_A_PARA_Prob", "retain_Q_A_PERT_Prob",
          UL_BETTER_HIGHER),
    SHARE("ra_Q_A_Prob_normalised", "ra_Q_A_Prob", "ra_Q_A_PERT_Prob"),
    RATIO("ra_Truth_Ratio", "aggregator=true_better", "ra_Q_A_Prob", "ra_Q_A_PERT_Prob", UL_BETTER_HIGHER),
    SHARE("wf_Q_A_Prob_normalised", "wf_Q_A_Prob", "wf_Q_A_PERT_Prob"),
    RATIO("wf_Truth_Ratio", "aggregator=true_better", "wf_Q_A_Prob", "wf_Q_A_PERT_Prob", UL_BETTER_HIGHER),
    {"model_utility",
     "hm_aggregate",
     NULL,
     UL_BETTER_HIGHER,
     {PART("retain_Q_A_Prob"), PART("retain_Q_A_ROUGE"), PART("retain_Truth_Ratio"), PART("ra_Q_A_Prob_normalised"),
      PART("ra_Q_A_ROUGE"), PART("ra_Truth_Ratio"), PART("wf_Q_A_Prob_normalised"), PART("wf_Q_A_ROUGE"),
      PART("wf_Truth_Ratio")}},
    {"forget_quality",
     "ks_test",
     NULL,
     UL_BETTER_HIGHER,
     {OF("forget", "forget_truth_ratio"), CONTROL("forget_truth_ratio")}},
    {"forget_quality_D", /* p falls with the number of rows, D does not: forget01 and forget10 compare by it */
     "ks_test",
     "report=d",
     UL_BETTER_LOWER,
     {OF("forget", "forget_truth_ratio"), CONTROL("forget_truth_ratio")}},
    {"exact_memorization",
     "exact_memorization",
     "match=open-unlearning",
     UL_BETTER_LOWER,
     {DATA("data", "forget", "answer")}},
    {"extraction_strength",
     "extraction_strength",
     "match=open-unlearning",
     UL_BETTER_LOWER,
     {DATA("data", "forget", "answer")}},
    MIA("mia_loss", NULL),
    MIA("mia_zlib", NULL),
    MIA("mia_min_k", "k=0.4 match=open-unlearning"),
    MIA("mia_min_k_plus_plus", "k=0.4 match=open-unlearning"),
    MIA("mia_gradnorm", NULL),
    MIA("mia_reference", NULL),
    {"privleak", "privleak", NULL, UL_BETTER_CLOSER, {OF("forget", "mia_min_k"), CONTROL("mia_min_k")}},
    /* the final ranking: Memorization, Privacy, Utility, and the mean of the three */
    {"memorization",
     "hm_aggregate",
     "complement=true",
     UL_BETTER_HIGHER,
     {PART("extraction_strength"), PART("exact_memorization"), PART("forget_Q_A_PARA_Prob"),
      PART("forget_truth_ratio_prob_mean")}},
    CLOSE("s_mia_loss", "mia_loss"),
    CLOSE("s_mia_zlib", "mia_zlib"),
    CLOSE("s_mia_min_k", "mia_min_k"),
    CLOSE("s_mia_min_k_plus_plus", "mia_min_k_plus_plus"),
    {"privacy",
     "hm_aggregate",
     NULL,
     UL_BETTER_HIGHER,
     {PART("s_mia_loss"), PART("s_mia_zlib"), PART("s_mia_min_k"), PART("s_mia_min_k_plus_plus")}},
    {"forget_Q_A_gibberish", "classification_prob", NULL, UL_BETTER_HIGHER, {DATA("data", "forget", "answer")}},
    {"utility_relative",
     "relative_utility",
     NULL,
     UL_BETTER_HIGHER,
     {OF("utility", "model_utility"),
      {.role = "original", .original = "model_utility"},
      {.role = "fluency", .result = "forget_Q_A_gibberish", .optional = true},
      {.role = "original fluency", .original = "forget_Q_A_gibberish", .optional = true}}},
    {"aggregate",
     "hm_aggregate",
     NULL,
     UL_BETTER_HIGHER,
     {PART("memorization"), PART("privacy"), PART("utility_relative")}},
    /* beyond open-unlearning: sense and refusals of what is generated */
    ONE("forget_perplexity", "perplexity", NULL, "forget", "answer", UL_BETTER_HIGHER),
    ONE("retain_perplexity", "perplexity", NULL, "retain", "answer", UL_BETTER_LOWER),
    ONE("forget_refusal_rate", "refusal_rate", NULL, "forget", "answer", UL_BETTER_LOWER),
    ONE("retain_refusal_rate", "refusal_rate", NULL, "retain", "answer", UL_BETTER_LOWER),
    ONE("forget_ngram_entropy", "ngram_entropy", NULL, "forget", "answer", UL_BETTER_HIGHER),
    ONE("retain_ngram_entropy", "ngram_entropy", NULL, "retain", "answer", UL_BETTER_HIGHER),
    ONE("forget_distinct_2", "distinct_n", "n=2", "forget", "answer", UL_BETTER_HIGHER),
    ONE("forget_repetition_4", "repetition", "n=4", "forget", "answer", UL_BETTER_LOWER),
    ONE("retain_repetition_4", "repetition", "n=4", "retain", "answer", UL_BETTER_LOWER),
    /* sampled answers */
    ROUGE("forget_sample_ROUGE", "forget", "sampled_answer", UL_BETTER_LOWER),
    {"forget_leak_at_1", "leak_at_k", "k=1 score=rougeL_recall", UL_BETTER_LOWER, {OF("data", "forget_sample_ROUGE")}},
    {"forget_leak_at_all",
     "leak_at_k",
     "k=0 score=rougeL_recall",
     UL_BETTER_LOWER,
     {OF("data", "forget_sample_ROUGE")}},
    {"forget_leak_bound", "leak_bound", "score=rougeL_recall", UL_BETTER_LOWER, {OF("data", "forget_sample_ROUGE")}},
    {"forget_leak_bound_mean",
     "leak_bound",
     "bound=mean score=rougeL_recall",
     UL_BETTER_LOWER,
     {OF("data", "forget_sample_ROUGE")}},
    {"forget_leak_deviation",
     "leak_deviation",
     "score=rougeL_recall",
     UL_BETTER_LOWER,
     {OF("data", "forget_sample_ROUGE")}},
    {"forget_leak_expectation_deviation",
     "leak_deviation",
     "of=expectation_deviation score=rougeL_recall",
     UL_BETTER_LOWER,
     {OF("data", "forget_sample_ROUGE")}},
    /* distance to the retrained control itself */
    ONE("forget_KL", "kl_divergence", NULL, "forget", "answer", UL_BETTER_LOWER),
    ONE("forget_KL_reverse", "kl_divergence", "direction=reverse", "forget", "answer", UL_BETTER_LOWER),
    ONE("forget_JS", "js_divergence", NULL, "forget", "answer", UL_BETTER_LOWER),
    ONE("forget_agreement", "prediction_agreement", NULL, "forget", "answer", UL_BETTER_HIGHER),
    ONE("retain_KL", "kl_divergence", NULL, "retain", "answer", UL_BETTER_LOWER),
    ONE("retain_JS", "js_divergence", NULL, "retain", "answer", UL_BETTER_LOWER),
    ONE("retain_agreement", "prediction_agreement", NULL, "retain", "answer", UL_BETTER_HIGHER),
};
enum { N_TOFU = sizeof tofu / sizeof *tofu, MAX_SOURCE = 10 };

const ul_result_spec *ul_tofu_results(int *n)
{
    *n = N_TOFU;
    return tofu;
}

const ul_result_spec *ul_tofu_result(const char *name)
{
    for (int i = 0; i < N_TOFU; i++) {
        if (strcmp(tofu[i].name, name) == 0) return &tofu[i];
    }
    return NULL;
}

ul_status ul_leak_result(ul_arena *a, int64_t k, ul_result_spec *out)
{
    *out =
        (ul_result_spec){.metric = "leak_at_k", .better = UL_BETTER_LOWER, .from = {OF("data", "forget_sample_ROUGE")}};
    UL_NEED(out->name = ul_format(a, "forget_leak_at_%lld", (long long)k));
    UL_NEED(out->args = ul_format(a, "k=%lld score=rougeL_recall", (long long)k));
    return UL_OK;
}

ul_status ul_leak_named(ul_arena *a, const char *name, ul_result_spec *out)
{
    static const char prefix[] = "forget_leak_at_";
    int64_t k;
    *out = (ul_result_spec){0};
    if (strncmp(name, prefix, sizeof prefix - 1) || !ul_parse_int(name + sizeof prefix - 1, &k) || k < 1) return UL_OK;
    return ul_leak_result(a, k, out);
}

ul_status ul_result_args(ul_arena *a, const ul_result_spec *spec, ul_args *out)
{
    const ul_metric *m;
    UL_TRY(ul_metric_find(ul_arena_ctx(a), spec->metric, &m));
    ul_args_default(m->params, out);
    for (const char *s = spec->args; s && *s;) {
        const size_t n = strcspn(s, " "), k = strcspn(s, "=");
        char *key = ul_strndup(a, s, k), *value = k < n ? ul_strndup(a, s + k + 1, n - k - 1) : NULL;
        UL_NEED(key);
        UL_NEED(value);
        UL_TRY(ul_args_set(a, out, spec->metric, key, value));
        s += n + strspn(s + n, " ");
    }
    return UL_OK;
}

static const ul_result *by_name(const ul_named_result *list, int n, const char *name)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(list[i].name, name) == 0) return list[i].result;
    }
    return NULL;
}

static void from_result(const ul_result *r, ul_input *in)
{
    in->agg_value = r->agg_value;
    in->columns = r->n_part == 1 ? &r->part[0].rows : NULL;
}

static ul_status from_data(ul_ctx *ctx, const ul_source *s, const ul_known *known, ul_input *in)
{
    for (int i = 0; i < known->n_data; i++) {
        if (strcmp(known->data[i].data, s->data) == 0 && strcmp(known->data[i].key, s->key) == 0) {
            in->columns = known->data[i].columns;
            return UL_OK;
        }
    }
    return ul_fail(ctx, UL_E_INPUT, "no columns of the data set \"%s\", field \"%s\"", s->data, s->key);
}

static ul_status absent(ul_arena *a, ul_result *out, const char *fmt, const char *name)
{
    out->absent = true;
    UL_NEED(out->why = ul_format(a, fmt, name));
    return UL_OK;
}

/* Fills `in`. Without a control (without the original) its input is left out; one that lacks the result, or a result of
 * this model that is absent, makes this one absent. */
static ul_status gather(ul_arena *a, const ul_result_spec *spec, const ul_known *known, ul_input *in, int *n_in,
                        ul_result *out)
{
    ul_ctx *ctx = ul_arena_ctx(a);
    for (int i = 0; i < MAX_SOURCE && spec->from[i].role; i++) {
        const ul_source *s = &spec->from[i];
        ul_input *to = &in[*n_in];
        *to = (ul_input){s->role, NULL, NAN};
        if (s->data) {
            UL_TRY(from_data(ctx, s, known, to));
        } else if (s->result) {
            const ul_result *r = by_name(known->result, known->n_result, s->result);
            if (s->optional && (!r || r->absent)) continue;
            if (!r) return ul_fail(ctx, UL_E_INPUT, "it is computed from %s, which is not there", s->result);
            if (r->absent) {
                out->absent = true;
                out->why = r->why;
                return UL_OK;
            }
            from_result(r, to);
        } else if (s->original) {
            const ul_result *r = by_name(known->original, known->n_original, s->original);
            if (!known->n_original || (s->optional && (!r || r->absent))) continue;
            if (!r || r->absent) return absent(a, out, "the log of the original model has no %s", s->original);
            from_result(r, to);
        } else {
            const ul_result *r = by_name(known->reference, known->n_reference, s->reference);
            if (!known->n_reference) continue;
            if (!r || r->absent) return absent(a, out, "the log of the retrained control has no %s", s->reference);
            from_result(r, to);
        }
        (*n_in)++;
    }
    return UL_OK;
}

ul_status ul_result_compute(ul_arena *a, const ul_result_spec *spec, const ul_known *known, ul_result *out)
{
    ul_ctx *ctx = ul_arena_ctx(a);
    const ul_metric *m;
    ul_args args;
    ul_input in[MAX_SOURCE];
    int n = 0;
    *out = (ul_result){0};
    UL_TRY(ul_metric_find(ctx, spec->metric, &m));
    UL_TRY(ul_result_args(a, spec, &args));
    ul_status s = gather(a, spec, known, in, &n, out);
    if (s != UL_OK) return ul_fail_in(ctx, s, "%s", spec->name);
    if (!out->absent) s = ul_metric_compute(a, m, &args, in, n, out);
    if (s == UL_OK || !strcmp(spec->name, spec->metric)) return s; /* the metric has said its name */
    return ul_fail_in(ctx, s, "%s", spec->name);
}
