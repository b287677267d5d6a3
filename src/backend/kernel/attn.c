/* attn.c - attention (attn.h) row by row. */
#include "backend/kernel/attn.h"

void KFN(attn_fwd)(const ul_backend *be, const ul_attn *a)
{
    const bool bf16 = be->precision == UL_PRECISION_BF16;
    const int64_t H = a->H, K = a->K, D = a->D;
    PARALLEL
    {
        const uint64_t mode = float_mode(false);
        real *z = ul_work_attn(be, omp_get_thread_num());
        _Pragma("omp for schedule(dynamic, 1)")
        for (int64_t dh = 0; dh < a->n_doc * H; dh++) {
            const int64_t d = dh / H, h = dh % H, g = h / (H / K), t0 = a->doc_start[d], t1 = a->doc_start[d + 1];
            const real *k = (const real *)a->k + (t0 * K + g) * D, *v = (const real *)a->v + (t0 * K + g) * D;
            const uint8_t *hidden = a->hidden ? a->hidden + t0 : NULL;
            for (int64_t t = t0; t < t1; t++) {
                const int64_t n = t - t0 + 1;
                const real *q = (const real *)a->q + (t * H + h) * D;
                real *y = (real *)a->y + (t * H + h) * D, *stat = (real *)a->stat + (t * H + h) * 2, none[2];
                for (int64_t j = 0; j < n; j++) z[j] = attn_chain(bf16, D, q, 1, k + j * K * D, 1, NULL, 0);
                if (!a->stat) stat = none;
                attn_softmax(n, hidden, (real)a->scale, z, stat, stat + 1);
                for (int64_t c = 0; c < D; c++) y[c] = attn_chain(bf16, n, z, 1, v + c, K * D, hidden, 0);
            }
        }
        float_mode_back(mode);
    }
}

void KFN(attn_one)(const ul_backend *be, const ul_attn_one *a)
{
    const bool bf16 = be->precision == UL_PRECISION_BF16;
    const int64_t H = a->H, K = a->K, D = a->D;
    PARALLEL
    {
        const uint64_t mode = float_mode(false);
        real *z = ul_work_attn(be, omp_get_thread_num());
        _Pragma("omp for schedule(dynamic, 1)")
        for (int64_t ih = 0; ih < a->n * H; ih++) {
            const int64_t i = ih / H, h = ih % H, g = h / (H / K), n = a->len[i];
            const real *k = (const real *)a->k_cache[i] + g * D, *v = (const real *)a->v_cache[i] + g * D;
            const real *q = (const real *)a->q + ih * D;
            real *y = (real *)a->y + ih * D, stat[2];
            const uint8_t *hidden = a->hidden ? a->hidden[i] : NULL;
            for (int64_t j = 0; j < n; j++) z[j] = attn_chain(bf16, D, q, 1, k + j * K * D, 1, NULL, 0);
            attn_softmax(n, hidden, (real)a->scale, z, stat, stat + 1);
            for (int64_t c = 0; c < D; c++) y[c] = attn_chain(bf16, n, z, 1, v + c, K * D, hidden, 0);
        }
        float_mode_back(mode);
    }
}
