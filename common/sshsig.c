#include "sshsig.h"

#include "codec.h"
#include "openssl_cleanup.h"

#define LINE_LEN  70 /* of the armor, as ssh-keygen writes it */
#define ALGORITHM "ssh-ed25519"
#define HASH      "sha512"
#define MAGIC     "SSHSIG"
#define HASH_LEN  64

static const char armor_begin[] = "-----BEGIN SSH SIGNATURE-----\n";
static const char armor_end[] = "-----END SSH SIGNATURE-----";

/* --- RFC 4251 section 5: uint32, and strings that begin with one --- */

static enum err append_string(struct buf *out, struct bytes value)
{
    const uint8_t len[4] = {(uint8_t)(value.len >> 24), (uint8_t)(value.len >> 16),
                            (uint8_t)(value.len >> 8), (uint8_t)value.len};
    TRY(buf_append(out, bytes_of(len, sizeof len)));
    return buf_append(out, value);
}

static enum err append_text(struct buf *out, const char *text)
{
    return append_string(out, bytes_of_text(text));
}

static bool take(struct bytes *in, size_t len, struct bytes *out)
{
    if (in->len < len)
        return false;
    *out = bytes_of(in->ptr, len);
    *in = bytes_of(in->ptr + len, in->len - len);
    return true;
}

static bool take_uint(struct bytes *in, uint32_t *out)
{
    struct bytes b;
    if (!take(in, 4, &b))
        return false;
    *out = (uint32_t)b.ptr[0] << 24 | (uint32_t)b.ptr[1] << 16 | (uint32_t)b.ptr[2] << 8 | b.ptr[3];
    return true;
}

static bool take_string(struct bytes *in, struct bytes *out)
{
    uint32_t len;
    return take_uint(in, &len) && take(in, len, out);
}

/* string ALGORITHM, string of `len` bytes, and no more: a public key, or a signature's value. */
static enum err take_typed(struct bytes in, size_t len, uint8_t *out, struct fault *fault,
                           enum err code)
{
    struct bytes algorithm;
    struct bytes value;
    if (!take_string(&in, &algorithm))
        FAIL(fault, code, "it breaks off");
    if (!bytes_equal_text(algorithm, ALGORITHM))
        FAIL(fault, code, "%.*s: only " ALGORITHM " keys are taken",
             (int)(algorithm.len > 40 ? 40 : algorithm.len), (const char *)algorithm.ptr);
    if (!take_string(&in, &value) || value.len != len || in.len != 0)
        FAIL(fault, code, "%zu bytes of " ALGORITHM " are expected, and nothing more", len);
    memcpy(out, value.ptr, len);
    return ERR_OK;
}

/* --- The armor --- */

static enum err take_armor(struct bytes text, struct buf *blob, struct fault *fault)
{
    CLEANUP(buf_free) struct buf digits = {0};
    const size_t begin = sizeof armor_begin - 1;
    const size_t end = sizeof armor_end - 1;
    if (text.len > SSHSIG_TEXT_MAX || text.len < begin || memcmp(text.ptr, armor_begin, begin) != 0)
        FAIL(fault, ERR_SSHSIG, "an SSH signature is expected, as ssh-keygen -Y sign writes it");
    size_t i = begin;
    while (i < text.len && text.ptr[i] != '-') {
        if (text.ptr[i] != '\n')
            TRY(buf_append(&digits, bytes_of(text.ptr + i, 1)));
        i++;
    }
    if (text.len - i < end || memcmp(text.ptr + i, armor_end, end) != 0)
        FAIL(fault, ERR_SSHSIG, "the line %s is missing", armor_end);
    for (i += end; i < text.len; i++) {
        if (text.ptr[i] != '\n')
            FAIL(fault, ERR_SSHSIG, "something follows the signature");
    }
    const enum err err = base64_decode(bytes_of_buf(&digits), blob);
    if (err == ERR_BASE64)
        FAIL(fault, ERR_SSHSIG, "between its lines stands no base64");
    return err;
}

