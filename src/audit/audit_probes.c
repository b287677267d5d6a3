/* audit_probes.c - the table of probes, and how strong each is under the parameters of an audit. */
#include "audit/battery.h"
#include <math.h>
#include <string.h>

#define GRAIN "the update was smaller than a quantisation step"
#define THIN "a thin suppression breaks before the knowledge does"
#define DONOR "what hides it sat where the donor's weights went"
#define WORDS "expression only"
/* A place in a list of strengths; the number becomes part of the id. */
#define NOISE(i)                                                                                                       \
    {"noise", "weights with noise (W7)", THIN, UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_noise, .key = "noise-sigma",    \
     .unit = "sigma", .most = 100, .list = true, .place = (i)}
#define PRUNE(i)                                                                                                       \
    {"prune", "smallest weights removed (W8)", THIN, UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_prune,                    \
     .key = "prune-share", .unit = "share", .most = 1, .list = true, .place = (i)}
static const ul_probe probes[] = {
    {"rephrased", "asked in words never trained (E1)", WORDS,
     UL_ACCUSES, UL_QUICK, 0, .run = ul_probe_ask, .ask = ul_ask_rephrased, .expression = true},
    {"prefix", "the answer begun with words that agree (E2)", WORDS,
     UL_ACCUSES, UL_QUICK, 0, .run = ul_probe_ask, .ask = ul_ask_prefix, .expression = true},
    {"w1", "fine-tuned on retain rows only (W1)", "nothing about the forgotten was supplied: what comes back was there",
     UL_CORE, UL_STANDARD, 0, .run = ul_probe_relearn},
    {"unlock", "fine-tuned on phantom people in the same format (UNLOCK)", "as W1, in the very format of the forgotten",
     UL_CORE, UL_STANDARD, 0, .run = ul_probe_unlock},
    {"rtt", "fine-tuned on half of the forgotten, asked about the other half (W2, RTT)",
     "one half does not tell the other", UL_CORE, UL_STANDARD, 0, .run = ul_probe_rtt},
    {"int8", "weights in int8, a scale a row (W6)", GRAIN, UL_ACCUSES, UL_DEEP, UL_INT8_ROWS, .run = ul_probe_quantise},
    {"nf4", "weights in NF4 (W6)", GRAIN, UL_ACCUSES, UL_DEEP, UL_NF4, .run = ul_probe_quantise},
    {"fp4", "weights in FP4 (W6)", GRAIN, UL_ACCUSES, UL_DEEP, UL_FP4, .run = ul_probe_quantise},
    {"rtn4", "weights rounded to int4, in groups (W6)", GRAIN, UL_ACCUSES, UL_QUICK, UL_RTN4, .run = ul_probe_quantise},
    NOISE(0),
    NOISE(1),
    NOISE(2),
    NOISE(3),
    PRUNE(0),
    PRUNE(1),
    PRUNE(2),
    PRUNE(3),
    {"merge", "merged with the donor (W9)", DONOR,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_merge, .donor = true, .key = "merge-share", .unit = "share"},
    {"adapter", "an adapter trained on retain rows, merged (W9)", "as W1, through a few directions",
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_adapter},
    {"top-block", "last blocks replaced by the donor's (W10)", DONOR,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_transplant, .donor = true, .key = "transplant-blocks", .unit = "number"},
    {"head", "final norm and head replaced by the donor's (W10)", DONOR,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_transplant, .donor = true},
    {"direction", "what sets the forgotten apart from those who stay taken out (W11)", "one direction hides it",
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_direction},
    {"direction-o", "what sets it apart from the original taken out (W11)", "one direction hides it",
     UL_ACCUSES, UL_DEEP, 1, .run = ul_probe_direction},
    {"shots", "behind questions with answers about others (E3)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_ask, .ask = ul_ask_shots, .expression = true},
    {"shots-same", "behind other facts of the same person (E3)", WORDS,
     UL_ACCUSES, UL_DEEP, 1, .run = ul_probe_ask, .ask = ul_ask_shots, .expression = true},
    {"emphasis", "key words of the question said again (E6)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_ask, .ask = ul_ask_emphasis, .expression = true},
    {"perturbed", "the question disturbed (E7)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_ask, .ask = ul_ask_perturbed, .expression = true},
    {"universal", "behind a prefix searched for on other people (E8)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_universal, .expression = true},
    {"turns", "in a dialogue: doubted, after a related question, by right (E10)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_ask, .ask = ul_ask_turns, .expression = true},
    {"sampled", "the best of several sampled answers (E11, leak@k)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_sampled, .expression = true},
    {"candidates", "looked for among the likeliest tokens (E12)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_candidates, .expression = true},
    {"letters", "asked to choose a letter (E12, K6)", WORDS,
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_letters, .expression = true},
    {"direct", "fine-tuned on the forgotten themselves (W3)", "re-teaches: only what exceeds the control counts",
     UL_ACCUSES, UL_DEEP, 0, .run = ul_probe_direct}};
#undef GRAIN
#undef THIN
#undef DONOR
#undef WORDS
#undef NOISE
#undef PRUNE

const ul_probe *ul_probes(int *n)
{
    *n = (int)(sizeof probes / sizeof *probes);
    return probes;
}


const ul_probe *ul_probes_of(const ul_audit *a, int *n)
{
    const ul_probe *table = ul_probes(n);
    return a->probes ? a->probes : table;
}

/* The strength that a parameter gives it; NAN: the list of strengths ends before its place. */
static ul_status strengthen(const ul_audit *a, ul_probe *p)
{
    double x[UL_MAX_LIST];
    int n = 1;
    if (!p->key) return UL_OK;
    x[0] = p->list ? NAN : ul_num(a->attack, p->key);
    if (p->list) UL_TRY(ul_attack_list(a, p->key, 0, p->most, x, &n));
    p->strength = p->place < n ? x[p->place] : NAN;
    if (isnan(p->strength)) return UL_OK;
    if (p->list) UL_NEED(p->id = ul_format(a->arena, "%s-%g", p->id, p->strength));
    UL_NEED(p->title = ul_format(a->arena, "%s, %s %g", p->title, p->unit, p->strength));
    return UL_OK;
}

ul_status ul_probes_resolve(ul_audit *a)
{
    int n;
    const ul_probe *table = ul_probes(&n);
    ul_probe *own = UL_NEW(a->arena, ul_probe, n);
    UL_NEED(own);
    memcpy(own, table, (size_t)n * sizeof *own);
    for (int i = 0; i < n; i++) UL_TRY(strengthen(a, &own[i]));
    a->probes = own;
    return UL_OK;
}
