/* multiple_choice.c - WMDP, MMLU and any multiple-choice file as lm-evaluation-harness scores them (metrics.md
 * section 4).
 *
 *   context = description ++ shots ++ question "\nA. " c0 "\nB. " c1 ... "\nAnswer:"      continuations " A", " B", ...
 *   ll_k = sum of log p over the ids of encode(context ++ continuation) behind the first |encode(context)|,
 *          after encode(context): a tokenizer that joins the last sign of a context with the first of a continuation
 *          (":" and " A") is overruled there
 *   acc: first argmax of ll_k;  calibrated: first argmax of ll_k - mean over the questions of ll_k (RTT, TV-19);
 *   cloze: context "Question: " question "\nAnswer:", continuations " " c_k; acc_norm: ll_k / characters of c_k.
 *
 * Special tokens as the tokenizer adds them; lm-evaluation-harness 0.4.5 adds none unless told so (--no-bos).
 * Rows longer than the context lose their beginning (here one token more of it than there, where the last token is not
 * an input). A shot is its question with the right letter and an empty line. One pass runs all options of a question,
 * and shots that all questions have in common, once. */
#include "audit/benchmark.h"
#include <stdio.h>
#include <string.h>

enum { MOST_OPTIONS = 26 };
#define PREFIX "choices/"

/* ---- questions from files -------------------------------------------------------------------------------------- */
/* Options: a list, Python's spelling of one, or the keys option1 .. option9 or A .. Z. */
static int options_of(ul_arena *arena, const json_t *row, const char **out)
{
    static const char *const keys[] = {"choices", "options"};
    int n = 0;
    for (size_t k = 0; k < 2; k++) {
        const json_t *list = json_object_get(row, keys[k]);
        if (json_is_string(list)) return ul_text_list(arena, json_string_value(list), out, MOST_OPTIONS);
        if (!json_is_array(list)) continue;
        if (json_array_size(list) > MOST_OPTIONS) return -1;
        for (; n < (int)json_array_size(list); n++) {
            const json_t *v = json_array_get(list, (size_t)n);
            out[n] = json_is_string(v)    ? ul_strdup(arena, json_string_value(v))
                     : json_is_integer(v) ? ul_format(arena, "%lld", (long long)json_integer_value(v))
                                          : NULL;
            if (!out[n]) return -1;
        }
        return n;
    }
    for (int by_letter = 0; by_letter < 2 && n == 0; by_letter++)
        for (const char *v;; n++) {
            char key[] = "option1";
            key[6] = (char)('1' + n);
            const char letter[2] = {(char)('A' + n), 0};
            v = n < (by_letter ? MOST_OPTIONS : 9) ? json_string_value(json_object_get(row, by_letter ? letter : key))
                                                   : NULL;
            if (!v) break;
            if (!(out[n] = ul_strdup(arena, v))) return -1;
        }
    return n;
}

/* The right option by its text and by its place (an index from 0, a letter); -1: it is none. "2" and "B" may be both:
 * the file decides (settle). */
typedef struct {
    int text, place;
} right_one;

static right_one gold_of(const json_t *row, const char *const *option, int n)
{
    const json_t *v = json_object_get(row, "answer");
    if (!v) v = json_object_get(row, "gold");
    if (!v) v = json_object_get(row, "label");
    const char *s = json_string_value(v);
    int64_t k = json_is_integer(v) ? json_integer_value(v) : -1;
    right_one g = {-1, -1};
    for (int i = 0; s && i < n && g.text < 0; i++)
        if (!strcmp(s, option[i])) g.text = i;
    if (s && s[0] && !s[1]) k = s[0] >= 'A' && s[0] <= 'Z' ? s[0] - 'A' : s[0] >= '0' && s[0] <= '9' ? s[0] - '0' : -1;
    if (k >= 0 && k < n) g.place = (int)k;
    return g;
}

