/* SSH signatures and public keys as somebody hands them in: what is read is a signature of the
 * one kind, and written again it is read as the same. */
#include "common/codec.h"
#include "common/sshsig.h"
#include "fuzz.h"

#define SPACE "vouchsafe-registration@1"

/* A signature has no reader but this: what it holds stands at fixed places of its bytes. */
static void check_places(struct bytes in, const struct sshsig *sig)
{
    CLEANUP(buf_free) struct buf digits = {0};
    CLEANUP(buf_free) struct buf blob = {0};
    for (size_t i = sizeof "-----BEGIN SSH SIGNATURE-----"; in.ptr[i] != '-'; i++) {
        if (in.ptr[i] != '\n')
            FUZZ_OK(buf_append(&digits, bytes_of(in.ptr + i, 1)));
    }
    FUZZ_OK(base64_decode(bytes_of_buf(&digits), &blob));
    FUZZ_HOLDS(blob.len == 170 + sizeof SPACE - 1);
    FUZZ_HOLDS(memcmp(blob.ptr + 33, sig->key, sizeof sig->key) == 0);
    FUZZ_HOLDS(memcmp(blob.ptr + blob.len - 64, sig->signature, sizeof sig->signature) == 0);
}

/* Whatever is signed here is read there. */
static void check_sign(struct bytes message)
{
    static const uint8_t seed[32] = {7};
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key_ex(NULL, "ED25519", NULL, seed, sizeof seed);
    CLEANUP(buf_free) struct buf text = {0};
    struct sshsig sig;
    FUZZ_OK(sshsig_sign(key, SPACE, message, &text));
    FUZZ_OK(sshsig_parse(bytes_of_buf(&text), SPACE, &sig, NULL));
    FUZZ_OK(sshsig_verify(&sig, SPACE, message, NULL));
    FUZZ_HOLDS(sshsig_verify(&sig, "file", message, NULL) == ERR_SIGNATURE);
    EVP_PKEY_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct bytes in = bytes_of(data, size);
    struct fault fault = FAULT_NONE;
    struct fault key_fault = FAULT_NONE;
    struct sshsig sig;
    uint8_t key[SSHSIG_KEY_LEN];
    struct bytes comment;
    FUZZ_FILL(&sig);
    const enum err err = sshsig_parse(in, SPACE, &sig, &fault);
    FUZZ_CHECK(err, &fault, in, &sig);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_SSHSIG);
    if (err == ERR_OK) {
        check_places(in, &sig);
        const enum err verified = sshsig_verify(&sig, SPACE, bytes_of_text("hello\n"), NULL);
        FUZZ_HOLDS(verified == ERR_OK || verified == ERR_SIGNATURE);
    }
    check_sign(in);
    FUZZ_FILL(&key);
    const enum err key_err = ssh_public_key_parse(in, key, &comment, &key_fault);
    FUZZ_CHECK(key_err, &key_fault, in, &key);
    FUZZ_HOLDS(key_err == ERR_OK || key_err == ERR_PUBLIC_KEY);
    FUZZ_HOLDS(key_err != ERR_OK || fuzz_within(comment, in));
    return 0;
}

/* One byte of the binary signature, or any of the text. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    CLEANUP(buf_free) struct buf digits = {0};
    CLEANUP(buf_free) struct buf blob = {0};
    CLEANUP(buf_free) struct buf whole = {0};
    const size_t begin = sizeof "-----BEGIN SSH SIGNATURE-----";
    for (size_t i = begin; i < size && data[i] != '-'; i++) {
        if (data[i] != '\n')
            FUZZ_OK(buf_append(&digits, bytes_of(data + i, 1)));
    }
    if (fuzz_choose(&seed, 4) == 0 || base64_decode(bytes_of_buf(&digits), &blob) != ERR_OK ||
        blob.len == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    blob.ptr[fuzz_choose(&seed, (uint32_t)blob.len)] = (uint8_t)fuzz_choose(&seed, 256);
    FUZZ_OK(buf_append_text(&whole, "-----BEGIN SSH SIGNATURE-----\n"));
    FUZZ_OK(base64_append(&whole, bytes_of_buf(&blob)));
    FUZZ_OK(buf_append_text(&whole, "\n-----END SSH SIGNATURE-----\n"));
    return fuzz_replace(data, size, max_size, &whole);
}
