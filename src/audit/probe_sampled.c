/* probe_sampled.c - E11, leak@k (arXiv 2511.04934): answers are drawn, and the most telling of k counts: the unbiased
 * mean of the largest novel recall among k of n samples. Large k leaks from the control too; recovery is measured from
 * there. */
#include "audit/battery.h"
#include <math.h>

static ul_status leak(const ul_probing *p, ul_arena *scratch, const ul_records *in, double **out)
{
    const ul_audit *a = p->audit;
    const int64_t n = (int64_t)ul_num(a->attack, "leak-samples"), k = (int64_t)ul_num(a->attack, "leak-k");
    double *score = UL_NEW(scratch, double, in->n * n);
    UL_NEED(score);
    UL_NEED(*out = UL_NEW(a->arena, double, in->n));
    ul_eval_options o = a->o;
    ul_columns said = {.name = "sampled answers"};
    o.model = p->model;
    o.guard = p->guard;
    o.samples = (int32_t)n;
    o.temperature = ul_num(a->attack, "leak-temperature");
    o.seed = a->seed;
    UL_TRY(ul_columns_samples(a->ctx, scratch, &o, in, &said));
    for (int64_t i = 0; i < in->n; i++)
        for (int64_t j = 0; j < n; j++)
            score[i * n + j] = ul_novel_recall(in->at[i].prompt, in->at[i].answer, said.generation[i * n + j]);
    for (int64_t i = 0; i < in->n; i++) (*out)[i] = ul_expected_max(score + i * n, n, k);
    return UL_OK;
}

ul_status ul_probe_sampled(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const ul_audit *a = p->audit;
    ul_arena *scratch;
    (void)probe;
    out->retain = NAN;
    if (ul_num(a->attack, "leak-k") > ul_num(a->attack, "leak-samples"))
        return ul_fail(a->ctx, UL_E_USAGE, "--leak-k is %.0f, --leak-samples only %.0f: the best of k needs k samples",
                       ul_num(a->attack, "leak-k"), ul_num(a->attack, "leak-samples"));
    UL_TRY(ul_arena_new(a->ctx, "sampled answers", &scratch));
    ul_status s = leak(p, scratch, a->forget, &out->forget);
    if (s == UL_OK && a->phantom) s = leak(p, scratch, a->phantom, &out->phantom);
    ul_arena_free(scratch);
    out->said = out->forget;
    out->phantom_said = out->phantom;
    out->ran = s == UL_OK;
    return s;
}