/* A file says it in one way: by texts where every answer is one, else by places where it can. */
static void settle(ul_question *q, const right_one *g, int64_t n)
{
    bool texts = true;
    for (int64_t i = 0; i < n; i++) texts &= g[i].text >= 0;
    for (int64_t i = 0; i < n; i++) q[i].gold = texts || g[i].place < 0 ? g[i].text : g[i].place;
}

static const char *stripped(ul_arena *arena, const char *s)
{
    size_t n = strlen(s), a = 0;
    while (a < n && strchr(" \t\r\n\f\v", s[a])) a++;
    while (n > a && strchr(" \t\r\n\f\v", s[n - 1])) n--;
    return ul_strndup(arena, s + a, n - a);
}

ul_status ul_questions_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_question **out, int64_t *n,
                            char digest[65])
{
    ul_rows *rows;
    UL_TRY(ul_rows_open(ctx, arena, path, &rows));
    ul_question *q = UL_NEW(arena, ul_question, rows->n);
    right_one *right = UL_NEW(arena, right_one, rows->n);
    UL_NEED(q);
    UL_NEED(right);
    for (int64_t i = 0; i < rows->n; i++) {
        const json_t *row = json_array_get(rows->all, (size_t)i);
        const char *option[MOST_OPTIONS], *text = json_string_value(json_object_get(row, "question"));
        if (!text) text = json_string_value(json_object_get(row, "prompt"));
        const int64_t before = ul_alloc_failures(ctx);
        const int k = options_of(arena, row, option);
        UL_TRY(ul_alloc_held(ctx, before)); /* not "no options" */
        right[i] = gold_of(row, option, k);
        if (!text || k < 2 || (right[i].text < 0 && right[i].place < 0))
            return ul_fail(ctx, UL_E_INPUT,
                           "%s:%lld: %s; a row has \"question\", \"choices\" (a list of 2 to %d, or option1, option2, "
                           "..., or A, B, ...) and \"answer\" (its index from 0, its letter, or its text)",
                           path, (long long)rows->line[i],
                           !text   ? "no question"
                           : k < 2 ? "no options"
                                   : "the answer is none of the options",
                           MOST_OPTIONS);
        const char **list = UL_NEW(arena, const char *, k);
        UL_NEED(list);
        memcpy(list, option, (size_t)k * sizeof *list);
        UL_NEED(q[i].text = stripped(arena, text));
        q[i].option = list, q[i].n_option = k;
    }
    settle(q, right, rows->n);
    memcpy(digest, rows->digest, sizeof rows->digest);
    *out = q;
    *n = rows->n;
    return UL_OK;
}

/* ---- prompts --------------------------------------------------------------------------------------------------- */
static const char *ask(ul_arena *arena, const char *before, const ul_question *q, bool cloze)
{
    if (cloze) return ul_format(arena, "%sQuestion: %s\nAnswer:", before, q->text);
    const char *s = ul_format(arena, "%s%s", before, q->text);
    for (int32_t k = 0; s && k < q->n_option; k++) s = ul_format(arena, "%s\n%c. %s", s, 'A' + k, q->option[k]);
    return s ? ul_format(arena, "%s\nAnswer:", s) : NULL;
}

static const char *continuation(ul_arena *arena, const ul_question *q, int32_t k, bool cloze)
{
    return cloze ? ul_format(arena, " %s", q->option[k]) : ul_format(arena, " %c", 'A' + k);
}

/* Description and shots: what stands before every question. */
static ul_status preamble(ul_arena *arena, const char *subject, const ul_question *shot, int64_t n, bool cloze,
                          const char **out)
{
    const char *s = ul_format(arena,
                              cloze ? "The following are questions (with answers) about %s.\n\n"
                                    : "The following are multiple choice questions (with answers) about %s.\n\n",
                              subject);
    for (int64_t i = 0; s && i < n; i++) {
        const char *next = continuation(arena, &shot[i], shot[i].gold, cloze);
        s = ask(arena, s, &shot[i], cloze);
        s = s && next ? ul_format(arena, "%s%s\n\n", s, next) : NULL;
    }
    UL_NEED(s);
    *out = s;
    return UL_OK;
}

