/* Payloads of attestation documents in pieces, and what the tests of two files share. */
#ifndef VOUCHSAFE_ATTDOC_PIECES_H
#define VOUCHSAFE_ATTDOC_PIECES_H

#include "common/attdoc.h"
#include "common/cbor_writer.h"
#include "unit.h"

#define PAYLOAD_OFFSET 1000 /* where the payload begins in a document that is not here */

/* ---- a payload in pieces: CBOR of each value, changed or left out by a test ---- */

enum { MODULE_ID, DIGEST, TIMESTAMP, PCRS, CERT, CABUNDLE, PUBLIC_KEY, USER_DATA, NONCE, EXTRA };
#define ENTRIES (EXTRA + 1)

struct piece {
    const char *key; /* NULL: left out */
    struct buf value;
};

struct payload {
    bool indefinite;
    struct piece piece[ENTRIES];
    struct buf encoded;
};

static uint8_t blob[4096];

static inline struct cbor_writer rewrite(struct payload *p, int index, const char *key)
{
    struct cbor_writer w;
    p->piece[index].key = key;
    p->piece[index].value.len = 0;
    cbor_writer_init(&w, &p->piece[index].value);
    return w;
}

static inline void set_text(struct payload *p, int index, const char *key, const char *value)
{
    struct cbor_writer w = rewrite(p, index, key);
    cbor_writer_cstr(&w, value);
    ck_ok(cbor_writer_finish(&w));
}

static inline void set_uint(struct payload *p, int index, const char *key, uint64_t value)
{
    struct cbor_writer w = rewrite(p, index, key);
    cbor_writer_uint(&w, value);
    ck_ok(cbor_writer_finish(&w));
}

static inline void set_bytes(struct payload *p, int index, const char *key, size_t len)
{
    struct cbor_writer w = rewrite(p, index, key);
    cbor_writer_bytes(&w, bytes_of(blob, len));
    ck_ok(cbor_writer_finish(&w));
}

static inline void set_null(struct payload *p, int index, const char *key)
{
    struct cbor_writer w = rewrite(p, index, key);
    cbor_writer_null(&w);
    ck_ok(cbor_writer_finish(&w));
}

static inline void set_raw(struct payload *p, int index, const char *key, const char *cbor,
                           size_t len)
{
    struct cbor_writer w = rewrite(p, index, key);
    cbor_writer_raw(&w, bytes_of(cbor, len));
    ck_ok(cbor_writer_finish(&w));
}

/* PCRs with these indices; value i begins with the byte i + 1. */
static inline void set_pcrs(struct payload *p, const char *key, const uint64_t *index, size_t count,
                            size_t len)
{
    struct cbor_writer w = rewrite(p, PCRS, key);
    cbor_writer_map(&w, count);
    for (size_t i = 0; i < count; i++) {
        uint8_t value[ATTDOC_PCR_LEN + 1] = {(uint8_t)(index[i] + 1)};
        cbor_writer_uint(&w, index[i]);
        cbor_writer_bytes(&w, bytes_of(value, len));
    }
    ck_ok(cbor_writer_finish(&w));
}

static inline void set_cabundle(struct payload *p, size_t count, size_t len)
{
    struct cbor_writer w = rewrite(p, CABUNDLE, "cabundle");
    cbor_writer_array(&w, count);
    for (size_t i = 0; i < count; i++)
        cbor_writer_bytes(&w, bytes_of(blob, len));
    ck_ok(cbor_writer_finish(&w));
}

static inline void omit(struct payload *p, int index)
{
    p->piece[index].key = NULL;
}

static const uint64_t some_pcrs[] = {0, 1, 2, 3, 4, 31};

static inline void payload_init(struct payload *p)
{
    *p = (struct payload){0};
    for (size_t i = 0; i < sizeof blob; i++)
        blob[i] = (uint8_t)(i * 7 + (i >> 8));
    set_text(p, MODULE_ID, "module_id", "i-0123456789abcdef0-enc0123456789abcdef");
    set_text(p, DIGEST, "digest", "SHA384");
    set_uint(p, TIMESTAMP, "timestamp", 1766620800123);
    set_pcrs(p, "pcrs", some_pcrs, ARRAY_LEN(some_pcrs), ATTDOC_PCR_LEN);
    set_bytes(p, CERT, "certificate", 600);
    set_cabundle(p, 4, 700);
    set_bytes(p, PUBLIC_KEY, "public_key", 44);
    set_bytes(p, USER_DATA, "user_data", 51);
    set_null(p, NONCE, "nonce");
}

static inline void payload_free(struct payload *p)
{
    for (size_t i = 0; i < ENTRIES; i++)
        buf_free(&p->piece[i].value);
    buf_free(&p->encoded);
}

