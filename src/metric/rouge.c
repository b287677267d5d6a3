/* rouge.c - how much of the true answer the generated text repeats: ROUGE-1 recall, ROUGE-L recall and F1 against the
 * ground truth, with Porter's stemmer; mean of one of them over rows.
 * Lin (2004); Maini et al. (2024), "TOFU", section 2.2.2; open-unlearning `rouge`. MUSE's own code does not stem. */
#include "metric/metric_impl.h"

static const ul_param params[] = {
    {"rouge_type", UL_TEXT, 0, 0, 0, "rougeL_recall|rougeL_f1|rouge1_recall", "which score is averaged",
     "rougeL_recall"},
    {"stem", UL_BOOL, 1, 0, 1, NULL, "stem tokens longer than 3 characters", NULL},
    {0},
};

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)n_in;
    const ul_columns *c = in[0].columns;
    const int64_t n = ul_columns_answers(c);
    double *r1 = UL_NEW(a, double, n), *f1 = UL_NEW(a, double, n), *rl = UL_NEW(a, double, n);
    UL_NEED(r1);
    UL_NEED(f1);
    UL_NEED(rl);
    for (int64_t j = 0; j < n; j++) {
        ul_rouge_scores s;
        UL_TRY(ul_rouge(a, c->ground_truth[j], c->generation[j], ul_num(args, "stem") != 0, &s));
        r1[j] = s.rouge1.recall;
        f1[j] = s.rougeL.f1;
        rl[j] = s.rougeL.recall;
    }
    ul_columns *o = ul_part_start(out, 0, "", c);
    o->first = c->first;
    o->rouge1_recall = r1;
    o->rougeL_f1 = f1;
    o->rougeL_recall = rl;
    o->ground_truth = c->ground_truth;
    o->generation = c->generation;
    return UL_OK;
}

static ul_status aggregate(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)in, (void)n_in;
    UL_TRY(ul_part_mean(a, &out->part[0], ul_txt(args, "rouge_type")));
    out->agg_value = out->part[0].agg_value;
    return UL_OK;
}

const ul_metric ul_metric_rouge = {
    .title = "ROUGE of the generated answer against the true one",
    .paper = "aclanthology.org/W04-1013",
    .unit = "share",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .params = params,
    .needs = {{"data", UL_COL_GENERATION | UL_COL_GROUND_TRUTH, false}},
    .fields = {"rouge1_recall", "rougeL_f1", "rougeL_recall", "ground_truth", "generation"},
    .rows = rows,
    .aggregate = aggregate,
};
