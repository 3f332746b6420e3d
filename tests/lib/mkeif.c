#include "mkeif.h"

#include <openssl/pem.h>
#include <openssl/x509.h>
#include <zlib.h>

#include "common/cbor_writer.h"
#include "common/cose_sign1.h"
#include "common/openssl_cleanup.h"

/* ---- the file ---- */

void mkeif_add(struct mkeif *eif, unsigned type, struct bytes content)
{
    eif->section[eif->count].type = type;
    eif->section[eif->count++].content = content;
}

void mkeif_defaults(struct mkeif *eif, size_t ramdisks)
{
    static const char *const disks[] = {"first ramdisk", "second", "the third"};
    *eif = (struct mkeif){.version = 4};
    mkeif_add(eif, MKEIF_KERNEL, bytes_of_text("bzImage of a kernel"));
    mkeif_add(eif, MKEIF_CMDLINE, bytes_of_text("reboot=k panic=30"));
    mkeif_add(eif, MKEIF_METADATA, bytes_of_text(MKEIF_METADATA_TEXT));
    for (size_t i = 0; i < ramdisks; i++)
        mkeif_add(eif, MKEIF_RAMDISK, bytes_of_text(disks[i % 3]));
}

static void put(uint8_t *at, size_t len, uint64_t value)
{
    for (size_t i = len; i-- > 0; value >>= 8)
        at[i] = (uint8_t)value;
}

void mkeif_fix_crc(struct buf *file)
{
    unsigned long crc = crc32_z(0, file->ptr, MKEIF_CRC_AT);
    crc = crc32_z(crc, file->ptr + MKEIF_HEADER_LEN, file->len - MKEIF_HEADER_LEN);
    put(file->ptr + MKEIF_CRC_AT, 4, crc);
}

enum err mkeif_build(const struct mkeif *eif, struct buf *out)
{
    uint8_t header[MKEIF_HEADER_LEN] = ".eif";
    CLEANUP(buf_free) struct buf file = {0};
    put(header + 4, 2, eif->version);
    put(header + 8, 8, UINT64_C(1) << 30); /* default_mem, default_cpus */
    put(header + 16, 8, 2);
    put(header + MKEIF_COUNT_AT, 2, eif->count);
    TRY(buf_append(&file, bytes_of(header, sizeof header)));
    for (size_t i = 0; i < eif->count; i++) {
        uint8_t head[MKEIF_HEAD_LEN] = {0};
        const struct bytes content = eif->section[i].content;
        if (i < MKEIF_SECTIONS_MAX - 1) {
            put(file.ptr + MKEIF_OFFSETS_AT + 8 * i, 8, file.len);
            put(file.ptr + MKEIF_SIZES_AT + 8 * i, 8, content.len);
        }
        put(head, 2, eif->section[i].type);
        put(head + 4, 8, content.len);
        TRY(buf_append(&file, bytes_of(head, sizeof head)));
        TRY(buf_append(&file, content));
    }
    mkeif_fix_crc(&file);
    return buf_append(out, bytes_of_buf(&file));
}

/* ---- the measurements ---- */

enum err mkeif_pcr(struct bytes content, uint8_t out[static ATTDOC_PCR_LEN])
{
    uint8_t both[2 * SHA384_LEN] = {0};
    TRY(digest_sha384(content, both + SHA384_LEN));
    return digest_sha384(bytes_of(both, sizeof both), out);
}

enum err mkeif_pcrs(const struct mkeif *eif, uint8_t pcr[3][ATTDOC_PCR_LEN])
{
    for (int which = 0; which < 3; which++) {
        CLEANUP(buf_free) struct buf content = {0};
        size_t ramdisks = 0;
        for (size_t i = 0; i < eif->count; i++) {
            const unsigned type = eif->section[i].type;
            const bool boots = type == MKEIF_KERNEL || type == MKEIF_CMDLINE;
            const bool ramdisk = type == MKEIF_RAMDISK;
            const bool first = ramdisk && ramdisks++ == 0;
            const bool in[3] = {boots || ramdisk, boots || first, ramdisk && !first};
            if (in[which])
                TRY(buf_append(&content, eif->section[i].content));
        }
        TRY(mkeif_pcr(bytes_of_buf(&content), pcr[which]));
    }
    return ERR_OK;
}

