/* Files of the master key and of the issuer key: what is refused, and with which words. */
#include "unit.h"

#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/openssl_cleanup.h"
#include "verifier/keyring/keyring.h"

#define HEX_KEY "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static struct fault fault;

/* ---- a directory for each test ---- */

struct dir {
    char path[64];
    char file[96]; /* PATH/key */
};

static struct dir dir_make(void)
{
    struct dir d;
    snprintf(d.path, sizeof d.path, "/tmp/vouchsafe-keyring-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(d.path));
    snprintf(d.file, sizeof d.file, "%s/key", d.path);
    return d;
}

static void dir_remove(struct dir *d)
{
    char other[96];
    snprintf(other, sizeof other, "%s/other", d->path);
    unlink(other);
    if (unlink(d->file) != 0)
        rmdir(d->file);
    ck_assert_int_eq(rmdir(d->path), 0);
}

static void write_file(const char *path, const void *content, size_t len, mode_t mode)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, content, len), (ssize_t)len);
    ck_assert_int_eq(fchmod(fd, mode), 0);
    close(fd);
}

static void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text), 0600);
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    ck_assert_int_eq(lstat(path, &st), 0);
    ck_assert(S_ISREG(st.st_mode));
    return st.st_mode & 07777;
}

static bool is_there(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* ---- the master key ---- */

static void ck_loads(const char *path, const uint8_t expected[static KEYRING_MASTER_LEN])
{
    CLEANUP(secret_freep) struct secret *key = NULL;
    ck_ok(keyring_master_load(path, &key, &fault));
    ck_assert(bytes_equal(secret_view(key), bytes_of(expected, KEYRING_MASTER_LEN)));
}

/* Refused with this error, in words that hold `word` and the path. */
static void ck_refused(const char *path, enum err expected, const char *word)
{
    struct secret *key = NULL;
    fault = (struct fault)FAULT_NONE;
    ck_err(keyring_master_load(path, &key, &fault), expected);
    ck_assert_ptr_null(key);
    ck_assert_int_eq(fault.code, expected);
    ck_assert_msg(strstr(fault.detail, word) != NULL, "\"%s\" lacks \"%s\"", fault.detail, word);
}

static void key_1f(uint8_t out[static KEYRING_MASTER_LEN])
{
    for (unsigned i = 0; i < KEYRING_MASTER_LEN; i++)
        out[i] = (uint8_t)i;
}

START_TEST(valid_forms)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    uint8_t key[KEYRING_MASTER_LEN];
    key_1f(key);
    write_file(d.file, key, sizeof key, 0600);
    ck_loads(d.file, key);
    write_text(d.file, HEX_KEY);
    ck_loads(d.file, key);
    write_text(d.file, HEX_KEY "\n");
    ck_loads(d.file, key);
    key[KEYRING_MASTER_LEN - 1] = '\n'; /* raw is raw */
    write_file(d.file, key, sizeof key, 0400);
    ck_loads(d.file, key);
}
END_TEST

START_TEST(wrong_content)
{
    static const struct {
        const char *text;
        const char *word;
    } cases[] = {
        {"", "0 bytes"},
        {"0123456789012345678901234567890", "31 bytes"},
        {"01234567890123456789012345678901\n", "33 bytes"},
        {HEX_KEY "\r\n", "more than 65 bytes"},
        {HEX_KEY "\n\n", "more than 65 bytes"},
        {HEX_KEY "0", "65 bytes"},
        {"\n" HEX_KEY, "65 bytes"},
        {"g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "not all hex"},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1\n", "not all hex"},
        {"0000000000000000000000000000000000000000000000000000000000000000", "all zeros"},
    };
    CLEANUP(dir_remove) struct dir d = dir_make();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_text(d.file, cases[i].text);
        ck_refused(d.file, ERR_CONFIG, cases[i].word);
        ck_refused(d.file, ERR_CONFIG, d.file);
        /* Nothing of what was read gets into a message. */
        ck_assert_ptr_null(strstr(fault.detail, "01020304"));
        ck_assert_ptr_null(strstr(fault.detail, "0123456"));
    }
    const uint8_t zeros[KEYRING_MASTER_LEN] = {0};
    write_file(d.file, zeros, sizeof zeros, 0600);
    ck_refused(d.file, ERR_CONFIG, "all zeros");
}
END_TEST

START_TEST(wrong_mode)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    write_text(d.file, HEX_KEY);
    for (unsigned bit = 0; bit < 6; bit++) {
        char word[32];
        const mode_t mode = (mode_t)(0600 | 1u << bit);
        ck_assert_int_eq(chmod(d.file, mode), 0);
        snprintf(word, sizeof word, "mode %04o", (unsigned)mode);
        ck_refused(d.file, ERR_CONFIG, word);
        ck_refused(d.file, ERR_CONFIG, "chmod 600");
    }
}
END_TEST

START_TEST(wrong_owner)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    write_text(d.file, HEX_KEY);
    if (geteuid() != 0) {
        fputs("wrong_owner: only root can give a file away: not tested\n", stderr);
        return;
    }
    ck_assert_int_eq(chown(d.file, 12345, (gid_t)-1), 0);
    ck_refused(d.file, ERR_CONFIG, "belongs to user 12345");
}
END_TEST

