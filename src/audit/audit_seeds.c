/* audit_seeds.c - the self-test on many worlds: how often the audit is right,
 * and how often it says "removed" of a model that is not.
 *
 * Each world is a whole self-test of its own (audit_selftest.c) in OUT/world-SEED;
 * its report holds what is counted here, so worlds that are there already need not be made again (--resume). */
#include "audit/battery.h"
#include "stat/stat.h"
#include <string.h>

static const double LEVEL = 0.05; /* of the bounds that are printed beside the counts */
enum { MOST_KINDS = 16 };

typedef struct {
    const char *name, *wanted;
    int64_t n, right;
} kind_of_model;
typedef struct {
    ul_job *job;
    const char *out;
    json_t *worlds, *wrong;
    kind_of_model kind[MOST_KINDS];
    int n_kind;
    int64_t n, right, not_removed, false_removed; /* not_removed: models of which "removed" is false */
} census;

/* A world whose verdicts are wrong is a finding; anything else that fails ends the census. */
static ul_status world_report(census *c, ul_job *world, int64_t seed, const char *dir, const char *path,
                              json_t **report)
{
    ul_ctx *ctx = c->job->ctx;
    ul_manifest settings;
    const char *number = ul_format(world->arena, "%lld", (long long)seed);
    UL_NEED(number);
    static const char *const own[] = {"seed", "seeds", "seeds-right", "seeds-removed", "out", "resume", "force", NULL};
    const ul_setting s[] = {{"seed", number}, {"out", dir}, {"force", "true"}, {NULL, NULL}};
    for (int t = 0; t < UL_JOB_TABLES && world->kind->tables[t]; t++)
        UL_TRY(ul_job_pass(c->job, world->kind->tables[t], own, world));
    UL_TRY(ul_job_set_all(world, s));
    UL_TRY(ul_manifest_begin(world, &settings));
    UL_TRY(ul_manifest_seal(world, &settings));
    UL_TRY(ul_job_kept(c->job, path, "recipe_digest", UL_OPTIONAL, settings.recipe_digest, report));
    if (*report) return UL_OK;
    const ul_status ran = ul_job_run(world);
    if (ul_interrupted(ctx))
        return ul_fail(ctx, UL_E_CRITERION,
                       "interrupted in world %lld; the same command with --resume keeps those that are finished",
                       (long long)seed);
    if (ran != UL_OK && ran != UL_E_CRITERION) return ran;
    return ul_json_load(ctx, c->job->arena, path, report);
}

static ul_status count(census *c, int64_t seed, const char *path, const json_t *report)
{
    size_t i;
    json_t *m;
    json_array_foreach(json_object_get(report, "models"), i, m) {
        const char *name = "", *wanted = "", *verdict = "", *clause = "";
        UL_TRY(ul_json_text(c->job->ctx, m, path, "name", UL_REQUIRED, &name));
        UL_TRY(ul_json_text(c->job->ctx, m, path, "wanted", UL_REQUIRED, &wanted));
        UL_TRY(ul_json_text(c->job->ctx, m, path, "verdict", UL_REQUIRED, &verdict));
        UL_TRY(ul_json_text(c->job->ctx, m, path, "clause", UL_REQUIRED, &clause));
        int k = 0;
        while (k < c->n_kind && strcmp(c->kind[k].name, name)) k++;
        if (k == MOST_KINDS)
            return ul_fail(c->job->ctx, UL_E_INPUT,
                           "%s: more than %d kinds of models: it is not the report of a self-test", path, MOST_KINDS);
        if (k == c->n_kind) c->kind[c->n_kind++] = (kind_of_model){.name = name, .wanted = wanted};
        const bool right = !strcmp(wanted, verdict), counts = strcmp(wanted, ul_verdict_name(UL_REMOVED)) != 0;
        c->kind[k].n++, c->n++;
        c->kind[k].right += right, c->right += right;
        c->not_removed += counts;
        c->false_removed += counts && !strcmp(verdict, ul_verdict_name(UL_REMOVED));
        if (!right &&
            json_array_append_new(c->wrong, json_pack("{s:I, s:s, s:s, s:s, s:s}", "seed", (json_int_t)seed, "model",
                                                      name, "wanted", wanted, "verdict", verdict, "clause", clause)))
            return ul_fail(c->job->ctx, UL_E_RESOURCE, "no memory for the list of wrong verdicts");
    }
    json_t *line =
        json_pack("{s:I, s:O, s:O, s:O}", "seed", (json_int_t)seed, "wrong", json_object_get(report, "wrong"),
                  "seconds", json_object_get(report, "seconds"), "build", json_object_get(report, "build"));
    return !line || json_array_append_new(c->worlds, line)
               ? ul_fail(c->job->ctx, UL_E_INPUT, "%s is not the report of a self-test", path)
               : UL_OK;
}

