/* reference.c - what the model before the run says of a set of documents, kept on disk and mapped.
 *
 * A file is:  header | first row of each document, int64 [n_doc + 1] | hidden rows [n_row, C] real | head [V, C] real |
 *             zeros up to a multiple of 8 bytes | log-probs, double [n_row]
 * and its name is the SHA-256 of what decides its numbers: weights, precision, kind, documents. Not the instruction
 * set, threads or packing: they change no bit. A file whose size or header is not what the name promises is made
 * again. */
#include "train/train_impl.h"
#include <string.h>

typedef struct {
    char magic[8], key[64];
    int64_t n_doc, n_row, C, V, real; /* C = 0: no hidden rows and no head */
} header;

struct ul_reference {
    int64_t n_doc;
    const int64_t *first; /* [n_doc + 1] */
    const double *logp;
    const char *hidden, *head; /* NULL: not kept */
    size_t row;                /* bytes of a hidden row */
};

enum { SWEEP_TOKENS = 8192 };

/* One sweep over the documents. */
typedef struct {
    ul_ctx *ctx;
    ul_model *m;
    const ul_docs *docs;
    header h;
    const int64_t *first;
    double *logp; /* [n_row] */
    char *hidden; /* all rows when kept in memory; NULL: written to `out` batch by batch */
    ul_out *out;
    int blocks; /* -1: what the head reads; else states after so many blocks */
} sweep;

static void key_of(const ul_model *m, const char *weights, const ul_docs *docs, const char *kind, char hex[65])
{
    static const char *const precision[] = {"f32", "bf16", "double"};
    char text[65];
    ul_digest d;
    ul_docs_digest(docs, text);
    const char *part[] = {"reference 1", weights, precision[ul_model_backend(m)->precision], kind, text};
    ul_digest_init(&d);
    for (size_t i = 0; i < sizeof part / sizeof part[0]; i++) ul_digest_add(&d, part[i], strlen(part[i]) + 1);
    ul_digest_hex(&d, hex);
}

/* States at the scored tokens of the batch into `out`. */
static ul_status sweep_state(sweep *s, ul_arena *arena, const ul_batch *b, void *out)
{
    ul_pass pass = {.batch = b, .flags = UL_PASS_BASE | UL_PASS_NO_HEAD, .last = s->blocks};
    const ul_backend *be = ul_model_backend(s->m);
    int32_t *index;
    UL_TRY(ul_state_index(s->ctx, arena, b, &index));
    UL_TRY(ul_model_forward(s->ctx, s->m, &pass));
    be->k->gather(be, b->n_row, s->h.C, index, ul_model_hidden(s->m, s->blocks), out, false);
    return UL_OK;
}

/* Documents first .. last-1 of the set in one forward pass. */
static ul_status sweep_batch(sweep *s, ul_arena *arena, int64_t first, int64_t last)
{
    const int32_t n = (int32_t)(last - first);
    const int64_t row0 = s->first[first], n_row = s->first[last] - row0;
    const size_t row = (size_t)(s->h.C * s->h.real);
    const ul_doc **docs = UL_NEW(arena, const ul_doc *, n);
    ul_batch *b;
    UL_NEED(docs);
    for (int32_t i = 0; i < n; i++) docs[i] = &s->docs->at[first + i];
    UL_TRY(ul_pack_docs(s->ctx, arena, docs, n, false, &b));
    if (n_row == 0) return UL_OK;
    ul_pass pass = {.batch = b, .flags = UL_PASS_BASE, .last = -1};
    pass.score.logp = s->logp + row0;
    if (s->h.C) {
        pass.row_hidden = s->hidden ? s->hidden + (size_t)row0 * row : ul_alloc(arena, (size_t)n_row, row);
        UL_NEED(pass.row_hidden);
    }
    UL_TRY(s->blocks < 0 ? ul_model_forward(s->ctx, s->m, &pass) : sweep_state(s, arena, b, pass.row_hidden));
    if (s->out && s->h.C)
        (void)ul_out_write(s->out, pass.row_hidden, (size_t)n_row * row); /* commit reports a failure */
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
            status = ul_fail(s->ctx, UL_E_CRITERION, "interrupted after %lld of %lld reference rows", (long long)k, (long long)s->docs->n);
    }
    ul_arena_free(arena);
    return status;
}

/* Hidden rows and head, and the zeros behind them. */
static size_t real_bytes(const header *h)
{
    return (size_t)((h->n_row + h->V) * h->C * h->real);
}

static size_t zero_bytes(const header *h)
{
    return (8 - real_bytes(h) % 8) % 8;
}

static size_t file_bytes(const header *h)
{
    return sizeof *h + (size_t)(h->n_doc + 1) * sizeof(int64_t) + real_bytes(h) + zero_bytes(h) +
           (size_t)h->n_row * sizeof(double);
}

