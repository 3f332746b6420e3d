/* The error table, and what a fault makes of a stranger's text. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

static const enum err first_err = (enum err)(ERR_OK + 1);

START_TEST(valid_wire_names_differ)
{
    for (unsigned a = ERR_OK; a < ERR_COUNT; a++) {
        for (unsigned b = a + 1; b < ERR_COUNT; b++)
            ck_assert_str_ne(err_wire((enum err)a), err_wire((enum err)b));
    }
}
END_TEST

/* Clients match on them: lower case, digits and underscores. */
START_TEST(valid_wire_names_are_words)
{
    for (unsigned i = first_err; i < ERR_COUNT; i++) {
        const char *wire = err_wire((enum err)i);
        ck_assert_uint_gt(strlen(wire), 0);
        ck_assert_msg(strspn(wire, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(wire), "%s",
                      wire);
    }
}
END_TEST

START_TEST(valid_rows_are_complete)
{
    for (unsigned i = first_err; i < ERR_COUNT; i++) {
        const char *sentence = err_sentence((enum err)i);
        ck_assert_msg(strlen(sentence) > 3, "%s has no sentence", err_wire((enum err)i));
        ck_assert_msg(sentence[strlen(sentence) - 1] != '.', "%s: a full stop", sentence);
        ck_assert_msg(err_class((enum err)i) != ERR_CLASS_NONE, "%s", err_wire((enum err)i));
        ck_assert_uint_le(err_retry((enum err)i), ERR_RETRY_BACKOFF);
    }
}
END_TEST

START_TEST(valid_from_wire_round_trip)
{
    for (unsigned i = first_err; i < ERR_COUNT; i++)
        ck_err(err_from_wire(err_wire((enum err)i)), (enum err)i);
}
END_TEST

START_TEST(wrong_wire_name_is_unknown)
{
    ck_err(err_from_wire("no_such_error"), ERR_OK);
    ck_err(err_from_wire(""), ERR_OK);
    ck_err(err_from_wire("Busy"), ERR_OK);
    ck_err(err_from_wire("ok"), ERR_OK);
}
END_TEST

START_TEST(valid_plural)
{
    ck_assert_str_eq(plural(0), "s");
    ck_assert_str_eq(plural(1), "");
    ck_assert_str_eq(plural(2), "s");
    ck_assert_str_eq(plural(UINT64_C(1) << 32 | 1), "s");
}
END_TEST

/* PROTOCOL section 1: what the agent does with each. */
START_TEST(valid_retry_of_protocol)
{
    ck_assert_uint_eq(err_retry(ERR_CHALLENGE_REDEEMED), ERR_RETRY_RECHALLENGE);
    ck_assert_uint_eq(err_retry(ERR_CERT_EXPIRED), ERR_RETRY_ONCE);
    ck_assert_uint_eq(err_retry(ERR_REFUSED), ERR_RETRY_STOP);
    ck_assert_uint_eq(err_retry(ERR_BUSY), ERR_RETRY_BACKOFF);
    ck_assert_uint_eq(err_class(ERR_REFUSED), ERR_CLASS_DENIED);
    ck_assert_uint_eq(err_class(ERR_CHALLENGE_UNKNOWN), ERR_CLASS_CONFLICT);
}
END_TEST

START_TEST(wrong_code_reads_as_internal)
{
    ck_assert_str_eq(err_wire((enum err)ERR_COUNT), "internal");
    ck_assert_str_eq(err_wire((enum err) - 1), "internal");
    ck_assert_str_eq(err_sentence((enum err)ERR_COUNT), err_sentence(ERR_INTERNAL));
}
END_TEST

START_TEST(valid_fault)
{
    struct fault fault = FAULT_NONE;
    ck_err(fault_set(fault_at(&fault, 17, "pcrs[%d]", 3), ERR_CBOR_TYPE, "found %s", "null"),
           ERR_CBOR_TYPE);
    ck_err(fault.code, ERR_CBOR_TYPE);
    ck_assert_uint_eq(fault.offset, 17);
    ck_assert_str_eq(fault.field, "pcrs[3]");
    ck_assert_str_eq(fault.detail, "found null");
}
END_TEST

START_TEST(valid_fault_clear)
{
    struct fault fault = FAULT_NONE;
    ck_err(fault_set(fault_at(&fault, 1, "x"), ERR_BUSY, "y"), ERR_BUSY);
    fault_clear(&fault);
    ck_err(fault.code, ERR_OK);
    ck_assert_uint_eq(fault.offset, FAULT_NO_OFFSET);
    ck_assert_str_eq(fault.field, "");
    ck_assert_str_eq(fault.detail, "");
    fault_clear(NULL);
}
END_TEST

START_TEST(no_fault)
{
    ck_assert_ptr_null(fault_at(NULL, 1, "x"));
    ck_err(fault_set(NULL, ERR_BUSY, "y"), ERR_BUSY);
}
END_TEST

/* A key of a document must not write a log line of its own, nor steer a terminal. */
START_TEST(junk_text_is_made_printable)
{
    struct fault fault = FAULT_NONE;
    ck_err(fault_set(fault_at(&fault, 0, "%s", "a\nb\x1b[2J"), ERR_UTF8, "%s",
                     "one\r\ntwo\tthree\x7f\xc3\xa9\x80"),
           ERR_UTF8);
    ck_assert_str_eq(fault.field, "a?b?[2J");
    ck_assert_str_eq(fault.detail, "one??two?three????");
}
END_TEST

START_TEST(long_text_is_cut)
{
    char text[1024];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct fault fault = FAULT_NONE;
    ck_err(fault_set(fault_at(&fault, 0, "%s", text), ERR_UTF8, "%s", text), ERR_UTF8);
    ck_assert_uint_eq(strlen(fault.field), sizeof fault.field - 1);
    ck_assert_uint_eq(strlen(fault.detail), sizeof fault.detail - 1);
    ck_assert_uint_eq(strspn(fault.detail, "x"), sizeof fault.detail - 1);
}
END_TEST

UNIT_MAIN("err", valid_plural, valid_wire_names_differ, valid_wire_names_are_words,
          valid_rows_are_complete, valid_from_wire_round_trip, wrong_wire_name_is_unknown,
          valid_retry_of_protocol, wrong_code_reads_as_internal, valid_fault, valid_fault_clear,
          no_fault, junk_text_is_made_printable, long_text_is_cut)
