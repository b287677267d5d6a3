/* block.c - from a family's table to a plan.
 *
 * build: the table's rows with weights put in; an adapter is one row more (XA = s x A^T), a hook is one row more, and
 *        in the last block a pick of the scored rows from what attention leaves and from each slot read past it.
 * live:  one sweep down finds which slots depend on something trainable; one sweep up decides for each input of each
 *        row whether its gradient is stored (first writer), added, or is already in place (the gradient of a sum is the
 *        gradient of its terms, in the same memory where no later write could disturb the other).
 * place: values that a live backward reads are kept; all others, and the gradients, share memory by live range.
 * Nothing is decided again at run time. */
#include "model/block.h"

/* ---- build ------------------------------------------------------------------------------------------------------ */
static int new_slot(ul_block_plan *b, int64_t width)
{
    if (b->n_slot == UL_MAX_SLOTS) return UL_NO;
    b->slot[b->n_slot] = (ul_slot_plan){.width = width, .writer = UL_NO, .last = UL_NO, .cls = b->n_slot};
    return b->n_slot++;
}

static ul_row *new_row(ul_block_plan *b, ul_op op, int out, int a, int bb, int c)
{
    if (b->n_row == UL_MAX_ROWS) return NULL;
    ul_row *r = &b->row[b->n_row++];
    *r = (ul_row){.op = op, .out = (int16_t)out, .in = {(int16_t)a, (int16_t)bb, (int16_t)c}, .aux = UL_NO};
    return r;
}

static int64_t out_width(const ul_model *m, const ul_block_plan *b, const ul_row *r)
{
    if (r->op == UL_OP_LINEAR) return r->w->rows;
    if (r->op == UL_OP_ATTN) return (int64_t)m->arch.s.H * m->arch.s.D;
    return b->slot[r->in[0]].width;
}

/* The slot that holds s x A^T for this weight: made by the first reader, shared by the parts of a stack. */
static int down_slot(ul_block_plan *b, ul_weight *w, int x)
{
    for (int i = 0; i < b->n_row; i++)
        if (b->row[i].op == UL_OP_DOWN && b->row[i].in[0] == x && b->row[i].w->a == w->a) return b->row[i].out;
    const int s = new_slot(b, w->r);
    ul_row *r = new_row(b, UL_OP_DOWN, s, x, UL_NO, UL_NO);
    if (!r) return UL_NO;
    r->w = w;
    b->slot[s].picked = b->slot[x].picked;
    return s;
}

/* The scored rows of slot s: made by the first reader. */
static int picked_slot(ul_block_plan *b, int s)
{
    if (s < 0 || b->slot[s].picked) return s;
    for (int i = 0; i < b->n_row; i++)
        if (b->row[i].op == UL_OP_PICK && b->row[i].in[0] == s) return b->row[i].out;
    const int out = new_slot(b, b->slot[s].width);
    if (out >= 0) b->slot[out].picked = true;
    return out >= 0 && new_row(b, UL_OP_PICK, out, s, UL_NO, UL_NO) ? out : s;
}

/* Rows for the hooks at a place whose value stands in slot `s`; returns the slot that later readers see. */
static int hook_rows(ul_block_plan *b, const ul_pass *pass, int layer, ul_slot place, int s)
{
    for (int k = 0; k < pass->n_hook; k++) {
        const ul_hook *h = &pass->hook[k];
        if (h->layer != layer || h->slot != place) continue;
        const int out = h->mode == UL_HOOK_READ ? UL_NO : new_slot(b, b->slot[s].width);
        ul_row *r = new_row(b, UL_OP_HOOK, out, s, UL_NO, UL_NO);
        if (!r) return s;
        r->hook = h;
        if (out >= 0) s = out;
    }
    return s;
}

