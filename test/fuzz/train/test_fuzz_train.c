/* test_fuzz_train.c - damaged state of a run: its checkpoint and log are refused or gone on from, what is kept of the
 * reference is made again. */
#include "fuzz/fuzz.h"
#include "method/method.h"
#include "train_test.h"

/* A run of z->dir, in the context of the round; its own context takes its place. */
static void open_run(fuzz *z, tiny *t)
{
    const ul_config config = {.user = z, .alloc = fuzz_alloc};
    const tiny_how how = {.threads = 1, .micro = 4};
    tiny_open(t, &config, &how, ul_method_find("npo"), z->dir);
    ul_ctx_free(z->ctx);
    z->ctx = t->ctx, z->arena = ul_ctx_arena(t->ctx);
    t->recipe.batch = 2, t->recipe.steps = 4;
}

static ul_status run(fuzz *z, tiny *t, int64_t until)
{
    ul_step_result last;
    int64_t done;
    const int64_t from = t->recipe.steps;
    tiny_references(t, NULL);
    t->recipe.steps = until, t->run.save_every = z->round % FUZZ_WRITES ? -1 : 1;
    ul_status s = ul_run_train(z->ctx, &t->run, &last, &done);
    if (s == UL_OK && done != until) fail_msg("%lld steps of %lld", (long long)done, (long long)from);
    return s;
}

static void make_run(fuzz *z)
{
    tiny t;
    open_run(z, &t);
    UL_OK_IN(z->ctx, run(z, &t, 3));
    ul_model_free(t.model);
    fuzz_copy_file(fuzz_join(z, UL_CHECKPOINT_NAME), fuzz_join(z, "sound"));
}

/* One step more, from whatever checkpoint and log there are. */
static ul_status go_on(fuzz *z)
{
    tiny t;
    open_run(z, &t);
    t.run.resume = true;
    const ul_status s = run(z, &t, 4);
    ul_model_free(t.model);
    return s;
}

static ul_status go_on_from_log(fuzz *z)
{
    fuzz_copy_file(fuzz_join(z, "sound"), fuzz_join(z, UL_CHECKPOINT_NAME));
    return go_on(z);
}

/* ---- what is kept of the reference ------------------------------------------------------------------------------- */
static ul_status open_reference(fuzz *z, const char *dir, tiny *t, ul_reference **out)
{
    return ul_reference_open(z->ctx, z->arena, t->model, dir, t->digest, t->docs[UL_FORGET], true, out);
}

static void make_reference(fuzz *z)
{
    tiny t;
    ul_reference *r;
    char **name;
    int64_t n;
    open_run(z, &t);
    UL_OK_IN(z->ctx, open_reference(z, z->dir, &t, &r));
    UL_OK_IN(z->ctx, ul_dir_list(z->ctx, z->arena, z->dir, &name, &n));
    assert_int_equal(n, 1);
    snprintf(z->path, sizeof z->path, "%s/%s", z->dir, name[0]);
    ul_model_free(t.model);
}

static ul_status read_reference(fuzz *z)
{
    tiny t;
    ul_reference *have, *want;
    open_run(z, &t);
    UL_OK_IN(z->ctx, open_reference(z, NULL, &t, &want));
    const ul_status s = open_reference(z, z->dir, &t, &have);
    for (int64_t i = 0; s == UL_OK && i < t.docs[UL_FORGET]->n; i++) {
        const int32_t n = ul_reference_rows(want, i);
        assert_int_equal(ul_reference_rows(have, i), n);
        assert_memory_equal(ul_reference_logp(have, i), ul_reference_logp(want, i), (size_t)n * sizeof(double));
        assert_memory_equal(ul_reference_hidden(have, i), ul_reference_hidden(want, i), (size_t)n * 32 * 4);
    }
    ul_model_free(t.model);
    return s;
}

static const fuzz_case parsers[] = {
    {.name = "checkpoint", .file = UL_CHECKPOINT_NAME, .kind = FUZZ_TENSORS, .make = make_run, .read = go_on, .cost = 2,
     .refused = 40, .taken = 1, .also = 1 << UL_E_USAGE | 1 << UL_E_CRITERION},
    {.name = "checkpoint, log", .file = UL_LOG_NAME, .kind = FUZZ_LINES, .make = make_run, .read = go_on_from_log,
     .cost = 2, .refused = 10, .taken = 10},
    {.name = "reference", .file = "reference", .kind = FUZZ_BYTES, .make = make_reference, .read = read_reference,
     .cost = 2, .refused = 0, .taken = 100},
};
FUZZ_MAIN(parsers)
