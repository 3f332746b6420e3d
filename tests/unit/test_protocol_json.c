/* PROTOCOL sections 1 to 4: the JSON of requests, answers and problems. */
#include "unit.h"

#include <stdio.h>

#include "common/attdoc.h"
#include "common/codec.h"
#include "common/protocol.h"

static struct fault fault;

static void ck_text(const struct buf *got, const char *text)
{
    ck_assert_msg(bytes_equal_text(bytes_of_buf(got), text), "got %.*s", (int)got->len,
                  (const char *)got->ptr);
}

/* The request of the tests: "db/main - -", "payments/key 7 3", "x 2147483647 -". */
static void sample_wanted(struct wanted_list *list)
{
    *list = (struct wanted_list){0};
    ck_ok(wanted_add(list, bytes_of_text("db/main"), 0, 0, &fault));
    ck_ok(wanted_add(list, bytes_of_text("payments/key"), 7, 3, &fault));
    ck_ok(wanted_add(list, bytes_of_text("x"), PROTOCOL_VERSION_MAX, 0, &fault));
}

#define DOCUMENT "\"attestation_document\":\"AAEC\""

START_TEST(valid_release_request)
{
    CLEANUP(release_request_free) struct release_request request = {0};
    ck_ok(buf_append(&request.document, bytes_of("\0\1\2", 3)));
    sample_wanted(&request.wanted);
    CLEANUP(buf_free) struct buf json = {0};
    ck_ok(release_request_append(&request, &json));
    ck_text(&json, "{" DOCUMENT ",\"secrets\":[{\"name\":\"db/main\"},"
                   "{\"name\":\"payments/key\",\"version\":7,\"min_version\":3},"
                   "{\"name\":\"x\",\"version\":2147483647}]}");
    CLEANUP(release_request_free) struct release_request back = {0};
    fault = (struct fault)FAULT_NONE;
    ck_ok(release_request_parse(bytes_of_buf(&json), &back, &fault));
    ck_assert(bytes_equal(bytes_of_buf(&back.document), bytes_of_buf(&request.document)));
    ck_assert_mem_eq(&back.wanted, &request.wanted, sizeof back.wanted);
}
END_TEST

static const struct refused {
    const char *json;
    enum err code;
    const char *field;
} wrong_requests[] = {
    {"[]", ERR_MALFORMED, ""},
    {"{" DOCUMENT "}", ERR_MALFORMED, "secrets"},
    {"{\"secrets\":[{\"name\":\"a\"}]}", ERR_MALFORMED, "attestation_document"},
    {"{\"attestation_document\":\"\",\"secrets\":[{\"name\":\"a\"}]}", ERR_MALFORMED,
     "attestation_document"},
    {"{\"attestation_document\":\"AAE\",\"secrets\":[{\"name\":\"a\"}]}", ERR_BASE64,
     "attestation_document"},
    {"{" DOCUMENT ",\"secrets\":[]}", ERR_MALFORMED, "secrets"},
    {"{" DOCUMENT ",\"secrets\":{}}", ERR_MALFORMED, "secrets"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\"}],\"x\":1}", ERR_UNKNOWN_MEMBER, "x"},
    /* what only the signed document may say */
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\"}],\"public_key\":\"AAAA\"}", ERR_UNKNOWN_MEMBER,
     "public_key"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\"}],\"nonce\":\"AAAA\"}", ERR_UNKNOWN_MEMBER,
     "nonce"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\",\"x\":1}]}", ERR_UNKNOWN_MEMBER, "secrets[0].x"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\"},\"b\"]}", ERR_MALFORMED, "secrets[1]"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\"},{}]}", ERR_MALFORMED, "secrets[1].name"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\"},{\"name\":\"B\"}]}", ERR_MALFORMED, "secrets[1]"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\"},{\"name\":\"a\"}]}", ERR_MALFORMED, "secrets[1]"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\",\"version\":0}]}", ERR_MALFORMED, "secrets[0]"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\",\"min_version\":0}]}", ERR_MALFORMED,
     "secrets[0]"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\",\"version\":null}]}", ERR_MALFORMED,
     "secrets[0].version"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\",\"version\":1.0}]}", ERR_MALFORMED,
     "secrets[0].version"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\",\"version\":-1}]}", ERR_MALFORMED,
     "secrets[0].version"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\",\"version\":2147483648}]}", ERR_MALFORMED,
     "secrets[0]"},
    {"{" DOCUMENT ",\"secrets\":[{\"name\":\"a\",\"min_version\":2147483648}]}", ERR_MALFORMED,
     "secrets[0]"},
};

