/* trainer.c - a step: samples, denominators, micro-batches, gradient norm; what wrappers do to it (wrap.c);
 * then clip (torch.nn.utils.clip_grad_norm_: g *= min(1, c / (|g| + 1e-6))), schedule and optimizer. */
#include "train/train_impl.h"
#include <math.h>
#include <string.h>

/* Tokens of a micro-batch whose size nobody chose: what it keeps (about 8 C + 2 F numbers a layer, V logits) stays near
 * 512 MiB, but products over fewer than 512 tokens are slow, and those over more than 2048 gain nothing. */
enum { AUTO_NUMBERS = 128 << 20, AUTO_LEAST = 512, AUTO_MOST = 2048 };

static int32_t auto_tokens(const ul_shape *s)
{
    const int64_t n = AUTO_NUMBERS / ((int64_t)s->n_layer * (8 * s->C + 2 * s->F) + s->V);
    return (int32_t)(n < AUTO_LEAST ? AUTO_LEAST : n > AUTO_MOST ? AUTO_MOST : n);
}

unsigned ul_method_needs(const ul_method *m, const ul_args *args)
{
    if (!m) return 0;
    return m->needs_of ? m->needs_of(args, m->needs) : m->needs;
}

int32_t ul_method_alternates(const ul_method *m, const ul_args *args)
{
    return m && m->alternates ? m->alternates(args) : 1;
}

/* Samples of a step as they are packed. */
static int32_t entries(const ul_trainer *t)
{
    return t->recipe.batch * t->n_alt;
}

ul_ref_kind ul_reference_kind(unsigned needs, int side)
{
    static const unsigned state[UL_N_SIDE] = {UL_NEED_FORGET_STATE, UL_NEED_ALT_STATE, UL_NEED_RETAIN_STATE};
    static const unsigned logp[UL_N_SIDE] = {UL_NEED_FORGET_REF, UL_NEED_ALT_REF, 0};
    static const unsigned hidden[UL_N_SIDE] = {UL_NEED_FORGET_CE | UL_NEED_FORGET_KL, 0, UL_NEED_RETAIN_KL};
    if (side == UL_FORGET && needs & UL_NEED_RIVAL_LABELS) return UL_REF_RIVALS;
    if (side == UL_RETAIN && needs & UL_NEED_RETAIN_TOP) return UL_REF_TOP;
    if (needs & state[side]) return UL_REF_STATE;
    return needs & hidden[side] ? UL_REF_HIDDEN : needs & logp[side] ? UL_REF_LOGP : UL_REF_NONE;
}

/* The peer's divergences and its cross-entropy under the reference run over every position of a padded batch. */
static void plan_passes(ul_trainer *t)
{
    t->needs = ul_method_needs(t->o.method, t->o.args);
    t->soft = t->needs & (UL_NEED_KL | UL_NEED_FORGET_CE | UL_NEED_FORGET_CE_OWN);
    t->sides = ul_method_sides(t->o.method, t->o.args, t->o.model);
    t->blocks = ul_method_blocks(t->o.method, t->o.args, t->o.model);
    for (int s = 0; s < UL_N_SIDE; s++) t->look[s] = ul_method_state(t->o.method, t->o.args, s, t->o.model);
    for (int s = 0; s < UL_N_SIDE; s++)
        if (t->sides >> s & 1u && t->o.prefix[s]) t->first = ul_reference_blocks(t->o.prefix[s]);
    t->dual = t->o.method && t->o.method->dual ? t->o.method->dual(t->o.args, 0, 0, -1) : 0;
    t->now = t->sides;
    if (!t->recipe.match_peer) return;
    if (t->needs & UL_NEED_FORGET_CE) t->all_rows |= UL_SIDE_BIT_FORGET;
    if (t->needs & UL_NEED_RETAIN_KL) t->all_rows |= UL_SIDE_BIT_RETAIN;
}

const char *ul_side_name(int side)
{
    static const char *const name[UL_N_SIDE] = {"forget", "alternate", "retain"};
    return name[side];
}

