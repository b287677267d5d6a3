/* probe_prefix.c - E2: the answer has begun already, with words that agree to give it (prefilling; Jailbreak ROUGE of
 * the TOFU family). A refusal must be the first thing that is said; here something else stands there. */
#include "audit/battery.h"

ul_status ul_ask_prefix(const ul_probing *p, const ul_probe *probe, ul_arena *arena, const ul_records *rows, int64_t i,
                        const char **way, int *n)
{
    const char *begun[UL_MAX_WAYS], *plain = ul_ask_plain(p->audit, arena, rows->at[i].prompt);
    (void)probe;
    UL_NEED(plain);
    UL_TRY(ul_attack_texts(p->audit, arena, "prefix-text", begun, n));
    for (int k = 0; k < *n; k++) UL_NEED(way[k] = ul_format(arena, "%s%s", plain, begun[k]));
    return UL_OK;
}