START_TEST(wrong_kind_of_file)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    char other[96];
    snprintf(other, sizeof other, "%s/other", d.path);
    ck_refused(d.file, ERR_CONFIG, "No such file");
    ck_refused("", ERR_CONFIG, "cannot be opened");
    write_text(other, HEX_KEY);
    ck_assert_int_eq(symlink(other, d.file), 0);
    ck_refused(d.file, ERR_CONFIG, "symbolic link");
    ck_assert_int_eq(unlink(d.file), 0);
    ck_assert_int_eq(mkfifo(d.file, 0600), 0); /* and does not wait for a writer */
    ck_refused(d.file, ERR_CONFIG, "not in a regular file");
    ck_assert_int_eq(unlink(d.file), 0);
    ck_assert_int_eq(mkdir(d.file, 0700), 0);
    ck_refused(d.file, ERR_CONFIG, "not in a regular file");
}
END_TEST

/* ---- credentials ---- */

START_TEST(valid_credential)
{
    /* 0400 where it belongs to the service's user, 0440 where an ACL lets it read. */
    static const mode_t modes[] = {0400, 0440, 0600};
    CLEANUP(dir_remove) struct dir d = dir_make();
    uint8_t key[KEYRING_MASTER_LEN];
    key_1f(key);
    ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", d.path, 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        unlink(d.file);
        write_file(d.file, key, sizeof key, modes[i]);
        ck_loads("credential:key", key);
    }
}
END_TEST

START_TEST(wrong_credential)
{
    static const char *const names[] = {"credential:", "credential:a/b", "credential:../key",
                                        "credential:..", "credential:."};
    CLEANUP(dir_remove) struct dir d = dir_make();
    write_text(d.file, HEX_KEY);
    ck_assert_int_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    ck_refused("credential:key", ERR_CONFIG, "LoadCredential=key:");
    ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", "", 1), 0);
    ck_refused("credential:key", ERR_CONFIG, "CREDENTIALS_DIRECTORY");
    ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", d.path, 1), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_refused(names[i], ERR_CONFIG, "takes the name of a credential");
    ck_refused("credential:missing", ERR_CONFIG, "No such file");
    static const mode_t modes[] = {0604, 0602, 0601, 0620, 0610};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        ck_assert_int_eq(chmod(d.file, modes[i]), 0);
        ck_refused("credential:key", ERR_CONFIG, "mode 06");
    }
}
END_TEST

/* ---- made ---- */

START_TEST(valid_create)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    CLEANUP(secret_freep) struct secret *key = NULL;
    const mode_t umask_before = umask(0777);
    ck_ok(keyring_master_create(d.file, &key, &fault));
    umask(umask_before);
    ck_assert_uint_eq(mode_of(d.file), 0600);
    ck_assert_uint_eq(secret_len(key), KEYRING_MASTER_LEN);
    ck_assert(!bytes_all_zero(secret_view(key)));
    ck_loads(d.file, secret_view(key).ptr);
}
END_TEST

START_TEST(wrong_create)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    struct secret *key = NULL;
    char missing[128];
    /* Not even an empty file, or what a link points to. */
    write_text(d.file, "");
    ck_err(keyring_master_create(d.file, &key, &fault), ERR_EXISTS);
    ck_assert_ptr_nonnull(strstr(fault.detail, "not overwritten"));
    ck_refused(d.file, ERR_CONFIG, "0 bytes");
    ck_assert_int_eq(unlink(d.file), 0);
    ck_assert_int_eq(symlink("other", d.file), 0);
    ck_err(keyring_master_create(d.file, &key, &fault), ERR_EXISTS);
    snprintf(missing, sizeof missing, "%s/other", d.path);
    ck_assert(!is_there(missing));
    snprintf(missing, sizeof missing, "%s/missing/key", d.path);
    ck_err(keyring_master_create(missing, &key, &fault), ERR_FILE);
    ck_err(keyring_master_create("credential:key", &key, &fault), ERR_CONFIG);
    ck_assert(!is_there("credential:key"));
    ck_assert_ptr_null(key);
}
END_TEST

/* A disk without room: what was begun is taken away again. */
START_TEST(no_room)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    struct secret *key = NULL;
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct rlimit none = {0, limit.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
    const enum err err = keyring_master_create(d.file, &key, &fault);
    const bool left = is_there(d.file);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_err(err, ERR_FILE);
    ck_assert(!left);
    ck_assert_ptr_null(key);
}
END_TEST

/* ---- the issuer key ---- */

static void ck_issuer_refused(const char *path, enum err expected, const char *word)
{
    EVP_PKEY *key = NULL;
    fault = (struct fault)FAULT_NONE;
    ck_err(issuer_key_load(path, &key, &fault), expected);
    ck_assert_ptr_null(key);
    ck_assert_msg(strstr(fault.detail, word) != NULL, "\"%s\" lacks \"%s\"", fault.detail, word);
}

