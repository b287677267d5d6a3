/* uld.c - unlearning from logit difference: an assistant that knows only the forget set is subtracted.
 *
 *   z = z_0 - strength (z_a - mean z_a)   at tokens with p_0 >= top max p_0;   z = z_0 elsewhere
 *   training of the assistant:   CE(forget) + weight KL(uniform || p_a)(retain)
 *
 * Ji et al. 2024, "Reversing the Forget-Retain Objectives", arXiv:2406.08607: first 8 of 32 blocks, LoRA of rank 16,
 * weight 5, lr 1e-3, 10 epochs, strength 0.8, top 0.01 (TOFU); the sets there are widened with paraphrases and
 * perturbed answers. The paper subtracts z_a as it stands (small models: --match uld). Its mean over the vocabulary
 * says nothing, but moves the tokens above `top` against those below, so it is taken away first there; without a
 * threshold both are the same. The paper's code also counts the top share of the vocabulary as above it; that is not
 * offered. Small models have 100 steps at 1e-2 (tofu-656k, forget01, 300 steps: forget probability 0.51 -> 0.06,
 * retain 0.52 -> 0.51); the paper's ten epochs at 1e-3 leave such an assistant far from uniform, and it takes
 * everything away (retain 0.004). Traps: an assistant whose retain rows are few is not uniform elsewhere, and its
 * noise is subtracted; strength above 1 makes what the assistant is surest of the least likely, which tells what was
 * forgotten. forget10, 100 steps, forget / retain 0.47 / 0.52: weight 5 0.47 / 0.51, 0.5 with strength 0.8 0.23 /
 * 0.35, 0.35 0.43 / 0.49; 0.5 lies between. */
#include "guard/guard.h"
#include <math.h>

static const ul_param params[] = {
    {"strength", UL_REAL, 0.8, 0, 100, NULL,
     "how much of the assistant's logits is subtracted; 0: the guard does nothing", NULL},
    {"top", UL_REAL, 0.01, 0, 1, NULL,
     "tokens at least this much of the likeliest one's probability are changed; 0: all", NULL},
    {"centre", UL_BOOL, 1, 0, 1, NULL, "the mean of the assistant's logits is taken away first", NULL},
    {"weight", UL_REAL, 5, 0, 1e6, NULL, "of the assistant's divergence from uniform on retain rows", NULL},
    {"blocks", UL_INT, 0, 0, 1000, "blocks",
     "first blocks of the model that make the assistant; 0: a quarter of them (the paper: 8 of 32)", NULL},
    {"r", UL_INT, 16, 1, 1024, NULL, "rank of the assistant's adapter (scale 2)", NULL},
    {0}};

static const char *const recipe[] = {"lr", "1e-3", "epochs", "10", ".centre", "false", NULL};
static const char *const small[] = {"lr", "1e-2", "steps", "100", ".weight", "0.5", ".strength", "0.5", NULL};
static const ul_match matches[] = {
    {"uld", "the assistant's logits as they stand", UL_VALUES(".centre", "false"), false}, {0}};

/* ---- training ---------------------------------------------------------------------------------------------------- */
static double loss(const ul_args *args, ul_side *forget, ul_side *alt, ul_side *retain)
{
    const double weight = ul_num(args, "weight");
    double sum = 0;
    (void)alt;
    for (int32_t t = 0; t < forget->n; t++) {
        forget->dlogp[t] -= 1 / forget->n_tok;
        sum -= forget->logp[t] / forget->n_tok;
    }
    for (int32_t t = 0; t < retain->n; t++) {
        retain->dkl[t] += weight / retain->n_tok;
        sum += weight * retain->kl[t] / retain->n_tok;
    }
    return sum;
}

static const ul_method opposite = {
    .title = "The opposite of unlearning", .needs = UL_NEED_FORGET | UL_NEED_RETAIN | UL_NEED_RETAIN_KL, .loss = loss};

static ul_status fit(ul_guard_fit *f)
{
    ul_work *w = f->work;
    ul_model *assistant;
    ul_reference *uniform;
    UL_TRY(ul_guard_assistant_new(f, NULL, false, &assistant));
    UL_TRY(ul_reference_uniform(w->ctx, w->arena, assistant, w->retain, &uniform));
    UL_TRY(ul_work_stage(w, &(ul_stage){.name = "assistant",
                                        .model = assistant,
                                        .method = &opposite,
                                        .args = w->args,
                                        .recipe = w->recipe,
                                        .forget = w->forget,
                                        .retain = w->retain,
                                        .ref = {[UL_RETAIN] = uniform}}));
    return ul_buf_printf(
        w->report,
        "the assistant (%d blocks) was trained %lld steps: NLL of forget answers %.4g, of retain answers %.4g\n",
        ul_model_shape(assistant)->n_layer, (long long)w->steps, w->last.forget_loss, w->last.retain_loss);
}

/* ---- use --------------------------------------------------------------------------------------------------------- */
static void subtract(void *user, const ul_backend *be, const ul_mix_rows *rows)
{
    const ul_args *args = user;
    const double strength = ul_num(args, "strength"), top = ul_num(args, "top");
    const size_t esize = be->k->esize;
    for (int64_t i = 0; i < rows->n; i++) {
        const int64_t at = i * rows->V;
        double most = -INFINITY, mean = 0;
        for (int32_t v = 0; v < rows->V; v++) {
            const double z = ul_real_at(rows->z, at + v, esize);
            if (z > most) most = z;
            mean += ul_real_at(rows->other[0], at + v, esize);
        }
        mean = ul_num(args, "centre") != 0 ? mean / rows->V : 0;
        const double least = top > 0 ? most + ul_log(top) : -INFINITY;
        for (int32_t v = 0; v < rows->V; v++) {
            const double z = ul_real_at(rows->z, at + v, esize);
            if (z >= least)
                ul_real_put(rows->z, at + v, esize, z - strength * (ul_real_at(rows->other[0], at + v, esize) - mean));
        }
    }
}

static ul_status open(ul_guard_file *g)
{
    ul_mix *mix = UL_NEW(g->arena, ul_mix, 1);
    UL_NEED(mix);
    *mix = (ul_mix){.n = 1, .fn = subtract, .slope = 1, .user = &g->args};
    g->state = mix;
    return ul_guard_assistant_open(g, NULL, false, true, &mix->other[0]);
}

static const ul_runs runs[] = {
    {.what = "assistant", .kind = UL_RUNS_TRAIN, .loss = &opposite, .blocks = "blocks", .uniform = true,
     .assistant = true},
    {0}};

const ul_guard ul_guard_uld = {
    .method = {.title = "Unlearning from logit difference",
               .paper = "arXiv:2406.08607",
               .note = "An assistant of the model's first blocks learns the forget set and nothing else; its logits "
                       "are subtracted.",
               .intent = UL_SUPPRESSION,
               .level = UL_LEVEL_LOGITS,
               .params = params,
               .needs = UL_NEED_FORGET | UL_NEED_RETAIN,
               .recipe = recipe,
               .small = small,
               .matches = matches},
    .fit = fit,
    .runs = runs,
    .open = open,
    .prepare = ul_guard_prepare_mix,
};