/* ---- the signature ---- */

enum err mkeif_certificate(EVP_PKEY *key, int x509_version, struct buf *der)
{
    CLEANUP(x509_freep) X509 *cert = X509_new();
    CLEANUP(openssl_freep) uint8_t *encoded = NULL;
    if (cert == NULL || X509_set_version(cert, x509_version - 1) != 1 ||
        ASN1_INTEGER_set(X509_get_serialNumber(cert), 4711) != 1)
        return ERR_CRYPTO;
    X509_NAME *name = X509_get_subject_name(cert);
    ASN1_TIME_set(X509_getm_notBefore(cert), 1795392000); /* 2026-11-23 */
    ASN1_TIME_set(X509_getm_notAfter(cert), 1795392000 + 30 * 86400);
    if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)"Signer", -1, -1,
                                   0) != 1 ||
        X509_set_issuer_name(cert, name) != 1 || X509_set_pubkey(cert, key) != 1 ||
        X509_sign(cert, key, EVP_sha384()) <= 0)
        return ERR_CRYPTO;
    const int len = i2d_X509(cert, &encoded);
    return len <= 0 ? ERR_CRYPTO : buf_append(der, bytes_of(encoded, (size_t)len));
}

enum err mkeif_pem(const char *name, struct bytes der, struct buf *pem)
{
    CLEANUP(bio_freep) BIO *out = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (out == NULL || PEM_write_bio(out, name, "", der.ptr, (long)der.len) <= 0)
        return ERR_CRYPTO;
    const long len = BIO_get_mem_data(out, &text);
    return buf_append(pem, bytes_of(text, (size_t)len));
}

static void write_octets(struct cbor_writer *w, struct bytes octets)
{
    cbor_writer_array(w, octets.len);
    for (size_t i = 0; i < octets.len; i++)
        cbor_writer_uint(w, octets.ptr[i]);
}

enum err mkeif_pcr_info(uint64_t index, struct bytes value, struct buf *payload)
{
    struct cbor_writer w;
    cbor_writer_init(&w, payload);
    cbor_writer_map(&w, 2);
    cbor_writer_cstr(&w, "register_index");
    cbor_writer_uint(&w, index);
    cbor_writer_cstr(&w, "register_value");
    write_octets(&w, value);
    return cbor_writer_finish(&w);
}

enum err mkeif_message(EVP_PKEY *key, struct bytes payload, struct buf *message)
{
    const int bits = EVP_PKEY_get_bits(key);
    const enum cose_profile profile = bits == 256   ? COSE_EIF_ES256
                                      : bits == 384 ? COSE_EIF_ES384
                                                    : COSE_EIF_ES512;
    return cose_sign1_sign(profile, NULL, payload, key, message);
}

enum err mkeif_signature(struct bytes pem, struct bytes message, struct buf *section)
{
    struct cbor_writer w;
    cbor_writer_init(&w, section);
    cbor_writer_array(&w, 1);
    cbor_writer_map(&w, 2);
    cbor_writer_cstr(&w, "signing_certificate");
    write_octets(&w, pem);
    cbor_writer_cstr(&w, "signature");
    write_octets(&w, message);
    return cbor_writer_finish(&w);
}

enum err mkeif_sign(const struct mkeif *eif, EVP_PKEY *key, struct bytes der, struct buf *section)
{
    uint8_t pcr[3][ATTDOC_PCR_LEN];
    CLEANUP(buf_free) struct buf pem = {0};
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf message = {0};
    TRY(mkeif_pcrs(eif, pcr));
    TRY(mkeif_pem(PEM_STRING_X509, der, &pem));
    TRY(mkeif_pcr_info(0, bytes_of(pcr[0], ATTDOC_PCR_LEN), &payload));
    TRY(mkeif_message(key, bytes_of_buf(&payload), &message));
    return mkeif_signature(bytes_of_buf(&pem), bytes_of_buf(&message), section);
}