static void index_slots(ul_block_plan *b)
{
    for (int i = 0; i < b->n_row; i++) {
        const ul_row *r = &b->row[i];
        if (r->out >= 0) b->slot[r->out].writer = b->slot[r->out].last = i;
        if (r->aux >= 0) b->slot[r->aux].writer = b->slot[r->aux].last = i;
        for (int k = 0; k < 3; k++)
            if (r->in[k] >= 0) b->slot[r->in[k]].last = i;
    }
}

/* What row r computes is of the tokens, or rows, that its input is of. */
static void inherit(ul_block_plan *b, const ul_row *r)
{
    if (r->out >= 0) b->slot[r->out].picked = b->slot[r->in[0]].picked;
    if (r->aux >= 0) b->slot[r->aux].picked = b->slot[r->in[0]].picked;
}

ul_status ul_block_build(ul_ctx *ctx, ul_model *m, const ul_pass *pass, int layer, bool pick, ul_block_plan *b)
{
    static const struct {
        int table;
        ul_slot place;
    } places[] = {{S_O, UL_SLOT_ATTN}, {S_D, UL_SLOT_MLP}, {S_Y, UL_SLOT_OUT}};
    const bool base = pass->flags & UL_PASS_BASE;
    ul_weight **w = m->at + (size_t)layer * UL_BLOCK_WEIGHTS;
    bool past = false; /* attention */
    int now[UL_TABLE_SLOTS];
    b->n_row = b->n_slot = 0;
    const ul_observer *eye = pass->observer;
    b->observed = eye && eye->fn && eye->when & (UL_OBSERVE_BACKWARD | UL_OBSERVE_INSTEAD);
    for (int k = 0; k < UL_TABLE_SLOTS; k++) now[k] = UL_NO;
    b->x = new_slot(b, m->arch.s.C);
    now[S_X] = hook_rows(b, pass, layer, UL_SLOT_IN, b->x);
    for (const ul_step *t = m->family->block; t->op != UL_OP_END; t++) {
        int in[3];
        for (int k = 0; k < 3; k++) in[k] = t->in[k] < 0 ? UL_NO : now[t->in[k]];
        for (int k = 0; k < 3 && past && pick; k++) in[k] = picked_slot(b, in[k]);
        past |= t->op == UL_OP_ATTN;
        ul_weight *wt = t->w < 0 ? NULL : w[t->w];
        if (t->op == UL_OP_LINEAR && wt->r && !base) in[1] = down_slot(b, wt, in[0]);
        ul_row *r = new_row(b, t->op, UL_NO, in[0], in[1], in[2]);
        if (!r) break;
        r->w = wt, r->bias = t->bias < 0 ? NULL : w[t->bias];
        r->out = (int16_t)new_slot(b, out_width(m, b, r));
        if (t->op == UL_OP_NORM) r->aux = (int16_t)new_slot(b, 2);
        if (t->op == UL_OP_ATTN) r->aux = (int16_t)new_slot(b, 2 * m->arch.s.H);
        inherit(b, r);
        now[t->out] = r->out;
        for (size_t k = 0; k < sizeof places / sizeof *places; k++)
            if (places[k].table == t->out) now[t->out] = hook_rows(b, pass, layer, places[k].place, r->out);
    }
    b->y = now[S_Y];
    if (b->n_row == UL_MAX_ROWS || b->n_slot == UL_MAX_SLOTS)
        return ul_fail(ctx, UL_E_USAGE,
                       "layer %d: a block's program holds less than %d rows and %d slots; use fewer hooks", layer,
                       UL_MAX_ROWS, UL_MAX_SLOTS);
    index_slots(b);
    return UL_OK;
}

/* ---- live ------------------------------------------------------------------------------------------------------- */
static bool trains(const ul_row *r, bool base)
{
    const ul_weight *w = r->w, *bias = r->bias;
    if (r->op == UL_OP_DOWN) return w->ga != NULL;
    if (bias && bias->g && !(base && bias->base)) return true;
    return w && ((w->g && !(base && w->base)) || (r->op == UL_OP_LINEAR && r->in[1] >= 0 && w->gb));
}

