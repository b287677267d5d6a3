/* cmd_inspect.c - `unlearn inspect PATH`: what is inside a model directory or a safetensors file. */
#include "cli/cli.h"
#include <math.h>

static const ul_param params[] = {{"stats", UL_BOOL, 0, 0, 1, NULL,
                                   "mean, deviation, least and largest value of every tensor; finds NaN and infinity",
                                   NULL},
                                  {0}};

static void shape_text(const ul_tensor *t, char *out, size_t n)
{
    size_t at = 0;
    out[0] = 0;
    for (int d = 0; d < t->n_dim && at + 24 < n; d++)
        at += (size_t)snprintf(out + at, n - at, "%s%lld", d ? " x " : "", (long long)t->dim[d]);
}

typedef struct {
    double mean, std, lo, hi;
} moments;

static ul_status tensor_moments(ul_cli *cli, const ul_tensor *t, moments *out)
{
    const int64_t n = ul_tensor_count(t);
    double x[1024], sum = 0, squares = 0;
    *out = (moments){.lo = INFINITY, .hi = -INFINITY};
    for (int64_t i = 0; i < n; i += 1024) {
        const int64_t k = n - i < 1024 ? n - i : 1024;
        UL_TRY(ul_tensor_f64(cli->ctx, t, i, k, x));
        for (int64_t j = 0; j < k; j++) {
            sum += x[j], squares += x[j] * x[j];
            out->lo = x[j] < out->lo ? x[j] : out->lo;
            out->hi = x[j] > out->hi ? x[j] : out->hi;
        }
    }
    out->mean = n ? sum / (double)n : 0;
    const double var = n ? squares / (double)n - out->mean * out->mean : 0;
    out->std = var > 0 ? sqrt(var) : 0;
    return UL_OK;
}

static ul_status one_tensor(ul_cli *cli, const ul_tensor *t, json_t *list)
{
    char shape[128];
    shape_text(t, shape, sizeof shape);
    moments m = {0};
    const bool stats = ul_cli_flag(cli, "stats") && ul_dtype_is_float(t->dtype);
    if (stats) {
        UL_TRY(ul_tensor_check_finite(cli->ctx, t));
        UL_TRY(tensor_moments(cli, t, &m));
    }
    if (!cli->json) {
        printf("%-5s %-18s %s", ul_dtype_name(t->dtype), shape, t->name);
        if (stats) printf("  mean %.4g  std %.4g  %.4g .. %.4g", m.mean, m.std, m.lo, m.hi);
        putchar('\n');
    }
    json_t *dims = json_array();
    for (int d = 0; d < t->n_dim; d++) json_array_append_new(dims, json_integer(t->dim[d]));
    json_t *o = json_pack("{s:s, s:s, s:o, s:I}", "name", t->name, "dtype", ul_dtype_name(t->dtype), "shape", dims,
                          "bytes", (json_int_t)t->bytes);
    if (stats)
        json_object_set_new(o, "stats",
                            json_pack("{s:f, s:f, s:f, s:f}", "mean", m.mean, "std", m.std, "min", m.lo, "max", m.hi));
    json_array_append_new(list, o);
    return UL_OK;
}

static ul_status run(ul_cli *cli)
{
    if (!cli->n_word)
        return ul_fail(cli->ctx, UL_E_USAGE, "usage: unlearn inspect PATH (a model directory or a .safetensors file)");
    ul_tensors *ts;
    UL_TRY(ul_tensors_open(cli->ctx, cli->arena, cli->word[0], &ts));
    char digest[65];
    UL_TRY(ul_tensors_digest(cli->ctx, ts->at, ts->n, NULL, NULL, digest));
    int64_t total = 0;
    for (int64_t i = 0; i < ts->n; i++) total += ul_tensor_count(&ts->at[i]);
    if (!cli->json)
        printf("%s\n%lld tensors, %lld numbers, %.1f MB in %d file%s\nsha256 %s\n\n", cli->word[0], (long long)ts->n,
               (long long)total, (double)ts->bytes / 1e6, ts->n_shard, ts->n_shard == 1 ? "" : "s", digest);
    json_t *list = json_array();
    ul_status s = UL_OK;
    for (int64_t i = 0; s == UL_OK && i < ts->n; i++) s = one_tensor(cli, ts->by_name[i], list);
    json_t *j = json_pack("{s:s, s:s, s:I, s:o}", "path", cli->word[0], "sha256", digest, "numbers", (json_int_t)total,
                          "tensors", list);
    if (s == UL_OK && cli->json) s = ul_cli_print_json(cli, j);
    json_decref(j);
    return s;
}

const ul_cmd ul_cmd_inspect = {
    .id = "inspect", .summary = "what is inside a model directory or a safetensors file", .usage = "PATH",
    .about = "Lists tensors with type and shape and the digest that manifests use; everything is validated on the way.",
    .example = "unlearn inspect demo-out/target --stats", .params = params, .max_words = 1, .run = run};
