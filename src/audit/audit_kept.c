/* audit_kept.c - a battery in parts that are kept (kept.h): what was asked, the depths, the spike-in, each probe; and
 * what decides their numbers. A later audit beside the same original and control reads theirs; an interrupted one goes
 * on.
 *
 * The key holds build, arithmetic (precision; never instruction set, threads or batches: they change no bit), strengths
 * of the attacks, seed, template and tokenizer, every row that is asked and document that is trained on, the weights of
 * the original and of the donor (some attacks read them) and those of the model itself. No threshold of a gate or rule:
 * no attack reads one, so what is kept serves every threshold. */
#include "audit/audit_kept.h"
#include <stdio.h>
#include <string.h>

/* ---- what decides the numbers ---------------------------------------------------------------------------------- */
static void text(ul_digest *d, const char *s)
{
    const char mark = s ? 't' : '-';
    ul_digest_add(d, &mark, 1);
    if (s) ul_digest_add(d, s, strlen(s) + 1);
}

static void integer(ul_digest *d, int64_t x)
{
    ul_digest_add(d, &x, sizeof x);
}

static void rows(ul_digest *d, const ul_records *r)
{
    integer(d, r ? r->n : -1);
    for (int64_t i = 0; r && i < r->n; i++) {
        const ul_record *x = &r->at[i];
        integer(d, x->entity);
        text(d, x->prompt), text(d, x->answer), text(d, x->paraphrase);
        integer(d, x->n_wrong);
        for (int32_t k = 0; k < x->n_wrong; k++) text(d, x->wrong[k]);
    }
}

static void documents(ul_digest *d, const ul_docs *docs)
{
    char hex[65] = "";
    if (docs) ul_docs_digest(docs, hex);
    text(d, hex);
}

static void strengths(ul_digest *d, const ul_args *a)
{
    for (int i = 0; a->params[i].key; i++) {
        text(d, a->params[i].key);
        if (a->params[i].type == UL_TEXT)
            text(d, a->text[i]);
        else
            ul_digest_add(d, &a->num[i], sizeof a->num[i]);
    }
}

static void how_asked(ul_digest *d, const ul_eval_options *o)
{
    const ul_template *t = &o->tpl;
    text(d, t->user_start), text(d, t->user_end), text(d, t->asst_start);
    const int64_t n[] = {t->max_length, t->apart,    t->no_eos, t->no_special, t->own_head,   t->cut_left,
                         t->strict,     t->hide_pad, t->pad_id, o->max_new,    o->unstripped, o->peer_positions};
    for (size_t i = 0; i < sizeof n / sizeof *n; i++) integer(d, n[i]);
}

void ul_audit_key(const ul_audit *a, const char *const *more, char key[65])
{
    ul_digest d;
    const ul_records *asked[] = {a->forget, a->retain, a->rephrased, a->phantom,
                                 a->outsiders, a->spike, a->neighbours};
    const ul_docs *trained[] = {a->retain_docs, a->fold_docs[0], a->fold_docs[1], a->phantom_docs, a->text};
    ul_digest_init(&d);
    text(&d, "attacked 1");
    text(&d, ul_build_id);
    integer(&d, (int64_t)a->seed);
    strengths(&d, a->attack);
    how_asked(&d, &a->o);
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) rows(&d, asked[i]);
    for (size_t i = 0; i < sizeof trained / sizeof *trained; i++) documents(&d, trained[i]);
    ul_digest_add(&d, a->fold, (size_t)a->forget->n);
    for (; *more; more++) text(&d, *more);
    ul_digest_hex(&d, key);
}

/* ---- parts ----------------------------------------------------------------------------------------------------- */
static void knowledge(ul_fold *f, const char *set, int64_t n, ul_knowledge *k)
{
    const struct {
        const char *name;
        double **x;
    } column[] = {
        {"first", &k->first},           {"last", &k->last}, {"said", &k->said},   {"preference", &k->preference},
        {"extraction", &k->extraction}, {"prob", &k->prob}, {"wrong", &k->wrong}, {"refuses", &k->refuses},
        {"silent", &k->silent}};
    char key[64];
    for (size_t i = 0; i < sizeof column / sizeof *column; i++) {
        snprintf(key, sizeof key, "%s %s", set, column[i].name);
        ul_fold_column(f, key, n, column[i].x);
    }
    snprintf(key, sizeof key, "%s answer", set);
    ul_fold_texts(f, key, n, &k->answer);
    k->n = k->first ? n : 0;
}

