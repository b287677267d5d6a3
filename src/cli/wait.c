/* wait.c - how long a waiting OpenMP thread spins before it sleeps. libgomp's own answer, some milliseconds, is right
 * when every core is ours; on a machine that others use too it burns the time slice that the working thread needs
 * (measured on a busy machine: train steps 5 to 7 times slower). A few microseconds cover the gaps between our
 * parallel regions. What the user has set in the environment stays. libgomp reads the environment in its constructor,
 * so this must run before the constructors of shared libraries: that is what .preinit_array is for. */
#include <stdlib.h>

static void set_spin(void)
{
    if (!getenv("OMP_WAIT_POLICY")) setenv("GOMP_SPINCOUNT", "1000", 0);
}

__attribute__((section(".preinit_array"), used)) static void (*const before_constructors)(void) = set_spin;
