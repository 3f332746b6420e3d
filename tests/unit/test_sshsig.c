/* SSH signatures: the one kind that is taken, and what differs from it in each place.  That they
 * are ssh-keygen's is tests/e2e/people.py's to show, with the real one. */
#include "common/sshsig.h"

#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "unit.h"

#define SPACE "vouchsafe-registration@1"

/* Made with ssh-keygen 9.2 -Y sign -n vouchsafe-registration@1 over "hello\n". */
static const char made[] =
    "-----BEGIN SSH SIGNATURE-----\n"
    "U1NIU0lHAAAAAQAAADMAAAALc3NoLWVkMjU1MTkAAAAgR96Xo9VCTprq6u2qs/K4yKR3aQ\n"
    "/Av7g5vggcocuCkjkAAAAYdm91Y2hzYWZlLXJlZ2lzdHJhdGlvbkAxAAAAAAAAAAZzaGE1\n"
    "MTIAAABTAAAAC3NzaC1lZDI1NTE5AAAAQLfopLr/i1hqeIDzRmP22u+gqjbpzlYrI6XB1l\n"
    "DUz7EoOF/ApJ3TUBrz1tw8zAukp/+jlAyyLfd2qdMuhHqT3A0=\n"
    "-----END SSH SIGNATURE-----\n";
static const char public_line[] =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfel6PVQk6a6urtqrPyuMikd2kPwL+4Ob4IHKHLgpI5 ci@x\n";

static struct bytes message(void)
{
    return bytes_of_text("hello\n");
}

START_TEST(valid_signature)
{
    struct sshsig sig;
    uint8_t key[SSHSIG_KEY_LEN];
    struct bytes comment;
    ck_ok(sshsig_parse(bytes_of_text(made), SPACE, &sig, NULL));
    ck_ok(sshsig_verify(&sig, SPACE, message(), NULL));
    ck_ok(ssh_public_key_parse(bytes_of_text(public_line), key, &comment, NULL));
    ck_assert_mem_eq(key, sig.key, sizeof key);
    ck_assert(bytes_equal_text(comment, "ci@x"));
}
END_TEST

START_TEST(wrong_signature)
{
    struct sshsig sig;
    ck_ok(sshsig_parse(bytes_of_text(made), SPACE, &sig, NULL));
    ck_err(sshsig_verify(&sig, SPACE, bytes_of_text("hello"), NULL), ERR_SIGNATURE);
    ck_err(sshsig_verify(&sig, SPACE, bytes_of("", 0), NULL), ERR_SIGNATURE);
    ck_err(sshsig_verify(&sig, "vouchsafe-registration@2", message(), NULL), ERR_SIGNATURE);
    for (size_t i = 0; i < sizeof sig; i++) {
        uint8_t *byte = i < SSHSIG_KEY_LEN ? &sig.key[i] : &sig.signature[i - SSHSIG_KEY_LEN];
        *byte ^= 1;
        ck_err(sshsig_verify(&sig, SPACE, message(), NULL), ERR_SIGNATURE);
        *byte ^= 1;
    }
    ck_ok(sshsig_verify(&sig, SPACE, message(), NULL));
}
END_TEST

START_TEST(valid_sign)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    CLEANUP(evp_pkey_freep) EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    CLEANUP(buf_free) struct buf text = {0};
    struct sshsig sig;
    ck_ok(sshsig_sign(key, SPACE, message(), &text));
    ck_ok(sshsig_parse(bytes_of_buf(&text), SPACE, &sig, NULL));
    ck_ok(sshsig_verify(&sig, SPACE, message(), NULL));
    /* ... in the very form that ssh-keygen gives it. */
    ck_assert_uint_eq(text.len, sizeof made - 1);
    for (size_t i = 0; i < text.len; i++)
        ck_assert((text.ptr[i] == '\n') == (made[i] == '\n'));
    ck_err(sshsig_sign(other, SPACE, message(), &text), ERR_PUBLIC_KEY);
}
END_TEST

/* --- One thing changed --- */

static void refused(const void *text, size_t len, const char *says)
{
    struct fault fault = FAULT_NONE;
    struct sshsig sig;
    memset(&sig, 0xa5, sizeof sig);
    const struct sshsig before = sig;
    ck_err(sshsig_parse(bytes_of(text, len), SPACE, &sig, &fault), ERR_SSHSIG);
    ck_assert_msg(strstr(fault.detail, says) != NULL, "\"%s\" is not in \"%s\"", says,
                  fault.detail);
    ck_assert_mem_eq(&sig, &before, sizeof sig);
}

static void armor(struct bytes blob, struct buf *out)
{
    out->len = 0;
    ck_ok(buf_append_text(out, "-----BEGIN SSH SIGNATURE-----\n"));
    ck_ok(base64_append(out, blob));
    ck_ok(buf_append_text(out, "\n-----END SSH SIGNATURE-----\n"));
}