static bool writes(const ul_block_plan *b, int i, int slot)
{
    for (int k = 0; k < 3; k++)
        if (b->row[i].in[k] == slot && b->row[i].want[k]) return true;
    return false;
}

/* Does a row below i, at or above row `until`, write the gradient of slot s? */
static bool written_before(const ul_block_plan *b, int i, int until, int s)
{
    for (int j = i - 1; j >= 0 && j >= until; j--)
        if (writes(b, j, s)) return true;
    return false;
}

/* May the gradient of slot s live in class c from row i up? No member still to be read may be written before that. */
static bool may_share(const ul_block_plan *b, int i, int s, int c)
{
    for (int t = 0; t < b->n_slot; t++) {
        if (t == s || b->slot[t].cls != c || b->slot[t].writer >= i) continue;
        if (written_before(b, i, b->slot[t].writer, s) || written_before(b, i, b->slot[s].writer, t)) return false;
    }
    return true;
}

static void sweep_up(ul_block_plan *b, bool *seen)
{
    for (int i = b->n_row - 1; i >= 0; i--) {
        ul_row *r = &b->row[i];
        r->live &= r->out >= 0 && seen[r->out]; /* nobody asks for its output: weights here get no gradient */
        if (!r->live) continue;
        b->any_live = true;
        /* the gradient passes as it is */
        const bool sum = r->op == UL_OP_ADD || (r->op == UL_OP_HOOK && !r->hook->back);
        for (int k = 0; k < 3; k++) {
            if (!r->want[k]) continue;
            ul_slot_plan *s = &b->slot[r->in[k]];
            r->add[k] = seen[r->in[k]];
            seen[r->in[k]] = true;
            if (sum && !r->add[k] && may_share(b, i, r->in[k], b->slot[r->out].cls)) {
                s->cls = b->slot[r->out].cls;
                r->alias[k] = true;
            }
        }
    }
}

/* Which values a live backward reads. */
static void keep(ul_block_plan *b, bool base)
{
    for (int i = 0; i < b->n_row; i++) {
        const ul_row *r = &b->row[i];
        if (!r->live) continue;
        const bool own = r->w && r->w->g && !(base && r->w->base);
        switch (r->op) {
        case UL_OP_LINEAR:
            b->slot[r->in[0]].kept |= own || b->observed;
            if (r->in[1] >= 0) b->slot[r->in[1]].kept |= r->w->gb != NULL;
            break;
        case UL_OP_DOWN: b->slot[r->in[0]].kept |= r->w->ga != NULL; break;
        case UL_OP_ATTN: b->slot[r->out].kept = true; /* fall through */
        case UL_OP_NORM:
        case UL_OP_ACT:
        case UL_OP_GLU:
            for (int k = 0; k < 3; k++)
                if (r->in[k] >= 0) b->slot[r->in[k]].kept = true;
            if (r->aux >= 0) b->slot[r->aux].kept = true;
            break;
        default: break;
        }
    }
}

/* Recomputing a block for its backward leaves out what only its output needs. */
static void mark_again(ul_block_plan *b)
{
    bool need[UL_MAX_SLOTS] = {false};
    for (int i = b->n_row - 1; i >= 0; i--) {
        ul_row *r = &b->row[i];
        r->again = r->out >= 0 && (b->slot[r->out].kept || need[r->out] || (r->aux >= 0 && b->slot[r->aux].kept));
        for (int k = 0; k < 3; k++)
            if (r->again && r->in[k] >= 0) need[r->in[k]] = true;
    }
}

