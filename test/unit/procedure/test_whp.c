/* test_whp.c - Who's Harry Potter: as many labels differ from the text's own as a naive reading of the formula finds,
 * with and without a dictionary; the model learns them; no strength, no change of label but the model's own errors;
 * what stands for a term is no label any more behind that term. */
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
    UL_OK_IN(w.t.ctx,
             ul_work_stage(&w.work, &(ul_stage){.name = "reinforced", .recipe = &reinforce, .forget = w.text}));
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

/* Labels that are not the text's own, with a dictionary. */
static int with_terms(const char *terms, double again, int *all, int64_t *labelled)
{
    char path[700], digest[65];
    tiny_work w;
    open_whp(&w);
    snprintf(path, sizeof path, "%s/terms.json", ul_test_folder("terms"));
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(terms, f);
    fclose(f);
    set_text(&w, "terms", path);
    set(&w, "strength", 0), set(&w, "again", again);
    ul_recipe learn = w.t.recipe; /* so that the labels are the text's own, where nothing is pushed down */
    learn.steps = 0, learn.epochs = 60;
    UL_OK_IN(w.t.ctx, ul_work_stage(&w.work, &(ul_stage){.name = "reinforced", .recipe = &learn, .forget = w.text}));
    tiny_work_run(&w, procedure_named("whp"), digest);
    const int differ = told(&w, all);
    *labelled = w.text->n_labelled;
    tiny_work_close(&w);
    return differ;
}

/* Terms of two tokens for names: their second token, and a name that comes again, have no label. */
static void terms_take_labels_away(void **state)
{
    int all;
    int64_t labelled;
    (void)state;
    /* the name stands in the question first */
    with_terms("{\"ana\": \"a clerk\", \"rome\": \"a\"}", 5, &all, &labelled);
    assert_int_equal(all, labelled - 1);
}

/* "." stands for a name that comes in a question: the answer's own "." is no label any more. A term that never comes
 * pushes nothing. */
static void what_came_is_pushed_down(void **state)
{
    static const char *const terms[] = {"{\"nobody\": \".\"}", "{\"ana\": \".\"}"};
    int differ[2][2], all[2][2];
    int64_t labelled;
    (void)state;
    for (int comes = 0; comes < 2; comes++)
        for (int k = 0; k < 2; k++)
            differ[comes][k] = with_terms(terms[comes], k ? 1000 : 0, &all[comes][k], &labelled);
    assert_int_equal(differ[0][1], differ[0][0]);
    assert_int_equal(all[1][1], all[1][0]);
    assert_int_equal(differ[1][1], differ[1][0] + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(labels_are_the_formulas),
                                       cmocka_unit_test(terms_take_labels_away),
                                       cmocka_unit_test(what_came_is_pushed_down)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
