/* PROTOCOL sections 4 and 5, the agent's half: names, order, versions, contents, and what
 * only opening a secret can find.  Each test breaks exactly one thing. */
#include "answer_world.h"

/* --- names, order, versions --- */

START_TEST(wrong_name)
{
    begin();
    snprintf(w.receipt.item[1].name, sizeof w.receipt.item[1].name, "y");
    ck_refused("receipt: secrets[1]", "expected x, found y");
}
END_TEST

START_TEST(wrong_listed_name)
{
    begin();
    snprintf(w.answer.item[1].name, sizeof w.answer.item[1].name, "y");
    ck_refused("secrets[1]", "expected x, found y");
}
END_TEST

static void swap_receipt_items(void)
{
    const struct receipt_item first = w.receipt.item[0];
    w.receipt.item[0] = w.receipt.item[1];
    w.receipt.item[1] = first;
}

static void swap_answer_items(void)
{
    const struct released first = w.answer.item[0];
    w.answer.item[0] = w.answer.item[1];
    w.answer.item[1] = first;
}

START_TEST(wrong_receipt_order)
{
    begin();
    swap_receipt_items();
    ck_refused("receipt: secrets[0]", "expected db/main, found x");
}
END_TEST

START_TEST(wrong_listed_order)
{
    begin();
    swap_answer_items();
    ck_refused("secrets[0]", "expected db/main, found x");
}
END_TEST

START_TEST(wrong_order_of_both)
{
    begin();
    swap_receipt_items();
    swap_answer_items();
    ck_refused("secrets[0]", "expected db/main, found x");
}
END_TEST

START_TEST(no_second_secret)
{
    begin();
    w.receipt.count = 1;
    ck_refused("receipt", "expected 2 secrets, found 1");
}
END_TEST

START_TEST(no_second_listed)
{
    begin();
    w.answer.count = 1;
    w.receipt.count = 1;
    ck_err(finish(), ERR_ANSWER);
    ck_assert_str_eq(fault.field, "secrets");
    ck_assert_str_eq(fault.detail, "expected 2 secrets, found 1");
    w.answer.count = 2;
    end();
}
END_TEST

START_TEST(extra_secret)
{
    begin();
    w.wanted.count = 1;
    ck_refused("secrets", "expected 1 secret, found 2");
}
END_TEST

START_TEST(extra_in_receipt)
{
    begin();
    w.receipt.item[2] = w.receipt.item[1];
    snprintf(w.receipt.item[2].name, sizeof w.receipt.item[2].name, "y");
    w.receipt.count = 3;
    ck_refused("receipt", "expected 2 secrets, found 3");
}
END_TEST

START_TEST(wrong_asked_version)
{
    begin();
    w.wanted.item[1].version = 3;
    ck_refused("secrets[1]", "expected version 3 of x, found version 2");
}
END_TEST

/* The version was left open; the receipt and the list must still agree. */
START_TEST(wrong_receipt_version)
{
    begin();
    w.receipt.item[0].version = 8;
    ck_refused("receipt: secrets[0]", "expected version 7 of db/main, found version 8");
}
END_TEST

START_TEST(wrong_floor)
{
    begin();
    w.wanted.item[0].min_version = 8;
    ck_refused("secrets[0]", "expected version 8 of db/main or newer, found version 7");
}
END_TEST

START_TEST(older_than_held)
{
    begin();
    ck_ok(wanted_add(&w.held, bytes_of_text("db/main"), 8, 0, NULL));
    ck_refused("secrets[0]",
               "version 7 of db/main is older than version 8, which this process has held");
}
END_TEST

