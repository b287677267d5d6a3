/* audit_json.c - an audited model as JSON: the verdict, every number with its bounds, curves, depth, what it says. */
#include "audit/battery.h"
#include <math.h>

enum { SHOWN = 8 };

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *bound(const ul_bound *b)
{
    if (!ul_bound_finite(b)) return json_null(); /* not measured */
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "value", number(b->value), "lower", number(b->lo), "upper",
                     number(b->hi), "lower_m", number(b->lo_m), "upper_m", number(b->hi_m));
}

static json_t *mean(const double *x, int64_t n)
{
    return x ? number(ul_mean(x, n)) : json_null();
}

static json_t *knowledge(const ul_knowledge *k)
{
    if (k->n == 0) return json_null();
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "rows", (json_int_t)k->n, "K1_first", mean(k->first, k->n),
                     "last", mean(k->last, k->n), "K5_said", mean(k->said, k->n), "K2_preference",
                     mean(k->preference, k->n), "K3_extraction", mean(k->extraction, k->n), "K4_prob",
                     mean(k->prob, k->n), "refuses", mean(k->refuses, k->n));
}

static json_t *model(const ul_battery *b)
{
    if (!b) return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:f, s:f}", "name", b->name, "forget", knowledge(&b->forget), "retain",
                     knowledge(&b->retain), "phantom", knowledge(&b->phantom), "text_loss", b->text_loss, "seconds", b->seconds);
}

static json_t *curve(const ul_battery *b, int i)
{
    return b && b->probe[i].curve ? json_incref(b->probe[i].curve) : json_null();
}

static json_t *recovery(const ul_recovery *x, int i, const ul_battery *u, const ul_battery *o, const ul_battery *r)
{
    static const char *const role[] = {[UL_CORE] = "core", [UL_ACCUSES] = "accuses", [UL_SHOWN] = "shown"};
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s}", "id", x->id, "title", x->title, "shows", x->shows,
                          "role", role[x->role], "expression", x->expression, "ran", x->ran, "informative", x->informative,
                          "why_not", x->why_not ? x->why_not : "");
    if (!j || !x->ran) return j;
    json_object_set_new(
        j, "K1",
        json_pack("{s:o, s:o, s:o}", "model", number(x->k[0]), "original", number(x->k[1]), "anchor", number(x->k[2])));
    json_object_set_new(j, "K1_retain",
                        json_pack("{s:o, s:o, s:o}", "model", number(u->probe[i].retain), "original",
                                  number(o->probe[i].retain), "control", r ? number(r->probe[i].retain) : json_null()));
    json_object_set_new(j, "seconds", number(u->probe[i].seconds));
    if (x->has_said) {
        json_object_set_new(j, "said",
                            json_pack("{s:o, s:o, s:o}", "model", number(x->said[0]), "original", number(x->said[1]), "anchor",
                                      number(x->said[2])));
        json_object_set_new(j, "s", bound(&x->s));
    }
    if (x->informative) {
        json_object_set_new(j, "rho", bound(&x->rho));
        json_object_set_new(j, "beyond_expression", bound(&x->excess));
    }
    json_object_set_new(
        j, "curves",
        json_pack("{s:o, s:o, s:o}", "model", curve(u, i), "original", curve(o, i), "control", curve(r, i)));
    return j;
}

static json_t *depth(const ul_audit *a, const ul_battery *u, const ul_battery *o, const ul_battery *r)
{
    json_t *j = json_array();
    for (int l = 0; l < u->n_depth; l++)
        json_array_append_new(j, json_pack("{s:i, s:o, s:o, s:o}", "layer", l + 1, "model",
                                           mean(u->depth[l], a->forget->n), "original", mean(o->depth[l], a->forget->n),
                                           "control", r ? mean(r->depth[l], a->forget->n) : json_null()));
    return j;
}

static json_t *answers(const ul_audit *a, const ul_battery *u, const ul_battery *o, const ul_battery *r)
{
    json_t *j = json_array();
    const int64_t n = a->forget->n < SHOWN ? a->forget->n : SHOWN;
    for (int64_t k = 0; k < n; k++) {
        const int64_t i = k * (a->forget->n / n) + k % (a->forget->n / n); /* not always the same kind of question */
        json_array_append_new(j, json_pack("{s:s, s:s, s:s, s:s, s:s?}", "question", a->forget->at[i].prompt, "truth",
                                           a->forget->at[i].answer, "original", o->forget.answer[i], "model",
                                           u->forget.answer[i], "control", r ? r->forget.answer[i] : NULL));
    }
    return j;
}

