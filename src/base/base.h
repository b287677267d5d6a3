/* base.h - the ground floor: status, arenas, growing buffers, random numbers, mathematics whose bits are ours,
 * parameter tables, digest, clock, faults on demand. Everything above may use all of it. */
#ifndef UL_BASE_H
#define UL_BASE_H
#include "unlearn/base.h"
#include <stdarg.h>

/* ---- failing -------------------------------------------------------------------------------------------------- */
/* Record the message, return the status: `return ul_fail(ctx, UL_E_INPUT, "%s: ...", path, ...)`. */
ul_status ul_fail(ul_ctx *ctx, ul_status status, const char *fmt, ...) UL_PRINTF(3, 4);
/* Put "text: " in front of the message that is there: for callers who know the place better. Returns `status`. */
ul_status ul_fail_in(ul_ctx *ctx, ul_status status, const char *fmt, ...) UL_PRINTF(3, 4);
/* Both return `status`; said this way the compiler knows it too and does not
 * warn of outputs that a failure left unset. */
static inline ul_status ul_failed(ul_status status, ul_status same)
{
    (void)same;
    return status;
}
#define ul_fail(ctx, status, ...) ul_failed(status, ul_fail(ctx, status, __VA_ARGS__))
#define ul_fail_in(ctx, status, ...) ul_failed(status, ul_fail_in(ctx, status, __VA_ARGS__))
#define UL_TRY(call)                                                                                                   \
    do {                                                                                                               \
        const ul_status ul_try_ = (call);                                                                              \
        if (ul_try_ != UL_OK) return ul_try_;                                                                          \
    } while (0)
/* For allocations inside a function that returns a status: the arena has recorded the message. */
#define UL_NEED(pointer)                                                                                               \
    do {                                                                                                               \
        if (!(pointer)) return UL_E_RESOURCE;                                                                          \
    } while (0)

/* A line for the host's log callback; without one it is dropped. */
void ul_note(ul_ctx *ctx, ul_log_level level, const char *fmt, ...) UL_PRINTF(3, 4);

/* A long job tells how far it is. `ul_progress_step` is cheap: it calls out at most five times a second, and always
 * at the end; nothing is shown of a job that ends within the first second. `extra` (may be NULL) is added to the line,
 * e.g. "forget 3.21  retain 0.44"; `tokens` is the running count, 0 = not shown. A resumed job sets `skip` to the units
 * done before, so that the rate is that of this run. */
typedef struct {
    ul_ctx *ctx;
    const char *what, *unit;
    int64_t total, start_ns, shown_ns, skip;
} ul_meter;
void ul_progress_begin(ul_ctx *ctx, ul_meter *m, const char *what, const char *unit, int64_t total);
void ul_progress_step(ul_meter *m, int64_t done, int64_t tokens, const char *extra);
bool ul_interrupted(ul_ctx *ctx);

/* ---- memory: three lifetimes (context, model, step), an arena each ---------------------------------------------- */
typedef struct ul_arena ul_arena;
typedef struct {
    void *block;
    size_t used;
    void *cleanup;
} ul_mark;
ul_status ul_arena_new(ul_ctx *ctx, const char *name, ul_arena **out) UL_MUST;
void ul_arena_free(ul_arena *a); /* runs the clean-ups, newest first; NULL is fine */
void ul_arena_reset(ul_arena *a);
ul_arena *ul_ctx_arena(ul_ctx *ctx);
/* n * size bytes, zeroed, aligned to 64; NULL (and a message in the context) when n * size overflows or there is no
 * memory. n == 0 gives a valid pointer to nothing. */
void *ul_alloc(ul_arena *a, size_t n, size_t size) UL_MUST;
#define UL_NEW(arena, type, n) ((type *)ul_alloc((arena), (size_t)(n), sizeof(type)))
/* The same without zeroing; filled with NaN in debug builds. */
void *ul_alloc_raw(ul_arena *a, size_t n, size_t size) UL_MUST;
char *ul_strdup(ul_arena *a, const char *s) UL_MUST;
char *ul_strndup(ul_arena *a, const char *s, size_t n) UL_MUST;
char *ul_format(ul_arena *a, const char *fmt, ...) UL_PRINTF(2, 3) UL_MUST;
/* Files, maps, foreign objects: released with the arena. When the entry cannot be recorded, fn is called at once. */
ul_status ul_arena_defer(ul_arena *a, void (*fn)(void *), void *object) UL_MUST;
ul_mark ul_arena_mark(const ul_arena *a);
void ul_arena_rewind(ul_arena *a, ul_mark m); /* clean-ups registered since the mark run too */
size_t ul_arena_bytes(const ul_arena *a);     /* obtained from the allocator, now */
ul_ctx *ul_arena_ctx(const ul_arena *a);

/* A growing byte buffer that knows its maximum; always ends with a NUL beyond `n`. The first failure sticks. */
typedef struct {
    ul_ctx *ctx;
    char *p;
    size_t n, cap, max;
    ul_status status;
} ul_buf;
void ul_buf_init(ul_buf *b, ul_ctx *ctx, size_t max);
void ul_buf_release(ul_buf *b);
void ul_buf_reset(ul_buf *b);
ul_status ul_buf_add(ul_buf *b, const void *bytes, size_t n);
ul_status ul_buf_puts(ul_buf *b, const char *s);
ul_status ul_buf_printf(ul_buf *b, const char *fmt, ...) UL_PRINTF(2, 3);

/* ---- numbers ---------------------------------------------------------------------------------------------------- */
/* Counter-based random numbers (Philox 4x32-10, Salmon et al. 2011): a pure function of (seed, stream, step, index),
 * hence independent of threads, batches and resume. Streams are named here so that no two uses share one. */
