/* wrapper.c - the registry. */
#include "wrapper/wrapper.h"
#include <string.h>

#define UL_ITEM(id) extern const ul_wrapper ul_wrapper_##id;
#include "wrapper.inc"
#undef UL_ITEM

static const ul_wrapper_entry entries[] = {
#define UL_ITEM(id) {#id, &ul_wrapper_##id},
#include "wrapper.inc"
#undef UL_ITEM
};
enum { N_WRAPPER = sizeof entries / sizeof entries[0] };

const ul_wrapper_entry *ul_wrappers(int *n)
{
    *n = N_WRAPPER;
    return entries;
}

const ul_wrapper *ul_wrapper_find(const char *id)
{
    for (int i = 0; i < N_WRAPPER; i++)
        if (!strcmp(entries[i].id, id)) return entries[i].wrapper;
    return NULL;
}

const char *ul_wrapper_nearest(const char *id)
{
    const char *names[N_WRAPPER + 1] = {0};
    for (int i = 0; i < N_WRAPPER; i++) names[i] = entries[i].id;
    return ul_nearest(id, names);
}