static ul_status check_reference(const ul_trainer *t)
{
    if (t->o.reference) return UL_OK;
    for (int s = 0; s < UL_N_SIDE; s++) {
        const ul_ref_kind kind = ul_reference_kind(t->needs, s);
        if (kind && (!t->o.ref[s] || (kind == UL_REF_HIDDEN && !ul_reference_head(t->o.ref[s])) ||
                     (kind == UL_REF_STATE && !ul_reference_hidden(t->o.ref[s], 0))))
            return ul_fail(t->ctx, UL_E_INTERNAL,
                           "the method needs the reference's numbers of the %s documents, and there "
                           "is neither a cache nor a reference model",
                           ul_side_name(s));
    }
    if (t->all_rows)
        return ul_fail(t->ctx, UL_E_INTERNAL, "a divergence over padded batches needs the reference model itself");
    return UL_OK;
}

static ul_status init(ul_trainer *t)
{
    const size_t real = t->be->k->esize;
    plan_passes(t);
    UL_TRY(check_reference(t));
    t->n_train = ul_model_trainables(t->o.model, &t->train);
    if (t->n_train == 0) return ul_fail(t->ctx, UL_E_USAGE, "no weight moves: --train selects nothing");
    if (t->recipe.batch < 1) return ul_fail(t->ctx, UL_E_USAGE, "a batch of %d samples is none", (int)t->recipe.batch);
    t->m = UL_NEW(t->arena, void *, t->n_train);
    t->v = UL_NEW(t->arena, void *, t->n_train);
    t->n_alt = t->o.pairing && t->o.pairing->alt && t->o.pairing->n_alt > 1 ? t->o.pairing->n_alt : 1;
    t->micro_loss = UL_NEW(t->arena, double, entries(t));
    if (!t->m || !t->v || !t->micro_loss) return UL_E_RESOURCE;
    for (int i = 0; i < t->n_train; i++) {
        const bool second = t->recipe.optim != UL_SGD, first = second || t->recipe.momentum > 0;
        if (first) UL_NEED(t->m[i] = ul_alloc(t->arena, (size_t)t->train[i].n, real));
        if (second) UL_NEED(t->v[i] = ul_alloc(t->arena, (size_t)t->train[i].n, real));
    }
    UL_TRY(ul_wraps_begin(t));
    return ul_state_begin(t);
}

ul_status ul_trainer_new(ul_ctx *ctx, const ul_trainer_options *o, int64_t steps, ul_trainer **out)
{
    ul_arena *arena;
    *out = NULL;
    UL_TRY(ul_arena_new(ctx, "trainer", &arena));
    ul_trainer *t = UL_NEW(arena, ul_trainer, 1);
    if (!t) {
        ul_arena_free(arena);
        return UL_E_RESOURCE;
    }
    *t = (ul_trainer){.ctx = ctx, .arena = arena, .o = *o, .recipe = *o->recipe, .steps = steps};
    t->be = ul_model_backend(o->model);
    if (o->args) {
        t->args = *o->args;
        t->o.args = &t->args;
    }
    ul_status s = ul_arena_new(ctx, "step", &t->step);
    if (s == UL_OK) s = init(t);
    if (s != UL_OK) {
        ul_trainer_free(t);
        return s;
    }
    *out = t;
    return UL_OK;
}

void ul_trainer_free(ul_trainer *t)
{
    if (!t) return;
    ul_arena_free(t->step);
    ul_arena_free(t->wrap_arena);
    ul_arena_free(t->apart);
    ul_arena_free(t->arena);
}

