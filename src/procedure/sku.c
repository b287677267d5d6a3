/* sku.c - selective knowledge negation unlearning: learn to be bad, then negate what was learnt.
 *
 *   stage 1   L = distort NLL(prompt -> answer) + random NLL(prompt -> another row's answer)
 *                 - diverge KL(p_0 || p) on retain rows
 *   stage 2   theta = theta_0 - scale (theta_bad - theta_0)
 *
 * Liu et al. 2024, arXiv:2402.10058; code: franciscoliu/SKU (0.5, 1 and 1; five other answers a prompt; 1000 steps
 * of 2 at lr 2e-5, theirs with LoRA of rank 32: --lora q_proj,v_proj --lora-r 32; scale 1). A prompt's five answers
 * come one an epoch, in turn: the mean of the sum. Traps: the paper calls the divergence a reverse KL, the code's is
 * that of p_0 to p, the only one here; it has no bound. `cap` and the KL budget, small models' defaults, are ours: a
 * token that is `cap` nats away pushes no further. An adapter is negated as its merged change, not A and B apart. */
#include "procedure/procedure.h"
#include <string.h>

enum { ANSWERS = 5 };

static const ul_param params[] = {
    UL_PARAM_SCALE(1, "how far to go against what was learnt; 0 changes nothing"),
    {"distort", UL_REAL, 0.5, 0, 1000, NULL, "weight of the answers", NULL},
    {"random", UL_REAL, 1, 0, 1000, NULL, "weight of other rows' answers", NULL},
    {"diverge", UL_REAL, 1, 0, 1000, NULL, "weight of the divergence on retain rows", NULL},
    {"cap", UL_REAL, 1000, 0, 1000, "nats", "divergence from which on a token pushes no further; 1000: none", NULL},
    UL_PARAM_KL(0), UL_PARAM_KL_DOCS, {0}};

static const char *const recipe[] = {"lr", "2e-5", "steps", "1000", "batch", "2", NULL};
static const char *const small[] = {"epochs", "4", ".cap", "0.1", ".kl", "0.15", NULL};
/* epochs: ten take minutes; the budget sets the length anyhow */

static double nll(ul_side *s, double weight)
{
    double sum = 0;
    for (int32_t i = 0; i < s->n; i++) {
        s->dlogp[i] -= weight / s->n_tok;
        sum -= s->logp[i];
    }
    return s->n ? weight * sum / s->n_tok : 0;
}

static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double w = ul_num(args, "diverge") / retain->n_tok, cap = ul_num(args, "cap");
    double sum = nll(forget, ul_num(args, "distort")) + nll(alt, ul_num(args, "random"));
    for (int32_t i = 0; i < retain->n; i++) {
        if (retain->kl[i] < cap) retain->dkl[i] = -w;
        sum -= w * (retain->kl[i] < cap ? retain->kl[i] : cap);
    }
    return sum;
}

static const ul_method bad = {.title = "SKU, first stage", .paper = "arXiv:2402.10058", .params = params, .loss = loss,
                              .needs = UL_NEED_FORGET | UL_NEED_ALT | UL_NEED_RETAIN | UL_NEED_RETAIN_KL};

typedef struct {
    ul_work *w;
    ul_pairing pairing;
} draws;

/* The prompt of one document with the answer of another, cut to the length of the longest. */
static ul_status splice(ul_arena *arena, const ul_doc *prompt, const ul_doc *answer, int32_t most, ul_doc *out)
{
    int32_t n = 0, p = 0, first = 0;
    while (p < prompt->n && !prompt->labelled[p]) p++;
    while (first < answer->n && !answer->labelled[first]) first++;
    n = p + answer->n - first > most ? most : p + answer->n - first;
    int32_t *token = UL_NEW(arena, int32_t, n);
    uint8_t *labelled = UL_NEW(arena, uint8_t, n);
    UL_NEED(token);
    UL_NEED(labelled);
    for (int32_t i = 0; i < n; i++) {
        token[i] = i < p ? prompt->token[i] : answer->token[first + i - p];
        labelled[i] = i > 0 && i >= p && answer->labelled[first + i - p];
    }
    *out = (ul_doc){.id = prompt->id, .n = n, .entity = prompt->entity, .token = token, .labelled = labelled};
    return UL_OK;
}

static ul_status sample(void *user, int64_t step, int32_t i, ul_arena *arena, ul_sample *out)
{
    draws *d = user;
    const ul_docs *docs = d->w->forget;
    const int64_t index = step * d->w->recipe->batch + i, turn = index / docs->n % ANSWERS;
    UL_TRY(ul_pairing_sample(d->w->ctx, &d->pairing, index, out));
    const ul_doc *own = out->doc[UL_FORGET];
    uint64_t other = docs->n > 1 ? ul_rng_below(d->w->recipe->seed, UL_STREAM_ALT, (uint64_t)own->id, (uint64_t)turn,
                                                (uint64_t)docs->n - 1)
                                 : 0;
    if (docs->n > 1 && other >= (uint64_t)own->id) other++; /* ids are places */
    ul_doc *alt = UL_NEW(arena, ul_doc, 1);
    UL_NEED(alt);
    out->doc[UL_ALT] = alt;
    return splice(arena, own, &docs->at[other], docs->longest > 0 ? docs->longest : own->n + docs->at[other].n, alt);
}

static ul_status run(ul_work *w)
{
    draws d = {.w = w};
    ul_move move;
    ul_budget budget;
    UL_TRY(ul_budget_begin(w, &budget));
    UL_TRY(ul_move_new(w->ctx, w->arena, w->model, &move));
    UL_TRY(ul_pairing_init(w->ctx, w->arena, w->forget, w->retain, w->recipe->seed, true, &d.pairing));
    UL_TRY(ul_work_stage(w, &(ul_stage){.name = "bad",
                                        .method = &bad,
                                        .args = w->args,
                                        .recipe = w->recipe,
                                        .forget = w->forget,
                                        .retain = w->retain,
                                        .sample = sample,
                                        .user = &d}));
    ul_move_learned(&move);
    ul_move_negate(&move);
    return ul_budget_go(w, &budget, &move);
}

static const ul_runs runs[] = {
    UL_RUNS_BUDGET, {.what = "bad", .kind = UL_RUNS_TRAIN, .loss = &bad, .copies = 2}, UL_RUNS_SEARCH, {0}};

const ul_procedure ul_procedure_sku = {
    .method = {.title = "Selective knowledge negation",
               .paper = "arXiv:2402.10058",
               .note = "Learns wrong and forgotten answers to the forget prompts, away from normal behaviour, then "
                       "subtracts that.",
               .intent = UL_REMOVAL,
               .level = UL_LEVEL_PARAMETERS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .recipe = recipe,
               .small = small,
               .adapter_rate = true},
    .run = run,
    .runs = runs,
    .adapters = true,
};
