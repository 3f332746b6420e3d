/* The simulator's security module: every request, every error, what its documents are
 * worth, and a well-formed reply whatever the bytes.  Requests are written by hand, as
 * nsm-api encodes them. */
#include "common/openssl_cleanup.h"
#include "enclave-agent/nsm-sim/sim_nsm.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "common/cbor_reader.h"
#include "common/cose_sign1.h"
#include "hex.h"

#define MODULE "i-0e7a38c68f4acde83-enc019d88dad36ca2ab"
#define NOW_MS INT64_C(1780000000000)

/* Text strings in hex, length byte first. */
#define T_ATTESTATION  "6b4174746573746174696f6e"
#define T_DESCRIBE_NSM "6b44657363726962654e534d"
#define T_DESCRIBE_PCR "6b4465736372696265504352"
#define T_EXTEND_PCR   "69457874656e64504352"
#define T_GET_RANDOM   "6947657452616e646f6d"
#define T_LOCK_PCR     "674c6f636b504352"
#define T_LOCK_PCRS    "684c6f636b50435273"
#define T_INDEX        "65696e646578"
#define T_RANGE        "6572616e6765"
#define T_DATA         "6464617461"
#define T_LOCK         "646c6f636b"
#define T_USER_DATA    "69757365725f64617461"
#define T_NONCE        "656e6f6e6365"
#define T_PUBLIC_KEY   "6a7075626c69635f6b6579"

/* Requests up to the value of their first member. */
#define DESCRIBE_PCR      "a1" T_DESCRIBE_PCR "a1" T_INDEX
#define EXTEND_PCR        "a1" T_EXTEND_PCR "a2" T_INDEX
#define LOCK_PCR          "a1" T_LOCK_PCR "a1" T_INDEX
#define LOCK_PCRS         "a1" T_LOCK_PCRS "a1" T_RANGE
#define ATTESTATION       "a1" T_ATTESTATION
#define ATTESTATION_NULLS ATTESTATION "a3" T_USER_DATA "f6" T_NONCE "f6" T_PUBLIC_KEY "f6"
#define ABC               "43616263"

#define INVALID_ARGUMENT  "InvalidArgument"
#define INVALID_INDEX     "InvalidIndex"
#define READ_ONLY_INDEX   "ReadOnlyIndex"
#define INVALID_OPERATION "InvalidOperation"
#define INPUT_TOO_LARGE   "InputTooLarge"

static struct sim_chain *chain;
static struct sim_nsm nsm;

static void setup(void)
{
    ck_ok(sim_chain_new(NULL, MODULE, "eu-west-1", NOW_MS, &chain, NULL));
    sim_nsm_init(&nsm, ATTDOC_ENCLAVE, MODULE, chain);
}

static void ask_bytes(struct bytes request, struct buf *reply)
{
    reply->len = 0;
    ck_ok(sim_nsm_handle(&nsm, NOW_MS, request, reply));
    ck_assert_uint_gt(reply->len, 0);
    ck_assert_uint_le(reply->len, SIM_REPLY_MAX);
}

static void ask(const char *hex, struct buf *reply)
{
    CLEANUP(buf_free) struct buf request = {0};
    from_hex(hex, &request);
    ask_bytes(bytes_of_buf(&request), reply);
}

static void check_error(struct bytes reply, const char *name)
{
    CLEANUP(buf_free) struct buf expected = {0};
    ck_ok(buf_append_format(&expected,
                            "\xa1\x65"
                            "Error%c%s",
                            (int)(0x60 + strlen(name)), name));
    ck_assert_msg(bytes_equal(reply, bytes_of_buf(&expected)), "expected %s, got %.*s", name,
                  (int)reply.len, reply.ptr == NULL ? "" : (const char *)reply.ptr);
}

static void ask_error(const char *hex, const char *name)
{
    CLEANUP(buf_free) struct buf reply = {0};
    ask(hex, &reply);
    check_error(bytes_of_buf(&reply), name);
}

