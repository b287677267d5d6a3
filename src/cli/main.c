/* main.c - unlearn VERB [--flag value ...]. The exit code is the status. */
#include "cli/cli.h"
#include <string.h>

#define UL_ITEM(id) extern const ul_cmd ul_cmd_##id;
#include "cmd.inc"
#undef UL_ITEM

const ul_cmd *const *ul_cmds(void)
{
    static const ul_cmd *const cmds[] = {
#define UL_ITEM(id) &ul_cmd_##id,
#include "cmd.inc"
#undef UL_ITEM
        NULL};
    return cmds;
}

int64_t ul_cli_int(const ul_cli *cli, const char *key)
{
    return (int64_t)ul_num(&cli->args, key);
}

double ul_cli_num(const ul_cli *cli, const char *key)
{
    return ul_num(&cli->args, key);
}

bool ul_cli_flag(const ul_cli *cli, const char *key)
{
    return ul_num(&cli->args, key) != 0;
}

const char *ul_cli_text(const ul_cli *cli, const char *key)
{
    const char *s = ul_txt(&cli->args, key);
    return s && *s ? s : NULL;
}

ul_status ul_cli_print_json(ul_cli *cli, const json_t *j)
{
    if (!j || json_dumpf(j, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(17)))
        return ul_fail(cli->ctx, UL_E_RESOURCE, "the result could not be written to standard output");
    putchar('\n');
    return UL_OK;
}

static const ul_param *find_param(const ul_param *p, const char *key)
{
    for (; p && p->key; p++)
        if (!strcmp(p->key, key)) return p;
    return NULL;
}

static const ul_param *job_param(const ul_job_kind *k, const char *key)
{
    for (int t = 0; t < UL_JOB_TABLES && k->tables[t]; t++) {
        const ul_param *p = find_param(k->tables[t], key);
        if (p) return p;
    }
    return NULL;
}

/* One argument of the form --key, --key=value, --key value: a switch takes no separate value. */
typedef struct {
    int argc, i;
    char **argv;
    const char *key, *value;
    bool is_word;
} scan;

static ul_status next(ul_cli *cli, scan *s, const ul_param *(*find)(const void *, const char *), const void *where)
{
    char *a = s->argv[s->i++];
    s->is_word = strncmp(a, "--", 2) != 0;
    if (s->is_word) {
        if (a[0] == '-' && a[1]) return ul_fail(cli->ctx, UL_E_USAGE, "%s: flags have two dashes (see --help)", a);
        s->value = a;
        return UL_OK;
    }
    char *eq = strchr(a, '=');
    if (eq) *eq = 0;
    s->key = a + 2;
    const ul_param *p = find(where, s->key);
    if (eq) s->value = eq + 1;
    else if (p && p->type == UL_BOOL) s->value = "true";
    else if (s->i < s->argc) s->value = s->argv[s->i++];
    else if (p || strchr(s->key, '.') || !strcmp(s->key, "method"))
        return ul_fail(cli->ctx, UL_E_USAGE, "--%s wants a value", s->key);
    else s->value = "";
    return UL_OK;
}

static const ul_param *find_in_job(const void *k, const char *key)
{
    return job_param(k, key);
}

static const ul_param *find_in_cmd(const void *params, const char *key)
{
    return find_param(params, key);
}

static bool is_common(const char *a)
{
    static const char *const all[] = {"--json",  "--json=true",  "--json=false",
                                      "--quiet", "--quiet=true", "--quiet=false", NULL};
    for (const char *const *s = all; *s; s++)
        if (!strcmp(a, *s)) return true;
    return false;
}

static bool take_common(ul_cli *cli, int argc, char **argv, bool *help)
{
    *help = false;
    for (int i = 0; i < argc; i++) {
        if (is_common(argv[i])) *(argv[i][2] == 'j' ? &cli->json : &cli->quiet) = !strstr(argv[i], "=false");
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) *help = true;
    }
    return *help;
}

static ul_status run_job(ul_cli *cli, const ul_job_kind *kind, int argc, char **argv)
{
    ul_job *job;
    UL_TRY(ul_job_new(cli->ctx, kind->id, &job));
    ul_status s = UL_OK;
    scan sc = {.argc = argc, .argv = argv};
    while (s == UL_OK && sc.i < argc) {
        if (is_common(argv[sc.i])) {
            sc.i++;
            continue;
        }
        s = next(cli, &sc, find_in_job, kind);
        if (s == UL_OK && sc.is_word)
            s = ul_fail(cli->ctx, UL_E_USAGE, "`%s` takes flags only, not \"%s\" (see `unlearn %s --help`)", kind->id,
                        sc.value, kind->id);
        if (s == UL_OK) s = ul_job_set(job, sc.key, sc.value);
    }
    if (s == UL_OK) s = ul_job_run(job);
    ul_screen_clear();
    const char *text = cli->json ? ul_job_result(job) : ul_job_report(job);
    if (text && (s == UL_OK || s == UL_E_CRITERION)) fputs(text, stdout);
    if (cli->json && text) putchar('\n');
    ul_job_free(job);
    return s;
}

