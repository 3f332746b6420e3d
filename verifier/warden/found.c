#include "found.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/codec.h"
#include "common/openssl_cleanup.h"
#include "common/receipt.h"
#include "common/spki.h"
#include "ledger.h"
#include "message.h"

#define PATH_LEN          4096
#define DAY_MS            (24 * 3600 * 1000ull)
#define MASTER_GENERATION 1

/* The files, in the order in which they are made: the database last, so that a store
 * which exists is whole. */
enum found_file { FILE_MASTER, FILE_ISSUER_KEY, FILE_ISSUER_PEM, FILE_TOKEN, FILE_PIN, FILE_DB };
static const char *const file_names[] = {
    [FILE_MASTER] = "master.key",     [FILE_ISSUER_KEY] = "issuer.key",
    [FILE_ISSUER_PEM] = "issuer.pem", [FILE_TOKEN] = "client/token",
    [FILE_PIN] = "client/issuer",     [FILE_DB] = "vouchsafe.db",
};

struct work {
    const struct founding *founding;
    uint64_t now_ms;
    struct store_identity identity;
    struct keyring *keyring;
    EVP_PKEY *issuer;
    struct buf issuer_spki;
    uint8_t issuer_fingerprint[SHA256_LEN];
    uint8_t root_sha256[SHA256_LEN];
    struct secret *token;
    struct ledger_change change;
    char path[ARRAY_LEN(file_names)][PATH_LEN];
    unsigned made; /* bit i: file i is there, and ours to remove */
};

static void work_free(struct work *w)
{
    keyring_free(w->keyring);
    EVP_PKEY_free(w->issuer);
    buf_free(&w->issuer_spki);
    secret_free(w->token);
    ledger_change_free(&w->change);
}

/* --- Files --- */

/* Whoever can write the directory can exchange the whole store for an older one. */
static enum err make_dir(const char *path, struct fault *fault)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return ERR_OK;
    if (errno != EEXIST || stat(path, &st) != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "--state"), ERR_FILE,
             "the directory %s cannot be made: %s", path, strerror(errno));
    if (st.st_uid != geteuid())
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "--state"), ERR_CONFIG,
             "%s belongs to user %u, who could write there; name another directory", path,
             (unsigned)st.st_uid);
    if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "--state"), ERR_CONFIG,
             "%s has mode %04o: others could write there; chmod 700 it, or name another directory",
             path, st.st_mode & 07777);
    return ERR_OK;
}

static enum err prepare_paths(struct work *w, struct fault *fault)
{
    char client[PATH_LEN];
    const char *dir = w->founding->state_dir;
    if (strlen(dir) > PATH_LEN - 64)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "--state"), ERR_USAGE, "the path is too long");
    for (size_t i = 0; i < ARRAY_LEN(file_names); i++) {
        snprintf(w->path[i], PATH_LEN, "%s/%s", dir, file_names[i]);
        struct stat st;
        if (lstat(w->path[i], &st) == 0)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "--state"), ERR_EXISTS,
                 "%s exists: a store is made once and never overwritten; name another directory",
                 w->path[i]);
    }
    TRY(make_dir(dir, fault));
    snprintf(client, sizeof client, "%s/client", dir);
    return make_dir(client, fault);
}

static enum err write_file(struct work *w, enum found_file file, struct bytes content, mode_t mode,
                           struct fault *fault)
{
    const char *path = w->path[file];
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s cannot be made: %s", path, strerror(errno));
    w->made |= 1u << file;
    const bool written =
        write(fd, content.ptr, content.len) == (ssize_t)content.len && fsync(fd) == 0;
    const int error = errno;
    if (close(fd) != 0 || !written)
        FAIL(fault, ERR_FILE, "%s cannot be written: %s", path, strerror(error));
    return ERR_OK;
}

/* Only what was made here: of two that found a store in one place at the same time, the
 * one that loses must not take the other's master key away. */
static void remove_files(const struct work *w)
{
    for (size_t i = 0; i < ARRAY_LEN(file_names); i++) {
        if ((w->made >> i & 1) != 0)
            unlink(w->path[i]);
    }
}

/* --- Keys --- */

