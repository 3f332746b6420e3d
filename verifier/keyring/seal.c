#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "common/wrap_format.h" /* the one AES-256-GCM of this program */
#include "keyring_internal.h"

_Static_assert(KEYRING_KEY_LEN == AEAD_KEY_LEN, "what HKDF gives is an AES-256 key");

static const char *const purpose_label[] = {
    [KEYRING_SECRET] = "seal/secret",
    [KEYRING_OWN_KEY] = "seal/own-keys",
    [KEYRING_KMS_KEY] = "seal/kms-key",
    [KEYRING_ACCESS_KEY] = "seal/access-key",
};
_Static_assert(ARRAY_LEN(purpose_label) == KEYRING_PURPOSE_COUNT, "one label a purpose");

/* What a seal is bound to. */
struct seal_subject {
    const struct keyring *keyring;
    const char *label;
    uint64_t object_id;
    uint64_t version;
};

/* A sealed value taken apart: views. */
struct sealed_parts {
    struct bytes data_key_iv;
    struct bytes data_key; /* and its tag */
    struct bytes iv;
    struct bytes ciphertext; /* and its tag */
};

static enum err subject_of(const struct keyring *keyring, enum keyring_purpose purpose,
                           uint64_t object_id, uint64_t version, struct seal_subject *out)
{
    if ((unsigned)purpose >= KEYRING_PURPOSE_COUNT)
        return ERR_INTERNAL;
    *out = (struct seal_subject){keyring, purpose_label[purpose], object_id, version};
    return ERR_OK;
}

enum seal_layer {
    SEAL_VALUE,
    SEAL_DATA_KEY, /* its AAD has the generation too */
};

static enum err subject_aad(const struct seal_subject *s, enum seal_layer layer, struct buf *aad)
{
    struct cbor_writer w;
    cbor_writer_init(&w, aad);
    cbor_writer_array(&w, layer == SEAL_DATA_KEY ? 5 : 4);
    cbor_writer_cstr(&w, s->label);
    cbor_writer_bytes(&w, bytes_of(s->keyring->store_id, sizeof s->keyring->store_id));
    cbor_writer_uint(&w, s->object_id);
    cbor_writer_uint(&w, s->version);
    if (layer == SEAL_DATA_KEY)
        cbor_writer_uint(&w, s->keyring->generation);
    return cbor_writer_finish(&w);
}

/* Key and IV as the AEAD takes them.  An IV is used for one message: sequence 0. */
static enum err keys_of(const struct secret *key, struct bytes iv, struct secret **out)
{
    CLEANUP(secret_freep) struct secret *keys = NULL;
    TRY(secret_new(AEAD_KEY_LEN + AEAD_NONCE_LEN, &keys));
    memcpy(secret_ptr(keys), secret_view(key).ptr, AEAD_KEY_LEN);
    memcpy(secret_ptr(keys) + AEAD_KEY_LEN, iv.ptr, AEAD_NONCE_LEN);
    *out = TAKE(keys);
    return ERR_OK;
}

/* `keys` is key | IV; the IV of it is public. */
static struct bytes iv_of(const struct secret *keys)
{
    return bytes_of(secret_view(keys).ptr + AEAD_KEY_LEN, AEAD_NONCE_LEN);
}

static enum err seal_layer(const struct seal_subject *s, enum seal_layer layer,
                           const struct secret *keys, const struct secret *plaintext,
                           struct buf *ciphertext)
{
    CLEANUP(buf_free) struct buf aad = {0};
    TRY(subject_aad(s, layer, &aad));
    return wrap_aead_seal(keys, 0, bytes_of_buf(&aad), plaintext, ciphertext);
}

static enum err open_layer(const struct seal_subject *s, enum seal_layer layer,
                           const struct secret *key, struct bytes iv, struct bytes ciphertext,
                           struct secret **plaintext)
{
    CLEANUP(secret_freep) struct secret *keys = NULL;
    CLEANUP(buf_free) struct buf aad = {0};
    TRY(keys_of(key, iv, &keys));
    TRY(subject_aad(s, layer, &aad));
    return wrap_aead_open(keys, 0, bytes_of_buf(&aad), ciphertext, plaintext);
}

/* The data key, sealed under the purpose's key with an IV of its own. */
static enum err seal_data_key(const struct seal_subject *s, const struct secret *data_keys,
                              struct buf *iv, struct buf *sealed)
{
    CLEANUP(secret_freep) struct secret *data_key = NULL;
    CLEANUP(secret_freep) struct secret *purpose_key = NULL;
    CLEANUP(secret_freep) struct secret *random_iv = NULL;
    CLEANUP(secret_freep) struct secret *keys = NULL;
    TRY(secret_new(AEAD_KEY_LEN, &data_key));
    memcpy(secret_ptr(data_key), secret_view(data_keys).ptr, AEAD_KEY_LEN);
    TRY(keyring_derive(s->keyring, s->label, bytes_of(NULL, 0), &purpose_key));
    TRY(secret_new_random(AEAD_NONCE_LEN, &random_iv));
    TRY(keys_of(purpose_key, secret_view(random_iv), &keys));
    TRY(buf_append(iv, secret_view(random_iv)));
    return seal_layer(s, SEAL_DATA_KEY, keys, data_key, sealed);
}