/* The reply as a whole is these bytes. */
static void ask_exact(const char *hex, const char *expected_hex)
{
    CLEANUP(buf_free) struct buf reply = {0};
    CLEANUP(buf_free) struct buf expected = {0};
    ask(hex, &reply);
    from_hex(expected_hex, &expected);
    ck_assert_uint_eq(reply.len, expected.len);
    ck_assert_mem_eq(reply.ptr, expected.ptr, expected.len);
}

/* Reads {name: {key: <bytes>}}. */
static struct bytes bytes_in(struct bytes reply, const char *name, const char *key)
{
    struct cbor_reader r;
    struct cbor_map map;
    struct bytes text;
    struct bytes value;
    cbor_reader_init(&r, reply, 0, "reply", NULL);
    ck_ok(cbor_reader_map(&r, false, &map));
    ck_assert_uint_eq(map.left, 1);
    ck_ok(cbor_reader_text(&r, &text));
    ck_assert(bytes_equal_text(text, name));
    ck_ok(cbor_reader_map(&r, false, &map));
    ck_assert_uint_eq(map.left, 1);
    ck_ok(cbor_reader_text(&r, &text));
    ck_assert(bytes_equal_text(text, key));
    ck_ok(cbor_reader_bytes(&r, &value));
    ck_ok(cbor_reader_end(&r));
    return value;
}

/* Asks for a document, verifies it under the leaf that it holds, and reads it. */
static void ask_document(const char *hex, struct buf *reply, struct attdoc *doc)
{
    struct cose_sign1 cose;
    ask(hex, reply);
    const struct bytes document = bytes_in(bytes_of_buf(reply), "Attestation", "document");
    ck_assert_uint_eq(document.ptr[0], 0x84); /* untagged */
    ck_ok(cose_sign1_parse(COSE_ATTESTATION, document, &cose, NULL));
    ck_ok(attdoc_parse(cose.payload, cose.payload_offset, NULL, doc, NULL));
    const uint8_t *der = doc->certificate.ptr;
    CLEANUP(x509_freep) X509 *leaf = d2i_X509(NULL, &der, (long)doc->certificate.len);
    ck_assert_ptr_nonnull(leaf);
    ck_ok(cose_sign1_verify(&cose, X509_get0_pubkey(leaf), NULL));
}

START_TEST(valid_get_random)
{
    setup();
    CLEANUP(buf_free) struct buf a = {0};
    CLEANUP(buf_free) struct buf b = {0};
    ask(T_GET_RANDOM, &a);
    ask(T_GET_RANDOM, &b);
    const struct bytes random_a = bytes_in(bytes_of_buf(&a), "GetRandom", "random");
    const struct bytes random_b = bytes_in(bytes_of_buf(&b), "GetRandom", "random");
    ck_assert_uint_eq(random_a.len, 256);
    ck_assert_uint_eq(random_b.len, 256);
    ck_assert(!bytes_equal(random_a, random_b));
}
END_TEST

START_TEST(valid_describe_nsm)
{
    setup();
    nsm.module_id = "i-0-enc1";
    ask_exact("a1" T_LOCK_PCRS "a1" T_RANGE "12", T_LOCK_PCRS);
    ask_exact(T_DESCRIBE_NSM,
              "a1" T_DESCRIBE_NSM
              "a76d76657273696f6e5f6d616a6f72016d76657273696f6e5f6d696e6f72006d76657273696f6e5f7061"
              "74636800696d6f64756c655f696468692d302d656e6331686d61785f7063727318206b6c6f636b65645f"
              "7063727392000102030405060708090a0b0c0d0e0f10116664696765737466534841333834");
}
END_TEST

#define ZEROS_48                                       \
    "000000000000000000000000000000000000000000000000" \
    "000000000000000000000000000000000000000000000000"

