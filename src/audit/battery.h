/* battery.h - what the files of the audit share: knowledge of one model, the probes that attack it,
 * the evidence that follows from three models under the same attacks, and the verdict.
 *
 *   records -> knowledge (columns of [0, 1], a number a row) -> probes (the same after an attack) = one battery a model
 *   batteries of O (knows), R (never trained on it), U (audited)
 *                             -> recovery of each probe with bounds = evidence -> verdict */
#ifndef UL_BATTERY_H
#define UL_BATTERY_H
#include "audit/audit.h"
#include "audit/kept.h"
#include "stat/stat.h"

/* ---- knowledge ------------------------------------------------------------------------------------------------- */
typedef struct {
    int64_t n;
    double *first; /* K1: 1 where the true answer's mean log-probability is above every wrong one's; a tie is wrong */
    double *last;  /* 1 where it is below every wrong one's: a tie is not last                                      */
    double *said;  /* share of the answer's novel words in the greedy answer (words of the question do not count)    */
    double *
        preference; /* K2: p / (p + geometric mean of the wrong ones')                                                */
    double *
        extraction; /* K3: share of the answer that follows from its own first part, word by word the likeliest       */
    double *prob;   /* K4: exp of the mean log-probability                                                            */
    double *wrong;  /* the geometric mean of the wrong answers' K4                                                    */
    double *refuses; /* 1 where the greedy answer is a refusal                                                        */
    double *silent;  /* 1 where it is one, or says nothing of the answer                                              */
    const char *const *answer; /* what it says */
} ul_knowledge;
/* Wrong answers for rows that have none: `n` different answers of other rows. UL_E_INPUT where there are not two. */
ul_status ul_knowledge_options(ul_ctx *ctx, ul_arena *arena, const ul_records *in, uint64_t seed, int32_t n,
                               ul_records **out) UL_MUST;
/* `first` and `last` from the columns of right and wrong answers. */
void ul_knowledge_ranks(const ul_columns *right, const ul_columns *wrong, double *first, double *last);
double ul_knowledge_extraction(const uint8_t *hit, int64_t n);
/* metrics.md TV-28: recall of the words of `truth` that the question does not hold;
 * without such words, of all its words. */
double ul_novel_recall(const char *question, const char *truth, const char *text);
/* How many words of `truth` the question (NULL: none) does not hold. */
int64_t ul_novel_words(const char *question, const char *truth);
/* The next run of letters and digits: *at is moved to it; its bytes, 0 at the end. Equal but for ASCII case. */
size_t ul_word_next(const char **at);
bool ul_word_same(const char *a, const char *b, size_t n);
/* first (and last where not NULL); `all` adds the rest, with a greedy answer a row. */
ul_status ul_knowledge_measure(ul_ctx *ctx, ul_arena *arena, const ul_eval_options *o, const ul_records *records,
                               bool all, ul_knowledge *out) UL_MUST;

/* ---- one audit ------------------------------------------------------------------------------------------------- */
extern const ul_param ul_attack_params[]; /* strength of the attacks                          */
extern const ul_param ul_rule_params[];   /* every threshold of the gates, rules and pass rules */
typedef enum { UL_QUICK, UL_STANDARD, UL_DEEP } ul_profile;
#define UL_PROFILE_HELP                                                                                                \
    "quick: nothing is trained, so \"removed\" cannot be said; standard: retain-only relearning, unlock and RTT with " \
    "shams; deep: more noise, pruning, formats, relearning of the forget set itself"
