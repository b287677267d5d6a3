/* muse.c - MUSE (arXiv 2407.06460), as muse_bench computes it; names as open-unlearning has them (metrics.md section
 * 3).
 *
 *   forget_verbmem_ROUGE   128 greedy tokens after the first part of a passage against its continuation (its first
 * 128 ids, the
 *                          beginning-of-sequence token among them); ROUGE-L F1
 *   *_knowmem_ROUGE        solved examples, the question, 32 greedy tokens, cut at the stop strings; ROUGE-L F1. Of
 * the retain
 *                          questions it is MUSE's utility
 *   mia_min_k, privleak    minus the mean of the lowest 40 % token log-probabilities of a text (all tokens but the
 * first), AUC of
 *                          holdout over forget; 100 (a - a_R) / a_R with a = 1 - AUC; a_R from the retrained model's
 * log, else 0.5
 *
 * The passes leave columns (texts said and compared with; log-probabilities of the texts' tokens), results come from
 * these: `eval --columns` needs no model. muse_bench does not stem, open-unlearning does (--match open-unlearning).
 * Prompts end in "Answer: ", with the space.
 * Scalability and sustainability are sequences of `forget` and `eval`: repro/muse.md. */
#include "audit/benchmark.h"
#include <math.h>
#include <string.h>

enum { VERBMEM_TOKENS = 128, KNOWMEM_TOKENS = 32 };

/* The first of the files that is there. */
static const char *find(ul_benchmark *b, const char *dir, const char *const file[2])
{
    for (int i = 0; i < 2 && file[i]; i++) {
        const char *path = ul_format(b->arena, "%s/%s", dir, file[i]);
        if (path && ul_file_exists(path)) return path;
    }
    return NULL;
}

/* What was said and what it is compared with. */
static ul_status keep_said(ul_benchmark *b, const char *data, const char *const *truth, const char *const *text,
                           int64_t n)
{
    const ul_columns c = {.name = data, .n_row = n, .ground_truth = truth, .generation = text};
    return ul_benchmark_keep(b, data, "answer", &c);
}

static ul_status pairs_only(ul_benchmark *b, const ul_records *r)
{
    for (int64_t i = 0; i < r->n; i++)
        if (!r->at[i].prompt)
            return ul_fail(b->ctx, UL_E_INPUT, "%s:%lld: the row has a text but no prompt or question", r->path,
                           (long long)r->at[i].line);
    return UL_OK;
}

/* ---- KnowMem --------------------------------------------------------------------------------------------------- */
static ul_status knowmem(ul_benchmark *b, const char *data, const char *name, const char *questions,
                         const char *examples)
{
    static const char *const stops[] = {"\n\n", "\nQuestion", "Question:", NULL};
    ul_records *r, *icl = NULL;
    UL_TRY(ul_benchmark_records(b, name, questions, &r));
    UL_TRY(pairs_only(b, r));
    const char *before = "", *const * said;
    const char **prompt = UL_NEW(b->arena, const char *, r->n), **truth = UL_NEW(b->arena, const char *, r->n);
    UL_NEED(prompt);
    UL_NEED(truth);
    if (examples) {
        const int64_t rows = b->rows;
        b->rows = 0;
        const ul_status s = ul_benchmark_records(b, "in-context examples", examples, &icl);
        b->rows = rows;
        UL_TRY(s);
        UL_TRY(pairs_only(b, icl));
    } else
        ul_note(b->ctx, UL_LOG_WARN,
                "%s: no file of in-context examples beside it: the questions are asked without, and the numbers are "
                "not comparable with MUSE's",
                questions);
    const int64_t most = ul_job_given(b->job, "n-shot") ? ul_job_int(b->job, "n-shot") : INT64_MAX;
    for (int64_t i = 0; icl && i < icl->n && i < most; i++) {
        before = ul_format(b->arena, "%sQuestion: %s\nAnswer: %s\n\n", before, icl->at[i].prompt, icl->at[i].answer);
        UL_NEED(before);
    }
    for (int64_t i = 0; i < r->n; i++) {
        UL_NEED(prompt[i] = ul_format(b->arena, "%sQuestion: %s\nAnswer: ", before, r->at[i].prompt));
        truth[i] = r->at[i].answer;
    }
    const ul_status s = ul_benchmark_generate(b, name, prompt, r->n, KNOWMEM_TOKENS, stops, &said);
    if (s == UL_E_INPUT && icl)
        return ul_fail_in(b->ctx, s, "%s (--n-shot takes fewer of its examples than all)", name);
    UL_TRY(s);
    return keep_said(b, data, truth, said, r->n);
}

