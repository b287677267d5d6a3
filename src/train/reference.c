/* reference.c - what the model before the run says of a set of documents, kept on disk and mapped.
 *
 * A file is:  header | first row of each document, int64 [n_doc + 1] | hidden rows [n_row, width] real |
 *             head [V, width] real | zeros up to a multiple of 8 bytes |
 *             log-probs (or ids of tokens), double [n_logp] | SHA-256 of all that, char [64]
 * and its name is the SHA-256 of what decides its numbers: weights, precision, kind, documents. Not the instruction
 * set, threads or packing: they change no bit. A file whose size or header is not what the name promises, or whose
 * bytes are not those that were written, is made again. */
#include "train/train_impl.h"
#include <string.h>

typedef struct {
    char magic[8], key[64];
    int64_t n_doc, n_row, width, V, n_logp, real; /* width, V, n_logp = 0: no hidden rows, no head, no log-probs */
} header;

struct ul_reference {
    int64_t n_doc;
    const int64_t *first; /* [n_doc + 1] */
    const double *logp;
    const char *hidden, *head; /* NULL: not kept */
    size_t row;                /* bytes of a hidden row */
    int blocks;                /* of a prefix */
};

enum { SWEEP_TOKENS = 8192, DIGEST = 64 };

/* One sweep over the documents. */
typedef struct {
    ul_ctx *ctx;
    ul_model *m;
    const ul_docs *docs;
    header h;
    const int64_t *first;
    double *logp; /* [n_logp] */
    char *hidden; /* all rows when kept in memory; NULL: written to `out` batch by batch */
    ul_out *out;
    ul_digest digest;      /* of what went to `out` */
    const ul_state *state; /* hidden rows: where it looks, at the scored tokens;                */
    int prefix;            /* or > 0: after so many blocks, of all tokens; or what the head reads */
    const ul_reference *from; /* a prefix of these documents, where the sweep starts; or NULL */
    bool rivals, tops;        /* ids of the runner-ups, or of the most likely tokens, instead of log-probs */
    int n_reading;            /* > 0: hidden rows are a sum of readings     */
    const ul_reading *reading;
    const ul_docs *const *read; /* [n_reading] */
    ul_cache_item *ask;         /* described, not made */
} sweep;

static void key_of(const ul_model *m, const char *weights, const ul_docs *docs, const char *kind, char hex[65])
{
    static const char *const precision[] = {"f32", "bf16", "double"};
    char text[65];
    ul_digest d;
    ul_docs_digest(docs, text);
    const char *part[] = {"reference 2", weights, precision[ul_model_backend(m)->precision], kind, text};
    ul_digest_init(&d);
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) ul_digest_add(&d, part[i], strlen(part[i]) + 1);
    ul_digest_hex(&d, hex);
}

/* States of the batch, whose first document is `doc`, into `out`. */
static ul_status sweep_state(sweep *s, ul_arena *arena, int64_t doc, const ul_batch *b, void *out)
{
    ul_pass pass = {.batch = b, .flags = UL_PASS_BASE | UL_PASS_NO_HEAD | UL_PASS_STATES, .last = s->prefix};
    const size_t row = (size_t)ul_model_shape(s->m)->C * (size_t)s->h.real;
    if (s->from) pass.first = s->from->blocks, pass.start = ul_reference_hidden(s->from, doc);
    if (s->state) {
        void **to = UL_NEW(arena, void *, b->n_doc);
        ul_tap *tap;
        UL_NEED(to);
        for (int32_t d = 0; d < b->n_doc; d++)
            to[d] = (char *)out + (size_t)b->doc_row[d] * (size_t)s->h.width * (size_t)s->h.real;
        pass.last = s->state->last + 1;
        UL_TRY(ul_taps(arena, s->m, s->state, 1, &pass, &tap));
        UL_TRY(ul_model_forward(s->ctx, s->m, &pass));
        for (int32_t d = 0; d < b->n_doc; d++) ul_state_copy(s->m, s->state, tap, b, d, to[d]);
        return UL_OK;
    }
    UL_TRY(ul_model_forward(s->ctx, s->m, &pass));
    memcpy(out, ul_model_hidden(s->m, s->prefix), (size_t)b->n_tok * row);
    return UL_OK;
}

/* To the file, if there is one; commit reports a failure. */
static void put(sweep *s, const void *bytes, size_t n)
{
    if (!s->out) return;
    ul_digest_add(&s->digest, bytes, n);
    (void)ul_out_write(s->out, bytes, n);
}