/* ---- what is told ------------------------------------------------------------------------------------------------ */
static ul_status write_table(census *c)
{
    ul_buf *b = &c->job->text;
    size_t i;
    json_t *x;
    ul_buf_printf(b, "| model | wanted | right | worlds |\n|---|---|--:|--:|\n");
    for (int k = 0; k < c->n_kind; k++)
        ul_buf_printf(b, "| %s | %s | %lld | %lld |\n", c->kind[k].name, c->kind[k].wanted, (long long)c->kind[k].right,
                      (long long)c->kind[k].n);
    ul_buf_printf(b,
                  "| all | | **%lld** | **%lld** |\n\nRight: %.1f %% (wrong at most %.1f %% with 95 %% confidence, "
                  "taking verdicts as "
                  "independent). False \"removed\": %lld of %lld (at most %.1f %%).\n",
                  (long long)c->right, (long long)c->n, 100 * (double)c->right / (double)c->n,
                  100 * ul_binomial_upper(c->n - c->right, c->n, LEVEL), (long long)c->false_removed,
                  (long long)c->not_removed, 100 * ul_binomial_upper(c->false_removed, c->not_removed, LEVEL));
    if (json_array_size(c->wrong))
        ul_buf_puts(b, "\n| world | model | wanted | verdict | because |\n|--:|---|---|---|---|\n");
    json_array_foreach(c->wrong, i, x)
        ul_buf_printf(b, "| %lld | %s | %s | %s | %s |\n", (long long)json_integer_value(json_object_get(x, "seed")),
                      json_string_value(json_object_get(x, "model")), json_string_value(json_object_get(x, "wanted")),
                      json_string_value(json_object_get(x, "verdict")),
                      json_string_value(json_object_get(x, "clause")));
    const char *md = ul_path_join(c->job->arena, c->out, "seeds.md"),
               *json = ul_path_join(c->job->arena, c->out, "seeds.json");
    UL_NEED(md);
    UL_NEED(json);
    UL_TRY(ul_job_text_save(c->job, md));
    c->job->result = json_pack("{s:s, s:f, s:f, s:I, s:I, s:I, s:I, s:O, s:O}", "kind", "audit seeds", "must_be_right",
                               ul_job_num(c->job, "seeds-right"), "may_be_false",
                               ul_job_num(c->job, "seeds-removed"), "verdicts", (json_int_t)c->n, "right",
                               (json_int_t)c->right, "not_removed", (json_int_t)c->not_removed, "false_removed",
                               (json_int_t)c->false_removed, "worlds", c->worlds, "wrong", c->wrong);
    if (!c->job->result) return ul_fail(c->job->ctx, UL_E_RESOURCE, "no memory for the result");
    UL_TRY(ul_json_save(c->job->ctx, json, c->job->result));
    return ul_buf_printf(b, "\nwritten: %s\n", md);
}

ul_status ul_audit_seeds(ul_job *job)
{
    census *c = UL_NEW(job->arena, census, 1);
    UL_NEED(c);
    c->job = job;
    const int64_t first = ul_job_int(job, "seed"), n = ul_job_int(job, "seeds");
    UL_TRY(ul_job_out_name(job, &c->out));
    UL_TRY(ul_dir_make(job->ctx, c->out));
    c->worlds = json_array(), c->wrong = json_array();
    UL_TRY(ul_json_own(job->arena, c->worlds));
    UL_TRY(ul_json_own(job->arena, c->wrong));
    for (int64_t seed = first; seed < first + n; seed++) {
        const char *dir = ul_format(job->arena, "%s/world-%lld", c->out, (long long)seed);
        UL_NEED(dir);
        const char *path = ul_path_join(job->arena, dir, "report.json");
        UL_NEED(path);
        json_t *report;
        ul_job *world;
        UL_TRY(ul_job_new(job->ctx, "audit", &world));
        const ul_status s = world_report(c, world, seed, dir, path, &report);
        ul_job_free(world);
        UL_TRY(s);
        UL_TRY(count(c, seed, path, report));
        ul_note(job->ctx, UL_LOG_INFO, "world %lld (%lld of %lld): %lld of %lld verdicts right so far", (long long)seed,
                (long long)(seed - first + 1), (long long)n, (long long)c->right, (long long)c->n);
    }
    UL_TRY(write_table(c));
    const double right = ul_job_num(job, "seeds-right"), removed = ul_job_num(job, "seeds-removed");
    if ((double)c->right >= right * (double)c->n && (double)c->false_removed <= removed * (double)c->not_removed)
        return UL_OK;
    return ul_fail(job->ctx, UL_E_CRITERION,
                   "audit --self-test --seeds %lld: %lld of %lld verdicts are right (must be: %.0f %%), %lld of %lld "
                   "are a false \"removed\" (at most %.0f %%)",
                   (long long)n, (long long)c->right, (long long)c->n, 100 * right, (long long)c->false_removed,
                   (long long)c->not_removed, 100 * removed);
}
