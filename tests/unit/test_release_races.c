/* Several at once: one document, one decision; a quota is not overrun; nothing is released
 * after its withdrawal was committed.  Meant for ThreadSanitizer too. */
#include "release_fixture.h"

#include <pthread.h>

#include "verifier/warden/ledger_internal.h"
#include "verifier/warden/refusals.h"

/* --- How many decisions have been taken, recorded or not: the linker puts this in front of
 * the ledger's own (-Wl,--wrap). --- */

static _Atomic unsigned decided;
static void (*between)(void); /* once, between the next decision and its record */

enum err __real_ledger_commit_decision(struct ledger *ledger,
                                       const struct ledger_decision *decision,
                                       struct store_outcome *outcome, uint64_t *sequence,
                                       struct fault *fault);
enum err __wrap_ledger_commit_decision(struct ledger *ledger,
                                       const struct ledger_decision *decision,
                                       struct store_outcome *outcome, uint64_t *sequence,
                                       struct fault *fault);

enum err __wrap_ledger_commit_decision(struct ledger *ledger,
                                       const struct ledger_decision *decision,
                                       struct store_outcome *outcome, uint64_t *sequence,
                                       struct fault *fault)
{
    atomic_fetch_add(&decided, 1);
    if (between != NULL) {
        void (*const change)(void) = between;
        between = NULL;
        change();
    }
    return __real_ledger_commit_decision(ledger, decision, outcome, sequence, fault);
}

/* One sender: its own view of the fixture (the warden is shared), its own attempts. */
struct sender {
    pthread_t thread;
    struct warden_fixture f;
    struct attempt a;
    enum err err;
};

static void *run_sender(void *context)
{
    struct sender *s = context;
    s->err = attempt_send(&s->f, &s->a);
    return NULL;
}

/* Ids of its own; everything else is the fixture's. */
static void sender_init(struct sender *s, const struct warden_fixture *f, unsigned number)
{
    *s = (struct sender){.f = *f};
    s->f.requests = 10000 * (number + 1);
}

static void sender_start(struct sender *s)
{
    ck_assert_int_eq(pthread_create(&s->thread, NULL, run_sender, s), 0);
}

static void sender_join(struct sender *s)
{
    ck_assert_int_eq(pthread_join(s->thread, NULL), 0);
}

#define SENDERS 4
#define ROUNDS  8

/* The same document several times at once: exactly one is served. */
START_TEST(valid_one_decision)
{
    FIXTURE(f);
    fixture_policy(&f);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct sender s[SENDERS];
        ATTEMPT(a);
        unsigned granted = 0;
        attempt_make(&f, &a);
        const uint64_t sequence = audit_sequence(&f);
        for (unsigned i = 0; i < SENDERS; i++) {
            sender_init(&s[i], &f, i);
            s[i].a.wanted = a.wanted;
            ck_ok(buf_append(&s[i].a.document, bytes_of_buf(&a.document)));
        }
        for (unsigned i = 0; i < SENDERS; i++)
            sender_start(&s[i]);
        for (unsigned i = 0; i < SENDERS; i++) {
            sender_join(&s[i]);
            granted += s[i].err == ERR_OK;
            if (s[i].err != ERR_OK)
                ck_err(s[i].err, ERR_CHALLENGE_REDEEMED);
            attempt_free(&s[i].a);
        }
        ck_assert_uint_eq(granted, 1);
        ck_assert_uint_eq(audit_sequence(&f), sequence + 1);
    }
}
END_TEST

/* A quota of two, four enclaves at once. */
START_TEST(valid_quota)
{
    FIXTURE(f);
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    fixture_secret(&f, "db/main", "the first value");
    json_decref(admin_do(
        &f, "grant.add",
        PARAMS(p_text("secret", "db/main"), p_text("image", "payments"), p_uint("quota", 2))));
    static const char *const modules[SENDERS] = {"i-1-enc1", "i-1-enc2", "i-1-enc3", "i-1-enc4"};
    struct sender s[SENDERS];
    unsigned granted = 0;
    for (unsigned i = 0; i < SENDERS; i++) {
        sender_init(&s[i], &f, i);
        attempt_make(&s[i].f, &s[i].a);
        s[i].a.fields.module_id = modules[i];
        attempt_sign(&s[i].a);
    }
    for (unsigned i = 0; i < SENDERS; i++)
        sender_start(&s[i]);
    for (unsigned i = 0; i < SENDERS; i++) {
        sender_join(&s[i]);
        granted += s[i].err == ERR_OK;
        if (s[i].err != ERR_OK)
            ck_err(s[i].err, ERR_REFUSED);
        attempt_free(&s[i].a);
    }
    ck_assert_uint_eq(granted, 2);
    ck_assert_uint_eq(db_number(&f, "SELECT count(*) FROM quota_use"), 2);
}
END_TEST

