/* rwku.c - RWKU (arXiv 2406.10890): knowledge of a person, asked at three levels, and of the neighbourhood
 * (metrics.md section 8).
 *
 *   level 1 fill-in, level 2 questions, level 3 adversarial questions (nine types); neighbours at levels 1 and 2.
 *   30 greedy tokens up to the end of the line; nothing said counts as "NOANSWER"; mean ROUGE-L recall over the sets
 * of words
 *   (stat.h, ul_rouge_set), forget lower, neighbours higher.
 *
 * Rows: "query", "answer", "type" (of level 3). Items with an affirmative suffix carry their own beginning of the
 * answer and get no "Answer:"; in-context items carry "Question:" themselves. No chat template: base models. Utility:
 * --choices on MMLU. There is no retrained model, so the numbers have no anchor but the model before. */
#include "audit/benchmark.h"
#include <string.h>

enum { TOKENS = 30 };

static const char *prompt_of(ul_arena *arena, bool blank, const char *type, const char *query)
{
    const char *task = blank ? "Please complete the blank in the following question.\n"
                             : "Please briefly answer the following question.\n";
    const bool affirmative = !strncmp(type, "affirmative", 11),
               examples = !strncmp(type, "in-context", 10) || !strncmp(type, "in context", 10);
    return ul_format(arena, "%s%s%s\n%s", task, examples ? "" : "Question: ", query, affirmative ? "" : "Answer:");
}

/* The rows of a file, at most b->rows of them. */
typedef struct {
    const ul_rows *rows;
    const char **query, **answer, **type;
    int64_t n;
} level;

static ul_status read_level(ul_benchmark *b, const char *path, level *l)
{
    ul_rows *rows;
    UL_TRY(ul_rows_open(b->ctx, b->arena, path, &rows));
    const int64_t n = b->rows && b->rows < rows->n ? b->rows : rows->n;
    *l = (level){rows, UL_NEW(b->arena, const char *, n), UL_NEW(b->arena, const char *, n),
                 UL_NEW(b->arena, const char *, n), n};
    if (!l->query || !l->answer || !l->type) return UL_E_RESOURCE;
    for (int64_t i = 0; i < n; i++) {
        const json_t *row = json_array_get(rows->all, (size_t)i);
        l->query[i] = json_string_value(json_object_get(row, "query"));
        l->answer[i] = json_string_value(json_object_get(row, "answer"));
        l->type[i] = json_string_value(json_object_get(row, "type"));
        if (!l->type[i]) l->type[i] = "";
        if (!l->query[i] || !l->answer[i])
            return ul_fail(b->ctx, UL_E_INPUT, "%s:%lld: RWKU's rows have \"query\" and \"answer\"; there is no %s",
                           path, (long long)rows->line[i], l->query[i] ? "answer" : "query");
    }
    return UL_OK;
}

static bool first_of_type(const level *l, int64_t i)
{
    for (int64_t k = 0; k < i; k++)
        if (!strcmp(l->type[k], l->type[i])) return false;
    return true;
}

/* One pass a type, in order of appearance, each row with its place in the file: so the types are told later. */
static ul_status keep_by_type(ul_benchmark *b, const char *data, const level *l, const char *const *said)
{
    for (int64_t i = 0; i < l->n; i++) {
        int64_t m = 0;
        if (!first_of_type(l, i)) continue;
        const char **truth = UL_NEW(b->arena, const char *, l->n), **text = UL_NEW(b->arena, const char *, l->n);
        int64_t *place = UL_NEW(b->arena, int64_t, l->n);
        if (!truth || !text || !place) return UL_E_RESOURCE;
        for (int64_t k = i; k < l->n; k++)
            if (!strcmp(l->type[k], l->type[i])) truth[m] = l->answer[k], text[m] = said[k], place[m++] = k;
        const ul_columns c = {.name = data, .n_row = m, .index = place, .ground_truth = truth, .generation = text};
        UL_TRY(ul_benchmark_keep(b, data, l->type[i], &c));
    }
    return UL_OK;
}

