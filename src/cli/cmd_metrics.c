/* cmd_metrics.c - `unlearn metrics [NAME]`: the registry of metrics. */
#include "cli/cli.h"
#include <math.h>
#include <string.h>

static json_t *bound(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static const char *better(const ul_metric *m)
{
    return m->better == UL_BETTER_HIGHER ? "higher" : m->better == UL_BETTER_LOWER ? "lower" : "closer to ideal";
}

static json_t *metric_json(const ul_metric *m)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:o}", "id", ul_metric_id(m), "title", m->title, "paper",
                     m->paper, "unit", m->unit ? m->unit : "", "low", bound(m->lo), "high", bound(m->hi), "better",
                     better(m), "ideal", m->better == UL_BETTER_CLOSER ? bound(m->ideal) : json_null());
}

static ul_status run(ul_cli *cli)
{
    const ul_metric *one = NULL;
    if (cli->n_word) UL_TRY(ul_metric_find(cli->ctx, cli->word[0], &one));
    if (cli->json) {
        json_t *j = one ? metric_json(one) : json_array();
        for (int i = 0; !one && i < ul_metric_count(); i++) json_array_append_new(j, metric_json(ul_metric_at(i)));
        const ul_status s = ul_cli_print_json(cli, j);
        json_decref(j);
        return s;
    }
    if (!one) printf("%-22s %-14s %-16s %s\n", "metric", "range", "better", "title");
    for (int i = 0; i < ul_metric_count(); i++) {
        const ul_metric *m = ul_metric_at(i);
        if (one && one != m) continue;
        char range[32];
        snprintf(range, sizeof range, "%g .. %g", m->lo, m->hi);
        printf("%-22s %-14s %-16s %s (%s)\n", ul_metric_id(m), range, better(m), m->title, m->paper);
        if (one) ul_help_params(stdout, m->params, "");
    }
    if (one) return UL_OK;
    int n;
    const ul_result_spec *r = ul_tofu_results(&n);
    puts("\nwhat `unlearn eval --tofu` reports:");
    for (int i = 0; i < n; i++) printf("  %-32s %s\n", r[i].name, r[i].metric);
    return UL_OK;
}

const ul_cmd ul_cmd_metrics = {.id = "metrics",
                               .summary = "the metrics: range, direction, paper",
                               .usage = "[NAME]",
                               .about = "Lists every metric of this build and the results of a TOFU evaluation.",
                               .example = "unlearn metrics truth_ratio",
                               .max_words = 1,
                               .run = run};