static struct warden_fixture *revoker;

static void revoke_build(void)
{
    json_decref(admin_do(revoker, "measurement.revoke",
                         PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"))));
}

/* Decided under one policy, and the policy changes before the decision is recorded. */
START_TEST(wrong_decided_before)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    const uint64_t sequence = audit_sequence(&f);
    const unsigned before = atomic_load(&decided);
    json_auto_t *status = admin_do(&f, "status", NO_PARAMS);
    revoker = &f;
    between = revoke_build;
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    ck_assert_uint_eq(atomic_load(&decided), before + 2); /* for it, then against it */
    ck_assert_uint_eq(audit_sequence(&f), sequence + 2);
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "release.refused");
    ck_assert_str_eq(text_at(record, "secrets.0.reason"), "measurement_revoked");
    ck_assert_uint_eq(uint_at(record, "policy_revision"), uint_at(status, "policy_revision") + 1);
    ck_assert_uint_eq(uint_at(record, "sequence"), sequence + 2);
}
END_TEST

/* --- One who registers build after build: two decisions, whatever comes between --- */

static struct sender busy; /* that registers the second build */

static void *register_second(void *context)
{
    (void)context;
    fixture_measurement(&busy.f, "payments", "1.4.4", SEED + 2);
    return NULL;
}

static uint64_t tickets(void)
{
    struct turn *turn = &busy.f.warden->ledger->writing;
    pthread_mutex_lock(&turn->mutex);
    const uint64_t drawn = turn->drawn;
    pthread_mutex_unlock(&turn->mutex);
    return drawn;
}

/* Decided for the second time: who would change the policy now, waits. */
static void register_behind(void)
{
    const uint64_t before = tickets();
    ck_assert_int_eq(pthread_create(&busy.thread, NULL, register_second, NULL), 0);
    while (tickets() == before)
        usleep(1000);
}

static void register_before(void)
{
    fixture_measurement(&busy.f, "payments", "1.4.3", SEED + 1);
    between = register_behind;
}

START_TEST(valid_overtaken_once)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    sender_init(&busy, &f, 1);
    attempt_make(&f, &a);
    const uint64_t sequence = audit_sequence(&f);
    const unsigned before = atomic_load(&decided);
    between = register_before;
    ck_ok(attempt_send(&f, &a));
    sender_join(&busy);
    ck_assert_uint_eq(atomic_load(&decided), before + 2);
    ck_assert_uint_eq(audit_sequence(&f), sequence + 3); /* build, release, build */
    json_auto_t *last = audit_newest(&f);
    ck_assert_str_eq(text_at(last, "event"), "measurement.add");
    ck_assert_str_eq(text_at(last, "object"), "payments@1.4.4");
}
END_TEST

/* A change that is being made up its mind about holds up no release. */
START_TEST(valid_beside_change)
{
    FIXTURE(f);
    ATTEMPT(a);
    uint64_t revision;
    fixture_policy(&f);
    attempt_make(&f, &a);
    ledger_begin(f.warden->ledger, &revision);
    ck_ok(attempt_send(&f, &a)); /* or the test's timeout */
    ledger_abandon(f.warden->ledger);
}
END_TEST

/* --- A refusal that the policy overtakes: admitted, and then none --- */

static struct warden_fixture *registrar;

static void register_build(void)
{
    fixture_measurement(registrar, "payments", "1.4.3", SEED + 1);
}

/* And somebody else uses the quota of one up. */
static void register_and_use_build(void)
{
    register_build();
    ck_ok(attempt_unregistered(registrar, "i-1-enc1")); /* quotas count enclaves */
}

/* Refused to the limit, and one put off; the next is admitted, and then the policy moves. */
static enum err overtaken_refusal(struct warden_fixture *f, void (*change)(void))
{
    for (unsigned i = 0; i < REFUSALS_BURST; i++)
        ck_err(attempt_unregistered(f, MODULE), ERR_REFUSED);
    ck_err(attempt_unregistered(f, MODULE), ERR_TOO_FAST);
    advance_ms(REFUSALS_EVERY_MS);
    registrar = f;
    between = change;
    return attempt_unregistered(f, MODULE);
}

static enum err refused_now(struct warden_fixture *f)
{
    ATTEMPT(a);
    attempt_make(f, &a);
    a.fields.pcr[0][0] ^= 1;
    attempt_sign(&a);
    return attempt_send(f, &a);
}

