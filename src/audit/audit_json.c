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

/* A number under `key`, and in the object's last member, "intervals", under the same key [lower, upper], where it has
 * them. */
static void put(json_t *j, const char *key, double x, const double *lo, const double *hi)
{
    json_t *intervals = json_incref(json_object_get(j, "intervals"));
    json_object_del(j, "intervals");
    json_object_set_new(j, key, number(x));
    if (lo && hi && isfinite(*lo) && isfinite(*hi)) {
        if (!intervals) intervals = json_object();
        json_object_set_new(intervals, key, json_pack("[f, f]", *lo, *hi));
    }
    if (intervals) json_object_set_new(j, "intervals", intervals);
}

/* The same of the mean of a column of b (NULL: null); x where that mean is known already. */
static void put_mean(json_t *j, const char *key, const ul_battery *b, const double *column, double x)
{
    const ul_mean_bounds *s = ul_battery_bounds(b, column);
    put(j, key, x, s ? &s->lo : NULL, s ? &s->hi : NULL);
}

static json_t *knowledge(const ul_battery *b, const ul_knowledge *k)
{
    const struct {
        const char *key;
        const double *x;
    } column[] = {{"K1_first", k->first}, {"last", k->last}, {"K5_said", k->said}, {"K2_preference", k->preference},
                  {"K3_extraction", k->extraction}, {"K4_prob", k->prob}, {"refuses", k->refuses}};
    if (k->n == 0) return json_null();
    json_t *j = json_pack("{s:I}", "rows", (json_int_t)k->n);
    for (size_t i = 0; i < sizeof column / sizeof *column; i++)
        put_mean(j, column[i].key, b, column[i].x, column[i].x ? ul_mean(column[i].x, k->n) : (double)NAN);
    return j;
}

static json_t *model(const ul_battery *b)
{
    if (!b) return json_null();
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:f, s:f}", "name", b->name, "forget", knowledge(b, &b->forget),
                     "retain", knowledge(b, &b->retain), "neighbours", knowledge(b, &b->neighbours), "phantom",
                     knowledge(b, &b->phantom), "text_loss", b->text_loss, "seconds", b->seconds);
}

/* [[step, forget, retain, lower, upper of forget], ...]; behind a guard the first point has no bounds: it is what the
 * weights know, of which only the mean is there. */
static json_t *curve(const ul_battery *b, int i)
{
    if (!b || !b->probe[i].curve) return json_null();
    const ul_probed *p = &b->probe[i];
    const size_t n = json_array_size(p->curve);
    json_t *all = json_array();
    for (size_t k = 0; k < n; k++) {
        const json_t *x = json_array_get(p->curve, k);
        const double *column = NULL;
        if (k + 1 == n) column = p->forget;
        else if (k == 0) column = b->guard ? NULL : b->forget.first;
        else if (k <= (size_t)p->n_point) column = p->point[k - 1];
        const ul_mean_bounds *s = ul_battery_bounds(b, column);
        json_t *row = json_pack("[O, O, O]", json_array_get(x, 0), json_array_get(x, 1), json_array_get(x, 2));
        if (s) json_array_append_new(row, json_real(s->lo));
        if (s) json_array_append_new(row, json_real(s->hi));
        json_array_append_new(all, row);
    }
    return all;
}

/* The anchor is the control; without one what U knows of phantoms under the same attack, or before it; or chance, which
 * has no interval. */
static json_t *under_attack(const double k[3], int i, bool said, const ul_battery *u, const ul_battery *o,
                            const ul_battery *r)
{
    const ul_probed *anchor = r ? &r->probe[i] : &u->probe[i];
    const double *own = r ? (said ? anchor->said : anchor->forget) : said ? anchor->phantom_said : anchor->phantom;
    if (!r && !own) own = said ? u->phantom.said : u->phantom.first;
    json_t *j = json_object();
    put_mean(j, "model", u, said ? u->probe[i].said : u->probe[i].forget, k[0]);
    put_mean(j, "original", o, said ? o->probe[i].said : o->probe[i].forget, k[1]);
    put_mean(j, "anchor", r ? r : u, own, k[2]);
    return j;
}

