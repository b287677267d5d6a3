/* method.h - an unlearning method is arithmetic on per-token log-probabilities (and what the trainer plans from
 * `needs`).
 *
 * The trainer runs the passes; a method sees numbers only: no file, no device, no thread. `loss` is called once a
 * sample (one forget, one alternate, one retain document, some of them absent), in the order of the samples, and the
 * trainer adds the results in that order in double: so neither the loss nor its gradient depends on how a step is cut.
 * Denominators are those of the whole step (n_tok, n_seq), never of a micro-batch, unless --match says so. */
#ifndef UNLEARN_METHOD_H
#define UNLEARN_METHOD_H
#include "unlearn/batch.h"

typedef enum { UL_REMOVAL, UL_SUPPRESSION } ul_intent;
typedef enum { UL_LEVEL_DATA, UL_LEVEL_PARAMETERS, UL_LEVEL_HIDDEN, UL_LEVEL_LOGITS, UL_LEVEL_IO } ul_level;

enum {
    UL_NEED_FORGET = 1,     /* forget documents                                                                 */
    UL_NEED_RETAIN = 2,     /* a retain document a sample                                                       */
    UL_NEED_ALT = 4,        /* an alternate answer to the forget prompt a sample                                */
    UL_NEED_FORGET_REF = 8, /* log-probs of the forget document under the reference (the model before the run)  */
    UL_NEED_ALT_REF = 16,   /* the same of the alternate document                                               */
    UL_NEED_RETAIN_KL = 32, /* KL(reference || model) at the rows of the retain document                        */
    UL_NEED_NO_FORGET_LOSS = 64, /* forget documents only lend their prompts (idk): they are not run            */
    UL_NEED_FORGET_CE = 128,     /* cross-entropy at the forget rows under softmax(reference's logits + `shift` at
                                    the label)                                                                  */
    UL_NEED_FORGET_CE_OWN = 256, /* the same under the model's own logits so shifted, held constant             */
    UL_NEED_FORGET_GAP = 512,    /* max z - mean z at the forget rows                                           */
    UL_NEED_FORGET_KL = 2048,    /* KL(reference || model) at the rows of the forget document                   */
    UL_NEED_FORGET_RIVAL = 8192, /* log p of the most likely token but the label, at the forget rows            */
    UL_NEED_RANDOM_LABELS = 16384, /* forget documents are scored against random tokens, drawn anew each time   */
    UL_NEED_RIVAL_LABELS = 32768,  /* ... against the reference's most likely token but the true one            */
    UL_NEED_RIVALS_LATE = 1 << 27, /* beside UL_NEED_RIVAL_LABELS: its most likely next token but the scored one */
    UL_NEED_ALT_RETAIN = 4096,   /* unless the user gives some, the alternates are answers of retain rows       */
    UL_NEED_STATE = 1024,        /* distances of hidden states, as `state` says. No block above them is run     */
    UL_NEED_STATE_AND_HEAD = 1 << 20, /* beside UL_NEED_STATE: all blocks and the head are run, there is logp too */
    UL_NEED_FORGET_STATE = 1 << 21,   /* the reference's hidden states of the forget documents, where `state` looks */
    UL_NEED_ALT_STATE = 1 << 22,      /* of the alternate documents, where it looks at forget documents          */
    UL_NEED_RETAIN_STATE = 1 << 23,   /* of the retain documents                                                 */
    UL_NEED_INFORMED_START = 1 << 24, /* adapters, where there are any, start in the directions that the forget set's
                                         Fisher information weighs most against the retain set's (FILA)          */
    UL_NEED_ALT_OWN = 1 << 26,    /* the alternates are each row's own, and the user's: nothing stands in for them  */
    UL_NEED_FORGET_LENS = 1 << 25, /* log-probs of the forget document as inner blocks have them (the logit lens)   */
    UL_NEED_FORGET_MU = 1 << 28,  /* sum_v p(v) log p(v) at the forget rows: minus the entropy                      */
    UL_NEED_RETAIN_TOP = 1 << 29  /* retain documents are scored against the reference's most likely tokens         */
};

/* Small models (ul_recipe_small) of fewer blocks have defaults of their own where the papers' were found on models of
 * billions of parameters. */
enum { UL_FEW_BLOCKS = 8 };