/* Sample i of a step, and its further alternates behind it. */
static ul_status draw_one(ul_trainer *t, int64_t step, int32_t i, ul_sample *s)
{
    const int64_t index = step * t->recipe.batch + i;
    if (t->o.pairing)
        UL_TRY(ul_pairing_sample(t->ctx, t->o.pairing, index, s));
    else
        UL_TRY(t->o.sample(t->o.user, step, i, t->step, s));
    UL_TRY(ul_wraps_sample(t, step, i, s));
    for (int k = 0; k < UL_N_SIDE; k++)
        if (t->sides >> k & 1u && !s->doc[k])
            return ul_fail(t->ctx, UL_E_USAGE, "step %lld, sample %d: the method needs a %s document (give --%s)",
                           (long long)step + 1, (int)i, ul_side_name(k), ul_side_name(k));
    for (int32_t k = 1; k < t->n_alt; k++)
        UL_TRY(ul_pairing_alternate(t->ctx, t->o.pairing, index, k, &s[k].doc[UL_ALT]));
    return UL_OK;
}

ul_status ul_trainer_draw(ul_trainer *t, int64_t step, ul_sample **out)
{
    UL_NEED(*out = UL_NEW(t->step, ul_sample, entries(t)));
    for (int32_t i = 0; i < t->recipe.batch; i++) UL_TRY(draw_one(t, step, i, *out + i * t->n_alt));
    return UL_OK;
}

/* Forget documents scored against other tokens. A draw is a sample's:
 * the next time its row comes, it is another one. */
static ul_status relabel(ul_trainer *t, int64_t step, ul_sample *s)
{
    const int64_t n_label = t->o.label ? t->o.n_label : ul_model_shape(t->o.model)->V;
    if (!(t->needs & (UL_NEED_RANDOM_LABELS | UL_NEED_RIVAL_LABELS))) return UL_OK;
    for (int32_t i = 0; i < entries(t); i++) {
        const ul_doc *d = s[i].doc[UL_FORGET];
        const uint64_t draw = (uint64_t)(step * t->recipe.batch + i / t->n_alt);
        if (!d) continue;
        ul_doc *other = UL_NEW(t->step, ul_doc, 1);
        UL_NEED(other);
        if (t->needs & UL_NEED_RANDOM_LABELS)
            UL_TRY(ul_doc_random(t->step, d, t->o.label, n_label, t->recipe.seed, draw, other));
        else if (!t->o.ref[UL_FORGET] || ul_reference_rows(t->o.ref[UL_FORGET], d->id) != ul_doc_labelled(d))
            return ul_fail(t->ctx, UL_E_INTERNAL, "document %lld has no runner-up labels of the reference",
                           (long long)d->id);
        else
            UL_TRY(ul_doc_as(t->step, d, t->o.label, n_label, ul_reference_logp(t->o.ref[UL_FORGET], d->id), other));
        s[i].doc[UL_FORGET] = other;
    }
    return UL_OK;
}

/* Retain documents scored against what the reference finds most likely, special tokens among it. */
static ul_status relabel_retain(ul_trainer *t, ul_sample *s, int32_t n)
{
    const ul_reference *top = t->o.ref[UL_RETAIN];
    for (int32_t i = 0; t->needs & UL_NEED_RETAIN_TOP && i < n; i++) {
        const ul_doc *d = s[i].doc[UL_RETAIN];
        if (!d) continue;
        ul_doc *other = UL_NEW(t->step, ul_doc, 1);
        UL_NEED(other);
        if (!top || ul_reference_rows(top, d->id) != ul_doc_labelled(d))
            return ul_fail(t->ctx, UL_E_INTERNAL, "retain document %lld has no most likely tokens of the reference",
                           (long long)d->id);
        UL_TRY(ul_doc_as(t->step, d, NULL, INT32_MAX, ul_reference_logp(top, d->id), other));
        s[i].doc[UL_RETAIN] = other;
    }
    return UL_OK;
}

/* The run of samples that starts here. */
static int32_t cut(const ul_trainer *t, const ul_sample *s, int32_t n)
{
    if (t->o.micro_batch > 0) return t->o.micro_batch < n ? t->o.micro_batch : n;
    if (t->recipe.match_peer) return n;
    const int32_t most = auto_tokens(ul_model_shape(t->o.model));
    int64_t tokens = 0;
    for (int32_t i = 0; i < n; i++) {
        for (int k = 0; k < UL_N_SIDE; k++)
            if (t->sides >> k & 1u && s[i].doc[k]) tokens += s[i].doc[k]->n;
        if (tokens > most && i > 0) return i;
    }
    return n;
}

