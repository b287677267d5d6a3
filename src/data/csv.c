/* csv.c - comma-separated values, RFC 4180: cells may be quoted, a quote inside is doubled, quoted cells may hold
 * commas and line ends; lines end with LF or CRLF. */
#include "data/data_impl.h"

enum { CELLS = 4096 };

/* The cell at *at; *end: the character behind it (',', '\n', or 0 at the end of the text). */
static ul_status cell(ul_ctx *ctx, ul_arena *arena, const char *path, const char *text, size_t n, size_t *at,
                      int64_t *line, char *end, const char **out)
{
    const int64_t first = *line;
    size_t i = *at;
    ul_buf b;
    ul_buf_init(&b, ctx, (size_t)1 << 30);
    bool open = i < n && text[i] == '"';
    const bool quoted = open;
    ul_status s = UL_OK;
    for (i += quoted; i < n && s == UL_OK; i++) {
        const char c = text[i];
        if (open) {
            if (c == '"' && i + 1 < n && text[i + 1] == '"')
                i++;
            else if (c == '"') {
                open = false;
                continue;
            }
            *line += c == '\n';
        } else if (c == ',' || c == '\n') {
            break;
        } else if (c == '\r' && (i + 1 == n || text[i + 1] == '\n')) {
            continue;
        } else if (quoted) {
            s = ul_fail(ctx, UL_E_INPUT,
                        "%s:%lld: there is text behind a closing quote; a quote inside a cell is written "
                        "twice",
                        path, (long long)*line);
            break;
        }
        s = ul_buf_add(&b, &c, 1);
    }
    if (s == UL_OK && open)
        s = ul_fail(ctx, UL_E_INPUT, "%s:%lld: the quote that opens here never closes", path, (long long)first);
    if (s == UL_OK) {
        *out = ul_strndup(arena, b.p ? b.p : "", b.n);
        if (!*out) s = UL_E_RESOURCE;
        *end = i < n ? text[i] : 0;
        *at = i < n ? i + 1 : n;
        *line += *end == '\n';
    }
    ul_buf_release(&b);
    return s;
}

ul_status ul_csv_read(ul_ctx *ctx, ul_arena *arena, const char *path, const char *text, size_t n, size_t *at,
                      int64_t *line, ul_csv_row *out)
{
    const char *cells[CELLS];
    char end = ',';
    const int64_t first = *line;
    *out = (ul_csv_row){0};
    while (end == ',') {
        if (out->n == CELLS)
            return ul_fail(ctx, UL_E_INPUT, "%s:%lld: the row has more than %d cells", path, (long long)first, CELLS);
        UL_TRY(cell(ctx, arena, path, text, n, at, line, &end, &cells[out->n]));
        out->n++;
    }
    out->cell = UL_NEW(arena, const char *, out->n);
    UL_NEED(out->cell);
    for (int i = 0; i < out->n; i++) out->cell[i] = cells[i];
    return UL_OK;
}