static ul_status write_file(sweep *s, const char *path)
{
    UL_TRY(ul_out_open(s->ctx, path, file_bytes(&s->h), &s->out));
    (void)ul_out_write(s->out, &s->h, sizeof s->h); /* commit reports a failure of any write */
    (void)ul_out_write(s->out, s->first, (size_t)(s->h.n_doc + 1) * sizeof *s->first);
    const ul_status status = sweep_all(s);
    if (status != UL_OK) {
        ul_out_discard(s->out);
        return status;
    }
    if (s->h.V) (void)ul_out_write(s->out, ul_model_head(s->m), (size_t)(s->h.V * s->h.C * s->h.real));
    (void)ul_out_write(s->out, "\0\0\0\0\0\0\0", zero_bytes(&s->h));
    (void)ul_out_write(s->out, s->logp, (size_t)s->h.n_row * sizeof *s->logp);
    return ul_out_commit(s->out);
}

/* The parts of a mapped file; false when it is not the file that `h` describes. */
static bool read_file(ul_ctx *ctx, ul_arena *arena, const char *path, const header *h, ul_reference *r)
{
    ul_file file;
    if (!ul_file_exists(path) || ul_file_map(ctx, arena, path, &file) != UL_OK) return false;
    if (file.n != file_bytes(h) || memcmp(file.p, h, sizeof *h)) return false;
    const char *p = (const char *)file.p + sizeof *h;
    r->first = (const int64_t *)(const void *)p;
    p += (size_t)(h->n_doc + 1) * sizeof(int64_t);
    if (h->C) r->hidden = p;
    if (h->V) r->head = p + (size_t)(h->n_row * h->C * h->real);
    p += real_bytes(h) + zero_bytes(h);
    r->logp = (const double *)(const void *)p;
    return true;
}

static ul_status in_memory(sweep *s, ul_arena *arena, ul_reference *r)
{
    const size_t row = (size_t)(s->h.C * s->h.real);
    if (s->h.C) {
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

static ul_status begin(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *weights, const ul_docs *docs, bool hidden,
                       int blocks, sweep *s, char key[65])
{
    const ul_shape *shape = ul_model_shape(m);
    int64_t *first = UL_NEW(arena, int64_t, docs->n + 1);
    UL_NEED(first);
    for (int64_t i = 0; i < docs->n; i++) first[i + 1] = first[i] + ul_doc_labelled(&docs->at[i]);
    *s = (sweep){.ctx = ctx, .m = m, .docs = docs, .first = first, .blocks = blocks};
    s->h = (header){"ULREF1\n",
                    "",
                    docs->n,
                    first[docs->n],
                    hidden ? shape->C : 0,
                    hidden && blocks < 0 ? shape->V : 0,
                    (int64_t)ul_model_backend(m)->k->esize};
    const char *kind = blocks >= 0 ? ul_format(arena, "state %d", blocks) : hidden ? "hidden" : "logp";
    UL_NEED(kind);
    key_of(m, weights, docs, kind, key);
    memcpy(s->h.key, key, sizeof s->h.key);
    UL_NEED(s->logp = UL_NEW(arena, double, s->h.n_row));
    return UL_OK;
}

static ul_status open_reference(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir, const char *weights_digest,
                                const ul_docs *docs, bool hidden, int blocks, ul_reference **out)
{
    sweep s;
    char key[65];
    ul_reference *r = UL_NEW(arena, ul_reference, 1);
    *out = NULL;
    UL_NEED(r);
    UL_TRY(begin(ctx, arena, m, weights_digest, docs, hidden, blocks, &s, key));
    r->n_doc = docs->n;
    r->row = (size_t)(s.h.C * s.h.real);
    *out = r;
    if (!dir) return in_memory(&s, arena, r);
    UL_TRY(ul_dir_make(ctx, dir));
    const char *name = ul_format(arena, "%.32s.ref", key);
    UL_NEED(name);
    const char *path = ul_path_join(arena, dir, name);
    UL_NEED(path);
    if (read_file(ctx, arena, path, &s.h, r)) return UL_OK;
    UL_TRY(write_file(&s, path));
    if (!read_file(ctx, arena, path, &s.h, r))
        return ul_fail(ctx, UL_E_RESOURCE, "%s: the file is not what was just written: is the disk sound?", path);
    return UL_OK;
}

ul_status ul_reference_open(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir, const char *weights_digest,
                            const ul_docs *docs, bool hidden, ul_reference **out)
{
    return open_reference(ctx, arena, m, dir, weights_digest, docs, hidden, -1, out);
}

ul_status ul_reference_open_state(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir, const char *weights_digest,
                                  const ul_docs *docs, int blocks, ul_reference **out)
{
    return open_reference(ctx, arena, m, dir, weights_digest, docs, true, blocks, out);
}

int32_t ul_reference_rows(const ul_reference *r, int64_t doc)
{
    return doc < 0 || doc >= r->n_doc ? -1 : (int32_t)(r->first[doc + 1] - r->first[doc]);
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
