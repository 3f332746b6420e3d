/* Secrets: sealed by the client, put in two steps (PROTOCOL section 6), listed. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin.h"
#include "admin_change.h"
#include "admin_list.h"
#include "common/openssl_cleanup.h"
#include "common/receipt.h"

#define SEALING_KEY_TTL_MS   (24 * 3600 * 1000u)
#define PUT_CHALLENGE_TTL_MS 120000u
#define PUT_CHALLENGES_MAX   256 /* given out and not yet used; the oldest gives way */

/* A put challenge names a person, a secret and the version to be; single use. */
struct put_challenge {
    uint8_t value[PROTOCOL_PUT_CHALLENGE_LEN];
    uint64_t expiry_ms; /* 0: free */
    uint64_t person_id;
    uint32_t version;
    char name[PROTOCOL_NAME_MAX + 1];
};

struct put_challenges {
    pthread_mutex_t lock;
    struct put_challenge item[PUT_CHALLENGES_MAX];
};

enum err put_challenges_new(struct put_challenges **out)
{
    struct put_challenges *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ERR_NO_MEMORY;
    pthread_mutex_init(&c->lock, NULL);
    *out = c;
    return ERR_OK;
}

void put_challenges_free(struct put_challenges *c)
{
    if (c == NULL)
        return;
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void put_challenge_store(struct put_challenges *c, const struct put_challenge *made)
{
    struct put_challenge *oldest = &c->item[0];
    pthread_mutex_lock(&c->lock);
    for (size_t i = 1; i < PUT_CHALLENGES_MAX; i++) {
        if (c->item[i].expiry_ms < oldest->expiry_ms)
            oldest = &c->item[i];
    }
    *oldest = *made;
    pthread_mutex_unlock(&c->lock);
}

/* Takes it: whatever comes of the put, the challenge is spent. */
static bool put_challenge_take(struct put_challenges *c, const struct put_challenge *asked,
                               uint64_t now_ms)
{
    bool found = false;
    pthread_mutex_lock(&c->lock);
    for (size_t i = 0; i < PUT_CHALLENGES_MAX && !found; i++) {
        struct put_challenge *item = &c->item[i];
        if (item->expiry_ms <= now_ms ||
            CRYPTO_memcmp(item->value, asked->value, sizeof item->value) != 0)
            continue;
        found = item->person_id == asked->person_id && item->version == asked->version &&
                strcmp(item->name, asked->name) == 0;
        item->expiry_ms = 0;
    }
    pthread_mutex_unlock(&c->lock);
    return found;
}

/* --- The sealing key --- */

static enum err sealing_key_message(struct admin_call *call, const struct policy *policy,
                                    struct buf *message, struct buf *delegation)
{
    CLEANUP(buf_free) struct buf payload = {0};
    struct sealing_key key = {.not_after_ms = call->now_ms + SEALING_KEY_TTL_MS};
    const struct policy_own_key *sealing =
        policy_own_key_get(policy, policy_find_own_key(policy, OWN_KEY_SEALING));
    const struct policy_own_key *receipt =
        policy_own_key_get(policy, policy_find_own_key(policy, OWN_KEY_RECEIPT));
    if (sealing == NULL || receipt == NULL || sealing->spki.len > sizeof key.spki)
        return ERR_STORE_TAMPERED;
    memcpy(key.spki, sealing->spki.ptr, sealing->spki.len);
    key.spki_len = sealing->spki.len;
    memcpy(key.store_id, ledger_identity(call->warden->ledger)->store_id, sizeof key.store_id);
    TRY(sealing_key_append(&key, &payload));
    TRY(keyring_sign(call->warden->keyring, COSE_SEALING_KEY, bytes_of_buf(&payload), message));
    return buf_append(delegation, bytes_of_buf(&receipt->delegation));
}

enum err admin_sealing_key(struct admin_call *call, json_t *out)
{
    CLEANUP(buf_free) struct buf message = {0};
    CLEANUP(buf_free) struct buf delegation = {0};
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = sealing_key_message(call, policy, &message, &delegation);
    ledger_done(call->warden->ledger);
    TRY(err);
    TRY(admin_set(out, "sealing_key", admin_base64(bytes_of_buf(&message))));
    return admin_set(out, "delegation", admin_base64(bytes_of_buf(&delegation)));
}

/* --- Putting --- */

static enum err read_name(struct admin_call *call, char name[static PROTOCOL_NAME_MAX + 1])
{
    TRY(admin_text(call, "name", ADMIN_REQUIRED, PROTOCOL_NAME_MAX + 1, name));
    if (!protocol_name_valid(bytes_of_text(name)))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "name"), ERR_MALFORMED,
             "a secret's name is at most %d of a-z 0-9 . _ - in segments joined by /",
             PROTOCOL_NAME_MAX);
    return ERR_OK;
}

