#include "warden.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "challenge.h"
#include "common/fd_cleanup.h"
#include "common/log.h"
#include "common/openssl_cleanup.h"
#include "ledger_internal.h"
#include "refusals.h"
#include "verifier/clock.h"

static enum err load_own_key(struct warden *w, const struct policy *policy, enum own_key_kind kind,
                             enum keyring_own_key which, struct fault *fault)
{
    const uint64_t id = policy_find_own_key(policy, kind);
    const struct policy_own_key *key = policy_own_key_get(policy, id);
    if (key == NULL)
        FAIL(fault, ERR_STORE_TAMPERED, "the store holds no current %s key",
             kind == OWN_KEY_RECEIPT ? "receipt" : "sealing");
    const enum err err =
        keyring_own_key_load(w->keyring, which, key->version, bytes_of_buf(&key->sealed));
    if (err == ERR_STORE_TAMPERED)
        FAIL(fault, err, "the server's own key %llu does not open", (unsigned long long)id);
    return err;
}

/* The settings that a store has for life: its kind, and the root it trusts. */
static enum err load_settings(struct warden *w, const struct policy *policy, struct fault *fault)
{
    const struct policy_setting *kind =
        policy_setting_get(policy, policy_find_setting(policy, "kind"));
    const struct policy_setting *root =
        policy_setting_get(policy, policy_find_setting(policy, "root"));
    if (kind == NULL)
        FAIL(fault, ERR_STORE_TAMPERED, "the store does not say which kind it is");
    w->production = bytes_equal_text(bytes_of_buf(&kind->value), "production");
    if (!w->production && !bytes_equal_text(bytes_of_buf(&kind->value), "development"))
        FAIL(fault, ERR_STORE_TAMPERED, "a store is of kind production or development");
    if (w->production && root != NULL)
        FAIL(fault, ERR_STORE_TAMPERED, "a production store trusts no root but AWS's");
    CLEANUP(buf_free) struct buf pem = {0};
    const char *pem_text = NULL;
    if (root != NULL) {
        TRY(buf_append(&pem, bytes_of_buf(&root->value)));
        pem_text = buf_text(&pem);
        if (pem_text == NULL)
            return ERR_NO_MEMORY;
    }
    return attest_trust_new(pem_text, WARDEN_CHAIN_CACHE, &w->tolerate, &w->trust, fault);
}

static enum err load_from_policy(struct warden *w, struct fault *fault)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(w->ledger, &revision);
    enum err err = load_settings(w, policy, fault);
    if (err == ERR_OK)
        err = load_own_key(w, policy, OWN_KEY_RECEIPT, KEYRING_RECEIPT_KEY, fault);
    if (err == ERR_OK)
        err = load_own_key(w, policy, OWN_KEY_SEALING, KEYRING_SEALING_KEY, fault);
    ledger_done(w->ledger);
    return err;
}

static enum err record_server_event(struct warden *w, const char *event, int64_t now_ms,
                                    struct fault *fault)
{
    const struct ledger_change nothing = {0};
    uint64_t revision;
    ledger_begin(w->ledger, &revision);
    const struct audit_event record = {
        .time_ms = (uint64_t)now_ms,
        .event = event,
        .request_id = "",
        .policy_revision = revision,
        .code = "ok",
        .detail = "version " VOUCHSAFE_VERSION,
    };
    TRY(ledger_commit_change(w->ledger, &nothing, &record, fault));
    return ledger_checkpoint(w->ledger, (uint64_t)now_ms, fault);
}

/* The policy in memory decides, so one server at a time: a second one would never learn
 * of a revocation.  A file of its own, since closing any descriptor of the database would
 * drop SQLite's locks.  Taken before the database is opened: opening migrates, and that
 * must not happen underneath an older program that serves. */
static enum err lock_store(struct warden *w, const char *database, const char *busy,
                           struct fault *fault)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s.lock", database) >= sizeof path)
        FAIL(fault, ERR_CONFIG, "the path of the database is too long");
    /* No lock is left behind where there is nothing to lock. */
    if (access(database, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR))
        FAIL(fault, ERR_FILE, "there is no store at %s: `vouchsafe init` makes one", database);
    w->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (w->lock_fd < 0)
        FAIL(fault, ERR_FILE, "%s cannot be opened: %s", path, strerror(errno));
    if (flock(w->lock_fd, LOCK_EX | LOCK_NB) != 0)
        FAIL(fault, ERR_BUSY, "%s: %s", busy, database);
    return ERR_OK;
}