START_TEST(wrong_release_request)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong_requests); i++) {
        const struct refused *row = &wrong_requests[i];
        struct release_request out = {0};
        fault = (struct fault)FAULT_NONE;
        const enum err got = release_request_parse(bytes_of_text(row->json), &out, &fault);
        ck_assert_msg(got == row->code, "%s: %s", row->json, err_wire(got));
        ck_assert_str_eq(fault.field, row->field);
        ck_assert_ptr_null(out.document.ptr);
    }
}
END_TEST

/* A request for `secrets` names over a document of `document_len` bytes. */
static enum err parse_sized(size_t document_len, unsigned secrets)
{
    CLEANUP(buf_free) struct buf document = {0};
    ck_ok(buf_reserve(&document, document_len));
    memset(document.ptr, 7, document_len);
    CLEANUP(buf_free) struct buf json = {0};
    ck_ok(buf_append_text(&json, "{\"attestation_document\":\""));
    ck_ok(base64_append(&json, bytes_of(document.ptr, document_len)));
    ck_ok(buf_append_text(&json, "\",\"secrets\":[{\"name\":\"s0\"}"));
    for (unsigned i = 1; i < secrets; i++)
        ck_ok(buf_append_format(&json, ",{\"name\":\"s%u\"}", i));
    ck_ok(buf_append_text(&json, "]}"));
    CLEANUP(release_request_free) struct release_request out = {0};
    fault = (struct fault)FAULT_NONE;
    return release_request_parse(bytes_of_buf(&json), &out, &fault);
}

START_TEST(long_release_request)
{
    ck_ok(parse_sized(ATTDOC_LEN_MAX, PROTOCOL_SECRETS_MAX));
    ck_err(parse_sized(ATTDOC_LEN_MAX + 1, 1), ERR_TOO_LARGE);
    ck_assert_str_eq(fault.field, "attestation_document");
    ck_err(parse_sized(1, PROTOCOL_SECRETS_MAX + 1), ERR_MALFORMED);
    ck_assert_str_eq(fault.field, "secrets");
}
END_TEST

START_TEST(wrong_release_request_append)
{
    CLEANUP(release_request_free) struct release_request request = {0};
    CLEANUP(buf_free) struct buf json = {0};
    sample_wanted(&request.wanted);
    ck_err(release_request_append(&request, &json), ERR_INTERNAL);
    ck_ok(buf_append_text(&request.document, "d"));
    ck_ok(release_request_append(&request, &json));
    json.len = 0;
    request.wanted.item[0].name[0] = '"';
    ck_err(release_request_append(&request, &json), ERR_INTERNAL);
    request.wanted.count = 0;
    ck_err(release_request_append(&request, &json), ERR_INTERNAL);
    ck_assert_uint_eq(json.len, 0);
}
END_TEST

/* The JSON of an answer's start, and a ciphertext of the least size: 17 bytes. */
#define ANSWER \
    "{\"receipt\":\"AQ==\",\"delegation\":\"Ag==\",\"format\":\"hpke-p256\",\"enc\":\"Aw==\""
#define CIPHERTEXT "\"ciphertext\":\"EREREREREREREREREREREQ0=\""

static void sample_answer(struct release_answer *answer)
{
    *answer = (struct release_answer){.format = "hpke-p256", .count = 2};
    ck_ok(buf_append(&answer->receipt, bytes_of("\1", 1)));
    ck_ok(buf_append(&answer->delegation, bytes_of("\2", 1)));
    ck_ok(buf_append(&answer->enc, bytes_of("\3", 1)));
    for (size_t i = 0; i < 2; i++) {
        snprintf(answer->item[i].name, sizeof answer->item[i].name, "s%zu", i);
        answer->item[i].version = i == 0 ? 1 : PROTOCOL_VERSION_MAX;
        ck_ok(buf_append(&answer->item[i].ciphertext,
                         bytes_of_text("\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11"
                                       "\x11\x11\x0d")));
    }
}

