/* store.c - columns of an evaluation in one SQLite file, so that metrics are computed again, or anew,
 * without the model.
 *
 *   about (key, value)                  what made the columns: digests of model and data, recipe digest, precision
 *   pass  (pass, data, field, lists)    a data set with one kind of answer; lists = 1: a row has a list of answers
 *   row   (pass, row, idx, entity)      idx: the row's key in value_by_index; entity: rows about the same person
 *   answer(pass, row, answer, eos_last, avg_loss, prob, ref_loss, grad_norm, text, ground_truth, generation)
 *   token (pass, row, answer, token, logp, hit, mu, sigma2, kl, kl_reverse, js, agree)
 *   loss                                a view: mean negative log-probability of every answer
 *
 * Benchmarks beside TOFU keep theirs in the same tables: data "muse/forget_knowmem", "rwku/forget_level3" (field: the
 * type of the questions, idx: the place in the file), "choices/FILE" (an answer an option; ground_truth: the letter of
 * the right one).
 *
 * Units and meaning: unlearn/metric.h, ul_columns; a column that was not filled is NULL throughout. A token is a row
 * of its own, not an element of a JSON list: eight bytes instead of twenty digits a number, and the shell can ask
 *   sqlite3 columns.sqlite "SELECT row, avg(logp) FROM token JOIN pass USING (pass) WHERE data = 'forget' GROUP BY row"
 * Numbers are IEEE doubles, bit for bit but for the sign of zero (SQLite keeps none). The file is built in memory
 * and written at once: whole or absent, and the same bytes for the same columns (and version of SQLite).
 * A file read is not trusted: every number must be finite, rows, answers and tokens must count from 0 without a gap. */
#include "audit/audit.h"
#include <math.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { APPLICATION = 0x756c636f /* "ulco" */, VERSION = 2, N_NUMBER = 4, N_TEXT = 3 };
static const char *const numbers[N_NUMBER] = {"avg_loss", "prob", "ref_loss", "grad_norm"};
static const char *const texts[N_TEXT] = {"text", "ground_truth", "generation"};

static const char schema[] =
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE pass (pass INTEGER PRIMARY KEY, data TEXT NOT NULL, field TEXT NOT NULL, lists INTEGER NOT NULL);"
    "CREATE TABLE row (pass INTEGER, row INTEGER, idx INTEGER NOT NULL, entity INTEGER, PRIMARY KEY (pass, row)) "
    "WITHOUT ROWID;"
    "CREATE TABLE answer (pass INTEGER, row INTEGER, answer INTEGER, eos_last INTEGER, avg_loss REAL, prob REAL,"
    " ref_loss REAL, grad_norm REAL, text TEXT, ground_truth TEXT, generation TEXT, PRIMARY KEY (pass, row, answer))"
    " WITHOUT ROWID;"
    "CREATE TABLE token (pass INTEGER, row INTEGER, answer INTEGER, token INTEGER, logp REAL NOT NULL,"
    " hit INTEGER NOT NULL, mu REAL, sigma2 REAL, kl REAL, kl_reverse REAL, js REAL, agree INTEGER,"
    " PRIMARY KEY (pass, row, answer, token)) WITHOUT ROWID;"
    "CREATE VIEW loss AS SELECT data, field, row, answer, -avg(logp) AS avg_loss, count(*) AS tokens"
    " FROM token JOIN pass USING (pass) GROUP BY pass, row, answer;";

typedef struct {
    ul_ctx *ctx;
    const char *path;
    sqlite3 *db;
    sqlite3_stmt *st[8];
} store;

