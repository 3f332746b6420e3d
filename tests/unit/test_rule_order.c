/* The order of docs/VERIFICATION.md, executed: a document that breaks a rule and, at the
 * same time, every later one of the list below that leaves room for it, is refused by the
 * first.  So is each with its neighbour, and alone.
 *
 * What needs the same place in a document excludes each other: of these one is broken.  The
 * order in a release is proven by test_release_binding (valid_order), that of verify's
 * expectations by test_appraisal (wrong_age_first). */
#include <openssl/x509v3.h>
#include <stdio.h>

#include "common/cbor_writer.h"
#include "tests/lib/mkdoc.h"
#include "unit.h"
#include "verifier/attest/attest.h"

#define NOW_MS INT64_C(1795392000000) /* 2026-11-23T00:00:00Z */
#define DAY_MS INT64_C(86400000)
#define MODULE "i-0123456789abcdef0-enc0123456789abcdef"

enum { MODULE_ID, DIGEST, TIMESTAMP, PCRS, CERT, CABUNDLE, PUBLIC_KEY, USER_DATA, NONCE, KEYS };

/* What is sent, in pieces: a value that is set stands in the place of the good one. */
struct world {
    struct mkdoc_chain_spec spec;
    struct bytes tag, array, header, unprotected, payload_item, signature_item, tail;
    struct bytes map; /* the payload's head */
    struct bytes value[KEYS];
    bool omitted[KEYS];
    struct bytes entries; /* behind the others */
    struct bytes payload_tail;
    enum attdoc_kind kind;
    bool other_root;
    bool zero_r, wrong_s;
};

static const char *const keys[KEYS] = {"module_id",  "digest",      "timestamp",
                                       "pcrs",       "certificate", "cabundle",
                                       "public_key", "user_data",   "nonce"};

#define RAW(text) bytes_of(text, sizeof(text) - 1)

static uint8_t zeros[40000];

/* ---- one breach each ---- */

#define CERTIFICATE(w, i) ((w)->spec.cert[i])
#define BREACH(name, ...)             \
    static void name(struct world *w) \
    {                                 \
        __VA_ARGS__;                  \
    }

