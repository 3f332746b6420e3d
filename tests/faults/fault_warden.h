/* A warden whose calls fail one by one, and what must hold after each: for the tests of
 * releases and of the admin API. */
#ifndef VOUCHSAFE_FAULT_WARDEN_H
#define VOUCHSAFE_FAULT_WARDEN_H

#include <fcntl.h>

#include "sweep.h"
#include "tests/unit/release_fixture.h"

#define GRANTED "SELECT count(*) FROM audit WHERE event = 'release.granted'"
#define RECORDS "SELECT count(*) FROM audit"

/* Of the calls that were to fail, so many did at least: how many pages are written and locks are
 * taken differs from one time to the next (86 were measured). */
#define FAILURES_PERCENT 75

static struct warden_fixture f;
static struct marker value;

struct tally {
    const char *what;
    unsigned tried; /* calls that were to fail */
    unsigned failures;
    unsigned lived;    /* answered all the same */
    unsigned recorded; /* on record, and yet the answer is an error: over-reported */
    unsigned misnamed; /* the error speaks of the request, and the fault was here */
    unsigned restarts; /* only a start anew helped */
};

static inline void begin(void)
{
    /* Each failure is logged, as it must be; here it is one of thousands. */
    const int nowhere = open("/dev/null", O_WRONLY);
    ck_assert_int_eq(dup2(nowhere, STDERR_FILENO), STDERR_FILENO);
    close(nowhere);
    sweep_begin();
    value = marker_random();
    f = (struct warden_fixture){.requests = 0};
    fixture_found(&f);
    fixture_open(&f);
}

static inline void end(void)
{
    fixture_close(&f);
    fixture_free(&f);
}

/* Puts the marker's value; nothing of it stays in a buffer of the test's. */
static inline void put_marker(const char *name)
{
    CLEANUP(put_free) struct put put = {.version = 0};
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    CLEANUP(secret_freep) struct secret *plaintext = marker_secret(&value);
    CLEANUP(buf_free) struct buf aad = {0};
    struct sealing_key key;
    put_begin(&f, &put, name, "");
    put_recipient(&f, &key, &recipient);
    put.enc.len = 0;
    put.ciphertext.len = 0;
    ck_ok(wrap_sealer_new(recipient, bytes_of_text(PROTOCOL_PUT_INFO), &sealer, &put.enc));
    ck_ok(protocol_put_aad(key.store_id, put.name, put.version, put.challenge.ptr, &aad));
    ck_ok(wrap_seal(sealer, bytes_of_buf(&aad), plaintext, &put.ciphertext));
    json_auto_t *stored = admin_do(&f, "secret.put", PUT_PARAMS(&put));
    ck_assert_str_eq(text_at(stored, "result"), "stored");
}

static inline unsigned ways_of(unsigned class)
{
    return class == INJECT_ALLOC ? 1 : class == INJECT_SQLITE ? 6 : class == INJECT_FILE ? 4 : 2;
}

/* A reply with a body, or with a fault; the caller's.  A failure may leave none at all. */
struct sent {
    enum err err; /* of the reply, or ERR_NO_MEMORY where there is none */
    struct warden_reply reply;
};

static inline void send_message(struct bytes message, unsigned class, uint64_t at, unsigned variant,
                                struct sent *out)
{
    CLEANUP(buf_free) struct buf answer = {0};
    const size_t arena = CRYPTO_secure_used();
    inject_arm(class, at, variant);
    const enum err err = warden_handle(f.warden, message, &answer);
    inject_disarm();
    ck_assert_msg(err == ERR_OK || (err == ERR_NO_MEMORY && answer.len == 0), "%s: %s",
                  err_wire(err), inject->last);
    ck_assert_msg(CRYPTO_secure_used() == arena, "a secret is left in the arena: %s", inject->last);
    ERR_clear_error();
    out->err = err;
    out->reply = (struct warden_reply){.fault = FAULT_NONE};
    if (err == ERR_OK) {
        ck_ok(warden_reply_parse(bytes_of_buf(&answer), &out->reply, NULL));
        out->err = out->reply.fault.code;
    }
    ck_assert_msg(atomic_load(&inject->failed) > 0 || out->err == ERR_OK, "%s: %s",
                  err_wire(out->err), out->reply.fault.detail);
    ck_assert((out->err == ERR_OK) == (out->reply.body.len > 0));
    /* Nobody tampered with anything; only that a tag does not verify looks like it. */
    ck_assert_msg((out->err != ERR_STORE_TAMPERED && out->err != ERR_KEY_WRONG) ||
                      strncmp(inject->last, "EVP_CipherFinal_ex ", 19) == 0,
                  "%s: %s", err_wire(out->err), inject->last);
}

/* Whether an error names what happened: a fault on this side. */
static inline bool names_us(enum err err)
{
    return err_class(err) == ERR_CLASS_INTERNAL || err_class(err) == ERR_CLASS_BUSY;
}

/* Memory and file agree after every failure; or nothing is decided any more, until a start
 * that puts it right. */
static inline void expect_sound(struct tally *tally)
{
    json_t *status = NULL;
    const enum err err = admin_try(&f, "status", NO_PARAMS, &status);
    ck_assert_msg(err == ERR_OK, "%s: %s, after %s", err_wire(err), f.fault.detail, inject->last);
    const uint64_t known = uint_at(status, "audit_sequence");
    json_decref(status);
    ck_assert_msg(known == db_number(&f, RECORDS), "memory and file differ: %s", inject->last);
    struct fault fault = FAULT_NONE;
    const struct ledger_change nothing = {0};
    uint64_t revision;
    ledger_begin(f.warden->ledger, &revision);
    const struct audit_event probe = {.time_ms = NOW_MS,
                                      .event = "probe",
                                      .request_id = "",
                                      .policy_revision = revision,
                                      .code = "ok",
                                      .detail = ""};
    if (ledger_commit_change(f.warden->ledger, &nothing, &probe, &fault) == ERR_OK)
        return;
    ck_assert_msg(strstr(fault.detail, "restart the server") != NULL, "%s, after %s", fault.detail,
                  inject->last);
    tally->restarts++;
    warden_free(TAKE(f.warden));
    fixture_open(&f);
}

static inline void expect_no_copy(const char *when)
{
    if (SANITIZED)
        return;
    const struct found found = scan_process(&value);
    ck_assert_msg(found.elsewhere == 0 && found.in_arena == 0, "%s: %u copies in %s, %u: %s", when,
                  found.elsewhere, found.where, found.in_arena, inject->last);
}

static inline void tell(const struct tally *t, unsigned class, uint64_t calls)
{
    printf("%s: class 0x%02x, seed %llu: %llu calls, %u failures of %u, %u lived with, %u recorded "
           "without an answer, %u misnamed, %u restarts\n",
           t->what, class, (unsigned long long)sweep_number("FAULTS_SEED", 0),
           (unsigned long long)calls, t->failures, t->tried, t->lived, t->recorded, t->misnamed,
           t->restarts);
    fflush(stdout);
}

#endif
