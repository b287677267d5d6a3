/* io_fail.h - inside room io: what the system answered, as a status and a message. */
#ifndef UL_IO_FAIL_H
#define UL_IO_FAIL_H
#include "io/io.h"

/* "path: doing: reason". Broken disks, exhausted descriptors and memory are UL_E_RESOURCE, what the user can name
 * rightly (no such file, no permission, a folder where a file should be) UL_E_INPUT. */
ul_status ul_io_fail(ul_ctx *ctx, const char *path, const char *doing, int error);
/* The same for writing; a full disk tells the bytes wanted and the bytes free where `path` is. */
ul_status ul_io_fail_write(ul_ctx *ctx, const char *path, uint64_t wanted, int error);
uint64_t ul_io_free_bytes(const char *folder); /* UINT64_MAX: unknown */
/* The folder part of a path ("." when there is none). NULL: no memory. */
char *ul_io_folder(ul_arena *arena, const char *path);
/* Appends what jansson dumps to a ul_buf. */
int ul_io_dump(const char *bytes, size_t n, void *buf);
#endif