/* What the negative control reads under the same attack. */
static json_t *null_recovery(const ul_null_recovery *x)
{
    if (!x->ran) return json_null();
    json_t *j = bound(&x->x);
    json_object_set_new(j, "passed", json_boolean(x->passed));
    json_object_set_new(j, "residue", number(x->limit));
    return j;
}

/* Steps are null where the level was not reached. */
static json_t *savings(const ul_relearned *x)
{
    return json_pack("{s:f, s:f, s:{s:o, s:o, s:o}, s:o}", "level", x->level, "attack_steps", x->last, "steps_to_level",
                     "model", number(x->steps[0]), "original", number(x->steps[1]), "control", number(x->steps[2]),
                     "share", x->measured ? bound(&x->share) : json_null());
}

static json_t *recovery(const ul_recovery *x, int i, const ul_battery *u, const ul_battery *o, const ul_battery *r)
{
    static const char *const role[] = {[UL_CORE] = "core", [UL_ACCUSES] = "accuses", [UL_SHOWN] = "shown"};
    json_t *j = json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s}", "id", x->id, "title", x->title, "shows", x->shows,
                          "role", role[x->role], "expression", x->expression, "ran", x->ran, "informative",
                          x->informative, "why_not", x->why_not ? x->why_not : "");
    if (!j || !x->ran) return j;
    json_object_set_new(j, "K1", under_attack(x->k, i, false, u, o, r));
    json_t *stays = json_object();
    put_mean(stays, "model", u, u->probe[i].stays, u->probe[i].retain);
    put_mean(stays, "original", o, o->probe[i].stays, o->probe[i].retain);
    put_mean(stays, "control", r, r ? r->probe[i].stays : NULL, r ? r->probe[i].retain : (double)NAN);
    json_object_set_new(j, "K1_retain", stays);
    json_object_set_new(j, "seconds", number(u->probe[i].seconds));
    if (x->has_said) {
        json_object_set_new(j, "said", under_attack(x->said, i, true, u, o, r));
        json_object_set_new(j, "s", bound(&x->s));
    }
    if (x->informative) {
        json_object_set_new(j, "rho", bound(&x->rho));
        json_object_set_new(j, "beyond_expression", bound(&x->excess));
        json_object_set_new(j, "negative", null_recovery(&x->negative));
    }
    json_object_set_new(
        j, "curves",
        json_pack("{s:o, s:o, s:o}", "model", curve(u, i), "original", curve(o, i), "control", curve(r, i)));
    if (x->savings.ran) json_object_set_new(j, "savings", savings(&x->savings));
    return j;
}

