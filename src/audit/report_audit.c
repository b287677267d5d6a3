#include "audit/battery.h"
ul_status ul_audit_report_write(ul_ctx *ctx, ul_arena *arena, const char *dir, const json_t *report)
{
    const char *json = ul_path_join(arena, dir, "report.json");
    UL_NEED(json);
    return ul_json_save(ctx, json, report);
}
