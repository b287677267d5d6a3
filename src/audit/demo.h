/* demo.h - what `unlearn demo` measures of a model, and how sure it is of it. */
#ifndef UL_DEMO_H
#define UL_DEMO_H
#include "audit/audit.h"
#include "stat/stat.h"

enum {
    UL_DEMO_FORGET_PROB,
    UL_DEMO_RETAIN_PROB,
    UL_DEMO_FORGET_ROUGE,
    UL_DEMO_RETAIN_ROUGE,
    UL_DEMO_TRUTH_RATIO,
    UL_DEMO_QUALITY, /* a p-value: it has no interval */
    UL_DEMO_UTILITY,
    UL_DEMO_KNOWS_FORGET,
    UL_DEMO_KNOWS_RETAIN,
    UL_N_DEMO
};
/* Means over rows with 95 % intervals: people resampled, the same draws for every model. lo NAN: it has none. */
typedef struct {
    double value[UL_N_DEMO], lo[UL_N_DEMO], hi[UL_N_DEMO];
    const ul_columns *forget; /* the forget rows that were asked             */
    const double *knows;      /* by forget row: 1 where the truth is likeliest */
} ul_demo_scores;
/* Of an evaluation that was run over "forget" and "retain". */
ul_status ul_demo_measure(const ul_evaluation *e, ul_demo_scores *out) UL_MUST;
/* How much of the way from the control's knowledge (0) to the target's (1); all three after the same fine-tuning. No
 * interval (NAN) where the two are too close. */
ul_status ul_demo_recovered(ul_arena *arena, const ul_demo_scores *x, const ul_demo_scores *control,
                            const ul_demo_scores *target, double *value, ul_interval *interval) UL_MUST;
json_t *ul_demo_json(const ul_demo_scores *s); /* numbers by name, "intervals": {name: [lo, hi]}; NULL: no memory */
#endif
