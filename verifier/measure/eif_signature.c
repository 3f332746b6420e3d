#include "eif_signature.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/cbor_reader.h"
#include "common/codec.h"
#include "common/cose_sign1.h"
#include "common/openssl_cleanup.h"
#include "common/spki.h"
#include "verifier/attest/der.h"

#define DER_CERT_VERSION 0xa0 /* [0] EXPLICIT; absent in version 1 */
#define CERT_FIELD       "signing_certificate"
#define SIGNATURE_FIELD  "signature"

/* The signer's curve decides the algorithm. */
static const struct algorithm {
    const struct spki_form *form;
    enum cose_profile profile;
} algorithms[] = {
    {&spki_p256, COSE_EIF_ES256},
    {&spki_p384, COSE_EIF_ES384},
    {&spki_p521, COSE_EIF_ES512},
};

/* ---- the section ---- */

/* AWS's library writes bytes as an array of numbers. */
static enum err read_octets(struct cbor_reader *r, const char *field, struct buf *out)
{
    uint64_t count = 0;
    cbor_reader_at(r, field);
    TRY(cbor_reader_array(r, &count));
    TRY(buf_reserve(out, (size_t)count));
    for (uint64_t i = 0; i < count; i++) {
        uint64_t octet = 0;
        const size_t at = r->pos;
        cbor_reader_at_entry(r, field, i);
        TRY(cbor_reader_uint(r, &octet));
        if (octet > 0xff)
            FAIL(cbor_reader_fault(r, at), ERR_EIF, "%llu is no byte", (unsigned long long)octet);
        out->ptr[out->len++] = (uint8_t)octet;
    }
    return ERR_OK;
}

static enum err expect_key(struct cbor_reader *r, const char *key)
{
    struct bytes text;
    const size_t at = r->pos;
    cbor_reader_at(r, key);
    TRY(cbor_reader_text(r, &text));
    if (!bytes_equal_text(text, key))
        FAIL(cbor_reader_fault(r, at), ERR_EIF, "another key stands where \"%s\" is expected", key);
    return ERR_OK;
}

static enum err expect_map_of_two(struct cbor_reader *r)
{
    struct cbor_map map;
    const size_t at = r->pos;
    TRY(cbor_reader_map(r, false, &map));
    if (map.left != 2)
        FAIL(cbor_reader_fault(r, at), ERR_EIF, "a map of %llu entries where 2 are expected",
             (unsigned long long)map.left);
    return ERR_OK;
}

struct entry {
    struct buf pem;
    struct buf message;
    size_t pem_at; /* in the file */
    size_t message_at;
};

static void entry_free(struct entry *entry)
{
    buf_free(&entry->pem);
    buf_free(&entry->message);
}

static enum err read_entry(struct bytes section, size_t base, struct entry *entry,
                           struct fault *fault)
{
    struct cbor_reader r;
    uint64_t count = 0;
    cbor_reader_init(&r, section, base, "", fault);
    TRY(cbor_reader_array(&r, &count));
    if (count != 1)
        FAIL(cbor_reader_fault(&r, 0), ERR_EIF,
             "%llu signatures where one, of PCR0, is expected: sign the image once",
             (unsigned long long)count);
    TRY(expect_map_of_two(&r));
    TRY(expect_key(&r, CERT_FIELD));
    entry->pem_at = base + r.pos;
    TRY(read_octets(&r, CERT_FIELD, &entry->pem));
    TRY(expect_key(&r, SIGNATURE_FIELD));
    entry->message_at = base + r.pos;
    TRY(read_octets(&r, SIGNATURE_FIELD, &entry->message));
    cbor_reader_at(&r, "");
    return cbor_reader_end(&r);
}

/* ---- the certificate ---- */

struct pem_block {
    char *name;
    char *header;
    unsigned char *data;
    long len;
};

static void pem_block_free(struct pem_block *block)
{
    OPENSSL_free(block->name);
    OPENSSL_free(block->header);
    OPENSSL_free(block->data);
}

