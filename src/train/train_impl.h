/* train_impl.h - the trainer, as the files of this room see it. */
#ifndef UL_TRAIN_IMPL_H
#define UL_TRAIN_IMPL_H
#include "train/train.h"

enum { UL_NEED_KL = UL_NEED_FORGET_KL | UL_NEED_RETAIN_KL };

/* An array of a wrapper's that belongs into the checkpoint. */
typedef struct ul_kept {
    const char *name;
    void *p;
    int64_t n;
    struct ul_kept *next;
} ul_kept;

struct ul_trainer {
    ul_ctx *ctx;
    ul_arena *arena, *step; /* of the trainer; of the step at hand */
    ul_trainer_options o;
    ul_recipe recipe;
    int64_t steps;
    const ul_backend *be;
    unsigned needs, sides, all_rows; /* sides that are run; of these, those whose every position is a row */
    bool soft; /* some rows have a soft target */
    int blocks;        /* that are run; -1: all, and the head */
    int first;         /* blocks before the pass: their result is cached; 0: none */
    ul_state look[UL_N_SIDE];
    struct ul_tap *tap; /* of the pass at hand */
    double *control, *moved; /* [C]; [blocks looked at, C]; or NULL */
    double dual;
    int n_train;
    ul_trainable *train;
    void **m, **v; /* [n_train] moments, in real */
    unsigned now; /* the sides of the part at hand; `sides` when it is the whole step */
    ul_args args; /* the method's, own copy: wrappers may change values */
    ul_arena *wrap_arena, *apart;
    ul_wrap *wrap;
    int n_wrap;
    bool split, combine, calibrated, stopped; /* split: the forget part is computed apart; combine: and kept apart */
    void **forget;                            /* [n_train] the forget part, or NULL */
    uint8_t **mask;                           /* [n_train] bit maps of what moves, or NULL */
    ul_kept *kept, *last_kept;
    double *micro_loss;
    int32_t n_micro, first_sample; /* of the micro-batch at hand */
    int32_t n_alt; /* alternates of a sample; those after the first stand behind it as samples of their own */
};

/* How many scored tokens and documents a side has: what a mean divides by. */
typedef struct {
    double n_tok[UL_N_SIDE], n_seq[UL_N_SIDE];
    double token_share[UL_N_SIDE]; /* the peer's: mean of sums times mean of 1 / tokens; 0: each document's own */
    double dual, epoch, progress;
} ul_counts;
/* Sums of a step over its micro-batches, in the order of the samples. */
typedef struct {
    double loss, constraint, nll[UL_N_SIDE];
    int64_t scored[UL_N_SIDE], tokens;
} ul_sums;
/* One micro-batch: pack, reference, forward, losses, backward (trainer_micro.c). */
unsigned ul_trainer_flags(const ul_trainer *t); /* UL_PASS_*, of its passes */
ul_status ul_trainer_micro(ul_trainer *t, int64_t step, const ul_sample *samples, int32_t n, const ul_counts *counts,
                           ul_sums *sums) UL_MUST;
/* Bits of the sides whose documents are run. */
unsigned ul_method_sides(const ul_method *m, const ul_args *args, const ul_model *model);
/* The samples of a step, in the step's arena. */
ul_status ul_trainer_draw(ul_trainer *t, int64_t step, ul_sample **out) UL_MUST;
/* taps.c: hooks for states of mlps (ul_state.mlp). [n_layer] of them, where nothing is looked at empty; NULL: no side
 * does. The pass gets its own hooks and theirs. */
typedef struct ul_tap {
    const ul_backend *be;
    int64_t C;
    char *x; /* [n_tok, C] what the mlp put out in the pass */
    const int32_t *row;
    int32_t n_row;
    const void *dx; /* [n_row, C] the gradient of these tokens that enters there, or NULL */
} ul_tap;
ul_status ul_taps(ul_arena *arena, const ul_model *m, const ul_state *look, int n_look, ul_pass *pass,
                  ul_tap **out) UL_MUST;