static ul_status pack(sweep *s, ul_arena *arena, const ul_docs *from, int64_t first, int64_t last, ul_batch **out)
{
    const int32_t n = (int32_t)(last - first);
    const ul_doc **docs = UL_NEW(arena, const ul_doc *, n);
    UL_NEED(docs);
    for (int32_t i = 0; i < n; i++) docs[i] = &from->at[first + i];
    return ul_pack_docs(s->ctx, arena, docs, n, false, out);
}

/* sum (+)= w x of every document's rows, w going from `from` to `to` along them. */
static void weigh(const sweep *s, const ul_batch *b, ul_reading of, const void *x, double *sum)
{
    const int64_t C = s->h.width;
    for (int32_t d = 0; d < b->n_doc; d++) {
        const int32_t first = b->doc_row[d], n = b->doc_row[d + 1] - first;
        for (int32_t i = 0; i < n; i++) {
            const double w = n > 1 ? of.from + (of.to - of.from) * i / (n - 1) : of.to;
            for (int64_t c = (first + i) * C; c < (first + i + 1) * C; c++)
                sum[c] += w * (s->h.real == sizeof(float) ? (double)((const float *)x)[c] : ((const double *)x)[c]);
        }
    }
}

/* The weighted sum of the readings' hidden rows into `out`. */
static ul_status sweep_readings(sweep *s, ul_arena *arena, int64_t first, int64_t last, int64_t n_row, void *out)
{
    double *sum = UL_NEW(arena, double, n_row * s->h.width);
    UL_NEED(sum);
    for (int k = 0; k < s->n_reading; k++) {
        ul_batch *b;
        const ul_mark mark = ul_arena_mark(arena);
        UL_TRY(pack(s, arena, s->read[k], first, last, &b));
        ul_pass pass = {.batch = b, .flags = UL_PASS_BASE, .last = -1, .row_hidden = out};
        if (b->n_row != n_row)
            return ul_fail(s->ctx, UL_E_INTERNAL, "reading %d of documents %lld to %lld has %d rows instead of %lld", k,
                           (long long)first, (long long)last - 1, b->n_row, (long long)n_row);
        UL_TRY(ul_model_forward(s->ctx, s->m, &pass));
        weigh(s, b, s->reading[k], out, sum);
        ul_arena_rewind(arena, mark);
    }
    for (int64_t i = 0; i < n_row * s->h.width; i++)
        if (s->h.real == sizeof(float)) ((float *)out)[i] = (float)sum[i];
        else ((double *)out)[i] = sum[i];
    return UL_OK;
}

static ul_status sweep_ids(sweep *s, ul_arena *arena, const ul_batch *b, double *out)
{
    ul_pass pass = {.batch = b, .flags = UL_PASS_BASE, .last = -1};
    int32_t *id = UL_NEW(arena, int32_t, b->n_row);
    UL_NEED(id);
    if (s->rivals) pass.score.rival_at = id;
    else pass.score.argmax = id;
    UL_TRY(ul_model_forward(s->ctx, s->m, &pass));
    for (int32_t i = 0; i < b->n_row; i++) out[i] = id[i];
    return UL_OK;
}

/* Documents first .. last-1 of the set in one forward pass. */
static ul_status sweep_batch(sweep *s, ul_arena *arena, int64_t first, int64_t last)
{
    const int64_t row0 = s->first[first], n_row = s->first[last] - row0;
    const size_t row = (size_t)(s->h.width * s->h.real);
    ul_batch *b;
    UL_TRY(pack(s, arena, s->docs, first, last, &b));
    if (n_row == 0) return UL_OK;
    if (s->rivals || s->tops) return sweep_ids(s, arena, b, s->logp + row0);
    ul_pass pass = {.batch = b, .flags = UL_PASS_BASE, .last = -1};
    if (s->h.n_logp) pass.score.logp = s->logp + row0;
    if (s->h.width) {
        pass.row_hidden = s->hidden ? s->hidden + (size_t)row0 * row : ul_alloc(arena, (size_t)n_row, row);
        UL_NEED(pass.row_hidden);
    }
    UL_TRY(s->n_reading  ? sweep_readings(s, arena, first, last, n_row, pass.row_hidden)
           : s->h.n_logp ? ul_model_forward(s->ctx, s->m, &pass)
                         : sweep_state(s, arena, first, b, pass.row_hidden));
    if (s->h.width) put(s, pass.row_hidden, (size_t)n_row * row);
    return UL_OK;
}

