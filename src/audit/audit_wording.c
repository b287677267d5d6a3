/* audit_wording.c - can wrong answers that the file brings be told from the true one by somebody who knows nothing of
 * the people? Where they cannot, chance is what a control may rank first.
 *
 *   by their words   unless each of them is the true answer of some other row: a closed list (towns, trades)
 *   by how common    a guess of the answer that is true in most rows is right in some share of the rows; where that is
 *                    more than --control-leak above 1 / options, what is common gives itself away */
#include "audit/audit_data.h"
#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *text;
    int64_t rows; /* in which it is true */
} answer;

static int by_text(const void *a, const void *b)
{
    return strcmp(((const answer *)a)->text, ((const answer *)b)->text);
}

static int64_t rows_of(const answer *all, int64_t n, const char *text)
{
    const answer *a = bsearch(&(const answer){text, 0}, all, (size_t)n, sizeof *all, by_text);
    return a ? a->rows : 0;
}

/* Every true answer once. */
static ul_status true_answers(ul_arena *arena, const ul_records *r, answer **out, int64_t *n)
{
    answer *all = UL_NEW(arena, answer, r->n);
    UL_NEED(all);
    for (int64_t i = 0; i < r->n; i++) all[i] = (answer){r->at[i].answer, 1};
    qsort(all, (size_t)r->n, sizeof *all, by_text);
    *n = 0;
    for (int64_t i = 0; i < r->n; i++) {
        if (*n && !strcmp(all[*n - 1].text, all[i].text)) all[*n - 1].rows++;
        else all[(*n)++] = all[i];
    }
    *out = all;
    return UL_OK;
}

ul_status ul_wrong_tells(const ul_audit *a, const ul_records *r, bool *out)
{
    answer *all;
    int64_t n, asked = 0;
    double guessed = 0, chance = 0;
    *out = false;
    UL_TRY(true_answers(a->arena, r, &all, &n));
    for (int64_t i = 0; i < r->n && !*out; i++) {
        const ul_record *x = &r->at[i];
        const int64_t own = rows_of(all, n, x->answer);
        int64_t as_common = 1;
        bool most = true;
        for (int32_t k = 0; k < x->n_wrong; k++) {
            const int64_t other = rows_of(all, n, x->wrong[k]);
            *out |= other == 0;
            most &= other <= own;
            as_common += other == own;
        }
        if (!x->n_wrong) continue; /* drawn from other rows */
        asked++;
        chance += 1.0 / (1 + x->n_wrong);
        guessed += most ? 1 / (double)as_common : 0;
    }
    if (asked && guessed - chance > ul_num(a->rule, "control-leak") * (double)asked) *out = true;
    return UL_OK;
}