static json_t *membership(const ul_audit *a, const ul_membership *e, const ul_battery *u, const ul_battery *o, const ul_battery *r)
{
    if (!e->ran) return json_null();
    json_t *scores = json_array();
    for (int i = 0; i < UL_N_MIA; i++) {
        json_t *auc = json_pack("{s:o, s:o, s:o}", "model", number(e->auc[i][0]), "original", number(e->auc[i][1]), "control",
                                number(e->auc[i][2]));
        json_t *roc = json_pack("{s:o, s:o, s:o}", "model", ul_mia_roc(a, &u->mia, i), "original", ul_mia_roc(a, &o->mia, i), "control",
                                r ? ul_mia_roc(a, &r->mia, i) : json_null());
        json_array_append_new(scores, json_pack("{s:s, s:o, s:o, s:o}", "title", ul_mia_title(i), "auc", auc, "beyond_control",
                                                e->compared ? bound(&e->beyond[i]) : json_null(), "roc", roc));
    }
    return json_pack("{s:s, s:o, s:o}", "others", a->outsiders_from, "farthest", e->compared ? number(e->farthest) : json_null(), "scores",
                     scores);
}

static json_t *qualifiers(unsigned q)
{
    static const char *const name[] = {"overshoot", "inverted", "shallow", "surface-only", "few entities"};
    json_t *j = json_array();
    for (int i = 0; i < 5; i++)
        if (q >> i & 1u) json_array_append_new(j, json_string(name[i]));
    return j;
}

static json_t *evidence(const ul_evidence *e)
{
    json_t *j = json_pack(
        "{s:s, s:I, s:I, s:i, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b}", "anchor",
        e->control   ? "retrained control"
        : e->phantom ? "phantoms"
                     : "chance",
        "entities", (json_int_t)e->n_entity, "rows", (json_int_t)e->n_row, "m", e->m, "chance", e->chance, "known",
        bound(&e->known), "gap", bound(&e->gap), "control_leak", e->control ? bound(&e->leak) : json_null(), "s",
        bound(&e->s), "s_K1", bound(&e->s_first), "patch",
        e->has_patch ? bound(&e->patch) : json_null(), "utility_K1", bound(&e->utility_first), "utility_said",
        e->said_informative ? bound(&e->utility_said) : json_null(), "utility_text",
        e->has_text ? bound(&e->utility_text) : json_null(), "inverse",
        e->inverse_informative ? bound(&e->inverse) : json_null(), "avoided",
        e->avoided_informative ? bound(&e->avoided) : json_null(), "depth",
        e->depth_informative ? bound(&e->depth) : json_null(), "sham", e->has_sham ? bound(&e->sham) : json_null(),
        "sensitivity", e->has_sensitivity ? bound(&e->sensitivity) : json_null(), "silent",
        e->has_silent ? bound(&e->silent) : json_null(), "over_refusal", e->has_silent ? bound(&e->over_refusal) : json_null(),
        "s_from_expression", e->told_informative);
    if (e->not_measured) json_object_set_new(j, "s_not_measured", json_string(e->not_measured));
    static const char *const known[] = {"phantoms_known_original", "phantoms_known_control"};
    for (int i = 0; i < 2; i++)
        if (e->familiar[i].ran && !e->familiar[i].ranked) json_object_set_new(j, known[i], bound(&e->familiar[i].x));
    if (!e->control) return j;
    json_object_set_new(j, "held_against", json_string(ul_held_name(e->held)));
    json_object_set_new(j, "control_utility_K1", e->has_control_first ? bound(&e->control_first) : json_null());
    json_object_set_new(j, "control_utility_said", e->has_control_said ? bound(&e->control_said) : json_null());
    if (e->held == UL_HELD_SAID)
        json_object_set_new(j, "answer_prob",
                            json_pack("{s:{s:f, s:f}, s:{s:f, s:f}}", "original", "true", e->prob[0], "wrong",
                                      e->wrong[0], "control", "true", e->prob[1], "wrong", e->wrong[1]));
    return j;
}

/* What the model was asked through. */
static json_t *guard(const ul_battery *u)
{
    if (!u->guard) return json_null();
    return json_pack("{s:s, s:s, s:s}", "id", u->guard->id, "path", u->guard->path, "digest", u->guard->digest);
}

json_t *ul_audit_json(const ul_audit *a, const ul_audited *x, const ul_battery *o, const ul_battery *r)
{
    json_t *probes = json_array();
    for (int i = 0; i < x->evidence.n_recovery; i++)
        json_array_append_new(probes, recovery(&x->evidence.recovery[i], i, x->u, o, r));
    const char *outcome = x->outcome == UL_PASS ? "pass" : x->outcome == UL_FAIL ? "fail" : "undecided";
    return json_pack("{s:s, s:o, s:s?, s:s, s:s, s:s, s:s?, s:s?, s:o, s:s?, s:s?, "
                     "s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                     x->name, "guard", guard(x->u), "wanted", x->wanted, "verdict", ul_verdict_name(x->verdict.id), "secondary",
                     ul_verdict_name(x->verdict.secondary), "clause", x->verdict.clause, "not_removed",
                     x->verdict.not_removed, "withheld", x->verdict.withheld, "qualifiers",
                     qualifiers(x->verdict.qualifiers), "outcome",
                     x->outcome_why ? outcome : NULL, "outcome_why", x->outcome_why, "evidence", evidence(&x->evidence),
                     "probes", probes, "depth", depth(a, x->u, o, r), "model", model(x->u), "original", model(o),
                     "control", model(r), "answers", answers(a, x->u, o, r), "membership", membership(a, &x->evidence.membership, x->u, o, r));
}
