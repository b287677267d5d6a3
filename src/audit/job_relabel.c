/* job_relabel.c - the data that methods make for themselves, as a file: a data set with other answers, wrong answers,
 * random tokens, generic terms, or one fold of it. Pure functions of the rows, the parameters and the seed. */
#include "audit/battery.h"
#include "audit/training.h"
#include <string.h>

static const ul_param params[] = {
    {"data", UL_TEXT, 0, 0, 0, NULL, "the rows: JSON lines, JSON, CSV or text", ""},
    {"as", UL_TEXT, 0, 0, 0, "lines|others|swap|wrong|random|generic|fold",
     "lines: answers from --with, a text a line (default: twelve refusals); others: answers of the rows of --with; "
     "swap: each row another's answer; wrong: --count wrong answers a row, of other rows; random: each token of an "
     "answer another one, drawn from the tokenizer that --with names; generic: terms replaced as --with says, "
     "{\"term\": \"generic term\"}; fold: part --fold of --folds",
     "lines"},
    {"with", UL_TEXT, 0, 0, 0, NULL,
     "the file that --as lines, others or generic reads, or the model directory whose tokens --as random draws", ""},
    {"count", UL_INT, 4, 2, 1000, "answers", "--as wrong: so many of other rows", NULL},
    {"folds", UL_INT, 4, 1, 1e6, NULL, "--as fold: parts of consecutive rows, as nearly equal as can be", NULL},
    {"fold", UL_INT, 1, 1, 1e6, NULL, "--as fold: which, from 1", NULL},
    {"seed", UL_INT, 0, 0, 9007199254740991.0, NULL, "of what is drawn", NULL},
    {"out", UL_TEXT, 0, 0, 0, NULL, "the JSON lines to write", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "replace a file that is there", NULL},
    {0}};

typedef struct {
    ul_job *job;
    const ul_records *in;
    ul_record *row; /* [n], beginning as copies */
    int64_t n;
    uint64_t seed;
} relabelling;

static ul_status need_with(const relabelling *r, const char *what, const char **path)
{
    *path = ul_job_text(r->job, "with");
    return *path ? UL_OK : ul_fail(r->job->ctx, UL_E_USAGE, "--as %s needs --with FILE", what);
}

static ul_status lines(relabelling *r)
{
    const char *const *line = ul_refusals, *path = ul_job_text(r->job, "with");
    int64_t n = UL_N_REFUSALS;
    if (path) UL_TRY(ul_lines_open(r->job->ctx, r->job->arena, path, &line, &n));
    for (int64_t i = 0; i < r->n; i++)
        r->row[i].answer = line[ul_rng_below(r->seed, UL_STREAM_ALT, 0, (uint64_t)i, (uint64_t)n)];
    return UL_OK;
}

static ul_status others(relabelling *r)
{
    const char *path;
    ul_records *from;
    UL_TRY(need_with(r, "others", &path));
    UL_TRY(ul_records_open(r->job->ctx, r->job->arena, path, ul_job_text(r->job, "fields"), 0, &from));
    for (int64_t i = 0; i < r->n; i++)
        r->row[i].answer = from->at[ul_rng_below(r->seed, UL_STREAM_ALT, 0, (uint64_t)i, (uint64_t)from->n)].answer;
    return UL_OK;
}

/* One cycle through all rows in a random order: no row keeps its own. */
static ul_status swap(relabelling *r)
{
    int64_t *order = UL_NEW(r->job->arena, int64_t, r->n);
    UL_NEED(order);
    if (r->n < 2) return ul_fail(r->job->ctx, UL_E_INPUT, "%s: one row has no other's answer to take", r->in->path);
    ul_rng_permutation(r->seed, UL_STREAM_ALT, 0, r->n, order);
    for (int64_t i = 0; i < r->n; i++) r->row[order[i]].answer = r->in->at[order[(i + 1) % r->n]].answer;
    return UL_OK;
}

static ul_status wrong(relabelling *r)
{
    ul_records bare = *r->in, *out;
    for (int64_t i = 0; i < r->n; i++) r->row[i].wrong = NULL, r->row[i].n_wrong = 0; /* drawn anew */
    bare.at = r->row;
    UL_TRY(
        ul_knowledge_options(r->job->ctx, r->job->arena, &bare, r->seed, (int32_t)ul_job_int(r->job, "count"), &out));
    memcpy(r->row, out->at, (size_t)r->n * sizeof *r->row);
    return UL_OK;
}

/* Tokens that stand for text, in rising order. */
static ul_status ordinary(relabelling *r, const ul_tokenizer *tok, int32_t **id, int64_t *n)
{
    const int64_t most = ul_tokenizer_max_id(tok) + 1;
    UL_NEED(*id = UL_NEW(r->job->arena, int32_t, most));
    *n = 0;
    for (int32_t i = 0; i < most; i++)
        if (ul_token_text(tok, i, &(size_t){0}) && !ul_token_special(tok, i)) (*id)[(*n)++] = i;
    if (*n) return UL_OK;
    return ul_fail(r->job->ctx, UL_E_INPUT, "%s: every token is a special one", ul_tokenizer_path(tok));
}

/* The answer of row i with each of its tokens drawn anew (Yao et al. 2024, arXiv:2402.15159: randlabel does so with
 * the labels alone). */
