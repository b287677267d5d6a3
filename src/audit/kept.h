/* kept.h - what was measured once is read again: parts under the digest of everything that decides their numbers. */
#ifndef UL_KEPT_H
#define UL_KEPT_H
#include "io/io.h"

typedef struct {
    const char *dir; /* made when the first part is kept; NULL: nothing is kept */
    char key[65];    /* of all that decides the numbers, but the part's name */
    int found;       /* parts that were read */
} ul_kept_parts;

/* A part's fields, written or read by the same calls in one function. Columns and texts may be NULL, numbers NaN. */
typedef struct {
    json_t *j;
    ul_arena *arena;
    bool reading, ok;
} ul_fold;
typedef void ul_fold_fn(ul_fold *f, void *what);
void ul_fold_number(ul_fold *f, const char *key, double *x);
void ul_fold_count(ul_fold *f, const char *key, int64_t most, int *x); /* 0 .. most */
void ul_fold_flag(ul_fold *f, const char *key, bool *x);
void ul_fold_column(ul_fold *f, const char *key, int64_t n, double **x);
void ul_fold_texts(ul_fold *f, const char *key, int64_t n, const char *const **x);
void ul_fold_json(ul_fold *f, const char *key, json_t **x);

/* *found: read into `what`, which may be half filled otherwise. A damaged file is a note, not an error. What is read
 * lives as long as the arena; k may be NULL: nothing is kept. */
ul_status ul_kept_get(ul_kept_parts *k, ul_arena *arena, const char *part, ul_fold_fn *fold, void *what,
                      bool *found) UL_MUST;
/* Whole or absent. A part with a number that is not finite in a column, or a text that is no UTF-8, is not kept. */
ul_status ul_kept_put(ul_kept_parts *k, ul_arena *arena, const char *part, ul_fold_fn *fold, void *what) UL_MUST;
#endif
