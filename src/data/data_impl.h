/* data_impl.h - between the files of this room only. */
#ifndef UL_DATA_IMPL_H
#define UL_DATA_IMPL_H
#include "data/data.h"

/* Where the parts of a record stand in a row; entries are lists of keys, NULL at the end. */
enum {
    UL_FIELD_PROMPT,
    UL_FIELD_ANSWER,
    UL_FIELD_TEXT,
    UL_FIELD_PARAPHRASE,
    UL_FIELD_WRONG,
    UL_FIELD_ENTITY,
    UL_FIELDS
};
enum { UL_FIELD_KEYS = 8 };
typedef struct {
    const char *key[UL_FIELDS][UL_FIELD_KEYS];
} ul_fields;
ul_status ul_fields_parse(ul_ctx *ctx, ul_arena *arena, const char *spec, ul_fields *out) UL_MUST;
/* A record from an object of texts, numbers and lists; strings are copied. *entity: the text of the row's own entity or
 * NULL. */
ul_status ul_record_read(ul_ctx *ctx, ul_arena *arena, const char *path, const ul_fields *f, const json_t *row,
                         int64_t line, ul_record *out, const char **entity) UL_MUST;

/* RFC 4180: one row of cells from *at on; *at moves behind its line end, *line counts line ends. Cells are
 * NUL-terminated in `arena`. UL_E_INPUT: a quote that never ends, text after a closing quote. */
typedef struct {
    const char **cell;
    int n;
} ul_csv_row;
ul_status ul_csv_read(ul_ctx *ctx, ul_arena *arena, const char *path, const char *text, size_t n, size_t *at,
                      int64_t *line, ul_csv_row *out) UL_MUST;
#endif
