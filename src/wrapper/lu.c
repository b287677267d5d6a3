/* lu.c - layered unlearning: the forget set in k folds; stage i forgets folds 1 .. i and keeps folds i + 1 .. k.
 *
 * Each fold so gets a mechanism of its own, and relearning some folds does not bring back the others. Qian et al. 2025,
 * "Layered Unlearning for Adversarial Relearning", arXiv:2505.09500. Folds are consecutive rows of the forget file
 * (order it as you want it folded; TOFU's is by author). The run's steps are dealt evenly to the stages, so give k
 * times the epochs. A sample of stage i takes its forget row (with its alternate) from the run's shuffled order, rows
 * of later folds passed over; its retain document is with probability `share` one of the folds still to be kept, else
 * of the retain set. Where the retain term looks at the reference (KL, hidden states), the reference's numbers of the
 * forget rows lie behind those of the retain rows. */
#include "wrapper/wrapper.h"

static const ul_param params[] = {
    {"folds", UL_INT, 4, 1, 1000, NULL, "parts of the forget set, one stage each; 1: nothing changes", NULL},
    {"share", UL_REAL, 0.5, 0, 1, NULL, "of the retain documents that come from the folds not yet forgotten", NULL},
    {0}};

static ul_status begin(ul_wrap *w)
{
    const int64_t folds = (int64_t)ul_num(w->args, "folds");
    const ul_pairing *p = w->o->pairing;
    w->off = folds == 1;
    if (!p) return ul_fail(w->ctx, UL_E_INTERNAL, "lu deals out the rows of a forget set, and this run has none");
    if (folds > p->forget->n || folds > w->steps)
        return ul_fail(w->ctx, UL_E_USAGE, "--lu.folds %lld: the forget set has %lld rows, the run %lld steps",
                       (long long)folds, (long long)p->forget->n, (long long)w->steps);
    ul_doc *kept = UL_NEW(w->arena, ul_doc, p->forget->n);
    UL_NEED(w->state = kept);
    for (int64_t i = 0; p->retain && i < p->forget->n; i++) {
        kept[i] = p->forget->at[i];
        kept[i].id = p->retain->n + i; /* as UL_WRAP_FOLDS says */
    }
    return UL_OK;
}

/* The sample of this place among those of an epoch whose forget row lies below `bound`. */
static ul_status pick(ul_wrap *w, int64_t epoch, int64_t place, int64_t bound, ul_sample *out)
{
    const ul_docs *forget = w->o->pairing->forget;
    for (int64_t i = 0; i < forget->n; i++) {
        UL_TRY(ul_pairing_sample(w->ctx, w->o->pairing, epoch * forget->n + i, out));
        if (out->doc[UL_FORGET] - forget->at < bound && place-- == 0) return UL_OK;
    }
    return ul_fail(w->ctx, UL_E_INTERNAL, "lu: epoch %lld has fewer than %lld rows of the folds", (long long)epoch,
                   (long long)bound);
}

static ul_status sample(ul_wrap *w, int64_t step, int32_t i, ul_sample *io)
{
    const ul_doc *kept = w->state;
    const int64_t n = w->o->pairing->forget->n, folds = (int64_t)ul_num(w->args, "folds"), batch = w->o->recipe->batch;
    const int64_t stage = step * folds / w->steps, first = (stage * w->steps + folds - 1) / folds; /* both from 0 */
    const int64_t bound = n * (stage + 1) / folds, at = (step - first) * batch + i, epochs = w->steps * batch / n;
    UL_TRY(pick(w, epochs ? at / bound % epochs : 0, at % bound, bound, io));
    if (bound == n || !io->doc[UL_RETAIN]) return UL_OK;
    const uint64_t draw = (uint64_t)(step * batch + i), seed = w->o->recipe->seed;
    if (ul_rng_uniform(seed, UL_STREAM_FOLDS, 0, draw) < ul_num(w->args, "share"))
        io->doc[UL_RETAIN] =
            &kept[bound + (int64_t)ul_rng_below(seed, UL_STREAM_FOLDS, 1, draw, (uint64_t)(n - bound))];
    return UL_OK;
}

const ul_wrapper ul_wrapper_lu = {
    .title = "Layered unlearning",
    .paper = "arXiv:2505.09500",
    .note = "Forgets the set fold by fold while the later folds are kept: relearning one part does not bring back the "
            "rest.",
    .params = params,
    .flags = UL_WRAP_RETAIN | UL_WRAP_FOLDS,
    .begin = begin,
    .sample = sample,
};