START_TEST(valid_describe_pcr)
{
    setup();
    ask_exact(DESCRIBE_PCR "0f", "a1" T_DESCRIBE_PCR "a2" T_LOCK "f5" T_DATA "5830" ZEROS_48);
    ask_exact(DESCRIBE_PCR "10", "a1" T_DESCRIBE_PCR "a2" T_LOCK "f4" T_DATA "5830" ZEROS_48);
}
END_TEST

/* SHA-384 of 48 zero bytes and "abc", from sha384sum. */
#define EXTENDED_ABC                                   \
    "b1c16eb7634112b7c9d5ebd27e62a2d4528bbfcfd68b62d3" \
    "afd9ecf98e0f413a84314acce78317fb69fd895155343e09"

START_TEST(valid_extend_pcr)
{
    setup();
    ask_exact(EXTEND_PCR "10" T_DATA ABC, "a1" T_EXTEND_PCR "a1" T_DATA "5830" EXTENDED_ABC);
    ask_exact(DESCRIBE_PCR "10", "a1" T_DESCRIBE_PCR "a2" T_LOCK "f4" T_DATA "5830" EXTENDED_ABC);
    /* Once more: from the value that it has, not from zero. */
    uint8_t both[SHA384_LEN + 3];
    uint8_t twice[SHA384_LEN];
    memcpy(both, nsm.pcr[16], SHA384_LEN);
    memcpy(both + SHA384_LEN, "abc", 3);
    ck_ok(digest_sha384(bytes_of(both, sizeof both), twice));
    CLEANUP(buf_free) struct buf reply = {0};
    ask(EXTEND_PCR "10" T_DATA ABC, &reply);
    ck_assert(bytes_equal(bytes_in(bytes_of_buf(&reply), "ExtendPCR", "data"),
                          bytes_of(twice, sizeof twice)));
}
END_TEST

START_TEST(valid_members_in_any_order)
{
    setup();
    ask_exact("a1" T_EXTEND_PCR "a2" T_DATA ABC T_INDEX "10",
              "a1" T_EXTEND_PCR "a1" T_DATA "5830" EXTENDED_ABC);
    /* What no operation knows is passed over. */
    ask_exact("a1" T_LOCK_PCR "a26178820102" T_INDEX "10", T_LOCK_PCR);
}
END_TEST

START_TEST(valid_lock_pcr)
{
    setup();
    ask_exact(LOCK_PCR "181f", T_LOCK_PCR);
    ck_assert_uint_eq(nsm.locked, 0x8000ffff);
    ask_error(EXTEND_PCR "181f" T_DATA ABC, READ_ONLY_INDEX);
    ask_error(LOCK_PCR "181f", READ_ONLY_INDEX);
    ask_exact(DESCRIBE_PCR "181f", "a1" T_DESCRIBE_PCR "a2" T_LOCK "f5" T_DATA "5830" ZEROS_48);
}
END_TEST

START_TEST(valid_lock_pcrs)
{
    setup();
    ask_exact(LOCK_PCRS "00", T_LOCK_PCRS);
    ck_assert_uint_eq(nsm.locked, 0xffff);
    ask_exact(LOCK_PCRS "12", T_LOCK_PCRS);
    ck_assert_uint_eq(nsm.locked, 0x3ffff);
    ask_exact(LOCK_PCRS "1820", T_LOCK_PCRS);
    ck_assert_uint_eq(nsm.locked, 0xffffffff);
}
END_TEST

START_TEST(wrong_index)
{
    setup();
    ask_error(DESCRIBE_PCR "1820", INVALID_INDEX);
    ask_error(DESCRIBE_PCR "1bffffffffffffffff", INVALID_INDEX);
    ask_error(EXTEND_PCR "1820" T_DATA ABC, INVALID_INDEX);
    ask_error(LOCK_PCR "1820", INVALID_INDEX);
    ask_error(LOCK_PCRS "1821", INVALID_INDEX);
    ck_assert_uint_eq(nsm.locked, 0xffff);
}
END_TEST

