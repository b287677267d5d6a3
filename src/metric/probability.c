/* probability.c - how likely the model finds the answer: prob = exp(-avg_loss), the geometric mean of its tokens'
 * probabilities, end of sequence included; mean over rows, several answers of a row averaged first.
 * Maini et al. (2024), "TOFU", section 2.2.2; open-unlearning `probability`. */
#include "metric/metric_impl.h"

static ul_status rows(ul_arena *a, const ul_args *args, const ul_input *in, int n_in, ul_result *out)
{
    (void)a, (void)args, (void)n_in;
    ul_columns *c = ul_part_start(out, 0, "", in[0].columns);
    c->first = in[0].columns->first;
    c->prob = in[0].columns->prob;
    c->avg_loss = in[0].columns->avg_loss;
    return UL_OK;
}

const ul_metric ul_metric_probability = {
    .title = "answer probability, length-normalised",
    .paper = "arXiv 2401.06121",
    .unit = "probability",
    .lo = 0,
    .hi = 1,
    .better = UL_BETTER_HIGHER,
    .needs = {{"data", UL_COL_AVG_LOSS | UL_COL_PROB, false}},
    .fields = {"prob", "avg_loss"},
    .rows = rows,
    .aggregate = ul_mean_of_prob,
};
