/* select.c - which weights move. A whole tensor of the file moves or stays; its gradient is allocated here. */
#include "model/lora.h"
#include <ctype.h>
#include <string.h>

enum { WORD = 256 };
typedef struct {
    int64_t from[32], to[32];
    int n;
} ranges;

static bool in_ranges(const ranges *r, int layer)
{
    for (int i = 0; i < r->n; i++)
        if (layer >= r->from[i] && layer <= r->to[i]) return true;
    return false;
}

const char *ul_weight_path(const ul_weight *w)
{
    char digits[16];
    const char *rest = w->module;
    const size_t n = (size_t)snprintf(digits, sizeof digits, "%d", w->layer);
    while (w->layer >= 0 && (rest = strchr(rest, '.')))
        if (!strncmp(++rest, digits, n) && rest[n] == '.') return rest + n + 1;
    return NULL;
}

/* "mlp", "attn", "norms", "mlp.down_proj", "down_proj" of a tensor within its block. */
static bool is_part(const ul_matrix *x, const char *word)
{
    const ul_weight *first = x->part[0];
    const char *rest = ul_weight_path(first);
    if (!*word) return true;
    if (!strcmp(word, "norms")) return first->is_norm;
    if (!strcmp(word, "mlp") && ul_role_is_mlp(first->role)) return true;
    if (!strcmp(word, "attn") && first->role == UL_ROLE_ATTN) return true;
    if (!rest) return false;
    if (!strncmp(rest, "self_attn", 9) && !strncmp(word, "attn", 4)) rest += 5;
    const size_t w = strlen(word), r = strlen(rest);
    if (!strncmp(rest, word, w) && (rest[w] == 0 || rest[w] == '.')) return true;
    return r > w && rest[r - w - 1] == '.' && !strcmp(rest + r - w, word);
}

static int mark_layers(ul_model *m, const ranges *r, const char *word)
{
    int n = 0;
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        const int l = x->part[0]->layer;
        if (l < 0 || l >= m->arch.s.n_layer || !in_ranges(r, l) || !is_part(x, word)) continue;
        x->trains = true, n++;
    }
    return n;
}

static int mark_word(ul_model *m, const char *word)
{
    int n = 0;
    if (!strcmp(word, "none")) return 1;
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        const ul_weight *w = x->part[0];
        const bool take = !strcmp(word, "all")         ? true
                          : !strcmp(word, "embedding") ? w->is_embedding
                          : !strcmp(word, "head")      ? w->is_head
                          : !strcmp(word, "norms")     ? w->is_norm
                          : !strcmp(word, "lora")      ? x->saved
                                                       : !strncmp(x->name, word, strlen(word));
        if (take) x->trains = true, n++;
        if (!strcmp(word, "lora") && w->r) x->adapter_trains = true, n++;
    }
    if (m->head_matrix && (!strcmp(word, "lora") || !strcmp(word, "all"))) m->head_matrix->trains = true, n++;
    return n;
}

static ul_status unknown(ul_ctx *ctx, ul_model *m, const char *word, bool part)
{
    static const char *const words[] = {"all", "none", "lora", "layers", "embedding", "head", "norms"};
    static const char *const parts[] = {"attn", "mlp", "norms"};
    const size_t n_word = part ? 3 : 7;
    const ul_mark mark = ul_arena_mark(m->side_arena);
    const char **names = UL_NEW(m->side_arena, const char *, (size_t)m->n_matrix + n_word + 1);
    UL_NEED(names);
    for (size_t i = 0; i < n_word; i++) names[i] = part ? parts[i] : words[i];
    for (int i = 0; i < m->n_matrix; i++) names[n_word + (size_t)i] = m->matrix[i].name;
    const char *near = ul_nearest(word, names);
    const ul_status status =
        !strcmp(word, "lora") ? ul_fail(ctx, UL_E_USAGE, "which weights move: \"lora\", but the model has no adapter")
        : near ? ul_fail(ctx, UL_E_USAGE, "which weights move: no weight is called \"%s\"; did you mean \"%s\"?", word,
                         near)
               : ul_fail(ctx, UL_E_USAGE,
                         "which weights move: no weight is called \"%s\" (all, none, lora, layers 0-3 mlp, embedding, "
                         "head, norms, or the beginning of a tensor's name)",
                         word);
    ul_arena_rewind(m->side_arena, mark);
    return status;
}