START_TEST(wrong_index_read_only)
{
    setup();
    ask_error(EXTEND_PCR "00" T_DATA ABC, READ_ONLY_INDEX);
    ask_error(EXTEND_PCR "0f" T_DATA ABC, READ_ONLY_INDEX);
    ask_error(LOCK_PCR "0f", READ_ONLY_INDEX);
    ck_assert(bytes_all_zero(bytes_of(nsm.pcr, sizeof nsm.pcr)));
}
END_TEST

START_TEST(wrong_operation)
{
    setup();
    ask_error("66556e6c6f636b", INVALID_OPERATION);
    ask_error("a166556e6c6f636ba0", INVALID_OPERATION);
    ask_error("60", INVALID_OPERATION);
    ask_error("6867657452616e646f", INVALID_OPERATION);
}
END_TEST

START_TEST(wrong_form)
{
    setup();
    ask_error("a1" T_GET_RANDOM "a0", INVALID_ARGUMENT);                   /* bare only */
    ask_error(T_ATTESTATION, INVALID_ARGUMENT);                            /* never bare */
    ask_error("a2" T_GET_RANDOM "a0" T_GET_RANDOM "a0", INVALID_ARGUMENT); /* two names */
    ask_error("a2" T_LOCK_PCR "a1" T_INDEX "10", INVALID_ARGUMENT);
    ck_assert_uint_eq(nsm.locked, 0xffff);
    ask_error("a0", INVALID_ARGUMENT);
    ask_error("a100a0", INVALID_ARGUMENT);
    ask_error("80", INVALID_ARGUMENT);
    ask_error("07", INVALID_ARGUMENT);
    ask_error("d2" T_GET_RANDOM, INVALID_ARGUMENT);
}
END_TEST

START_TEST(no_member)
{
    setup();
    ask_error("a1" T_DESCRIBE_PCR "a0", INVALID_ARGUMENT);
    ask_error("a1" T_EXTEND_PCR "a1" T_INDEX "10", INVALID_ARGUMENT);
    ask_error("a1" T_EXTEND_PCR "a1" T_DATA ABC, INVALID_ARGUMENT);
    ask_error("a1" T_LOCK_PCR "a0", INVALID_ARGUMENT);
    ask_error("a1" T_LOCK_PCRS "a1" T_INDEX "10", INVALID_ARGUMENT);
}
END_TEST

START_TEST(junk_member)
{
    setup();
    ask_error(DESCRIBE_PCR "20", INVALID_ARGUMENT);                 /* -1 */
    ask_error(DESCRIBE_PCR "f6", INVALID_ARGUMENT);                 /* null */
    ask_error(DESCRIBE_PCR "1000", INVALID_ARGUMENT);               /* trailing */
    ask_error(DESCRIBE_PCR "1800", INVALID_ARGUMENT);               /* not shortest */
    ask_error(EXTEND_PCR "10" T_DATA "63616263", INVALID_ARGUMENT); /* text */
    ask_error(EXTEND_PCR "10" T_INDEX "11", INVALID_ARGUMENT);      /* twice */
    ask_error(ATTESTATION "a1" T_NONCE "00", INVALID_ARGUMENT);
    ask_error(ATTESTATION "a1" T_NONCE "63616263", INVALID_ARGUMENT);
    ask_error(ATTESTATION "a2" T_NONCE "f6" T_NONCE "f6", INVALID_ARGUMENT);
}
END_TEST

START_TEST(junk_bytes)
{
    setup();
    CLEANUP(buf_free) struct buf reply = {0};
    ask_bytes(bytes_of("", 0), &reply);
    check_error(bytes_of_buf(&reply), INVALID_ARGUMENT);
    ask_error("6947657452616e646f", INVALID_ARGUMENT); /* truncated */
    ask_error("ff", INVALID_ARGUMENT);
    ask_error("bf" T_LOCK_PCR "a0ff", INVALID_ARGUMENT);
}
END_TEST