/* The version that the next put of a secret makes. */
static enum err next_version(struct admin_call *call, const struct policy *policy, const char *name,
                             uint32_t *out)
{
    const struct policy_secret *secret =
        policy_secret_get(policy, policy_find_secret(policy, name));
    if (secret != NULL && secret->state != SECRET_USABLE)
        FAIL(call->fault, ERR_WRONG_STATE, "%s was destroyed; use another name", name);
    const uint32_t current = secret == NULL ? 0 : secret->current_version;
    if (current >= PROTOCOL_VERSION_MAX)
        FAIL(call->fault, ERR_WRONG_STATE, "%s has no further version numbers", name);
    *out = current + 1;
    return ERR_OK;
}

enum err admin_put_challenge(struct admin_call *call, json_t *out)
{
    struct put_challenge made = {
        .expiry_ms = call->now_ms + PUT_CHALLENGE_TTL_MS,
        .person_id = call->person_id,
    };
    uint64_t revision;
    TRY(read_name(call, made.name));
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = next_version(call, policy, made.name, &made.version);
    ledger_done(call->warden->ledger);
    TRY(err);
    if (RAND_bytes(made.value, sizeof made.value) != 1)
        return crypto_failed();
    put_challenge_store(call->warden->put_challenges, &made);
    TRY(admin_set(out, "challenge", admin_base64(bytes_of(made.value, sizeof made.value))));
    return admin_set(out, "version", json_integer(made.version));
}

/* The value as the client sealed it, opened: between here and keyring_seal it exists in
 * locked memory, once. */
static enum err open_value(struct admin_call *call, const struct put_challenge *put,
                           struct secret **out)
{
    CLEANUP(buf_free) struct buf aad = {0};
    struct bytes enc = {0};
    struct bytes ciphertext = {0};
    TRY(admin_bytes(call, "enc", ADMIN_REQUIRED, &enc));
    TRY(admin_bytes(call, "ciphertext", ADMIN_REQUIRED, &ciphertext));
    if (ciphertext.len < WRAP_TAG_LEN + 1 || ciphertext.len > WRAP_TAG_LEN + PROTOCOL_SECRET_MAX)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "ciphertext"),
             ciphertext.len < WRAP_TAG_LEN + 1 ? ERR_MALFORMED : ERR_TOO_LARGE,
             "a secret has 1..%d bytes", PROTOCOL_SECRET_MAX);
    TRY(protocol_put_aad(ledger_identity(call->warden->ledger)->store_id, put->name, put->version,
                         put->value, &aad));
    const enum err err =
        keyring_open_put(call->warden->keyring, enc, bytes_of_buf(&aad), ciphertext, out);
    if (err == ERR_NO_MEMORY)
        return err;
    if (err != ERR_OK)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "ciphertext"), ERR_MALFORMED,
             "the value was not sealed to this server's key for this name, version and challenge");
    return ERR_OK;
}

static enum err prepare_put(struct admin_call *call, const struct policy *policy,
                            const struct put_challenge *put, const struct secret *value,
                            struct ledger_change *change, struct buf *sealed)
{
    CLEANUP(buf_free) struct buf columns = {0};
    uint32_t version;
    uint64_t id = policy_find_secret(policy, put->name);
    TRY(next_version(call, policy, put->name, &version));
    if (version != put->version)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "version"), ERR_WRONG_STATE,
             "somebody else put version %u of %s in the meantime; put again", put->version,
             put->name);
    struct policy_secret row = {
        .current_version = version,
        .state = SECRET_USABLE,
        .created_ms = id == 0 ? call->now_ms : policy_secret_get(policy, id)->created_ms,
    };
    snprintf(row.name, sizeof row.name, "%s", put->name);
    if (id == 0)
        id = policy_secret_count(policy) + 1;
    const struct policy_secret_version version_row = {
        .secret_id = id,
        .version = version,
        .size_bytes = secret_len(value),
        .state = SECRET_USABLE,
        .created_ms = call->now_ms,
    };
    TRY(policy_secret_append(&row, &columns));
    TRY(ledger_change_add(change, POLICY_SECRET, id, &columns));
    TRY(policy_secret_version_append(&version_row, &columns));
    TRY(ledger_change_add(change, POLICY_SECRET_VERSION, policy_secret_version_count(policy) + 1,
                          &columns));
    TRY(keyring_seal(call->warden->keyring, KEYRING_SECRET, id, version, value, sealed));
    change->sealed = (struct sealed_value){
        .secret_id = id,
        .version = version,
        .sealed = bytes_of_buf(sealed),
    };
    change->sealed_count = 1;
    return ERR_OK;
}

