/* test_tokenizer.c - agreement with other programs on published tokenizers: every record of the tokenizers library, and
 * llama.cpp's vectors. Needs shared data. */
#include "ul_test.h"
#include "golden/replay_tokenizer.c"
#include "io/io.h"

/* Records that may be unsupported: their component is named. */
static const char *const may_lack[] = {"UnicodeScripts", "CTC", "regular expression"};

static bool allowed(const char *message)
{
    for (size_t i = 0; i < sizeof may_lack / sizeof *may_lack; i++)
        if (strstr(message, may_lack[i])) return true;
    return false;
}

static void test_records(void **state)
{
    (void)state;
    ul_ctx *ctx = ul_test_ctx();
    const char *folder = ul_test_shared("golden/tokenizers");
    char **names, message[1000];
    int64_t n, exact = 0;
    UL_OK_IN(ctx, ul_dir_list(ctx, ul_ctx_arena(ctx), folder, &names, &n));
    for (int64_t i = 0; i < n; i++) {
        ul_arena *arena;
        json_t *golden;
        UL_OK_IN(ctx, ul_arena_new(ctx, "record", &arena));
        const char *dir = ul_path_join(arena, folder, names[i]), *file = ul_path_join(arena, dir, "golden.json");
        if (ul_file_exists(file)) {
            UL_OK_IN(ctx, ul_json_load(ctx, arena, file, &golden));
            const int result = ul_replay_tokenizer(ctx, dir, golden, message, sizeof message);
            printf("%s: %s\n", names[i], message);
            if (result == 1 || (result == 2 && !allowed(message))) fail_msg("%s: %s", names[i], message);
            exact += result == 0;
        }
        ul_arena_free(arena);
    }
    assert_true(exact > 0);
    ul_ctx_free(ctx);
}

/* Cases in .inp are separated by a line; a line of .out has the ids of one. */
static void test_llama_cpp(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"gpt2", "gpt-2"}, {"llama2", "llama-spm"}, {"llama3", "llama-bpe"}, {"qwen2", "qwen2"}};
    static const char cut[] = "\n__ggml_vocab_test__\n";
    ul_ctx *ctx = ul_test_ctx();
    ul_arena *arena = ul_ctx_arena(ctx);
    ul_ids ids;
    ul_ids_init(&ids, ctx);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        ul_tokenizer *t;
        char *in, *out;
        size_t n_in;
        UL_OK_IN(ctx,
                 ul_tokenizer_open(ctx, ul_test_shared(ul_format(arena, "golden/tokenizers/%s", pairs[i][0])), &t));
        const char *base = ul_format(arena, "data/tokenizers/llama.cpp-vocabs/ggml-vocab-%s.gguf", pairs[i][1]);
        UL_OK_IN(ctx,
                 ul_file_read_text(ctx, arena, ul_test_shared(ul_format(arena, "%s.inp", base)), 1 << 20, &in, &n_in));
        UL_OK_IN(ctx,
                 ul_file_read_text(ctx, arena, ul_test_shared(ul_format(arena, "%s.out", base)), 1 << 20, &out, NULL));
        int cases = 0;
        for (char *s = in; s; cases++) {
            char *end = strstr(s, cut);
            const size_t n = end ? (size_t)(end - s) : (size_t)(in + n_in - s);
            UL_OK_IN(ctx, ul_encode(ctx, t, s, n, false, &ids));
            for (size_t k = 0; k < ids.n; k++) {
                const long want = strtol(out, &out, 10);
                if (want != ids.id[k])
                    fail_msg("%s case %d id %zu: %d, llama.cpp %ld", pairs[i][1], cases, k, ids.id[k], want);
            }
            while (*out == ' ') out++;
            if (*out && *out != '\n')
                fail_msg("%s case %d: llama.cpp has more than %zu ids", pairs[i][1], cases, ids.n);
            if (*out) out++;
            s = end ? end + sizeof cut - 1 : NULL;
        }
        assert_true(cases > 40);
        ul_tokenizer_free(t);
    }
    ul_ids_release(&ids);
    ul_ctx_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_records), cmocka_unit_test(test_llama_cpp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