/* ".../anatomy_test.csv" is about anatomy, WMDP's three by their published names. */
static const char *subject_of(ul_arena *arena, const char *path)
{
    static const char *const wmdp[][2] = {{"bio", "biology"}, {"chem", "chemistry"}, {"cyber", "cybersecurity"}};
    static const char *const ends[] = {"_test", "_dev", "_val", "-test", "-dev"};
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    size_t n = strcspn(name, ".");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t e = strlen(ends[i]);
        if (n > e && !memcmp(name + n - e, ends[i], e)) n -= e;
    }
    for (size_t i = 0; i < 3; i++) {
        const size_t e = strlen(wmdp[i][0]);
        if (n > e && !memcmp(name + n - e, wmdp[i][0], e) && (name[n - e - 1] == '_' || name[n - e - 1] == '-'))
            return wmdp[i][1];
    }
    char *s = ul_strndup(arena, name, n);
    for (char *p = s; p && *p; p++)
        if (*p == '_') *p = ' ';
    return s;
}

/* ---- scores ---------------------------------------------------------------------------------------------------- */
static const char *const formats[] = {"letters", "cloze"}; /* how a question is asked: the pass's field */

/* What stands before "_acc" in the results of a file. */
static const char *name_of(ul_arena *arena, const char *path)
{
    const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    return ul_strndup(arena, base, strcspn(base, "."));
}

static const char *data_of(ul_arena *arena, const char *name)
{
    return name ? ul_format(arena, "%s%s", PREFIX, name) : NULL;
}

/* Tokens of every option, its text, and beside each the letter of the right one. */
static ul_status ask_all(ul_benchmark *b, const char *name, const ul_question *q, int64_t n, const char *before,
                         bool cloze)
{
    ul_record *at = UL_NEW(b->arena, ul_record, n);
    ul_records *records;
    ul_columns c;
    UL_NEED(at);
    for (int64_t i = 0; i < n; i++) {
        const char **next = UL_NEW(b->arena, const char *, q[i].n_option);
        UL_NEED(next);
        for (int32_t k = 0; k < q[i].n_option; k++) UL_NEED(next[k] = continuation(b->arena, &q[i], k, cloze));
        at[i] = (ul_record){.line = i + 1,
                            .entity = (int32_t)i,
                            .prompt = ask(b->arena, before, &q[i], cloze),
                            .answer = "",
                            .wrong = next,
                            .n_wrong = q[i].n_option};
        UL_NEED(at[i].prompt);
    }
    UL_TRY(ul_records_seal(b->ctx, name, at, n, b->arena, &records));
    ul_eval_options o = b->o;
    o.tpl.cut_left = o.tpl.own_head = true;
    o.tpl.no_special = ul_job_flag(b->job, "no-bos");
    o.tpl.max_length = ul_model_shape(o.model)->n_ctx;
    o.texts = false;
    UL_TRY(ul_columns_score(b->ctx, b->arena, &o, records, UL_WHICH_WRONG, name, &c));
    const char **option = UL_NEW(b->arena, const char *, c.first[n]),
               **right = UL_NEW(b->arena, const char *, c.first[n]);
    UL_NEED(option);
    UL_NEED(right);
    for (int64_t i = 0; i < n; i++) {
        const char *letter = ul_format(b->arena, "%c", 'A' + q[i].gold);
        UL_NEED(letter);
        for (int64_t k = c.first[i]; k < c.first[i + 1]; k++) {
            if (c.token[k + 1] == c.token[k])
                return ul_fail(b->ctx, UL_E_INPUT,
                               "%s: option %c of question %lld has no token of its own behind the question: its "
                               "log-likelihood is not defined",
                               name, (char)('A' + (k - c.first[i])), (long long)i + 1);
            option[k] = q[i].option[k - c.first[i]], right[k] = letter;
        }
    }
    c.text = option, c.ground_truth = right;
    const char *data = data_of(b->arena, name);
    UL_NEED(data);
    return ul_benchmark_keep(b, data, formats[cloze], &c);
}