START_TEST(valid_registered_meanwhile)
{
    FIXTURE(f);
    fixture_policy(&f);
    ck_ok(overtaken_refusal(&f, register_build));
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "release.granted");
    ck_assert_str_eq(text_at(record, "detail"), "requests of this instance put off before: 1");
    ck_err(refused_now(&f), ERR_REFUSED); /* the refusal that it did not need is still there */
    json_auto_t *refused = audit_newest(&f);
    ck_assert_str_eq(text_at(refused, "detail"), "no_measurement");
    ck_err(refused_now(&f), ERR_TOO_FAST);
}
END_TEST

START_TEST(wrong_over_quota_meanwhile)
{
    FIXTURE(f);
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    fixture_secret(&f, "db/main", "the first value");
    json_decref(admin_do(
        &f, "grant.add",
        PARAMS(p_text("secret", "db/main"), p_text("image", "payments"), p_uint("quota", 1))));
    ck_err(overtaken_refusal(&f, register_and_use_build), ERR_REFUSED);
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "secrets.0.reason"), "over_quota");
    ck_assert_str_eq(text_at(record, "detail"), "requests of this instance put off before: 1");
    ck_err(refused_now(&f), ERR_TOO_FAST); /* it was a refusal, and is used up */
}
END_TEST

/* A decision that quotes an older revision is not recorded, whoever asks for it. */
START_TEST(wrong_revision)
{
    FIXTURE(f);
    ATTEMPT(a);
    struct store_outcome outcome = {.sealed_count = 0};
    uint64_t sequence = 0;
    uint64_t revision;
    fixture_policy(&f);
    (void)ledger_read(f.warden->ledger, &revision);
    ledger_done(f.warden->ledger);
    ask_challenge(&f, &a.challenge);
    const struct attdoc doc = {.module_id = bytes_of_text(MODULE)};
    static const uint8_t digest[SHA384_LEN] = {1};
    const struct audit_event event = {.time_ms = NOW_MS,
                                      .event = "release.refused",
                                      .request_id = "",
                                      .doc = &doc,
                                      .document_digest = digest,
                                      .root_sha256 = digest,
                                      .application_sha256 = digest};
    struct ledger_decision decision = {.revision = revision - 1,
                                       .challenge = bytes_of_buf(&a.challenge),
                                       .challenge_expiry_ms = NOW_MS + 1000,
                                       .event = &event};
    const uint64_t before = audit_sequence(&f);
    ck_err(ledger_commit_decision(f.warden->ledger, &decision, &outcome, &sequence, &f.fault),
           ERR_STORE_CONFLICT);
    decision.revision = revision + 1;
    ck_err(ledger_commit_decision(f.warden->ledger, &decision, &outcome, &sequence, &f.fault),
           ERR_STORE_CONFLICT);
    ck_assert_uint_eq(audit_sequence(&f), before);
    ck_assert_uint_eq(db_number(&f, REDEEMED), 0);
    decision.revision = revision;
    ck_ok(ledger_commit_decision(f.warden->ledger, &decision, &outcome, &sequence, &f.fault));
    ck_assert_uint_eq(sequence, before + 1);
}
END_TEST

/* --- Releases against a revocation, hammering --- */

struct hammer {
    pthread_t thread;
    struct warden_fixture f;
    uint64_t newest; /* audit sequence of the last release it got */
    unsigned granted;
};

static void *run_hammer(void *context)
{
    struct hammer *h = context;
    for (;;) {
        ATTEMPT(a);
        TAKEN(t);
        attempt_make(&h->f, &a);
        const enum err err = attempt_send(&h->f, &a);
        if (err != ERR_OK) {
            ck_err(err, ERR_REFUSED);
            return NULL;
        }
        attempt_take(&h->f, &a, &t);
        h->newest = t.receipt.audit_sequence;
        h->granted++;
    }
}