static enum err parts_append(const struct seal_subject *s, const struct sealed_parts *parts,
                             struct buf *sealed)
{
    struct cbor_writer w;
    cbor_writer_init(&w, sealed);
    cbor_writer_array(&w, 5);
    cbor_writer_uint(&w, s->keyring->generation);
    cbor_writer_bytes(&w, parts->data_key_iv);
    cbor_writer_bytes(&w, parts->data_key);
    cbor_writer_bytes(&w, parts->iv);
    cbor_writer_bytes(&w, parts->ciphertext);
    return cbor_writer_finish(&w);
}

enum err keyring_seal(const struct keyring *keyring, enum keyring_purpose purpose,
                      uint64_t object_id, uint64_t version, const struct secret *plaintext,
                      struct buf *sealed)
{
    struct seal_subject s;
    CLEANUP(secret_freep) struct secret *data_keys = NULL; /* data key | IV, both random */
    CLEANUP(buf_free) struct buf data_key_iv = {0};
    CLEANUP(buf_free) struct buf data_key = {0};
    CLEANUP(buf_free) struct buf ciphertext = {0};

    TRY(subject_of(keyring, purpose, object_id, version, &s));
    TRY(secret_new_random(AEAD_KEY_LEN + AEAD_NONCE_LEN, &data_keys));
    TRY(seal_layer(&s, SEAL_VALUE, data_keys, plaintext, &ciphertext));
    TRY(seal_data_key(&s, data_keys, &data_key_iv, &data_key));
    const struct sealed_parts parts = {
        .data_key_iv = bytes_of_buf(&data_key_iv),
        .data_key = bytes_of_buf(&data_key),
        .iv = iv_of(data_keys),
        .ciphertext = bytes_of_buf(&ciphertext),
    };
    return parts_append(&s, &parts, sealed);
}

/* Byte strings of exactly the sizes that parts_append writes, and this generation. */
static enum err parts_parse(const struct seal_subject *s, struct bytes sealed,
                            struct sealed_parts *out)
{
    struct cbor_reader r;
    cbor_reader_init(&r, sealed, 0, "sealed", NULL);
    TRY(cbor_reader_expect_array(&r, 5));
    TRY(cbor_reader_expect_uint(&r, s->keyring->generation));
    TRY(cbor_reader_bytes(&r, &out->data_key_iv));
    TRY(cbor_reader_bytes(&r, &out->data_key));
    TRY(cbor_reader_bytes(&r, &out->iv));
    TRY(cbor_reader_bytes(&r, &out->ciphertext));
    TRY(cbor_reader_end(&r));
    if (out->data_key_iv.len != AEAD_NONCE_LEN || out->iv.len != AEAD_NONCE_LEN ||
        out->data_key.len != AEAD_KEY_LEN + WRAP_TAG_LEN || out->ciphertext.len < WRAP_TAG_LEN)
        return ERR_STORE_TAMPERED;
    return ERR_OK;
}

static enum err parts_open(const struct seal_subject *s, struct bytes sealed,
                           struct secret **plaintext)
{
    struct sealed_parts parts = {0};
    CLEANUP(secret_freep) struct secret *purpose_key = NULL;
    CLEANUP(secret_freep) struct secret *data_key = NULL;

    TRY(parts_parse(s, sealed, &parts));
    TRY(keyring_derive(s->keyring, s->label, bytes_of(NULL, 0), &purpose_key));
    TRY(open_layer(s, SEAL_DATA_KEY, purpose_key, parts.data_key_iv, parts.data_key, &data_key));
    return open_layer(s, SEAL_VALUE, data_key, parts.iv, parts.ciphertext, plaintext);
}

enum err keyring_unseal(const struct keyring *keyring, enum keyring_purpose purpose,
                        uint64_t object_id, uint64_t version, struct bytes sealed,
                        struct secret **plaintext)
{
    struct seal_subject s;
    TRY(subject_of(keyring, purpose, object_id, version, &s));
    const enum err err = parts_open(&s, sealed, plaintext);
    /* Whatever way it does not open, it is not what was put there; but a library that fails
     * (no memory) is no tampering. */
    const bool unopened = err != ERR_OK && err != ERR_NO_MEMORY && err != ERR_CRYPTO;
    return unopened ? ERR_STORE_TAMPERED : err;
}

enum err keyring_unseal_and_wrap(const struct keyring *keyring, uint64_t object_id,
                                 uint64_t version, struct bytes sealed, struct wrap_sealer *sealer,
                                 struct bytes aad, struct buf *ciphertext)
{
    CLEANUP(secret_freep) struct secret *plaintext = NULL;
    TRY(keyring_unseal(keyring, KEYRING_SECRET, object_id, version, sealed, &plaintext));
    return wrap_seal(sealer, aad, plaintext, ciphertext);
}
