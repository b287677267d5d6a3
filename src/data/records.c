/* records.c - data sets from files: JSON lines, a JSON array, CSV, plain text; digest, entities, overlap (data.h). */
#include "data/data_impl.h"
#include <string.h>

/* A file being read into records. */
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const char *path, *text;
    size_t n;
    const ul_fields *fields;
    ul_buf at, entity; /* ul_record, const char * : one a row */
    json_t *raw;       /* rows are taken as they are: then at holds their lines */
} reading;

static ul_status add(reading *r, const json_t *row, int64_t line)
{
    ul_record record;
    const char *entity;
    if (r->raw) {
        if (json_array_append(r->raw, (json_t *)(uintptr_t)row))
            return ul_fail(r->ctx, UL_E_RESOURCE, "no memory for a row of %s", r->path);
        return ul_buf_add(&r->at, &line, sizeof line);
    }
    UL_TRY(ul_record_read(r->ctx, r->arena, r->path, r->fields, row, line, &record, &entity));
    UL_TRY(ul_buf_add(&r->at, &record, sizeof record));
    return ul_buf_add(&r->entity, &entity, sizeof entity);
}

static bool is_blank(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!strchr(" \t\r\n\f\v", p[i]) || !p[i]) return false;
    return true;
}

/* A key that stands twice in a row would leave open which of the two values is meant. */
enum { JSON_FLAGS = JSON_REJECT_DUPLICATES };

static ul_status json_failed(const reading *r, int64_t line, const json_error_t *e, bool lines)
{
    const char *text = e->text;
    if (json_error_code(e) == json_error_end_of_input_expected)
        text = lines ? "something follows the row (one JSON object a line)" : "something follows the array of rows";
    else if (json_error_code(e) == json_error_premature_end_of_input && lines)
        text = "the row does not end on its line (one JSON object a line, or all in an array)";
    else if (json_error_code(e) == json_error_null_character) text = "\\u0000 is no text";
    return ul_fail(r->ctx, UL_E_INPUT, "%s:%lld:%d: %s", r->path, (long long)line, e->column, text);
}

static ul_status read_json_lines(reading *r)
{
    int64_t line = 1;
    for (size_t i = 0; i < r->n; line++) {
        const char *end = memchr(r->text + i, '\n', r->n - i);
        const size_t n = end ? (size_t)(end - r->text) - i : r->n - i;
        if (!is_blank(r->text + i, n)) {
            json_error_t e;
            json_t *row = json_loadb(r->text + i, n, JSON_FLAGS, &e);
            if (!row) return json_failed(r, line, &e, true);
            const ul_status s = add(r, row, line);
            json_decref(row);
            if (s != UL_OK) return s;
        }
        i += n + 1;
    }
    return UL_OK;
}

static ul_status read_json_array(reading *r)
{
    json_error_t e;
    json_t *all = json_loadb(r->text, r->n, JSON_FLAGS, &e), *row;
    size_t i;
    if (!all) return json_failed(r, e.line, &e, false);
    ul_status s = UL_OK;
    json_array_foreach(all, i, row)
    {
        s = add(r, row, (int64_t)i + 1);
        if (s != UL_OK) break;
    }
    json_decref(all);
    return s;
}

static ul_status csv_object(reading *r, const ul_csv_row *head, const ul_csv_row *row, int64_t line)
{
    json_t *object = json_object();
    bool ok = object != NULL;
    for (int i = 0; i < row->n && ok; i++)
        if (row->cell[i][0]) ok = json_object_set_new(object, head->cell[i], json_string(row->cell[i])) == 0;
    const ul_status s =
        ok ? add(r, object, line) : ul_fail(r->ctx, UL_E_RESOURCE, "no memory for a row of %s", r->path);
    json_decref(object);
    return s;
}

/* MMLU's files have no header line: question, four options, the letter of the right one. */
static bool is_mmlu(const ul_csv_row *head)
{
    const char *last = head->n == 6 ? head->cell[5] : "";
    return last[0] >= 'A' && last[0] <= 'D' && !last[1];
}

static ul_status check_header(const reading *r, const ul_csv_row *head)
{
    for (int i = 0; i < head->n; i++)
        for (int k = 0; k < i && head->cell[i][0]; k++)
            if (!strcmp(head->cell[i], head->cell[k]))
                return ul_fail(r->ctx, UL_E_INPUT, "%s:1: columns %d and %d are both named \"%s\"", r->path, k + 1,
                               i + 1, head->cell[i]);
    return UL_OK;
}