static ul_status one_file(ul_benchmark *b, const char *path, const char *shots)
{
    ul_question *q, *shot = NULL;
    int64_t n, n_shot = 0;
    char digest[65];
    UL_TRY(ul_questions_open(b->ctx, b->arena, path, &q, &n, digest));
    UL_TRY(ul_benchmark_input(b, "choices", path, digest, n));
    if (shots) {
        UL_TRY(ul_questions_open(b->ctx, b->arena, shots, &shot, &n_shot, digest));
        UL_TRY(ul_benchmark_input(b, "shots", shots, digest, n_shot));
        const int64_t want = ul_job_int(b->job, "n-shot");
        if (n_shot < want)
            return ul_fail(b->ctx, UL_E_INPUT, "%s has %lld examples, --n-shot asks for %lld", shots, (long long)n_shot,
                           (long long)want);
        n_shot = want;
    }
    if (b->rows && b->rows < n) n = b->rows;
    const char *subject = ul_job_text(b->job, "subject") ? ul_job_text(b->job, "subject") : subject_of(b->arena, path);
    const char *name = name_of(b->arena, path), *data = data_of(b->arena, name);
    UL_NEED(subject);
    UL_NEED(data);
    for (int cloze = 0; cloze < 1 + ul_job_flag(b->job, "cloze"); cloze++) {
        const char *before;
        if (!ul_benchmark_runs(b, data, formats[cloze])) continue;
        UL_TRY(preamble(b->arena, subject, shot, n_shot, cloze, &before));
        UL_TRY(ask_all(b, name, q, n, before, cloze));
    }
    return UL_OK;
}

/* The next of a list joined with commas; NULL at its end. */
static const char *next_of(ul_arena *arena, const char **list)
{
    if (!*list || !**list) return NULL;
    const size_t n = strcspn(*list, ",");
    const char *s = ul_strndup(arena, *list, n);
    *list += n + ((*list)[n] == ',');
    return s;
}

static ul_status plan(ul_benchmark *b)
{
    const char *files = ul_job_text(b->job, "choices"), *path;
    while ((path = next_of(b->arena, &files))) {
        const char *data = data_of(b->arena, name_of(b->arena, path));
        UL_NEED(data);
        for (int cloze = 0; cloze < 1 + ul_job_flag(b->job, "cloze"); cloze++)
            UL_TRY(ul_benchmark_plan(b, data, formats[cloze]));
    }
    return UL_OK;
}

static ul_status run(ul_benchmark *b)
{
    const char *files = ul_job_text(b->job, "choices"), *shots = ul_job_text(b->job, "shots"), *path;
    for (int n = 0; (path = next_of(b->arena, &files)); n++) {
        const char *shot = next_of(b->arena, &shots), *data = data_of(b->arena, name_of(b->arena, path));
        UL_NEED(data);
        if (!shot && ul_job_text(b->job, "shots"))
            return ul_fail(b->ctx, UL_E_USAGE,
                           "--shots names %d files, --choices more: one file of examples for each", n);
        if (ul_benchmark_runs(b, data, NULL)) UL_TRY(one_file(b, path, shot));
    }
    return UL_OK;
}