/* ---- VerbMem --------------------------------------------------------------------------------------------------- */
/* The text of the first n ids. */
static ul_status first_ids(ul_benchmark *b, const char *text, size_t n, const char **out)
{
    ul_ids ids;
    ul_buf s;
    ul_ids_init(&ids, b->ctx);
    ul_buf_init(&s, b->ctx, 1 << 24);
    ul_status status = ul_encode(b->ctx, b->o.tok, text, strlen(text), true, &ids);
    if (status == UL_OK) status = ul_decode(b->ctx, b->o.tok, ids.id, ids.n < n ? ids.n : n, true, &s);
    if (status == UL_OK && !(*out = ul_strndup(b->arena, s.p ? s.p : "", s.n))) status = UL_E_RESOURCE;
    ul_buf_release(&s);
    ul_ids_release(&ids);
    return status;
}

static ul_status verbmem(ul_benchmark *b, const char *path)
{
    static const char name[] = "forget_verbmem_ROUGE";
    ul_records *r;
    UL_TRY(ul_benchmark_records(b, name, path, &r));
    UL_TRY(pairs_only(b, r));
    const char **prompt = UL_NEW(b->arena, const char *, r->n),
               **truth = UL_NEW(b->arena, const char *, r->n), *const * said;
    UL_NEED(prompt);
    UL_NEED(truth);
    for (int64_t i = 0; i < r->n; i++) {
        prompt[i] = r->at[i].prompt;
        UL_TRY(first_ids(b, r->at[i].answer, VERBMEM_TOKENS, &truth[i]));
    }
    UL_TRY(ul_benchmark_generate(b, name, prompt, r->n, VERBMEM_TOKENS, NULL, &said));
    return keep_said(b, "muse/forget_verbmem", truth, said, r->n);
}

/* ---- PrivLeak -------------------------------------------------------------------------------------------------- */
static const char *const leak[2] = {"muse/forget_privleak", "muse/holdout_privleak"};

static ul_status privleak(ul_benchmark *b, const char *forget, const char *holdout)
{
    const char *const path[2] = {forget, holdout}, *const role[2] = {"forget", "holdout"};
    for (int i = 0; i < 2; i++) {
        ul_records *set;
        ul_columns c;
        UL_TRY(ul_benchmark_records(b, ul_format(b->arena, "privleak %s", role[i]), path[i], &set));
        UL_TRY(ul_columns_score(b->ctx, b->arena, &b->o, set, UL_WHICH_ANSWER, role[i], &c));
        for (int64_t k = 0; k < c.n_row; k++) /* the first token is predicted by nothing */
            if (c.token[k + 1] == c.token[k])
                return ul_fail(b->ctx, UL_E_INPUT, "%s:%lld: a text without a token to score; leave it away", path[i],
                               (long long)set->at[k].line);
        UL_TRY(ul_benchmark_keep(b, leak[i], "text", &c));
    }
    return UL_OK;
}

/* Passes that say something, each there when its file is; and the two of privleak, there when both are. */
static const struct {
    const char *data, *name, *better, *file[2], *examples[2];
} said[] = {{"muse/forget_verbmem", "forget_verbmem_ROUGE", "the retrained model's",
             {"verbmem/forget.json", "verbmem/forget.jsonl"}, {NULL}},
            {"muse/forget_knowmem", "forget_knowmem_ROUGE", "the retrained model's",
             {"knowmem/forget_qa.json"}, {"knowmem/forget_qa_icl.json"}},
            {"muse/retain_knowmem", "retain_knowmem_ROUGE", "higher",
             {"knowmem/retain_qa.json", "knowmem/retain2_qa.json"},
             {"knowmem/retain_qa_icl.json", "knowmem/retain2_qa_icl.json"}}};