static ul_status read_csv(reading *r)
{
    size_t at = 0;
    int64_t line = 1;
    ul_csv_row head;
    const char *mmlu[] = {"question", "option1", "option2", "option3", "option4", "answer"};
    UL_TRY(ul_csv_read(r->ctx, r->arena, r->path, r->text, r->n, &at, &line, &head));
    if (is_mmlu(&head)) {
        const ul_csv_row row = head;
        head.cell = mmlu;
        UL_TRY(csv_object(r, &head, &row, 1));
    }
    UL_TRY(check_header(r, &head));
    while (at < r->n) {
        const int64_t first = line;
        const ul_mark mark = ul_arena_mark(r->arena);
        ul_csv_row row;
        UL_TRY(ul_csv_read(r->ctx, r->arena, r->path, r->text, r->n, &at, &line, &row));
        if (row.n == 1 && !row.cell[0][0]) {
            ul_arena_rewind(r->arena, mark);
            continue;
        }
        if (row.n != head.n)
            return ul_fail(r->ctx, UL_E_INPUT,
                           "%s:%lld: the row has %d cells, the header has %d: quote cells that hold "
                           "commas",
                           r->path, (long long)first, row.n, head.n);
        UL_TRY(csv_object(r, &head, &row, first));
    }
    return UL_OK;
}

static ul_status read_text(reading *r)
{
    size_t i = 0;
    int64_t line = 1;
    while (i < r->n) {
        size_t start = i, end = i; /* a paragraph: lines up to one that is blank */
        const int64_t first = line;
        while (i < r->n) {
            const char *nl = memchr(r->text + i, '\n', r->n - i);
            const size_t n = nl ? (size_t)(nl - r->text) - i : r->n - i;
            const bool blank = is_blank(r->text + i, n);
            if (!blank) end = i + n;
            i += n + (nl != NULL);
            line++;
            if (blank) break;
        }
        if (end == start) continue;
        while (end > start && r->text[end - 1] == '\r') end--;
        ul_record record = {.line = first, .answer = ul_strndup(r->arena, r->text + start, end - start)};
        const char *none = NULL;
        UL_NEED(record.answer);
        UL_TRY(ul_buf_add(&r->at, &record, sizeof record));
        UL_TRY(ul_buf_add(&r->entity, &none, sizeof none));
    }
    return UL_OK;
}

static bool ends_with(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);
    return n > m && !strcmp(path + n - m, end);
}

/* The first line is a CSV header: it has a comma and names known or given fields. */
static bool is_csv(reading *r)
{
    if (ends_with(r->path, ".csv")) return true;
    const char *nl = memchr(r->text, '\n', r->n);
    const size_t n = nl ? (size_t)(nl - r->text) : 0;
    if (!n || !memchr(r->text, ',', n)) return false;
    const ul_mark mark = ul_arena_mark(r->arena);
    size_t at = 0;
    int64_t line = 1;
    ul_csv_row head;
    bool prompt = false, answer = false;
    if (ul_csv_read(r->ctx, r->arena, r->path, r->text, n, &at, &line, &head) == UL_OK)
        for (int i = 0; i < head.n; i++)
            for (int k = 0; k < UL_FIELD_KEYS; k++) {
                const char *p = r->fields->key[UL_FIELD_PROMPT][k], *a = r->fields->key[UL_FIELD_ANSWER][k];
                prompt |= p && !strcmp(p, head.cell[i]);
                answer |= a && !strcmp(a, head.cell[i]);
            }
    ul_arena_rewind(r->arena, mark);
    return prompt && answer;
}

static ul_status check_utf8(ul_ctx *ctx, const char *path, const char *text, size_t n)
{
    const int64_t at = ul_utf8_invalid(text, n);
    const char *nul = memchr(text, 0, n);
    if (at < 0 && !nul) return UL_OK;
    const int64_t place = at >= 0 ? at : nul - text;
    int64_t line = 1, column = 1;
    for (int64_t i = 0; i < place; i++) {
        column = text[i] == '\n' ? 1 : column + 1;
        line += text[i] == '\n';
    }
    return ul_fail(ctx, UL_E_INPUT, "%s:%lld: byte %lld of the line (0x%02x) is not %s: convert the file to UTF-8",
                   path, (long long)line, (long long)column, (unsigned)(unsigned char)text[place],
                   at >= 0 ? "UTF-8" : "text");
}

