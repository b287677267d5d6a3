/* cmd_models.c - `unlearn models`: the model families of this build
 * and the config.json model_type values each reads. */
#include "cli/cli.h"

static ul_status run(ul_cli *cli)
{
    json_t *all = json_object();
    if (!cli->json) printf("%-12s %s\n", "family", "model_type");
    for (const char *const *f = ul_families(); *f; f++) {
        json_t *types = json_array();
        if (!cli->json) printf("%-12s", *f);
        for (const char *const *t = ul_family_types(*f); *t; t++) {
            json_array_append_new(types, json_string(*t));
            if (!cli->json) printf(" %s", *t);
        }
        if (!cli->json) putchar('\n');
        json_object_set_new(all, *f, types);
    }
    const ul_status s = cli->json ? ul_cli_print_json(cli, all) : UL_OK;
    json_decref(all);
    return s;
}

const ul_cmd ul_cmd_models = {.id = "models",
                              .summary = "the model families that can be read",
                              .usage = "",
                              .about = "Lists the families and the `model_type` values of config.json that each reads.",
                              .example = "unlearn models",
                              .run = run};