/* The first block, as OpenSSL finds it for nitro-cli; others of a chain may follow it.  It is
 * read as it is: an encrypted one would have OpenSSL ask for a password. */
static enum err read_pem(struct bytes pem, size_t at, struct buf *der, struct fault *fault)
{
    CLEANUP(pem_block_free) struct pem_block block = {0};
    if (pem.len == 0)
        FAIL(fault_at(fault, at, CERT_FIELD), ERR_EIF, "empty");
    CLEANUP(bio_freep) BIO *in = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    if (in == NULL)
        return crypto_no_memory();
    crypto_begin();
    const bool found = PEM_read_bio(in, &block.name, &block.header, &block.data, &block.len) == 1;
    TRY(crypto_own_fault());
    if (!found || strcmp(block.name, PEM_STRING_X509) != 0 || block.header[0] != '\0')
        FAIL(fault_at(fault, at, CERT_FIELD), ERR_EIF, "a PEM certificate is expected, found %.40s",
             found ? block.name : "no PEM block");
    return buf_append(der, bytes_of(block.data, (size_t)block.len));
}

/* RFC 5280 section 4.1, as far as the SubjectPublicKeyInfo, which is taken whole. */
static bool find_spki(struct bytes der, struct bytes *spki)
{
    struct bytes cert;
    struct bytes tbs;
    if (!der_take(&der, DER_SEQUENCE, NULL, &cert) || der.len != 0 ||
        !der_take(&cert, DER_SEQUENCE, NULL, &tbs))
        return false;
    if (tbs.len > 0 && tbs.ptr[0] == DER_CERT_VERSION &&
        !der_take(&tbs, DER_CERT_VERSION, NULL, NULL))
        return false;
    return der_take(&tbs, DER_INTEGER, NULL, NULL) &&  /* serialNumber */
           der_take(&tbs, DER_SEQUENCE, NULL, NULL) && /* signature */
           der_take(&tbs, DER_SEQUENCE, NULL, NULL) && /* issuer */
           der_take(&tbs, DER_SEQUENCE, NULL, NULL) && /* validity */
           der_take(&tbs, DER_SEQUENCE, NULL, NULL) && /* subject */
           der_take(&tbs, DER_SEQUENCE, spki, NULL);
}

/* Before OpenSSL sees the certificate: explicit curve parameters never reach curve
 * arithmetic. */
static const struct algorithm *find_algorithm(struct bytes spki)
{
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
        if (spki_has_form(spki, algorithms[i].form))
            return &algorithms[i];
    }
    return NULL;
}

/* nitro-cli measures what OpenSSL writes, and the enclave's PCR8 is that: it has to be what
 * stands here. */
static enum err check_written_again(struct bytes der, size_t at, struct fault *fault)
{
    const uint8_t *end = der.ptr;
    crypto_begin();
    CLEANUP(x509_freep) X509 *cert = d2i_X509(NULL, &end, (long)der.len);
    CLEANUP(openssl_freep) uint8_t *again = NULL;
    const int len = cert == NULL ? -1 : i2d_X509(cert, &again);
    TRY(crypto_own_fault());
    if (len < 0 || !bytes_equal(bytes_of(again, (size_t)len), der))
        FAIL(fault_at(fault, at, CERT_FIELD), ERR_CERT_MALFORMED,
             "the certificate cannot be read, or is not in DER");
    return ERR_OK;
}

static enum err read_certificate(struct bytes der, size_t at, enum cose_profile *profile,
                                 EVP_PKEY **key, struct fault *fault)
{
    struct bytes spki;
    if (!find_spki(der, &spki))
        FAIL(fault_at(fault, at, CERT_FIELD), ERR_CERT_MALFORMED, "not the DER of a certificate");
    const struct algorithm *algorithm = find_algorithm(spki);
    if (algorithm == NULL)
        FAIL(fault_at(fault, at, CERT_FIELD), ERR_CERT_ALGORITHM,
             "its key is none on P-256, P-384 or P-521, the curve named, the point uncompressed");
    TRY(check_written_again(der, at, fault));
    const enum err err = spki_to_key(spki, algorithm->form, key);
    if (err == ERR_MALFORMED)
        FAIL(fault_at(fault, at, CERT_FIELD), ERR_CERT_MALFORMED, "its key is no point on %s",
             algorithm->form->group);
    TRY(err);
    *profile = algorithm->profile;
    return ERR_OK;
}

