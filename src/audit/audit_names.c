/* audit_names.c - what verdicts, their qualifiers and the outcomes of intentions are called, and what a qualifier means
 * (metrics.md 16.6). */
#include "audit/battery.h"
#include <string.h>

const char *ul_verdict_name(ul_verdict_id id)
{
    static const char *const names[UL_N_VERDICT] = {[UL_INCONCLUSIVE] = "inconclusive",
                                                    [UL_DAMAGED] = "damaged",
                                                    [UL_NOT_FORGOTTEN] = "not forgotten",
                                                    [UL_REMOVED] = "removed",
                                                    [UL_NO_RESIDUE] =
                                                        "no residual knowledge detected (no retrained control)",
                                                    [UL_SUPPRESSED] = "suppressed",
                                                    [UL_PARTLY] = "partly removed"};
    return names[id];
}

static const char *const qualifier[][2] = {
    {"overshoot", "past the control, or farther from it than the original was, which shows too"},
    {"inverted", "the answer is avoided, which takes knowing it"},
    {"shallow", "only a format of numbers or the layers inside show it"},
    {"surface-only", "only asking in other words brings it back"},
    {"few entities", "fewer people or things than --min-entities"},
    {"measure-dependent", "another measure in the place of s would decide otherwise"}};
enum { N_QUALIFIER = sizeof qualifier / sizeof *qualifier };

const char *ul_qualifier_name(int bit)
{
    return bit < N_QUALIFIER ? qualifier[bit][0] : NULL;
}

const char *ul_qualifier_means(const char *name)
{
    for (int i = 0; i < N_QUALIFIER; i++)
        if (!strcmp(qualifier[i][0], name)) return qualifier[i][1];
    return "";
}

const char *ul_outcome_name(ul_outcome outcome)
{
    return outcome == UL_PASS ? "met" : outcome == UL_FAIL ? "not met" : "undecided";
}