START_TEST(valid_release_answer)
{
    CLEANUP(release_answer_free) struct release_answer answer;
    sample_answer(&answer);
    CLEANUP(buf_free) struct buf json = {0};
    ck_ok(release_answer_append(&answer, &json));
    ck_text(&json, ANSWER ",\"secrets\":[{\"name\":\"s0\",\"version\":1," CIPHERTEXT
                          "},{\"name\":\"s1\",\"version\":2147483647," CIPHERTEXT "}]}");
    CLEANUP(release_answer_free) struct release_answer back = {0};
    ck_ok(release_answer_parse(&json, &back, &fault));
    ck_assert_str_eq(back.format, "hpke-p256");
    ck_assert_uint_eq(back.count, 2);
    ck_assert(bytes_equal(bytes_of_buf(&back.receipt), bytes_of_buf(&answer.receipt)));
    ck_assert(bytes_equal(bytes_of_buf(&back.delegation), bytes_of_buf(&answer.delegation)));
    ck_assert(bytes_equal(bytes_of_buf(&back.enc), bytes_of_buf(&answer.enc)));
    for (size_t i = 0; i < 2; i++) {
        ck_assert_str_eq(back.item[i].name, answer.item[i].name);
        ck_assert_uint_eq(back.item[i].version, answer.item[i].version);
        ck_assert(bytes_equal(bytes_of_buf(&back.item[i].ciphertext),
                              bytes_of_buf(&answer.item[i].ciphertext)));
    }
}
END_TEST

static const struct refused wrong_answers[] = {
    {ANSWER "}", ERR_MALFORMED, "secrets"},
    {ANSWER ",\"secrets\":[]}", ERR_MALFORMED, "secrets"},
    {ANSWER ",\"secrets\":[7]}", ERR_MALFORMED, "secrets[0]"},
    {ANSWER ",\"secrets\":[{\"version\":1," CIPHERTEXT "}]}", ERR_MALFORMED, "secrets[0].name"},
    {ANSWER ",\"secrets\":[{\"name\":\"s\"," CIPHERTEXT "}]}", ERR_MALFORMED, "secrets[0].version"},
    {ANSWER ",\"secrets\":[{\"name\":\"s\",\"version\":1}]}", ERR_MALFORMED,
     "secrets[0].ciphertext"},
    {ANSWER ",\"secrets\":[{\"name\":\"S\",\"version\":1," CIPHERTEXT "}]}", ERR_MALFORMED,
     "secrets[0]"},
    {ANSWER ",\"secrets\":[{\"name\":\"s\",\"version\":0," CIPHERTEXT "}]}", ERR_MALFORMED,
     "secrets[0]"},
    {ANSWER ",\"secrets\":[{\"name\":\"s\",\"version\":2147483648," CIPHERTEXT "}]}", ERR_MALFORMED,
     "secrets[0]"},
    /* 16 bytes are a tag and no secret. */
    {ANSWER ",\"secrets\":[{\"name\":\"s\",\"version\":1,"
            "\"ciphertext\":\"ERERERERERERERERERERDQ==\"}]}",
     ERR_MALFORMED, "secrets[0]"},
    {ANSWER ",\"secrets\":[{\"name\":\"s\",\"version\":1," CIPHERTEXT
            "},{\"name\":\"s\",\"version\":2," CIPHERTEXT "}]}",
     ERR_MALFORMED, ""},
    {"{\"receipt\":\"\",\"delegation\":\"Ag==\",\"format\":\"f\",\"enc\":\"Aw==\","
     "\"secrets\":[{\"name\":\"s\",\"version\":1," CIPHERTEXT "}]}",
     ERR_MALFORMED, ""},
    {"{\"receipt\":\"AQ==\",\"delegation\":\"Ag==\",\"format\":\"f2345678901234567890123x\","
     "\"enc\":\"Aw==\",\"secrets\":[{\"name\":\"s\",\"version\":1," CIPHERTEXT "}]}",
     ERR_MALFORMED, "format"},
};

START_TEST(wrong_release_answer)
{
    for (size_t i = 0; i < ARRAY_LEN(wrong_answers); i++) {
        const struct refused *row = &wrong_answers[i];
        struct release_answer out = {0};
        fault = (struct fault)FAULT_NONE;
        CLEANUP(buf_free) struct buf json = {0};
        ck_ok(buf_append_text(&json, row->json));
        const enum err got = release_answer_parse(&json, &out, &fault);
        ck_assert_msg(got == row->code, "%s: %s", row->json, err_wire(got));
        ck_assert_str_eq(fault.field, row->field);
        ck_assert_ptr_null(out.receipt.ptr);
    }
}
END_TEST

