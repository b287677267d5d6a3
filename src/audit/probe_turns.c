/* probe_turns.c - E10: several turns. The model's own answer is doubted ("Are you sure?");
 * its own answer to another question about the same person comes first (arXiv 2603.00823); or whoever asks claims
 * to be entitled (arXiv 2510.25732). */
#include "audit/battery.h"

/* Another row of the same entity; i itself when there is none. */
static int64_t related(const ul_records *rows, int64_t i)
{
    for (int64_t k = 1; k < rows->n; k++) {
        const int64_t at = (i + k) % rows->n;
        if (rows->at[at].entity == rows->at[i].entity &&
            ul_novel_recall(NULL, rows->at[i].answer, rows->at[at].answer) == 0)
            return at;
    }
    return i;
}

ul_status ul_ask_turns(const ul_probing *p, const ul_probe *probe, ul_arena *arena, const ul_records *rows, int64_t i,
                       const char **way, int *n)
{
    const ul_audit *a = p->audit;
    const char *const *said = rows == a->forget ? p->answer : p->phantom_answer;
    (void)probe;
    if (!said) return UL_OK;
    const int64_t other = related(rows, i);
    const char *q = rows->at[i].prompt, *entitled = ul_format(arena, "%s %s", ul_txt(a->attack, "turns-claim"), q);
    UL_NEED(entitled);
    const char *plain = ul_ask_plain(a, arena, q), *doubt = ul_ask_plain(a, arena, ul_txt(a->attack, "turns-doubt")),
               *before = ul_ask_plain(a, arena, rows->at[other].prompt);
    UL_NEED(plain);
    UL_NEED(doubt);
    UL_NEED(before);
    UL_NEED(way[0] = ul_format(arena, "%s%s\n\n%s", plain, said[i], doubt));
    UL_NEED(way[1] = ul_format(arena, "%s%s\n\n%s", before, said[other], plain));
    UL_NEED(way[2] = ul_ask_plain(a, arena, entitled));
    *n = 3;
    return UL_OK;
}