static ul_status sql_fails(const store *s, int code)
{
    if (code == SQLITE_NOMEM || code == SQLITE_FULL)
        return ul_fail(s->ctx, UL_E_RESOURCE, "%s: no memory for the columns", s->path);
    return ul_fail(s->ctx, UL_E_INPUT, "%s: %s (a columns.sqlite of `unlearn eval` is wanted)", s->path,
                   s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
}

static ul_status prepare(store *s, int i, const char *sql)
{
    sqlite3_finalize(s->st[i]); /* what it held before, if anything */
    s->st[i] = NULL;
    const int code = sqlite3_prepare_v2(s->db, sql, -1, &s->st[i], NULL);
    return code == SQLITE_OK ? UL_OK : sql_fails(s, code);
}

static void release(store *s)
{
    for (size_t i = 0; i < sizeof s->st / sizeof *s->st; i++) sqlite3_finalize(s->st[i]);
    sqlite3_close(s->db);
}

/* ---- writing --------------------------------------------------------------------------------------------------- */
static ul_status put(const store *s, sqlite3_stmt *st)
{
    const int code = sqlite3_step(st);
    sqlite3_reset(st);
    return code == SQLITE_DONE ? UL_OK : sql_fails(s, code);
}

static void bind_ints(sqlite3_stmt *st, int n, const int64_t *v)
{
    for (int i = 0; i < n; i++) sqlite3_bind_int64(st, i + 1, v[i]);
}

static void bind_real(sqlite3_stmt *st, int at, const double *x, int64_t i)
{
    if (x)
        sqlite3_bind_double(st, at, x[i]);
    else
        sqlite3_bind_null(st, at);
}

/* The statements of so many tokens at once: a statement costs more than a row. */
static const int together[] = {32, 8, 1};
enum { FIRST_TOKENS = 4, N_TOGETHER = sizeof together / sizeof *together, TOKEN_COLUMNS = 12 };

static ul_status prepare_tokens(store *s)
{
    for (int k = 0; k < N_TOGETHER; k++) {
        static const char row[] = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?),";
        char sql[2048] = "INSERT INTO token VALUES ";
        size_t n = strlen(sql);
        for (int i = 0; i < together[k]; i++, n += sizeof row - 1) memcpy(sql + n, row, sizeof row);
        sql[n - 1] = 0; /* no comma behind the last */
        UL_TRY(prepare(s, FIRST_TOKENS + k, sql));
    }
    return UL_OK;
}

static void bind_token(sqlite3_stmt *st, int at, const ul_columns *c, const int64_t id[3], int64_t place, int64_t t)
{
    const double *const real[] = {c->mu, c->sigma2, c->kl, c->kl_reverse, c->js};
    for (int i = 0; i < 3; i++) sqlite3_bind_int64(st, at + 1 + i, id[i]);
    sqlite3_bind_int64(st, at + 4, place);
    sqlite3_bind_double(st, at + 5, c->logp[t]);
    sqlite3_bind_int64(st, at + 6, c->hit && c->hit[t]);
    for (int i = 0; i < 5; i++) bind_real(st, at + 7 + i, real[i], t);
    if (c->agree)
        sqlite3_bind_int64(st, at + 12, c->agree[t]);
    else
        sqlite3_bind_null(st, at + 12);
}

static ul_status put_tokens(const store *s, const ul_columns *c, const int64_t id[3], int64_t answer)
{
    const int64_t first = c->token[answer], end = c->token[answer + 1];
    int64_t t = first;
    for (int k = 0; k < N_TOGETHER; k++)
        while (end - t >= together[k]) {
            sqlite3_stmt *st = s->st[FIRST_TOKENS + k];
            for (int i = 0; i < together[k]; i++, t++) bind_token(st, i * TOKEN_COLUMNS, c, id, t - first, t);
            UL_TRY(put(s, st));
        }
    return UL_OK;
}

/* A number that is not finite fails the run here, and is not kept as NULL. */
static ul_status check_finite(const store *s, const ul_data_columns *d)
{
    static const char *const per_token[] = {"logp", "mu", "sigma2", "kl", "kl_reverse", "js"};
    enum { N_TOKEN = sizeof per_token / sizeof *per_token };
    ul_columns c = *d->columns;
    for (int k = 0; k < N_TOKEN + N_NUMBER; k++) {
        const char *name = k < N_TOKEN ? per_token[k] : numbers[k - N_TOKEN];
        const double *x = *ul_columns_number(&c, name);
        for (int64_t row = 0, j = 0; x && row < c.n_row; row++)
            for (const int64_t end = c.first ? c.first[row + 1] : row + 1; j < end; j++) {
                const int64_t lo = k < N_TOKEN ? c.token[j] : j, hi = k < N_TOKEN ? c.token[j + 1] : j + 1;
                for (int64_t i = lo; i < hi; i++)
                    if (!isfinite(x[i]))
                        return ul_fail(s->ctx, UL_E_CRITERION, "%s %s, row %lld: %s is %g (weights diverged?)", d->data,
                                       d->key, (long long)ul_columns_index(&c, row), name, x[i]);
            }
    }
    return UL_OK;
}