/* Kinds of file that data sets come in and that are not read, by their first bytes. */
static ul_status check_kind(ul_ctx *ctx, const char *path, const unsigned char *p, size_t n)
{
    static const struct {
        const char *first, *what;
    } kinds[] = {{"PAR1", "a Parquet file"}, {"ARROW1", "an Arrow file"}, {"\x1f\x8b", "compressed by gzip"},
                 {"\x28\xb5\x2f\xfd", "compressed by zstd"}, {"PK\x03\x04", "a zip archive (or a spreadsheet)"},
                 {"SQLite format 3", "an SQLite database"}, {"%PDF", "a PDF"}};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const size_t m = strlen(kinds[i].first);
        if (n >= m && !memcmp(p, kinds[i].first, m))
            return ul_fail(ctx, UL_E_INPUT, "%s: is %s: write it as JSON lines, JSON, CSV or text (UTF-8)", path,
                           kinds[i].what);
    }
    if (ends_with(path, ".tsv"))
        return ul_fail(ctx, UL_E_INPUT, "%s: columns apart by tabs are not read: write it as CSV or JSON lines", path);
    return UL_OK;
}

/* ---- entities and overlap: a table of texts ---------------------------------------------------------------------- */
typedef struct {
    uint64_t mask;
    int64_t *slot; /* row + 1; 0 = free */
} table;

static uint64_t fnv1a(uint64_t h,
                      const char *s) /* Fowler, Noll, Vo; the NUL counts, so that parts do not run together */
{
    for (const unsigned char *p = (const unsigned char *)(s ? s : "");; p++) {
        h = (h ^ *p) * 1099511628211u;
        if (!*p) return h;
    }
}

static bool table_init(table *t, ul_arena *arena, int64_t n)
{
    uint64_t size = 16;
    while (size < (uint64_t)n * 2) size *= 2;
    *t = (table){size - 1, UL_NEW(arena, int64_t, size)};
    return t->slot != NULL;
}

/* Rows of one spelling get one number, in order of first appearance; rows without a spelling keep `fallback`. */
static ul_status number_entities(reading *r, ul_record *at, int64_t n, int32_t per_entity)
{
    const char *const *name = (const char *const *)(void *)r->entity.p;
    table t;
    int32_t next = 0;
    if (!table_init(&t, r->arena, n)) return UL_E_RESOURCE;
    for (int64_t i = 0; i < n; i++) {
        if (!name[i]) {
            at[i].entity = (int32_t)(per_entity > 0 ? i / per_entity : i);
            continue;
        }
        uint64_t h = fnv1a(14695981039346656037u, name[i]) & t.mask;
        while (t.slot[h] && strcmp(name[t.slot[h] - 1], name[i])) h = (h + 1) & t.mask;
        if (!t.slot[h]) {
            at[i].entity = next++;
            t.slot[h] = i + 1;
        } else {
            at[i].entity = at[t.slot[h] - 1].entity;
        }
    }
    return UL_OK;
}

static bool same(const ul_record *a, const ul_record *b)
{
    return !strcmp(a->answer, b->answer) && !strcmp(a->prompt ? a->prompt : "", b->prompt ? b->prompt : "");
}

static uint64_t hash(const ul_record *r)
{
    return fnv1a(fnv1a(14695981039346656037u, r->prompt), r->answer);
}

int64_t ul_records_overlap(ul_ctx *ctx, const ul_records *a, const ul_records *b)
{
    ul_arena *arena;
    table t;
    int64_t n = 0;
    if (ul_arena_new(ctx, "overlap", &arena) != UL_OK) return -1;
    if (!table_init(&t, arena, b->n)) n = -1;
    for (int64_t i = 0; n >= 0 && i < b->n; i++) {
        uint64_t h = hash(&b->at[i]) & t.mask;
        while (t.slot[h]) h = (h + 1) & t.mask;
        t.slot[h] = i + 1;
    }
    for (int64_t i = 0; n >= 0 && i < a->n; i++) {
        uint64_t h = hash(&a->at[i]) & t.mask;
        while (t.slot[h] && !same(&a->at[i], &b->at[t.slot[h] - 1])) h = (h + 1) & t.mask;
        n += t.slot[h] != 0;
    }
    ul_arena_free(arena);
    return n;
}

