#include "spki.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/x509.h>

#include "openssl_cleanup.h"

/* SEQUENCE { SEQUENCE { OID }, BIT STRING } up to the key: RFC 8410 section 4. */
static const uint8_t x25519_prefix[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03,
                                        0x2b, 0x65, 0x6e, 0x03, 0x21, 0x00};
/* SEQUENCE { SEQUENCE { id-ecPublicKey, namedCurve }, BIT STRING }: RFC 5480 section 2. */
static const uint8_t p256_prefix[] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
                                      0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};
static const uint8_t p384_prefix[] = {0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                      0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b,
                                      0x81, 0x04, 0x00, 0x22, 0x03, 0x62, 0x00};
static const uint8_t p521_prefix[] = {0x30, 0x81, 0x9b, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86,
                                      0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81,
                                      0x04, 0x00, 0x23, 0x03, 0x81, 0x86, 0x00};

const struct spki_form spki_x25519 = {NULL, {x25519_prefix, sizeof x25519_prefix}, 32};
const struct spki_form spki_p256 = {"P-256", {p256_prefix, sizeof p256_prefix}, 65};
const struct spki_form spki_p384 = {"P-384", {p384_prefix, sizeof p384_prefix}, 97};
const struct spki_form spki_p521 = {"P-521", {p521_prefix, sizeof p521_prefix}, 133};

bool spki_has_form(struct bytes spki, const struct spki_form *form)
{
    return spki.len == form->prefix.len + form->point_len &&
           bytes_equal(bytes_of(spki.ptr, form->prefix.len), form->prefix);
}

/* EVP_PKEY_fromdata refuses a coordinate out of range and a point off the curve, but takes
 * infinity (one byte, 00) and compressed points: hence the first byte is looked at
 * before it.  The curves are of prime order, so such a point is a valid one. */
static enum err curve_point_to_key(const char *group, struct bytes point, EVP_PKEY **out)
{
    if (point.len == 0 || point.len > SPKI_POINT_MAX || point.ptr[0] != 0x04)
        return ERR_MALFORMED;
    char name[16];
    uint8_t copy[SPKI_POINT_MAX]; /* OSSL_PARAM has no const */
    OPENSSL_strlcpy(name, group, sizeof name);
    memcpy(copy, point.ptr, point.len);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, point.len),
        OSSL_PARAM_construct_end(),
    };
    CLEANUP(evp_pkey_ctx_freep)
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1)
        return crypto_failed();
    crypto_begin();
    if (EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        TRY(crypto_own_fault());
        return ERR_MALFORMED;
    }
    *out = TAKE(key);
    return ERR_OK;
}

enum err spki_point_to_key(const char *group, struct bytes point, EVP_PKEY **out)
{
    if (group != NULL)
        return curve_point_to_key(group, point, out);
    if (point.len != spki_x25519.point_len)
        return ERR_MALFORMED;
    EVP_PKEY *key = EVP_PKEY_new_raw_public_key_ex(NULL, "X25519", NULL, point.ptr, point.len);
    if (key == NULL)
        return crypto_failed();
    *out = key;
    return ERR_OK;
}

enum err spki_to_key(struct bytes spki, const struct spki_form *form, EVP_PKEY **out)
{
    if (!spki_has_form(spki, form))
        return ERR_MALFORMED;
    return spki_point_to_key(form->group, bytes_of(spki.ptr + form->prefix.len, form->point_len),
                             out);
}

enum err spki_append(const EVP_PKEY *key, struct buf *out)
{
    CLEANUP(openssl_freep) uint8_t *der = NULL;
    const int len = i2d_PUBKEY(key, &der);
    if (len <= 0)
        return crypto_failed();
    return buf_append(out, bytes_of(der, (size_t)len));
}