static void made_blob(struct buf *blob)
{
    CLEANUP(buf_free) struct buf digits = {0};
    for (const char *p = strchr(made, '\n'); *p != '-'; p++) {
        if (*p != '\n')
            ck_ok(buf_append(&digits, bytes_of(p, 1)));
    }
    ck_ok(base64_decode(bytes_of_buf(&digits), blob));
}

START_TEST(wrong_fields)
{
    static const struct {
        size_t offset;
        const char *with;
        const char *says;
    } cases[] = {
        {0, "SSHSIX", "version 1"},
        {9, "\x02", "version 1"},
        {18, "ssh-ed25510", "ssh-ed25510: only ssh-ed25519"},
        {69, "vouchsafe-registration@2", "sign with -n vouchsafe-registration@1"},
        {101, "sha256", "over sha512"},
        {115, "ssh-ed25510", "ssh-ed25510: only ssh-ed25519"},
        {13, "\x32", "breaks off"},  /* the length of the key */
        {17, "\x0a", "ssh-ed2551:"}, /* of the algorithm in it */
        {32, "\x1f", "32 bytes"},    /* of the key in it */
        {68, "\x17", "breaks off"},
        {114, "\x0a", "ssh-ed2551:"},
        {129, "\x3f", "64 bytes"},
    };
    CLEANUP(buf_free) struct buf text = {0};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP(buf_free) struct buf blob = {0};
        made_blob(&blob);
        memcpy(blob.ptr + cases[i].offset, cases[i].with, strlen(cases[i].with));
        armor(bytes_of_buf(&blob), &text);
        refused(text.ptr, text.len, cases[i].says);
    }
}
END_TEST

START_TEST(long_or_short)
{
    CLEANUP(buf_free) struct buf blob = {0};
    CLEANUP(buf_free) struct buf text = {0};
    struct sshsig sig;
    made_blob(&blob);
    for (size_t len = 0; len < blob.len; len++) {
        armor(bytes_of(blob.ptr, len), &text);
        refused(text.ptr, text.len, "");
    }
    ck_ok(buf_append(&blob, bytes_of("\0", 1)));
    armor(bytes_of_buf(&blob), &text);
    refused(text.ptr, text.len, "more than a signature's fields");
    /* A reserved field that says something. */
    blob.len--;
    CLEANUP(buf_free) struct buf reserved = {0};
    ck_ok(buf_append(&reserved, bytes_of(blob.ptr, 93)));
    ck_ok(buf_append(&reserved, bytes_of("\0\0\0\1r", 5)));
    ck_ok(buf_append(&reserved, bytes_of(blob.ptr + 97, blob.len - 97)));
    armor(bytes_of_buf(&reserved), &text);
    refused(text.ptr, text.len, "reserved");
    for (size_t len = 0; len < sizeof made - 2; len++)
        refused(made, len, "");
    ck_ok(sshsig_parse(bytes_of(made, sizeof made - 2), SPACE, &sig, NULL));
}
END_TEST

START_TEST(wrong_armor)
{
    CLEANUP(buf_free) struct buf text = {0};
    ck_ok(buf_append_text(&text, made));
    ck_ok(buf_append_text(&text, made));
    refused(text.ptr, text.len, "something follows");
    text.len = sizeof made - 1;
    text.ptr[40] = ' ';
    refused(text.ptr, text.len, "no base64");
    text.len = 0;
    ck_ok(buf_append_text(&text, " "));
    ck_ok(buf_append_text(&text, made));
    refused(text.ptr, text.len, "an SSH signature is expected");
    text.len = 0;
    ck_ok(buf_append_text(&text, made));
    while (text.len <= SSHSIG_TEXT_MAX)
        ck_ok(buf_append_text(&text, "\n"));
    refused(text.ptr, text.len, "an SSH signature is expected");
}
END_TEST

START_TEST(wrong_public_key)
{
    static const char *const lines[] = {
        "",
        "\n",
        "ssh-ed25519",
        "ssh-ed25519 ",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 AAA=",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIEfel6PVQk6a6urtqrPyuMikd2kPwL+4Ob4IHKHLgpI5",
        "ssh-ed25519  AAAAC3NzaC1lZDI1NTE5AAAAIEfel6PVQk6a6urtqrPyuMikd2kPwL+4Ob4IHKHLgpI5",
        "from=\"*\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfel6PVQk6a6urtqrPyuMikd2kPwL+4Ob4I",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEfel6PVQk6a6urtqrPyuMikd2kPwL+4Ob4IHKHLgpI5 a\n\nb",
        "ssh-ed25519 AAAAB3NzaC1yc2EAAAADAQABAAAAgQC7 x",
    };
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        uint8_t key[SSHSIG_KEY_LEN];
        struct bytes comment;
        struct fault fault = FAULT_NONE;
        ck_err(ssh_public_key_parse(bytes_of_text(lines[i]), key, &comment, &fault),
               ERR_PUBLIC_KEY);
        ck_assert_str_ne(fault.detail, "");
    }
}
END_TEST

UNIT_MAIN("sshsig", valid_signature, wrong_signature, valid_sign, wrong_fields, long_or_short,
          wrong_armor, wrong_public_key)