static ul_status random_answer(relabelling *r, const ul_tokenizer *tok, const int32_t *pool, int64_t n_pool, int64_t i,
                               ul_ids *ids, ul_buf *text)
{
    const char *answer = r->row[i].answer;
    ul_buf_reset(text);
    if (!answer) return UL_OK;
    UL_TRY(ul_encode(r->job->ctx, tok, answer, strlen(answer), false, ids));
    for (size_t t = 0; t < ids->n; t++)
        if (!ul_token_special(tok, ids->id[t]))
            ids->id[t] = pool[ul_rng_below(r->seed, UL_STREAM_RELABEL, (uint64_t)i, t, (uint64_t)n_pool)];
    UL_TRY(ul_decode(r->job->ctx, tok, ids->id, ids->n, false, text));
    for (size_t k = 0; k < text->n; k++)
        if (!text->p[k]) text->p[k] = ' '; /* a text holds no NUL */
    UL_NEED(r->row[i].answer = ul_strndup(r->job->arena, text->p, text->n));
    return UL_OK;
}

static ul_status random_tokens(relabelling *r)
{
    enum { MOST_BYTES = 1 << 26 };
    const char *path;
    ul_tokenizer *tok;
    int32_t *pool;
    int64_t n_pool;
    ul_ids ids;
    ul_buf text;
    UL_TRY(need_with(r, "random", &path));
    UL_TRY(ul_tokenizer_open(r->job->ctx, path, &tok));
    UL_TRY(ul_arena_defer(r->job->arena, ul_release_tokenizer, tok));
    UL_TRY(ordinary(r, tok, &pool, &n_pool));
    ul_ids_init(&ids, r->job->ctx);
    ul_buf_init(&text, r->job->ctx, MOST_BYTES);
    ul_status s = UL_OK;
    for (int64_t i = 0; i < r->n && s == UL_OK; i++) s = random_answer(r, tok, pool, n_pool, i, &ids, &text);
    ul_ids_release(&ids);
    ul_buf_release(&text);
    return s;
}

static ul_status generic(relabelling *r)
{
    const char *path;
    ul_terms terms;
    ul_records *out;
    UL_TRY(need_with(r, "generic", &path));
    UL_TRY(ul_terms_open(r->job->ctx, r->job->arena, path, &terms));
    UL_TRY(ul_records_generic(r->job->ctx, r->job->arena, r->in, &terms, &out));
    memcpy(r->row, out->at, (size_t)r->n * sizeof *r->row);
    return UL_OK;
}

static ul_status fold(relabelling *r)
{
    const int64_t k = ul_job_int(r->job, "folds"), i = ul_job_int(r->job, "fold");
    if (k > r->n || i > k)
        return ul_fail(r->job->ctx, UL_E_USAGE, "--fold %lld --folds %lld: %s has %lld rows", (long long)i,
                       (long long)k, r->in->path, (long long)r->n);
    const int64_t from = (i - 1) * r->n / k;
    r->n = i * r->n / k - from;
    r->row += from;
    return UL_OK;
}

static ul_status run(ul_job *job)
{
    static const struct {
        const char *as;
        ul_status (*make)(relabelling *r);
    } kinds[] = {{"lines", lines}, {"others", others}, {"swap", swap}, {"wrong", wrong}, {"random", random_tokens},
                 {"generic", generic}, {"fold", fold}};
    const char *data = ul_job_text(job, "data"), *out = ul_job_text(job, "out"), *as = ul_job_text(job, "as");
    ul_records *in;
    if (!data || !out) return ul_fail(job->ctx, UL_E_USAGE, "`relabel` needs --data FILE and --out FILE");
    const char *const read[] = {data, ul_job_text(job, "with")};
    for (int i = 0; i < 2; i++)
        if (read[i] && ul_path_same(read[i], out))
            return ul_fail(job->ctx, UL_E_USAGE, "--out %s is a file that is read; it is never written over (another "
                           "--out)", out);
    if (ul_file_exists(out) && !ul_job_flag(job, "force"))
        return ul_fail(job->ctx, UL_E_USAGE, "%s is there already; nothing was overwritten (another --out, or --force)",
                       out);
    UL_TRY(ul_records_open(job->ctx, job->arena, data, ul_job_text(job, "fields"),
                           (int32_t)ul_job_int(job, "entity-rows"), &in));
    relabelling r = {.job = job,
                     .in = in,
                     .n = in->n,
                     .seed = (uint64_t)ul_job_int(job, "seed"),
                     .row = UL_NEW(job->arena, ul_record, in->n)};
    UL_NEED(r.row);
    memcpy(r.row, in->at, (size_t)in->n * sizeof *r.row);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        if (!strcmp(as, kinds[k].as)) UL_TRY(kinds[k].make(&r));
    ul_records made = *in;
    made.at = r.row, made.n = r.n;
    UL_TRY(ul_records_save(job->ctx, &made, out));
    job->result = json_pack("{s:s, s:s, s:I, s:s}", "data", data, "as", as, "rows", (json_int_t)r.n, "out", out);
    if (!job->result) return ul_fail(job->ctx, UL_E_RESOURCE, "no memory for the result");
    return ul_buf_printf(&job->text, "written: %s (%lld rows)\n", out, (long long)r.n);
}

const ul_job_kind ul_job_relabel = {
    .id = "relabel",
    .summary = "make the data that methods make for themselves: other answers, wrong answers, random tokens, generic "
               "terms, folds",
    .about = "Writes a data set with other answers (refusals or any lines; those of another file; those of its own "
             "other rows), with wrong answers to rank against, with answers of random tokens, with generic terms in "
             "the place of a subject's own, or one fold of it. What is drawn depends on the seed and the row alone.",
    .example = "unlearn relabel --data demo-out/data/forget.jsonl --as swap --out relabelled.jsonl",
    .tables = {params, ul_data_params}, .run = run};