/* ---- what is measured of hidden states ---- */
typedef enum {
    UL_DISTANCE_NONE,    /* nothing of this side                                                                */
    UL_DISTANCE_SQUARE,  /* |h - target|^2 / C                                                                  */
    UL_DISTANCE_NORM,    /* |h - target|; its gradient at the target itself is 0                                */
    UL_DISTANCE_COSINE,  /* 1 - cos(h, target)                                                                  */
    UL_DISTANCE_ALIGNED, /* max(0, cos(h, target))                                                              */
    UL_DISTANCE_ALONG,   /* max(0, <h, t>) / |t|^2: how much of the target is left in it                        */
    UL_DISTANCE_MMD,     /* a token's share of the maximum mean discrepancy of its document's states and as many rows of
                            N(0, 1), new ones each step; the target is not read                                 */
    UL_DISTANCE_SHARE    /* |h - target| / |target|; its gradient at the target itself is 0                     */
} ul_distance;
typedef enum {
    UL_TARGET_CONTROL,   /* steer * u / |u|, u uniform in [0, 1)^C                                              */
    UL_TARGET_REFERENCE, /* the reference's state of the same token, + steer * |state| * u / |u|                */
    UL_TARGET_MOVED      /* the same + steer * (mean of the alternates' states - mean of the forget documents'), both
                            under the reference, at their scored tokens                                         */
} ul_target;
/* Of one side's documents: at every scored token itself, the mean over blocks first, first + step .. <= last (from 0;
 * their outputs). `by_norm`: steer counts in mean lengths |h| of the forget documents of the run's first step. */
typedef struct {
    int first, last, step;
    ul_distance distance;
    ul_target target;
    double steer;
    bool by_norm;
    bool mlp; /* not the blocks' outputs but what their mlps add to them */
} ul_state;

/* What a method holds constant, so that its gradient is not the derivative of its loss. */
typedef enum {
    UL_HOLDS_NOTHING,
    UL_HOLDS_WEIGHTS, /* weights of the tokens, though they come from logp: loss = sum of dlogp logp + dkl kl */
    UL_HOLDS_ALT      /* the alternate document: a level to compare with, it gets no gradient                 */
} ul_holds;

/* A reading of the forget documents by the reference: behind a text, or bare (NULL); its logits count `from` times at a
 * document's first scored token and `to` times at its last, in a straight line between them. */
typedef struct {
    const char *behind;
    double from, to;
} ul_reading;
enum { UL_READINGS = 4, UL_MOST_TOP = 1000 };

/* One document of a sample. Pointers are NULL where not asked for. n = 0: the sample has no such document. */
typedef struct {
    int32_t n;           /* scored tokens of this document                                                     */
    const double *logp;  /* [n] log p(token), nats, under the model being trained                              */
    const double *ref;   /* [n] the same under the reference                                                   */
    const double *kl;    /* [n] KL(reference || model) at these rows, nats                                     */
    double *dlogp;       /* [n] out, zeroed by the caller: d loss / d logp                                     */
    double *dkl;         /* [n] out, zeroed by the caller: d loss / d kl                                       */
    double n_place;      /* places that predict a token, those of the prompt too: the document's tokens but one  */
    double n_tok, n_seq; /* denominators: scored tokens and documents of this side in the whole step           */
    const double *ce;    /* [n] cross-entropy under the soft target of the row, nats                           */
    double *dce;         /* [n] out, zeroed by the caller: d loss / d ce                                       */
    const double *gap;   /* [n] max - mean of the row's logits                                                 */
    double *dgap;        /* [n] out, zeroed by the caller                                                      */
    const double *mu;    /* [n] sum_v p(v) log p(v), nats                                                      */
    double *dmu;         /* [n] out, zeroed by the caller                                                      */
    const double *rival; /* [n] max over v but the label of log p(v), nats                                     */
    double *drival;      /* [n] out, zeroed by the caller                                                      */
    const double *dist;  /* [n] distance of the token's hidden states to their target, as ul_state says         */
    double *ddist;       /* [n] out, zeroed by the caller                                                      */
    const double *lens;  /* [n] mean over the inner blocks of log p(token) as the logit lens reads their states  */
    double *dlens;       /* [n] out, zeroed by the caller                                                      */
    double token_share;  /* of a token in the mean over documents of the means over their scored tokens        */
    double dual;         /* the multiplier, of methods that have one                                           */
    double epoch;        /* how far the run is, in its `epochs`; the same for all documents of a step          */
    int32_t n_layer;     /* blocks of the model                                                                */
    double progress;     /* steps done / steps of the run, in [0, 1)                                            */
    double constraint;   /* out: the document's part of what the multiplier weighs                             */
} ul_side;

