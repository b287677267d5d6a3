/* evidence.h - what the files behind ul_evidence_collect share: columns of numbers a row, by the set that the rows are
 * of, their means and the means of every resample, and ratios of sums of means with bounds (metrics.md 16.5). */
#ifndef UL_EVIDENCE_H
#define UL_EVIDENCE_H
#include "audit/audit_data.h"

enum { UL_MAX_COLUMN = 4 * (3 * UL_MAX_PROBE + UL_MAX_DEPTH + 18), UL_MAX_TERM = 2 * UL_MAX_DEPTH };
enum { UL_OF_MODEL, UL_OF_ORIGINAL, UL_OF_CONTROL, UL_N_OF };

/* Columns of all groups in one row of means: place of each, the constant 1 at the end. */
typedef struct {
    const ul_audit *a;
    ul_arena *scratch;
    ul_status status;             /* what went wrong while columns were added; resampling reports it */
    const uint8_t *keep;          /* [forget->n] 0: that row is left out; NULL: none is */
    const ul_battery *b[UL_N_OF]; /* of the control NULL: none */
    const double *column[UL_N_DRAW][UL_MAX_COLUMN];
    int n[UL_N_DRAW], base[UL_N_DRAW], width;
    int64_t n_rep;
    double *mean, *rep; /* [width], [n_rep][width] */
    double alpha;
} ul_sampling;

/* Where a mean stands in a row of means; group -1: the constant. */
typedef struct {
    int group, index;
    double weight;
} ul_quantity;
extern const ul_quantity ul_no_quantity;

/* sum w_i mean_i / sum v_i mean_i; without denominators the sum. */
typedef struct {
    int place;
    double weight;
} ul_term;
typedef struct {
    ul_term num[UL_MAX_TERM], den[UL_MAX_TERM];
    int n_num, n_den;
} ul_ratio;

ul_quantity ul_sampling_add(ul_sampling *s, int group, const double *column); /* nothing where column is NULL */
ul_quantity ul_sampling_constant(double c);
bool ul_quantity_is(ul_quantity q); /* a column stands behind it */
void ul_ratio_plus(const ul_sampling *s, ul_ratio *r, ul_quantity q, double sign);
void ul_ratio_over(const ul_sampling *s, ul_ratio *r, ul_quantity q, double sign);
/* (a - b) / (c - d) */
ul_ratio ul_quotient(const ul_sampling *s, ul_quantity a, ul_quantity b, ul_quantity c, ul_quantity d);
ul_ratio ul_difference(const ul_sampling *s, ul_quantity a, ul_quantity b);
/* NAN unless the denominator is above least. */
double ul_ratio_value(const ul_ratio *r, const double *mean, double least);
double ul_sampling_mean(const ul_sampling *s, ul_quantity q);
void ul_ratio_replicates(const ul_sampling *s, const ul_ratio *r, double *point, double *rep);

/* Sorts rep; bounds at alpha, and at alpha / m. False: too large a share of the replicates had no denominator. */
bool ul_sampling_bounds(const ul_sampling *s, double point, double *rep, int m, ul_bound *out);
ul_status ul_sampling_bound(const ul_sampling *s, ul_arena *scratch, ul_ratio r, int m, ul_bound *out,
                            bool *fine) UL_MUST;
/* Gate 1: an attack leaves a gap between O and the anchor that a recovery can be measured on. */
ul_status ul_sampling_gate(const ul_sampling *s, ul_arena *scratch, ul_ratio gap, ul_bound *out, bool *open) UL_MUST;
/* Means of every column, and of every replicate, once all columns are there. *n_entity: of the forget set. */
ul_status ul_sampling_resample(ul_sampling *s, ul_arena *scratch, int64_t *n_entity) UL_MUST;