static enum err make_identity(struct work *w, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *master = NULL;
    w->identity = (struct store_identity){
        .generation = MASTER_GENERATION,
        .challenge_epoch = 1,
        .created_ms = w->now_ms,
    };
    if (RAND_bytes(w->identity.store_id, sizeof w->identity.store_id) != 1)
        return crypto_failed();
    TRY(keyring_master_create(w->path[FILE_MASTER], &master, fault));
    w->made |= 1u << FILE_MASTER;
    TRY(keyring_open(master, w->identity.store_id, w->identity.generation, &w->keyring));
    return keyring_check_value(w->keyring, w->identity.key_check);
}

static enum err issuer_spki(struct work *w)
{
    TRY(spki_append(w->issuer, &w->issuer_spki));
    return digest_sha256(bytes_of_buf(&w->issuer_spki), w->issuer_fingerprint);
}

static enum err write_issuer_files(struct work *w, struct fault *fault)
{
    char issuer[2 * SHA256_LEN + 1];
    char store[2 * PROTOCOL_STORE_ID_LEN + 1];
    char pin[sizeof issuer + sizeof store + 16];
    hex_encode(bytes_of(w->issuer_fingerprint, SHA256_LEN), issuer);
    hex_encode(bytes_of(w->identity.store_id, PROTOCOL_STORE_ID_LEN), store);
    snprintf(pin, sizeof pin, "%s\nstore %s\n", issuer, store);
    TRY(write_file(w, FILE_PIN, bytes_of_text(pin), 0600, fault));
    FILE *file = fopen(w->path[FILE_ISSUER_PEM], "wx");
    if (file == NULL)
        FAIL(fault, ERR_FILE, "%s cannot be made: %s", w->path[FILE_ISSUER_PEM], strerror(errno));
    w->made |= 1u << FILE_ISSUER_PEM;
    const int written = PEM_write_PUBKEY(file, w->issuer);
    if (fclose(file) != 0 || written != 1)
        FAIL(fault, ERR_FILE, "%s cannot be written", w->path[FILE_ISSUER_PEM]);
    return ERR_OK;
}

static enum err make_issuer(struct work *w, struct fault *fault)
{
    TRY(issuer_key_create(w->path[FILE_ISSUER_KEY], &w->issuer, fault));
    w->made |= 1u << FILE_ISSUER_KEY;
    TRY(issuer_spki(w));
    return write_issuer_files(w, fault);
}

/* The token's text never stands in unlocked memory: hex digits made in a secret. */
static enum err make_token(struct work *w, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *text = NULL;
    TRY(secret_new_random(WARDEN_TOKEN_LEN, &w->token));
    TRY(secret_new(2 * WARDEN_TOKEN_LEN + 1, &text));
    hex_encode(secret_view(w->token), (char *)secret_ptr(text));
    secret_ptr(text)[2 * WARDEN_TOKEN_LEN] = '\n';
    return write_file(w, FILE_TOKEN, secret_view(text), 0600, fault);
}

/* --- Rows --- */