static const char *const leak_file[2][2] = {{"privleak/forget.json", "privleak/forget.jsonl"},
                                            {"privleak/holdout.json", "privleak/holdout.jsonl"}};
enum { N_SAID = sizeof said / sizeof *said };

static ul_status plan(ul_benchmark *b)
{
    const char *dir = ul_job_text(b->job, "muse");
    const int before = b->n_planned;
    for (int i = 0; i < N_SAID; i++)
        if (find(b, dir, said[i].file)) UL_TRY(ul_benchmark_plan(b, said[i].data, "answer"));
    if (find(b, dir, leak_file[0]) && find(b, dir, leak_file[1]))
        for (int i = 0; i < 2; i++) UL_TRY(ul_benchmark_plan(b, leak[i], "text"));
    if (b->n_planned > before) return UL_OK;
    return ul_fail(
        b->ctx, UL_E_INPUT,
        "%s: none of MUSE's files in it (knowmem/forget_qa.json, verbmem/forget.json, privleak/forget.json "
        "and holdout.json, ...)",
        dir);
}

static ul_status offer(ul_benchmark *b, const ul_data_columns *pass, int n)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < N_SAID; k++)
            if (!strcmp(pass[i].data, said[k].data))
                UL_TRY(ul_benchmark_offer(b, &pass[i], said[k].name, "rouge", NULL));
        for (int k = 0; k < 2; k++) {
            if (strcmp(pass[i].data, leak[k])) continue;
            UL_TRY(ul_benchmark_offer(b, &pass[i], "mia_min_k", NULL, NULL));
            UL_TRY(ul_benchmark_offer(b, &pass[i], "privleak", NULL, NULL));
        }
    }
    return UL_OK;
}

static ul_status run(ul_benchmark *b)
{
    const char *dir = ul_job_text(b->job, "muse"), *path, *holdout;
    for (int i = 0; i < N_SAID; i++) {
        if (!(path = find(b, dir, said[i].file)) || !ul_benchmark_runs(b, said[i].data, NULL)) continue;
        if (!said[i].examples[0]) UL_TRY(verbmem(b, path));
        else UL_TRY(knowmem(b, said[i].data, said[i].name, path, find(b, dir, said[i].examples)));
    }
    path = find(b, dir, leak_file[0]), holdout = find(b, dir, leak_file[1]);
    return path && holdout && ul_benchmark_runs(b, leak[0], NULL) ? privleak(b, path, holdout) : UL_OK;
}

/* ---- results, from columns ------------------------------------------------------------------------------------- */
/* Mean ROUGE-L F1 of what was said against the truths, with a log of rows. */
static ul_status rouge(ul_benchmark *b, const char *name, const char *better, const ul_columns *c)
{
    double *f1 = UL_NEW(b->arena, double, c->n_row), mean, error;
    json_t *rows = json_object();
    UL_TRY(ul_json_own(b->arena, rows));
    UL_NEED(f1);
    for (int64_t i = 0; i < c->n_row; i++) {
        ul_rouge_scores s;
        const char *key = ul_format(b->arena, "%lld", (long long)i);
        UL_NEED(key);
        UL_TRY(ul_rouge(b->arena, c->ground_truth[i], c->generation[i], b->stem, &s));
        f1[i] = s.rougeL.f1;
        json_object_set_new(rows, key,
                            json_pack("{s:f, s:s, s:s}", "rougeL_f1", f1[i], "ground_truth", c->ground_truth[i],
                                      "generation", c->generation[i]));
    }
    ul_benchmark_mean(f1, c->n_row, &mean, &error);
    return ul_benchmark_result(b, name, mean, error, c->n_row, better, json_incref(rows));
}

