/* procedure.c - the registry. */
#include "procedure/procedure.h"

#define UL_ITEM(id) extern const ul_procedure ul_procedure_##id;
#include "procedure.inc"
#undef UL_ITEM

static const ul_procedure_entry entries[] = {
#define UL_ITEM(id) {#id, &ul_procedure_##id},
#include "procedure.inc"
#undef UL_ITEM
};

const ul_procedure_entry *ul_procedures(int *n)
{
    *n = (int)(sizeof entries / sizeof entries[0]);
    return entries;
}