/* The peer's B * T positions; its cross-entropies are of shifted logits, one position fewer. */
static double positions(int side, int32_t n, int32_t longest)
{
    return (double)n * (side == UL_FORGET ? longest - 1 : longest);
}

static void count(const ul_trainer *t, const ul_sample *s, int32_t n, double times, ul_counts *c)
{
    const int32_t skip = t->o.method && t->o.method->skip ? t->o.method->skip(t->o.args) : 0;
    memset(c, 0, sizeof *c);
    for (int k = 0; k < UL_N_SIDE; k++) {
        int32_t longest = 0;
        double inverse = 0;
        if (!(t->sides >> k & 1u)) continue;
        for (int32_t i = 0; i < n; i++) {
            if (!s[i].doc[k]) continue;
            int32_t scored = ul_doc_labelled(s[i].doc[k]);
            if (k == UL_FORGET) scored = scored > skip ? scored - skip : 0;
            c->n_tok[k] += scored;
            c->n_seq[k] += scored > 0;
            inverse += scored > 0 ? 1.0 / scored : 0;
            if (s[i].doc[k]->n > longest) longest = s[i].doc[k]->n;
        }
        if (t->all_rows >> k & 1u) c->n_tok[k] = positions(k, n, longest);
        if (t->recipe.match_peer) c->token_share[k] = inverse / (c->n_seq[k] * c->n_seq[k] * times);
        c->n_tok[k] *= times;
        c->n_seq[k] *= times;
    }
}

static int32_t count_micro(const ul_trainer *t, const ul_sample *s)
{
    int32_t n = 0;
    for (int32_t first = 0; first < entries(t); n++) first += cut(t, s + first, entries(t) - first);
    return n;
}

/* sqrt of the sum of squares over all trainables; UL_E_CRITERION naming the first tensor that is not finite. */
static ul_status gradient_norm(ul_trainer *t, int64_t step, double *out)
{
    double sum = 0;
    for (int i = 0; i < t->n_train; i++) sum += t->be->k->sum_squares(t->be, t->train[i].n, t->train[i].g);
    *out = sqrt(sum);
    if (isfinite(*out)) return UL_OK;
    for (int i = 0; i < t->n_train; i++) {
        const int64_t at = t->be->k->first_bad(t->be, t->train[i].n, t->train[i].g);
        if (at >= 0)
            return ul_fail(t->ctx, UL_E_CRITERION,
                           "step %lld: the gradient of %s[%lld] is not finite: take a smaller --lr "
                           "or fewer steps",
                           (long long)step + 1, t->train[i].name, (long long)at);
    }
    return ul_fail(t->ctx, UL_E_CRITERION, "step %lld: the norm of the gradient overflows", (long long)step + 1);
}

static double epoch_of(const ul_trainer *t, int64_t step)
{
    return (double)step * t->recipe.epochs / (double)t->steps;
}

/* The peer moves its multiplier after every micro-batch. */
static double dual_after(const ul_trainer *t, int64_t step, double dual, double constraint)
{
    const ul_method *m = t->o.method;
    return m && m->dual ? m->dual(t->o.args, dual, constraint, epoch_of(t, step)) : 0;
}

static void report(const ul_sums *sums, unsigned sides, ul_step_result *out)
{
    double *const mean[UL_N_SIDE] = {&out->forget_loss, &out->alt_loss, &out->retain_loss};
    for (int k = 0; k < UL_N_SIDE; k++) {
        out->scored += sums->scored[k];
        if (sides >> k & 1u && sums->scored[k]) *mean[k] = sums->nll[k] / (double)sums->scored[k];
    }
    out->loss += sums->loss;
    out->tokens += sums->tokens;
}