static const struct {
    const char *data;
    bool blank;
    const char *better;
} sets[] = {{"rwku/forget_level1", true, "lower"},
            {"rwku/forget_level2", false, "lower"},
            {"rwku/forget_level3", false, "lower"},
            {"rwku/neighbor_level1", true, "higher"},
            {"rwku/neighbor_level2", false, "higher"}};
enum { N_SET = sizeof sets / sizeof *sets };

static const char *name_of(int set)
{
    return sets[set].data + strlen("rwku/");
}

static ul_status ask(ul_benchmark *b, int set, const char *path)
{
    static const char *const stops[] = {"\n", NULL};
    level l;
    UL_TRY(read_level(b, path, &l));
    UL_TRY(ul_benchmark_input(b, name_of(set), path, l.rows->digest, l.rows->n));
    const char **prompt = UL_NEW(b->arena, const char *, l.n), *const * said;
    UL_NEED(prompt);
    for (int64_t i = 0; i < l.n; i++)
        UL_NEED(prompt[i] = prompt_of(b->arena, sets[set].blank, l.type[i], l.query[i]));
    UL_TRY(ul_benchmark_generate(b, name_of(set), prompt, l.n, TOKENS, stops, &said));
    return keep_by_type(b, sets[set].data, &l, said);
}

/* *out NULL: the file is not there. */
static ul_status file_of(ul_benchmark *b, int set, const char **out)
{
    for (int kind = 0; kind < 2; kind++) {
        UL_NEED(*out = ul_format(b->arena, "%s/%s.%s", ul_job_text(b->job, "rwku"), name_of(set),
                                 kind ? "jsonl" : "json"));
        if (ul_file_exists(*out)) return UL_OK;
    }
    *out = NULL;
    return UL_OK;
}

static const char *title_of(ul_benchmark *b, int set, const char *type)
{
    char *title = ul_format(b->arena, "%s_%s", name_of(set), type);
    for (char *p = title; p && *p; p++)
        if (*p == ' ') *p = '_';
    return title;
}

static ul_status plan(ul_benchmark *b)
{
    const int before = b->n_planned;
    for (int i = 0; i < N_SET; i++) {
        const char *path;
        level l;
        UL_TRY(file_of(b, i, &path));
        if (!path) continue;
        UL_TRY(read_level(b, path, &l));
        for (int64_t r = 0; r < l.n; r++)
            if (first_of_type(&l, r)) UL_TRY(ul_benchmark_plan(b, sets[i].data, l.type[r]));
    }
    return b->n_planned > before
               ? UL_OK
               : ul_fail(b->ctx, UL_E_INPUT,
                         "%s: none of RWKU's files in it (forget_level1.json, ..., neighbor_level2.json)",
                         ul_job_text(b->job, "rwku"));
}

/* How many types of a set have a result of their own; 0 where there is only one. */
static int types_of(const ul_data_columns *pass, int n, int set)
{
    int types = 0;
    for (int i = 0; i < n; i++) types += !strcmp(pass[i].data, sets[set].data) && pass[i].key[0];
    return types > 1 ? types : 0;
}

static ul_status offer(ul_benchmark *b, const ul_data_columns *pass, int n)
{
    for (int set = 0; set < N_SET; set++)
        for (int i = 0; i < n; i++) {
            if (strcmp(pass[i].data, sets[set].data)) continue;
            UL_TRY(ul_benchmark_offer(b, &pass[i], name_of(set), "rouge", NULL));
            if (pass[i].key[0] && types_of(pass, n, set))
                UL_TRY(ul_benchmark_offer(b, &pass[i], title_of(b, set, pass[i].key), "rouge", NULL));
        }
    return UL_OK;
}

static ul_status run(ul_benchmark *b)
{
    for (int i = 0; i < N_SET; i++) {
        const char *path;
        UL_TRY(file_of(b, i, &path));
        if (path && ul_benchmark_runs(b, sets[i].data, NULL)) UL_TRY(ask(b, i, path));
    }
    return UL_OK;
}