static enum err append_armor(struct bytes blob, struct buf *text)
{
    CLEANUP(buf_free) struct buf digits = {0};
    TRY(base64_append(&digits, blob));
    TRY(buf_append_text(text, armor_begin));
    for (size_t i = 0; i < digits.len; i += LINE_LEN) {
        const size_t left = digits.len - i;
        TRY(buf_append(text, bytes_of(digits.ptr + i, left < LINE_LEN ? left : LINE_LEN)));
        TRY(buf_append_text(text, "\n"));
    }
    TRY(buf_append_text(text, armor_end));
    return buf_append_text(text, "\n");
}

/* --- The signature --- */

static enum err parse_blob(struct bytes in, const char *name_space, struct sshsig *sig,
                           struct fault *fault)
{
    struct bytes magic;
    struct bytes key;
    struct bytes space;
    struct bytes reserved;
    struct bytes hash;
    struct bytes value;
    uint32_t version;
    if (!take(&in, sizeof MAGIC - 1, &magic) || !bytes_equal_text(magic, MAGIC) ||
        !take_uint(&in, &version) || version != 1)
        FAIL(fault, ERR_SSHSIG, "an SSH signature of version 1 is expected");
    if (!take_string(&in, &key) || !take_string(&in, &space) || !take_string(&in, &reserved) ||
        !take_string(&in, &hash) || !take_string(&in, &value) || in.len != 0)
        FAIL(fault, ERR_SSHSIG, "it breaks off, or has more than a signature's fields");
    if (!bytes_equal_text(space, name_space))
        FAIL(fault, ERR_SSHSIG, "it was made for another purpose: sign with -n %s", name_space);
    if (reserved.len != 0)
        FAIL(fault, ERR_SSHSIG, "its reserved field is in use");
    if (!bytes_equal_text(hash, HASH))
        FAIL(fault, ERR_SSHSIG, "sign over " HASH ", which is ssh-keygen's default");
    TRY(take_typed(key, SSHSIG_KEY_LEN, sig->key, fault, ERR_SSHSIG));
    return take_typed(value, SSHSIG_SIGNATURE_LEN, sig->signature, fault, ERR_SSHSIG);
}

enum err sshsig_parse(struct bytes text, const char *name_space, struct sshsig *out,
                      struct fault *fault)
{
    CLEANUP(buf_free) struct buf blob = {0};
    struct sshsig sig;
    TRY(take_armor(text, &blob, fault));
    TRY(parse_blob(bytes_of_buf(&blob), name_space, &sig, fault));
    *out = sig;
    return ERR_OK;
}

/* What is signed: MAGIC, namespace, reserved, hash algorithm, hash of the message. */
static enum err append_signed(const char *name_space, struct bytes message, struct buf *out)
{
    uint8_t hash[HASH_LEN];
    if (EVP_Digest(message.len == 0 ? (const uint8_t *)"" : message.ptr, message.len, hash, NULL,
                   EVP_sha512(), NULL) != 1)
        return crypto_failed();
    TRY(buf_append_text(out, MAGIC));
    TRY(append_text(out, name_space));
    TRY(append_text(out, ""));
    TRY(append_text(out, HASH));
    return append_string(out, bytes_of(hash, sizeof hash));
}

enum err sshsig_verify(const struct sshsig *sig, const char *name_space, struct bytes message,
                       struct fault *fault)
{
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(evp_pkey_freep)
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, sig->key, sizeof sig->key);
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (key == NULL || ctx == NULL)
        return crypto_failed();
    TRY(append_signed(name_space, message, &text));
    if (EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) != 1)
        return crypto_failed();
    crypto_begin();
    if (EVP_DigestVerify(ctx, sig->signature, sizeof sig->signature, text.ptr, text.len) == 1)
        return ERR_OK;
    const enum err own = crypto_own_fault();
    if (own != ERR_OK)
        return own;
    FAIL(fault, ERR_SIGNATURE, "the key in it did not sign this file");
}

