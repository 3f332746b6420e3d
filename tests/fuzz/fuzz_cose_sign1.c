/* A COSE_Sign1 of each profile: the first byte of the input says which.  What parses is
 * written again byte for byte; no second profile takes it but the receipt's three kin, whose
 * signatures still differ, and AWS's other kind; it verifies exactly where a second opinion says
 * so. */
#include <openssl/evp.h>

#include "common/cbor_writer.h"
#include "fixed_keys.h"

/* PROTOCOL section 5, once more. */
static const struct {
    const char *digest;
    const char *aad;
    const char *header; /* up to the kid */
} specs[COSE_PROFILE_COUNT] = {
    [COSE_ATTESTATION] = {"SHA384", "", "\xa1\x01\x38\x22"},
    [COSE_RECEIPT] = {"SHA256", "vouchsafe/1 receipt", "\xa2\x01\x26\x04\x50"},
    [COSE_DELEGATION] = {"SHA384", "vouchsafe/1 delegation", "\xa2\x01\x38\x22\x04\x50"},
    [COSE_CHECKPOINT] = {"SHA256", "vouchsafe/1 checkpoint", "\xa2\x01\x26\x04\x50"},
    [COSE_SEALING_KEY] = {"SHA256", "vouchsafe/1 sealing-key", "\xa2\x01\x26\x04\x50"},
    [COSE_EIF_ES256] = {"SHA256", "", "\xa1\x01\x26"},
    [COSE_EIF_ES384] = {"SHA384", "", "\xa1\x01\x38\x22"},
    [COSE_EIF_ES512] = {"SHA512", "", "\xa1\x01\x38\x23"},
};

/* Of AWS's kinds. */
static bool is_without_kid(enum cose_profile profile)
{
    return specs[profile].aad[0] == '\0';
}

static size_t signature_len(enum cose_profile profile)
{
    const char *digest = specs[profile].digest;
    return strcmp(digest, "SHA256") == 0 ? 64 : strcmp(digest, "SHA384") == 0 ? 96 : 132;
}

static EVP_PKEY *key_of(enum cose_profile profile)
{
    const size_t len = signature_len(profile);
    return len == 64 ? fuzz_keys()->receipt : len == 96 ? fuzz_keys()->issuer : fuzz_keys()->p521;
}

/* Another on the same curve; NULL on P-521, which has one key here. */
static EVP_PKEY *stranger_of(enum cose_profile profile)
{
    const size_t len = signature_len(profile);
    return len == 64 ? fuzz_keys()->stranger256 : len == 96 ? fuzz_keys()->stranger384 : NULL;
}

/* One on another curve. */
static EVP_PKEY *wrong_key_of(enum cose_profile profile)
{
    return signature_len(profile) == 64 ? fuzz_keys()->issuer : fuzz_keys()->receipt;
}

static void check_written_again(const struct cose_sign1 *msg, struct bytes in)
{
    struct cbor_writer w;
    CLEANUP(buf_free) struct buf again = {0};
    cbor_writer_init(&w, &again);
    if (in.ptr[0] == 0xd2) /* tag 18: an attestation document may go without */
        cbor_writer_tag(&w, 18);
    cbor_writer_array(&w, 4);
    cbor_writer_bytes(&w, msg->protected_header);
    cbor_writer_map(&w, 0);
    cbor_writer_bytes(&w, msg->payload);
    cbor_writer_bytes(&w, msg->signature);
    FUZZ_OK(cbor_writer_finish(&w));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&again), in));
}

static void check_views(const struct cose_sign1 *msg, struct bytes in)
{
    const char *header = specs[msg->profile].header;
    FUZZ_HOLDS(msg->protected_header.len == strlen(header) + msg->kid.len);
    FUZZ_HOLDS(memcmp(msg->protected_header.ptr, header, strlen(header)) == 0);
    FUZZ_HOLDS(msg->kid.len == (is_without_kid(msg->profile) ? 0 : COSE_KID_LEN));
    FUZZ_HOLDS(fuzz_within(msg->protected_header, in));
    FUZZ_HOLDS(fuzz_within(msg->kid, msg->protected_header));
    FUZZ_HOLDS(fuzz_within(msg->payload, in) && msg->payload.len > 0);
    FUZZ_HOLDS(msg->payload.ptr == in.ptr + msg->payload_offset);
    FUZZ_HOLDS(fuzz_within(msg->signature, in));
    FUZZ_HOLDS(msg->signature.len == signature_len(msg->profile));
}