typedef struct ul_battery ul_battery;
typedef struct ul_hygiene ul_hygiene;
typedef struct ul_probe ul_probe;
typedef struct {
    ul_ctx *ctx;
    ul_arena *arena;
    ul_eval_options o; /* model NULL */
    ul_profile profile;
    const ul_args *attack, *rule;
    uint64_t seed;
    const ul_records *forget, *retain; /* rows that are asked */
    bool own_wrong; /* forget rows bring wrong answers that may give the true one away (audit_wording.c) */
    const ul_records *rephrased; /* the forget rows in words never trained, a whole number of rows for each; NULL */
    const ul_records *phantom;   /* phantom rows that no attack trains on; NULL */
    const ul_records *outsiders; /* rows like the forget set's that nobody was taught (membership), or NULL */
    const char *outsiders_from;  /* "holdout" or "phantoms" */
    const ul_records *neighbours; /* rows close to the forgotten ones that were to stay, or NULL */
    const ul_probe *probes; /* as strong as the parameters say; NULL: the table */
    const ul_hygiene *hygiene;   /* what is wrong with forget rows: counted, left out; NULL: not looked at */
    const ul_docs *text; /* plain sentences whose loss is part of utility, or NULL */
    const ul_battery *twin;    /* a second control, of which every attack must find nothing, or NULL */
    const ul_docs *retain_docs;  /* what attacks train on */
    const ul_docs *fold_docs[2]; /* the two halves of the forget people */
    const ul_records *spike;                /* the people of phantom_docs as rows that are asked, or NULL */
    const ul_docs *phantom_docs; /* phantom people beside those that are asked, or NULL */
    const uint8_t *fold;         /* [forget->n] the half a row belongs to */
    ul_model *original;          /* O, open as long as the audit: not to be changed              */
    ul_model *base;              /* from before the forget set was learned, of the same shape, or NULL */
} ul_audit;

/* ---- probes ---------------------------------------------------------------------------------------------------- */
/* What a low recovery proves: CORE counts towards "removed"; ACCUSES proves nothing (large updates survive
 * quantisation, ...). What a high one proves of SHOWN is nothing either: it is printed and no rule reads it. */
typedef enum { UL_CORE, UL_ACCUSES, UL_SHOWN } ul_role;
enum { UL_MAX_POINT = 64 }; /* of a curve, between its ends */
typedef struct {
    bool ran;
    double *forget, *phantom;    /* first, by row, after the attack; phantom NULL where there is none */
    double *said, *phantom_said; /* what is expressed under the attack; NULL where it was not asked   */
    double retain;            /* mean of first: the attack's own damage; NaN where it was not asked  */
    double *stays;            /* the same by retain row; NULL where it was not asked                 */
    json_t *curve;            /* [[step, forget, retain], ...]           or NULL                    */
    int n_point;
    double *point[UL_MAX_POINT]; /* first by forget row at its points between the ends              */
    double seconds;
} ul_probed;
typedef struct {
    const ul_audit *audit;
    ul_model *model, *work; /* audited, not to be changed; a second one of the same shape to be spent */
    ul_guard_file *guard;   /* what questions go through; who has the weights leaves it away. NULL: none */
    double forget, retain;  /* means of first before any attack: where relearning curves begin        */
    const char *const *answer, *const *phantom_answer; /* what it says before any attack, by row       */
} ul_probing;
enum { UL_MAX_PROBE = 40, UL_MAX_DEPTH = 64, UL_MAX_WAYS = 8 };
/* The ways in which row i is asked, as whole prompts up to where the answer begins;
 * ways [UL_MAX_WAYS], none: the probe does not run. */
typedef ul_status ul_ask_fn(const ul_probing *p, const ul_probe *probe, ul_arena *arena, const ul_records *rows,
                            int64_t i, const char **way, int *n);
struct ul_probe {
    const char *id, *title, *shows;
    ul_role role;
    ul_profile from;
    double strength; /* of probe families: sigma, share, scheme. NAN: not run */
    ul_status (*run)(const ul_probing *p, const ul_probe *probe, ul_probed *out);
    ul_ask_fn *ask;  /* of ul_probe_ask                                        */
    bool expression; /* leaves the weights alone: only asks differently        */
    bool donor;      /* takes weights of `base`; without one of the original: SHOWN */
    const char *key, *unit; /* the parameter that is its strength, and what its number is called; or NULL */
    double most;            /* of a list: its largest number */
    bool list;              /* the parameter is a list, of which this probe has number `place` */
    int place;
};
const ul_probe *ul_probes(int *n); /* the table: strengths that are parameters are not in it */
/* The same with the strengths of this audit in strength, id and title, once ul_probes_resolve has put them there. */
const ul_probe *ul_probes_of(const ul_audit *a, int *n);
ul_status ul_probes_resolve(ul_audit *a) UL_MUST;
/* A parameter that is a list of numbers in [least, most], or of texts: UL_E_USAGE where it is not. */
enum { UL_MAX_LIST = 4 };
ul_status ul_attack_list(const ul_audit *a, const char *key, double least, double most, double out[UL_MAX_LIST],
                         int *n) UL_MUST;
