/* setup.c - from a job's keys to what it works on: backend, model and tokenizer, template, output directory. */
#include "audit/audit.h"
#include <string.h>

ul_status ul_job_backend(ul_job *job, ul_backend **out)
{
    const char *p = ul_job_text(job, "precision");
    const ul_precision precision = !p || !strcmp(p, "f32")  ? UL_PRECISION_F32
                                   : !strcmp(p, "bf16")     ? UL_PRECISION_BF16
                                                            : UL_PRECISION_DOUBLE;
    const char *isa = ul_job_text(job, "isa");
    if (!isa) isa = ul_env("UL_ISA");
    if (isa && !*isa) isa = NULL;
    return ul_backend_open(job->ctx, job->arena, isa, precision, (int)ul_job_int(job, "threads"), out);
}

void ul_release_model(void *m)
{
    ul_model_free(m);
}

void ul_release_tokenizer(void *t)
{
    ul_tokenizer_free(t);
}

ul_status ul_job_model(ul_job *job, ul_backend *be, const char *dir, unsigned flags, ul_model **m, ul_tokenizer **tok,
                       char *digest)
{
    if (!dir) return ul_fail(job->ctx, UL_E_USAGE, "`%s` needs --model DIR (a Hugging Face directory)", job->kind->id);
    if (!ul_dir_exists(dir))
        return ul_fail(job->ctx, UL_E_INPUT,
                       "%s: %s (a model is a Hugging Face directory: config.json, "
                       "*.safetensors, tokenizer.json)",
                       dir, ul_file_exists(dir) ? "is a file" : "no such directory, or none that may be read");
    UL_TRY(ul_model_open(job->ctx, be, dir, flags, m));
    UL_TRY(ul_arena_defer(job->arena, ul_release_model, *m));
    if (tok) {
        UL_TRY(ul_tokenizer_open(job->ctx, dir, tok));
        UL_TRY(ul_arena_defer(job->arena, ul_release_tokenizer, *tok));
        const int64_t top = ul_tokenizer_max_id(*tok);
        if (top >= ul_model_shape(*m)->V)
            return ul_fail(job->ctx, UL_E_INPUT,
                           "%s: the tokenizer's largest id is %lld, the embedding of the model has %d "
                           "rows (a tokenizer of another model?)",
                           ul_tokenizer_path(*tok), (long long)top, ul_model_shape(*m)->V);
    }
    return digest ? ul_job_digest(job, dir, digest) : UL_OK;
}

ul_status ul_job_guard(ul_job *job, ul_manifest *m, ul_model *model, const ul_tokenizer *tok, const char *model_digest,
                       ul_guard_file **out)
{
    const char *path = ul_job_text(job, "guard"), *match = ul_job_text(job, "match");
    *out = NULL;
    if (!path) return UL_OK;
    if (ul_job_text(job, "adapter"))
        return ul_fail(job->ctx, UL_E_USAGE, "--guard %s belongs to a model without an adapter: merge --adapter first "
                       "(`forget --lora-merge`), and make the guard for the result", path);
    if (match && strcmp(match, "none"))
        return ul_fail(job->ctx, UL_E_USAGE, "--match %s and --guard: the peer has no guards", match);
    UL_TRY(ul_guard_read(job->ctx, job->arena, path, out));
    if (m) UL_TRY(ul_manifest_input(job, m, "guard", (*out)->path, (*out)->digest, -1));
    return ul_guard_around(*out, model, tok, model_digest);
}

ul_status ul_job_digest(ul_job *job, const char *path, char digest[65])
{
    ul_tensors *ts;
    UL_TRY(ul_tensors_open(job->ctx, job->arena, path, &ts));
    return ul_tensors_digest(job->ctx, ts->at, ts->n, NULL, NULL, digest);
}

/* "\n" and "\t" as typed on a command line. */
static char *unescape(ul_arena *arena, const char *s)
{
    if (!s) s = "";
    char *out = ul_strdup(arena, s), *w = out;
    if (!out) return NULL;
    for (; *s; s++) {
        if (s[0] == '\\' && (s[1] == 'n' || s[1] == 't')) *w++ = *++s == 'n' ? '\n' : '\t';
        else *w++ = *s;
    }
    *w = 0;
    return out;
}

ul_status ul_job_tofu_split(ul_job *job, const char **out)
{
    static const char *const splits[] = {"forget10", "forget05", "forget01"};
    const char *split = ul_job_text(job, "split");
    for (int i = 0; i < 3; i++)
        if (!split || !strcmp(split, splits[i])) {
            *out = splits[i];
            return UL_OK;
        }
    return ul_fail(job->ctx, UL_E_USAGE, "--split %s: TOFU's splits are forget01, forget05, forget10", split);
}

ul_status ul_job_template(ul_job *job, const ul_tokenizer *tok, const ul_shape *shape, ul_template *out)
{
    *out = ul_template_tofu;
    out->user_start = unescape(job->arena, ul_job_text(job, "user-start"));
    out->user_end = unescape(job->arena, ul_job_text(job, "user-end"));
    out->asst_start = unescape(job->arena, ul_job_text(job, "asst-start"));
    if (!out->user_start || !out->user_end || !out->asst_start) return UL_E_RESOURCE;
    out->max_length = (int32_t)ul_job_int(job, "max-length");
    out->at_context = out->max_length >= shape->n_ctx;
    if (out->at_context) out->max_length = shape->n_ctx;
    out->strict = ul_job_flag(job, "strict");
    out->apart = ul_job_flag(job, "apart");
    const char *match = ul_job_text(job, "match");
    out->hide_pad = match && !strcmp(match, "open-unlearning");
    out->pad_id = ul_tokenizer_special(tok).pad;
    return UL_OK;
}

ul_status ul_job_out_name(ul_job *job, const char **out)
{
    const char *dir = ul_job_text(job, "out");
    if (!dir) return ul_fail(job->ctx, UL_E_USAGE, "`%s` needs --out DIR", job->kind->id);
    static const char *const read[] = {"model",   "control", "original", "reference-model",
                                       "adapter", "guard",   "twin",     NULL};
    for (const char *const *key = read; *key; key++) {
        const char *path = ul_job_text(job, *key);
        if (path && ul_path_same(dir, path))
            return ul_fail(job->ctx, UL_E_USAGE, "--out %s is the %s that is read; it is never written over (another "
                           "--out)", dir, *key);
    }
    bool empty;
    UL_TRY(ul_dir_is_empty(job->ctx, dir, &empty));
    if (!empty && !ul_job_flag(job, "force") && !ul_job_flag(job, "resume"))
        return ul_fail(job->ctx, UL_E_USAGE, "%s is not empty; nothing was overwritten (another --out, --resume to go "
                       "on with an interrupted run, or --force)", dir);
    *out = dir;
    return UL_OK;
}

ul_status ul_job_out_dir(ul_job *job, const char **out)
{
    UL_TRY(ul_job_out_name(job, out));
    return ul_dir_make(job->ctx, *out);
}