static json_t *depth(const ul_audit *a, const ul_battery *u, const ul_battery *o, const ul_battery *r)
{
    static const char *const who[] = {"model", "original", "control"};
    const ul_battery *const b[] = {u, o, r};
    json_t *j = json_array();
    for (int l = 0; l < u->n_depth; l++) {
        json_t *layer = json_pack("{s:i}", "layer", l + 1);
        for (int k = 0; k < 3; k++) {
            const double *x = b[k] ? b[k]->depth[l] : NULL;
            put_mean(layer, who[k], b[k], x, x ? ul_mean(x, a->forget->n) : (double)NAN);
        }
        json_array_append_new(j, layer);
    }
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

static json_t *membership(const ul_audit *a, const ul_membership *e, const ul_battery *u, const ul_battery *o,
                          const ul_battery *r)
{
    if (!e->ran) return json_null();
    json_t *scores = json_array();
    for (int i = 0; i < UL_N_MIA; i++) {
        static const char *const who[] = {"model", "original", "control"};
        json_t *auc = json_object();
        for (int k = 0; k < 3; k++) put(auc, who[k], e->auc[i][k], &e->auc_lo[i][k], &e->auc_hi[i][k]);
        json_t *roc = json_pack("{s:o, s:o, s:o}", "model", ul_mia_roc(a, &u->mia, i), "original",
                                ul_mia_roc(a, &o->mia, i), "control", r ? ul_mia_roc(a, &r->mia, i) : json_null());
        json_array_append_new(scores,
                              json_pack("{s:s, s:o, s:o, s:o}", "title", ul_mia_title(i), "auc", auc, "beyond_control",
                                        e->compared ? bound(&e->beyond[i]) : json_null(), "roc", roc));
    }
    return json_pack("{s:s, s:o, s:o}", "others", a->outsiders_from, "farthest",
                     e->compared ? number(e->farthest) : json_null(), "scores", scores);
}

static json_t *qualifiers(const ul_verdict *v)
{
    json_t *j = json_array();
    for (int i = 0; ul_qualifier_name(i); i++)
        if (v->qualifiers >> i & 1u) json_array_append_new(j, json_string(ul_qualifier_name(i)));
    if (v->between) json_array_append_new(j, json_string(v->between));
    return j;
}

/* Other measures in the place of s, and what each would say: null where s decides nothing. */
static json_t *measures(const ul_evidence *e, const ul_verdict *v)
{
    json_t *j = json_array();
    for (int k = 0; k < e->n_other; k++)
        json_array_append_new(j, json_pack("{s:s, s:o, s:s?}", "of", ul_expressed_name(e->other[k].of), "s",
                                           bound(&e->other[k].s), "verdict",
                                           k < v->n_by ? ul_verdict_name(v->by[k]) : NULL));
    return j;
}

/* Probability of forget answers, true and wrong. */
static json_t *answer_prob(const ul_battery *b, const double true_and_wrong[2])
{
    json_t *j = json_object();
    put_mean(j, "true", b, b->forget.prob, true_and_wrong[0]);
    put_mean(j, "wrong", b, b->forget.wrong, true_and_wrong[1]);
    return j;
}

static json_t *negative(const ul_evidence *e)
{
    return json_pack("{s:s, s:b, s:i, s:s?, s:o, s:o, s:o}", "of", ul_negative_name(e->negative), "passed",
                     e->negative_widest && e->negative_failed == 0, "failed", e->negative_failed, "widest",
                     e->negative_widest, "reads", e->negative_widest ? bound(&e->negative_bound) : json_null(), "depth",
                     null_recovery(&e->depth_negative), "inverse", null_recovery(&e->inverse_negative));
}

static json_t *measured(const ul_measured *m)
{
    return m->ran ? bound(&m->x) : json_null();
}

static json_t *distance(const ul_evidence *e)
{
    if (!e->has_apart) return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "model", bound(&e->apart[0]), "original", bound(&e->apart[1]),
                     "beyond_original", bound(&e->farther), "second_control",
                     e->has_floors ? bound(&e->apart[2]) : json_null(), "over_second_control",
                     e->has_floors ? bound(&e->floors) : json_null());
}

static json_t *keeping(const ul_keeping *k)
{
    if (!k->ran) return json_null();
    return json_pack("{s:I, s:o, s:o, s:o}", "rows", (json_int_t)k->rows, "K1",
                     k->has_first ? bound(&k->first) : json_null(), "said",
                     k->has_said ? bound(&k->said) : json_null(), "refusals_beyond", bound(&k->refusal));
}