typedef enum {
    UL_STREAM_ORDER = 1, /* which sample comes when           */
    UL_STREAM_RETAIN,    /* which retain row joins a sample   */
    UL_STREAM_ALT,       /* which alternate answer joins it   */
    UL_STREAM_INIT,      /* fresh weights                     */
    UL_STREAM_LORA,      /* fresh adapters                    */
    UL_STREAM_BOOTSTRAP, /* resampling                        */
    UL_STREAM_WORLD,     /* generated people, facts           */
    UL_STREAM_SAMPLE,    /* sampled generation                */
    UL_STREAM_NOISE,     /* audit attacks                     */
    UL_STREAM_TEST,
    UL_STREAM_CONTROL,   /* control vectors of hidden states  */
    UL_STREAM_SMOOTHING, /* noise on weights under a gradient */
    UL_STREAM_FOLDS,     /* which row of which fold comes     */
    UL_STREAM_DRAW,      /* documents drawn from a set        */
    UL_STREAM_LABEL,     /* labels drawn from the model       */
    UL_STREAM_WEIGHTS,   /* noise on weights                  */
    UL_STREAM_STATE,     /* noise that hidden states shall look like */
    UL_STREAM_RELABEL    /* random labels                     */
} ul_stream;
uint64_t ul_rng(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index);
double ul_rng_uniform(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index); /* [0, 1), 53 bits */
double ul_rng_normal(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index);
/* 0 .. n-1 by multiply and shift of 64 bits: the bias is below n / 2^64 */
uint64_t ul_rng_below(uint64_t seed, ul_stream stream, uint64_t step, uint64_t index, uint64_t n);
/* A permutation of 0 .. n-1 as a function of (seed, stream, step). */
void ul_rng_permutation(uint64_t seed, ul_stream stream, uint64_t step, int64_t n, int64_t *out);

/* Transcendental functions in double with the same bits on every machine and C library (fused multiply-adds written
 * out), a few ulp from the truth (the bounds are tested). For schedules, rotary tables, losses and initialisation. */
double ul_exp(double x);
double ul_expm1(double x);
double ul_log(double x);
double ul_log1p(double x);
double ul_pow(double x, double y); /* x > 0 */
double ul_sin(double x);           /* |x| < 2^30 */
double ul_cos(double x);
double ul_tanh(double x);
double ul_erf(double x);
double ul_sigmoid(double x);
double ul_log_sigmoid(double x);

/* ---- parameters ------------------------------------------------------------------------------------------------- */
void ul_args_default(const ul_param *params, ul_args *out);
double ul_num(const ul_args *a, const char *key);
const char *ul_txt(const ul_args *a, const char *key);
/* Parse and check one value; UL_E_USAGE with the bounds, or with the nearest key. Text values are copied to `arena`.
 * Messages say "owner.key"; "--key" when owner is NULL (then the key must be there). */
ul_status ul_args_set(ul_arena *arena, ul_args *a, const char *owner, const char *key, const char *value) UL_MUST;
/* What a list of defaults says of these parameters: "." and key, value, in turn, NULL at the end; other keys are
 * another table's. Lists are constants, which a test holds to their tables: nothing to report. */
void ul_args_values(ul_args *a, const char *const *list);
/* The nearest of `names` (ends with NULL) by Damerau-Levenshtein distance, or NULL when none is near. */
const char *ul_nearest(const char *word, const char *const *names);
/* A letter or digit of ASCII, or any byte of a longer character in UTF-8. */
static inline bool ul_is_word_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (unsigned char)c >= 0x80;
}
/* Whole-string conversions: false on junk, overflow, NaN. */
bool ul_parse_real(const char *s, double *out);
bool ul_parse_int(const char *s, int64_t *out);

/* ---- digest (SHA-256 by libsodium), clock, faults ---------------------------------------------------------------- */
typedef struct {
    uint64_t opaque[32];
} ul_digest;
void ul_digest_init(ul_digest *d);
void ul_digest_add(ul_digest *d, const void *bytes, size_t n);
void ul_digest_hex(ul_digest *d, char out[65]);

int64_t ul_now_ns(void); /* monotonic */
/* Largest resident memory of this process since it began, or since the last reset; 0: unknown. */
int64_t ul_peak_bytes(void);
void ul_peak_reset(void);
void ul_utc_text(char out[21]); /* 2026-11-24T08:38:05Z */

/* Faults on demand: from now on the k-th (from 1) event of this kind fails, as when memory or space ran out; once. */
typedef enum { UL_FAULT_ALLOC, UL_FAULT_WRITE, UL_FAULT_READ, UL_FAULT_KINDS } ul_fault;
void ul_fault_set(ul_ctx *ctx, ul_fault kind, int64_t k);  /* 0 = off */
bool ul_fault_now(ul_ctx *ctx, ul_fault kind);             /* asked where the event happens */
int64_t ul_fault_count(const ul_ctx *ctx, ul_fault kind);  /* events seen since ul_fault_set */
/* Allocations that failed so far; and UL_E_RESOURCE when there are more of them than `before`: for a caller to whom a
 * NULL that should be a sentence would read as "nothing to say", or whose callbacks return nothing. */
int64_t ul_alloc_failures(const ul_ctx *ctx);
ul_status ul_alloc_held(const ul_ctx *ctx, int64_t before) UL_MUST;

/* The C library's allocator lives here only (see tools/check-banned). */
void *ul_ctx_alloc(ul_ctx *ctx, void *old, size_t bytes);
const char *ul_env(const char *name); /* getenv */
#endif