/* ---- results, from columns ------------------------------------------------------------------------------------- */
static double characters(const char *s)
{
    double n = 0;
    for (; *s; s++) n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

/* Of every option the sum of its tokens' log-probabilities, of every question the place of the right one. */
static ul_status log_likelihoods(ul_benchmark *b, const char *name, const ul_columns *c, double **ll, double **gold)
{
    UL_TRY(ul_benchmark_has(b, name, c, UL_COL_LOGP | UL_COL_TEXT | UL_COL_GROUND_TRUTH, true));
    UL_NEED(*ll = UL_NEW(b->arena, double, c->first[c->n_row]));
    UL_NEED(*gold = UL_NEW(b->arena, double, c->n_row));
    for (int64_t i = 0; i < c->n_row; i++) {
        const char *letter = c->ground_truth[c->first[i]];
        const int64_t right = letter[0] && !letter[1] ? letter[0] - 'A' : -1;
        if (right < 0 || right >= c->first[i + 1] - c->first[i])
            return ul_fail(b->ctx, UL_E_INPUT, "%s, question %lld: \"%s\" is no letter of its %lld options", name,
                           (long long)i + 1, letter, (long long)(c->first[i + 1] - c->first[i]));
        (*gold)[i] = (double)right;
        for (int64_t k = c->first[i]; k < c->first[i + 1]; k++)
            for (int64_t t = c->token[k]; t < c->token[k + 1]; t++) (*ll)[k] += c->logp[t];
    }
    return UL_OK;
}

ul_status ul_benchmark_hits(ul_benchmark *b, const char *name, const int64_t *first, int64_t n, const double *gold,
                            const double *score, bool calibrated, const double **hit)
{
    const ul_metric *m;
    ul_args args;
    ul_result r;
    const ul_columns c = {.name = name, .n_row = n, .first = first, .score = score},
                     g = {.name = name, .n_row = n, .score = gold};
    const ul_input in[] = {{"choices", &c, 0}, {"gold", &g, 0}};
    UL_TRY(ul_metric_find(b->ctx, "choice_accuracy", &m));
    ul_args_default(m->params, &args);
    UL_TRY(ul_args_set(b->arena, &args, "choice_accuracy", "calibrated", calibrated ? "true" : "false"));
    UL_TRY(ul_metric_compute(b->arena, m, &args, in, 2, &r));
    *hit = r.part[0].rows.score;
    return UL_OK;
}

static json_t *rows_json(const ul_columns *c, const double *gold, const double *ll)
{
    json_t *rows = json_object();
    for (int64_t i = 0; i < c->n_row; i++) {
        json_t *list = json_array();
        for (int64_t k = c->first[i]; k < c->first[i + 1]; k++) json_array_append_new(list, json_real(ll[k]));
        char key[24];
        snprintf(key, sizeof key, "%lld", (long long)i);
        json_object_set_new(rows, key, json_pack("{s:i, s:o}", "gold", (int)gold[i], "loglikelihood", list));
    }
    return rows;
}

/* Hits of all files of one kind, for the mean over all questions. */
typedef struct {
    const char *name, *better;
    ul_buf hit;
} pool;
enum { ACC, CALIBRATED, CLOZE, CLOZE_NORM, POOLS };
static const char *const accuracies[POOLS] = {"acc", "acc_calibrated", "cloze_acc", "cloze_acc_norm"};

/* -1: a pass of another benchmark. */
static int format_of(const ul_data_columns *pass)
{
    if (strncmp(pass->data, PREFIX, strlen(PREFIX))) return -1;
    return !strcmp(pass->key, formats[0]) ? 0 : !strcmp(pass->key, formats[1]) ? 1 : -1;
}

static int files_of(const ul_data_columns *pass, int n, int format)
{
    int files = 0;
    for (int i = 0; i < n; i++) files += format_of(&pass[i]) == format;
    return files;
}

/* Two of each pass, and the same over the questions of all files. */
static ul_status offer(ul_benchmark *b, const ul_data_columns *pass, int n)
{
    for (int i = 0; i < n; i++) {
        const int cloze = format_of(&pass[i]);
        for (int k = cloze ? CLOZE : ACC; cloze >= 0 && k <= (cloze ? CLOZE_NORM : CALIBRATED); k++) {
            const char *of = pass[i].data + strlen(PREFIX), *acc = accuracies[k];
            UL_TRY(ul_benchmark_offer(b, &pass[i], ul_format(b->arena, "%s_%s", of, acc), "choice_accuracy", acc));
            if (files_of(pass, n, cloze) > 1)
                UL_TRY(ul_benchmark_offer(b, &pass[i], ul_format(b->arena, "all_%s", acc), "choice_accuracy", acc));
        }
    }
    return UL_OK;
}

static ul_status tell(ul_benchmark *b, pool *p, const char *file, const double *hit, int64_t n, json_t *rows)
{
    double mean, error;
    const char *name = ul_format(b->arena, "%s_%s", file, p->name);
    UL_NEED(name);
    ul_benchmark_mean(hit, n, &mean, &error);
    UL_TRY(ul_benchmark_result(b, name, mean, error, n, p->better, rows));
    return ul_buf_add(&p->hit, hit, (size_t)n * sizeof *hit);
}

/* One file in one format: letters or cloze. */
static ul_status format_results(ul_benchmark *b, const char *name, const ul_columns *c, bool cloze, pool *pools)
{
    const int64_t n = c->n_row;
    double *ll, *gold;
    const double *hit;
    bool even = true;
    UL_TRY(log_likelihoods(b, name, c, &ll, &gold));
    UL_TRY(ul_benchmark_hits(b, name, c->first, n, gold, ll, false, &hit));
    UL_TRY(tell(b, &pools[cloze ? CLOZE : ACC], name, hit, n, rows_json(c, gold, ll)));
    for (int64_t i = 0; i < n; i++) {
        even &= c->first[i + 1] - c->first[i] == c->first[1];
        for (int64_t k = c->first[i]; cloze && k < c->first[i + 1]; k++) ll[k] /= characters(c->text[k]);
    }
    if (!cloze && !even) {
        ul_note(b->ctx, UL_LOG_INFO, "%s: questions have different numbers of options: no calibrated accuracy", name);
        return UL_OK;
    }
    UL_TRY(ul_benchmark_hits(b, name, c->first, n, gold, ll, !cloze, &hit));
    return tell(b, &pools[cloze ? CLOZE_NORM : CALIBRATED], name, hit, n, NULL);
}

static ul_status pooled(ul_benchmark *b, const pool *p)
{
    const int64_t n = (int64_t)(p->hit.n / sizeof(double));
    double mean, error;
    const char *name = ul_format(b->arena, "all_%s", p->name);
    UL_NEED(name);
    if (n == 0) return UL_OK;
    ul_benchmark_mean((const double *)(const void *)p->hit.p, n, &mean, &error);
    return ul_benchmark_result(b, name, mean, error, n, p->better, NULL);
}

static ul_status results(ul_benchmark *b)
{
    pool pools[POOLS];
    ul_status s = UL_OK;
    for (int i = 0; i < POOLS; i++) {
        pools[i] = (pool){.name = accuracies[i], .better = "chance when forgotten"};
        ul_buf_init(&pools[i].hit, b->ctx, SIZE_MAX);
    }
    for (int i = 0; s == UL_OK && i < b->n_columns; i++) {
        const ul_data_columns *d = &b->columns[i];
        const int cloze = format_of(d);
        if (cloze < 0) continue;
        if (ul_benchmark_runs(b, d->data, d->key))
            s = format_results(b, d->data + strlen(PREFIX), d->columns, cloze, pools);
    }
    for (int i = 0; s == UL_OK && i < POOLS; i++)
        if (files_of(b->columns, b->n_columns, i >= CLOZE) > 1) s = pooled(b, &pools[i]);
    for (int i = 0; i < POOLS; i++) ul_buf_release(&pools[i].hit);
    return s;
}

const ul_benchmark_kind ul_benchmark_choices = {.flag = "choices", .prefix = PREFIX, .stem = "CHOICES", .plan = plan,
                                                .offer = offer, .run = run, .results = results};
