/* method.h - an unlearning method is arithmetic on per-token log-probabilities (and what the trainer plans from `needs`).
 *
 * The trainer runs the passes; a method sees numbers only: no file, no device, no thread. `loss` is called once a sample
 * (one forget, one alternate, one retain document, some of them absent), in the order of the samples, and the trainer
 * adds the results in that order in double: so neither the loss nor its gradient depends on how a step is cut.
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
    UL_NEED_FORGET_CE = 128,     /* cross-entropy at the forget rows under softmax(reference's logits + `shift` at the label) */
    UL_NEED_FORGET_CE_OWN = 256, /* the same under the model's own logits so shifted, held constant             */
    UL_NEED_FORGET_GAP = 512,    /* max z - mean z at the forget rows                                           */
    UL_NEED_FORGET_KL = 2048,    /* KL(reference || model) at the rows of the forget document                   */
    UL_NEED_FORGET_RIVAL = 8192, /* log p of the most likely token but the label, at the forget rows            */
    UL_NEED_ALT_RETAIN = 4096,   /* unless the user gives some, the alternates are answers of retain rows       */
    UL_NEED_STATE = 1024         /* distances of hidden states after block `layer`, at the scored tokens themselves: of forget
                                    documents to a control vector of length `steer`, of retain documents to the reference's
                                    states. No block above is run, and there is no logp                         */
};

/* What a method holds constant, so that its gradient is not the derivative of its loss. */
typedef enum {
    UL_HOLDS_NOTHING,
    UL_HOLDS_WEIGHTS, /* weights of the tokens, though they come from logp: loss = sum of dlogp logp + dkl kl */
    UL_HOLDS_ALT      /* the alternate document: a level to compare with, it gets no gradient                 */
} ul_holds;

/* One document of a sample. Pointers are NULL where not asked for. n = 0: the sample has no such document. */
typedef struct {
    int32_t n;           /* scored tokens of this document                                                     */
    const double *logp;  /* [n] log p(token), nats, under the model being trained                              */
    const double *ref;   /* [n] the same under the reference                                                   */
    const double *kl;    /* [n] KL(reference || model) at these rows, nats                                     */
    double *dlogp;       /* [n] out, zeroed by the caller: d loss / d logp                                     */
    double *dkl;         /* [n] out, zeroed by the caller: d loss / d kl                                       */
    double n_tok, n_seq; /* denominators: scored tokens and documents of this side in the whole step           */
    const double *ce;    /* [n] cross-entropy under the soft target of the row, nats                           */
    double *dce;         /* [n] out, zeroed by the caller: d loss / d ce                                       */
    const double *gap;   /* [n] max - mean of the row's logits                                                 */
    double *dgap;        /* [n] out, zeroed by the caller                                                      */
    const double *rival; /* [n] max over v but the label of log p(v), nats                                     */
    double *drival;      /* [n] out, zeroed by the caller                                                      */
    const double *dist;  /* [n] |h - target|^2 / C of the token's hidden state                                 */
    double *ddist;       /* [n] out, zeroed by the caller                                                      */
    double token_share;  /* of a token in the mean over documents of the means over their scored tokens        */
    double dual;         /* the multiplier, of methods that have one                                           */
    double epoch;        /* how far the run is, in its `epochs`; the same for all documents of a step          */
    double constraint;   /* out: the document's part of what the multiplier weighs                             */
} ul_side;

typedef struct {
    const char *title, *paper, *note; /* note: what the method does and where it is known to fail, one or two lines */
    ul_intent intent;
    ul_level level;
    const ul_param *params;
    unsigned needs;
    unsigned (*needs_of)(const ul_args *); /* when parameters decide (retain = kl); NULL: `needs`               */
    ul_holds holds;
    double (*shift)(const ul_args *);      /* of the label's logit in a CE target; -INFINITY: no such entry     */
    int32_t (*skip)(const ul_args *);      /* first scored tokens of a forget document that n_tok leaves out    */
    int (*layer)(const ul_args *, int n_layer); /* UL_NEED_STATE: the block, from 0                             */
    double (*steer)(const ul_args *);
    /* The multiplier after a step whose constraint came to this, `epoch` epochs into the run; < 0: the first one. */
    double (*dual)(const ul_args *, double dual, double constraint, double epoch);
    double (*loss)(const ul_args *, ul_side *forget, ul_side *alt, ul_side *retain); /* NULL: a procedure (procedure.h) */
    /* Defaults of the run that this method brings along, key and value in turn, NULL at the end: they hold where the user
     * gives none. lr_scale: of the learning rate that the size of the model suggests; 0 is 1. */
    const char *const *recipe;
    double lr_scale;
} ul_method;

/* The registry: one file src/method/<id>.c each. */
typedef struct {
    const char *id;
    const ul_method *method;
} ul_method_entry;
UL_API const ul_method_entry *ul_methods(int *n);
UL_API const ul_method *ul_method_find(const char *id); /* NULL when unknown */
UL_API const char *ul_method_nearest(const char *id);   /* for did-you-mean; NULL when nothing is near */

#endif