static json_t *evidence(const ul_evidence *e, const ul_battery *o, const ul_battery *r)
{
    json_t *j = json_pack(
        "{s:s, s:I, s:I, s:i, s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:s}",
        "anchor",
        e->control   ? "retrained control"
        : e->phantom ? "phantoms"
                     : "chance",
        "entities", (json_int_t)e->n_entity, "rows", (json_int_t)e->n_row, "m", e->m, "chance", e->chance, "known",
        bound(&e->known), "gap", bound(&e->gap), "control_leak", e->control ? bound(&e->leak) : json_null(), "s",
        bound(&e->s), "s_K1", bound(&e->s_first), "patch", e->has_patch ? bound(&e->patch) : json_null(), "utility_K1",
        e->first_unmeasured ? json_null() : bound(&e->utility_first), "utility_said",
        e->said_informative ? bound(&e->utility_said) : json_null(), "utility_text",
        e->has_text ? bound(&e->utility_text) : json_null(), "inverse",
        e->inverse_informative ? bound(&e->inverse) : json_null(), "avoided",
        e->avoided_informative ? bound(&e->avoided) : json_null(), "depth",
        e->depth_informative ? bound(&e->depth) : json_null(), "sham", e->has_sham ? bound(&e->sham) : json_null(),
        "sensitivity", e->has_sensitivity ? bound(&e->sensitivity) : json_null(), "silent",
        e->has_silent ? bound(&e->silent) : json_null(), "over_refusal",
        e->has_silent ? bound(&e->over_refusal) : json_null(), "s_of", ul_expressed_name(e->expressed));
    if (e->not_measured) json_object_set_new(j, "s_not_measured", json_string(e->not_measured));
    if (e->has_text) json_object_set_new(j, "texts", json_integer((json_int_t)e->n_text));
    if (e->text_not_measured) json_object_set_new(j, "text_not_measured", json_string(e->text_not_measured));
    json_object_set_new(j, "negative_control", negative(e));
    json_object_set_new(j, "neighbours", keeping(&e->near));
    static const char *const known[] = {"phantoms_known_original", "phantoms_known_control"};
    for (int i = 0; i < 2; i++)
        if (e->familiar[i].ran && !e->familiar[i].ranked) json_object_set_new(j, known[i], bound(&e->familiar[i].x));
    if (!e->control) return j;
    json_object_set_new(j, "control_distance", distance(e));
    json_object_set_new(j, "held_against", json_string(ul_held_name(e->held)));
    static const char *const sign[UL_N_QUIET] = {"control_continues", "control_ranks", "control_rises",
                                                 "control_avoids", "control_last"};
    for (int i = 0; i < UL_N_QUIET; i++) json_object_set_new(j, sign[i], measured(&e->quiet[i]));
    json_object_set_new(j, "control_utility_K1", e->has_control_first ? bound(&e->control_first) : json_null());
    json_object_set_new(j, "control_utility_said", e->has_control_said ? bound(&e->control_said) : json_null());
    if (e->held != UL_HELD_SAID) return j;
    const double of_o[2] = {e->prob[0], e->wrong[0]}, of_r[2] = {e->prob[1], e->wrong[1]};
    json_t *p = json_pack("{s:o, s:o}", "original", answer_prob(o, of_o), "control", answer_prob(r, of_r));
    json_object_set_new(j, "answer_prob", p);
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
    return json_pack("{s:s, s:o, s:s?, s:s?, s:s, s:s, s:s, s:o, s:s?, s:s?, s:o, s:o, s:s?, s:s?, "
                     "s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "name", x->name, "guard", guard(x->u), "wanted", x->wanted, "intention", x->intention, "verdict",
                     ul_verdict_name(x->verdict.id), "secondary", ul_verdict_name(x->verdict.secondary), "clause",
                     x->verdict.clause, "residue", x->verdict.residue > 0 ? json_real(x->verdict.residue) : json_null(),
                     "not_removed", x->verdict.not_removed, "withheld", x->verdict.withheld,
                     "qualifiers", qualifiers(&x->verdict), "measures", measures(&x->evidence, &x->verdict),
                     "outcome", x->outcome_why ? outcome : NULL,
                     "outcome_why", x->outcome_why, "evidence", evidence(&x->evidence, o, r), "probes", probes, "depth",
                     depth(a, x->u, o, r), "model", model(x->u), "original", model(o), "control", model(r), "answers",
                     answers(a, x->u, o, r), "membership", membership(a, &x->evidence.membership, x->u, o, r));
}
