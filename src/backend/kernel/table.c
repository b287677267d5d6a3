/* table.c - the kernels of one target, as a table. */
#include "backend/kernel/kernel.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define ENTRY(op) .op = KFN(op),

extern const ul_kernels KFN(kernels);
const ul_kernels KFN(kernels) = {.name = TEXT(UL_TARGET), .esize = sizeof(real), UL_KERNELS(ENTRY)};