BREACH(cose_1, w->tail = bytes_of(zeros, sizeof zeros))
BREACH(cose_2, w->tag = RAW("\xd1"))
BREACH(cose_3, w->array = RAW("\x85"))
BREACH(cose_4, w->header = RAW("\x43\xa1\x01\x26"))
BREACH(cose_5, w->unprotected = RAW("\xa1\x01\x26"))
BREACH(cose_6, w->payload_item = RAW("\xf6"))
BREACH(cose_7, w->payload_item = RAW("\x40"))
BREACH(cose_9, w->signature_item = RAW("\x41s"))
BREACH(cose_end, w->tail = RAW("\0"))
BREACH(doc_map, w->map = RAW("\x81"))
BREACH(doc_5, w->value[MODULE_ID] = RAW("\x60"))
BREACH(doc_6, w->value[DIGEST] = RAW("\x66SHA256"))
BREACH(doc_7, w->value[TIMESTAMP] = RAW("\0"))
BREACH(doc_type, w->value[TIMESTAMP] = RAW("\x20"))
BREACH(doc_not_shortest, w->value[TIMESTAMP] = RAW("\x18\0"))
BREACH(doc_9, w->value[PCRS] = RAW("\xa0"))
BREACH(doc_10, w->value[PCRS] = RAW("\xa1\x18\x20\x40"))
BREACH(doc_12, w->value[CERT] = RAW("\x40"))
BREACH(doc_bundle, w->value[CABUNDLE] = RAW("\x80"))
BREACH(doc_optional, w->value[PUBLIC_KEY] = RAW("\x60"))
BREACH(doc_nonce, w->value[NONCE] = RAW("\xf7"))
BREACH(doc_1, w->entries = RAW("\x65nonce\xf6"))
BREACH(doc_2, w->entries = RAW("\x66my_pcr\xf6"))
BREACH(doc_4, w->entries = RAW("\x65other\xf6"))
BREACH(doc_8, w->entries = RAW("\x6dnitrotpm_pcrs\xf6"))
BREACH(doc_end, w->payload_tail = RAW("\0"))
BREACH(doc_13, w->omitted[TIMESTAMP] = true)
BREACH(doc_13_bundle, w->omitted[CABUNDLE] = true)
BREACH(doc_14, w->omitted[PCRS] = true)
BREACH(kind_1, w->kind = ATTDOC_NITROTPM)
BREACH(root_2, w->other_root = true)
BREACH(cert_2, CERTIFICATE(w, 1).x509_version = 2)
BREACH(cert_4, CERTIFICATE(w, 1).digest = "SHA256")
BREACH(cert_5, CERTIFICATE(w, 1).curve = "P-256")
BREACH(cert_10, CERTIFICATE(w, 1).from_ms = CERTIFICATE(w, 1).until_ms + 1000)
BREACH(cert_11, CERTIFICATE(w, 1).duplicate_extension = true)
BREACH(cert_12, CERTIFICATE(w, 1).unknown_critical_extension = true)
BREACH(chain_1, CERTIFICATE(w, 1).issuer_cn = "somebody else")
BREACH(chain_2, CERTIFICATE(w, 1).ca = false)
BREACH(chain_4, CERTIFICATE(w, 1).key_usage = X509v3_KU_CRL_SIGN)
BREACH(chain_5, CERTIFICATE(w, 1).pathlen = 1)
BREACH(second_version, CERTIFICATE(w, 2).x509_version = 2)
BREACH(second_usage, CERTIFICATE(w, 2).key_usage = X509v3_KU_CRL_SIGN)
BREACH(leaf_version, CERTIFICATE(w, 4).x509_version = 2)
BREACH(leaf_issuer, CERTIFICATE(w, 4).issuer_cn = "somebody else")
BREACH(chain_6, CERTIFICATE(w, 4).ca = true)
BREACH(chain_7, CERTIFICATE(w, 4).pathlen = 0)
BREACH(chain_8, CERTIFICATE(w, 4).key_usage = X509v3_KU_KEY_CERT_SIGN)
BREACH(chain_9, CERTIFICATE(w, 4).key_usage |= X509v3_KU_KEY_CERT_SIGN)
BREACH(time_root, CERTIFICATE(w, 0).until_ms = NOW_MS - DAY_MS)
BREACH(time_1, CERTIFICATE(w, 1).from_ms = NOW_MS + DAY_MS)
BREACH(time_leaf, CERTIFICATE(w, 4).until_ms = NOW_MS - 1000)
BREACH(sig_1, CERTIFICATE(w, 1).break_signature = true)
BREACH(sig_leaf, CERTIFICATE(w, 4).break_signature = true)
BREACH(sig_4, w->zero_r = true)
BREACH(sig_5, w->wrong_s = true)

/* Places with room for one breach at a time. */
enum {
    TAIL = 1,
    PAYLOAD = 2,
    STAMP = 4,
    PCR = 8,
    BUNDLE = 16,
    ENTRIES = 32,
    START_1 = 64, /* the second certificate's notBefore */
    USAGE_4 = 128 /* the leaf's key usage */
};