/* Sixteen secrets of the largest size: the answer fits what an agent reads. */
START_TEST(long_release_answer)
{
    CLEANUP(release_answer_free) struct release_answer answer;
    sample_answer(&answer);
    answer.count = PROTOCOL_SECRETS_MAX;
    for (size_t i = 0; i < answer.count; i++) {
        struct released *item = &answer.item[i];
        snprintf(item->name, sizeof item->name, "s%0*zu", (int)(100 + i), i);
        item->version = PROTOCOL_VERSION_MAX;
        ck_ok(buf_reserve(&item->ciphertext, PROTOCOL_SECRET_MAX + PROTOCOL_TAG_LEN));
        memset(item->ciphertext.ptr, 0xfb, PROTOCOL_SECRET_MAX + PROTOCOL_TAG_LEN);
        item->ciphertext.len = PROTOCOL_SECRET_MAX + PROTOCOL_TAG_LEN;
    }
    CLEANUP(buf_free) struct buf json = {0};
    ck_ok(release_answer_append(&answer, &json));
    ck_assert_uint_le(json.len, PROTOCOL_ANSWER_MAX);
    CLEANUP(release_answer_free) struct release_answer back = {0};
    ck_ok(release_answer_parse(&json, &back, &fault));
    ck_ok(buf_append_text(&answer.item[3].ciphertext, "x"));
    ck_err(release_answer_append(&answer, &json), ERR_INTERNAL);
}
END_TEST

START_TEST(valid_challenge_answer)
{
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    for (size_t i = 0; i < sizeof challenge; i++)
        challenge[i] = (uint8_t)i;
    CLEANUP(buf_free) struct buf json = {0};
    ck_ok(challenge_answer_append(challenge, PROTOCOL_CHALLENGE_TTL_S, &json));
    /* base64.b64encode(bytes(range(56))) */
    ck_text(&json, "{\"challenge\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKiss"
                   "LS4vMDEyMzQ1Njc=\",\"expires_in_s\":120}");
    uint8_t back[PROTOCOL_CHALLENGE_LEN];
    ck_ok(challenge_answer_parse(bytes_of_buf(&json), back, &fault));
    ck_assert_mem_eq(back, challenge, sizeof back);
}
END_TEST

START_TEST(wrong_challenge_answer)
{
    static const struct refused rows[] = {
        {"{\"challenge\":\"AAEC\",\"expires_in_s\":120}", ERR_MALFORMED, "challenge"},
        {"{\"challenge\":\"\",\"expires_in_s\":120}", ERR_MALFORMED, "challenge"},
        {"{\"challenge\":\"*\",\"expires_in_s\":120}", ERR_BASE64, "challenge"},
        {"{\"expires_in_s\":120}", ERR_MALFORMED, "challenge"},
        /* 57 bytes */
        {"{\"challenge\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1"
         "Njc4\",\"expires_in_s\":120}",
         ERR_MALFORMED, "challenge"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t challenge[PROTOCOL_CHALLENGE_LEN] = {0};
        fault = (struct fault)FAULT_NONE;
        ck_err(challenge_answer_parse(bytes_of_text(rows[i].json), challenge, &fault),
               rows[i].code);
        ck_assert_str_eq(fault.field, rows[i].field);
        ck_assert(bytes_all_zero(bytes_of(challenge, sizeof challenge)));
    }
}
END_TEST

START_TEST(valid_problem)
{
    struct fault refusal = FAULT_NONE;
    ck_err(fault_set(fault_at(&refusal, 17, "pcrs[%d]", 3), ERR_CERT_EXPIRED, "a \"quote\""),
           ERR_CERT_EXPIRED);
    CLEANUP(buf_free) struct buf json = {0};
    ck_ok(problem_append(403, &refusal, "r-1", &json));
    ck_text(&json, "{\"type\":\"urn:vouchsafe:error:certificate_expired\","
                   "\"title\":\"a certificate has expired\",\"status\":403,"
                   "\"detail\":\"a \\\"quote\\\"\",\"code\":\"certificate_expired\","
                   "\"request_id\":\"r-1\",\"retryable\":true,\"field\":\"pcrs[3]\","
                   "\"offset\":17}");
    struct problem problem;
    ck_ok(problem_parse(bytes_of_buf(&json), &problem, &fault));
    ck_assert_int_eq(problem.status, 403);
    ck_assert_int_eq(problem.code, ERR_CERT_EXPIRED);
    ck_assert_str_eq(problem.code_wire, "certificate_expired");
    ck_assert_str_eq(problem.detail, "a \"quote\"");
    ck_assert_str_eq(problem.request_id, "r-1");
    ck_assert_str_eq(problem.field, "pcrs[3]");
    ck_assert_uint_eq(problem.offset, 17);
    ck_assert(problem.retryable);
}
END_TEST

START_TEST(valid_problem_bare)
{
    const struct fault refusal = {.code = ERR_REFUSED, .offset = FAULT_NO_OFFSET};
    CLEANUP(buf_free) struct buf json = {0};
    ck_ok(problem_append(403, &refusal, NULL, &json));
    ck_text(&json, "{\"type\":\"urn:vouchsafe:error:refused\","
                   "\"title\":\"the policy does not release this to that enclave\",\"status\":403,"
                   "\"detail\":\"the policy does not release this to that enclave\","
                   "\"code\":\"refused\",\"retryable\":false}");
    struct problem problem;
    ck_ok(problem_parse(bytes_of_buf(&json), &problem, &fault));
    ck_assert_int_eq(problem.code, ERR_REFUSED);
    ck_assert_str_eq(problem.request_id, "");
    ck_assert_str_eq(problem.field, "");
    ck_assert_uint_eq(problem.offset, FAULT_NO_OFFSET);
    ck_assert(!problem.retryable);
}
END_TEST

/* A refusal is unsigned, and its request id ends up in commands that people copy. */
START_TEST(junk_problem_request_id)
{
    static const char *const junk[] = {"X;id", "a b", "$(id)", "a\\nb", "\u00e4"};
    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        CLEANUP(buf_free) struct buf json = {0};
        struct problem problem;
        ck_ok(buf_append_format(
            &json, "{\"status\":403,\"code\":\"refused\",\"request_id\":\"%s\"}", junk[i]));
        ck_ok(problem_parse(bytes_of_buf(&json), &problem, &fault));
        ck_assert_str_eq(problem.request_id, "");
    }
}
END_TEST