START_TEST(wrong_after_revoke)
{
    FIXTURE(f);
    struct hammer h[3];
    fixture_policy(&f);
    for (unsigned i = 0; i < ARRAY_LEN(h); i++) {
        h[i] = (struct hammer){.f = f};
        h[i].f.requests = 10000 * (i + 1);
        ck_assert_int_eq(pthread_create(&h[i].thread, NULL, run_hammer, &h[i]), 0);
    }
    while (atomic_load(&f.warden->granted) < 20)
        usleep(1000);
    json_decref(admin_do(&f, "measurement.revoke",
                         PARAMS(p_text("image", "payments"), p_text("version", "1.4.2"))));
    for (unsigned i = 0; i < ARRAY_LEN(h); i++)
        ck_assert_int_eq(pthread_join(h[i].thread, NULL), 0);
    json_auto_t *page = admin_do(
        &f, "audit.list", PARAMS(p_text("event", "measurement.revoke"), p_uint("limit", 1000)));
    const uint64_t revoked = uint_at(page, "records.0.sequence");
    for (unsigned i = 0; i < ARRAY_LEN(h); i++) {
        ck_assert_uint_gt(h[i].granted, 0);
        ck_assert_uint_lt(h[i].newest, revoked);
    }
    ck_assert_uint_eq(db_number(&f, "SELECT count(*) FROM audit WHERE event = 'release.granted'"),
                      h[0].granted + h[1].granted + h[2].granted);
}
END_TEST

/* Admins and enclaves all at once: the store opens again afterwards, whole. */
static void *run_admin(void *context)
{
    struct hammer *h = context;
    for (unsigned i = 0; i < 10; i++) {
        char version[32];
        snprintf(version, sizeof version, "%u-%u", h->f.requests, i);
        fixture_measurement(&h->f, "churn", version, h->f.requests + 1000);
        json_decref(admin_do(&h->f, "status", NO_PARAMS));
        json_decref(admin_do(&h->f, "measurement.list", NO_PARAMS));
    }
    return NULL;
}

/* As an agent does: a decision that a change overtook three times is asked for again. */
static void *run_insistent(void *context)
{
    struct sender *s = context;
    do
        s->err = attempt_send(&s->f, &s->a);
    while (s->err == ERR_STORE_CONFLICT);
    return NULL;
}

START_TEST(valid_churn)
{
    FIXTURE(f);
    struct hammer admins[2];
    struct sender s[SENDERS];
    fixture_policy(&f);
    for (unsigned i = 0; i < SENDERS; i++) {
        sender_init(&s[i], &f, i);
        attempt_make(&s[i].f, &s[i].a);
    }
    for (unsigned i = 0; i < ARRAY_LEN(admins); i++) {
        admins[i] = (struct hammer){.f = f};
        admins[i].f.requests = 100000 * (i + 1);
        ck_assert_int_eq(pthread_create(&admins[i].thread, NULL, run_admin, &admins[i]), 0);
    }
    for (unsigned i = 0; i < SENDERS; i++)
        ck_assert_int_eq(pthread_create(&s[i].thread, NULL, run_insistent, &s[i]), 0);
    for (unsigned i = 0; i < SENDERS; i++) {
        sender_join(&s[i]);
        ck_ok(s[i].err);
        attempt_free(&s[i].a);
    }
    for (unsigned i = 0; i < ARRAY_LEN(admins); i++)
        ck_assert_int_eq(pthread_join(admins[i].thread, NULL), 0);
    fixture_close(&f);
    fixture_open(&f);
    json_auto_t *status = admin_do(&f, "status", NO_PARAMS);
    ck_assert_uint_eq(uint_at(status, "counts.measurements"), 21);
    ck_assert_uint_eq(db_number(&f, "SELECT count(*) FROM audit WHERE event = 'release.granted'"),
                      SENDERS);
}
END_TEST

/* A revocation that arrives between the decision and its record counts. */
static struct warden_fixture *revoker;

static void revoke_instance(void)
{
    json_decref(
        admin_do(revoker, "revocation.add",
                 PARAMS(p_text("instance_id", "i-0123456789abcdef0"), p_text("reason", "stolen"))));
}

START_TEST(wrong_revoked_meanwhile)
{
    FIXTURE(f);
    ATTEMPT(a);
    fixture_policy(&f);
    attempt_make(&f, &a);
    struct warden_fixture other = f;
    other.requests = 5000;
    revoker = &other;
    between = revoke_instance;
    atomic_store(&decided, 0);
    ck_err(attempt_send(&f, &a), ERR_REFUSED);
    ck_assert_uint_eq(atomic_load(&decided), 2);
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "secrets.0.reason"), "instance_revoked");
    ck_assert_uint_eq(db_number(&f, "SELECT count(*) FROM audit WHERE event = 'release.granted'"),
                      0);
}
END_TEST

UNIT_MAIN("release_races", valid_one_decision, valid_quota, wrong_decided_before,
          valid_overtaken_once, valid_beside_change, valid_registered_meanwhile,
          wrong_over_quota_meanwhile, wrong_revision, wrong_after_revoke, wrong_revoked_meanwhile,
          valid_churn)
