/* An enclave image file, fed in pieces.  However it is cut, the verdict is the same; what is
 * accepted has the measurements of a second reading, which walks from head to head as nitro-cli
 * does; a PCR8 has a signature that OpenSSL confirms over a Sig_structure written out once more;
 * and the description is read by nitro_json as the same measurements. */
#include <openssl/x509.h>

#include "common/cbor_reader.h"
#include "common/json_reader.h"
#include "common/openssl_cleanup.h"
#include "fixed_keys.h"
#include "tests/lib/mkeif.h"
#include "verifier/measure/eif.h"

static enum err read_in(struct bytes in, size_t cut, struct eif_description *out,
                        struct fault *fault)
{
    CLEANUP(eif_freep) struct eif *eif = NULL;
    FUZZ_OK(eif_new(&eif));
    while (in.len > 0) {
        TRY(eif_feed(eif, fuzz_take(&in, cut), fault));
    }
    return eif_finish(eif, out, fault);
}

static uint64_t read_be(const uint8_t *at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

/* From head to head, as far as it goes. */
static void walk(struct bytes in, struct mkeif *out)
{
    *out = (struct mkeif){.version = 4};
    if (in.len < MKEIF_HEADER_LEN)
        return;
    out->version = (unsigned)read_be(in.ptr + 4, 2);
    in = bytes_of(in.ptr + MKEIF_HEADER_LEN, in.len - MKEIF_HEADER_LEN);
    while (in.len >= MKEIF_HEAD_LEN && out->count < MKEIF_SECTIONS_MAX) {
        const struct bytes head = fuzz_take(&in, MKEIF_HEAD_LEN);
        const uint64_t size = read_be(head.ptr + 4, 8);
        mkeif_add(out, (unsigned)read_be(head.ptr, 2),
                  fuzz_take(&in, size < in.len ? (size_t)size : in.len));
    }
}

static struct bytes section_of(const struct mkeif *eif, unsigned type)
{
    for (size_t i = 0; i < eif->count; i++) {
        if (eif->section[i].type == type)
            return eif->section[i].content;
    }
    return (struct bytes){0};
}

/* ---- the signature ---- */

/* The second array of numbers. */
static void read_message(struct bytes section, struct buf *message)
{
    struct cbor_reader r;
    struct cbor_map map;
    struct bytes key;
    uint64_t count = 0;
    cbor_reader_init(&r, section, 0, "", NULL);
    FUZZ_OK(cbor_reader_expect_array(&r, 1));
    FUZZ_OK(cbor_reader_map(&r, false, &map));
    FUZZ_OK(cbor_reader_text(&r, &key));
    FUZZ_OK(cbor_reader_skip(&r, 2));
    FUZZ_OK(cbor_reader_text(&r, &key));
    FUZZ_OK(cbor_reader_array(&r, &count));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t value = 0;
        FUZZ_OK(cbor_reader_uint(&r, &value));
        const uint8_t octet = (uint8_t)value;
        FUZZ_OK(buf_append(message, bytes_of(&octet, 1)));
    }
}

static void check_signature(const struct eif_description *found, struct bytes section)
{
    CLEANUP(buf_free) struct buf message = {0};
    CLEANUP(buf_free) struct buf payload = {0};
    const uint8_t *end = found->certificate.ptr;
    CLEANUP(x509_freep) X509 *cert = d2i_X509(NULL, &end, (long)found->certificate.len);
    FUZZ_HOLDS(cert != NULL && end == found->certificate.ptr + found->certificate.len);
    EVP_PKEY *key = X509_get0_pubkey(cert);
    const int bits = EVP_PKEY_get_bits(key);
    struct bytes r;
    struct cose_sign1 msg;
    read_message(section, &message);
    r = bytes_of_buf(&message);
    const enum cose_profile profile = bits == 256   ? COSE_EIF_ES256
                                      : bits == 384 ? COSE_EIF_ES384
                                                    : COSE_EIF_ES512;
    FUZZ_OK(cose_sign1_parse(profile, r, &msg, NULL));
    FUZZ_OK(mkeif_pcr_info(0, bytes_of(found->measured.pcr[0], ATTDOC_PCR_LEN), &payload));
    FUZZ_HOLDS(bytes_equal(msg.payload, bytes_of_buf(&payload)));
    FUZZ_HOLDS(fuzz_signature_holds(key,
                                    bits == 256   ? "SHA256"
                                    : bits == 384 ? "SHA384"
                                                  : "SHA512",
                                    msg.protected_header, "", msg.payload, msg.signature));
}