/* What a published program does that is not what the paper says (or, where the default follows the program, the paper:
 * its name is then "paper"): values, as `small` below has them, that --match NAME takes where the user gives none. */
typedef struct {
    const char *name, *what; /* what: is different there, for a person */
    const char *const *set;  /* NULL: nothing */
    bool micro_means; /* means within each micro-batch, divergences over every position, prompts and padding too */
} ul_match;

typedef struct {
    const char *title, *paper, *note; /* note: what the method does and where it is known to fail, one or two lines */
    ul_intent intent;
    ul_level level;
    const ul_param *params;
    unsigned needs;
    /* of `needs`, when parameters decide (retain = kl); or NULL */
    unsigned (*needs_of)(const ul_args *, unsigned needs);
    ul_holds holds;
    double (*shift)(const ul_args *);      /* of the label's logit in a CE target; -INFINITY: no such entry     */
    double (*temperature)(const ul_args *); /* of both distributions of every KL; NULL: 1                       */
    int32_t (*top)(const ul_args *);       /* most likely tokens left in the target of the forget side's KL; 0: all */
    int32_t (*alternates)(const ul_args *); /* of a sample, where a pairing deals them out; NULL: 1             */
    int32_t (*skip)(const ul_args *);      /* first scored tokens of a forget document that n_tok leaves out    */
    ul_state (*state)(const ul_args *, ul_side_id, int n_layer); /* UL_NEED_STATE: what of this side            */
    int trains_down; /* UL_NEED_STATE: only the last matrices of the mlps of so many blocks up to the last one looked at
                        move; 0, or more than one in small models of fewer than UL_FEW_BLOCKS: all weights of the blocks
                        that are run */
    /* What the reference of the forget side's KL is, where it is not the reference's own distribution: the softmax of a
     * sum of readings. Returns how many. */
    int (*readings)(const ul_args *, ul_reading out[UL_READINGS]);
    /* The multiplier after a step whose constraint came to this, `epoch` epochs into the run; < 0: the first one. */
    double (*dual)(const ul_args *, double dual, double constraint, double epoch);
    /* NULL: a procedure (procedure.h) */
    double (*loss)(const ul_args *, ul_side *forget, ul_side *alt, ul_side *retain);
    /* What the method brings along where the user gives nothing: key and value in turn, NULL at the end; a key that
     * begins with "." is a parameter of the method's own. `recipe`: the paper's run. `small`: in its place, of models
     * whose defaults are ours (ul_recipe_small); NULL: `recipe` serves them too, UL_RUN_DEFAULTS: the run's own table
     * does. lr_scale: of the learning rate of small models (ul_recipe_lr_for); 0 is 1. Between a million weights and
     * 1e9 the rate goes from the one list's to the other's (ul_recipe_lr_between); own_rate: not this one, its unit
     * differs between the lists. adapter_rate: the paper's is one of adapters; those of other papers are of weights. */
    const char *const *recipe, *const *small;
    double lr_scale;
    bool own_rate, adapter_rate;
    const ul_match *matches; /* ends with a name of NULL */
} ul_method;

/* The registry: one file src/method/<id>.c each. */
typedef struct {
    const char *id;
    const ul_method *method;
} ul_method_entry;
UL_API const ul_method_entry *ul_methods(int *n);
UL_API const ul_method *ul_method_find(const char *id); /* NULL when unknown */
UL_API const char *ul_method_nearest(const char *id);   /* for did-you-mean; NULL when nothing is near */
/* A list of values for the fields above. */
#define UL_VALUES(...)  ((const char *const[]){__VA_ARGS__, NULL})
#define UL_RUN_DEFAULTS ((const char *const[]){NULL})
/* The method's own parameters where nobody has said anything: its table's, for small models `small` over them. */
UL_API void ul_method_args(const ul_method *m, bool small, ul_args *out);

#endif
