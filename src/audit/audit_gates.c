/* audit_gates.c - what must hold before there can be a verdict: phantoms that nobody was taught, a control that does
 * not know the forget set (said or unsaid) and knows what stays, something that can be seen to be forgotten, a utility
 * that can be measured. The first that does not hold is said in words; the verdict is "inconclusive". A second control
 * (--twin) is held to what is asked of the control, beside the same original. */
#include "audit/battery.h"

typedef struct {
    ul_arena *arena;
    const ul_evidence *e;
    const ul_args *rule;
    const char *who; /* is judged as a control */
} judge;

static double rule(const judge *j, const char *key)
{
    return ul_num(j->rule, key);
}

const char *ul_held_name(ul_held held)
{
    static const char *const name[] = {
        [UL_HELD_PHANTOMS] = "phantoms", [UL_HELD_CHANCE] = "chance", [UL_HELD_SAID] = "what is said"};
    return name[held];
}

/* Few people answer alike by luck, and their bounds are narrow; "" where they are enough. */
static const char *luck(const judge *j)
{
    const long long n = (long long)j->e->n_entity;
    if (n >= (long long)rule(j, "min-entities")) return "";
    const char *text = ul_format(j->arena,
                                 ". Of %lld people or things luck can look the same: ask about more of them%s", n,
                                 j->e->phantom ? "" : ", or give --phantom");
    return text ? text : "";
}

/* Why the control is none; NULL: it may be one. */
static char *leaking(const judge *j)
{
    const ul_evidence *e = j->e;
    const bool said = e->held == UL_HELD_SAID;
    const double most = rule(j, said ? "control-said" : "control-leak");
    static const char *const after = "Was it trained on some of them? A control must never have seen the forget set";
    if (!e->control || !(e->leak.lo > most)) return NULL;
    if (said)
        return ul_format(j->arena,
                         "%s knows the forget set: it gives its answers a probability of %.2f (wrong ones "
                         "%.2f), the original %.2f (%.2f); that is %.2f of what the original knows (lower bound %.2f, "
                         "allowed %.2f). %s%s",
                         j->who, e->prob[1], e->wrong[1], e->prob[0], e->wrong[0], e->leak.value, e->leak.lo, most,
                         after, luck(j));
    return ul_format(j->arena,
                     "%s knows the forget set: it ranks %.2f more of its answers first than %s (lower bound %.2f, "
                     "allowed %.2f). %s%s",
                     j->who, e->leak.value, e->held == UL_HELD_PHANTOMS ? "of answers nobody taught it" : "chance",
                     e->leak.lo, most, after, luck(j));
}

/* A control that was made to forget itself knows, and does not say. */
static char *quiet(const judge *j)
{
    static const struct {
        const char *key, *sign;
        bool below;
    } sign[UL_N_QUIET] = {
        [UL_QUIET_CONTINUES] = {"control-extraction",
                                "it goes on with answers that were begun, beside the original (1), to", false},
        [UL_QUIET_RANKS] = {"control-ranked",
                            "it ranks true answers first above chance, beside the original (1), to", false},
        [UL_QUIET_RISES] = {"control-rise", "training on retain rows alone (W1) raises what it ranks first by", false},
        [UL_QUIET_AVOIDS] = {"control-avoid", "it ranks true answers first more rarely than a guess would, by", true},
        [UL_QUIET_LAST] = {"control-last", "it ranks true answers last more often than a guess would, by", false}};
    if (!j->e->control) return NULL;
    for (int i = 0; i < UL_N_QUIET; i++) {
        const ul_measured *m = &j->e->quiet[i];
        const double most = sign[i].below ? -rule(j, sign[i].key) : rule(j, sign[i].key);
        if (!m->ran || !(sign[i].below ? m->x.hi < most : m->x.lo > most)) continue;
        return ul_format(j->arena,
                         "%s knows the forget set and does not say it: %s %.2f (%s bound %.2f, allowed %.2f, --%s). A "
                         "control must never have seen the forget set; one that saw it and was made to forget is none",
                         j->who, sign[i].sign, m->x.value, sign[i].below ? "upper" : "lower",
                         sign[i].below ? m->x.hi : m->x.lo, most, sign[i].key);
    }
    return NULL;
}

