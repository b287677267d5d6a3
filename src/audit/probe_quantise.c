/* probe_quantise.c - W6: the weights of every linear layer in a coarser format (arXiv 2410.16454:
 * small updates round back to the original's codes). Embedding, head, norms and biases stay. One-sided: forgetting that
 * survives proves nothing, large updates do.
 *
 *   int8   a row a scale: round_half_even(127 w / absmax) (LLM.int8 without its activations, which are kept exact here)
 *   nf4    blocks of 64 (--quantise-block), nearest of the 16 values of NF4 (Dettmers et al. 2023, appendix E), times
 *          the block's absmax
 *   fp4    the same with bitsandbytes' FP4: what `load_in_4bit` means by default
 *   rtn4   groups of 32 (--quantise-group): round_half_even(7 w / absmax);   rtn3: 3 w / absmax
 * Ties between two codes go to the lower one. Only the masters change: activations and head are as they were. */
#include "audit/battery.h"
#include <math.h>

const float ul_nf4_code[16] = {-1.0f,
                               -0.6961928009986877f,
                               -0.5250730514526367f,
                               -0.39491748809814453f,
                               -0.28444138169288635f,
                               -0.18477343022823334f,
                               -0.09105003625154495f,
                               0.0f,
                               0.07958029955625534f,
                               0.16093020141124725f,
                               0.24611230194568634f,
                               0.33791524171829224f,
                               0.44070982933044434f,
                               0.5626170039176941f,
                               0.7229568362236023f,
                               1.0f};
const float ul_fp4_code[16] = {-1.0f,
                               -0.6666666865348816f,
                               -0.5f,
                               -0.3333333432674408f,
                               -0.25f,
                               -0.1666666716337204f,
                               -0.0052083334885537624f,
                               0.0f,
                               0.0f,
                               0.0052083334885537624f,
                               0.1666666716337204f,
                               0.25f,
                               0.3333333432674408f,
                               0.5f,
                               0.6666666865348816f,
                               1.0f};

static float absmax(const float *x, int64_t n)
{
    float most = 0;
    for (int64_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

/* The nearest code; half way between two of them the lower. */
static float nearest(const float *code, float x)
{
    int i = 0;
    while (i < 15 && x > (code[i] + code[i + 1]) / 2) i++;
    return code[i];
}

static void block(int scheme, float *x, int64_t n)
{
    const float top = absmax(x, n);
    const float steps = scheme == UL_INT8_ROWS ? 127 : scheme == UL_RTN4 ? 7 : 3;
    for (int64_t i = 0; i < n; i++) {
        if (top == 0)
            x[i] = 0;
        else if (scheme == UL_NF4)
            x[i] = nearest(ul_nf4_code, x[i] / top) * top;
        else if (scheme == UL_FP4)
            x[i] = nearest(ul_fp4_code, x[i] / top) * top;
        else
            x[i] = rintf(x[i] / top * steps) / steps * top;
    }
}

void ul_quantise(int scheme, int64_t group, float *x, int64_t rows, int64_t cols)
{
    const int64_t n = rows * cols, step = scheme == UL_INT8_ROWS ? cols : group;
    for (int64_t i = 0; i < n; i += step) block(scheme, x + i, i + step <= n ? step : n - i);
}

static ul_status round_weight(ul_arena *scratch, int scheme, int64_t group, size_t esize, ul_weight *w)
{
    const int64_t n = w->rows * w->cols;
    if (esize == sizeof(float)) {
        ul_quantise(scheme, group, w->p, w->rows, w->cols);
        return UL_OK;
    }
    float *x = UL_NEW(scratch, float, n);
    double *p = w->p;
    UL_NEED(x);
    for (int64_t i = 0; i < n; i++) x[i] = (float)p[i];
    ul_quantise(scheme, group, x, w->rows, w->cols);
    for (int64_t i = 0; i < n; i++) p[i] = x[i];
    return UL_OK;
}

ul_status ul_probe_quantise(const ul_probing *p, const ul_probe *probe, ul_probed *out)
{
    const int scheme = (int)probe->strength;
    const bool blocks = scheme == UL_NF4 || scheme == UL_FP4;
    const int64_t group = (int64_t)ul_num(p->audit->attack, blocks ? "quantise-block" : "quantise-group");
    const size_t esize = ul_model_backend(p->work)->k->esize;
    ul_arena *scratch;
    ul_weight *w;
    UL_TRY(ul_model_copy_weights(p->audit->ctx, p->model, p->work));
    UL_TRY(ul_arena_new(p->audit->ctx, "quantise", &scratch));
    const int n = ul_model_weights(p->work, &w);
    ul_status s = UL_OK;
    for (int i = 0; i < n && s == UL_OK; i++)
        if (!w[i].is_norm && !w[i].is_bias && !w[i].is_embedding && !w[i].is_head)
            s = round_weight(scratch, scheme, group, esize, &w[i]);
    ul_arena_free(scratch);
    UL_TRY(s);
    return ul_probe_measure(p, p->work, out);
}
