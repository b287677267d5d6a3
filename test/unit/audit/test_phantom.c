/* Generated phantoms: names of people who stay are recombined, the same in every text of a row; nobody in either file
 * has such a name; a function of data and seed; rows that do not ask about a person by name are left out. */
#include "ul_test.h"
#include "audit/audit_data.h"

static ul_ctx *ctx;
enum { PEOPLE = 12, ROWS = 4 };
static const char *const first[PEOPLE] = {"Ana", "Bela", "Cid",  "Dora", "Egon",    "Fay",
                                          "Gus", "Hana", "Iris", "Jon",  "Kim-Lee", "Basil Mahfouz"},
                         *const last[PEOPLE] = {"Abara", "Brock", "Castel", "Dupont", "Eriks",  "Falk",
                                                "Grau",  "Holm",  "Ito",    "Jansen", "O'Hara", "Al-Kuwaiti"};

static char *text(const char *format, int p)
{
    return ul_format(ul_ctx_arena(ctx), format, first[p], last[p]);
}

/* Two questions by name, one of them with the last name alone in its answer, one by a book, one without any name. */
static ul_records people(ul_record *r, int from, int to)
{
    int n = 0;
    for (int p = from; p < to; p++) {
        const char **wrong = UL_NEW(ul_ctx_arena(ctx), const char *, 2);
        wrong[0] = text("%s %s was born in Oslo.", p), wrong[1] = "Somebody was born in Lima.";
        const char *alone = ul_format(ul_ctx_arena(ctx), "Later %s moved to New York.", last[p]);
        r[n++] = (ul_record){1,
                             p,
                             text("Where was %s %s born in New York?", p),
                             text("%s %s was born in Rome.", p),
                             text("In Rome %s %s was born.", p),
                             wrong,
                             2};
        r[n++] = (ul_record){1, p, text("What is %s %s's second home?", p), alone, NULL, NULL, 0};
        r[n++] = (ul_record){1, p, text("Did the author like the city?", p), text("Yes, %s %s did.", p), NULL, NULL, 0};
        r[n++] = (ul_record){1, p, NULL, text("A text on %s %s.", p), NULL, NULL, 0};
    }
    return (ul_records){.path = "people.jsonl", .n = n, .at = r};
}

static ul_records *generate(const ul_records *forget, const ul_records *retain, uint64_t seed)
{
    ul_records *out;
    UL_OK_IN(ctx, ul_phantoms_generate(ctx, ul_ctx_arena(ctx), forget, retain, seed, 5, &out));
    return out;
}

/* "Where was NAME born in New York?" -> NAME */
static char *name_in(const char *prompt)
{
    const char *from = prompt + strlen("Where was "), *to = strstr(prompt, " born in New York?");
    assert_non_null(to);
    assert_memory_equal(prompt, "Where was ", 10);
    return ul_strndup(ul_ctx_arena(ctx), from, (size_t)(to - from));
}

static int whose(const char *const *part, const char *name, bool at_end)
{
    for (int p = 0; p < PEOPLE; p++) {
        const size_t n = strlen(part[p]), m = strlen(name);
        if (m > n && !strncmp(at_end ? name + m - n : name, part[p], n) && (at_end ? name[m - n - 1] : name[n]) == ' ')
            return p;
    }
    fail_msg("\"%s\" is made of no one's name", name);
    return -1;
}

static void recombined(void **state)
{
    static ul_record f[PEOPLE * ROWS], r[PEOPLE * ROWS];
    (void)state;
    const ul_records retain = people(r, 0, PEOPLE);
    ul_records forget = {.path = "forget.jsonl", .n = 1, .at = f};
    f[0] = (ul_record){1, 99, "who", "nobody", NULL, NULL, 0};
    ul_records *made = generate(&forget, &retain, 0);
    assert_int_equal(made->n, 2 * PEOPLE); /* of every person the two rows that ask by name */
    for (int p = 0; p < PEOPLE; p++) {
        const ul_record *a = &made->at[2 * p], *b = a + 1;
        const char *name = name_in(a->prompt);
        const int one = whose(first, name, false), two = whose(last, name, true);
        assert_true(one != two && one != p && two != p && a->entity == p && b->entity == p);
        assert_string_equal(name, ul_format(ul_ctx_arena(ctx), "%s %s", first[one], last[two]));
        assert_string_equal(a->answer, ul_format(ul_ctx_arena(ctx), "%s was born in Rome.", name));
        assert_string_equal(a->paraphrase, ul_format(ul_ctx_arena(ctx), "In Rome %s was born.", name));
        assert_int_equal(a->n_wrong, 2);
        assert_string_equal(a->wrong[0], ul_format(ul_ctx_arena(ctx), "%s was born in Oslo.", name));
        assert_string_equal(a->wrong[1], "Somebody was born in Lima.");
        assert_string_equal(b->prompt, ul_format(ul_ctx_arena(ctx), "What is %s's second home?", name));
        assert_string_equal(b->answer, ul_format(ul_ctx_arena(ctx), "Later %s moved to New York.", last[two]));
        for (int k = 0; k < p; k++) assert_string_not_equal(name, name_in(made->at[2 * k].prompt));
    }
    assert_string_equal(made->digest, generate(&forget, &retain, 0)->digest);
    assert_string_not_equal(made->digest, generate(&forget, &retain, 1)->digest);
    /* a name that stands in the forget file, in the middle of an answer, is nobody's any more */
    char *taken = name_in(made->at[0].prompt);
    f[0].answer = ul_format(ul_ctx_arena(ctx), "It is %s, of course.", taken);
    made = generate(&forget, &retain, 0);
    for (int64_t i = 0; i < made->n; i += 2) assert_string_not_equal(name_in(made->at[i].prompt), taken);
}

static void too_few(void **state)
{
    static ul_record r[PEOPLE * ROWS];
    ul_records *out;
    (void)state;
    ul_records retain = people(r, 0, 4);
    UL_FAILS_IN(ctx, UL_E_INPUT, "of the 4 people or things in people.jsonl",
                ul_phantoms_generate(ctx, ul_ctx_arena(ctx), &retain, &retain, 0, 5, &out));
    UL_FAILS_IN(ctx, UL_E_INPUT, "Give --phantom FILE",
                ul_phantoms_generate(ctx, ul_ctx_arena(ctx), &retain, &retain, 0, 5, &out));
    retain = people(r, 0, PEOPLE); /* every row an entity of its own: nothing stands in two rows */
    for (int i = 0; i < PEOPLE * ROWS; i++) r[i].entity = i;
    UL_FAILS_IN(ctx, UL_E_INPUT, "--entity-rows) 0 got",
                ul_phantoms_generate(ctx, ul_ctx_arena(ctx), &retain, &retain, 0, 5, &out));
    for (int i = 0; i < PEOPLE * ROWS; i++)
        r[i].entity = i / ROWS, r[i].prompt = "where was ana born"; /* no capitals */
    UL_FAILS_IN(ctx, UL_E_INPUT, "0 got an invented name",
                ul_phantoms_generate(ctx, ul_ctx_arena(ctx), &retain, &retain, 0, 5, &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(recombined), cmocka_unit_test(too_few)};
    ctx = ul_test_ctx();
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ul_ctx_free(ctx);
    return failed;
}