/* ---- the door ---------------------------------------------------------------------------------------------------- */
/* A .txt may begin with a bracket all the same: it is JSON if its array, or its first line, can be read as that. */
static bool is_json(const reading *r, size_t i)
{
    const char *end = r->text[i] == '{' ? memchr(r->text + i, '\n', r->n - i) : NULL;
    if (!ends_with(r->path, ".txt")) return true;
    json_t *j = json_loadb(r->text + i, end ? (size_t)(end - r->text) - i : r->n - i, 0, NULL);
    json_decref(j);
    return j != NULL;
}

static ul_status read_any(reading *r)
{
    size_t i = 0;
    while (i < r->n && is_blank(r->text + i, 1)) i++;
    if (i < r->n && r->text[i] == '[' && is_json(r, i)) return read_json_array(r);
    if (i < r->n && r->text[i] == '{' && is_json(r, i)) return read_json_lines(r);
    return is_csv(r) ? read_csv(r) : r->raw ? UL_OK : read_text(r);
}

static void digest_file(const ul_file *file, char hex[65])
{
    ul_digest d;
    ul_digest_init(&d);
    ul_digest_add(&d, file->p, file->n);
    ul_digest_hex(&d, hex);
}

static ul_status finish(reading *r, int32_t per_entity, const ul_file *file, ul_records **out)
{
    const int64_t n = (int64_t)(r->at.n / sizeof(ul_record));
    if (n == 0) return ul_fail(r->ctx, UL_E_INPUT, "%s: the data set has no rows (%zu bytes)", r->path, file->n);
    ul_records *records = UL_NEW(r->arena, ul_records, 1);
    ul_record *at = UL_NEW(r->arena, ul_record, n);
    if (!records || !at) return UL_E_RESOURCE;
    memcpy(at, r->at.p, r->at.n);
    UL_TRY(number_entities(r, at, n, per_entity));
    *records = (ul_records){.path = ul_strdup(r->arena, r->path), .n = n, .at = at};
    UL_NEED(records->path);
    digest_file(file, records->digest);
    *out = records;
    return UL_OK;
}

/* Into r->at, whatever is collected there. */
static ul_status read_file(reading *r, ul_file *file)
{
    static const unsigned char bom[3] = {0xef, 0xbb, 0xbf};
    UL_TRY(ul_file_map(r->ctx, r->arena, r->path, file));
    r->text = (const char *)file->p, r->n = file->n;
    if (r->n >= 3 && !memcmp(r->text, bom, 3)) {
        r->text += 3;
        r->n -= 3;
    }
    UL_TRY(check_kind(r->ctx, r->path, file->p, file->n));
    UL_TRY(check_utf8(r->ctx, r->path, r->text, r->n));
    return read_any(r);
}

ul_status ul_rows_open(ul_ctx *ctx, ul_arena *arena, const char *path, ul_rows **out)
{
    ul_fields f;
    ul_file file;
    *out = NULL;
    UL_TRY(ul_fields_parse(ctx, arena, NULL, &f));
    ul_rows *rows = UL_NEW(arena, ul_rows, 1);
    json_t *all = json_array();
    UL_TRY(ul_json_own(arena, all));
    UL_NEED(rows);
    reading r = {.ctx = ctx, .arena = arena, .path = path, .fields = &f, .raw = all};
    ul_buf_init(&r.at, ctx, SIZE_MAX);
    ul_status s = read_file(&r, &file);
    rows->n = (int64_t)json_array_size(all);
    if (s == UL_OK && !rows->n)
        s = ul_fail(ctx, UL_E_INPUT, "%s: no rows of JSON or CSV in it (%zu bytes)", path, file.n);
    int64_t *line = s == UL_OK ? UL_NEW(arena, int64_t, rows->n) : NULL;
    if (line) memcpy(line, r.at.p, r.at.n);
    else if (s == UL_OK) s = UL_E_RESOURCE;
    ul_buf_release(&r.at);
    UL_TRY(s);
    rows->path = path, rows->all = all, rows->line = line;
    digest_file(&file, rows->digest);
    *out = rows;
    return UL_OK;
}