static ul_status put_pass(const store *s, int64_t pass, const ul_data_columns *d)
{
    ul_columns c = *d->columns;
    UL_TRY(check_finite(s, d));
    sqlite3_bind_int64(s->st[1], 1, pass);
    sqlite3_bind_text(s->st[1], 2, d->data, -1, SQLITE_TRANSIENT);
    sqlite3_bind_text(s->st[1], 3, d->key, -1, SQLITE_TRANSIENT);
    sqlite3_bind_int64(s->st[1], 4, c.first != NULL);
    UL_TRY(put(s, s->st[1]));
    for (int64_t i = 0; i < c.n_row; i++) {
        bind_ints(s->st[2], 3, (const int64_t[]){pass, i, ul_columns_index(&c, i)});
        if (c.entity)
            sqlite3_bind_int64(s->st[2], 4, c.entity[i]);
        else
            sqlite3_bind_null(s->st[2], 4);
        UL_TRY(put(s, s->st[2]));
        const int64_t lo = c.first ? c.first[i] : i, hi = c.first ? c.first[i + 1] : i + 1;
        for (int64_t j = lo; j < hi; j++) {
            const int64_t id[3] = {pass, i, j - lo};
            bind_ints(s->st[3], 3, id);
            if (c.eos_last)
                sqlite3_bind_int64(s->st[3], 4, c.eos_last[j]);
            else
                sqlite3_bind_null(s->st[3], 4);
            for (int k = 0; k < N_NUMBER; k++) bind_real(s->st[3], 5 + k, *ul_columns_number(&c, numbers[k]), j);
            for (int k = 0; k < N_TEXT; k++) {
                const char *const *text = *ul_columns_text(&c, texts[k]);
                sqlite3_bind_text(s->st[3], 5 + N_NUMBER + k, text ? text[j] : NULL, -1, SQLITE_TRANSIENT);
            }
            UL_TRY(put(s, s->st[3]));
            if (c.logp) UL_TRY(put_tokens(s, &c, id, j));
        }
    }
    return UL_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* In the order of the keys: the order of insertion shows in the bytes. */
static ul_status put_about(const store *s, const json_t *about)
{
    enum { MAX = 1024 }; /* two files a subject of MMLU */
    const char *keys[MAX], *key;
    json_t *v;
    size_t n = 0;
    json_object_foreach((json_t *)(uintptr_t)about, key, v) if (n < MAX) keys[n++] = key;
    qsort(keys, n, sizeof *keys, by_name);
    for (size_t i = 0; i < n; i++) {
        sqlite3_bind_text(s->st[0], 1, keys[i], -1, SQLITE_TRANSIENT);
        sqlite3_bind_text(s->st[0], 2, json_string_value(json_object_get(about, keys[i])), -1, SQLITE_TRANSIENT);
        UL_TRY(put(s, s->st[0]));
    }
    return UL_OK;
}

static ul_status write_all(store *s, const ul_data_columns *columns, int n, const json_t *about)
{
    char pragma[160];
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    int code = sqlite3_open_v2(":memory:", &s->db, flags, NULL);
    snprintf(pragma, sizeof pragma,
             "PRAGMA page_size = 4096; PRAGMA secure_delete = ON; PRAGMA application_id = %d; PRAGMA user_version = "
             "%d; BEGIN;",
             APPLICATION, VERSION);
    if (code == SQLITE_OK) code = sqlite3_exec(s->db, pragma, NULL, NULL, NULL);
    if (code == SQLITE_OK) code = sqlite3_exec(s->db, schema, NULL, NULL, NULL);
    if (code != SQLITE_OK) return sql_fails(s, code);
    UL_TRY(prepare(s, 0, "INSERT INTO about VALUES (?, ?)"));
    UL_TRY(prepare(s, 1, "INSERT INTO pass VALUES (?, ?, ?, ?)"));
    UL_TRY(prepare(s, 2, "INSERT INTO row VALUES (?, ?, ?, ?)"));
    UL_TRY(prepare(s, 3, "INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    UL_TRY(prepare_tokens(s));
    UL_TRY(put_about(s, about));
    for (int i = 0; i < n; i++) UL_TRY(put_pass(s, i, &columns[i]));
    code = sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK) return sql_fails(s, code);
    sqlite3_int64 bytes = 0;
    unsigned char *image = sqlite3_serialize(s->db, "main", &bytes, 0);
    if (!image) return sql_fails(s, SQLITE_NOMEM);
    const ul_status status = ul_file_save(s->ctx, s->path, image, (size_t)bytes);
    sqlite3_free(image);
    return status;
}

ul_status ul_columns_save(ul_ctx *ctx, const char *path, const ul_data_columns *columns, int n, const json_t *about)
{
    store s = {.ctx = ctx, .path = path};
    const ul_status status = write_all(&s, columns, n, about);
    release(&s);
    return status;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */
typedef struct {
    store *s;
    ul_arena *a;
    const char *data, *field;
    int64_t pass, n_row, n_answer, n_token;
    ul_columns c;
    int64_t *index, *entity, *first, *token;
    uint8_t *eos_last, *hit, *agree;
    double *number[N_NUMBER], *logp, *mu, *sigma2, *kl, *kl_reverse, *js;
    const char **text[N_TEXT];
    bool has_entity, has_eos, has_number[N_NUMBER], has_text[N_TEXT], has_moments, has_kl;
} loader;

static ul_status broken(const loader *l, int64_t row, const char *what)
{
    return ul_fail(l->s->ctx, UL_E_INPUT, "%s: %s %s, row %lld: %s", l->s->path, l->data, l->field, (long long)row,
                   what);
}

static int64_t count(const loader *l, int i)
{
    sqlite3_stmt *st = l->s->st[i];
    sqlite3_reset(st);
    sqlite3_bind_int64(st, 1, l->pass);
    return sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : -1;
}

/* A cell that all rows have or none; *has is what the first row says. */
static ul_status cell(const loader *l, sqlite3_stmt *st, int col, int64_t row, bool first, const char *name, bool *has)
{
    const bool there = sqlite3_column_type(st, col) != SQLITE_NULL;
    if (first) *has = there;
    if (there == *has) return UL_OK;
    return ul_fail(l->s->ctx, UL_E_INPUT, "%s: %s %s, row %lld: %s is %s (a number that is not finite is kept as NULL)",
                   l->s->path, l->data, l->field, (long long)row, name,
                   there ? "there, other rows lack it" : "missing, other rows have it");
}

static ul_status real(const loader *l, sqlite3_stmt *st, int col, int64_t row, const char *name, double *out)
{
    const int type = sqlite3_column_type(st, col);
    *out = sqlite3_column_double(st, col);
    if ((type == SQLITE_FLOAT || type == SQLITE_INTEGER) && isfinite(*out)) return UL_OK;
    return ul_fail(l->s->ctx, UL_E_INPUT, "%s: %s %s, row %lld: %s is %s, not a finite number", l->s->path, l->data,
                   l->field, (long long)row, name,
                   type == SQLITE_NULL    ? "NULL"
                   : type == SQLITE_FLOAT ? "infinite"
                                          : "no number");
}

static ul_status string(const loader *l, sqlite3_stmt *st, int col, int64_t row, const char **out)
{
    const char *p = (const char *)sqlite3_column_text(st, col);
    const size_t n = (size_t)sqlite3_column_bytes(st, col);
    if (!p || strlen(p) != n || ul_utf8_invalid(p, n) >= 0) return broken(l, row, "a text that is no UTF-8");
    *out = ul_strndup(l->a, p, n);
    return *out ? UL_OK : UL_E_RESOURCE;
}

static ul_status memory(loader *l)
{
    UL_NEED(l->index = UL_NEW(l->a, int64_t, l->n_row));
    UL_NEED(l->entity = UL_NEW(l->a, int64_t, l->n_row));
    UL_NEED(l->first = UL_NEW(l->a, int64_t, l->n_row + 1));
    UL_NEED(l->token = UL_NEW(l->a, int64_t, l->n_answer + 1));
    UL_NEED(l->eos_last = UL_NEW(l->a, uint8_t, l->n_answer));
    UL_NEED(l->hit = UL_NEW(l->a, uint8_t, l->n_token));
    UL_NEED(l->agree = UL_NEW(l->a, uint8_t, l->n_token));
    double **list[] = {&l->logp, &l->mu, &l->sigma2, &l->kl, &l->kl_reverse, &l->js};
    for (int i = 0; i < 6; i++) UL_NEED(*list[i] = UL_NEW(l->a, double, l->n_token));
    for (int k = 0; k < N_NUMBER; k++) UL_NEED(l->number[k] = UL_NEW(l->a, double, l->n_answer));
    for (int k = 0; k < N_TEXT; k++) UL_NEED(l->text[k] = UL_NEW(l->a, const char *, l->n_answer));
    return UL_OK;
}

static ul_status read_rows(loader *l)
{
    sqlite3_stmt *st = l->s->st[1];
    int64_t n = 0;
    sqlite3_bind_int64(st, 1, l->pass);
    int code;
    for (; (code = sqlite3_step(st)) == SQLITE_ROW && n < l->n_row; n++) {
        if (sqlite3_column_int64(st, 0) != n) return broken(l, n, "the row is missing");
        l->index[n] = sqlite3_column_int64(st, 1);
        UL_TRY(cell(l, st, 2, n, n == 0, "entity", &l->has_entity));
        l->entity[n] = sqlite3_column_int64(st, 2);
    }
    return code == SQLITE_DONE ? UL_OK : sql_fails(l->s, code);
}

static ul_status read_answers(loader *l)
{
    sqlite3_stmt *st = l->s->st[2];
    int64_t n = 0, row = -1;
    int code;
    sqlite3_bind_int64(st, 1, l->pass);
    for (; (code = sqlite3_step(st)) == SQLITE_ROW && n < l->n_answer; n++) {
        const int64_t i = sqlite3_column_int64(st, 0), k = sqlite3_column_int64(st, 1);
        if (i != row) {
            if (i != ++row || row >= l->n_row) return broken(l, row, "the row has no answer, or an answer no row");
            l->first[row] = n;
        }
        if (k != n - l->first[row]) return broken(l, row, "its answers do not count from 0");
        UL_TRY(cell(l, st, 2, row, n == 0, "eos_last", &l->has_eos));
        l->eos_last[n] = sqlite3_column_int64(st, 2) != 0;
        for (int c = 0; c < N_NUMBER; c++) {
            UL_TRY(cell(l, st, 3 + c, row, n == 0, numbers[c], &l->has_number[c]));
            if (l->has_number[c]) UL_TRY(real(l, st, 3 + c, row, numbers[c], &l->number[c][n]));
        }
        for (int c = 0; c < N_TEXT; c++) {
            UL_TRY(cell(l, st, 3 + N_NUMBER + c, row, n == 0, texts[c], &l->has_text[c]));
            if (l->has_text[c]) UL_TRY(string(l, st, 3 + N_NUMBER + c, row, &l->text[c][n]));
        }
    }
    if (code != SQLITE_DONE) return sql_fails(l->s, code);
    if (row + 1 != l->n_row) return broken(l, row + 1, "the row has no answer");
    l->first[l->n_row] = n;
    return UL_OK;
}

static const double SLACK = 1e-6; /* rounding of a log-probability */

static ul_status read_tokens(loader *l)
{
    sqlite3_stmt *st = l->s->st[3];
    int64_t n = 0, answer = -1, row = 0;
    int code;
    sqlite3_bind_int64(st, 1, l->pass);
    for (; (code = sqlite3_step(st)) == SQLITE_ROW && n < l->n_token; n++) {
        const int64_t i = sqlite3_column_int64(st, 0), k = sqlite3_column_int64(st, 1), t = sqlite3_column_int64(st, 2);
        if (t == 0) {
            if (++answer >= l->n_answer) return broken(l, i, "more answers with tokens than answers");
            l->token[answer] = n;
            while (answer >= l->first[row + 1]) row++;
        }
        if (answer < 0 || i != row || k != answer - l->first[row] || t != n - l->token[answer])
            return broken(l, i, "its tokens do not count from 0, or an answer has none");
        UL_TRY(real(l, st, 3, row, "logp", &l->logp[n]));
        if (l->logp[n] > SLACK) return broken(l, row, "the logarithm of a probability is above 0");
        l->hit[n] = sqlite3_column_int64(st, 4) != 0;
        UL_TRY(cell(l, st, 5, row, n == 0, "mu", &l->has_moments));
        UL_TRY(cell(l, st, 7, row, n == 0, "kl", &l->has_kl));
        l->agree[n] = sqlite3_column_int64(st, 10) != 0;
        if (l->has_moments) UL_TRY(real(l, st, 5, row, "mu", &l->mu[n]));
        if (l->has_moments) UL_TRY(real(l, st, 6, row, "sigma2", &l->sigma2[n]));
        if (l->has_kl) UL_TRY(real(l, st, 7, row, "kl", &l->kl[n]));
        if (l->has_kl) UL_TRY(real(l, st, 8, row, "kl_reverse", &l->kl_reverse[n]));
        if (l->has_kl) UL_TRY(real(l, st, 9, row, "js", &l->js[n]));
    }
    if (code != SQLITE_DONE) return sql_fails(l->s, code);
    if (answer + 1 != l->n_answer) return broken(l, row, "an answer has no tokens");
    l->token[l->n_answer] = n;
    return UL_OK;
}

static ul_status read_pass(store *s, ul_arena *a, sqlite3_stmt *at, ul_data_columns *out)
{
    loader *l = UL_NEW(a, loader, 1);
    ul_columns *c = UL_NEW(a, ul_columns, 1);
    UL_NEED(l);
    UL_NEED(c);
    *l = (loader){.s = s, .a = a, .data = "pass", .field = "", .pass = sqlite3_column_int64(at, 0)};
    const char *data, *field;
    UL_TRY(string(l, at, 1, 0, &data));
    UL_TRY(string(l, at, 2, 0, &field));
    l->data = data, l->field = field;
    l->n_row = count(l, 4), l->n_answer = count(l, 5), l->n_token = count(l, 6);
    const bool lists = sqlite3_column_int64(at, 3) != 0;
    if (l->n_row <= 0 || l->n_answer < l->n_row || (!lists && l->n_answer != l->n_row) || l->n_token < 0)
        return ul_fail(s->ctx, UL_E_INPUT, "%s: %s %s has %lld rows, %lld answers", s->path, data, field,
                       (long long)l->n_row, (long long)l->n_answer);
    UL_TRY(memory(l));
    UL_TRY(read_rows(l));
    UL_TRY(read_answers(l));
    if (l->n_token) UL_TRY(read_tokens(l));
    const char *name = ul_format(a, "%s %s", data, field);
    UL_NEED(name);
    *c = (ul_columns){.name = name,
                      .n_row = l->n_row,
                      .first = lists ? l->first : NULL,
                      .index = l->index,
                      .entity = l->has_entity ? l->entity : NULL,
                      .eos_last = l->has_eos ? l->eos_last : NULL};
    if (l->n_token) c->token = l->token, c->logp = l->logp, c->hit = l->hit;
    if (l->n_token && l->has_moments) c->mu = l->mu, c->sigma2 = l->sigma2;
    if (l->n_token && l->has_kl) c->kl = l->kl, c->kl_reverse = l->kl_reverse, c->js = l->js, c->agree = l->agree;
    for (int k = 0; k < N_NUMBER; k++)
        if (l->has_number[k]) *ul_columns_number(c, numbers[k]) = l->number[k];
    for (int k = 0; k < N_TEXT; k++)
        if (l->has_text[k]) *ul_columns_text(c, texts[k]) = l->text[k];
    *out = (ul_data_columns){data, field, c};
    return UL_OK;
}

static ul_status number_of(store *s, const char *pragma, int64_t want, const char *what)
{
    UL_TRY(prepare(s, 7, pragma));
    const int code = sqlite3_step(s->st[7]);
    const int64_t has = code == SQLITE_ROW ? sqlite3_column_int64(s->st[7], 0) : 0;
    sqlite3_finalize(s->st[7]);
    s->st[7] = NULL;
    if (code != SQLITE_ROW) return sql_fails(s, code);
    return has == want
               ? UL_OK
               : ul_fail(s->ctx, UL_E_INPUT,
                         "%s: %s is %lld, this program reads %lld (a columns.sqlite of `unlearn eval` is wanted)",
                         s->path, what, (long long)has, (long long)want);
}

enum { MOST_PASSES = 4096 };

static ul_status read_all(store *s, ul_arena *a, const ul_file *f, ul_data_columns **out, int *n, json_t *about)
{
    /* the image is only read: SQLite takes it without const */
    int code = sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_deserialize(s->db, "main", (unsigned char *)(uintptr_t)f->p, (sqlite3_int64)f->n,
                                   (sqlite3_int64)f->n, SQLITE_DESERIALIZE_READONLY);
    if (code == SQLITE_OK) code = sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (code == SQLITE_OK) code = sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    if (code != SQLITE_OK) return sql_fails(s, code);
    UL_TRY(number_of(s, "PRAGMA application_id", APPLICATION, "the kind of file"));
    UL_TRY(number_of(s, "PRAGMA user_version", VERSION, "the version of its tables"));
    UL_TRY(number_of(s,
                     "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name IN ('about', 'pass', 'row', "
                     "'answer', 'token')",
                     5, "the number of its tables"));
    UL_TRY(prepare(s, 7, "SELECT key, value FROM about ORDER BY key"));
    while ((code = sqlite3_step(s->st[7])) == SQLITE_ROW)
        json_object_set_new(about, (const char *)sqlite3_column_text(s->st[7], 0),
                            json_string((const char *)sqlite3_column_text(s->st[7], 1)));
    if (code != SQLITE_DONE) return sql_fails(s, code);
    UL_TRY(prepare(s, 0, "SELECT pass, data, field, lists FROM pass ORDER BY pass"));
    UL_TRY(prepare(s, 1, "SELECT row, idx, entity FROM row WHERE pass = ? ORDER BY row"));
    UL_TRY(prepare(
        s, 2,
        "SELECT row, answer, eos_last, avg_loss, prob, ref_loss, grad_norm, text, ground_truth, generation FROM answer "
        "WHERE pass = ? ORDER BY row, answer"));
    UL_TRY(prepare(s, 3,
                   "SELECT row, answer, token, logp, hit, mu, sigma2, kl, kl_reverse, js, agree FROM token WHERE pass "
                   "= ? ORDER BY row, answer, token"));
    UL_TRY(prepare(s, 4, "SELECT count(*) FROM row WHERE pass = ?"));
    UL_TRY(prepare(s, 5, "SELECT count(*) FROM answer WHERE pass = ?"));
    UL_TRY(prepare(s, 6, "SELECT count(*) FROM token WHERE pass = ?"));
    UL_TRY(prepare(s, 7, "SELECT count(*) FROM pass"));
    const int64_t passes = sqlite3_step(s->st[7]) == SQLITE_ROW ? sqlite3_column_int64(s->st[7], 0) : 0;
    if (passes > MOST_PASSES)
        return ul_fail(s->ctx, UL_E_INPUT, "%s: %lld passes, more than %d", s->path, (long long)passes, MOST_PASSES);
    UL_NEED(*out = UL_NEW(a, ul_data_columns, passes));
    for (*n = 0; (code = sqlite3_step(s->st[0])) == SQLITE_ROW && *n < passes; (*n)++) {
        UL_TRY(read_pass(s, a, s->st[0], &(*out)[*n]));
        for (int i = 1; i < 7; i++) sqlite3_reset(s->st[i]);
    }
    return code == SQLITE_DONE ? UL_OK : sql_fails(s, code);
}

ul_status ul_columns_load(ul_ctx *ctx, ul_arena *arena, const char *path, ul_data_columns **out, int *n, json_t **about)
{
    store s = {.ctx = ctx, .path = path};
    ul_file f;
    json_t *j = json_object();
    UL_TRY(ul_json_own(arena, j));
    UL_TRY(ul_file_map(ctx, arena, path, &f));
    const ul_status status = read_all(&s, arena, &f, out, n, j);
    release(&s);
    *about = j;
    return status;
}
