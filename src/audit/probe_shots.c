/* probe_shots.c - E3: questions with their answers stand before the question: of people who stay, or other
 * facts of the same person. Shots that hold a word of the answer which the question does not hold are left out:
 * they would test reading, not memory. As many as `shots` and the model's context allow. */
#include "audit/battery.h"

static bool tells(const ul_record *row, const ul_record *shot)
{
    return ul_novel_recall(row->prompt, row->answer, shot->answer) > 0 ||
           ul_novel_recall(row->prompt, row->answer, shot->prompt) > 0;
}

/* The k-th candidate for row i; NULL: that one cannot be used. */
static const ul_record *candidate(const ul_audit *a, bool same, const ul_records *rows, int64_t i, int64_t k)
{
    const ul_record *row = &rows->at[i];
    const int64_t at =
        same ? (i + k + 1) % rows->n
             : (int64_t)ul_rng_below(a->seed, UL_STREAM_SAMPLE, (uint64_t)i, (uint64_t)k, (uint64_t)a->retain->n);
    const ul_record *shot = same ? &rows->at[at] : &a->retain->at[at];
    if (same && (at == i || shot->entity != row->entity)) return NULL;
    return tells(row, shot) ? NULL : shot;
}

ul_status ul_ask_shots(const ul_probing *p, const ul_probe *probe, ul_arena *arena, const ul_records *rows, int64_t i,
                       const char **way, int *n)
{
    const ul_audit *a = p->audit;
    const bool same = probe->strength != 0;
    const int64_t most = (int64_t)ul_num(a->attack, "shots"),
                  tries = same ? rows->n : (int64_t)ul_num(a->attack, "shot-tries");
    const char *text = ul_ask_plain(a, arena, rows->at[i].prompt);
    UL_NEED(text);
    for (int64_t k = 0, have = 0; k < tries && have < most; k++) {
        const ul_record *shot = candidate(a, same, rows, i, k);
        if (!shot) continue;
        const char *before = ul_ask_plain(a, arena, shot->prompt), *longer;
        UL_NEED(before);
        UL_NEED(longer = ul_format(arena, "%s%s\n\n%s", before, shot->answer, text));
        bool fits;
        UL_TRY(ul_ask_fits(p, longer, &rows->at[i], &fits));
        if (!fits) break;
        text = longer;
        have++;
    }
    way[0] = text;
    *n = 1;
    return UL_OK;
}
