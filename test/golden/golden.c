/* golden.c - replays golden records: golden DIR ... searches every DIR for golden.json files, one line a record.
 *
 * ok / FAIL / unsupported, the worst error and where; the last line counts. Exit 0 only when nothing failed.
 * A DIR without a record is a FAIL; so is an "unsupported" whose reason is not listed in unsupported.txt. */
#include "replay.h"
#include <dirent.h>
#include <sys/stat.h>

typedef int replay_fn(ul_ctx *, const char *, json_t *, char *, size_t);
static int replay_unknown(ul_ctx *ctx, const char *dir, json_t *golden, char *message, size_t size)
{
    (void)ctx, (void)dir;
    const char *kind = json_string_value(json_object_get(golden, "kind"));
    snprintf(message, size, "unsupported kind of record: %s", kind ? kind : "(none)");
    return 2;
}

static const struct {
    const char *kind;
    replay_fn *replay;
} kinds[] = {{"forward", ul_replay_forward},     {"lora", ul_replay_lora},   {"tokenizer", ul_replay_tokenizer},
             {"bf16_product", ul_replay_bf16}, {"train", ul_replay_train}, {"eval", ul_replay_eval},
             {"gguf", replay_unknown},           {"blockquant", replay_unknown}};

static int passed, failed, skipped;

/* Is (kind, reason) on the list? */
static int listed(const char *kind, const char *reason)
{
    FILE *f = fopen(UL_UNSUPPORTED, "r");
    char line[256], k[64], word[128];
    int found = 0;
    while (f && !found && fgets(line, sizeof line, f))
        found = line[0] != '#' && sscanf(line, "%63s %127s", k, word) == 2 && !strcmp(k, kind) && strstr(reason, word);
    if (f) fclose(f);
    return found;
}

static void replay(const char *dir)
{
    char path[4096], message[4096] = "";
    snprintf(path, sizeof path, "%s/golden.json", dir);
    json_error_t e;
    json_t *golden = json_load_file(path, JSON_ALLOW_NUL, &e);
    const char *kind = json_string_value(json_object_get(golden, "kind"));
    int code = 1;
    ul_ctx *ctx = NULL;
    if (!golden) snprintf(message, sizeof message, "golden.json:%d: %s", e.line, e.text);
    else if (!kind) snprintf(message, sizeof message, "the record has no kind");
    else if (ul_ctx_new(NULL, &ctx) == UL_OK) {
        snprintf(message, sizeof message, "unknown kind \"%s\"", kind);
        for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
            if (!strcmp(kinds[i].kind, kind)) code = kinds[i].replay(ctx, dir, golden, message, sizeof message);
    }
    if (code == 2 && !listed(kind, message)) code = 1;
    printf("%-11s %s: %s\n", code == 0 ? "ok" : code == 2 ? "unsupported" : "FAIL", dir, message);
    fflush(stdout);
    passed += code == 0, failed += code == 1, skipped += code == 2;
    ul_ctx_free(ctx);
    json_decref(golden);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Returns the number of records found below. */
static int search(const char *dir, int depth)
{
    char path[4096];
    struct stat st;
    int found = 0;
    snprintf(path, sizeof path, "%s/golden.json", dir);
    if (stat(path, &st) == 0) {
        replay(dir);
        found = 1;
    }
    DIR *d = depth < 12 ? opendir(dir) : NULL;
    char *name[4096];
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d)) && n < 4096;)
        if (e->d_name[0] != '.') name[n++] = strdup(e->d_name);
    if (d) closedir(d);
    qsort(name, (size_t)n, sizeof *name, by_name);
    for (int i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, name[i]);
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) found += search(path, depth + 1);
        free(name[i]);
    }
    return found;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: golden DIR ... (folders that hold golden.json, at any depth)\n");
        return 2;
    }
    for (int i = 1; i < argc; i++)
        if (!search(argv[i], 0)) {
            printf("%-11s %s: no golden.json in it\n", "FAIL", argv[i]);
            failed++;
        }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed != 0;
}
