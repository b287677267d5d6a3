/* test_fuzz_resume.c - damaged files that a job finds of an earlier run: its recipe and manifest, rows of a comparison
 * and of a sequence, reports of self-tests. */
#include "fuzz/job.h"

/* ---- a run that goes on ------------------------------------------------------------------------------------------ */
static ul_status forget(fuzz *z, const char *out)
{
    return JOB(z, "forget", "model", home.dir, "forget", of_home(z, "forget.jsonl"), "retain",
               of_home(z, "retain.jsonl"), "method", "npo", "steps", "2", "batch", "2", "threads", "1", "out", out,
               "resume", "true");
}

static void make_run(fuzz *z)
{
    open_home();
    UL_OK_IN(z->ctx, forget(z, fuzz_join(z, "out")));
}

static ul_status go_on(fuzz *z)
{
    return forget(z, fuzz_join(z, "out"));
}

static void make_begun(fuzz *z)
{
    make_run(z);
    UL_OK_IN(z->ctx, ul_dir_make(z->ctx, fuzz_join(z, "begun")));
    fuzz_copy_file(fuzz_join(z, "out/manifest.json"), z->path);
}

/* A folder with a recipe and stages of which none is there: the run begins, if the recipe is its own. */
static ul_status begin_again(fuzz *z)
{
    char **name;
    int64_t n;
    UL_OK_IN(z->ctx, ul_dir_list(z->ctx, z->arena, fuzz_join(z, "begun"), &name, &n));
    for (int64_t i = 0; i < n; i++)
        if (strcmp(name[i], ".recipe.json")) remove(ul_path_join(z->arena, fuzz_join(z, "begun"), name[i]));
    UL_OK_IN(z->ctx, ul_dir_make(z->ctx, fuzz_join(z, "begun/" UL_STAGES_NAME)));
    return forget(z, fuzz_join(z, "begun"));
}

/* ---- comparisons and sequences ----------------------------------------------------------------------------------- */
#define COMPARE(z, ...)                                                                                                \
    JOB(z, "compare", "model", home.dir, "control", home.dir, "forget", of_home(z, "forget.jsonl"), "retain",          \
        of_home(z, "retain.jsonl"), "methods", "filter", "steps", "1", "relearn", "0", "max-new", "2", "threads", "1", \
        "out", fuzz_join(z, "out"), __VA_ARGS__)

static ul_status compare(fuzz *z)
{
    return COMPARE(z, "resume", "true");
}

static void make_comparison(fuzz *z)
{
    open_home();
    UL_OK_IN(z->ctx, compare(z));
}

/* Audited: what was found of each model is told again in one report. */
static ul_status compare_audited(fuzz *z)
{
    return COMPARE(z, "audit", "quick", "attack-steps", "1", "entity-rows", "2", "resume", "true");
}

static void make_audited(fuzz *z)
{
    open_home();
    UL_OK_IN(z->ctx, compare_audited(z));
}

static ul_status sequence(fuzz *z)
{
    return JOB(z, "sequence", "model", home.dir, "requests", of_home(z, "forget.jsonl"), "retain",
               of_home(z, "retain.jsonl"), "method", "ga", "steps", "1", "batch", "2", "max-new", "2", "threads", "1",
               "rows", "2", "out", fuzz_join(z, "out"), "resume", "true");
}

static void make_sequence(fuzz *z)
{
    open_home();
    UL_OK_IN(z->ctx, sequence(z));
}

/* Found by mutation: a row without its method's name ended the program. */
static const fuzz_found row_found[] = {
    {"+{\"id\": null}", "\"id\" is null"},
    {"+{\"id\": \"npo\"}", "is the row of \"npo\", not of \"filter\""},
    {"+{\"intention\": 3}", "\"intention\" is an integer"},
    {0}};

/* Found by mutation: a qualifier that is no text ended the program. */
static const fuzz_found audit_found[] = {
    {"+{\"qualifiers\": [null, 3, {}]}", NULL}, {"[]", "filter/audit.json: is not the audit of a model"}, {0}};

static const fuzz_case parsers[] = {
    {.name = "manifest", .file = "out/manifest.json", .kind = FUZZ_JSON, .make = make_run, .read = go_on, .cost = 2,
     .refused = 5, .taken = 5, .also = 1 << UL_E_USAGE},
    {.name = "recipe", .file = "begun/.recipe.json", .kind = FUZZ_JSON, .make = make_begun, .read = begin_again,
     .cost = 2, .refused = 5, .taken = 5, .also = 1 << UL_E_USAGE},
    {.name = "row of a comparison", .file = "out/filter/row.json", .kind = FUZZ_JSON, .make = make_comparison,
     .read = compare, .found = row_found, .cost = 4, .refused = 10, .taken = 10},
    {.name = "audit of a comparison", .file = "out/filter/audit.json", .kind = FUZZ_JSON, .make = make_audited,
     .read = compare_audited, .found = audit_found, .cost = 4, .refused = 5, .taken = 10},
    {.name = "row of a sequence", .file = "out/step-0/row.json", .kind = FUZZ_JSON, .make = make_sequence,
     .read = sequence, .cost = 4, .refused = 10, .taken = 10},
};
FUZZ_MAIN(parsers)
