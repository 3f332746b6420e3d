#include <string.h>

#include "common/nearest.h"
#include "unit.h"

static const char *nearest_of(const char *word)
{
    static const char *const known[] = {
        "verify", "measurement add", "measurement list", "serve", "status", "at", "max-age"};
    struct nearest nearest = {.word = word};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        nearest_offer(&nearest, known[i]);
    return nearest.best;
}

START_TEST(valid_slips)
{
    ck_assert_str_eq(nearest_of("verfy"), "verify");   /* one dropped */
    ck_assert_str_eq(nearest_of("verrify"), "verify"); /* one too many */
    ck_assert_str_eq(nearest_of("vreify"), "verify");  /* neighbours swapped */
    ck_assert_str_eq(nearest_of("sxrve"), "serve");    /* one changed */
    ck_assert_str_eq(nearest_of("max_age"), "max-age");
    ck_assert_str_eq(nearest_of("measurment lst"), "measurement list"); /* several, long word */
    ck_assert_str_eq(nearest_of("verify"), "verify");                   /* none */
}
END_TEST

START_TEST(wrong_words)
{
    ck_assert_ptr_null(nearest_of("frobnicate"));
    ck_assert_ptr_null(nearest_of("vrfiye")); /* three of six */
    ck_assert_ptr_null(nearest_of("sxrvx"));  /* two of five */
    ck_assert_ptr_null(nearest_of("zq"));
}
END_TEST

/* The nearest wins, whatever the order in which words are offered. */
START_TEST(valid_order)
{
    struct nearest nearest = {.word = "status"};
    nearest_offer(&nearest, "statxy");
    nearest_offer(&nearest, "statuz");
    nearest_offer(&nearest, "statqy");
    ck_assert_str_eq(nearest.best, "statuz");
    ck_assert_uint_eq(nearest.distance, 1);
}
END_TEST

START_TEST(long_words)
{
    char most[NEAREST_LEN_MAX + 1];
    memset(most, 'a', sizeof most - 1);
    most[sizeof most - 1] = '\0';
    char over[NEAREST_LEN_MAX + 2];
    memset(over, 'a', sizeof over - 1);
    over[sizeof over - 1] = '\0';
    struct nearest nearest = {.word = most};
    nearest_offer(&nearest, over);
    ck_assert_ptr_null(nearest.best);
    nearest_offer(&nearest, most);
    ck_assert_ptr_eq(nearest.best, most);
    struct nearest long_word = {.word = over};
    nearest_offer(&long_word, most);
    ck_assert_ptr_null(long_word.best);
}
END_TEST

UNIT_MAIN("nearest", valid_slips, wrong_words, valid_order, long_words)