ul_status ul_trainer_part(ul_trainer *t, int64_t step, unsigned sides, ul_step_result *out)
{
    ul_sample *s;
    ul_counts counts;
    ul_sums sums = {0};
    const int32_t n = entries(t);
    ul_status status = UL_OK;
    ul_arena_reset(t->step);
    UL_TRY(ul_trainer_draw(t, step, &s));
    UL_TRY(relabel(t, step, s));
    UL_TRY(relabel_retain(t, s, n));
    count(t, s, n, 1, &counts);
    const double times = t->recipe.match_peer ? count_micro(t, s) : 1;
    double dual = t->dual;
    t->n_micro = 0;
    t->now = sides;
    for (int32_t first = 0, k; first < n && status == UL_OK; first += k) {
        const ul_mark mark = ul_arena_mark(t->step);
        const double before = sums.loss, constraint = sums.constraint;
        k = cut(t, s + first, n - first);
        if (t->recipe.match_peer) count(t, s + first, k, times, &counts);
        t->first_sample = first;
        counts.dual = dual;
        counts.epoch = epoch_of(t, step);
        counts.progress = (double)step / (double)t->steps;
        status = ul_trainer_micro(t, step, s + first, k, &counts, &sums);
        if (t->recipe.match_peer) dual = dual_after(t, step, dual, (sums.constraint - constraint) * times);
        t->micro_loss[t->n_micro++] = (sums.loss - before) * times;
        ul_arena_rewind(t->step, mark);
    }
    t->now = t->sides;
    UL_TRY(status);
    ul_model_grad_ready(t->o.model);
    report(&sums, sides, out);
    if (sides & UL_SIDE_BIT_RETAIN || sides == t->sides) /* the multiplier weighs the retain side */
        out->dual = t->recipe.match_peer ? dual : dual_after(t, step, dual, sums.constraint);
    return UL_OK;
}

ul_status ul_trainer_gradients(ul_trainer *t, int64_t step, ul_step_result *out)
{
    const double none = (double)NAN;
    *out = (ul_step_result){.forget_loss = none, .alt_loss = none, .retain_loss = none, .kl = none, .dual = t->dual,
                            .lr = ul_recipe_lr(&t->recipe, step, t->steps)};
    UL_TRY(ul_trainer_calibrate(t));
    UL_TRY(ul_wraps_before(t, step));
    ul_model_grad_zero(t->o.model);
    UL_TRY(ul_wraps_gradients(t, step, out));
    for (int i = 0; t->mask && i < t->n_train; i++)
        t->be->k->mask(t->be, t->train[i].n, t->mask[i], 1, 0, t->train[i].g);
    return gradient_norm(t, step, &out->grad_norm);
}

/* Weight decay where only some entries may move; what is left for the optimizer to do is none.
 * The bits of those that move are those of a decay by the optimizer itself. */
static double decay_masked(ul_trainer *t, int i, double lr, double decay)
{
    const ul_kernels *k = t->be->k;
    const ul_trainable *w = &t->train[i];
    if (!t->mask || decay == 0) return decay;
    if (t->recipe.optim == UL_SGD) {
        k->axpy(t->be, w->n, decay, w->p, w->g);
        k->mask(t->be, w->n, t->mask[i], 1, 0, w->g);
    } else {
        k->mask(t->be, w->n, t->mask[i], 1 - lr * decay, 1, w->p);
    }
    return 0;
}

/* Weights above the last block that runs have no gradient, so they do not decay either: torch skips them. */
static bool moves(const ul_trainer *t, const ul_trainable *w)
{
    return !w->still && (t->blocks < 0 || w->layer < t->blocks);
}