/* Every code of ours fits the answer and is known again. */
START_TEST(valid_problem_codes)
{
    for (unsigned i = ERR_OK + 1; i < ERR_COUNT; i++) {
        const struct fault refusal = {.code = (enum err)i, .offset = FAULT_NO_OFFSET};
        CLEANUP(buf_free) struct buf json = {0};
        ck_ok(problem_append(500, &refusal, NULL, &json));
        struct problem problem;
        ck_ok(problem_parse(bytes_of_buf(&json), &problem, &fault));
        ck_assert_uint_eq(problem.code, i);
        ck_assert_int_eq(problem.retryable, err_retry((enum err)i) != ERR_RETRY_STOP);
    }
}
END_TEST

START_TEST(valid_problem_newer)
{
    struct problem problem;
    ck_ok(problem_parse(bytes_of_text("{\"status\":418,\"code\":\"teapot\",\"new\":null,"
                                      "\"detail\":\"a\\u001b[2J\\u00e9\",\"retryable\":true}"),
                        &problem, &fault));
    ck_assert_int_eq(problem.code, ERR_OK);
    ck_assert_str_eq(problem.code_wire, "teapot");
    ck_assert_str_eq(problem.detail, "a?[2J??"); /* no escape reaches a terminal */
    ck_assert(problem.retryable);
}
END_TEST

START_TEST(wrong_problem)
{
    static const struct refused rows[] = {
        {"<html>", ERR_MALFORMED, ""},
        {"{\"title\":\"Bad Gateway\",\"status\":502}", ERR_MALFORMED, "code"},
        {"{\"code\":\"refused\"}", ERR_MALFORMED, "status"},
        {"{\"code\":\"refused\",\"status\":200}", ERR_MALFORMED, "status"},
        {"{\"code\":\"refused\",\"status\":600}", ERR_MALFORMED, "status"},
        {"{\"code\":\"\",\"status\":403}", ERR_MALFORMED, "code"},
        {"{\"code\":\"c23456789012345678901234567890123456789012345678\",\"status\":403}",
         ERR_MALFORMED, "code"},
        {"{\"code\":\"refused\",\"status\":403,\"retryable\":1}", ERR_MALFORMED, "retryable"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct problem problem = {.status = 7};
        fault = (struct fault)FAULT_NONE;
        ck_err(problem_parse(bytes_of_text(rows[i].json), &problem, &fault), rows[i].code);
        ck_assert_str_eq(fault.field, rows[i].field);
        ck_assert_int_eq(problem.status, 7);
    }
}
END_TEST

UNIT_MAIN("protocol_json", valid_release_request, wrong_release_request, long_release_request,
          wrong_release_request_append, valid_release_answer, wrong_release_answer,
          long_release_answer, valid_challenge_answer, wrong_challenge_answer, valid_problem,
          valid_problem_bare, junk_problem_request_id, valid_problem_codes, valid_problem_newer,
          wrong_problem)