/* ---- results, from columns ------------------------------------------------------------------------------------- */
typedef struct {
    const char *type, *truth, *text;
    double recall;
} row;

/* Every row of a set in its place; *n = 0: there are none. */
static ul_status in_order(ul_benchmark *b, const char *data, row **out, int64_t *n)
{
    *n = 0;
    for (int i = 0; i < b->n_columns; i++) {
        if (strcmp(b->columns[i].data, data)) continue;
        UL_TRY(ul_benchmark_has(b, data, b->columns[i].columns, UL_COL_GROUND_TRUTH | UL_COL_GENERATION, false));
        *n += b->columns[i].columns->n_row;
    }
    row *all = UL_NEW(b->arena, row, *n);
    UL_NEED(all);
    for (int i = 0; i < b->n_columns; i++) {
        const ul_columns *c = b->columns[i].columns;
        if (strcmp(b->columns[i].data, data)) continue;
        for (int64_t k = 0; k < c->n_row; k++) {
            const int64_t at = ul_columns_index(c, k);
            if (at < 0 || at >= *n || all[at].type)
                return ul_fail(b->ctx, UL_E_INPUT, "%s \"%s\": its row %lld is number %lld of %lld%s", data,
                               b->columns[i].key, (long long)k, (long long)at, (long long)*n,
                               at >= 0 && at < *n ? ", as another one is" : "");
            const char *said = c->generation[k];
            all[at] = (row){b->columns[i].key, c->ground_truth[k], said[0] ? said : "NOANSWER", 0};
        }
    }
    *out = all;
    return UL_OK;
}

/* Of the rows of each type, where there are several. */
static ul_status by_type(ul_benchmark *b, int set, const row *all, int64_t n)
{
    double *part = UL_NEW(b->arena, double, n), mean, error;
    UL_NEED(part);
    for (int i = 0; types_of(b->columns, b->n_columns, set) && i < b->n_columns; i++) {
        const char *type = b->columns[i].key;
        int64_t m = 0;
        if (strcmp(b->columns[i].data, sets[set].data) || !type[0]) continue;
        for (int64_t k = 0; k < n; k++)
            if (!strcmp(all[k].type, type)) part[m++] = all[k].recall;
        const char *title = title_of(b, set, type);
        UL_NEED(title);
        ul_benchmark_mean(part, m, &mean, &error);
        UL_TRY(ul_benchmark_result(b, title, mean, error, m, sets[set].better, NULL));
    }
    return UL_OK;
}

static ul_status set_results(ul_benchmark *b, int set)
{
    row *all;
    int64_t n;
    UL_TRY(in_order(b, sets[set].data, &all, &n));
    double *recall = UL_NEW(b->arena, double, n), mean, error;
    json_t *log = json_object();
    UL_TRY(ul_json_own(b->arena, log));
    UL_NEED(recall);
    if (n == 0) return UL_OK;
    for (int64_t i = 0; i < n; i++) {
        ul_prf s;
        const char *key = ul_format(b->arena, "%lld", (long long)i);
        UL_NEED(key);
        UL_TRY(ul_rouge_set(b->arena, all[i].truth, all[i].text, &s));
        recall[i] = all[i].recall = s.recall;
        json_object_set_new(log, key,
                            json_pack("{s:f, s:s, s:s, s:s}", "rougeL_recall", s.recall, "ground_truth", all[i].truth,
                                      "generation", all[i].text, "type", all[i].type));
    }
    ul_benchmark_mean(recall, n, &mean, &error);
    UL_TRY(ul_benchmark_result(b, name_of(set), mean, error, n, sets[set].better, json_incref(log)));
    return by_type(b, set, all, n);
}

static ul_status results(ul_benchmark *b)
{
    for (int i = 0; i < N_SET; i++)
        if (ul_benchmark_runs(b, sets[i].data, NULL)) UL_TRY(set_results(b, i));
    return UL_OK;
}

const ul_benchmark_kind ul_benchmark_rwku = {.flag = "rwku", .prefix = "rwku/", .stem = "RWKU", .plan = plan,
                                             .offer = offer, .run = run, .results = results};
