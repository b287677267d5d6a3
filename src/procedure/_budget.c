/* _budget.c - how far to go in a direction: as far as a text that shall stay allows.
 *
 *   mean over scored tokens of KL(p_0 || p_(from + a d)) = budget, solved for a
 *
 * The controller of RepSelect (Sondej, Yang and Mahdi 2026, arXiv:2606.17168: Wikitext, budget 0.01, accepted
 * from 0.95 of it on, at most 30 measurements). Theirs brackets by 8 and bisects log a; here the next a is where
 * a power law through what was measured meets the budget (KL grows as a^2 where a is small), which takes about a
 * third of the measurements. It serves everything that ends in a direction: one number to give, in nats, with
 * the same meaning for every method. Trap: steps added to bf16 weights stall, so every trial starts from the
 * stored ones. */
#include "procedure/procedure.h"
#include <math.h>

enum { MOST_TOKENS = 4096, MOST_TRIALS = 30 };

unsigned ul_budget_needs(const ul_args *args, unsigned needs)
{
    const unsigned rows = UL_NEED_RETAIN;
    return ul_num(args, "kl") > 0 ? needs | rows : needs & ~rows;
}

ul_status ul_budget_open(ul_work *w, const ul_docs *docs, int64_t n_docs, ul_budget *out)
{
    char digest[65];
    const char *dir = w->out_dir ? ul_format(w->arena, "%s/%s/budget", w->out_dir, UL_STAGES_NAME) : NULL;
    *out = (ul_budget){.w = w};
    if (w->out_dir) UL_NEED(dir);
    UL_TRY(ul_work_draw(w, docs, n_docs, &out->docs));
    UL_TRY(ul_model_digest(w->ctx, w->model, digest));
    UL_TRY(ul_reference_open(w->ctx, w->arena, w->model, dir, digest, out->docs, true, &out->ref));
    for (int64_t i = 0; i < out->docs->n; i++) out->n += ul_reference_rows(out->ref, i);
    if (out->n == 0)
        return ul_fail(w->ctx, UL_E_INPUT, "%s: no token of the retain rows is scored, so there is no KL to keep small",
                       w->id);
    UL_NEED(out->kl = UL_NEW(w->arena, double, out->n));
    return UL_OK;
}

/* Documents first .. last-1; their rows begin at `row`. */
static ul_status measure(ul_budget *b, ul_arena *arena, int64_t first, int64_t last, int64_t row)
{
    const ul_doc **docs = UL_NEW(arena, const ul_doc *, last - first);
    ul_batch *batch;
    UL_NEED(docs);
    for (int64_t i = first; i < last; i++) docs[i - first] = &b->docs->at[i];
    UL_TRY(ul_pack_docs(b->w->ctx, arena, docs, (int32_t)(last - first), false, &batch));
    if (batch->n_row == 0) return UL_OK;
    uint8_t *soft = UL_NEW(arena, uint8_t, batch->n_row);
    UL_NEED(soft);
    for (int32_t i = 0; i < batch->n_row; i++) soft[i] = UL_SOFT_KL;
    ul_pass pass = {.batch = batch, .last = -1, .soft = soft, .ref_hidden = ul_reference_hidden(b->ref, first),
                    .ref_head = ul_reference_head(b->ref), .score = {.kl = b->kl + row}};
    return ul_model_forward(b->w->ctx, b->w->model, &pass);
}

ul_status ul_budget_measure(ul_budget *b, double *kl)
{
    ul_arena *arena;
    ul_status s = UL_OK;
    int64_t row = 0;
    UL_TRY(ul_arena_new(b->w->ctx, "budget", &arena));
    for (int64_t i = 0, k; i < b->docs->n && s == UL_OK; i = k) {
        int64_t tokens = 0, rows = 0;
        for (k = i; k < b->docs->n && (k == i || tokens + b->docs->at[k].n <= MOST_TOKENS); k++)
            tokens += b->docs->at[k].n, rows += ul_reference_rows(b->ref, k);
        s = measure(b, arena, i, k, row);
        row += rows;
        ul_arena_reset(arena);
    }
    ul_arena_free(arena);
    double sum = 0;
    for (int64_t i = 0; i < b->n; i++) sum += b->kl[i];
    *kl = sum / (double)b->n;
    return s;
}