/* As on the page.  Breaches that share a slot exclude each other. */
static const struct breach {
    const char *rule;
    void (*make)(struct world *w);
    enum err err;
    const char *field;
    unsigned slots;
} breaches[] = {
    {"COSE-1", cose_1, ERR_TOO_LARGE, "", TAIL},
    {"COSE-2", cose_2, ERR_COSE_MALFORMED, "cose", 0},
    {"COSE-3", cose_3, ERR_COSE_MALFORMED, "cose", 0},
    {"COSE-4", cose_4, ERR_COSE_ALG, "cose.protected", 0},
    {"COSE-5", cose_5, ERR_COSE_MALFORMED, "cose.unprotected", 0},
    {"COSE-6", cose_6, ERR_COSE_MALFORMED, "cose.payload", PAYLOAD},
    {"COSE-7", cose_7, ERR_COSE_MALFORMED, "cose.payload", PAYLOAD},
    {"COSE-9", cose_9, ERR_COSE_MALFORMED, "cose.signature", 0},
    {"CBOR-15", cose_end, ERR_CBOR_TRAILING, "cose", TAIL},
    {"CBOR-13", doc_map, ERR_CBOR_TYPE, "payload", 0},
    {"DOC-5", doc_5, ERR_DOC_MALFORMED, "module_id", 0},
    {"DOC-6", doc_6, ERR_DOC_MALFORMED, "digest", 0},
    {"CBOR-11", doc_not_shortest, ERR_CBOR_NOT_STRICT, "timestamp", STAMP},
    {"CBOR-13", doc_type, ERR_CBOR_TYPE, "timestamp", STAMP},
    {"DOC-7", doc_7, ERR_DOC_MALFORMED, "timestamp", STAMP},
    {"DOC-9", doc_9, ERR_DOC_MALFORMED, "pcrs", PCR},
    {"DOC-10", doc_10, ERR_DOC_MALFORMED, "pcrs[32]", PCR},
    {"DOC-12", doc_12, ERR_DOC_MALFORMED, "certificate", 0},
    {"DOC-9", doc_bundle, ERR_DOC_MALFORMED, "cabundle", BUNDLE},
    {"CBOR-13", doc_optional, ERR_CBOR_TYPE, "public_key", 0},
    {"CBOR-13", doc_nonce, ERR_CBOR_TYPE, "nonce", 0},
    {"DOC-1", doc_1, ERR_CBOR_DUPLICATE, "nonce", ENTRIES},
    {"DOC-2", doc_2, ERR_DOC_UNKNOWN_FIELD, "my_pcr", ENTRIES},
    {"DOC-4", doc_4, ERR_DOC_UNKNOWN_FIELD, "other", ENTRIES},
    {"DOC-8", doc_8, ERR_DOC_MALFORMED, "nitrotpm_pcrs", ENTRIES | PCR},
    {"CBOR-15", doc_end, ERR_CBOR_TRAILING, "payload", 0},
    {"DOC-13", doc_13, ERR_DOC_MALFORMED, "timestamp", STAMP},
    {"DOC-13", doc_13_bundle, ERR_DOC_MALFORMED, "cabundle", BUNDLE},
    {"DOC-14", doc_14, ERR_DOC_MALFORMED, "pcrs", PCR},
    {"KIND-1", kind_1, ERR_DOC_KIND, "pcrs", 0},
    {"ROOT-2", root_2, ERR_UNTRUSTED, "cabundle[0]", 0},
    {"CERT-2", cert_2, ERR_CERT_VERSION, "cabundle[1]", 0},
    {"CERT-4", cert_4, ERR_CERT_ALGORITHM, "cabundle[1]", 0},
    {"CERT-5", cert_5, ERR_CERT_ALGORITHM, "cabundle[1]", 0},
    {"CERT-10", cert_10, ERR_CERT_MALFORMED, "cabundle[1]", START_1},
    {"CERT-11", cert_11, ERR_CERT_EXTENSION, "cabundle[1]", 0},
    {"CERT-12", cert_12, ERR_CERT_EXTENSION, "cabundle[1]", 0},
    {"CHAIN-1", chain_1, ERR_CERT_NAME, "cabundle[1]", 0},
    {"CHAIN-2", chain_2, ERR_CERT_NOT_CA, "cabundle[1]", 0},
    {"CHAIN-4", chain_4, ERR_CERT_KEY_USAGE, "cabundle[1]", 0},
    {"CHAIN-5", chain_5, ERR_CERT_PATHLEN, "cabundle[1]", 0},
    {"CERT-2", second_version, ERR_CERT_VERSION, "cabundle[2]", 0},
    {"CHAIN-4", second_usage, ERR_CERT_KEY_USAGE, "cabundle[2]", 0},
    {"CERT-2", leaf_version, ERR_CERT_VERSION, "certificate", 0},
    {"CHAIN-1", leaf_issuer, ERR_CERT_NAME, "certificate", 0},
    {"CHAIN-6", chain_6, ERR_CERT_LEAF_CA, "certificate", 0},
    {"CHAIN-7", chain_7, ERR_CERT_PATHLEN, "certificate", 0},
    {"CHAIN-8", chain_8, ERR_CERT_KEY_USAGE, "certificate", USAGE_4},
    {"CHAIN-9", chain_9, ERR_CERT_KEY_USAGE, "certificate", USAGE_4},
    {"TIME-2", time_root, ERR_CERT_EXPIRED, "cabundle[0]", 0},
    {"TIME-1", time_1, ERR_CERT_NOT_YET_VALID, "cabundle[1]", START_1},
    {"TIME-2", time_leaf, ERR_CERT_EXPIRED, "certificate", 0},
    {"SIG-1", sig_1, ERR_CERT_SIGNATURE, "cabundle[1]", 0},
    {"SIG-1", sig_leaf, ERR_CERT_SIGNATURE, "certificate", 0},
    {"SIG-4", sig_4, ERR_SIGNATURE, "cose.signature", 0},
    {"SIG-5", sig_5, ERR_SIGNATURE, "cose.signature", 0},
};

