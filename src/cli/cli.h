/* cli.h - the program: an argument table, one call into the library, and printing. A command is a file cmd_<id>.c; the
 * jobs of room audit are commands too, with the same tables and the same help. */
#ifndef UL_CLI_H
#define UL_CLI_H
#include "audit/audit.h"
#include <stdio.h>

typedef struct ul_cmd ul_cmd;
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    const ul_cmd *cmd;
    ul_args args;
    const char **word; /* what is no flag */
    int n_word;
    bool json, quiet;
} ul_cli;
struct ul_cmd {
    const char *id, *summary, *usage, *about, *example;
    const ul_param *params; /* may be NULL */
    int max_words;
    ul_status (*run)(ul_cli *cli);
};
const ul_cmd *const *ul_cmds(void);
int64_t ul_cli_int(const ul_cli *cli, const char *key);
double ul_cli_num(const ul_cli *cli, const char *key);
bool ul_cli_flag(const ul_cli *cli, const char *key);
const char *ul_cli_text(const ul_cli *cli, const char *key); /* NULL when empty */
ul_status ul_cli_print_json(ul_cli *cli, const json_t *j);

/* help.c */
void ul_help_program(FILE *f);
void ul_help_params(FILE *f, const ul_param *params, const char *prefix);
void ul_help_job(FILE *f, const ul_job_kind *kind);
void ul_help_cmd(FILE *f, const ul_cmd *cmd);
const char *ul_help_nearest_verb(const char *word);

/* screen.c: progress and messages on standard error */
ul_config ul_screen_config(bool *quiet);
void ul_screen_clear(void);
#endif