static ul_status set_flag(ul_cli *cli, const ul_cmd *cmd, const char *key, const char *value)
{
    if (find_param(cmd->params, key)) return ul_args_set(cli->arena, &cli->args, NULL, key, value);
    const char *names[UL_MAX_PARAM + 4] = {"json", "quiet", "help"};
    for (int i = 0, n = 3; cmd->params && cmd->params[i].key && i < UL_MAX_PARAM; i++) names[n++] = cmd->params[i].key;
    const char *near = ul_nearest(key, names);
    return ul_fail(cli->ctx, UL_E_USAGE, "`%s` has no flag --%s%s%s%s (see `unlearn %s --help`)", cmd->id, key,
                   near ? "; did you mean --" : "", near ? near : "", near ? "?" : "", cmd->id);
}

static ul_status run_cmd(ul_cli *cli, const ul_cmd *cmd, int argc, char **argv)
{
    cli->cmd = cmd;
    ul_args_default(cmd->params, &cli->args);
    cli->word = UL_NEW(cli->arena, const char *, argc + 1);
    UL_NEED(cli->word);
    scan sc = {.argc = argc, .argv = argv};
    while (sc.i < argc) {
        if (is_common(argv[sc.i])) {
            sc.i++;
            continue;
        }
        UL_TRY(next(cli, &sc, find_in_cmd, cmd->params));
        if (!sc.is_word) {
            UL_TRY(set_flag(cli, cmd, sc.key, sc.value));
            continue;
        }
        if (cli->n_word >= cmd->max_words)
            return ul_fail(cli->ctx, UL_E_USAGE, "`%s` does not take \"%s\" (usage: unlearn %s %s)", cmd->id, sc.value,
                           cmd->id, cmd->usage);
        cli->word[cli->n_word++] = sc.value;
    }
    return cmd->run(cli);
}

static bool is_help(const char *word)
{
    return !strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help");
}

static ul_status run(ul_cli *cli, int argc, char **argv)
{
    const bool asked = argc > 1 && is_help(argv[1]); /* `unlearn help VERB` is `unlearn VERB --help` */
    const char *verb = argv[asked && argc > 2 ? 2 : argc > 1];
    bool help;
    if (argc < 2 || is_help(verb)) {
        ul_help_program(argc < 2 ? stderr : stdout);
        return argc < 2 ? UL_E_USAGE : UL_OK;
    }
    const ul_job_kind *kind = ul_job_kind_find(verb);
    const ul_cmd *cmd = NULL;
    for (const ul_cmd *const *c = ul_cmds(); *c; c++)
        if (!strcmp((*c)->id, verb)) cmd = *c;
    if (!kind && !cmd) {
        const char *near = ul_help_nearest_verb(verb);
        return ul_fail(cli->ctx, UL_E_USAGE, "there is no verb \"%s\"%s%s%s (`unlearn --help` lists them)", verb,
                       near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    if (take_common(cli, argc - 2, argv + 2, &help) || asked) {
        if (kind) ul_help_job(stdout, kind);
        else ul_help_cmd(stdout, cmd);
        return UL_OK;
    }
    return kind ? run_job(cli, kind, argc - 2, argv + 2) : run_cmd(cli, cmd, argc - 2, argv + 2);
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "--version")) {
        printf("unlearn %s (%s)\n", UL_VERSION, ul_build_id);
        return 0;
    }
    ul_cli cli = {0};
    const ul_config config = ul_screen_config(&cli.quiet);
    if (ul_ctx_new(&config, &cli.ctx) != UL_OK) {
        fputs("unlearn: no memory\n", stderr);
        return UL_E_RESOURCE;
    }
    cli.arena = ul_ctx_arena(cli.ctx);
    ul_status s = run(&cli, argc, argv);
    ul_screen_clear();
    if (s != UL_OK && *ul_error_text(cli.ctx)) fprintf(stderr, "unlearn: %s\n", ul_error_text(cli.ctx));
    if ((fflush(stdout) || ferror(stdout)) && s == UL_OK) {
        if (!*ul_error_text(cli.ctx))
            fputs("unlearn: standard output cannot be written (a full disk, or closed?)\n", stderr);
        s = UL_E_RESOURCE;
    }
    ul_ctx_free(cli.ctx);
    return (int)s;
}