enum pem_form { PEM_PKCS8, PEM_TRADITIONAL, PEM_ENCRYPTED, PEM_PUBLIC };

static void write_pem(const char *path, const char *type, const char *curve, enum pem_form form,
                      const char *more)
{
    CLEANUP(evp_pkey_freep)
    EVP_PKEY *key = curve == NULL ? EVP_PKEY_Q_keygen(NULL, NULL, type)
                                  : EVP_PKEY_Q_keygen(NULL, NULL, type, curve);
    BIO *bio = BIO_new(BIO_s_mem());
    char password[] = "password";
    ck_assert(key != NULL && bio != NULL);
    int done = 0;
    if (form == PEM_PKCS8)
        done = PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    else if (form == PEM_ENCRYPTED)
        done = PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_256_cbc(), password,
                                             (int)strlen(password), NULL, NULL);
    else if (form == PEM_TRADITIONAL)
        done = PEM_write_bio_PrivateKey_traditional(bio, key, NULL, NULL, 0, NULL, NULL);
    else
        done = PEM_write_bio_PUBKEY(bio, key);
    ck_assert_int_eq(done, 1);
    ck_assert_int_ge(BIO_puts(bio, more), 0);
    char *text = NULL;
    const long len = BIO_get_mem_data(bio, &text);
    write_file(path, text, (size_t)len, 0600);
    BIO_free(bio);
}

START_TEST(valid_issuer_key)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    CLEANUP(evp_pkey_freep) EVP_PKEY *made = NULL;
    CLEANUP(evp_pkey_freep) EVP_PKEY *loaded = NULL;
    CLEANUP(evp_pkey_freep) EVP_PKEY *foreign = NULL;
    const mode_t umask_before = umask(0);
    ck_ok(issuer_key_create(d.file, &made, &fault));
    umask(umask_before);
    ck_assert_uint_eq(mode_of(d.file), 0600);
    ck_ok(issuer_key_load(d.file, &loaded, &fault));
    ck_assert_int_eq(EVP_PKEY_eq(made, loaded), 1);
    /* It is what signs delegations. */
    CLEANUP(buf_free) struct buf message = {0};
    struct cose_sign1 parsed;
    uint8_t kid[COSE_KID_LEN];
    ck_ok(cose_key_id(made, kid));
    ck_ok(cose_sign1_sign(COSE_DELEGATION, kid, bytes_of_text("\xa0"), loaded, &message));
    ck_ok(cose_sign1_parse(COSE_DELEGATION, bytes_of_buf(&message), &parsed, &fault));
    ck_ok(cose_sign1_verify(&parsed, made, &fault));
    /* And openssl's own file of the same form. */
    write_pem(d.file, "EC", "P-384", PEM_PKCS8, "");
    ck_ok(issuer_key_load(d.file, &foreign, &fault));
}
END_TEST

START_TEST(wrong_issuer_create)
{
    CLEANUP(dir_remove) struct dir d = dir_make();
    EVP_PKEY *key = NULL;
    write_text(d.file, "mine");
    ck_err(issuer_key_create(d.file, &key, &fault), ERR_EXISTS);
    ck_issuer_refused(d.file, ERR_CONFIG, "begins with");
    ck_assert_ptr_null(key);
}
END_TEST

START_TEST(wrong_issuer_key)
{
    static const struct {
        const char *type;
        const char *curve;
        enum pem_form form;
        const char *more;
        const char *word;
    } cases[] = {
        {"EC", "P-256", PEM_PKCS8, "", "no good P-384"},
        {"EC", "P-521", PEM_PKCS8, "", "no good P-384"},
        {"ED25519", NULL, PEM_PKCS8, "", "no good P-384"},
        {"EC", "P-384", PEM_TRADITIONAL, "", "begins with"},
        {"EC", "P-384", PEM_ENCRYPTED, "", "begins with"},
        {"EC", "P-384", PEM_PUBLIC, "", "begins with"},
        {"EC", "P-384", PEM_PKCS8, "more", "nothing after it"},
    };
    CLEANUP(dir_remove) struct dir d = dir_make();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_pem(d.file, cases[i].type, cases[i].curve, cases[i].form, cases[i].more);
        ck_issuer_refused(d.file, ERR_CONFIG, cases[i].word);
    }
    write_text(d.file, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    ck_issuer_refused(d.file, ERR_CONFIG, "no good P-384");
    write_text(d.file, "-----BEGIN PRIVATE KEY-----");
    ck_issuer_refused(d.file, ERR_CONFIG, "begins with");
    write_text(d.file, "");
    ck_issuer_refused(d.file, ERR_CONFIG, "begins with");
    write_pem(d.file, "EC", "P-384", PEM_PKCS8, "");
    ck_assert_int_eq(chmod(d.file, 0640), 0);
    ck_issuer_refused(d.file, ERR_CONFIG, "mode 0640");
}
END_TEST

UNIT_MAIN("keyring_files", valid_forms, wrong_content, wrong_mode, wrong_owner, wrong_kind_of_file,
          valid_credential, wrong_credential, valid_create, wrong_create, no_room, valid_issuer_key,
          wrong_issuer_create, wrong_issuer_key)
