/* replay.h - one function a kind of golden record. It reads everything from the record; 0 ok, 1 FAIL, 2 unsupported;
 * `message` says why, or the worst difference. */
#ifndef UL_REPLAY_H
#define UL_REPLAY_H
#include "base/base.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ul_replay_forward(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size);
int ul_replay_lora(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size);
int ul_replay_bf16(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size);
int ul_replay_train(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size);
int ul_replay_eval(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size);
int ul_replay_tokenizer(ul_ctx *ctx, const char *record_dir, json_t *golden, char *message, size_t size);

/* A path of a record: relative to it, or "shared/..." for the shared folder: $UL_SHARED, else the nearest folder above
 * the record that has it. */
static inline void ul_replay_path(const char *record_dir, const char *path, char *out, size_t size)
{
    const char *root = getenv("UL_SHARED");
    if (strncmp(path, "shared/", 7) != 0) {
        snprintf(out, size, "%s/%s", record_dir, path);
        return;
    }
    snprintf(out, size, "%s/%s", root && root[0] ? root : "../shared", path + 7);
    char up[64] = "";
    for (int k = 0; k < 12 && access(out, R_OK) != 0; k++) {
        strcat(up, "/..");
        snprintf(out, size, "%s%s/%s", record_dir, up, path + 7);
    }
}
#endif