ul_status ul_attack_texts(const ul_audit *a, ul_arena *arena, const char *key, const char *out[], int *n) UL_MUST;
ul_status ul_probe_measure(const ul_probing *p, ul_model *m, ul_probed *out) UL_MUST; /* of the attacked model */
ul_status ul_probe_relearn(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST; /* W1 */
ul_status ul_probe_unlock(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;
ul_status ul_probe_rtt(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;       /* W2 */
ul_status ul_probe_direct(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;    /* W3 */
ul_status ul_probe_quantise(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;  /* W6 */
ul_status ul_probe_noise(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;     /* W7 */
ul_status ul_probe_prune(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;     /* W8 */
ul_status ul_probe_merge(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;      /* W9 */
ul_status ul_probe_adapter(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;    /* W9 */
ul_status ul_probe_transplant(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST; /* W10 */
ul_status ul_probe_direction(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;  /* W11 */
ul_status ul_probe_ask(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;
ul_ask_fn ul_ask_rephrased, ul_ask_prefix, ul_ask_shots, ul_ask_emphasis, ul_ask_perturbed, ul_ask_turns;
ul_status ul_probe_universal(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;  /* E8 */
ul_status ul_probe_sampled(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;    /* E11 */
ul_status ul_probe_candidates(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST; /* E12 */
ul_status ul_probe_letters(const ul_probing *p, const ul_probe *probe, ul_probed *out) UL_MUST;    /* K6 */

/* The prompt as the template writes it, and whether such a text with every answer
 * of the row fits the template and the model. */
char *ul_ask_plain(const ul_audit *a, ul_arena *arena, const char *question) UL_MUST;
ul_status ul_ask_fits(const ul_probing *p, const char *text, const ul_record *row, bool *fits) UL_MUST;
/* The question with n options under it, a letter each; *truth: the place of the true one.
 * i: the row, whose shuffle it is. */
char *ul_ask_listed(const ul_audit *a, ul_arena *arena, const ul_record *r, int64_t i, int n, int *truth) UL_MUST;
/* Options that take whole prompts, asked of what is served: the model behind its guard. */
ul_eval_options ul_ask_options(const ul_probing *p);
/* The same rows with these prompts instead of their own. */
ul_status ul_ask_rows(ul_arena *arena, const ul_records *in, const char *const *prompt, int64_t per_row,
                      ul_records **out) UL_MUST;

/* I1: per row the mean log-probability of the answer under the original, whose states after `layer` blocks (1 ..) are
 * m's where the answer is predicted; patched [n_layer][rows]. */
ul_status ul_patch_measure(ul_ctx *ctx, const ul_eval_options *o, ul_model *original, const ul_records *rows,
                           ul_model *m, double *const *patched) UL_MUST;
/* ul_depth_score (UDS) of an evaluation: the mean over rows of which a layer counts, its 95 % interval, and by layer
 * what the states of model and control cost the original (nats). value NaN: no row has one. */
typedef struct {
    double value;
    ul_interval interval;
    int64_t rows;
    int n_layer;
    double model[UL_MAX_DEPTH], control[UL_MAX_DEPTH];
} ul_depth_found;
ul_status ul_control_depth(ul_ctx *ctx, const ul_eval_options *o, ul_model *original, ul_model *control,
                           const ul_records *rows, double tau, ul_depth_found *out) UL_MUST;
#define UL_PARAM_PATCH_TAU                                                                                             \
    {"patch-tau", UL_REAL, 0.05, 0, 100, "nats",                                                                       \
     "I1 (UDS): layers count where the control's states cost the original more than this (arXiv 2605.24614)", NULL}

double ul_attack_lr(const ul_args *attack, int64_t parameters); /* of attacks that train, on a model of this size */
/* The recipe of attacks that train; trains `work` as it stands on `docs` and, --attack-mix of a batch of them, `extra`
 * (NULL: none). `followed`: whose curve gets its points on the way; or NULL. */
void ul_attack_recipe(const ul_probing *p, int32_t batch, int64_t n_steps, ul_recipe *out);
ul_status ul_attack_train(const ul_probing *p, const ul_docs *docs, const ul_docs *extra, int64_t n_steps,
                          const char *what, ul_probed *followed) UL_MUST;

/* Number formats: x becomes what the format can hold. Rows of [rows, cols];
 * groups and blocks run over the flattened matrix. */
enum { UL_INT8_ROWS, UL_NF4, UL_FP4, UL_RTN4, UL_RTN3 };
void ul_quantise(int scheme, int64_t group, float *x, int64_t rows, int64_t cols);
extern const float ul_nf4_code[16], ul_fp4_code[16]; /* rising */

/* The model's own head after `layer` blocks (1 .. n_layer): first, by row. */
ul_status ul_depth_measure(const ul_audit *a, ul_model *m, int layer, double *first) UL_MUST;
/* Nats a scored token, and of each text the mean log-probability of its own. */
ul_status ul_text_loss(const ul_audit *a, ul_model *m, const ul_docs *text, double **each, double *out) UL_MUST;
/* Every matrix W += sigma * std(W) * N(0, 1). */
void ul_model_noise(ul_model *m, double sigma, uint64_t seed);

/* ---- spike-in -------------------------------------------------------------------------------------------------- */
/* How much would W1 have found? The model is taught the phantoms that attacks train on, made to forget them,
 * and relearned on retain rows; `first` of those people when taught, when forgotten and after the attack,
 * and of the phantoms that stay unknown. */
typedef struct {
    bool ran;
    double *taught, *forgotten, *attacked; /* rows of audit->spike  */
    double *blank, *blank_attacked;        /* rows of audit->phantom, when taught and after the attack */
} ul_spike;
void ul_spike_recipe(const ul_probing *p, ul_recipe *out); /* of the forgetting */
/* Nothing without --spike. */
ul_status ul_spike_run(const ul_audit *a, ul_model *m, ul_model *work, ul_spike *out) UL_MUST;

/* ---- membership ------------------------------------------------------------------------------------------------ */
enum { UL_N_MIA = 4 }; /* LOSS, ZLib, Min-K, Min-K++ */
typedef struct {
    bool ran;
    /* Scores of forget rows and of outsiders; higher = less like a member. */
    double *member[UL_N_MIA], *other[UL_N_MIA];
} ul_mia;
const char *ul_mia_title(int i);
/* Of what is asked: a model, perhaps behind a guard; nothing without outsiders. */
ul_status ul_mia_measure(const ul_audit *a, ul_model *m, ul_guard_file *guard, ul_mia *out) UL_MUST;
/* [[false alarms, members found], ...] */
json_t *ul_mia_roc(const ul_audit *a, const ul_mia *b, int which);

/* ---- intervals ------------------------------------------------------------------------------------------------- */
/* Groups of draws (stat.h, ul_resample): a set of people is drawn alike wherever its numbers are computed. */
enum {
    UL_DRAW_FORGET,
    UL_DRAW_RETAIN,
    UL_DRAW_PHANTOM,
    UL_DRAW_SPIKE,
    UL_DRAW_OUTSIDERS,
    UL_DRAW_TEXT,
    UL_DRAW_NEIGHBOURS,
    UL_DRAW_AGAIN, /* the forget set, drawn a second time by itself: a negative control from one control */
    UL_DRAW_HALF,  /* phantoms of the first half, and of the second: a negative control from phantoms */
    UL_DRAW_OTHER_HALF,
    UL_N_DRAW
};
/* One-sided bounds of a column's mean. */
typedef struct {
    const double *column;
    double lo, hi;
} ul_mean_bounds;

/* ---- one model under every probe ------------------------------------------------------------------------------- */
struct ul_battery {
    const char *name;
    const ul_guard_file *guard; /* what it was asked through, or NULL */
    ul_knowledge forget, retain, phantom, neighbours; /* n = 0: not asked */
    double *unguarded; /* behind a guard: first by forget row without it, where relearning curves begin */
    double text_loss;      /* nats a token of the plain sentences; 0 without them */
    double *text_each;     /* mean log-probability of each; NULL without them     */
    double *apart; /* by forget row, JSD to the control (audit_distance.c); NULL: no control, or behind a guard */
    ul_probed probe[UL_MAX_PROBE];
    int n_depth; /* layers that were looked at: 1 .. n_depth */
    double *depth[UL_MAX_DEPTH];
    int n_patched; /* the same of I1; deep only */
    double *patched[UL_MAX_DEPTH];
    ul_spike spike;
    ul_mia mia;
    double seconds; /* that its parts took, whenever they were measured */
    ul_mean_bounds *span;  /* intervals of its columns' means, once ul_battery_intervals has run */
    int n_span;
};
/* What is audited. A guard is part of what is served: what is said is measured through it,
 * and attacks on the weights leave it away. `weights`: the battery of a model of the same weights, whose
 * attacks need not be run again; or NULL. */
typedef struct {
    const char *name;
    ul_model *model, *work; /* work: a second one of the same shape, spent by attacks; may be NULL with `weights` */
    ul_guard_file *guard;
    const ul_battery *weights;
    ul_kept_parts *kept; /* where parts that were measured before are read, and new ones kept; or NULL */
} ul_suspect;
ul_status ul_battery_run(const ul_audit *a, const ul_suspect *s, ul_battery *out) UL_MUST;
ul_status ul_battery_intervals(const ul_audit *a, ul_battery *b) UL_MUST;
/* Of the probability of a token of plain text, u's over base's: texts resampled. NaN where it was not measured. */
ul_status ul_text_interval(const ul_audit *a, const ul_battery *u, const ul_battery *base, double *lo,
                           double *hi) UL_MUST;
const ul_mean_bounds *ul_battery_bounds(const ul_battery *b, const double *column); /* NULL: it has none */

/* b->apart of m, which nothing guards, beside the control. */
ul_status ul_distance_measure(const ul_audit *a, ul_model *m, ul_model *control, ul_battery *b) UL_MUST;

/* ---- hygiene ----------------------------------------------------------------------------------------------------- */
/* Kinds of forget rows that cannot show forgetting; the last two are known only after models were asked. */
enum {
    UL_SOIL_EMPTY,
    UL_SOIL_QUESTION,
    UL_SOIL_DUPLICATE,
    UL_SOIL_NEAR,
    UL_SOIL_RETAINED,
    UL_SOIL_COMMON,
    UL_SOIL_ONE_TOKEN,
    UL_SOIL_GUESSED,
    UL_SOIL_UNKNOWN,
    UL_N_SOIL
};
struct ul_hygiene {
    int64_t rows, left_out; /* of the forget set; before anybody was asked */
    int64_t n[UL_N_SOIL];
    uint8_t *is[UL_N_SOIL], *drop; /* [rows] */
    bool drops[UL_N_SOIL];         /* --hygiene-drop names it */
};
/* Of the forget rows as read; `side` [rows]: the half of each. UL_E_INPUT: too many would be left out. */
ul_status ul_hygiene_look(ul_audit *a, const ul_records *retain, const uint8_t *side) UL_MUST;
/* Whether row i of what was asked is of a kind that is known late; r NULL: there is no control. */
bool ul_hygiene_late(const ul_audit *a, int kind, const ul_battery *o, const ul_battery *r, int64_t i);
/* [forget->n] 0: left out by what models answered; NULL: nothing is. */
ul_status ul_hygiene_keep(const ul_audit *a, ul_arena *scratch, const ul_battery *o, const ul_battery *r,
                          uint8_t **keep) UL_MUST;
json_t *ul_hygiene_json(const ul_audit *a, const ul_battery *o, const ul_battery *r); /* o, r may be NULL */

/* ---- evidence ---------------------------------------------------------------------------------------------------- */
/* A value with one-sided 95 % bounds, and bounds at alpha / m for what is picked out of m probes. */
typedef struct {
    double value, lo, hi, lo_m, hi_m;
} ul_bound;
/* Of the negative control, which should recover nothing. */
typedef struct {
    bool ran, passed;
    ul_bound x;
    double limit; /* what counts as residue under this attack; 0: --residue */
} ul_null_recovery;
typedef enum { UL_NEGATIVE_NONE, UL_NEGATIVE_TWIN, UL_NEGATIVE_AGAIN, UL_NEGATIVE_HALVES } ul_negative_kind;
const char *ul_negative_name(ul_negative_kind kind);
typedef struct {
    bool ran;
    ul_bound x;
} ul_measured;
/* Signs of a control that knows and does not say (audit_control.c). */
enum { UL_QUIET_CONTINUES, UL_QUIET_RANKS, UL_QUIET_RISES, UL_QUIET_AVOIDS, UL_QUIET_LAST, UL_N_QUIET };
/* Neighbours: U over the lower of O and R, and refusals beyond O's. has_: O knows some, so that it was measured. */
typedef struct {
    bool ran, has_first, has_said;
    int64_t rows;
    ul_bound first, said, refusal;
} ul_keeping;
/* Relearning beside the original and the control that relearn too (audit_savings.c). Printed; no rule reads it. */
typedef struct {
    bool ran, measured; /* measured: over their curves original and control differ  */
    double level, last; /* K1 that is to be reached; steps of the attack             */
    double steps[3];    /* of U, O, R until they reach it, from 0; NaN: they do not  */
    ul_bound share;     /* of the area between the original's curve and the control's */
} ul_relearned;
typedef struct {
    const char *id, *title, *shows;
    ul_role role;
    bool ran, informative, expression;
    const char *why_not;  /* not informative, in words */
    double k[3];          /* mean first of U, O, R under the attack */
    ul_bound rho, excess; /* recovery; recovery minus what is expressed */
    bool has_said;        /* was asked and tells O from the anchor */
    double said[3];
    ul_bound s; /* (E_a(O) - E_a(U)) / (E_a(O) - E_a(R)): still not said under the attack */
    ul_null_recovery negative; /* the same attack on the negative control */
    ul_relearned savings;        /* of attacks with a relearning curve */
} ul_recovery;
typedef struct {
    bool ran, compared; /* compared: with a control */
    double auc[UL_N_MIA][3], auc_lo[UL_N_MIA][3], auc_hi[UL_N_MIA][3];
    ul_bound beyond[UL_N_MIA]; /* AUC(U) - AUC(R) */
    double farthest;           /* the largest bound, on either side, over the scores */
    int worst;                 /* the score it is of */
} ul_membership;
ul_status ul_mia_compare(const ul_audit *a, const ul_mia *u, const ul_mia *o, const ul_mia *r,
                         ul_membership *out) UL_MUST;
/* What the control's knowledge of the forget set is held against: what it ranks first of phantoms; chance, where wrong
 * answers are other rows' true ones; or, where those of the file may give the truth away, what is said, beside the
 * original. */
typedef enum { UL_HELD_PHANTOMS, UL_HELD_CHANCE, UL_HELD_SAID } ul_held;
const char *ul_held_name(ul_held held);
/* What is counted as expressed by s, the first that tells the original from the anchor: words of the greedy answer
 * (K5); probability of the answer (K4), which a model that loses its thread in a long one gives all the same;
 * what is ranked first (K1). How far answers are continued (K3) is only another measure, never s. */
typedef enum {
    UL_EXPRESSED_SAID,
    UL_EXPRESSED_PROB,
    UL_EXPRESSED_RANKED,
    UL_EXPRESSED_CONTINUED
} ul_expressed;
const char *ul_expressed_name(ul_expressed by);
/* Another measure in the place of s, and what recoveries are beyond it (audit_measures.c). */
enum { UL_MAX_MEASURE = 2 };
typedef struct {
    ul_expressed of;
    ul_bound s, depth_excess, excess[UL_MAX_PROBE];
} ul_measure;
/* What a model knows of the phantoms beside retain rows: the share of p(true) - p(wrong); where it does not say retain
 * answers, how many more of these it ranks first. */
typedef struct {
    bool ran, ranked;
    ul_bound x;
} ul_familiar;
typedef struct {
    bool control; /* anchored on a retrained model; else on phantoms, else on chance */
    bool phantom;
    bool deep_enough; /* standard or deep: attacks that train were run */
    int64_t n_entity, n_row;
    int m; /* probes looked at: alpha is shared among them */
    double chance;
    ul_bound known;      /* K_O(F) */
    ul_bound gap;        /* K_O - anchor */
    ul_expressed expressed; /* what s is of */
    ul_bound told;          /* that, of O minus of the anchor */
    ul_held held;
    ul_bound leak; /* K_R(F) - K_R(P), or - chance; said: the control's share of O's p(true) - p(wrong) */
    double prob[2], wrong[2]; /* of forget answers, where held is said: the original's, the control's */
    ul_bound control_first, control_said; /* R over O, retain: a control must know what stays */
    bool has_control_first, has_control_said;
    ul_measured quiet[UL_N_QUIET];
    ul_negative_kind negative;
    int negative_failed;         /* recoveries that did not pass */
    const char *negative_widest; /* the one that reads farthest from 0, or NULL */
    ul_bound negative_bound;
    ul_null_recovery depth_negative, inverse_negative;
    ul_familiar familiar[2]; /* of the original, of the control */
    ul_bound s, s_first; /* forgotten: of what is expressed (rules), of K1 (printed) */
    const char *not_measured; /* why s is no number; NULL: it is one */
    ul_bound utility_first, utility_said; /* U over O, retain */
    bool first_unmeasured;  /* the original ranks too few of the retain answers first to measure it */
    double kept_known[2];   /* what the original ranks first and says of the retain answers */
    int64_t n_retain, n_text;
    ul_keeping near;
    ul_bound utility_text; /* U over the lower of O and R, a token of plain text; has_text: was measured */
    bool has_text;
    const char *text_not_measured; /* why, where some was given; else NULL */
    ul_bound patch; /* 1 - UDS (I1): printed only, its basis is shared only by models of one trunk */
    bool has_patch;
    ul_bound inverse;             /* (last_U - last_R) / (K_O - K_R) */
    ul_bound avoided;        /* 1 - K_U / K_R: share of answers that it must know to rank them first so rarely */
    bool avoided_informative;
    ul_bound depth, depth_excess; /* knowledge below the last layer, by the own head, over the whole gap */
    int depth_layer[UL_MAX_DEPTH], depth_layers; /* from 0; those where original and control differ */
    bool surface_informative, said_informative, depth_informative, inverse_informative;
    ul_bound sham; /* rise of the phantoms (or of the control) when other phantoms (or half of F) are taught */
    bool has_sham;
    ul_bound sensitivity; /* of a spike-in; has_sensitivity */
    bool has_sensitivity;
    ul_membership membership;
    ul_bound silent;       /* share of forget rows that are refused, or of whose answer nothing is said */
    ul_bound silent_beyond; /* the same minus the anchor's */
    ul_bound over_refusal; /* refusals on retain rows, U - O */
    bool has_silent, has_silent_beyond;
    ul_recovery recovery[UL_MAX_PROBE];
    int n_recovery;
    ul_bound apart[3], farther; /* divergence to the control of U, O, a second one, nats a token; U's minus O's */
    ul_bound floors;            /* U's over the second one's */
    bool has_apart, has_floors;
    ul_measure other[UL_MAX_MEASURE];
    int n_other; /* those that tell the original from the anchor */
} ul_evidence;
bool ul_bound_finite(const ul_bound *b); /* value and both bounds; else it was not measured, and is never printed */
ul_status ul_evidence_collect(const ul_audit *a, const ul_battery *u, const ul_battery *o, const ul_battery *r,
                              ul_evidence *out) UL_MUST;

/* ---- verdict --------------------------------------------------------------------------------------------------- */
typedef enum {
    UL_INCONCLUSIVE,
    UL_DAMAGED,
    UL_NOT_FORGOTTEN,
    UL_REMOVED,
    UL_NO_RESIDUE,
    UL_SUPPRESSED,
    UL_PARTLY,
    UL_N_VERDICT
} ul_verdict_id;
enum {
    UL_Q_OVERSHOOT = 1,
    UL_Q_INVERTED = 2,
    UL_Q_SHALLOW = 4,
    UL_Q_SURFACE_ONLY = 8,
    UL_Q_FEW_ENTITIES = 16,
    UL_Q_MEASURE = 32
};
typedef struct {
    ul_verdict_id id, secondary; /* secondary: what the rules below "damaged" would say */
    unsigned qualifiers;
    const char *between; /* verdicts that the intervals admit beside this one; NULL: none */
    const char *clause;      /* which rule fired, with its numbers */
    const char *not_removed; /* why "removed" is not available or failed; NULL when it is the verdict */
    double residue;          /* below which every upper bound lies, where the verdict is that nothing was found */
    const char *withheld;    /* verdicts that this audit could not have given, and why; NULL: all could be had */
    ul_verdict_id by[UL_MAX_MEASURE]; /* what each other measure would say */
    int n_by;                         /* 0 where s decides nothing: inconclusive by a gate, or damaged */
} ul_verdict;
const char *ul_verdict_name(ul_verdict_id id);
/* True when there can be no verdict; *why: the gate that is closed, in words. */
bool ul_gate_closed(ul_arena *arena, const ul_evidence *e, const ul_args *rules, char **why);
/* The same of the control alone, which *why calls `who`: it knows what it should not, or not what it should. */
bool ul_gate_control(ul_arena *arena, const ul_evidence *e, const ul_args *rules, const char *who, char **why);
/* UL_E_CRITERION: a number that is not finite. */
ul_status ul_verdict_decide(ul_ctx *ctx, ul_arena *arena, const ul_evidence *e, const ul_args *rule,
                            ul_verdict *out) UL_MUST;
typedef enum { UL_PASS, UL_FAIL, UL_UNDECIDED } ul_outcome;
/* Whether the declared intention ("removal", "copyright", "suppression") is met. */
ul_outcome ul_verdict_outcome(ul_arena *arena, const char *intention, const ul_evidence *e, const ul_verdict *v,
                              const ul_args *rule, const char **why);

/* ---- telling --------------------------------------------------------------------------------------------------- */
typedef struct {
    const char *name, *wanted; /* wanted: the verdict a self-test expects, or NULL */
    const ul_battery *u;
    ul_evidence evidence;
    ul_verdict verdict;
    const char *intention; /* declared; NULL: none */
    ul_outcome outcome;
    const char *outcome_why;
} ul_audited;
const char *ul_outcome_name(ul_outcome outcome);
const char *ul_qualifier_name(int bit); /* NULL: no more of them */
const char *ul_qualifier_means(const char *name); /* in words; "" of a name that says it itself */
json_t *ul_audit_json(const ul_audit *a, const ul_audited *x, const ul_battery *o,
                      const ul_battery *r); /* NULL: no memory */
/* report.json, report.md and report.html (one static file) from {"kind": "audit", "models": [...]}. */
ul_status ul_audit_report_write(ul_ctx *ctx, ul_arena *arena, const char *dir, const json_t *report) UL_MUST;
json_t *ul_args_json(const ul_args *a); /* every parameter by name: thresholds and strengths are part of a result */
ul_profile ul_audit_profile(const char *name); /* "quick", "standard", "deep" */
/* Models whose verdict is known; UL_E_CRITERION when one is wrong. */
ul_status ul_audit_self_test(ul_job *job, const ul_args *attack, const ul_args *rules) UL_MUST;
/* The self-test on --seeds worlds, from --seed on; UL_E_CRITERION when fewer than 95 % of the verdicts are right,
 * or more than 5 % of those on models that did not forget for good say "removed". */
ul_status ul_audit_seeds(ul_job *job) UL_MUST;
#endif