static void move(ul_trainer *t, int i, int64_t step, double lr)
{
    const ul_kernels *k = t->be->k;
    const ul_recipe *r = &t->recipe;
    const ul_trainable *w = &t->train[i];
    const double decay = decay_masked(t, i, lr, w->decays ? r->weight_decay : 0);
    const ul_adamw adamw = {lr, r->beta1, r->beta2, r->eps, decay, step + 1};
    const ul_sophia sophia = {lr, r->beta1, r->sophia_beta2, r->sophia_rho * r->sophia_batch, decay,
                              r->optim == UL_SOPHIA && step % r->sophia_every == 0};
    if (r->optim == UL_ADAMW)
        k->adamw(t->be, &adamw, w->n, w->p, w->g, t->m[i], t->v[i]);
    else if (r->optim == UL_SOPHIA)
        k->sophia(t->be, &sophia, w->n, w->p, w->g, t->m[i], t->v[i]);
    else
        k->sgd(t->be, lr, decay, r->momentum, w->n, w->p, w->g, t->m[i]);
}

ul_status ul_trainer_update(ul_trainer *t, int64_t step, ul_step_result *out)
{
    const ul_recipe *r = &t->recipe;
    const double scale = r->clip > 0 ? r->clip / (out->grad_norm + 1e-6) : 1;
    out->lr = ul_recipe_lr(r, step, t->steps);
    t->dual = out->dual;
    for (int i = 0; i < t->n_train; i++) {
        if (scale < 1) t->be->k->scale(t->be, t->train[i].n, scale, t->train[i].g);
        if (moves(t, &t->train[i])) move(t, i, step, out->lr);
    }
    return ul_wraps_after(t, out);
}

const double *ul_trainer_micro_losses(const ul_trainer *t, int32_t *n)
{
    *n = t->n_micro;
    return t->micro_loss;
}

ul_status ul_trainer_plan(ul_trainer *t, int64_t steps, ul_train_plan *out)
{
    const size_t real = t->be->k->esize;
    *out = (ul_train_plan){0};
    if (steps < 1 || steps > t->steps) steps = t->steps;
    for (int i = 0; i < t->n_train; i++)
        out->optimizer += (size_t)t->train[i].n * real * ((t->m[i] != NULL) + (t->v[i] != NULL));
    ul_meter meter;
    ul_progress_begin(t->ctx, &meter, "plan", "steps", steps);
    for (int64_t step = 0; step < steps; step++) {
        ul_sample *s;
        ul_progress_step(&meter, step, 0, NULL);
        ul_arena_reset(t->step);
        UL_TRY(ul_trainer_draw(t, step, &s));
        for (int32_t first = 0, k; first < entries(t); first += k) {
            ul_batch *b;
            ul_bytes_plan p;
            if (ul_interrupted(t->ctx))
                return ul_fail(t->ctx, UL_E_CRITERION, "interrupted after %lld of %lld steps of the plan",
                               (long long)step, (long long)steps);
            const ul_mark mark = ul_arena_mark(t->step);
            k = cut(t, s + first, entries(t) - first);
            UL_TRY(ul_trainer_pack(t, s + first, k, &b));
            const ul_pass pass = {.batch = b,
                                  .flags = ul_trainer_flags(t),
                                  .first = t->first,
                                  .last = t->blocks,
                                  .hook = t->o.hook,
                                  .n_hook = t->o.n_hook,
                                  .observer = t->o.observer};
            UL_TRY(ul_model_plan(t->ctx, t->o.model, &pass, &p));
            if (p.total > out->pass.total) {
                out->pass = p;
                out->n_tok = b->n_tok, out->n_row = b->n_row, out->longest = b->longest;
            }
            const size_t row = 6 * sizeof(double) + (t->soft ? (size_t)ul_model_shape(t->o.model)->C * real : 0);
            const size_t start = t->first ? (size_t)b->n_tok * (size_t)ul_model_shape(t->o.model)->C * real : 0;
            const size_t bytes = ul_arena_bytes(t->step) + (size_t)b->n_row * row + start;
            if (bytes > out->step) out->step = bytes;
            ul_arena_rewind(t->step, mark);
        }
    }
    if (t->n_wrap) out->wrap = ul_arena_bytes(t->wrap_arena) + ul_arena_bytes(t->apart);
    out->total = out->pass.total + out->optimizer + out->step + out->wrap;
    return UL_OK;
}
