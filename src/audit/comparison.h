/* comparison.h - many methods on one request: what the files of `compare` share.
 * A row is a method, the model before, or the control. */
#ifndef UL_COMPARISON_H
#define UL_COMPARISON_H
#include "audit/course.h"

typedef struct {
    ul_job *job;
    ul_backend *be;
    const char *model, *control, *out, *forget, *retain, *asked; /* asked: the forget rows with wrong answers */
    const char *alt; /* each forget row's own wrong answers; NULL until a method asks for them */
    const char *control_log;                                     /* NULL until the control is evaluated */
    const char *phantom, *rephrased, *rephrased_fields, *text;   /* of --audit, or NULL */
    ul_manifest manifest;
    ul_course *course; /* of --audit; NULL: none */
    bool begun;        /* original and control have been attacked */
    json_t *rows;
} ul_comparison;

/* A row: made, or taken from OUT/<id>/row.json with --resume. `dir`: the model, where no method makes it (e NULL). */
ul_status ul_comparison_row(ul_comparison *c, const char *id, const char *dir, const ul_catalogue_entry *e) UL_MUST;
/* OUT/<id>[/name]; NULL: no memory. */
const char *ul_comparison_path(ul_comparison *c, const char *id, const char *name);
/* The number of a row by key, NaN where it has none. */
double ul_comparison_value(const json_t *row, const char *key);
/* table.md, table.json and, with --audit, OUT/audit/report.*; ends the job. */
ul_status ul_comparison_tell(ul_comparison *c) UL_MUST;
#endif
