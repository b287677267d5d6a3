/* progress.c - one line that says how far a long job is, e.g.
 *   forget  120/130 steps  92%  8.1/s  2.3k tok/s  ETA 1s  loss 3.2 */
#include "base_impl.h"
#include <stdio.h>
#include <string.h>

static const int64_t second = 1000000000;

void ul_progress_begin(ul_ctx *ctx, ul_meter *m, const char *what, const char *unit, int64_t total)
{
    *m = (ul_meter){.ctx = ctx, .what = what, .unit = unit, .total = total, .start_ns = ul_now_ns()};
}

/* 0.52, 8.1, 812, 2.3k, 14M */
static const char *rate_text(double x, char *out, size_t n)
{
    const char *suffix = "";
    if (x >= 999.5e6) x /= 1e9, suffix = "G";
    else if (x >= 999.5e3) x /= 1e6, suffix = "M";
    else if (x >= 999.5) x /= 1e3, suffix = "k";
    snprintf(out, n, "%.*f%s", x >= 99.5 ? 0 : x >= 0.995 ? 1 : 2, x, suffix);
    return out;
}

/* 8s, 2m05s, 3h20m */
static const char *time_text(double seconds, char *out, size_t n)
{
    const long long s = (long long)(seconds + 0.5);
    if (s < 60) snprintf(out, n, "%llds", s);
    else if (s < 3600) snprintf(out, n, "%lldm%02llds", s / 60, s % 60);
    else snprintf(out, n, "%lldh%02lldm", s / 3600, s / 60 % 60);
    return out;
}

void ul_progress_step(ul_meter *m, int64_t done, int64_t tokens, const char *extra)
{
    const ul_config *config = &m->ctx->config;
    if (!config->progress) return;
    const int64_t now = ul_now_ns();
    const bool last = m->total > 0 && done >= m->total;
    if (now - m->start_ns < second || (!last && now - m->shown_ns < second / 5)) return;
    m->shown_ns = now;
    const double seconds = (double)(now - m->start_ns) / 1e9, rate = (double)(done - m->skip) / seconds;
    char line[512], number[32];
    size_t n = 0;
#define ADD(...)                                                                                                       \
    do {                                                                                                               \
        const int k = snprintf(line + n, sizeof line - n, __VA_ARGS__);                                                \
        n = k < 0 || (size_t)k >= sizeof line - n ? sizeof line - 1 : n + (size_t)k;                                   \
    } while (0)
    ADD("%s  %lld", m->what, (long long)done);
    if (m->total > 0) ADD("/%lld", (long long)m->total);
    ADD(" %s", m->unit);
    if (m->total > 0) ADD("  %d%%", (int)(100.0 * (double)done / (double)m->total));
    ADD("  %s/s", rate_text(rate, number, sizeof number));
    if (tokens > 0) ADD("  %s tok/s", rate_text((double)tokens / seconds, number, sizeof number));
    if (last) ADD("  in %s", time_text(seconds, number, sizeof number));
    else if (m->total > 0 && rate > 0)
        ADD("  ETA %s", time_text((double)(m->total - done) / rate, number, sizeof number));
    if (extra && extra[0]) ADD("  %s", extra);
#undef ADD
    const ul_progress p = {m->what, m->unit, done, m->total, seconds, rate, line};
    config->progress(config->user, &p);
}