/* ---- the document ---- */

static void world_init(struct world *w)
{
    *w = (struct world){
        .array = RAW("\x84"),
        .header = RAW("\x44\xa1\x01\x38\x22"),
        .unprotected = RAW("\xa0"),
        .map = RAW("\xbf"),
        .kind = ATTDOC_ENCLAVE,
    };
    mkdoc_chain_defaults(&w->spec, NOW_MS, MODULE, "eu-west-1");
}

/* The good value, unless another one is set. */
static void write_value(const struct world *w, int key, const struct mkdoc_chain *chain,
                        struct cbor_writer *out)
{
    static const uint8_t pcr[ATTDOC_PCR_LEN] = {1};
    if (w->value[key].ptr != NULL) {
        cbor_writer_raw(out, w->value[key]);
    } else if (key == MODULE_ID) {
        cbor_writer_cstr(out, MODULE);
    } else if (key == DIGEST) {
        cbor_writer_cstr(out, "SHA384");
    } else if (key == TIMESTAMP) {
        cbor_writer_uint(out, (uint64_t)NOW_MS);
    } else if (key == PCRS) {
        cbor_writer_map(out, 1);
        cbor_writer_uint(out, 0);
        cbor_writer_bytes(out, bytes_of(pcr, sizeof pcr));
    } else if (key == CERT) {
        cbor_writer_bytes(out, bytes_of_buf(&chain->der[chain->len - 1]));
    } else if (key == CABUNDLE) {
        cbor_writer_array(out, chain->len - 1);
        for (size_t i = 0; i + 1 < chain->len; i++)
            cbor_writer_bytes(out, bytes_of_buf(&chain->der[i]));
    } else {
        cbor_writer_null(out);
    }
}

static void make_payload(const struct world *w, const struct mkdoc_chain *chain,
                         struct buf *payload)
{
    struct cbor_writer out;
    cbor_writer_init(&out, payload);
    cbor_writer_raw(&out, w->map);
    for (int key = 0; key < KEYS; key++) {
        if (w->omitted[key])
            continue;
        cbor_writer_cstr(&out, keys[key]);
        write_value(w, key, chain, &out);
    }
    cbor_writer_raw(&out, w->entries);
    cbor_writer_raw(&out, RAW("\xff"));
    cbor_writer_raw(&out, w->payload_tail);
    ck_ok(cbor_writer_finish(&out));
}

