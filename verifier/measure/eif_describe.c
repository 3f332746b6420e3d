#include <openssl/x509.h>
#include <stdio.h>

#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "eif.h"
#include "eif_metadata.h"

#define OBJECT_NAME_MAX 128

/* Takes `value`; NULL is what jansson returns for want of memory. */
static enum err set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0 ? ERR_OK : ERR_NO_MEMORY;
}

static enum err set_measurements(json_t *json, const struct nitro_measurements *m)
{
    json_t *values = json_object();
    TRY(set(json, "Measurements", values));
    TRY(set(values, "HashAlgorithm", json_string("Sha384 { ... }")));
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        char name[8];
        char hex[2 * ATTDOC_PCR_LEN + 1];
        if ((m->present >> i & 1) == 0)
            continue;
        snprintf(name, sizeof name, "PCR%u", i);
        hex_encode(bytes_of(m->pcr[i], ATTDOC_PCR_LEN), hex);
        TRY(set(values, name, json_string(hex)));
    }
    return ERR_OK;
}

/* ---- the certificate, as nitro-cli shows it ---- */

/* "?" for what is no text: it is the certificate's maker's. */
static enum err text_of(const ASN1_STRING *value, json_t **out)
{
    CLEANUP(openssl_freep) uint8_t *utf8 = NULL;
    crypto_begin();
    const int len = ASN1_STRING_to_UTF8(&utf8, value);
    TRY(crypto_own_fault());
    const struct bytes text = len < 0 ? bytes_of_text("?") : bytes_of(utf8, (size_t)len);
    const bool fits = utf8_valid(text) && memchr(text.ptr, '\0', text.len) == NULL;
    *out = fits ? json_stringn((const char *)text.ptr, text.len) : json_string("?");
    return ERR_OK;
}

static void name_of(const ASN1_OBJECT *object, char out[static OBJECT_NAME_MAX])
{
    if (OBJ_obj2txt(out, OBJECT_NAME_MAX, object, 0) <= 0)
        snprintf(out, OBJECT_NAME_MAX, "?");
    ERR_clear_error();
}

static enum err set_name(json_t *json, const X509_NAME *name)
{
    json_t *names = json_object();
    TRY(set(json, "IssuerName", names));
    for (int i = 0; i < X509_NAME_entry_count(name); i++) {
        char key[OBJECT_NAME_MAX];
        const X509_NAME_ENTRY *entry = X509_NAME_get_entry(name, i);
        json_t *text = NULL;
        name_of(X509_NAME_ENTRY_get_object(entry), key);
        TRY(text_of(X509_NAME_ENTRY_get_data(entry), &text));
        TRY(set(names, key, text));
    }
    return ERR_OK;
}

/* "Nov 29 09:00:00 2026 GMT" */
static enum err set_time(json_t *json, const char *name, const ASN1_TIME *time)
{
    CLEANUP(bio_freep) BIO *out = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (out == NULL)
        return crypto_no_memory();
    crypto_begin();
    const bool printed = ASN1_TIME_print(out, time) == 1;
    TRY(crypto_own_fault());
    const long len = BIO_get_mem_data(out, &text);
    return set(json, name, printed ? json_stringn(text, (size_t)len) : json_string("?"));
}

/* "30:65:02:..." */
static enum err set_signature(json_t *json, const ASN1_BIT_STRING *signature)
{
    CLEANUP(buf_free) struct buf text = {0};
    const uint8_t *bytes = ASN1_STRING_get0_data(signature);
    for (int i = 0; i < ASN1_STRING_length(signature); i++)
        TRY(buf_append_format(&text, "%s%02X", i == 0 ? "" : ":", bytes[i]));
    return set(json, "Signature", json_stringn((const char *)text.ptr, text.len));
}

static enum err set_certificate(json_t *json, struct bytes der)
{
    const ASN1_BIT_STRING *signature = NULL;
    const X509_ALGOR *algorithm = NULL;
    const ASN1_OBJECT *object = NULL;
    char name[OBJECT_NAME_MAX];
    const uint8_t *end = der.ptr;
    json_t *shown = json_object();
    TRY(set(json, "SigningCertificate", shown));
    CLEANUP(x509_freep) X509 *cert = d2i_X509(NULL, &end, (long)der.len);
    if (cert == NULL)
        return crypto_failed(); /* it was read before */
    TRY(set_name(shown, X509_get_issuer_name(cert)));
    X509_get0_signature(&signature, &algorithm, cert);
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    name_of(object, name);
    TRY(set(shown, "Algorithm", json_string(name)));
    TRY(set_time(shown, "NotBefore", X509_get0_notBefore(cert)));
    TRY(set_time(shown, "NotAfter", X509_get0_notAfter(cert)));
    return set_signature(shown, signature);
}

enum err eif_describe(const struct eif_description *description, json_t **out)
{
    CLEANUP(json_decrefp) json_t *json = json_object();
    const bool is_signed = description->certificate.len > 0;
    TRY(set(json, "EifVersion", json_integer(description->version)));
    TRY(set_measurements(json, &description->measured));
    TRY(set(json, "IsSigned", json_boolean(is_signed)));
    if (is_signed)
        TRY(set_certificate(json, bytes_of_buf(&description->certificate)));
    /* What is not so is an error here, and not described. */
    TRY(set(json, "CheckCRC", json_true()));
    if (is_signed)
        TRY(set(json, "SignatureCheck", json_true()));
    if (description->metadata != NULL)
        TRY(eif_metadata_describe(description->metadata, json));
    *out = TAKE(json);
    return ERR_OK;
}

bool eif_signer_expired(const struct eif_description *description, int64_t now_ms)
{
    const uint8_t *end = description->certificate.ptr;
    time_t now_s = (time_t)(now_ms / 1000);
    if (description->certificate.len == 0)
        return false;
    CLEANUP(x509_freep) X509 *cert = d2i_X509(NULL, &end, (long)description->certificate.len);
    const bool expired = cert != NULL && X509_cmp_time(X509_get0_notAfter(cert), &now_s) < 0;
    ERR_clear_error();
    return expired;
}