START_TEST(long_request)
{
    setup();
    CLEANUP(buf_free) struct buf reply = {0};
    CLEANUP(buf_free) struct buf request = {0};
    from_hex(EXTEND_PCR "10" T_DATA "59", &request);
    const size_t len = SIM_REQUEST_MAX - request.len - 2;
    ck_ok(buf_append(&request, bytes_of((uint8_t[]){(uint8_t)(len >> 8), (uint8_t)len}, 2)));
    ck_ok(buf_reserve(&request, len + 1));
    memset(request.ptr + request.len, 'x', len + 1);
    request.len = SIM_REQUEST_MAX;
    ask_bytes(bytes_of_buf(&request), &reply);
    ck_assert_uint_eq(bytes_in(bytes_of_buf(&reply), "ExtendPCR", "data").len, SHA384_LEN);
    request.len++;
    ask_bytes(bytes_of_buf(&request), &reply);
    check_error(bytes_of_buf(&reply), INPUT_TOO_LARGE);
}
END_TEST

START_TEST(valid_document_fields)
{
    setup();
    memset(nsm.pcr[0], 0x11, ATTDOC_PCR_LEN);
    nsm.skew_ms = -5000;
    CLEANUP(buf_free) struct buf reply = {0};
    struct attdoc doc;
    ask_document(ATTESTATION "a3" T_USER_DATA ABC T_NONCE "40" T_PUBLIC_KEY "420102", &reply, &doc);
    ck_assert(bytes_equal_text(doc.module_id, MODULE));
    ck_assert_uint_eq(doc.timestamp_ms, (uint64_t)NOW_MS - 5000);
    ck_assert(doc.map_indefinite);
    ck_assert_uint_eq(doc.pcr_present, 0xffff);
    ck_assert_mem_eq(doc.pcr[0], nsm.pcr[0], ATTDOC_PCR_LEN);
    ck_assert_uint_eq(doc.cabundle_len, 4);
    ck_assert_int_eq(doc.user_data.state, ATTDOC_PRESENT);
    ck_assert(bytes_equal_text(doc.user_data.value, "abc"));
    ck_assert_int_eq(doc.nonce.state, ATTDOC_PRESENT);
    ck_assert_uint_eq(doc.nonce.value.len, 0);
    ck_assert(bytes_equal(doc.public_key.value, bytes_of("\x01\x02", 2)));
}
END_TEST

/* Unused or left out: null, as in every genuine document. */
START_TEST(valid_document_nulls)
{
    static const char *const requests[] = {ATTESTATION_NULLS, ATTESTATION "a0"};
    setup();
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        CLEANUP(buf_free) struct buf reply = {0};
        struct attdoc doc;
        ask_document(requests[i], &reply, &doc);
        ck_assert_int_eq(doc.user_data.state, ATTDOC_NULL);
        ck_assert_int_eq(doc.nonce.state, ATTDOC_NULL);
        ck_assert_int_eq(doc.public_key.state, ATTDOC_NULL);
    }
}
END_TEST

/* A user PCR is in the document once it is locked, not before. */
START_TEST(valid_document_user_pcrs)
{
    setup();
    CLEANUP(buf_free) struct buf reply = {0};
    struct attdoc doc;
    ask(EXTEND_PCR "10" T_DATA ABC, &reply);
    ask_document(ATTESTATION_NULLS, &reply, &doc);
    ck_assert_uint_eq(doc.pcr_present, 0xffff);
    ask(LOCK_PCR "10", &reply);
    ask_document(ATTESTATION_NULLS, &reply, &doc);
    ck_assert_uint_eq(doc.pcr_present, 0x1ffff);
    ck_assert_mem_eq(doc.pcr[16], nsm.pcr[16], ATTDOC_PCR_LEN);
}
END_TEST

