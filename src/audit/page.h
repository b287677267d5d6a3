/* page.h - what every report is written with: one static HTML file, no script, no network. Numbers come from
 * the tree of report.json; one that is missing or not finite is a dash. Pictures are inline SVG whose words stand
 * in HTML or are large enough at 360 pixels; colours keep their contrast in light, dark and print, and never carry
 * a meaning alone (dashes, marks, words). */
#ifndef UL_PAGE_H
#define UL_PAGE_H
#include "audit/audit.h"

#define UL_EACH(array, i, item) json_array_foreach((json_t *)(uintptr_t)(array), i, item)

/* ---- reading the tree -------------------------------------------------------------------------------------------- */
const json_t *ul_page_in(const json_t *o, const char *a, const char *b); /* o.a, or o.a.b */
double ul_page_num(const json_t *o, const char *a, const char *b);       /* NAN when it is no number */
double ul_page_at(const json_t *array, size_t i);
const char *ul_page_said(const json_t *v); /* a string's text, else "" */
const char *ul_page_text(const json_t *o, const char *key); /* "" when it is no text */
bool ul_page_is(const json_t *o, const char *key);

/* ---- words and tables -------------------------------------------------------------------------------------------- */
void ul_page_open(ul_out *o, const char *title);
void ul_page_close(ul_out *o);
void ul_page_esc(ul_out *o, const char *s); /* text between tags, or in an attribute */
void ul_page_put(ul_out *o, const char *before, double x, const char *after);
void ul_page_interval(ul_out *o, const char *before, const json_t *bound, const char *after);
/* Number `key` of an object with the interval that stands under the same key of its "intervals"; the bounds of one. */
void ul_page_value(ul_out *o, const char *before, const json_t *object, const char *key, const char *after);
bool ul_page_within(const json_t *object, const char *key, double *lo, double *hi);
/* Columns joined with '|'; one that begins with '<' holds words; '/' breaks a line. */
void ul_page_table(ul_out *o, const char *columns);
void ul_page_table_end(ul_out *o);
void ul_page_words(ul_out *o, const char *s, bool bold); /* cells */
void ul_page_cell(ul_out *o, double x);
void ul_page_cell_value(ul_out *o, const json_t *object, const char *key); /* the interval under the number */
void ul_page_cell_bound(ul_out *o, const json_t *bound);
void ul_page_small(ul_out *o, double lo, double hi); /* [lo, hi] inside a cell; nothing where there is none */
void ul_page_row(ul_out *o);

/* ---- pictures ---------------------------------------------------------------------------------------------------- */
/* Lines of the models: a colour, a dash pattern and a mark each. */
typedef enum { UL_LINE_MODEL, UL_LINE_ORIGINAL, UL_LINE_CONTROL, UL_N_LINE } ul_line;
void ul_page_key(ul_out *o, ul_line line, const char *name);
/* Axes over [0, 1] x [0, 1] in a box of 300 x 190, with words at their ends; lines and dots in these coordinates. */
void ul_page_plot(ul_out *o, const char *what, const char *x, const char *y, const char *x_low, const char *x_high,
                  const char *y_low, const char *y_high);
double ul_page_x(double x);
double ul_page_y(double y);
void ul_page_line(ul_out *o, const double *x, const double *y, size_t n, ul_line line);
void ul_page_whisker(ul_out *o, double x, double lo, double hi, ul_line line);
void ul_page_plot_end(ul_out *o);
/* A bar from 0 to the value with its interval, on an axis from -0.25 to 1.25 with lines at 0, 0.2, 0.5 and 1;
 * an arrow beside a value that lies past its ends. */
void ul_page_scale(ul_out *o, const char *zero, const char *one);
void ul_page_bar(ul_out *o, const char *name, const json_t *bound, const char *colour, const char *otherwise);
#endif