ul_status ul_benchmark_control_auc(ul_benchmark *b, double *out)
{
    const char *path = ul_job_text(b->job, "reference-logs");
    json_t *log;
    *out = NAN;
    if (!path) return UL_OK;
    if (b->manifest) UL_TRY(ul_manifest_file(b->job, b->manifest, "reference-logs", path));
    UL_TRY(ul_json_load_unique(b->ctx, b->arena, path, &log));
    const json_t *x = json_object_get(log, "mia_min_k");
    if (json_is_object(x)) x = json_object_get(x, "agg_value");
    if (!json_is_number(x))
        return ul_fail(b->ctx, UL_E_INPUT,
                       "%s: no \"mia_min_k\" in it; privleak compares with the retrained model's MUSE_EVAL.json", path);
    *out = json_number_value(x);
    return UL_OK;
}

ul_status ul_benchmark_privleak(ul_benchmark *b, double auc, double control, double *out)
{
    const ul_input in[2] = {{"forget", NULL, auc}, {"retain", NULL, control}};
    const ul_metric *metric;
    ul_result r = {0};
    UL_TRY(ul_metric_find(b->ctx, "privleak", &metric));
    UL_TRY(ul_metric_compute(b->arena, metric, NULL, in, isnan(control) ? 1 : 2, &r));
    *out = r.agg_value;
    return UL_OK;
}

static ul_status leak_results(ul_benchmark *b, const ul_columns *forget, const ul_columns *holdout)
{
    const int64_t n = forget->n_row + holdout->n_row;
    const ul_metric *min_k;
    ul_args args;
    const ul_input in[2] = {{"forget", forget, NAN}, {"holdout", holdout, NAN}};
    ul_result r;
    double control, privleak;
    UL_TRY(ul_metric_find(b->ctx, "mia_min_k", &min_k));
    ul_args_default(min_k->params, &args);
    UL_TRY(ul_args_set(b->arena, &args, "mia_min_k", "k", "0.4"));
    UL_TRY(ul_metric_compute(b->arena, min_k, &args, in, 2, &r));
    UL_TRY(ul_benchmark_result(b, "mia_min_k", r.agg_value, NAN, n, "the retrained model's", NULL));
    json_t *log = json_object_get(b->all, "mia_min_k"), *rows;
    UL_TRY(ul_result_json(b->ctx, min_k, &r, &rows));
    UL_TRY(ul_json_own(b->arena, rows));
    if (log && json_object_update_missing(log, rows))
        return ul_fail(b->ctx, UL_E_RESOURCE, "no memory for the rows of mia_min_k");
    UL_TRY(ul_benchmark_control_auc(b, &control));
    UL_TRY(ul_benchmark_privleak(b, r.agg_value, control, &privleak));
    return ul_benchmark_result(b, "privleak", privleak, NAN, n, "closer to 0", NULL);
}

static ul_status results(ul_benchmark *b)
{
    for (int i = 0; i < N_SAID; i++) {
        const ul_columns *c = ul_benchmark_columns(b, said[i].data, "answer");
        if (!c || !ul_benchmark_wants(b, said[i].name)) continue;
        UL_TRY(ul_benchmark_has(b, said[i].data, c, UL_COL_GROUND_TRUTH | UL_COL_GENERATION, false));
        UL_TRY(rouge(b, said[i].name, said[i].better, c));
    }
    const ul_columns *forget = ul_benchmark_columns(b, leak[0], "text"),
                     *holdout = ul_benchmark_columns(b, leak[1], "text");
    if (!forget || !holdout || !ul_benchmark_runs(b, leak[0], NULL)) return UL_OK;
    UL_TRY(ul_benchmark_has(b, leak[0], forget, UL_COL_LOGP, false));
    UL_TRY(ul_benchmark_has(b, leak[1], holdout, UL_COL_LOGP, false));
    return leak_results(b, forget, holdout);
}

const ul_benchmark_kind ul_benchmark_muse = {.flag = "muse", .prefix = "muse/", .stem = "MUSE", .plan = plan,
                                             .offer = offer, .run = run, .results = results};