/* ---- what is signed ---- */

struct pcr_info {
    uint64_t index;
    struct buf value;
};

static void pcr_info_free(struct pcr_info *info)
{
    buf_free(&info->value);
}

static enum err read_pcr_info(struct bytes payload, struct pcr_info *info, struct fault *fault)
{
    struct cbor_reader r;
    cbor_reader_init(&r, payload, 0, SIGNATURE_FIELD, fault);
    TRY(expect_map_of_two(&r));
    TRY(expect_key(&r, "register_index"));
    TRY(cbor_reader_uint(&r, &info->index));
    TRY(expect_key(&r, "register_value"));
    TRY(read_octets(&r, "register_value", &info->value));
    cbor_reader_at(&r, SIGNATURE_FIELD);
    return cbor_reader_end(&r);
}

static enum err check_payload(struct bytes payload, const uint8_t pcr0[static ATTDOC_PCR_LEN],
                              struct fault *fault)
{
    CLEANUP(pcr_info_free) struct pcr_info info = {0};
    TRY(read_pcr_info(payload, &info, fault));
    (void)fault_at(fault, FAULT_NO_OFFSET, SIGNATURE_FIELD);
    if (info.index != 0)
        FAIL(fault, ERR_PCR_MISMATCH, "it signs PCR%llu, PCR0 is expected",
             (unsigned long long)info.index);
    if (info.value.len != ATTDOC_PCR_LEN)
        FAIL(fault, ERR_PCR_MISMATCH, "it signs a value of %zu bytes, a PCR has %d", info.value.len,
             ATTDOC_PCR_LEN);
    if (memcmp(info.value.ptr, pcr0, ATTDOC_PCR_LEN) != 0) {
        char found[2 * ATTDOC_PCR_LEN + 1];
        char expected[2 * ATTDOC_PCR_LEN + 1];
        hex_encode(bytes_of_buf(&info.value), found);
        hex_encode(bytes_of(pcr0, ATTDOC_PCR_LEN), expected);
        FAIL(fault, ERR_PCR_MISMATCH, "it signs PCR0 %s, this image has %s", found, expected);
    }
    return ERR_OK;
}

static enum err check_message(const struct entry *entry, enum cose_profile profile, EVP_PKEY *key,
                              const uint8_t pcr0[static ATTDOC_PCR_LEN], struct fault *fault)
{
    struct cose_sign1 msg;
    TRY(cose_sign1_parse(profile, bytes_of_buf(&entry->message), &msg, fault));
    TRY(cose_sign1_verify(&msg, key, fault));
    return check_payload(msg.payload, pcr0, fault);
}

enum err eif_signature_verify(struct bytes section, size_t base,
                              const uint8_t pcr0[static ATTDOC_PCR_LEN], struct buf *certificate,
                              struct fault *fault)
{
    CLEANUP(entry_free) struct entry entry = {0};
    CLEANUP(buf_free) struct buf der = {0};
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    enum cose_profile profile = COSE_EIF_ES384;
    TRY(read_entry(section, base, &entry, fault));
    TRY(read_pem(bytes_of_buf(&entry.pem), entry.pem_at, &der, fault));
    TRY(read_certificate(bytes_of_buf(&der), entry.pem_at, &profile, &key, fault));
    const enum err err = check_message(&entry, profile, key, pcr0, fault);
    /* Its bytes are spread over the section's numbers: where the first stands must do. */
    if (err != ERR_OK && fault != NULL)
        fault->offset = entry.message_at;
    TRY(err);
    return buf_append(certificate, bytes_of_buf(&der));
}