static inline size_t payload_count(const struct payload *p)
{
    size_t count = 0;
    for (size_t i = 0; i < ENTRIES; i++)
        count += p->piece[i].key != NULL;
    return count;
}

/* Encodes the pieces in this order, or the other way round. */
static inline struct bytes encode_ordered(struct payload *p, bool backwards)
{
    struct cbor_writer w;
    p->encoded.len = 0;
    cbor_writer_init(&w, &p->encoded);
    if (p->indefinite)
        cbor_writer_raw(&w, bytes_of("\xbf", 1));
    else
        cbor_writer_map(&w, payload_count(p));
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct piece *piece = &p->piece[backwards ? ENTRIES - 1 - i : i];
        if (piece->key == NULL)
            continue;
        cbor_writer_cstr(&w, piece->key);
        cbor_writer_raw(&w, bytes_of_buf(&piece->value));
    }
    if (p->indefinite)
        cbor_writer_raw(&w, bytes_of("\xff", 1));
    ck_ok(cbor_writer_finish(&w));
    return bytes_of_buf(&p->encoded);
}

static inline struct bytes encode(struct payload *p)
{
    return encode_ordered(p, false);
}

/* What a refusal leaves in `out`: nothing. */
static inline void check_refused_with(struct bytes in, const struct attdoc_tolerate *tolerate,
                                      enum err expected, const char *field)
{
    struct attdoc doc;
    struct attdoc untouched;
    memset(&doc, 0xa5, sizeof doc);
    memset(&untouched, 0xa5, sizeof untouched);
    struct fault fault = FAULT_NONE;
    ck_err(attdoc_parse(in, PAYLOAD_OFFSET, tolerate, &doc, &fault), expected);
    ck_assert_msg(fault.code == expected, "fault %s: %s", err_wire(fault.code), fault.detail);
    ck_assert_str_eq(fault.field, field);
    ck_assert_uint_ge(fault.offset, PAYLOAD_OFFSET);
    ck_assert_uint_le(fault.offset, PAYLOAD_OFFSET + in.len);
    ck_assert_str_ne(fault.detail, "");
    ck_assert_mem_eq(&doc, &untouched, sizeof doc);
    ck_err(attdoc_parse(in, PAYLOAD_OFFSET, tolerate, &doc, NULL), expected);
}

static inline void check_refused(struct payload *p, enum err expected, const char *field)
{
    check_refused_with(encode(p), NULL, expected, field);
}

static inline void check_accepted(struct payload *p, struct attdoc *doc)
{
    struct fault fault = FAULT_NONE;
    const enum err err = attdoc_parse(encode(p), PAYLOAD_OFFSET, NULL, doc, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s: %s", err_wire(err), fault.field, fault.detail);
}

#define PAYLOAD(p)                          \
    CLEANUP(payload_free) struct payload p; \
    payload_init(&p)

static inline void check_fields(const struct attdoc *doc)
{
    ck_assert_int_eq(doc->kind, ATTDOC_ENCLAVE);
    ck_assert(bytes_equal_text(doc->module_id, "i-0123456789abcdef0-enc0123456789abcdef"));
    ck_assert_uint_eq(doc->timestamp_ms, 1766620800123);
    ck_assert_uint_eq(doc->pcr_present, 0x8000001fu);
    for (size_t i = 0; i < ATTDOC_PCR_COUNT; i++) {
        ck_assert_int_eq(doc->pcr[i] != NULL, (doc->pcr_present >> i) & 1);
        if (doc->pcr[i] != NULL)
            ck_assert_uint_eq(doc->pcr[i][0], i + 1);
    }
    ck_assert(bytes_equal(doc->certificate, bytes_of(blob, 600)));
    ck_assert_uint_eq(doc->cabundle_len, 4);
    for (size_t i = 0; i < 4; i++)
        ck_assert(bytes_equal(doc->cabundle[i], bytes_of(blob, 700)));
    ck_assert_int_eq(doc->public_key.state, ATTDOC_PRESENT);
    ck_assert(bytes_equal(doc->public_key.value, bytes_of(blob, 44)));
    ck_assert_int_eq(doc->user_data.state, ATTDOC_PRESENT);
    ck_assert(bytes_equal(doc->user_data.value, bytes_of(blob, 51)));
    ck_assert_int_eq(doc->nonce.state, ATTDOC_NULL);
}

static const char *const known_keys[] = {
    [MODULE_ID] = "module_id",   [DIGEST] = "digest",
    [TIMESTAMP] = "timestamp",   [PCRS] = "pcrs",
    [CERT] = "certificate",      [CABUNDLE] = "cabundle",
    [PUBLIC_KEY] = "public_key", [USER_DATA] = "user_data",
    [NONCE] = "nonce",
};

#endif
