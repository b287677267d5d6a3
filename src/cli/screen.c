/* screen.c - progress and messages go to standard error, results to standard output. On a terminal progress is one line
 * that is written over; elsewhere a line now and then. */
#include "cli/cli.h"
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static volatile sig_atomic_t stop_asked;
static bool line_open;
static double last_line;

static void on_signal(int s)
{
    static const char text[] = "\nstopping after this step (once more: at once)\n";
    (void)s;
    stop_asked = 1;
    if (write(STDERR_FILENO, text, sizeof text - 1) < 0) return; /* the flag is what counts */
}

/* A line longer than the terminal would be broken and could not be written over. */
static int columns(void)
{
    struct winsize w;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1 ? w.ws_col - 1 : 200;
}

void ul_screen_clear(void)
{
    if (line_open) fputs("\r\033[K", stderr);
    line_open = false;
}

static void show_log(void *user, ul_log_level level, const char *text)
{
    const bool quiet = *(bool *)user;
    if (level == UL_LOG_DEBUG) {
        if (!ul_env("UL_DEBUG_LOG")) return;
    } else if (quiet && level == UL_LOG_INFO) return;
    ul_screen_clear();
    fprintf(stderr, "%s%s\n", level == UL_LOG_WARN ? "warning: " : "", text);
}

static void show_progress(void *user, const ul_progress *p)
{
    if (*(bool *)user) return;
    const bool end = p->total && p->done >= p->total;
    if (isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\033[K%.*s%s", columns(), p->text, end ? "\n" : "");
        line_open = !end;
        fflush(stderr);
    } else if (end || p->seconds < last_line || p->seconds - last_line >= 10) {
        fprintf(stderr, "%s\n", p->text);
        last_line = end ? 0 : p->seconds;
    }
}

static bool interrupted(void *user)
{
    (void)user;
    return stop_asked;
}

ul_config ul_screen_config(bool *quiet)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}; /* the second one ends the program */
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is a failed write, not the end */
    return (ul_config){.user = quiet, .log = show_log, .progress = show_progress, .interrupted = interrupted};
}