static ul_status sweep_all(sweep *s)
{
    ul_arena *arena;
    ul_meter meter;
    UL_TRY(ul_arena_new(s->ctx, "reference", &arena));
    ul_progress_begin(s->ctx, &meter, "reference", "rows", s->docs->n);
    ul_status status = UL_OK;
    int64_t done = 0;
    for (int64_t i = 0, k; i < s->docs->n && status == UL_OK; i = k) {
        int64_t tokens = 0;
        for (k = i; k < s->docs->n && (k == i || tokens + s->docs->at[k].n <= SWEEP_TOKENS); k++)
            tokens += s->docs->at[k].n;
        status = sweep_batch(s, arena, i, k);
        ul_arena_reset(arena);
        done += tokens;
        ul_progress_step(&meter, k, done, NULL);
        if (status == UL_OK && k < s->docs->n && ul_interrupted(s->ctx))
            status = ul_fail(s->ctx, UL_E_CRITERION, "interrupted after %lld of %lld reference rows", (long long)k,
                             (long long)s->docs->n);
    }
    ul_arena_free(arena);
    return status;
}

/* Hidden rows and head, and the zeros behind them. */
static size_t real_bytes(const header *h)
{
    return (size_t)((h->n_row + h->V) * h->width * h->real);
}

static size_t zero_bytes(const header *h)
{
    return (8 - real_bytes(h) % 8) % 8;
}

static size_t file_bytes(const header *h)
{
    return sizeof *h + (size_t)(h->n_doc + 1) * sizeof(int64_t) + real_bytes(h) + zero_bytes(h) +
           (size_t)h->n_logp * sizeof(double) + DIGEST;
}

static ul_status write_file(sweep *s, const char *path)
{
    char hex[DIGEST + 1];
    UL_TRY(ul_out_open(s->ctx, path, file_bytes(&s->h), &s->out));
    ul_digest_init(&s->digest);
    put(s, &s->h, sizeof s->h);
    put(s, s->first, (size_t)(s->h.n_doc + 1) * sizeof *s->first);
    const ul_status status = sweep_all(s);
    if (status != UL_OK) {
        ul_out_discard(s->out);
        return status;
    }
    if (s->h.V) put(s, ul_model_head(s->m), (size_t)(s->h.V * s->h.width * s->h.real));
    put(s, "\0\0\0\0\0\0\0", zero_bytes(&s->h));
    put(s, s->logp, (size_t)s->h.n_logp * sizeof *s->logp);
    ul_digest_hex(&s->digest, hex);
    (void)ul_out_write(s->out, hex, DIGEST);
    return ul_out_commit(s->out);
}

/* Map the file; false when it is not, by size and header, the file that `h` describes. */
static bool map_file(ul_ctx *ctx, ul_arena *arena, const char *path, const header *h, ul_file *file)
{
    return ul_file_map(ctx, arena, path, file) == UL_OK && file->n == file_bytes(h) && !memcmp(file->p, h, sizeof *h);
}

static bool sound(const ul_file *file)
{
    char hex[DIGEST + 1];
    ul_digest d;
    ul_digest_init(&d);
    ul_digest_add(&d, file->p, file->n - DIGEST);
    ul_digest_hex(&d, hex);
    return !memcmp(hex, (const char *)file->p + file->n - DIGEST, DIGEST);
}

/* Where its parts are. */
static void read_file(const ul_file *file, const header *h, ul_reference *r)
{
    const char *p = (const char *)file->p + sizeof *h;
    r->first = (const int64_t *)(const void *)p;
    p += (size_t)(h->n_doc + 1) * sizeof(int64_t);
    if (h->width) r->hidden = p;
    if (h->V) r->head = p + (size_t)(h->n_row * h->width * h->real);
    p += real_bytes(h) + zero_bytes(h);
    r->logp = (const double *)(const void *)p;
}

static ul_status in_memory(sweep *s, ul_arena *arena, ul_reference *r)
{
    const size_t row = (size_t)(s->h.width * s->h.real);
    if (s->h.width) {
        UL_NEED(s->hidden = ul_alloc_raw(arena, (size_t)s->h.n_row, row));
        r->hidden = s->hidden;
    }
    if (s->h.V) {
        void *head = ul_alloc_raw(arena, (size_t)s->h.V, row);
        UL_NEED(head);
        memcpy(head, ul_model_head(s->m), (size_t)s->h.V * row);
        r->head = head;
    }
    r->first = s->first;
    r->logp = s->logp;
    return sweep_all(s);
}