/* ---- what is accepted ---- */

static void check_measurements(const struct eif_description *found, const struct mkeif *parts)
{
    uint8_t pcr[3][ATTDOC_PCR_LEN];
    uint8_t pcr8[ATTDOC_PCR_LEN];
    FUZZ_OK(mkeif_pcrs(parts, pcr));
    for (int i = 0; i < 3; i++)
        FUZZ_HOLDS(memcmp(found->measured.pcr[i], pcr[i], ATTDOC_PCR_LEN) == 0);
    const struct bytes signature = section_of(parts, MKEIF_SIGNATURE);
    const bool is_signed = signature.len > 0;
    FUZZ_HOLDS(found->measured.present == (is_signed ? 0x107u : 7u));
    FUZZ_HOLDS((found->certificate.len > 0) == is_signed);
    if (!is_signed)
        return;
    FUZZ_OK(mkeif_pcr(bytes_of_buf(&found->certificate), pcr8));
    FUZZ_HOLDS(memcmp(found->measured.pcr[8], pcr8, ATTDOC_PCR_LEN) == 0);
    check_signature(found, signature);
}

static void check_description(const struct eif_description *found)
{
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(json_decrefp) json_t *json = NULL;
    struct nitro_measurements again;
    FUZZ_OK(eif_describe(found, &json));
    FUZZ_OK(json_append_lines(&text, json));
    for (size_t i = 0; i < text.len; i++)
        FUZZ_HOLDS((text.ptr[i] >= 0x20 && text.ptr[i] <= 0x7e) || text.ptr[i] == '\n');
    FUZZ_OK(nitro_json_parse(bytes_of_buf(&text), &again, NULL));
    FUZZ_HOLDS(again.present == found->measured.present);
    FUZZ_OK(nitro_measurements_agree(&again, &found->measured, NULL));
    for (const char *c = found->measured.provenance; *c != '\0'; c++)
        FUZZ_HOLDS(*c >= 0x20 && *c <= 0x7e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    struct mkeif parts;
    struct fault fault = FAULT_NONE;
    struct fault other = FAULT_NONE;
    struct eif_description found;
    struct eif_description again;
    FUZZ_FILL(&found);
    const enum err err = read_in(in, in.len, &found, &fault);
    FUZZ_CHECK(err, &fault, in, &found);
    /* Some length of piece, which goes with the input. */
    FUZZ_HOLDS(read_in(in, 1 + size % 97, &again, &other) == err);
    FUZZ_HOLDS(strcmp(fault.field, other.field) == 0 && fault.offset == other.offset);
    if (err != ERR_OK)
        return 0;
    walk(in, &parts);
    check_measurements(&found, &parts);
    check_measurements(&again, &parts);
    check_description(&found);
    (void)eif_signer_expired(&found, FUZZ_TIME_MS);
    eif_description_free(&found);
    eif_description_free(&again);
    return 0;
}

/* ---- the mutator ---- */

static EVP_PKEY *choose_key(unsigned *seed)
{
    const struct fuzz_keys *keys = fuzz_keys();
    switch (fuzz_choose(seed, 3)) {
    case 0:
        return keys->issuer;
    case 1:
        return keys->receipt;
    default:
        return keys->p521;
    }
}

/* Signed well, but it may be another PCR, another value, or no such map at all. */
static void sign_other(const struct mkeif *eif, EVP_PKEY *key, struct bytes der, unsigned *seed,
                       struct buf *section)
{
    static const char *const names[] = {"CERTIFICATE", "CERTIFICATE", "PRIVATE KEY", ""};
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(buf_free) struct buf message = {0};
    uint8_t pcr[3][ATTDOC_PCR_LEN];
    FUZZ_OK(mkeif_pcrs(eif, pcr));
    const struct bytes value =
        bytes_of(pcr[fuzz_choose(seed, 2)], ATTDOC_PCR_LEN - fuzz_choose(seed, 2));
    FUZZ_OK(mkeif_pcr_info(fuzz_choose(seed, 2), value, &payload));
    if (fuzz_choose(seed, 2) == 0) {
        FUZZ_OK(buf_reserve(&payload, 64));
        const unsigned next = (*seed += 0x9e3779b9u);
        payload.len = fuzz_mutate_cbor(payload.ptr, payload.len, payload.len + 64, next);
    }
    const char *name = names[fuzz_choose(seed, ARRAY_LEN(names))];
    if (name[0] != '\0')
        FUZZ_OK(mkeif_pem(name, der, &pem));
    FUZZ_OK(mkeif_message(key, bytes_of_buf(&payload), &message));
    FUZZ_OK(mkeif_signature(bytes_of_buf(&pem), bytes_of_buf(&message), section));
}

/* Drops what is there and signs the rest, under a certificate that may be changed, too. */
static void sign_again(struct mkeif *eif, unsigned *seed, struct buf *section)
{
    CLEANUP(buf_free) struct buf der = {0};
    CLEANUP(buf_free) struct buf changed = {0};
    EVP_PKEY *key = choose_key(seed);
    size_t kept = 0;
    for (size_t i = 0; i < eif->count; i++) {
        if (eif->section[i].type != MKEIF_SIGNATURE)
            eif->section[kept++] = eif->section[i];
    }
    eif->count = kept < MKEIF_SECTIONS_MAX ? kept : kept - 1;
    FUZZ_OK(mkeif_certificate(key, fuzz_choose(seed, 2) == 0 ? 1 : 3, &der));
    if (fuzz_choose(seed, 3) == 0)
        fuzz_mutate_der(bytes_of_buf(&der), seed, &changed);
    const struct bytes used = bytes_of_buf(changed.len > 0 ? &changed : &der);
    if (fuzz_choose(seed, 3) == 0)
        sign_other(eif, key, used, seed, section);
    else
        FUZZ_OK(mkeif_sign(eif, key, used, section));
    mkeif_add(eif, MKEIF_SIGNATURE, bytes_of_buf(section));
}

/* One section's content, as what it is. */
static void change_content(struct mkeif *eif, unsigned *seed, size_t max_size, struct buf *content)
{
    const size_t i = fuzz_choose(seed, (uint32_t)eif->count);
    struct bytes *old = &eif->section[i].content;
    FUZZ_OK(buf_append(content, *old));
    FUZZ_OK(buf_reserve(content, max_size));
    const unsigned next = (*seed += 0x9e3779b9u);
    if (eif->section[i].type == MKEIF_SIGNATURE)
        content->len = fuzz_mutate_cbor(content->ptr, content->len, max_size, next);
    else if (eif->section[i].type == MKEIF_METADATA)
        content->len = fuzz_mutate_json(content->ptr, content->len, max_size, next);
    else
        content->len = LLVMFuzzerMutate(content->ptr, content->len, max_size);
    *old = bytes_of_buf(content);
}

static void change_sections(struct mkeif *eif, unsigned *seed)
{
    const size_t a = fuzz_choose(seed, (uint32_t)eif->count);
    const size_t b = fuzz_choose(seed, (uint32_t)eif->count);
    const struct bytes content = eif->section[a].content;
    switch (fuzz_choose(seed, 5)) {
    case 0:
        eif->section[a] = eif->section[--eif->count];
        break;
    case 1:
        if (eif->count < MKEIF_SECTIONS_MAX)
            mkeif_add(eif, eif->section[a].type, content);
        break;
    case 2:
        eif->section[a].content = eif->section[b].content;
        eif->section[b].content = content;
        break;
    case 3:
        eif->section[a].type = fuzz_choose(seed, 7);
        break;
    default:
        eif->version = fuzz_choose(seed, 6);
    }
}

/* Changed as a whole, its table and CRC right; seldom as bytes, or anew. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    CLEANUP(buf_free) struct buf whole = {0};
    CLEANUP(buf_free) struct buf content = {0};
    struct mkeif eif;
    const uint32_t way = fuzz_choose(&seed, 8);
    if (way == 0 && size > MKEIF_HEADER_LEN) {
        size = LLVMFuzzerMutate(data, size, max_size);
        FUZZ_OK(buf_append(&whole, bytes_of(data, size)));
        if (whole.len >= MKEIF_HEADER_LEN)
            mkeif_fix_crc(&whole);
        return fuzz_replace(data, size, max_size, &whole);
    }
    walk(bytes_of(data, size), &eif);
    if (eif.count == 0 || way == 1)
        mkeif_defaults(&eif, fuzz_choose(&seed, 4));
    if (way < 4)
        change_content(&eif, &seed, max_size, &content);
    else if (way < 6)
        change_sections(&eif, &seed);
    CLEANUP(buf_free) struct buf signature = {0};
    if (fuzz_choose(&seed, 3) == 0)
        sign_again(&eif, &seed, &signature);
    FUZZ_OK(mkeif_build(&eif, &whole));
    return fuzz_replace(data, size, max_size, &whole);
}