static enum err append_typed(struct buf *out, struct bytes value)
{
    CLEANUP(buf_free) struct buf typed = {0};
    TRY(append_text(&typed, ALGORITHM));
    TRY(append_string(&typed, value));
    return append_string(out, bytes_of_buf(&typed));
}

static enum err append_blob(const struct sshsig *sig, const char *name_space, struct buf *out)
{
    static const uint8_t version[] = {0, 0, 0, 1};
    TRY(buf_append_text(out, MAGIC));
    TRY(buf_append(out, bytes_of(version, sizeof version)));
    TRY(append_typed(out, bytes_of(sig->key, sizeof sig->key)));
    TRY(append_text(out, name_space));
    TRY(append_text(out, ""));
    TRY(append_text(out, HASH));
    return append_typed(out, bytes_of(sig->signature, sizeof sig->signature));
}

enum err sshsig_sign(EVP_PKEY *key, const char *name_space, struct bytes message, struct buf *text)
{
    CLEANUP(buf_free) struct buf signed_text = {0};
    CLEANUP(buf_free) struct buf blob = {0};
    CLEANUP(evp_md_ctx_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    struct sshsig sig;
    size_t key_len = sizeof sig.key;
    size_t len = sizeof sig.signature;
    if (ctx == NULL)
        return crypto_failed();
    crypto_begin();
    if (EVP_PKEY_is_a(key, "ED25519") != 1) {
        const enum err own = crypto_own_fault();
        return own != ERR_OK ? own : ERR_PUBLIC_KEY;
    }
    TRY(append_signed(name_space, message, &signed_text));
    if (EVP_PKEY_get_raw_public_key(key, sig.key, &key_len) != 1 ||
        EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(ctx, sig.signature, &len, signed_text.ptr, signed_text.len) != 1)
        return crypto_failed();
    TRY(append_blob(&sig, name_space, &blob));
    return append_armor(bytes_of_buf(&blob), text);
}

/* --- A public key --- */

enum err ssh_public_key_parse(struct bytes text, uint8_t key[static SSHSIG_KEY_LEN],
                              struct bytes *comment, struct fault *fault)
{
    CLEANUP(buf_free) struct buf blob = {0};
    uint8_t value[SSHSIG_KEY_LEN];
    struct bytes word[2];
    while (text.len > 0 && text.ptr[text.len - 1] == '\n')
        text.len--;
    if (text.len > 0 && memchr(text.ptr, '\n', text.len) != NULL)
        FAIL(fault, ERR_PUBLIC_KEY,
             "one line is expected, as ssh-keygen writes it to its .pub file; never the private "
             "key");
    for (size_t i = 0; i < ARRAY_LEN(word); i++) {
        const uint8_t *blank = text.len == 0 ? NULL : memchr(text.ptr, ' ', text.len);
        word[i] = bytes_of(text.ptr, blank == NULL ? text.len : (size_t)(blank - text.ptr));
        text =
            blank == NULL ? bytes_of(text.ptr, 0) : bytes_of(blank + 1, text.len - word[i].len - 1);
    }
    if (!bytes_equal_text(word[0], ALGORITHM))
        FAIL(fault, ERR_PUBLIC_KEY,
             "a line `" ALGORITHM " BASE64` is expected, as ssh-keygen -t ed25519 writes it");
    const enum err err = base64_decode(word[1], &blob);
    if (err == ERR_BASE64)
        FAIL(fault, ERR_PUBLIC_KEY, "behind " ALGORITHM " stands no base64");
    TRY(err);
    TRY(take_typed(bytes_of_buf(&blob), sizeof value, value, fault, ERR_PUBLIC_KEY));
    memcpy(key, value, sizeof value);
    *comment = text;
    return ERR_OK;
}
