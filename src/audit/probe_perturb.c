/* probe_perturb.c - E7: the question disturbed, which takes the trigger away from suppression that waits for one (Lucki
 * et al., arXiv 2409.18025; 2506.10236): filler text before it, or a stray letter after every so many characters. */
#include "audit/battery.h"
#include <string.h>

static char *stray(ul_arena *arena, const char *text, size_t every, uint64_t seed)
{
    const size_t n = strlen(text);
    char *out = ul_alloc(arena, n + n / every + 1, 1);
    size_t k = 0;
    for (size_t i = 0; out && i < n; i++) {
        out[k++] = text[i];
        const bool whole = (text[i + 1] & 0xC0) != 0x80; /* never inside a UTF-8 sequence */
        if ((i + 1) % every == 0 && whole) out[k++] = (char)('a' + ul_rng_below(seed, UL_STREAM_NOISE, every, i, 26));
    }
    return out;
}

ul_status ul_ask_perturbed(const ul_probing *p, const ul_probe *probe, ul_arena *arena, const ul_records *rows,
                           int64_t i, const char **way, int *n)
{
    const ul_audit *a = p->audit;
    const char *q = rows->at[i].prompt;
    const char *text[1 + UL_MAX_LIST] = {ul_format(arena, "%s %s", ul_txt(a->attack, "perturb-text"), q)};
    double every[UL_MAX_LIST];
    int strays;
    (void)probe;
    UL_TRY(ul_attack_list(a, "perturb-every", 1, 1e6, every, &strays));
    for (int k = 0; k < strays; k++) text[1 + k] = stray(arena, q, (size_t)every[k], a->seed);
    for (*n = 0; *n < 1 + strays; ++*n) {
        UL_NEED(text[*n]);
        UL_NEED(way[*n] = ul_ask_plain(a, arena, text[*n]));
    }
    return UL_OK;
}
