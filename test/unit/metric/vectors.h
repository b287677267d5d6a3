/* vectors.h - reading reference/test-vectors.txt: sections, lines, numbers; computing a metric by its id. */
#ifndef UL_VECTORS_H
#define UL_VECTORS_H
#include "ul_test.h"
#include "metric/metric.h"
#include <ctype.h>
#include <math.h>

typedef struct {
    ul_ctx *ctx;
    ul_arena *a;
    char *text;
} world;

static inline int set_up(void **state)
{
    static world w;
    const char *path = ul_test_shared("reference/test-vectors.txt");
    FILE *f = fopen(path, "rb");
    if (!f) return -1;
    w.ctx = ul_test_ctx();
    UL_OK_IN(w.ctx, ul_arena_new(w.ctx, "test", &w.a));
    w.text = calloc(1, 1 << 17);
    w.text[fread(w.text, 1, (1 << 17) - 1, f)] = 0;
    fclose(f);
    *state = &w;
    return 0;
}

static inline int tear_down(void **state)
{
    world *w = *state;
    free(w->text);
    ul_arena_free(w->a);
    ul_ctx_free(w->ctx);
    return 0;
}

/* The first line of section "### TV-n " that contains `has`, from the place `has` on. */
static inline const char *line(const world *w, const char *section, const char *has)
{
    static char out[1 << 14];
    const char *s = strstr(w->text, section);
    const char *end = s ? strstr(s + 1, "### TV-") : NULL;
    const char *at = s ? strstr(s, has) : NULL;
    if (!at || (end && at >= end)) fail_msg("no line \"%s\" in section \"%s\"", has, section);
    snprintf(out, sizeof out, "%.*s", (int)strcspn(at, "\n"), at);
    return out;
}

/* Every number of a text that does not touch a letter, in order. */
static inline int numbers(const char *s, double *out, int max)
{
    int n = 0;
    for (const char *p = s; *p;) {
        const bool starts = isdigit((unsigned char)*p) || ((*p == '-' || *p == '.') && isdigit((unsigned char)p[1]));
        if (!starts || (p > s && (isalnum((unsigned char)p[-1]) || p[-1] == '@'))) {
            p++;
            continue;
        }
        char *end;
        const double x = strtod(p, &end);
        if (n == max) fail_msg("more than %d numbers in \"%s\"", max, s);
        out[n++] = x;
        p = end;
    }
    return n;
}

static inline void near(double got, double want, const char *what)
{
    if (!(fabs(got - want) <= 1e-12 * fabs(want))) fail_msg("%s: %.17g instead of %.17g", what, got, want);
}

static inline const ul_metric *metric(world *w, const char *id)
{
    const ul_metric *m = NULL;
    UL_OK_IN(w->ctx, ul_metric_find(w->ctx, id, &m));
    return m;
}

/* Compute with parameters "key=value key=value". */
static inline ul_result compute(world *w, const char *id, const char *args, const ul_input *in, int n)
{
    const ul_result_spec spec = {.name = id, .metric = id, .args = args};
    ul_args a;
    ul_result r;
    UL_OK_IN(w->ctx, ul_result_args(w->a, &spec, &a));
    UL_OK_IN(w->ctx, ul_metric_compute(w->a, metric(w, id), &a, in, n, &r));
    return r;
}

#endif