/* Phantoms that were taught are no measure of what a control should not know. */
static char *known_phantoms(const judge *j)
{
    const char *const who[] = {"the original", j->who};
    for (int i = 0; i < 2; i++) {
        const ul_familiar *f = &j->e->familiar[i];
        const double most = rule(j, f->ranked ? "informative" : "phantom-said");
        if (!f->ran || (f->ranked ? !(f->x.hi < most) : !(f->x.lo > most))) continue;
        return ul_format(j->arena,
                         f->ranked ? "%s knows the phantoms: it ranks %.2f more of the retain answers first (upper "
                                     "bound %.2f, wanted %.2f). Phantoms are rows that no model was ever taught"
                                   : "%s knows the phantoms: what it gives their answers, p(true) - p(wrong), is "
                                     "%.2f of what it gives retain answers (lower bound %.2f, allowed %.2f). Phantoms "
                                     "are rows that no model was ever taught",
                         who[i], f->x.value, f->ranked ? f->x.hi : f->x.lo, most);
    }
    return NULL;
}

/* Utility is measured beside the lower of original and control: a control that lost what stays would make every model
 * look whole. */
static char *broken(const judge *j)
{
    const ul_evidence *e = j->e;
    const double least = rule(j, "damaged");
    const bool ranks = e->has_control_first && e->control_first.hi < least;
    const ul_bound *x = ranks ? &e->control_first : &e->control_said;
    if (!e->control || !(ranks || (e->has_control_said && x->hi < least))) return NULL;
    return ul_format(j->arena,
                     "%s itself is damaged: of the retain answers that the original %s it %s %.2f (upper bound %.2f "
                     "< %.2f). A control must know what stays as the original does",
                     j->who, ranks ? "ranks first" : "says", ranks ? "ranks first" : "says", x->value, x->hi, least);
}

/* What can be lost of what was to stay is measured by what the original ranks first of it, or says. */
static char *unmeasured(const judge *j)
{
    const ul_evidence *e = j->e;
    if (!e->first_unmeasured || e->said_informative) return NULL;
    return ul_format(j->arena,
                     "utility cannot be measured: of the %lld retain rows that were asked the original itself ranks "
                     "%.2f first and says %.2f, and too many resamples hold none. Give --retain rows that the original "
                     "knows, or ask more of them (--retain-rows)",
                     (long long)e->n_retain, e->kept_known[0], e->kept_known[1]);
}

static char *uninformative(const judge *j)
{
    const ul_evidence *e = j->e;
    return ul_format(j->arena,
                     "uninformative: the original ranks %.2f of the forget answers first, the anchor (%s) %.2f; the "
                     "lower bound of the difference is %.2f, which must exceed %.2f and %g standard errors (%lld "
                     "people or things were asked about). What the original does not know better than the anchor "
                     "cannot be seen to be forgotten",
                     e->known.value, e->control ? "the control" : e->phantom ? "phantoms" : "chance",
                     e->known.value - e->gap.value, e->gap.lo, rule(j, "informative"), rule(j, "standard-errors"),
                     (long long)e->n_entity);
}

bool ul_gate_control(ul_arena *arena, const ul_evidence *e, const ul_args *rules, const char *who, char **why)
{
    const judge j = {arena, e, rules, who};
    return (*why = known_phantoms(&j)) || (*why = leaking(&j)) || (*why = quiet(&j)) || (*why = broken(&j));
}

bool ul_gate_closed(ul_arena *arena, const ul_evidence *e, const ul_args *rules, char **why)
{
    const judge j = {arena, e, rules, "the control"};
    if (ul_gate_control(arena, e, rules, j.who, why)) return true;
    if (e->n_entity < 2) {
        *why = ul_format(arena,
                         "the forget set is about %lld person or thing: no interval can be computed (field \"entity\" "
                         "or --entity-rows)",
                         (long long)e->n_entity);
        return true;
    }
    if (!e->surface_informative) {
        *why = uninformative(&j);
        return true;
    }
    return (*why = unmeasured(&j)) != NULL;
}
