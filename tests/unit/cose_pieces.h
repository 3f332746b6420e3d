/* COSE_Sign1 messages in pieces, and what the tests of two files share. */
#ifndef VOUCHSAFE_COSE_PIECES_H
#define VOUCHSAFE_COSE_PIECES_H

#include <openssl/ec.h>
#include <openssl/evp.h>

#include "common/cbor_writer.h"
#include "common/cose_sign1.h"
#include "unit.h"

#define MIB (1024 * 1024)

static const uint8_t kid[COSE_KID_LEN] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

/* What PROTOCOL section 5 says, written out a second time. */
static const struct {
    const char *aad;
    const char *curve;
    const char *digest;
    const char *header; /* up to the kid */
    size_t header_len;
    size_t half; /* of the signature */
    size_t payload_max;
} specs[COSE_PROFILE_COUNT] = {
    [COSE_ATTESTATION] = {"", "P-384", "SHA384", "\xa1\x01\x38\x22", 4, 48, 16384},
    [COSE_RECEIPT] = {"vouchsafe/1 receipt", "P-256", "SHA256", "\xa2\x01\x26\x04\x50", 5, 32, MIB},
    [COSE_DELEGATION] = {"vouchsafe/1 delegation", "P-384", "SHA384", "\xa2\x01\x38\x22\x04\x50", 6,
                         48, MIB},
    [COSE_CHECKPOINT] = {"vouchsafe/1 checkpoint", "P-256", "SHA256", "\xa2\x01\x26\x04\x50", 5, 32,
                         MIB},
    [COSE_SEALING_KEY] = {"vouchsafe/1 sealing-key", "P-256", "SHA256", "\xa2\x01\x26\x04\x50", 5,
                          32, MIB},
    [COSE_EIF_ES256] = {"", "P-256", "SHA256", "\xa1\x01\x26", 3, 32, 256},
    [COSE_EIF_ES384] = {"", "P-384", "SHA384", "\xa1\x01\x38\x22", 4, 48, 256},
    [COSE_EIF_ES512] = {"", "P-521", "SHA512", "\xa1\x01\x38\x23", 4, 66, 256},
};
#define HALF_MAX 66

/* Ours have a kid and are tagged; AWS's are not. */
static inline bool is_own(enum cose_profile profile)
{
    return profile >= COSE_RECEIPT && profile <= COSE_SEALING_KEY;
}

static uint8_t zeros[MIB + 1];

/* One key per curve and test process, so that nothing but the profile tells kinds apart. */
static inline EVP_PKEY *key_of(enum cose_profile profile)
{
    static EVP_PKEY *p256, *p384, *p521;
    const size_t half = specs[profile].half;
    EVP_PKEY **key = half == 32 ? &p256 : half == 48 ? &p384 : &p521;
    if (*key == NULL)
        *key = EVP_EC_gen(specs[profile].curve);
    ck_assert_ptr_nonnull(*key);
    return *key;
}

static inline const uint8_t *kid_of(enum cose_profile profile)
{
    return is_own(profile) ? kid : NULL;
}

static inline void sign(enum cose_profile profile, struct bytes payload, struct buf *out)
{
    ck_ok(cose_sign1_sign(profile, kid_of(profile), payload, key_of(profile), out));
}

/* ---- a message in pieces, each CBOR ---- */

struct pieces {
    struct buf head, header, unprotected, payload, signature, tail;
    struct buf encoded;
};

static inline void set_raw(struct buf *piece, const char *cbor, size_t len)
{
    piece->len = 0;
    ck_ok(buf_append(piece, bytes_of(cbor, len)));
}

static inline void set_bytes(struct buf *piece, const void *content, size_t len)
{
    struct cbor_writer w;
    piece->len = 0;
    cbor_writer_init(&w, piece);
    cbor_writer_bytes(&w, bytes_of(content, len));
    ck_ok(cbor_writer_finish(&w));
}

static inline void pieces_init(struct pieces *p, enum cose_profile profile)
{
    *p = (struct pieces){0};
    uint8_t header[32];
    const size_t len = specs[profile].header_len;
    memcpy(header, specs[profile].header, len);
    memcpy(header + len, kid, COSE_KID_LEN);
    set_bytes(&p->header, header, is_own(profile) ? len + COSE_KID_LEN : len);
    if (is_own(profile))
        set_raw(&p->head, "\xd2\x84", 2);
    else
        set_raw(&p->head, "\x84", 1);
    set_raw(&p->unprotected, "\xa0", 1);
    set_bytes(&p->payload, "payload", 7);
    set_bytes(&p->signature, zeros, 2 * specs[profile].half);
}

static inline void pieces_free(struct pieces *p)
{
    buf_free(&p->head);
    buf_free(&p->header);
    buf_free(&p->unprotected);
    buf_free(&p->payload);
    buf_free(&p->signature);
    buf_free(&p->tail);
    buf_free(&p->encoded);
}

static inline struct bytes encode(struct pieces *p)
{
    const struct buf *const all[] = {&p->head,    &p->header,    &p->unprotected,
                                     &p->payload, &p->signature, &p->tail};
    p->encoded.len = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ck_ok(buf_append(&p->encoded, bytes_of_buf(all[i])));
    return bytes_of_buf(&p->encoded);
}

#define PIECES(p, profile)                \
    CLEANUP(pieces_free) struct pieces p; \
    pieces_init(&p, profile)

static inline void check_refused(enum cose_profile profile, struct bytes in, enum err expected,
                                 const char *field)
{
    struct cose_sign1 msg;
    struct cose_sign1 untouched;
    memset(&msg, 0xa5, sizeof msg);
    memset(&untouched, 0xa5, sizeof untouched);
    struct fault fault = FAULT_NONE;
    ck_err(cose_sign1_parse(profile, in, &msg, &fault), expected);
    ck_assert_msg(fault.code == expected, "fault %s: %s", err_wire(fault.code), fault.detail);
    ck_assert_str_eq(fault.field, field);
    ck_assert_uint_le(fault.offset, in.len);
    ck_assert_str_ne(fault.detail, "");
    ck_assert_mem_eq(&msg, &untouched, sizeof msg);
    ck_err(cose_sign1_parse(profile, in, &msg, NULL), expected);
}

static inline void check_accepted(enum cose_profile profile, struct bytes in,
                                  struct cose_sign1 *msg)
{
    struct fault fault = FAULT_NONE;
    const enum err err = cose_sign1_parse(profile, in, msg, &fault);
    ck_assert_msg(err == ERR_OK, "%s: %s: %s", err_wire(err), fault.field, fault.detail);
}

#endif