/* ---- the table of columns --------------------------------------------------------------------------------------- */
/* What stands in the model's place, and in the control's, in the negative control. */
typedef struct {
    ul_quantity last, probe[UL_MAX_PROBE], depth[UL_MAX_DEPTH];
} ul_stand_in;
typedef struct {
    /* of the forget set; in the control's place the anchor's */
    ul_quantity first[UL_N_OF], last[UL_N_OF], said[UL_N_OF], prob[UL_N_OF];
    ul_quantity wrong[UL_N_OF];                             /* the same, of the control itself */
    ul_quantity extraction[UL_N_OF], apart[UL_N_OF]; /* apart: in the control's place the second one's */
    ul_quantity control_first, control_phantom, phantom_before;     /* nothing where there is none */
    ul_quantity control_w1, phantom_w1;           /* the control's: under W1 */
    ul_quantity phantom_extraction, phantom_last; /* the control's, of phantoms */
    ul_quantity keep_first[UL_N_OF], keep_said[UL_N_OF], keep_prob[UL_N_OF], keep_wrong[UL_N_OF];
    ul_quantity near_first[UL_N_OF], near_said[UL_N_OF], near_refuses[UL_N_OF];
    ul_quantity phantom_first[UL_N_OF], phantom_prob[UL_N_OF], phantom_wrong[UL_N_OF]; /* of the model: none */
    ul_quantity silent[UL_N_OF], refuses_kept[UL_N_OF];
    ul_quantity taught, attacked, blank, blank_attacked; /* of the spike-in */
    ul_quantity probe[UL_N_OF][UL_MAX_PROBE], told[UL_N_OF][UL_MAX_PROBE], depth[UL_N_OF][UL_MAX_DEPTH];
    ul_quantity area[UL_N_OF][UL_MAX_PROBE]; /* under the relearning curve; nothing where there is none */
    ul_quantity kept_inside, has_inside; /* 1 - UDS of rows that have one; 1 for these */
    ul_stand_in negative, anchor;        /* of the negative control: who is audited, and beside whom */
} ul_table;

/* audit_ratio.c: (E(O) - E(U)) / (E(O) - E(R)) of the columns of one measure; knowledge below the last layer over the
 * whole gap. */
const ul_quantity *ul_expression(const ul_table *t, ul_expressed by);
ul_ratio ul_forgotten(const ul_sampling *s, const ul_quantity e[UL_N_OF]);
ul_ratio ul_depth_recovery(const ul_sampling *s, const ul_table *t, const ul_evidence *e);
/* Bounds of r - (1 - s), replicate by replicate; work [n_rep]. False as of ul_sampling_bounds. */
bool ul_beyond(const ul_sampling *s, const ul_ratio *r, double point_s, const double *rep_s, double *work, int m,
               ul_bound *out);
/* audit_measures.c: s of other measures, and recoveries beyond it; after the recoveries. */
ul_status ul_measures_other(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e) UL_MUST;
/* audit_distance.c: how far from the control? Columns, then numbers. */
void ul_distance_columns(ul_sampling *s, ul_table *t);
ul_status ul_distance_compare(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e) UL_MUST;
/* audit_keep.c: what was to stay (retain rows, neighbours, plain text). Columns, then numbers. */
void ul_keep_columns(ul_sampling *s, ul_table *t);
ul_status ul_keep_measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e) UL_MUST;
/* audit_negative.c: a model of which every attack must find nothing (metrics.md 16.2, gate 3). */
ul_status ul_negative_columns(ul_sampling *s, ul_arena *scratch, ul_table *t, ul_evidence *e) UL_MUST;
ul_status ul_negative_measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e) UL_MUST;
/* audit_savings.c: how fast it is learned again. Of a curve with n > 1 points at rising steps: its area; the
 * steps until it is first at `level`, NaN: never. */
double ul_curve_area(const double *step, const double *k, int n);
double ul_curve_steps(const double *step, const double *k, int n, double level);
ul_status ul_savings_columns(ul_sampling *s, ul_arena *scratch, ul_table *t) UL_MUST;
ul_status ul_savings_measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e) UL_MUST;
/* audit_control.c: does the control know what it should not, said or unsaid? Do original and control know phantoms? */
void ul_control_columns(ul_sampling *s, ul_table *t, const ul_evidence *e);
ul_status ul_control_measure(const ul_sampling *s, ul_arena *scratch, const ul_table *t, ul_evidence *e) UL_MUST;
#endif
