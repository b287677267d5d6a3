/* params.c - the tables that several jobs share. */
#include "audit/audit.h"

const ul_param ul_compute_params[] = {
    {"threads", UL_INT, 0, 0, 1024, NULL, "threads; 0: OMP_NUM_THREADS, or all cores. Never changes a number", NULL},
    {"precision", UL_TEXT, 0, 0, 0, "f32|bf16|double", "arithmetic: f32; bf16 (f32 weights, bf16 products, the same "
     "bits with and without AMX); double (the slow reference)", "f32"},
    {"isa", UL_TEXT, 0, 0, 0, NULL, "force an instruction set: portable, avx2, avx512, amx; default: UL_ISA, or the "
     "best this machine has. Never changes a number", ""},
    {0}};

const ul_param ul_data_params[] = {
    {"fields", UL_TEXT, 0, 0, 0, NULL,
     "names of the fields of a row: prompt=KEY,answer=KEY,paraphrase=KEY,wrong=KEY,"
     "text=KEY,entity=KEY; default: those of the public benchmarks",
     ""},
    {"user-start", UL_TEXT, 0, 0, 0, NULL, "what stands before a prompt", "Question: "},
    {"user-end", UL_TEXT, 0, 0, 0, NULL, "what stands after a prompt (\\n is a line break)", "\\n"},
    {"asst-start", UL_TEXT, 0, 0, 0, NULL, "what stands before an answer", "Answer: "},
    {"max-length", UL_INT, 512, 2, 1 << 20, "tokens",
     "longer rows are cut (counted in a warning); never above the model's context", NULL},
    {"strict", UL_BOOL, 0, 0, 1, NULL, "a row longer than max-length is an error", NULL},
    {"apart", UL_BOOL, 0, 0, 1, NULL,
     "tokenise prompt and answer apart and join the ids; default: together, as the "
     "published numbers were made",
     NULL},
    {"entity-rows", UL_INT, 0, 0, 1 << 20, "rows",
     "consecutive rows about one person (TOFU: 20), for intervals; 0: the "
     "field \"entity\", or every row its own",
     NULL},
    {0}};

const ul_param ul_lora_params[] = {
    {"lora", UL_TEXT, 0, 0, 0, NULL, "train low-rank adapters instead: targets by name, joined with commas, a regular "
     "expression for the whole module name, or all-linear; writes a PEFT directory. Methods that change whole weights "
     "(editing, Fisher information, noise ...) do so, and the adapter is fitted to the change", ""},
    {"lora-r", UL_INT, 8, 1, 1024, NULL, "rank", NULL},
    {"lora-alpha", UL_REAL, 16, 1e-6, 1e6, NULL, "scale: alpha / r", NULL},
    {"lora-rslora", UL_BOOL, 0, 0, 1, NULL, "scale: alpha / sqrt(r)", NULL},
    {"lora-merge", UL_BOOL, 0, 0, 1, NULL, "merge the trained adapter and write a whole model", NULL},
    {0}};

const ul_param ul_output_params[] = {
    {"out", UL_TEXT, 0, 0, 0, NULL, "the directory to write: must not exist, or be empty", ""},
    {"force", UL_BOOL, 0, 0, 1, NULL, "write into a directory that is not empty; files of the same names are replaced",
     NULL},
    {"resume", UL_BOOL, 0, 0, 1, NULL,
     "go on from the checkpoint in --out, to the same bits; the recipe must be the same", NULL},
    {"micro-batch", UL_INT, 0, 0, 1 << 20, "samples",
     "samples in memory at a time; 0: as many as make 512 to 2048 tokens, by the size of the model. Never changes a "
     "number",
     NULL},
    {"checkpoint", UL_BOOL, 0, 0, 1, NULL,
     "keep only the inputs of blocks and run each again on the way back: less memory, the same bits", NULL},
    {"save-every", UL_INT, 0, -1, 1e9, "steps", "steps between checkpoints; 0: about every five minutes; -1: never",
     NULL},
    {"match", UL_TEXT, 0, 0, 0, NULL,
     "compute what a published program does, where the default is the paper's: one "
     "that `unlearn methods NAME` lists, or with any loss open-unlearning: means within each micro-batch, all-position "
     "KL, "
     "hidden pad ids",
     "none"},
    {"cache", UL_TEXT, 0, 0, 0, NULL, "where reference log-probs are kept; default: OUT/reference", ""},
    {0}};
