/* defaults.c - what a run has where its caller gave nothing: values that its method brings along, the paper's
 * (`recipe`) or, for models of up to 20 million weights, ours (`small`), and its wrappers; the learning rate slides
 * from ours to the paper's; over them what the program does that --match names. */
#include "audit/audit.h"
#include <string.h>

/* A list's values into the job: of the run, and with "." of `own`. Its steps give way to epochs of the caller's. */
static ul_status put(ul_job *job, const char *owner, ul_args *own, const bool *given, const char *const *list)
{
    int t, i;
    for (const char *const *r = list; r && *r; r += 2) {
        if (r[0][0] == '.') {
            for (i = 0; own->params[i].key && strcmp(own->params[i].key, r[0] + 1); i++) continue;
            if (!own->params[i].key || !given[i]) UL_TRY(ul_args_set(job->arena, own, owner, r[0] + 1, r[1]));
        } else if (ul_job_find(job, r[0], &t, &i) && !job->set[t][i] &&
                   (strcmp(r[0], "steps") || !ul_job_given(job, "epochs"))) {
            UL_TRY(ul_args_set(job->arena, &job->args[t], NULL, r[0], r[1]));
        }
    }
    return UL_OK;
}

/* ---- programs to match ------------------------------------------------------------------------------------------- */
enum { PEER_NAMES = 2, MOST = 32 };
static const char *const peer[PEER_NAMES] = {"none", "open-unlearning"}; /* with any method */

static bool is_peer(const char *name)
{
    return !strcmp(name, peer[1]);
}

/* The matches of one part of the run: 0 the method, 1 the optimizer, then the wrappers; false past the last. */
static bool part_at(ul_job *job, int k, const ul_match **out, const char **owner, ul_args **own, const bool **given)
{
    const char *optimizer = ul_job_text(job, "optimizer");
    *out = NULL;
    if (k == 0) {
        *owner = job->method_id, *own = &job->method_args, *given = job->method_set;
        if (job->method) *out = job->method->matches;
    } else if (k == 1) {
        *owner = optimizer, *own = NULL, *given = NULL;
        if (optimizer && !strcmp(optimizer, "sophia")) *out = ul_sophia_matches;
    } else if (k - 2 < job->n_wrap) {
        ul_job_wrapper *w = &job->wrap[k - 2];
        *owner = w->id, *own = &w->args, *given = w->set, *out = w->wrapper->matches;
    } else {
        return false;
    }
    return true;
}

static ul_status match(ul_job *job, bool set)
{
    const char *name = ul_job_text(job, "match"), *owner, *names[PEER_NAMES + MOST + 1] = {peer[0], peer[1]};
    const ul_match *m;
    const bool *given;
    ul_args *own;
    int n = PEER_NAMES;
    if (!name || !strcmp(name, peer[0])) return UL_OK;
    bool found = is_peer(name);
    job->micro_means = found;
    for (int k = 0; part_at(job, k, &m, &owner, &own, &given); k++)
        for (; m && m->name; m++) {
            if (n < PEER_NAMES + MOST && !is_peer(m->name)) names[n++] = m->name;
            if (strcmp(m->name, name)) continue;
            found = true;
            job->micro_means |= m->micro_means;
            if (set) UL_TRY(put(job, owner, own, given, m->set));
        }
    if (found) return UL_OK;
    ul_buf b;
    ul_buf_init(&b, job->ctx, 4096);
    for (int i = 0; i < n; i++) ul_buf_printf(&b, "%s%s", i ? ", " : "", names[i]);
    const char *near = ul_nearest(name, names);
    const ul_status s = ul_fail(job->ctx, UL_E_USAGE,
                                "--match %s: no program of that name differs here%s%s%s; known with this run: %s", name,
                                near ? " (did you mean " : "", near ? near : "", near ? "?)" : "", b.p ? b.p : "none");
    ul_buf_release(&b);
    return s;
}

ul_status ul_job_match_known(ul_job *job)
{
    return match(job, false);
}

/* A list's learning rate, or `usual`. */
static double rate(const char *const *list, double usual)
{
    double x;
    for (const char *const *r = list; r && *r; r += 2)
        if (!strcmp(r[0], "lr") && ul_parse_real(r[1], &x)) return x;
    return usual;
}

static bool trains_adapter(const ul_job *job)
{
    return ul_job_text(job, "lora") && !(job->procedure && !job->procedure->adapters);
}

/* An adapter starts at zero and is small beside what it changes. Its best rate is ten times that of whole weights
 * (Schulman et al. 2025, "LoRA Without Regret"); three times in small models, where five spoils with ga and scrub what
 * should stay (repro/tofu-26m.md). */
static double adapter_times(int64_t n_parameters)
{
    return ul_recipe_small(n_parameters) ? 3 : 10;
}

double ul_job_rate(const ul_job *job, int64_t n_parameters)
{
    const ul_method *m = job->method;
    double ours = ul_recipe_lr_for(1), papers = ul_recipe_lr_for(INT64_MAX);
    if (m) {
        ours = rate(m->small ? m->small : m->recipe, ours * (m->lr_scale > 0 ? m->lr_scale : 1));
        papers = rate(m->recipe, papers);
        if (m->own_rate) return ul_recipe_small(n_parameters) ? ours : papers;
    }
    if (trains_adapter(job)) {
        const double times = adapter_times(n_parameters);
        ours = ul_recipe_lr_times(ours, times);
        if (!m || !m->adapter_rate) papers = ul_recipe_lr_times(papers, times);
    }
    return ul_recipe_lr_between(n_parameters, ours, papers);
}

/* Between the sizes that the lists are for, the rate is in neither; that of an adapter never is. */
static void slide(ul_job *job, int64_t n_parameters)
{
    const double lr = ul_job_rate(job, n_parameters);
    int t, i;
    if (!trains_adapter(job) && (lr == ul_job_rate(job, 1) || lr == ul_job_rate(job, INT64_MAX))) return;
    if (ul_job_find(job, "lr", &t, &i) && !job->set[t][i]) job->args[t].num[i] = lr;
}

ul_status ul_job_defaults(ul_job *job, int64_t n_parameters)
{
    const ul_method *m = job->method;
    const bool small = ul_recipe_small(n_parameters);
    const char *const *own = !m ? NULL : small && m->small ? m->small : m->recipe;
    UL_TRY(put(job, job->method_id, &job->method_args, job->method_set, own));
    if (m) slide(job, n_parameters);
    for (int i = 0; i < job->n_wrap; i++) {
        ul_job_wrapper *w = &job->wrap[i];
        if (small) UL_TRY(put(job, w->id, &w->args, w->set, w->wrapper->small));
    }
    return match(job, true);
}
