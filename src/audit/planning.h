/* planning.h - what the files share that tell a run before it happens. */
#ifndef UL_PLANNING_H
#define UL_PLANNING_H
#include "audit/training.h"

/* Lines of the text and members of the result: so many bytes under this name; all those of a stage but their sum; one
 * line a cache, whose sweeps still to be made are added to *tokens (`without`: what is said where it has no file). */
ul_status ul_planning_bytes(ul_training *t, const char *what, size_t n) UL_MUST;
ul_status ul_planning_memory(ul_training *t, const ul_train_plan *plan) UL_MUST;
ul_status ul_planning_caches(ul_training *t, const ul_cache_plan *plan, const char *without, int64_t *tokens) UL_MUST;
/* The whole of it for a procedure or a guard. */
ul_status ul_planning_passes(ul_training *t, int64_t look, bool time) UL_MUST;
#endif