/* What is asked for: the kind's name, the width of a hidden row, and of `s` everything but its header. */
static ul_status begin(ul_arena *arena, sweep *s, const char *weights, const char *kind, int64_t width, char key[65])
{
    const ul_docs *docs = s->docs;
    int64_t *first = UL_NEW(arena, int64_t, docs->n + 1);
    UL_NEED(first);
    UL_NEED(kind);
    for (int64_t i = 0; i < docs->n; i++)
        first[i + 1] = first[i] + (s->prefix ? docs->at[i].n : ul_doc_labelled(&docs->at[i]));
    const int64_t n_row = first[docs->n];
    const bool head = !s->state && !s->prefix;
    s->first = first;
    s->h = (header){"ULREF3\n",
                    "",
                    docs->n,
                    n_row,
                    width,
                    head && width ? ul_model_shape(s->m)->V : 0,
                    head ? n_row : 0,
                    (int64_t)ul_model_backend(s->m)->k->esize};
    key_of(s->m, weights, docs, kind, key);
    memcpy(s->h.key, key, sizeof s->h.key);
    if (!s->ask) UL_NEED(s->logp = UL_NEW(arena, double, s->h.n_logp));
    return UL_OK;
}

/* Is it there? Then its rows are known, but nothing of what they hold. */
static void describe(const sweep *s, ul_arena *arena, const char *path, ul_reference *r)
{
    ul_file file;
    const int n_layer = ul_model_shape(s->m)->n_layer;
    ul_cache_item *x = s->ask;
    x->path = path, x->docs = s->docs->n, x->bytes = (int64_t)file_bytes(&s->h);
    x->blocks = s->prefix ? s->prefix : s->state ? s->state->last + 1 : n_layer;
    for (int64_t i = 0; i < s->docs->n; i++) x->tokens += s->docs->at[i].n;
    if (s->n_reading > 1) x->tokens *= s->n_reading;
    x->there = path && ul_file_exists(path) && map_file(s->ctx, arena, path, &s->h, &file);
    r->first = s->first;
}

static ul_status open_reference(ul_arena *arena, sweep *s, const char *dir, const char *weights, const char *kind,
                                int64_t width, ul_reference **out)
{
    char key[65];
    ul_file file;
    ul_ctx *ctx = s->ctx;
    ul_reference *r = UL_NEW(arena, ul_reference, 1);
    *out = NULL;
    UL_NEED(r);
    UL_TRY(begin(arena, s, weights, kind, width, key));
    *r = (ul_reference){.n_doc = s->docs->n, .row = (size_t)(width * s->h.real), .blocks = s->prefix};
    *out = r;
    if (!dir && s->ask) return describe(s, arena, NULL, r), UL_OK;
    if (!dir) return in_memory(s, arena, r);
    if (!s->ask) UL_TRY(ul_dir_make(ctx, dir));
    const char *name = ul_format(arena, "%.32s.ref", key);
    UL_NEED(name);
    const char *path = ul_path_join(arena, dir, name);
    UL_NEED(path);
    if (s->ask) return describe(s, arena, path, r), UL_OK;
    const bool there = ul_file_exists(path);
    if (!there || !map_file(ctx, arena, path, &s->h, &file) || !sound(&file)) {
        if (there) ul_note(ctx, UL_LOG_WARN, "%s: what was kept there is damaged: it is made again", path);
        UL_TRY(write_file(s, path));
        if (!map_file(ctx, arena, path, &s->h, &file))
            return ul_fail(ctx, UL_E_RESOURCE, "%s: the file is not what was just written: is the disk sound?", path);
    }
    read_file(&file, &s->h, r);
    return UL_OK;
}