START_TEST(valid_hold)
{
    struct answer_held held = {0};
    struct answer_opened given = {
        .count = 2, .item = {{.name = "a", .version = 3}, {.name = "b"}}, .store_id = {1}};
    answer_hold(&held, &given);
    given = (struct answer_opened){
        .count = 2, .item = {{.name = "c", .version = 1}, {.name = "a", .version = 4}}};
    given.store_id[0] = 2;
    answer_hold(&held, &given);
    ck_assert(held.any);
    ck_assert_uint_eq(held.store_id[0], 2);
    ck_assert_uint_eq(held.versions.count, 3); /* b, which may be asked for again */
    const char *const names[] = {"c", "a", "b"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert_str_eq(held.versions.item[i].name, names[i]);
    ck_assert_uint_eq(held.versions.item[1].version, 4);
    /* Where there is no room, what was opened goes first. */
    given = (struct answer_opened){.count = PROTOCOL_SECRETS_MAX};
    for (size_t i = 0; i < given.count; i++)
        snprintf(given.item[i].name, sizeof given.item[i].name, "n%zu", i);
    answer_hold(&held, &given);
    ck_assert_uint_eq(held.versions.count, PROTOCOL_SECRETS_MAX);
    ck_assert_str_eq(held.versions.item[PROTOCOL_SECRETS_MAX - 1].name, "n15");
}
END_TEST

/* --- contents --- */

START_TEST(wrong_content)
{
    begin();
    fill(w.receipt.item[1].content, SHA256_LEN, 0);
    ck_err(finish(), ERR_ANSWER);
    ck_assert_str_eq(fault.field, "receipt");
    ck_assert_msg(strncmp(fault.detail, "secrets[1] content: expected ", 29) == 0, "%s",
                  fault.detail);
    end();
}
END_TEST

static void ck_content_refused(const char *detail)
{
    sign_all();
    ck_err(answer_open(&w.answer, &w.expected, &opened, &fault), ERR_ANSWER);
    ck_assert_str_eq(fault.field, "receipt");
    ck_assert_msg(strncmp(fault.detail, detail, strlen(detail)) == 0, "%s", fault.detail);
    end();
}

static void swap_ciphertexts(void)
{
    const struct buf first = w.answer.item[0].ciphertext;
    w.answer.item[0].ciphertext = w.answer.item[1].ciphertext;
    w.answer.item[1].ciphertext = first;
}

START_TEST(swapped_ciphertexts)
{
    begin();
    swap_ciphertexts();
    ck_content_refused("secrets[0] content: expected ");
}
END_TEST

START_TEST(flipped_ciphertext)
{
    begin();
    w.answer.item[1].ciphertext.ptr[0] ^= 1;
    ck_content_refused("secrets[1] content: expected ");
}
END_TEST

START_TEST(swapped_enc)
{
    begin();
    w.answer.enc.ptr[0] ^= 1;
    ck_content_refused("secrets[0] content: expected ");
}
END_TEST

/* --- what the receipt does not catch because it was signed over it --- */

#define DOES_NOT_OPEN(name) \
    "the ciphertext of " name " does not open under this document, name and version"

START_TEST(swapped_ciphertexts_signed)
{
    begin();
    swap_ciphertexts();
    digest_contents();
    ck_refused("secrets[0]", DOES_NOT_OPEN("db/main"));
}
END_TEST

START_TEST(flipped_ciphertext_signed)
{
    begin();
    w.answer.item[1].ciphertext.ptr[w.answer.item[1].ciphertext.len - 1] ^= 0x80;
    digest_contents();
    ck_refused("secrets[1]", DOES_NOT_OPEN("x"));
}
END_TEST

START_TEST(wrong_enc_signed)
{
    begin();
    w.answer.enc.ptr[0] ^= 1;
    digest_contents();
    ck_refused("secrets[0]", DOES_NOT_OPEN("db/main"));
}
END_TEST

START_TEST(junk_enc_signed)
{
    begin();
    w.answer.enc.len = 31;
    digest_contents();
    ck_refused("enc", "crypto_failed: the crypto library failed");
}
END_TEST

/* Sealed for another document, though the receipt is for this one. */
START_TEST(wrong_sealed_document)
{
    begin();
    w.document.digest[0] ^= 1;
    memcpy(w.receipt.document_digest, w.document.digest, SHA384_LEN);
    ck_refused("secrets[0]", DOES_NOT_OPEN("db/main"));
}
END_TEST

START_TEST(wrong_sealed_version)
{
    begin();
    w.answer.item[0].version = 8;
    w.receipt.item[0].version = 8;
    ck_refused("secrets[0]", DOES_NOT_OPEN("db/main"));
}
END_TEST

START_TEST(wrong_recipient)
{
    begin();
    wrap_key_free(w.key);
    ck_ok(wrap_key_generate("hpke-x25519", &w.key));
    w.expected.key = w.key;
    ck_refused("secrets[0]", DOES_NOT_OPEN("db/main"));
}
END_TEST

START_TEST(wrong_format)
{
    begin();
    snprintf(w.answer.format, sizeof w.answer.format, "rsa-oaep-256");
    ck_refused("format", "expected hpke-x25519, the format of this agent's key; found "
                         "rsa-oaep-256");
}
END_TEST

UNIT_MAIN("agent_answer_secrets", wrong_name, wrong_listed_name, wrong_receipt_order,
          wrong_listed_order, wrong_order_of_both, no_second_secret, no_second_listed, extra_secret,
          extra_in_receipt, wrong_asked_version, wrong_receipt_version, wrong_floor,
          older_than_held, valid_hold, wrong_content, swapped_ciphertexts, flipped_ciphertext,
          swapped_enc, swapped_ciphertexts_signed, flipped_ciphertext_signed, wrong_enc_signed,
          junk_enc_signed, wrong_sealed_document, wrong_sealed_version, wrong_recipient,
          wrong_format)