/* mkdoc signs; what it signed is then put into the envelope of this world. */
static void make_document(const struct world *w, const struct mkdoc_chain *chain,
                          struct buf *document)
{
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf whole = {0};
    make_payload(w, chain, &payload);
    ck_ok(mkdoc_sign(chain, bytes_of_buf(&payload), &whole));
    uint8_t *signature = whole.ptr + whole.len - 96;
    if (w->zero_r)
        memset(signature, 0, 48);
    if (w->wrong_s)
        signature[95] ^= 1;
    struct cbor_writer out;
    cbor_writer_init(&out, document);
    cbor_writer_raw(&out, w->tag);
    cbor_writer_raw(&out, w->array);
    cbor_writer_raw(&out, w->header);
    cbor_writer_raw(&out, w->unprotected);
    if (w->payload_item.ptr != NULL)
        cbor_writer_raw(&out, w->payload_item);
    else
        cbor_writer_bytes(&out, bytes_of_buf(&payload));
    if (w->signature_item.ptr != NULL)
        cbor_writer_raw(&out, w->signature_item);
    else
        cbor_writer_bytes(&out, bytes_of(signature, 96));
    cbor_writer_raw(&out, w->tail);
    ck_ok(cbor_writer_finish(&out));
}

static struct fault judge(const struct world *w)
{
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain chain = {0};
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(buf_free) struct buf document = {0};
    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    struct fault fault = FAULT_NONE;
    ck_ok(mkdoc_chain_make(&w->spec, &chain));
    make_document(w, &chain, &document);
    ck_ok(mkdoc_root_pem(&chain, &pem));
    ck_ok(attest_trust_new(w->other_root ? NULL : buf_text(&pem), 0, NULL, &trust, NULL));
    fault.code = attest_verify(trust, bytes_of_buf(&document), w->kind, NOW_MS, NULL, NULL, &fault);
    return fault;
}

static void expect(const struct world *w, const struct breach *first, const char *with)
{
    const struct fault fault = judge(w);
    ck_assert_msg(fault.code == first->err && strcmp(fault.field, first->field) == 0,
                  "%s [%s] %s: got %s [%s] %s", first->rule, first->field, with,
                  err_wire(fault.code), fault.field, fault.detail);
}

static bool excludes(const struct breach *a, const struct breach *b)
{
    return (a->slots & b->slots) != 0;
}

/* ---- the order ---- */

START_TEST(valid_unbroken)
{
    struct world w;
    world_init(&w);
    const struct fault fault = judge(&w);
    ck_assert_msg(fault.code == ERR_OK, "%s [%s] %s", err_wire(fault.code), fault.field,
                  fault.detail);
}
END_TEST

START_TEST(wrong_alone)
{
    for (size_t i = 0; i < ARRAY_LEN(breaches); i++) {
        struct world w;
        world_init(&w);
        breaches[i].make(&w);
        expect(&w, &breaches[i], "alone");
    }
}
END_TEST

START_TEST(wrong_with_the_next)
{
    for (size_t i = 0; i < ARRAY_LEN(breaches); i++) {
        size_t next = i + 1;
        while (next < ARRAY_LEN(breaches) && excludes(&breaches[i], &breaches[next]))
            next++;
        if (next == ARRAY_LEN(breaches))
            break;
        struct world w;
        world_init(&w);
        breaches[next].make(&w);
        breaches[i].make(&w);
        expect(&w, &breaches[i], breaches[next].rule);
    }
}
END_TEST

/* The later ones first, so that an earlier one overwrites what has one place only. */
START_TEST(wrong_with_all_that_follow)
{
    for (size_t i = 0; i < ARRAY_LEN(breaches); i++) {
        struct world w;
        world_init(&w);
        for (size_t later = ARRAY_LEN(breaches) - 1; later > i; later--) {
            if (!excludes(&breaches[i], &breaches[later]))
                breaches[later].make(&w);
        }
        breaches[i].make(&w);
        expect(&w, &breaches[i], "with all that follow");
    }
}
END_TEST

UNIT_MAIN("rule_order", valid_unbroken, wrong_alone, wrong_with_the_next,
          wrong_with_all_that_follow)