/* ---- search ------------------------------------------------------------------------------------------------------ */
typedef struct {
    ul_budget *b;
    const ul_move *move;
    int trials;
    double lo, lo_kl, hi, hi_kl; /* within, beyond the budget; 0: none yet */
    bool flat;                   /* going on past lo brings no more KL */
} search;
enum { FARTHEST = 64 }; /* of a step beyond all that was tried */

/* A model that overflows at this scale is beyond any budget. */
static ul_status try_at(search *s, double a, double budget, double *kl)
{
    ul_move_to(s->move, a);
    UL_TRY(ul_budget_measure(s->b, kl));
    s->trials++;
    s->flat = *kl <= budget && !(s->hi > 0) && a >= 2 * s->lo && *kl <= 1.01 * s->lo_kl;
    if (*kl <= budget) s->lo = a, s->lo_kl = *kl;
    else s->hi = a, s->hi_kl = *kl;
    if (!ul_interrupted(s->b->w->ctx)) return UL_OK;
    return ul_fail(s->b->w->ctx, UL_E_CRITERION, "interrupted in the search for a scale");
}

/* Where the KL should be `aim`: between lo and hi where both are known, every third time in their middle; beyond what
 * is known by at least 2, for KL may be flat there. */
static double next_scale(const search *s, double aim)
{
    if (!(s->hi > 0) || !(s->lo > 0)) {
        const double kl = s->lo > 0 ? s->lo_kl : s->hi_kl, ratio = s->lo > 0 ? aim / kl : kl / aim;
        const double step = ratio > 4 ? sqrt(ratio) : 2, far = step < FARTHEST ? step : FARTHEST;
        return s->lo > 0 ? s->lo * far : s->hi / far;
    }
    double part = 0.5; /* of the way from log lo to log hi */
    if (s->trials % 3 && s->lo_kl > 0 && isfinite(s->hi_kl))
        part = ul_log(aim / s->lo_kl) / ul_log(s->hi_kl / s->lo_kl);
    part = part < 0.05 ? 0.05 : part > 0.95 ? 0.95 : part;
    return s->lo * ul_exp(part * ul_log(s->hi / s->lo));
}

ul_status ul_budget_search(ul_budget *b, const ul_move *move, double budget, double *scale)
{
    search s = {.b = b, .move = move};
    const double d = ul_arrays_norm(&move->from, move->d), size = ul_arrays_norm(&move->from, move->from.p);
    double kl, a = *scale;
    if (!(d > 0) || !isfinite(d))
        return ul_fail(b->w->ctx, UL_E_CRITERION, "%s: the direction to go has the norm %g; there is nowhere to go",
                       b->w->id, d);
    if (a == 0) a = 1e-3 * (size > 0 ? size : 1) / d;
    UL_TRY(try_at(&s, a, budget, &kl));
    /* a norm behind the change bounds what it can do: longer than the weights themselves and flat is the end */
    while (s.trials < MOST_TRIALS && !(s.lo > 0 && s.lo_kl >= 0.95 * budget) && !(s.flat && s.lo * d > size)) {
        a = next_scale(&s, 0.975 * budget);
        UL_TRY(try_at(&s, a, budget, &kl));
    }
    if (!(s.lo > 0))
        return ul_fail(b->w->ctx, UL_E_CRITERION,
                       "%s: no scale down to %g keeps the KL on the retain rows within %g (it is %g there)", b->w->id,
                       a, budget, kl);
    ul_move_to(move, *scale = s.lo);
    ul_buf_printf(
        b->w->report,
        "%s: scale %.4g, where the retain rows' mean KL to the original is %.4g (budget %g, %d measurements)\n",
        b->w->id, s.lo, s.lo_kl, budget, s.trials);
    return UL_OK;
}

ul_status ul_budget_begin(ul_work *w, ul_budget *b)
{
    if (ul_num(w->args, "kl") == 0) return UL_OK;
    return ul_budget_open(w, w->retain, (int64_t)ul_num(w->args, "kl_docs"), b);
}

ul_status ul_budget_go(ul_work *w, ul_budget *b, const ul_move *move)
{
    double scale = 0;
    const double kl = ul_num(w->args, "kl");
    if (kl > 0) return ul_budget_search(b, move, kl, &scale);
    ul_move_to(move, ul_num(w->args, "scale"));
    return UL_OK;
}