static const char *skip(const char *s, const char *set) { return s + strspn(s, set); }

static const char *digits(const char *s, int64_t *out)
{
    for (*out = 0; isdigit((unsigned char)*s) && *out < 1000000; s++) *out = 10 * *out + (*s - '0');
    return s;
}

/* A layer, or "1/8": so far of the way up. */
static ul_status parse_number(ul_ctx *ctx, const ul_model *m, const char **s, int64_t *out)
{
    int64_t x, of = 0;
    const char *p = digits(*s, &x);
    if (p > *s && *p == '/' && isdigit((unsigned char)p[1])) {
        p = digits(p + 1, &of);
        x = of > 0 ? x * m->arch.s.n_layer / of : m->arch.s.n_layer;
    }
    if (p == *s || x >= m->arch.s.n_layer)
        return ul_fail(ctx, UL_E_USAGE, "which weights move: \"%.40s\" is not a layer; the model has layers 0 to %d",
                       *s, m->arch.s.n_layer - 1);
    *s = p, *out = x;
    return UL_OK;
}

/* "5-7 mlp", "0,3 attn", "2", "1/8-1/4": after the word "layers". */
static ul_status parse_layers(ul_ctx *ctx, ul_model *m, const char **s)
{
    ranges r = {.n = 0};
    char word[WORD] = "";
    do {
        *s = skip(*s, " ,");
        if (r.n == 32) return ul_fail(ctx, UL_E_USAGE, "which weights move: more than 32 runs of layers");
        UL_TRY(parse_number(ctx, m, s, &r.from[r.n]));
        r.to[r.n] = r.from[r.n];
        if (**s == '-') {
            ++*s;
            UL_TRY(parse_number(ctx, m, s, &r.to[r.n]));
        }
        if (r.to[r.n] < r.from[r.n])
            return ul_fail(ctx, UL_E_USAGE, "which weights move: \"layers %d-%d\" is none; the lower one comes first",
                           (int)r.from[r.n], (int)r.to[r.n]);
        r.n++;
    } while (**s == ',' && isdigit((unsigned char)*skip(*s, " ,")));
    *s = skip(*s, " ");
    const size_t n = strcspn(*s, " ,");
    if (n >= WORD) return ul_fail(ctx, UL_E_USAGE, "which weights move: a word of %zu letters", n);
    memcpy(word, *s, n), word[n] = 0;
    *s += n;
    return mark_layers(m, &r, word) ? UL_OK : unknown(ctx, m, word, true);
}

static ul_status parse(ul_ctx *ctx, ul_model *m, const char *spec)
{
    for (const char *s = skip(spec, " ,"); *s; s = skip(s, " ,")) {
        char word[WORD];
        const size_t n = strcspn(s, " ,");
        if (n >= WORD) return ul_fail(ctx, UL_E_USAGE, "which weights move: a word of %zu letters", n);
        memcpy(word, s, n), word[n] = 0;
        s += n;
        if (!strcmp(word, "layers") || !strcmp(word, "layer")) UL_TRY(parse_layers(ctx, m, &s));
        else if (!mark_word(m, word)) return unknown(ctx, m, word, false);
    }
    return UL_OK;
}

/* ---- gradients -------------------------------------------------------------------------------------------------- */
static ul_status give_gradient(ul_model *m, ul_matrix *x)
{
    const size_t n = (size_t)(x->rows * x->cols), esize = m->be->k->esize;
    ul_weight *w = x->part[0];
    int64_t at = 0;
    x->g = x->g2 = NULL;
    if (x->trains) UL_NEED(x->g = ul_alloc(m->grad_arena, n, esize));
    if (x->trains && w->is_embedding && w->is_head && !m->own_head) UL_NEED(x->g2 = ul_alloc(m->grad_arena, n, esize));
    for (int k = 0; k < x->n_part; k++) {
        ul_weight *p = x->part[k];
        p->g = ul_part_of(m->be, x->g, at), p->g2 = x->g2;
        at += p->rows * p->cols;
        p->ga = p->gb = p->lens = NULL;
    }
    if (!x->adapter_trains || !w->r) return UL_OK;
    void *ga = ul_alloc(m->grad_arena, (size_t)(w->r * x->cols), esize),
         *gb = ul_alloc(m->grad_arena, (size_t)(x->rows * w->r), esize);
    UL_NEED(ga);
    UL_NEED(gb);
    for (int k = 0, row = 0; k < x->n_part; k++) {
        x->part[k]->ga = ga, x->part[k]->gb = ul_part_of(m->be, gb, (int64_t)row * w->r);
        row += (int)x->part[k]->rows;
    }
    return UL_OK;
}

