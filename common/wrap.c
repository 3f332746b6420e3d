#include "wrap.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "wrap_format.h"

/* ---- the table ---- */

static const struct wrap_format *const formats[] = {
    &wrap_format_hpke_x25519,
    &wrap_format_hpke_p256,
    &wrap_format_hpke_p384,
    &wrap_format_rsa_oaep_256,
};

const char *const wrap_formats[] = {"hpke-x25519", "hpke-p256", "hpke-p384", "rsa-oaep-256", NULL};
_Static_assert(ARRAY_LEN(wrap_formats) == ARRAY_LEN(formats) + 1, "one name a format");

static const struct wrap_format *format_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i]->name, name) == 0)
            return formats[i];
    }
    return NULL;
}

/* A key of either side: an EVP_PKEY holds its private half wiped and, where the arena is
 * up, locked. */
struct wrap_recipient {
    const struct wrap_format *format;
    EVP_PKEY *key;
};

struct wrap_key {
    const struct wrap_format *format;
    EVP_PKEY *key;
};

/* ---- recipients ---- */

/* One DER element of the given universal tag: its content, and `in` moved past it. */
static bool der_take(struct bytes *in, int want_tag, struct bytes *content)
{
    const uint8_t *p = in->ptr;
    long len = 0;
    int tag = 0, class = 0;
    /* 0x80: an error; bit 0: indefinite length. */
    const int flags = ASN1_get_object(&p, &len, &tag, &class, (long)in->len);
    if ((flags & 0x81) != 0 || tag != want_tag || class != V_ASN1_UNIVERSAL || len < 0) {
        ERR_clear_error();
        return false;
    }
    *content = bytes_of(p, (size_t)len);
    const size_t taken = (size_t)(p - in->ptr) + (size_t)len;
    *in = bytes_of(in->ptr + taken, in->len - taken);
    return true;
}

/* SubjectPublicKeyInfo ::= SEQUENCE { SEQUENCE { OID, params }, BIT STRING }.  Only enough
 * to say whose it is: the format that claims it reads it strictly. */
static bool spki_split(struct bytes spki, struct spki_view *out, size_t *left_over)
{
    struct bytes in = spki, outer, algorithm, oid, point;
    if (!der_take(&in, V_ASN1_SEQUENCE, &outer) || !der_take(&outer, V_ASN1_SEQUENCE, &algorithm) ||
        !der_take(&algorithm, V_ASN1_OBJECT, &oid) || !der_take(&outer, V_ASN1_BIT_STRING, &point))
        return false;
    *left_over = in.len;
    *out = (struct spki_view){.whole = spki, .algorithm = oid, .params = algorithm};
    return true;
}

/* A name for people: OpenSSL's where it has one, else the dots. */
static void oid_name(struct bytes content, char out[static 64])
{
    OPENSSL_strlcpy(out, "an unknown algorithm", 64);
    uint8_t der[2 + 64] = {V_ASN1_OBJECT, (uint8_t)content.len};
    if (content.len > 64)
        return;
    memcpy(der + 2, content.ptr, content.len);
    const uint8_t *p = der;
    ASN1_OBJECT *oid = d2i_ASN1_OBJECT(NULL, &p, (long)(2 + content.len));
    if (oid != NULL && OBJ_obj2txt(out, 64, oid, 0) <= 0)
        OPENSSL_strlcpy(out, "an unknown algorithm", 64);
    ASN1_OBJECT_free(oid);
    ERR_clear_error();
}

/* No format claims it: an operator reads this to learn what the enclave sent. */
static enum err refuse_unclaimed(const struct spki_view *spki, struct fault *fault)
{
    char algorithm[64], curve[64];
    oid_name(spki->algorithm, algorithm);
    if (strcmp(algorithm, "X25519") == 0) /* KEY-14 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "X25519 in other DER than RFC 8410's 44 bytes");
    if (strcmp(algorithm, "id-ecPublicKey") != 0) /* KEY-14 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "a key of %s", algorithm);
    struct bytes params = spki->params, oid;
    if (!der_take(&params, V_ASN1_OBJECT, &oid)) /* KEY-14 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "an EC key on a curve without a name");
    oid_name(oid, curve);
    if (strcmp(curve, "prime256v1") == 0 || strcmp(curve, "secp384r1") == 0) /* KEY-14 */
        FAIL(fault, ERR_PUBLIC_KEY,
             WRAP_EXPECTED "an EC key on %s of %zu bytes, not the %d of one uncompressed point",
             curve, spki->whole.len, curve[0] == 'p' ? 91 : 120);
    /* KEY-14 */
    FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "an EC key on %s", curve);
}

