#include "mkdoc.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "common/cbor_writer.h"
#include "common/openssl_cleanup.h"

#define COORDINATE_LEN 48 /* ES384: r and s */

void mkdoc_fields_defaults(struct mkdoc_fields *fields, int64_t now_ms, const char *module_id,
                           unsigned seed)
{
    static const unsigned set[] = {0, 1, 2, 4};
    *fields = (struct mkdoc_fields){
        .map_indefinite = true,
        .module_id = module_id,
        .digest = "SHA384",
        .timestamp_ms = (uint64_t)now_ms,
        .pcr_present = 0xffff,
        .public_key.state = ATTDOC_NULL,
        .user_data.state = ATTDOC_NULL,
        .nonce.state = ATTDOC_NULL,
    };
    /* Not a digest of anything: distinct for each PCR and seed, and never zero. */
    for (size_t n = 0; n < ARRAY_LEN(set); n++) {
        const unsigned i = set[n];
        uint32_t x = seed * UINT32_C(2654435761) + i + 1;
        for (size_t b = 0; b < ATTDOC_PCR_LEN; b++) {
            x = x * UINT32_C(1664525) + UINT32_C(1013904223);
            fields->pcr[i][b] = (uint8_t)(x >> 24);
        }
        fields->pcr[i][0] = (uint8_t)(0x10 + i);
    }
}

void mkdoc_fields_debug(struct mkdoc_fields *fields)
{
    memset(fields->pcr[0], 0, 3 * sizeof fields->pcr[0]);
}

static size_t optional_count(const struct mkdoc_fields *fields)
{
    return (size_t)(fields->public_key.state != ATTDOC_ABSENT) +
           (size_t)(fields->user_data.state != ATTDOC_ABSENT) +
           (size_t)(fields->nonce.state != ATTDOC_ABSENT);
}

static void write_optional(struct cbor_writer *w, const char *key,
                           const struct attdoc_optional *optional)
{
    if (optional->state == ATTDOC_ABSENT)
        return;
    cbor_writer_cstr(w, key);
    if (optional->state == ATTDOC_NULL)
        cbor_writer_null(w);
    else
        cbor_writer_bytes(w, optional->value);
}

static void write_pcrs(struct cbor_writer *w, const struct mkdoc_fields *fields)
{
    size_t count = 0;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++)
        count += (fields->pcr_present >> i) & 1;
    cbor_writer_cstr(w, fields->nitrotpm ? "nitrotpm_pcrs" : "pcrs");
    cbor_writer_map(w, count);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if (((fields->pcr_present >> i) & 1) == 0)
            continue;
        cbor_writer_uint(w, i);
        cbor_writer_bytes(w, bytes_of(fields->pcr[i], sizeof fields->pcr[i]));
    }
}

enum err mkdoc_payload(const struct mkdoc_fields *fields, const struct mkdoc_chain *chain,
                       struct buf *payload)
{
    if (chain->len == 0)
        return ERR_USAGE;
    struct cbor_writer w;
    cbor_writer_init(&w, payload);
    /* RFC 8949 section 3.2.2: bf ... ff; nothing else here is indefinite, so the writer has
     * no call for it. */
    if (fields->map_indefinite)
        cbor_writer_raw(&w, bytes_of("\xbf", 1));
    else
        cbor_writer_map(&w, 6 + optional_count(fields));
    cbor_writer_cstr(&w, "module_id");
    cbor_writer_cstr(&w, fields->module_id);
    cbor_writer_cstr(&w, "digest");
    cbor_writer_cstr(&w, fields->digest);
    cbor_writer_cstr(&w, "timestamp");
    cbor_writer_uint(&w, fields->timestamp_ms);
    write_pcrs(&w, fields);
    cbor_writer_cstr(&w, "certificate");
    cbor_writer_bytes(&w, bytes_of_buf(&chain->der[chain->len - 1]));
    cbor_writer_cstr(&w, "cabundle");
    cbor_writer_array(&w, chain->len - 1);
    for (size_t i = 0; i + 1 < chain->len; i++)
        cbor_writer_bytes(&w, bytes_of_buf(&chain->der[i]));
    write_optional(&w, "public_key", &fields->public_key);
    write_optional(&w, "user_data", &fields->user_data);
    write_optional(&w, "nonce", &fields->nonce);
    if (fields->map_indefinite)
        cbor_writer_raw(&w, bytes_of("\xff", 1));
    return cbor_writer_finish(&w);
}

static const uint8_t es384_header[] = {0xa1, 0x01, 0x38, 0x22}; /* {1: -35} */

/* RFC 9052 section 4.4: Sig_structure = ["Signature1", body_protected, external_aad, payload]. */
static enum err sig_structure(struct bytes payload, struct buf *out)
{
    struct cbor_writer w;
    cbor_writer_init(&w, out);
    cbor_writer_array(&w, 4);
    cbor_writer_cstr(&w, "Signature1");
    cbor_writer_bytes(&w, bytes_of(es384_header, sizeof es384_header));
    cbor_writer_bytes(&w, bytes_of("", 0));
    cbor_writer_bytes(&w, payload);
    return cbor_writer_finish(&w);
}

/* RFC 9053 section 2.1: r | s, each as long as the curve; libcrypto gives them as DER. */
static enum err sign_raw(EVP_PKEY *key, struct bytes message,
                         uint8_t out[static 2 * COORDINATE_LEN])
{
    uint8_t der[256];
    size_t der_len = sizeof der;
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, key) != 1 ||
        EVP_DigestSign(ctx, der, &der_len, message.ptr, message.len) != 1)
        return ERR_CRYPTO;
    const uint8_t *p = der;
    CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)der_len);
    if (sig == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, COORDINATE_LEN) < 0 ||
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + COORDINATE_LEN, COORDINATE_LEN) < 0)
        return ERR_CRYPTO;
    return ERR_OK;
}

/* Not cose_sign1_sign: it refuses what must be forged here (a leaf on another curve, a
 * payload past the limit), and two makers of one format check each other. */
enum err mkdoc_sign(const struct mkdoc_chain *chain, struct bytes payload, struct buf *document)
{
    if (chain->len == 0)
        return ERR_USAGE;
    CLEANUP(buf_free) struct buf message = {0};
    uint8_t signature[2 * COORDINATE_LEN];
    TRY(sig_structure(payload, &message));
    TRY(sign_raw(chain->key[chain->len - 1], bytes_of_buf(&message), signature));
    struct cbor_writer w;
    cbor_writer_init(&w, document);
    cbor_writer_array(&w, 4);
    cbor_writer_bytes(&w, bytes_of(es384_header, sizeof es384_header));
    cbor_writer_map(&w, 0);
    cbor_writer_bytes(&w, payload);
    cbor_writer_bytes(&w, bytes_of(signature, sizeof signature));
    return cbor_writer_finish(&w);
}

enum err mkdoc_document(const struct mkdoc_fields *fields, const struct mkdoc_chain *chain,
                        struct buf *document)
{
    CLEANUP(buf_free) struct buf payload = {0};
    TRY(mkdoc_payload(fields, chain, &payload));
    return mkdoc_sign(chain, bytes_of_buf(&payload), document);
}
