/* lora.h - inside the model room: what adapters (lora.c) and their files (peft.c) say to each other. */
#ifndef UL_MODEL_LORA_H
#define UL_MODEL_LORA_H
#include "model/block.h"

bool ul_lora_fits(const ul_matrix *x); /* a linear layer of a block */
ul_status ul_lora_attach(ul_model *m, ul_matrix *x, int r, double alpha, bool rslora) UL_MUST;
ul_status ul_lora_none_yet(ul_ctx *ctx, const ul_model *m) UL_MUST;
void ul_lora_drop(ul_model *m);

/* Is this module among the targets of a PEFT config? */
ul_status ul_peft_targets(ul_ctx *ctx, const json_t *config, const char *where, const char *module, bool *out) UL_MUST;
ul_status ul_peft_no_target(ul_ctx *ctx, ul_model *m, const char *targets);
/* adapter_config.json of a new adapter, in the adapters' arena. */
ul_status ul_peft_config(ul_model *m, const ul_lora *l, json_t **out) UL_MUST;
/* "base_model.model.<module>.weight" (or .bias) of a module that is saved whole. */
const char *ul_peft_name(ul_arena *arena, const ul_matrix *x);
#endif