static enum err read_put(struct admin_call *call, struct put_challenge *put)
{
    struct bytes challenge = {0};
    uint64_t version = 0;
    TRY(read_name(call, put->name));
    TRY(admin_uint(call, "version", ADMIN_REQUIRED, PROTOCOL_VERSION_MAX, &version));
    TRY(admin_bytes(call, "challenge", ADMIN_REQUIRED, &challenge));
    if (challenge.len != sizeof put->value)
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "challenge"), ERR_MALFORMED,
             "%d bytes are expected", PROTOCOL_PUT_CHALLENGE_LEN);
    memcpy(put->value, challenge.ptr, sizeof put->value);
    put->version = (uint32_t)version;
    put->person_id = call->person_id;
    if (!put_challenge_take(call->warden->put_challenges, put, call->now_ms))
        FAIL(fault_at(call->fault, FAULT_NO_OFFSET, "challenge"), ERR_CHALLENGE_UNKNOWN,
             "the put challenge is unknown, used, expired, or was given for another name, version "
             "or person");
    return ERR_OK;
}

enum err admin_secret_put(struct admin_call *call, json_t *out)
{
    CLEANUP(ledger_change_free) struct ledger_change change = {0};
    CLEANUP(secret_freep) struct secret *value = NULL;
    CLEANUP(buf_free) struct buf sealed = {0};
    struct put_challenge put = {0};
    char object[PROTOCOL_NAME_MAX + 16];
    uint64_t revision;

    TRY(read_put(call, &put));
    TRY(open_value(call, &put, &value));
    snprintf(object, sizeof object, "%s@%u", put.name, put.version);
    const struct policy *policy;
    TRY(admin_begin(call, &policy, &revision));
    const enum err err = prepare_put(call, policy, &put, value, &change, &sealed);
    if (err != ERR_OK) {
        ledger_abandon(call->warden->ledger);
        return err;
    }
    const struct audit_event event = admin_event(call, revision + 1, object, "");
    TRY(ledger_commit_change(call->warden->ledger, &change, &event, call->fault));
    json_t *shown = json_object();
    TRY(admin_set(out, "secret", shown));
    TRY(admin_set(out, "result", json_string("stored")));
    TRY(admin_set(shown, "name", json_string(put.name)));
    TRY(admin_set(shown, "version", json_integer(put.version)));
    return admin_set(shown, "size", json_integer((json_int_t)secret_len(value)));
}

/* --- Listing --- */

static enum err show_secret(const struct policy *policy, uint64_t id, const void *context,
                            json_t *object)
{
    (void)context;
    const struct policy_secret *secret = policy_secret_get(policy, id);
    const struct policy_secret_version *current = policy_secret_version_get(
        policy, policy_find_secret_version(policy, id, secret->current_version));
    TRY(admin_set(object, "name", json_string(secret->name)));
    TRY(admin_set(object, "current_version", json_integer(secret->current_version)));
    TRY(admin_set(object, "state",
                  json_string(secret->state == SECRET_USABLE ? "usable" : "destroyed")));
    TRY(admin_set(object, "created", admin_time(secret->created_ms)));
    if (current == NULL)
        return ERR_OK;
    TRY(admin_set(object, "size", json_integer((json_int_t)current->size_bytes)));
    return admin_set(object, "updated", admin_time(current->created_ms));
}

enum err admin_secret_list(struct admin_call *call, json_t *out)
{
    uint64_t revision;
    const struct policy *policy = ledger_read(call->warden->ledger, &revision);
    const enum err err = admin_list(call, policy, "secrets", policy_secret_count(policy), NULL,
                                    show_secret, NULL, out);
    ledger_done(call->warden->ledger);
    return err;
}
