/* cmd_tokenize.c - `unlearn tokenize --model DIR TEXT`: ids and pieces of a text, or with --decode the text of ids. */
#include "cli/cli.h"
#include <string.h>

static const ul_param params[] = {
    {"model", UL_TEXT, 0, 0, 0, NULL, "a directory with a tokenizer.json, or that file", ""},
    {"plain", UL_BOOL, 0, 0, 1, NULL, "no special tokens (BOS, EOS) around the text", NULL},
    {"decode", UL_BOOL, 0, 0, 1, NULL, "the argument is ids, separated by spaces or commas", NULL},
    {0}};

static ul_status parse_ids(ul_cli *cli, const ul_tokenizer *t, const char *text, ul_ids *out)
{
    char *copy = ul_strdup(cli->arena, text);
    UL_NEED(copy);
    for (char *p = copy; *p;) {
        const size_t n = strcspn(p, " ,\t\n");
        const char end = p[n];
        p[n] = 0;
        int64_t id;
        if (n && (!ul_parse_int(p, &id) || id < 0 || id > INT32_MAX))
            return ul_fail(cli->ctx, UL_E_USAGE, "\"%s\" is not a token id", p);
        if (n && !ul_token_text(t, (int32_t)id, &(size_t){0}))
            return ul_fail(cli->ctx, UL_E_USAGE, "there is no token %s; the largest id is %lld", p,
                           (long long)ul_tokenizer_max_id(t));
        if (n) UL_TRY(ul_ids_add(out, (int32_t)id, 0));
        p += n + (end != 0);
    }
    return UL_OK;
}

static ul_status show(ul_cli *cli, const ul_tokenizer *t, const ul_ids *ids)
{
    json_t *list = json_array(), *pieces = json_array();
    for (size_t i = 0; i < ids->n; i++) {
        size_t n = 0;
        const char *s = ul_token_text(t, ids->id[i], &n);
        if (!cli->json) {
            printf("%8d  ", ids->id[i]);
            for (size_t k = 0; s && k < n; k++) /* one piece, one line */
                if (s[k] == '\n' || s[k] == '\t' || s[k] == '\r')
                    printf("\\%c", s[k] == '\n' ? 'n' : s[k] == '\t' ? 't' : 'r');
                else putchar(s[k]);
            putchar('\n');
        }
        json_array_append_new(list, json_integer(ids->id[i]));
        json_array_append_new(pieces, s ? json_stringn(s, n) : json_null());
    }
    json_t *j = json_pack("{s:o, s:o}", "ids", list, "pieces", pieces);
    const ul_status s = cli->json ? ul_cli_print_json(cli, j) : UL_OK;
    json_decref(j);
    return s;
}

static ul_status with_tokenizer(ul_cli *cli, const ul_tokenizer *t, ul_ids *ids, ul_buf *text)
{
    if (!ul_cli_flag(cli, "decode")) {
        UL_TRY(ul_encode(cli->ctx, t, cli->word[0], strlen(cli->word[0]), !ul_cli_flag(cli, "plain"), ids));
        return show(cli, t, ids);
    }
    UL_TRY(parse_ids(cli, t, cli->word[0], ids));
    UL_TRY(ul_decode(cli->ctx, t, ids->id, ids->n, ul_cli_flag(cli, "plain"), text));
    if (!cli->json) return puts(text->p ? text->p : ""), UL_OK;
    json_t *j = json_pack("{s:s#}", "text", text->p ? text->p : "", (int)text->n);
    const ul_status s = ul_cli_print_json(cli, j);
    json_decref(j);
    return s;
}

static ul_status run(ul_cli *cli)
{
    const char *dir = ul_cli_text(cli, "model");
    if (!dir || !cli->n_word) return ul_fail(cli->ctx, UL_E_USAGE, "usage: unlearn tokenize --model DIR TEXT");
    ul_tokenizer *t;
    UL_TRY(ul_tokenizer_open(cli->ctx, dir, &t));
    ul_ids ids;
    ul_buf text;
    ul_ids_init(&ids, cli->ctx);
    ul_buf_init(&text, cli->ctx, 1 << 24);
    const ul_status s = with_tokenizer(cli, t, &ids, &text);
    ul_buf_release(&text);
    ul_ids_release(&ids);
    ul_tokenizer_free(t);
    return s;
}

const ul_cmd ul_cmd_tokenize = {.id = "tokenize",
                                .summary = "text to token ids and back",
                                .usage = "--model DIR TEXT",
                                .about = "Shows the ids and pieces of a text as the model's tokenizer.json makes them, "
                                         "or the text of ids with --decode.",
                                .example = "unlearn tokenize --model demo-out/target \"Where was Maria born ?\"",
                                .params = params,
                                .max_words = 1,
                                .run = run};