ul_status ul_reference_get(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir, const char *weights_digest,
                           const ul_docs *docs, const ul_reference_what *what, ul_cache_item *ask, ul_reference **out)
{
    sweep s = {.ctx = ctx,
               .m = m,
               .docs = docs,
               .state = what->state,
               .prefix = what->prefix,
               .from = what->from,
               .rivals = what->rivals,
               .tops = what->tops,
               .n_reading = what->n_reading,
               .reading = what->reading,
               .read = what->read,
               .ask = ask};
    const char *kind = what->rivals      ? "rivals"
                       : what->tops      ? "tops"
                       : what->n_reading ? "readings"
                       : what->hidden    ? "hidden"
                                         : "logp";
    int64_t width = what->hidden || what->prefix || what->n_reading ? ul_model_shape(m)->C : 0;
    if (what->prefix) kind = ul_format(arena, "prefix %d", what->prefix);
    if (what->state) {
        kind = ul_format(arena, "%s %d %d %d", what->state->mlp ? "mlp" : "state", what->state->first,
                         what->state->last, what->state->step);
        width = (int64_t)ul_state_blocks(what->state) * ul_model_shape(m)->C;
    }
    for (int k = 0; k < what->n_reading && kind; k++) {
        char text[65];
        ul_docs_digest(what->read[k], text);
        kind = ul_format(arena, "%s, %.17g to %.17g of %s", kind, what->reading[k].from, what->reading[k].to, text);
    }
    return open_reference(arena, &s, dir, weights_digest, kind, width, out);
}

ul_status ul_reference_open(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir, const char *weights_digest,
                            const ul_docs *docs, bool hidden, ul_reference **out)
{
    return ul_reference_get(ctx, arena, m, dir, weights_digest, docs, &(ul_reference_what){.hidden = hidden}, NULL,
                            out);
}

ul_status ul_reference_open_prefix(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir,
                                   const char *weights_digest, const ul_docs *docs, int blocks, ul_reference **out)
{
    return ul_reference_get(ctx, arena, m, dir, weights_digest, docs, &(ul_reference_what){.prefix = blocks}, NULL,
                            out);
}

ul_status ul_reference_open_state(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir,
                                  const char *weights_digest, const ul_docs *docs, const ul_state *state,
                                  const ul_reference *prefix, ul_reference **out)
{
    return ul_reference_get(ctx, arena, m, dir, weights_digest, docs,
                            &(ul_reference_what){.state = state, .from = prefix}, NULL, out);
}

ul_status ul_reference_open_rivals(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir,
                                   const char *weights_digest, const ul_docs *docs, ul_reference **out)
{
    return ul_reference_get(ctx, arena, m, dir, weights_digest, docs, &(ul_reference_what){.rivals = true}, NULL, out);
}

ul_status ul_reference_open_readings(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir,
                                     const char *weights_digest, const ul_docs *docs, int n, const ul_reading *reading,
                                     const ul_docs *const *read, ul_reference **out)
{
    return ul_reference_get(ctx, arena, m, dir, weights_digest, docs,
                            &(ul_reference_what){.n_reading = n, .reading = reading, .read = read}, NULL, out);
}

/* Hidden rows of zeros have logits of zeros under any head; all documents read the same ones (row 0 bytes apart). */
ul_status ul_reference_uniform(ul_ctx *ctx, ul_arena *arena, const ul_model *m, const ul_docs *docs, ul_reference **out)
{
    ul_reference *r = UL_NEW(arena, ul_reference, 1);
    int64_t *first = UL_NEW(arena, int64_t, docs->n + 1), longest = 0;
    (void)ctx;
    UL_NEED(r);
    UL_NEED(first);
    for (int64_t i = 0; i < docs->n; i++) {
        first[i + 1] = first[i] + ul_doc_labelled(&docs->at[i]);
        if (first[i + 1] - first[i] > longest) longest = first[i + 1] - first[i];
    }
    UL_NEED(r->hidden = ul_alloc(arena, (size_t)(longest * ul_model_shape(m)->C), ul_model_backend(m)->k->esize));
    double *logp = UL_NEW(arena, double, first[docs->n]);
    UL_NEED(logp);
    for (int64_t i = 0; i < first[docs->n]; i++) logp[i] = -ul_log(ul_model_shape(m)->V);
    r->n_doc = docs->n, r->first = first, r->logp = logp, r->head = ul_model_head(m);
    *out = r;
    return UL_OK;
}

int32_t ul_reference_rows(const ul_reference *r, int64_t doc)
{
    return doc < 0 || doc >= r->n_doc ? -1 : (int32_t)(r->first[doc + 1] - r->first[doc]);
}

int64_t ul_reference_docs(const ul_reference *r)
{
    return r->n_doc;
}

int ul_reference_blocks(const ul_reference *r)
{
    return r->blocks;
}

const double *ul_reference_logp(const ul_reference *r, int64_t doc)
{
    return r->logp + r->first[doc];
}

const void *ul_reference_hidden(const ul_reference *r, int64_t doc)
{
    return r->hidden ? r->hidden + (size_t)r->first[doc] * r->row : NULL;
}

const void *ul_reference_head(const ul_reference *r)
{
    return r->head;
}