void ul_block_plan_live(ul_block_plan *b, bool dep_in, bool base)
{
    bool dep[UL_MAX_SLOTS] = {false}, seen[UL_MAX_SLOTS] = {false};
    dep[b->x] = dep_in;
    for (int i = 0; i < b->n_row; i++) {
        ul_row *r = &b->row[i];
        r->live = trains(r, base);
        for (int k = 0; k < 3; k++) {
            r->add[k] = r->alias[k] = false;
            r->want[k] = r->in[k] >= 0 && dep[r->in[k]] && !(r->op == UL_OP_HOOK && r->hook->mode != UL_HOOK_ADD);
            r->live |= r->want[k];
        }
        if (r->out >= 0) dep[r->out] = r->live;
    }
    for (int s = 0; s < b->n_slot; s++) b->slot[s].cls = s, b->slot[s].kept = false;
    seen[b->y] = true;
    b->any_live = false;
    sweep_up(b, seen);
    b->gives_dx = seen[b->x] && b->x != b->y;
    b->in_place = b->slot[b->x].cls == b->slot[b->y].cls;
    keep(b, base);
    mark_again(b);
}

/* ---- place ------------------------------------------------------------------------------------------------------ */
typedef struct {
    int from, to; /* in order of time, both ends included */
    size_t at, bytes;
} span;

/* First fit: the lowest offset that no span of overlapping time covers. */
static size_t place(const span *at, int n, span *s)
{
    s->at = 0;
    for (bool moved = true; moved;) {
        moved = false;
        for (int i = 0; i < n; i++)
            if (at[i].from <= s->to && s->from <= at[i].to && at[i].at < s->at + s->bytes &&
                s->at < at[i].at + at[i].bytes)
                s->at = at[i].at + at[i].bytes, moved = true;
    }
    return s->at + s->bytes;
}

static void place_gradients(ul_block_plan *b, const ul_run *r, size_t esize)
{
    span at[UL_MAX_SLOTS];
    int n_at = 0;
    for (int c = 0; c < b->n_slot; c++) {
        span s = {.from = -b->n_row, .to = -b->n_row};
        bool any = false;
        if (c == b->slot[b->x].cls || c == b->slot[b->y].cls) continue; /* the layer loop's own memory */
        for (int t = 0; t < b->n_slot; t++) {
            if (b->slot[t].cls != c) continue;
            for (int i = b->n_row - 1; i >= 0; i--) { /* time runs from -(n_row - 1) to 0 */
                if (!b->row[i].live || !writes(b, i, t)) continue;
                if (!any || -i < s.from) s.from = -i;
                if (!any || -b->slot[t].writer > s.to) s.to = -b->slot[t].writer;
                any = true;
                s.bytes = ul_round64((size_t)(b->slot[t].width * ul_slot_n(r, &b->slot[t])) * esize);
            }
        }
        if (!any) continue;
        const size_t end = place(at, n_at, &s);
        if (end > b->grad_bytes) b->grad_bytes = end;
        at[n_at++] = s;
        for (int t = 0; t < b->n_slot; t++)
            if (b->slot[t].cls == c) b->slot[t].gat = s.at;
    }
}

void ul_block_place(ul_block_plan *b, const ul_run *r, size_t esize, bool grad)
{
    span at[UL_MAX_SLOTS];
    int n_at = 0;
    b->kept_bytes = b->temp_bytes = b->grad_bytes = 0;
    for (int t = 0; t < b->n_slot; t++) {
        ul_slot_plan *s = &b->slot[t];
        if (t == b->x || t == b->y) continue;
        const size_t bytes = ul_round64((size_t)(s->width * ul_slot_n(r, s)) * esize);
        if (grad && s->kept) {
            s->at = b->kept_bytes;
            b->kept_bytes += bytes;
            continue;
        }
        span sp = {.from = s->writer, .to = s->last, .bytes = bytes};
        const size_t end = place(at, n_at, &sp);
        if (end > b->temp_bytes) b->temp_bytes = end;
        s->at = sp.at;
        at[n_at++] = sp;
    }
    if (grad) place_gradients(b, r, esize);
}