static ul_status list_matrix(ul_model *m, ul_matrix *x)
{
    ul_weight *w = x->part[0];
    ul_trainable *t = m->trainable;
    if (x->g) {
        const char *name = x->saved ? ul_peft_name(m->grad_arena, x) : x->name;
        UL_NEED(name);
        t[m->n_trainable++] = (ul_trainable){.name = name,
                                             .n = x->rows * x->cols,
                                             .cols = x->cols,
                                             .p = x->p,
                                             .g = x->g,
                                             .layer = w->layer,
                                             .decays = !w->is_norm && !w->is_bias};
    }
    if (!w->ga) return UL_OK;
    const char *a = ul_format(m->grad_arena, "%s.lora_A.weight", x->peft),
               *b = ul_format(m->grad_arena, "%s.lora_B.weight", x->peft);
    UL_NEED(a);
    UL_NEED(b);
    t[m->n_trainable++] = (ul_trainable){.name = a, .n = w->r * x->cols, .cols = x->cols, .p = w->a, .g = w->ga,
                                         .layer = w->layer, .decays = true};
    t[m->n_trainable++] = (ul_trainable){.name = b, .n = x->rows * w->r, .cols = w->r, .p = w->b, .g = w->gb,
                                         .layer = w->layer, .decays = true};
    return UL_OK;
}

ul_status ul_model_select(ul_ctx *ctx, ul_model *m, const char *spec)
{
    for (int i = 0; i < m->n_matrix; i++) m->matrix[i].trains = m->matrix[i].adapter_trains = false;
    if (m->head_matrix) m->head_matrix->trains = false;
    UL_TRY(parse(ctx, m, spec));
    if (m->flags & UL_OPEN_PANELS && strcmp(spec, "none"))
        return ul_fail(ctx, UL_E_INTERNAL, "%s was opened for reading only (as panels); its weights cannot move",
                       m->dir);
    ul_arena_reset(m->grad_arena);
    m->run.ready = false;
    m->n_trainable = 0;
    UL_NEED(m->trainable = UL_NEW(m->grad_arena, ul_trainable, 3 * (size_t)m->n_matrix + 1));
    for (int i = 0; i < m->n_matrix; i++) {
        UL_TRY(give_gradient(m, &m->matrix[i]));
        UL_TRY(list_matrix(m, &m->matrix[i]));
    }
    if (!m->head_matrix) return UL_OK;
    UL_TRY(give_gradient(m, m->head_matrix));
    return list_matrix(m, m->head_matrix);
}

int ul_model_trainables(ul_model *m, ul_trainable **out)
{
    *out = m->trainable;
    return m->n_trainable;
}

/* The lens's chains, added to the gradients where wanted, are zero again. */
static void lens_chains(ul_model *m, bool add)
{
    ul_weight *const reads[] = {m->own_head, m->top[W_HEAD], m->top[W_NF], m->top[B_NF]};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        const ul_weight *w = reads[i];
        if (!w || !w->lens) continue;
        if (add) m->be->k->copy(m->be, w->rows * w->cols, w->lens, w->g, true);
        m->be->k->fill_rows(m->be, w->rows, w->cols, NULL, w->lens);
    }
}

void ul_model_grad_zero(ul_model *m)
{
    for (int i = 0; i < m->n_trainable; i++) m->be->k->fill_rows(m->be, 1, m->trainable[i].n, NULL, m->trainable[i].g);
    for (int i = 0; i < m->n_matrix; i++)
        if (m->matrix[i].g2)
            m->be->k->fill_rows(m->be, 1, m->matrix[i].rows * m->matrix[i].cols, NULL, m->matrix[i].g2);
    lens_chains(m, false);
}

void ul_model_grad_ready(ul_model *m)
{
    lens_chains(m, true);
    for (int i = 0; i < m->n_matrix; i++) {
        ul_matrix *x = &m->matrix[i];
        if (!x->g2) continue;
        m->be->k->copy(m->be, x->rows * x->cols, x->g2, x->g, true);
        m->be->k->fill_rows(m->be, x->rows, x->cols, NULL, x->g2);
    }
}