enum err wrap_recipient_parse(struct bytes spki, struct wrap_recipient **out, struct fault *fault)
{
    if (spki.len == 0) /* KEY-1 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "nothing");
    if (spki.len > WRAP_SPKI_MAX) /* KEY-2 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "%zu bytes", spki.len);
    struct spki_view view = {0};
    size_t left_over = 0;
    if (!spki_split(spki, &view, &left_over)) /* KEY-3 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "%zu byte%s of something else", spki.len,
             plural(spki.len));
    if (left_over != 0) /* KEY-4 */
        FAIL(fault, ERR_PUBLIC_KEY, WRAP_EXPECTED "%zu byte%s after its end", left_over,
             plural(left_over));
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (!formats[i]->claims(formats[i], &view))
            continue;
        CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
        TRY(formats[i]->parse(spki, formats[i], &key, fault));
        struct wrap_recipient *recipient = malloc(sizeof *recipient);
        if (recipient == NULL)
            return ERR_NO_MEMORY;
        *recipient = (struct wrap_recipient){.format = formats[i], .key = TAKE(key)};
        *out = recipient;
        return ERR_OK;
    }
    return refuse_unclaimed(&view, fault);
}

void wrap_recipient_free(struct wrap_recipient *recipient)
{
    if (recipient == NULL)
        return;
    EVP_PKEY_free(recipient->key);
    free(recipient);
}

const char *wrap_recipient_format(const struct wrap_recipient *recipient)
{
    return recipient->format->name;
}

/* ---- keys ---- */

static enum err key_make(const struct wrap_format *format, EVP_PKEY **key, struct wrap_key **out)
{
    struct wrap_key *made = malloc(sizeof *made);
    if (made == NULL)
        return ERR_NO_MEMORY;
    *made = (struct wrap_key){.format = format, .key = TAKE(*key)};
    *out = made;
    return ERR_OK;
}

enum err wrap_key_generate(const char *format_name, struct wrap_key **out)
{
    const struct wrap_format *format = format_named(format_name);
    if (format == NULL)
        return ERR_USAGE;
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = NULL;
    TRY(format->generate(format, &key));
    return key_make(format, &key, out);
}

enum err wrap_key_from_x25519(const struct secret *raw, struct wrap_key **out)
{
    const struct bytes scalar = secret_view(raw);
    CLEANUP(evp_pkey_freep)
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "X25519", NULL, scalar.ptr, scalar.len);
    if (key == NULL)
        return crypto_failed();
    return key_make(&wrap_format_hpke_x25519, &key, out);
}

enum err wrap_key_spki(const struct wrap_key *key, struct buf *spki)
{
    return spki_append(key->key, spki);
}

const char *wrap_key_format(const struct wrap_key *key)
{
    return key->format->name;
}

void wrap_key_free(struct wrap_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->key);
    free(key);
}

/* ---- sealing and opening ---- */

struct wrap_sealer {
    struct secret *keys;
    uint64_t next;
};

struct wrap_opener {
    struct secret *keys;
    uint64_t next;
};

enum err wrap_sealer_new(const struct wrap_recipient *recipient, struct bytes info,
                         struct wrap_sealer **out, struct buf *enc)
{
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = calloc(1, sizeof *sealer);
    if (sealer == NULL)
        return ERR_NO_MEMORY;
    const struct wrap_format *format = recipient->format;
    TRY(format->encapsulate(format, recipient->key, info, &sealer->keys, enc));
    *out = TAKE(sealer);
    return ERR_OK;
}

enum err wrap_seal(struct wrap_sealer *sealer, struct bytes aad, const struct secret *plaintext,
                   struct buf *ciphertext)
{
    /* Counted before it is known to succeed: a number, and so a nonce, is never used for
     * two plaintexts, not even where the first got lost half-way. */
    const uint64_t sequence = sealer->next++;
    return wrap_aead_seal(sealer->keys, sequence, aad, plaintext, ciphertext);
}

void wrap_sealer_free(struct wrap_sealer *sealer)
{
    if (sealer == NULL)
        return;
    secret_free(sealer->keys);
    free(sealer);
}

enum err wrap_opener_new(const struct wrap_key *key, struct bytes enc, struct bytes info,
                         struct wrap_opener **out)
{
    CLEANUP(wrap_opener_freep) struct wrap_opener *opener = calloc(1, sizeof *opener);
    if (opener == NULL)
        return ERR_NO_MEMORY;
    TRY(key->format->decapsulate(key->format, key->key, enc, info, &opener->keys));
    *out = TAKE(opener);
    return ERR_OK;
}

enum err wrap_open(struct wrap_opener *opener, struct bytes aad, struct bytes ciphertext,
                   struct secret **plaintext)
{
    const enum err err = wrap_aead_open(opener->keys, opener->next, aad, ciphertext, plaintext);
    if (err == ERR_SIGNATURE)
        return ERR_CRYPTO;
    TRY(err);
    opener->next++;
    return ERR_OK;
}

void wrap_opener_free(struct wrap_opener *opener)
{
    if (opener == NULL)
        return;
    secret_free(opener->keys);
    free(opener);
}
