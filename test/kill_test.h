/* kill_test.h - a run that is killed when it has got so far:
 * the callback that asks whether to stop ends the process. */
#ifndef UL_KILL_TEST_H
#define UL_KILL_TEST_H
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

typedef struct {
    int calls, die_at; /* 0: never */
} watch;

static inline bool asked(void *user)
{
    watch *w = user;
    if (++w->calls == w->die_at) raise(SIGKILL);
    return false;
}
#endif