/* Under the key that signs here, a stranger's, and one on another curve. */
static void check_signature(const struct cose_sign1 *msg)
{
    struct fault fault = FAULT_NONE;
    const enum err err = cose_sign1_verify(msg, key_of(msg->profile), &fault);
    fuzz_check(err, &fault, 0, 0, NULL, 0);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_SIGNATURE);
    FUZZ_HOLDS((err == ERR_OK) ==
               fuzz_signature_holds(key_of(msg->profile), specs[msg->profile].digest,
                                    msg->protected_header, specs[msg->profile].aad, msg->payload,
                                    msg->signature));
    FUZZ_HOLDS(cose_sign1_verify(msg, wrong_key_of(msg->profile), NULL) == ERR_COSE_ALG);
    if (err != ERR_OK)
        return;
    FUZZ_HOLDS(stranger_of(msg->profile) == NULL ||
               cose_sign1_verify(msg, stranger_of(msg->profile), NULL) == ERR_SIGNATURE);
    /* One key signs three kinds: none passes for another.  AWS's have the same aad, none. */
    for (enum cose_profile other = 0; other < COSE_PROFILE_COUNT; other++) {
        struct cose_sign1 as = *msg;
        as.profile = other;
        FUZZ_HOLDS(strcmp(specs[other].aad, specs[msg->profile].aad) == 0 ||
                   key_of(other) != key_of(msg->profile) ||
                   cose_sign1_verify(&as, key_of(other), NULL) == ERR_SIGNATURE);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const enum cose_profile profile = fuzz_take_byte(&in) % COSE_PROFILE_COUNT;
    struct fault fault = FAULT_NONE;
    struct cose_sign1 msg, again;
    (void)fuzz_keys();
    FUZZ_FILL(&msg);
    const enum err err = cose_sign1_parse(profile, in, &msg, &fault);
    FUZZ_CHECK(err, &fault, in, &msg);
    FUZZ_HOLDS(cose_sign1_parse(profile, in, &again, NULL) == err);
    if (err != ERR_OK)
        return 0;
    FUZZ_HOLDS(msg.profile == profile);
    check_views(&msg, in);
    check_written_again(&msg, in);
    check_signature(&msg);
    return 0;
}

/* The message changed as CBOR; or its payload or profile, and signed again. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct bytes in = bytes_of(data, size);
    const uint8_t first = fuzz_take_byte(&in);
    struct cose_sign1 msg;
    if (size > 1 && fuzz_choose(&seed, 4) > 0)
        return 1 + fuzz_mutate_cbor(data + 1, size - 1, max_size - 1, seed);
    const uint8_t profile =
        (uint8_t)(fuzz_choose(&seed, 4) == 0 ? fuzz_choose(&seed, COSE_PROFILE_COUNT) : first);
    uint8_t payload[256] = "payload";
    size_t len = 7;
    if (cose_sign1_parse(first % COSE_PROFILE_COUNT, in, &msg, NULL) == ERR_OK) {
        len = msg.payload.len < sizeof payload ? msg.payload.len : sizeof payload;
        memcpy(payload, msg.payload.ptr, len);
    }
    len = LLVMFuzzerMutate(payload, len, sizeof payload);
    CLEANUP(buf_free) struct buf whole = {0};
    FUZZ_OK(buf_append(&whole, bytes_of(&profile, 1)));
    fuzz_sign(profile % COSE_PROFILE_COUNT, key_of(profile % COSE_PROFILE_COUNT),
              bytes_of(payload, len), &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