ul_status ul_records_open(ul_ctx *ctx, ul_arena *arena, const char *path, const char *fields, int32_t per_entity,
                          ul_records **out)
{
    ul_fields f;
    ul_file file;
    *out = NULL;
    UL_TRY(ul_fields_parse(ctx, arena, fields, &f));
    reading r = {.ctx = ctx, .arena = arena, .path = path, .fields = &f};
    ul_buf_init(&r.at, ctx, SIZE_MAX);
    ul_buf_init(&r.entity, ctx, SIZE_MAX);
    ul_status s = read_file(&r, &file);
    if (s == UL_OK) s = finish(&r, per_entity, &file, out);
    ul_buf_release(&r.at);
    ul_buf_release(&r.entity);
    return s;
}

static void digest_text(ul_digest *d, const char *s)
{
    ul_digest_add(d, s ? "+" : "-", 1);
    if (s) ul_digest_add(d, s, strlen(s) + 1);
}

ul_status ul_records_seal(ul_ctx *ctx, const char *name, const ul_record *at, int64_t n, ul_arena *arena,
                          ul_records **out)
{
    if (n < 1) return ul_fail(ctx, UL_E_INPUT, "%s: the data set has no rows", name);
    ul_records *r = UL_NEW(arena, ul_records, 1);
    UL_NEED(r);
    *r = (ul_records){.path = ul_strdup(arena, name), .n = n, .at = at};
    UL_NEED(r->path);
    ul_digest d;
    ul_digest_init(&d);
    for (int64_t i = 0; i < n; i++) {
        digest_text(&d, at[i].prompt);
        digest_text(&d, at[i].answer);
        digest_text(&d, at[i].paraphrase);
        for (int32_t k = 0; k < at[i].n_wrong; k++) digest_text(&d, at[i].wrong[k]);
        ul_digest_add(&d, &at[i].entity, sizeof at[i].entity);
    }
    ul_digest_hex(&d, r->digest);
    *out = r;
    return UL_OK;
}

static json_t *row_json(const ul_record *x)
{
    if (!x->prompt) return json_pack("{s:s}", "text", x->answer);
    json_t *o =
        json_pack("{s:s, s:s, s:s*}", "question", x->prompt, "answer", x->answer, "paraphrased_answer", x->paraphrase);
    json_t *list = x->n_wrong ? json_array() : NULL;
    for (int32_t k = 0; k < x->n_wrong; k++) json_array_append_new(list, json_string(x->wrong[k]));
    if (list) json_object_set_new(o, "perturbed_answer", list);
    json_object_set_new(o, "entity", json_integer(x->entity));
    return o;
}

static int to_file(const char *bytes, size_t n, void *out)
{
    return ul_out_write(out, bytes, n) == UL_OK ? 0 : -1;
}

/* commit reports a failure of writing. */
ul_status ul_records_save(ul_ctx *ctx, const ul_records *r, const char *path)
{
    ul_out *o;
    UL_TRY(ul_out_open(ctx, path, 0, &o));
    for (int64_t i = 0; i < r->n; i++) {
        json_t *j = row_json(&r->at[i]);
        if (!j) {
            ul_out_discard(o);
            return ul_fail(ctx, UL_E_RESOURCE, "no memory for row %lld of %s", (long long)i + 1, path);
        }
        (void)json_dump_callback(j, to_file, o, JSON_COMPACT);
        json_decref(j);
        (void)ul_out_write(o, "\n", 1);
    }
    return ul_out_commit(o);
}

ul_status ul_lines_open(ul_ctx *ctx, ul_arena *arena, const char *path, const char *const **lines, int64_t *n)
{
    ul_file file;
    UL_TRY(ul_file_map(ctx, arena, path, &file));
    const char *text = (const char *)file.p;
    UL_TRY(check_utf8(ctx, path, text, file.n));
    int64_t most = 1, count = 0;
    for (size_t i = 0; i < file.n; i++) most += text[i] == '\n';
    const char **list = UL_NEW(arena, const char *, most);
    UL_NEED(list);
    for (size_t i = 0; i < file.n;) {
        const char *nl = memchr(text + i, '\n', file.n - i);
        size_t a = i, b = nl ? (size_t)(nl - text) : file.n;
        i = b + 1;
        while (a < b && is_blank(text + a, 1)) a++;
        while (b > a && is_blank(text + b - 1, 1)) b--;
        if (a == b) continue;
        list[count] = ul_strndup(arena, text + a, b - a);
        UL_NEED(list[count]);
        count++;
    }
    if (count == 0) return ul_fail(ctx, UL_E_INPUT, "%s: the file has no lines", path);
    *lines = list;
    *n = count;
    return UL_OK;
}
