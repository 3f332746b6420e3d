/* Keys that sign registration files, and the files. */
#ifndef VOUCHSAFE_REGISTRATION_FIXTURE_H
#define VOUCHSAFE_REGISTRATION_FIXTURE_H

#include "common/registration.h"
#include "common/sshsig.h"
#include "warden_fixture.h"

struct signer {
    EVP_PKEY *key;
    uint8_t public_key[SSHSIG_KEY_LEN];
};

static inline void signer_free(struct signer *signer)
{
    EVP_PKEY_free(signer->key);
}

static inline void signer_make(struct signer *out)
{
    size_t len = sizeof out->public_key;
    out->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    ck_assert_ptr_nonnull(out->key);
    ck_assert_int_eq(EVP_PKEY_get_raw_public_key(out->key, out->public_key, &len), 1);
}

/* A registration file: the values that a test changes. */
struct spec {
    uint64_t serial;
    const char *image;
    const char *version;
    unsigned seed;
    const char *more; /* members of the measurement, JSON, each with a comma before */
    int64_t expires_ms;
    uint8_t store_flip;
};
#define SPEC(serial_, version_, seed_)                                                    \
    (struct spec)                                                                         \
    {                                                                                     \
        .serial = (serial_), .image = "payments", .version = (version_), .seed = (seed_), \
        .more = "", .expires_ms = (int64_t)(NOW_MS + DAY_MS)                              \
    }

static inline void file_text(const struct warden_fixture *f, const struct spec *spec,
                             struct buf *out)
{
    uint8_t store[PROTOCOL_STORE_ID_LEN];
    char hex[2 * PROTOCOL_STORE_ID_LEN + 1];
    char expires[TIME_TEXT_MAX];
    struct mkdoc_fields fields;
    memcpy(store, f->founded.store_id, sizeof store);
    store[0] ^= spec->store_flip;
    hex_encode(bytes_of(store, sizeof store), hex);
    time_format(spec->expires_ms, expires);
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, spec->seed);
    ck_ok(buf_append_format(out,
                            "{\"store\":\"%s\",\"serial\":%llu,\"expires\":\"%s\",\"measurement\":{"
                            "\"image\":\"%s\",\"version\":\"%s\"%s,\"pcrs\":{",
                            hex, (unsigned long long)spec->serial, expires, spec->image,
                            spec->version, spec->more));
    for (unsigned i = 0; i < 3; i++) {
        char pcr[2 * ATTDOC_PCR_LEN + 1];
        hex_encode(bytes_of(fields.pcr[i], ATTDOC_PCR_LEN), pcr);
        ck_ok(buf_append_format(out, "%s\"%u\":\"%s\"", i == 0 ? "" : ",", i, pcr));
    }
    ck_ok(buf_append_text(out, "}}}"));
}

#endif