static void ask_optional(const char *member, size_t len, struct buf *reply)
{
    CLEANUP(buf_free) struct buf request = {0};
    from_hex(ATTESTATION "a1", &request);
    from_hex(member, &request);
    ck_ok(buf_append(&request, bytes_of((uint8_t[]){0x59, (uint8_t)(len >> 8), (uint8_t)len}, 3)));
    ck_ok(buf_reserve(&request, len));
    memset(request.ptr + request.len, 'x', len);
    request.len += len;
    ask_bytes(bytes_of_buf(&request), reply);
}

START_TEST(long_optional)
{
    static const char *const members[] = {T_USER_DATA, T_NONCE, T_PUBLIC_KEY};
    setup();
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        CLEANUP(buf_free) struct buf reply = {0};
        ask_optional(members[i], ATTDOC_OPTIONAL_MAX, &reply);
        ck_assert_uint_gt(bytes_in(bytes_of_buf(&reply), "Attestation", "document").len, 4000);
        ask_optional(members[i], ATTDOC_OPTIONAL_MAX + 1, &reply);
        check_error(bytes_of_buf(&reply), INVALID_ARGUMENT);
    }
}
END_TEST

/* xorshift64: the same mutations every time. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void mutate(struct buf *request, uint64_t *state)
{
    const uint64_t changes = next_random(state) % 4;
    for (uint64_t n = 0; n < changes && request->len > 0; n++) {
        const size_t at = next_random(state) % request->len;
        switch (next_random(state) % 4) {
        case 0:
            request->ptr[at] ^= (uint8_t)(1U << (next_random(state) % 8));
            break;
        case 1:
            request->ptr[at] = (uint8_t)next_random(state);
            break;
        case 2:
            request->len = at;
            break;
        default:
            memmove(request->ptr + at, request->ptr + at + 1, request->len - at - 1);
            request->len--;
        }
    }
}

START_TEST(junk_mutations)
{
    static const char *const requests[] = {
        T_GET_RANDOM,
        T_DESCRIBE_NSM,
        DESCRIBE_PCR "181f",
        EXTEND_PCR "10" T_DATA ABC,
        LOCK_PCR "181f",
        LOCK_PCRS "12",
        ATTESTATION "a3" T_USER_DATA ABC T_NONCE "40" T_PUBLIC_KEY "420102",
    };
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    unsigned errors = 0;
    setup();
    for (unsigned i = 0; i < 10000; i++) {
        CLEANUP(buf_free) struct buf request = {0};
        CLEANUP(buf_free) struct buf reply = {0};
        struct cbor_reader r;
        from_hex(requests[i % ARRAY_LEN(requests)], &request);
        mutate(&request, &state);
        ask_bytes(bytes_of_buf(&request), &reply);
        cbor_reader_init(&r, bytes_of_buf(&reply), 0, "reply", NULL);
        ck_ok(cbor_reader_skip(&r, 4));
        ck_ok(cbor_reader_end(&r));
        errors += reply.len > 6 && memcmp(reply.ptr,
                                          "\xa1\x65"
                                          "Error",
                                          7) == 0;
        ck_assert_uint_eq(nsm.locked & 0xffff, 0xffff);
    }
    ck_assert_uint_gt(errors, 1000); /* the mutations do break requests, */
    ck_assert_uint_lt(errors, 9000); /* and not all of them */
    ck_assert(bytes_all_zero(bytes_of(nsm.pcr, SIM_PCR_FIRST_USER * sizeof nsm.pcr[0])));
}
END_TEST

UNIT_MAIN("sim_nsm", valid_get_random, valid_describe_nsm, valid_describe_pcr, valid_extend_pcr,
          valid_members_in_any_order, valid_lock_pcr, valid_lock_pcrs, wrong_index,
          wrong_index_read_only, wrong_operation, wrong_form, no_member, junk_member, junk_bytes,
          long_request, valid_document_fields, valid_document_nulls, valid_document_user_pcrs,
          long_optional, junk_mutations)
