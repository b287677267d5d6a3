/* report_audit.h - the pictures of the audit's report (report_charts.c), each from one model's tree. Those without data
 * draw nothing. */
#ifndef UL_REPORT_AUDIT_H
#define UL_REPORT_AUDIT_H
#include "audit/page.h"

void ul_chart_recovery(ul_out *o, const json_t *model);
void ul_chart_curves(ul_out *o, const json_t *model);
/* One paragraph a curve, for report.html and report.md: savings beside the control, and steps; nothing without them. */
void ul_report_savings(ul_out *o, const json_t *probe);
void ul_chart_depth(ul_out *o, const json_t *model);
void ul_chart_ladder(ul_out *o, const json_t *model);
void ul_chart_membership(ul_out *o, const json_t *model);
void ul_chart_pareto(ul_out *o, const json_t *models);
/* report_gates.c: negative control, control, hygiene; utility and neighbours; the same for report.md. */
void ul_report_gates(ul_out *o, const json_t *report, const json_t *model);
void ul_report_keeping(ul_out *o, const json_t *model);
void ul_report_gates_md(ul_out *o, const json_t *model);
/* What stands where a model that never learned it would: "control", "phantoms" or "chance". */
const char *ul_report_anchor(const json_t *model);
bool ul_report_control(const json_t *model); /* there is one */
/* The largest of what is still said and what core attacks, depth and inverse bring back, in [0, 1]. */
double ul_report_left(const json_t *model);
#endif