void ul_fold_asked(ul_fold *f, void *what)
{
    ul_battery_part *x = what;
    const ul_audit *a = x->audit;
    ul_battery *b = x->battery;
    char key[64];
    knowledge(f, "forget", a->forget->n, &b->forget);
    knowledge(f, "retain", a->retain->n, &b->retain);
    if (a->phantom) knowledge(f, "phantom", a->phantom->n, &b->phantom);
    if (a->neighbours) knowledge(f, "neighbours", a->neighbours->n, &b->neighbours);
    ul_fold_number(f, "text loss", &b->text_loss);
    if (a->text) ul_fold_column(f, "texts", a->text->n, &b->text_each);
    ul_fold_flag(f, "membership", &b->mia.ran);
    for (int i = 0; b->mia.ran && a->outsiders && i < UL_N_MIA; i++) {
        snprintf(key, sizeof key, "member %d", i);
        ul_fold_column(f, key, a->forget->n, &b->mia.member[i]);
        snprintf(key, sizeof key, "other %d", i);
        ul_fold_column(f, key, a->outsiders->n, &b->mia.other[i]);
    }
    ul_fold_number(f, "seconds", &x->seconds);
}

void ul_fold_unguarded(ul_fold *f, void *what)
{
    ul_battery_part *x = what;
    ul_fold_column(f, "unguarded", x->audit->forget->n, &x->battery->unguarded);
    ul_fold_number(f, "forget", &x->probing->forget);
    ul_fold_number(f, "retain", &x->probing->retain);
    ul_fold_number(f, "seconds", &x->seconds);
}

void ul_fold_depth(ul_fold *f, void *what)
{
    ul_battery_part *x = what;
    ul_battery *b = x->battery;
    char key[64];
    ul_fold_count(f, "layers", UL_MAX_DEPTH, &b->n_depth);
    ul_fold_count(f, "patched layers", UL_MAX_DEPTH, &b->n_patched);
    for (int l = 0; l < b->n_depth; l++) {
        snprintf(key, sizeof key, "first %d", l + 1);
        ul_fold_column(f, key, x->audit->forget->n, &b->depth[l]);
    }
    for (int l = 0; l < b->n_patched; l++) {
        snprintf(key, sizeof key, "patched %d", l + 1);
        ul_fold_column(f, key, x->audit->forget->n, &b->patched[l]);
    }
    ul_fold_number(f, "seconds", &x->seconds);
}

void ul_fold_spike(ul_fold *f, void *what)
{
    ul_battery_part *x = what;
    const ul_audit *a = x->audit;
    ul_spike *s = &x->battery->spike;
    const int64_t n = a->spike ? a->spike->n : 0, m = a->phantom ? a->phantom->n : 0;
    ul_fold_flag(f, "ran", &s->ran);
    ul_fold_column(f, "taught", n, &s->taught);
    ul_fold_column(f, "forgotten", n, &s->forgotten);
    ul_fold_column(f, "attacked", n, &s->attacked);
    ul_fold_column(f, "blank", m, &s->blank);
    ul_fold_column(f, "blank attacked", m, &s->blank_attacked);
    ul_fold_number(f, "seconds", &x->seconds);
}

void ul_fold_probed(ul_fold *f, void *what)
{
    ul_battery_part *x = what;
    const ul_audit *a = x->audit;
    ul_probed *p = &x->battery->probe[x->probe];
    const int64_t n = a->forget->n, m = a->phantom ? a->phantom->n : 0;
    ul_fold_flag(f, "ran", &p->ran);
    ul_fold_column(f, "forget", n, &p->forget);
    ul_fold_column(f, "phantom", m, &p->phantom);
    ul_fold_column(f, "said", n, &p->said);
    ul_fold_column(f, "phantom said", m, &p->phantom_said);
    ul_fold_column(f, "stays", a->retain->n, &p->stays);
    ul_fold_number(f, "retain", &p->retain);
    ul_fold_json(f, "curve", &p->curve);
    ul_fold_count(f, "points", UL_MAX_POINT, &p->n_point);
    for (int i = 0; i < p->n_point; i++) {
        char key[64];
        snprintf(key, sizeof key, "point %d", i);
        ul_fold_column(f, key, n, &p->point[i]);
    }
    ul_fold_number(f, "seconds", &x->seconds);
}