/* state.c: distances of hidden states, and the gradients that enter there. */
ul_status ul_state_begin(ul_trainer *t) UL_MUST; /* targets that are made once */
/* The states of document d of the last pass at the scored tokens where `s` looks: [rows, blocks, C]. */
void ul_state_copy(const ul_model *m, const ul_state *s, const ul_tap *tap, const ul_batch *b, int32_t d, void *out);
void ul_state_read(const ul_backend *be, const void *rows, int64_t i, int32_t C, double *out); /* row i */
/* doc_ref[d]: the reference's states of document d. ddist NULL: adds distances into dist [n_row], zero before; else
 * writes the gradients of the rows into dx[block] [n_row, C]. */
ul_status ul_state_look(ul_trainer *t, const ul_batch *b, const ul_sample *samples, int64_t step,
                        const void *const *doc_ref, const double *ddist, double *dist, void **const dx[2]) UL_MUST;
ul_status ul_state_seeds(ul_trainer *t, const ul_batch *b, const ul_sample *samples, int64_t step,
                         const void *const *doc_ref, const double *ddist, ul_seed **seed, int *n_seed) UL_MUST;
/* UL_NEED_FORGET_LENS: adds into out [n_row]; coef [n_row]: d loss / d out, behind the seeds that there are
 * (lens.c). */
ul_status ul_lens_look(ul_trainer *t, const ul_batch *b, double *out) UL_MUST;
ul_status ul_lens_seeds(ul_trainer *t, const ul_batch *b, const double *coef, ul_seed *seed, int *n_seed) UL_MUST;
/* mmd.c: part [n]; with w [n], g [n, C] is the gradient of sum w part by x, and part is not meant. */
enum { UL_MMD_TOKENS = 32 };
void ul_mmd(int32_t n, int32_t C, const double *x, const double *y, const double *w, double *part, double *g);
/* reference.c */
/* What a cache holds; exactly one of the kinds. `ask`: it is described, and *out is hollow. */
typedef struct {
    bool hidden, rivals; /* beside log-probs the rows that the head reads; ids of runner-ups */
    bool tops;           /* ids of the most likely tokens */
    int prefix;          /* states of all tokens after so many blocks */
    const ul_state *state;
    const ul_reference *from;
    int n_reading;
    const ul_reading *reading;
    const ul_docs *const *read;
} ul_reference_what;
ul_status ul_reference_get(ul_ctx *ctx, ul_arena *arena, ul_model *m, const char *dir, const char *weights_digest,
                           const ul_docs *docs, const ul_reference_what *what, ul_cache_item *ask,
                           ul_reference **out) UL_MUST;
int64_t ul_reference_docs(const ul_reference *r);
int ul_reference_blocks(const ul_reference *r); /* of a prefix; else 0 */
/* Gradients of these sides of a step are added to the model's g, tied weights joined, its numbers to *out. */
ul_status ul_trainer_part(ul_trainer *t, int64_t step, unsigned sides, ul_step_result *out) UL_MUST;
/* wrap.c: wrappers around a step */
ul_status ul_wraps_begin(ul_trainer *t) UL_MUST;
ul_status ul_wraps_sample(ul_trainer *t, int64_t step, int32_t i, ul_sample *io) UL_MUST;
ul_status ul_wraps_before(ul_trainer *t, int64_t step) UL_MUST;
ul_status ul_wraps_gradients(ul_trainer *t, int64_t step, ul_step_result *out) UL_MUST;
ul_status ul_wraps_after(ul_trainer *t, ul_step_result *out) UL_MUST;
/* The micro-batch as it will be packed: padded when the peer pads. */
ul_status ul_trainer_pack(ul_trainer *t, const ul_sample *samples, int32_t n, ul_batch **out) UL_MUST;
#endif