/* Up to where there is something to write: all that is believed has been checked. */
static enum err load_all(struct warden *w, const struct warden_options *options, const char *anchor,
                         const char *busy, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *master = NULL;
    struct store_identity identity;

    w->tolerate = options->tolerate;
    TRY(lock_store(w, options->database, busy, fault));
    TRY(store_open(options->database, &w->store, fault));
    TRY(store_ops(w->store)->read_identity(w->store, &identity, fault));
    TRY(keyring_master_load(options->master_key, &master, fault));
    TRY(keyring_open(master, identity.store_id, identity.generation, &w->keyring));
    TRY(ledger_load(w->store, w->keyring, anchor, &w->ledger, fault));
    return load_from_policy(w, fault);
}

static struct warden *warden_new(void)
{
    struct warden *w = calloc(1, sizeof *w);
    if (w != NULL)
        w->lock_fd = -1;
    return w;
}

enum err warden_open(const struct warden_options *options, int64_t now_ms, struct warden **out,
                     struct fault *fault)
{
    CLEANUP(warden_freep) struct warden *w = warden_new();

    if (w == NULL)
        return ERR_NO_MEMORY;
    w->started_ms = (uint64_t)now_ms;
    TRY(load_all(w, options, options->anchor, "another server runs on this store", fault));
    TRY(put_challenges_new(&w->put_challenges));
    TRY(refusals_new(&w->refusals));
    TRY(record_server_event(w, "serve.start", now_ms, fault));
    *out = TAKE(w);
    return ERR_OK;
}

enum err warden_check(const struct warden_options *options, struct fault *fault)
{
    CLEANUP(warden_freep) struct warden *w = warden_new();

    if (w == NULL)
        return ERR_NO_MEMORY;
    /* Without the anchor: the ledger makes the file where there is none. */
    TRY(load_all(w, options, NULL, "a server runs on this store; it was checked when it started",
                 fault));
    if (options->anchor == NULL)
        return ERR_OK;
    const struct anchor now = ledger_anchor(w->ledger);
    const enum err err = anchor_check(options->anchor, &now, fault);
    if (err == ERR_NOT_FOUND) {
        fault_clear(fault);
        return ERR_OK;
    }
    return err;
}

enum err warden_stop(struct warden *w, int64_t now_ms, struct fault *fault)
{
    return record_server_event(w, "serve.stop", now_ms, fault);
}

void warden_free(struct warden *w)
{
    if (w == NULL)
        return;
    put_challenges_free(w->put_challenges);
    refusals_free(w->refusals);
    attest_trust_free(w->trust);
    ledger_free(w->ledger);
    keyring_free(w->keyring);
    store_close(w->store);
    fd_close(&w->lock_fd);
    free(w);
}

/* What fails before V3 is over is an anonymous sender's: counted, logged at a bounded
 * rate, never written to the database. */
bool warden_may_log_rejection(struct warden *w, uint64_t now_ms)
{
    const uint64_t second = now_ms / 1000;
    if (atomic_exchange(&w->rejects_logged_s, second) != second)
        atomic_store(&w->rejects_logged, 0);
    return atomic_fetch_add(&w->rejects_logged, 1) < WARDEN_REJECT_LOG_PER_S;
}

static enum err challenge_handle(struct warden *w, int64_t now_ms, struct buf *body)
{
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    TRY(challenge_make(w->keyring, ledger_identity(w->ledger)->challenge_epoch, (uint64_t)now_ms,
                       challenge));
    TRY(challenge_answer_append(challenge, PROTOCOL_CHALLENGE_TTL_S, body));
    atomic_fetch_add(&w->challenges, 1);
    return ERR_OK;
}

static enum err dispatch(struct warden *w, const struct warden_request *request, int64_t now_ms,
                         struct buf *body, struct fault *fault)
{
    switch (request->op) {
    case WARDEN_CHALLENGE:
        return challenge_handle(w, now_ms, body);
    case WARDEN_RELEASE:
        return release_handle(w, request, now_ms, body, fault);
    case WARDEN_ADMIN:
        return admin_handle(w, request, now_ms, body, fault);
    }
    FAIL(fault, ERR_MALFORMED, "an unknown operation");
}

enum err warden_handle(struct warden *w, struct bytes message, struct buf *reply)
{
    CLEANUP(warden_reply_free) struct warden_reply answer = {.fault = FAULT_NONE};
    struct warden_request request;

    crypto_begin();
    enum err err = warden_request_parse(message, &request, &answer.fault);
    if (err == ERR_OK)
        err = dispatch(w, &request, clock_now_ms(), &answer.body, &answer.fault);
    if (err != ERR_OK) {
        buf_free(&answer.body);
        /* A callee that had no words for it: the code's own sentence serves. */
        if (answer.fault.code != err)
            fault_set(&answer.fault, err, "%s", err_sentence(err));
    } else {
        fault_clear(&answer.fault);
    }
    return warden_reply_append(&answer, reply);
}
