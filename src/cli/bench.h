/* bench.h - what the cases of `unlearn bench` share.
 *
 * A case runs rounds. A round times our work, then cblas_sgemm on the same products, one right after the other: the
 * fraction is taken inside a round, so what else the machine does meets both alike. A first step is warm-up. */
#ifndef UL_BENCH_H
#define UL_BENCH_H
#include "cli/cli.h"

/* One linear layer, y[tokens, out] = x[tokens, in] W^T, that occurs `count` times: three products a step. */
typedef struct {
    int64_t tokens, in, out;
    double count;
} ul_bench_layer;
enum { UL_BENCH_LAYERS = 16, UL_BENCH_ROUNDS = 64 };

/* Arrays large enough for every product of a list of layers. */
typedef struct {
    float *x, *w, *y, *c;
} ul_bench_arrays;

typedef struct ul_blas ul_blas; /* OpenBLAS, found at run time */
typedef struct {
    ul_cli *cli;
    ul_ctx *ctx;
    ul_arena *arena; /* of the case */
    ul_backend *be;
    ul_blas *blas; /* NULL: there is none */
    double seconds;
    int repeat;
} ul_bench;

typedef struct {
    const char *name, *what;
    ul_status (*run)(ul_bench *b, const char *name);
} ul_bench_case;

/* cmd_bench.c */
/* Prints one line of results and owns `line`. Keys: case, tokens_per_s, gflops, sgemm_gflops, fraction (min, median and
 * max each), planned_bytes, peak_bytes, rounds, note; what else is there goes to the JSON line only. */
ul_status ul_bench_emit(ul_bench *b, const char *name, json_t *line) UL_MUST;
ul_status ul_bench_skip(ul_bench *b, const char *name, const char *why) UL_MUST;
json_t *ul_bench_spread(const double *x, int n); /* {"min", "median", "max"} */
double ul_bench_median(const double *x, int n);
bool ul_bench_more(const ul_bench *b, int rounds, int64_t start_ns);
/* One thread: its processor time, which what else the machine does disturbs less. More: the wall clock. */
int64_t ul_bench_clock(const ul_bench *b); /* ns */
double ul_bench_since(const ul_bench *b, int64_t ns);

/* bench_blas.c */
ul_status ul_blas_open(ul_bench *b) UL_MUST;
const char *ul_blas_core(const ul_blas *blas);
ul_status ul_bench_arrays_new(ul_bench *b, const ul_bench_layer *l, int n, ul_bench_arrays *out) UL_MUST;
/* The three products of a layer (0 forward, 1 dx, 2 dW), ours or cblas_sgemm's: seconds of one;
 * short ones are repeated. */
double ul_bench_product(const ul_bench *b, const ul_bench_layer *l, int which, const ul_bench_arrays *a, bool blas);
/* Lets the other library's threads, which spin for a while after their work, go to sleep. */
void ul_bench_settle(void);
/* Bytes a second of reading an array of n numbers that no cache holds (64 million at most): the fastest of sum_squares,
 * first_bad and cblas_sgemv. */
double ul_bench_memory(const ul_bench *b, const float *x, int64_t n);
double ul_bench_layers_flop(const ul_bench_layer *l, int n); /* of all three products of all layers */
/* GFLOP/s of cblas_sgemm over all products of the layers, weighted by count. */
double ul_bench_sgemm(const ul_bench *b, const ul_bench_layer *l, int n, const ul_bench_arrays *a);

/* bench_shape.c */
typedef enum { UL_SHAPE_15M, UL_SHAPE_124M, UL_SHAPE_656K } ul_bench_shape;
ul_status ul_bench_model(ul_bench *b, ul_bench_shape shape, ul_model **out) UL_MUST; /* fresh; freed with the case */
ul_status ul_bench_folder(ul_bench *b, char **out) UL_MUST; /* a new empty one under TMPDIR; the caller removes it */
/* The distinct linear layers of a model at this number of tokens and scored rows. */
int ul_bench_layers(ul_model *m, int64_t tokens, int64_t rows, ul_bench_layer *out);

/* Documents of random tokens, {prompt, answer} of each in tokens; the answers are labelled. */
ul_status ul_bench_documents(ul_bench *b, int64_t n, const int32_t (*length)[2], int32_t V, ul_docs **out) UL_MUST;

/* the cases */
ul_status ul_bench_run_product(ul_bench *b, const char *name);
ul_status ul_bench_run_train_15m(ul_bench *b, const char *name);
ul_status ul_bench_run_train_124m(ul_bench *b, const char *name);
ul_status ul_bench_run_train_656k(ul_bench *b, const char *name);
ul_status ul_bench_run_npo(ul_bench *b, const char *name);
ul_status ul_bench_run_rmu(ul_bench *b, const char *name);
ul_status ul_bench_run_methods(ul_bench *b, const char *name);
ul_status ul_bench_run_memory(ul_bench *b, const char *name);
ul_status ul_bench_run_generate(ul_bench *b, const char *name);
ul_status ul_bench_run_eval(ul_bench *b, const char *name);
ul_status ul_bench_run_startup(ul_bench *b, const char *name);
#endif
