/* Files that the safetensors library wrote: every view against a reading of the header by hand, our writer against its
 * bytes, and load then save. */
#include "io_fixture.h"

/* Offsets of a tensor by looking for its text in the header. */
static void by_hand(const ul_shard *s, const ul_tensor *t)
{
    const char *header = (const char *)s->file.p + 8;
    char want[512];
    int at = snprintf(want, sizeof want, "\"%s\":{\"dtype\":\"%s\",\"shape\":[", t->name, ul_dtype_name(t->dtype));
    for (int i = 0; i < t->n_dim; i++)
        at += snprintf(want + at, sizeof want - (size_t)at, "%s%d", i ? "," : "", (int)t->dim[i]);
    snprintf(want + at, sizeof want - (size_t)at, "],\"data_offsets\":[");
    char *text = ul_strndup(arena, header, s->data_at - 8), *found = strstr(text, want);
    assert_non_null(found);
    char *end;
    const unsigned long from = strtoul(found + strlen(want), &end, 10), to = strtoul(end + 1, NULL, 10);
    assert_int_equal(t->bytes, to - from);
    assert_ptr_equal(t->data, s->file.p + s->data_at + from);
}

static int64_t one_file(const char *path)
{
    ul_tensors *ts;
    const ul_mark m = ul_arena_mark(arena);
    UL_OK_IN(ctx, ul_tensors_open(ctx, arena, path, &ts));
    for (int64_t i = 0; i < ts->n; i++) {
        by_hand(&ts->shard[0], &ts->at[i]);
        UL_OK_IN(ctx, ul_tensor_check_finite(ctx, &ts->at[i]));
    }
    UL_OK_IN(ctx, ul_tensors_write(ctx, in("fresh"), ts->at, ts->n, ts->shard[0].metadata, NULL, NULL));
    same_file(path, in("fresh"));
    UL_OK_IN(ctx, ul_tensors_rewrite(ctx, ts, dir, NULL, NULL));
    same_file(path, in(ul_path_name(path)));
    const int64_t n = ts->n;
    ul_arena_rewind(arena, m);
    return n;
}

static void library_files(void **state)
{
    (void)state;
    char **names;
    int64_t n, files = 0, tensors = 0;
    const char *root = ul_test_shared("golden/families");
    UL_OK_IN(ctx, ul_dir_list(ctx, arena, root, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        const char *folder = ul_path_join(arena, root, names[i]);
        const char *path[] = {ul_path_join(arena, folder, "model.safetensors"),
                              ul_path_join(arena, folder, "golden.safetensors")};
        for (int k = 0; k < 2; k++)
            if (ul_file_exists(path[k])) tensors += one_file(path[k]), files++;
    }
    printf("%d files, %d tensors\n", (int)files, (int)tensors);
    assert_true(files > 0 && tensors > files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(library_files, set_up, tear_down)};
    ul_test_shared("golden/families");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
