/* base.h - context, status and messages: what every call of libunlearn needs first.
 *
 * One context belongs to one thread at a time; two contexts share nothing that changes. The library never prints,
 * exits or aborts: every call that can fail returns a status, and the context holds the message. */
#ifndef UNLEARN_BASE_H
#define UNLEARN_BASE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UL_VERSION "0.1.0"

#if defined(__cplusplus)
#define UL_EXTERN extern "C"
#else
#define UL_EXTERN extern
#endif
#if defined(__GNUC__)
#define UL_API UL_EXTERN __attribute__((visibility("default")))
#define UL_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define UL_MUST __attribute__((warn_unused_result))
#else
#define UL_API UL_EXTERN
#define UL_PRINTF(f, a)
#define UL_MUST
#endif

/* What went wrong, in the terms of the person who can act on it. The values are the program's exit codes. */
typedef enum {
    UL_OK = 0,
    UL_E_CRITERION = 1, /* the run was sound, its criterion was not met (a loss that turned NaN, a test not passed) */
    UL_E_USAGE = 2,     /* the caller asked for something that does not exist or is out of bounds                  */
    UL_E_INPUT = 3,     /* a file or a data set is not what it should be                                           */
    UL_E_RESOURCE = 4,  /* no memory, no space, no such device or instruction set                                  */
    UL_E_INTERNAL = 5   /* a law of the library was broken: please report                                          */
} ul_status;

typedef struct ul_ctx ul_ctx;

typedef enum { UL_LOG_DEBUG, UL_LOG_INFO, UL_LOG_WARN } ul_log_level;

/* One line of progress. `done` and `total` count the unit; total 0 = unknown. `text` is ready to be shown. */
typedef struct {
    const char *what, *unit;
    int64_t done, total;
    double seconds, per_second;
    const char *text;
} ul_progress;

/* All optional; zero-filled means defaults. `alloc` does malloc (old NULL), realloc and free (bytes 0), as in Lua. */
typedef struct {
    void *user;
    void *(*alloc)(void *user, void *old, size_t bytes);
    void (*log)(void *user, ul_log_level level, const char *text);
    void (*progress)(void *user, const ul_progress *p);
    bool (*interrupted)(void *user); /* asked between steps; true = stop after saving */
} ul_config;

UL_API UL_MUST ul_status ul_ctx_new(const ul_config *config, ul_ctx **out);
UL_API void ul_ctx_free(ul_ctx *ctx);
/* The message of the last failure: object, place, the numbers that disagree, what to do. "" when nothing failed. */
UL_API const char *ul_error_text(const ul_ctx *ctx);

/* A parameter table is the one place where a default, a bound or a unit is written; the command line, recipes, help,
 * manual, manifest and report read it. A table ends with {0}. */
typedef enum { UL_REAL = 1, UL_INT, UL_BOOL, UL_TEXT } ul_param_type;
typedef struct {
    const char *key;
    ul_param_type type;
    double dflt, lo, hi;     /* UL_BOOL: 0 or 1 */
    const char *unit, *help; /* may be NULL; "block": its number, from 0, "blocks": how many, of the model's */
    const char *text;        /* UL_TEXT: the default; choices as "a|b|c" in `unit` */
} ul_param;

/* Values for a table, in the table's order. */
enum { UL_MAX_PARAM = 64 };
typedef struct {
    const ul_param *params;
    double num[UL_MAX_PARAM];
    const char *text[UL_MAX_PARAM];
} ul_args;

#endif