#define ADD_ROW(w, TABLE, type, row)                                                      \
    do {                                                                                  \
        CLEANUP(buf_free) struct buf columns_ = {0};                                      \
        TRY(policy_##type##_append((row), &columns_));                                    \
        TRY(ledger_change_add(&(w)->change, POLICY_##TABLE, next_id((w), POLICY_##TABLE), \
                              &columns_));                                                \
    } while (0)

static uint64_t next_id(const struct work *w, enum policy_table table)
{
    uint64_t id = 1;
    for (size_t i = 0; i < w->change.count; i++)
        id += w->change.row[i].table == table;
    return id;
}

static enum err add_setting(struct work *w, const char *name, const char *value)
{
    struct policy_setting row = {0};
    snprintf(row.name, sizeof row.name, "%s", name);
    row.value = (struct buf){.ptr = (uint8_t *)(uintptr_t)value, .len = strlen(value)};
    ADD_ROW(w, SETTING, setting, &row); /* borrows `value`: nothing to free */
    return ERR_OK;
}

static enum err add_first_person(struct work *w)
{
    struct policy_person person = {.state = POLICY_ACTIVE, .created_ms = w->now_ms};
    struct policy_token token = {
        .person_id = 1,
        .label = "init",
        .rights = RIGHT_ALL,
        .state = POLICY_ACTIVE,
        .created_ms = w->now_ms,
    };
    snprintf(person.name, sizeof person.name, "%s", w->founding->person);
    TRY(digest_sha256(secret_view(w->token), token.hash));
    ADD_ROW(w, PERSON, person, &person);
    ADD_ROW(w, TOKEN, token, &token);
    return ERR_OK;
}

static enum err add_own_key(struct work *w, enum own_key_kind kind, enum keyring_own_key which)
{
    CLEANUP(policy_own_key_free)
    struct policy_own_key row = {
        .kind = kind,
        .version = 1,
        .state = POLICY_ACTIVE,
        .created_ms = w->now_ms,
    };
    TRY(keyring_own_key_make(w->keyring, which, row.version, &row.sealed, &row.spki));
    if (kind == OWN_KEY_RECEIPT)
        TRY(delegation_sign(w->issuer, bytes_of_buf(&row.spki), w->identity.store_id, w->now_ms,
                            FOUND_DELEGATION_DAYS * DAY_MS, &row.delegation));
    ADD_ROW(w, OWN_KEY, own_key, &row);
    return ERR_OK;
}

static enum err add_issuer(struct work *w)
{
    CLEANUP(policy_own_key_free)
    struct policy_own_key row = {
        .kind = OWN_KEY_ISSUER,
        .version = 1,
        .state = POLICY_ACTIVE,
        .created_ms = w->now_ms,
    };
    TRY(buf_append(&row.spki, bytes_of_buf(&w->issuer_spki)));
    ADD_ROW(w, OWN_KEY, own_key, &row);
    return ERR_OK;
}

static enum err add_rows(struct work *w)
{
    TRY(add_setting(w, "kind", w->founding->development ? "development" : "production"));
    if (w->founding->root_pem != NULL)
        TRY(add_setting(w, "root", w->founding->root_pem));
    TRY(add_first_person(w));
    TRY(add_own_key(w, OWN_KEY_RECEIPT, KEYRING_RECEIPT_KEY));
    TRY(add_own_key(w, OWN_KEY_SEALING, KEYRING_SEALING_KEY));
    return add_issuer(w);
}

/* --- All of it --- */

/* The root is judged before anything is made: it is for life. */
static enum err check_root(struct work *w, struct fault *fault)
{
    CLEANUP(attest_trust_freep) struct attest_trust *trust = NULL;
    if (w->founding->root_pem != NULL && !w->founding->development)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "--root"), ERR_USAGE,
             "only a development store may trust another root than AWS's: add --development");
    TRY(attest_trust_new(w->founding->root_pem, 0, NULL, &trust, fault));
    memcpy(w->root_sha256, attest_trust_root_sha256(trust), SHA256_LEN);
    return ERR_OK;
}

static enum err make_all(struct work *w, struct fault *fault)
{
    char detail[64];
    snprintf(detail, sizeof detail, "a %s store",
             w->founding->development ? "development" : "production");
    const struct audit_event event = {
        .time_ms = w->now_ms,
        .event = "store.init",
        .request_id = "",
        .policy_revision = 1,
        .person = w->founding->person,
        .code = err_wire(ERR_OK),
        .detail = detail,
    };
    TRY(make_identity(w, fault));
    TRY(make_issuer(w, fault));
    TRY(make_token(w, fault));
    TRY(add_rows(w));
    return ledger_create(w->path[FILE_DB], &w->identity, w->keyring, &w->change, &event, fault);
}

enum err warden_found(const struct founding *founding, int64_t now_ms, struct founded *out,
                      struct fault *fault)
{
    CLEANUP(work_free) struct work w = {.founding = founding, .now_ms = (uint64_t)now_ms};
    TRY(check_root(&w, fault));
    TRY(prepare_paths(&w, fault));
    const enum err err = make_all(&w, fault);
    if (err != ERR_OK) {
        remove_files(&w);
        return err;
    }
    memcpy(out->store_id, w.identity.store_id, sizeof out->store_id);
    memcpy(out->issuer_fingerprint, w.issuer_fingerprint, sizeof out->issuer_fingerprint);
    memcpy(out->root_sha256, w.root_sha256, sizeof out->root_sha256);
    out->delegation_not_after_ms = w.now_ms + FOUND_DELEGATION_DAYS * DAY_MS;
    return ERR_OK;
}
