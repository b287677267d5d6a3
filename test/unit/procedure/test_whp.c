/* test_whp.c - Who's Harry Potter: as many labels differ from the text's own as a naive reading of the formula finds, with and without
 * a dictionary; the model learns them; no strength, no change of label but the model's own errors. */
#include "procedure_test.h"

enum { MOST_ROWS = 128 };

static void set(tiny_work *w, const char *key, double x)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) {
            w->args.num[i] = x;
            return;
        }
    fail_msg("no parameter %s", key);
}

static void set_text(tiny_work *w, const char *key, const char *text)
{
    for (int i = 0; w->args.params[i].key; i++)
        if (!strcmp(w->args.params[i].key, key)) w->args.text[i] = text;
}

static int logits(tiny_work *w, const ul_doc *d, double *z)
{
    ul_batch *b;
    UL_OK_IN(w->t.ctx, ul_pack_docs(w->t.ctx, ul_ctx_arena(w->t.ctx), &d, 1, false, &b));
    assert_true(b->n_row <= MOST_ROWS);
    UL_OK_IN(w->t.ctx, ul_model_logits(w->t.ctx, w->t.model, b, z));
    return b->n_row;
}

/* Ready, over the documents of the text. */
static void open_whp(tiny_work *w)
{
    tiny_work_open(w, procedure_named("whp"), &(tiny_how){.precision = UL_PRECISION_DOUBLE, .threads = 1, .micro = 3});
    w->work.forget = w->text;
    w->t.recipe.steps = 4;
    set(w, "reinforce", 20);
}

/* Labels that are not the text's own when nothing is translated. */
static int naive(double strength)
{
    static double base[6][MOST_ROWS * TINY_V], z[MOST_ROWS * TINY_V];
    tiny_work w;
    int differ = 0;
    open_whp(&w);
    ul_recipe reinforce = w.t.recipe;
    reinforce.steps = 0, reinforce.epochs = 20;
    for (int d = 0; d < 6; d++) logits(&w, &w.text->at[d], base[d]);
    UL_OK_IN(w.t.ctx, ul_work_stage(&w.work, &(ul_stage){.name = "again", .recipe = &reinforce, .forget = w.text}));
    for (int d = 0; d < 6; d++) {
        const ul_doc *doc = &w.text->at[d];
        const int n = logits(&w, doc, z);
        for (int r = 0, t = 0; r < n; r++) {
            int best = 0;
            double most = -INFINITY;
            for (t++; !doc->labelled[t]; t++) continue;
            for (int v = 0; v < TINY_V; v++) {
                const double b = base[d][r * TINY_V + v], u = b - strength * fmax(0, z[r * TINY_V + v] - b);
                if (u > most) most = u, best = v;
            }
            differ += best != doc->token[t] && !ul_token_special(w.tok, doc->token[t]);
        }
    }
    tiny_work_close(&w);
    return differ;
}

static int told(tiny_work *w, int *all)
{
    int differ = -1;
    const char *line = strstr(w->report.p, "whp:");
    assert_non_null(line);
    assert_int_equal(sscanf(line, "whp: %d of %d labels", &differ, all), 2);
    return differ;
}

static void labels_are_the_formulas(void **state)
{
    char digest[65];
    (void)state;
    for (int k = 0; k < 2; k++) {
        tiny_work w;
        int all;
        open_whp(&w);
        set(&w, "strength", k ? 5 : 0);
        tiny_work_run(&w, procedure_named("whp"), digest);
        assert_string_not_equal(digest, w.t.digest);
        assert_int_equal(told(&w, &all), naive(k ? 5 : 0));
        assert_int_equal(all, w.text->n_labelled);
        tiny_work_close(&w);
    }
}

/* Terms of two tokens for names: their second token, and a name that comes again, have no label. */
static void terms_take_labels_away(void **state)
{
    char path[700], digest[65];
    tiny_work w;
    int all;
    (void)state;
    open_whp(&w);
    snprintf(path, sizeof path, "%s/terms.json", ul_test_folder("terms"));
    FILE *f = fopen(path, "w");
    fputs("{\"ana\": \"a clerk\", \"rome\": \"a\"}", f); /* the name stands in the question first */
    fclose(f);
    set_text(&w, "terms", path);
    tiny_work_run(&w, procedure_named("whp"), digest);
    told(&w, &all);
    assert_int_equal(all, w.text->n_labelled - 1);
    tiny_work_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(labels_are_the_formulas), cmocka_unit_test(terms_take_labels_away)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
