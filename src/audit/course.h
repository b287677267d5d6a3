/* course.h - an audit as jobs run it: the original and the control are asked and attacked once,
 * then any number of models beside them. */
#ifndef UL_COURSE_H
#define UL_COURSE_H
#include "audit/audit_data.h"

enum { UL_MOST_SUSPECTS = 256 };
typedef struct {
    ul_job *job; /* of `audit`, `compare`: data, compute and attack parameters, and what follows, by these keys */
    ul_backend *be;
    ul_manifest *manifest; /* gets the files and models; NULL: the job names them itself */
    const char *original, *control, *twin, *base; /* directories; the last three may be NULL */
    const char *forget, *retain; /* files; those of the next line may be NULL */
    const char *phantom, *rephrased, *holdout, *neighbours, *text;
    const ul_records *generated;    /* the phantoms, where `phantom` is "generated"; else NULL */
    const char *rephrased_fields;   /* as --fields, of that file only; NULL: as everywhere */
    const char *profile, *intention;                                /* intention NULL: each model has its own */
    const char *kept;   /* where what is asked and found is kept, for a later audit of the same; NULL: nowhere */
    int32_t vocabulary; /* of the original */
    char key[65];       /* of all that decides the numbers, but the model's own weights */
    ul_audit audit;
    ul_battery *o, *r; /* r NULL: no control */
    struct {
        char digest[65];
        const ul_battery *battery;
    } known[UL_MOST_SUSPECTS]; /* what was attacked: the same weights are not attacked again */
    int n_known;
} ul_course;

/* The table of a job by its address; NULL where the job has none. */
const ul_args *ul_job_table(const ul_job *job, const ul_param *table);
/* c->kept from --cache: a folder, "none", or OUT/attacked. */
ul_status ul_course_keep(ul_course *c, const char *out) UL_MUST;
/* Tokenizer, template, rows and documents; refuses what does not fit before any model runs. */
ul_status ul_course_open(ul_course *c) UL_MUST;
/* The original, which stays open because some attacks compare with it, and the control. */
ul_status ul_course_begin(ul_course *c) UL_MUST;
/* UL_E_INPUT unless this model's ids stand for the original's words: as many ids, and the forget rows cut alike by a
 * tokenizer of other bytes. `key`: the flag that named it. */
ul_status ul_course_same_words(ul_course *c, const char *key, const char *dir) UL_MUST;
/* A model, perhaps behind the guard at `guard`; its name in the manifest is `role`. */
ul_status ul_course_attack(ul_course *c, const char *role, const char *dir, const char *guard,
                           ul_battery **out) UL_MUST;
/* Evidence, verdict and, for this intention, the outcome. */
ul_status ul_course_judge(ul_course *c, const char *name, const char *intention, const ul_battery *b,
                          ul_audited *out) UL_MUST;
/* A report's fields that every audit has, around `models` (taken over); NULL: no memory. */
json_t *ul_course_report(ul_course *c, const char *command, json_t *models);
/* The command that gives the same again: the keys that were given, as they were; NULL: no memory. */
char *ul_job_command(const ul_job *job);
#endif
