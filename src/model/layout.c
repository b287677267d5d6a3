/* layout.c - a tensor as the file holds it <-> a master [rows, cols] = [out, in]: as it is, or transposed (Conv1D). The
 * parts of a stacked tensor are rows of one master, so stacking needs no rule of its own. */
#include "model/block.h"
#include <math.h>

static ul_status convert_in(ul_ctx *ctx, const ul_model *m, const ul_tensor *t, int64_t first, int64_t n, void *out)
{
    return m->be->k->esize == 8 ? ul_tensor_f64(ctx, t, first, n, out) : ul_tensor_f32(ctx, t, first, n, out);
}

/* out [cols, rows] = in [rows, cols]^T, a square of 32 x 32 at a time */
static void transpose(const ul_backend *be, int64_t rows, int64_t cols, const void *in, void *out)
{
    enum { B = 32 };
    for (int64_t i0 = 0; i0 < rows; i0 += B)
        for (int64_t j0 = 0; j0 < cols; j0 += B)
            for (int64_t i = i0; i < rows && i < i0 + B; i++)
                for (int64_t j = j0; j < cols && j < j0 + B; j++) {
                    if (be->k->esize == 8) ((double *)out)[j * rows + i] = ((const double *)in)[i * cols + j];
                    else ((float *)out)[j * rows + i] = ((const float *)in)[i * cols + j];
                }
}

ul_status ul_layout_load(ul_ctx *ctx, const ul_model *m, const ul_matrix *x, const ul_tensor *t, void *p)
{
    const int64_t n = x->rows * x->cols;
    if (!x->transposed) return convert_in(ctx, m, t, 0, n, p);
    const ul_mark mark = ul_arena_mark(m->side_arena);
    void *raw = ul_alloc_raw(m->side_arena, (size_t)n, m->be->k->esize);
    UL_NEED(raw);
    const ul_status status = convert_in(ctx, m, t, 0, n, raw);
    if (status == UL_OK) transpose(m->be, x->cols, x->rows, raw, p);
    ul_arena_rewind(m->side_arena, mark);
    return status;
}

/* A finite number that the file's type cannot hold. */
static ul_status check_range(ul_ctx *ctx, const ul_model *m, const ul_matrix *x, const void *p, ul_dtype dtype)
{
    const double most = dtype == UL_DT_F16 ? 65519.99 : 3.4028235677973366e38;
    if (dtype == UL_DT_F32 && m->be->k->esize == 4) return UL_OK;
    for (int64_t i = 0; dtype != UL_DT_F64 && i < x->rows * x->cols; i++) {
        const double v = ul_real_get(m->be, p, i);
        if (fabs(v) > most && isfinite(v))
            return ul_fail(ctx, UL_E_INPUT, "tensor \"%s\": element %lld is %g, the model's type %s ends at %g",
                           x->name, (long long)i, v, ul_dtype_name(dtype), most);
    }
    return UL_OK;
}

ul_status ul_layout_store(ul_ctx *ctx, ul_arena *arena, const ul_model *m, const ul_matrix *x, const void *p,
                          ul_dtype dtype, void **bytes)
{
    const size_t n = (size_t)(x->rows * x->cols), esize = m->be->k->esize;
    UL_TRY(check_range(ctx, m, x, p, dtype));
    if (x->transposed) {
        void *t = ul_alloc_raw(arena, n, esize);
        UL_NEED(t);
        transpose(m->be, x->rows, x->cols, p, t);
        p = t;
    }
    void *out = ul_alloc_raw(arena, n, ul_dtype_size(dtype));
    UL_NEED(out);
    const bool ok = esize == 8 ? ul_dtype_from_f64(dtype, p, n, out) : ul_dtype_from_f32(dtype, p, n, out);
    if (!ok)
        return ul_fail(ctx, UL_E_INTERNAL, "tensor \"%s\": weights are not written as %s", x->name,
                       ul_dtype_name(dtype));
    *bytes = out;
    return UL_OK;
}
