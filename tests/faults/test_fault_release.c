/* A release under failure, over a real store: every call to memory, OpenSSL, SQLite and
 * files that it makes fails in turn.  No ciphertext without its record, which is looked for
 * in the file by another connection; memory and file agree afterwards; no copy of the
 * secret is left, whatever failed. */
#include "fault_warden.h"

/* Of the one build that is released to. */
#define USES "SELECT coalesce(sum(releases), 0) FROM measurement_use"

static unsigned unsynced;    /* releases that were refused because a sync failed */
static struct wrap_key *key; /* of all attempts: one of RSA takes long to make */

static void attempt_end(struct attempt *a)
{
    a->key = NULL;
    attempt_free(a);
}

static void attempt_start(struct attempt *a)
{
    a->chain = &f.chain;
    mkdoc_fields_defaults(&a->fields, clock_now_ms(), MODULE, SEED);
    ask_challenge(&f, &a->challenge);
    a->fields.nonce = present(&a->challenge);
    a->key = key;
    ck_ok(wrap_key_spki(key, &a->spki));
    a->fields.public_key = present(&a->spki);
    want(a, "db/main", 0, 0);
    attempt_bind(a);
    attempt_sign(a);
}

static struct bytes release_message(struct attempt *a, struct buf *out)
{
    struct warden_request request;
    fixture_request(&f, WARDEN_RELEASE, &request);
    request.document = bytes_of_buf(&a->document);
    request.wanted = a->wanted;
    ck_ok(warden_request_append(&request, out));
    return bytes_of_buf(out);
}

/* One release of which one call fails; true where one did. */
static bool release_once(unsigned class, uint64_t at, unsigned variant, struct tally *tally)
{
    CLEANUP(attempt_end) struct attempt a = {.chain = NULL};
    TAKEN(taken);
    CLEANUP(buf_free) struct buf message = {0};
    attempt_start(&a);
    const struct bytes bytes = release_message(&a, &message);
    const uint64_t before = db_number(&f, GRANTED);
    struct sent sent;
    send_message(bytes, class, at, variant, &sent);
    const bool failed = atomic_load(&inject->failed) > 0;
    const uint64_t after = db_number(&f, GRANTED);
    ck_assert_msg(sent.err != ERR_OK || after == before + 1, "released without a record: %s",
                  inject->last);
    ck_assert_uint_le(after, before + 1);
    ck_assert_msg(db_number(&f, USES) == after,
                  "how the build is used is not what is on record: %s", inject->last);
    /* That a commit is forced to the disk shows only where forcing fails. */
    if (sent.err != ERR_OK && strncmp(inject->last, "fdatasync ", 10) == 0)
        unsynced++;
    if (class != INJECT_ALLOC || tally->failures % 16 == 0)
        expect_no_copy("after the release");
    if (sent.err == ERR_OK) {
        ck_ok(buf_append(&a.answer, bytes_of_buf(&sent.reply.body)));
        attempt_take(&f, &a, &taken);
        ck_assert(marker_holds(&value, taken.value[0]));
        ck_assert_uint_eq(taken.receipt.audit_sequence,
                          db_number(&f, "SELECT max(sequence) FROM audit WHERE event ="
                                        " 'release.granted'"));
        tally->lived += failed;
    } else {
        tally->recorded += after == before + 1;
        tally->misnamed += !names_us(sent.err);
    }
    warden_reply_free(&sent.reply);
    tally->failures += failed;
    expect_sound(tally);
    return failed;
}

static void release_class(const char *format, unsigned class, unsigned stride)
{
    struct tally tally = {.what = format};
    const uint64_t seed = sweep_number("FAULTS_SEED", 0);
    /* Calls on files are few, and the sync that must not be missed is among them. */
    const uint64_t by = stride * (class == INJECT_FILE ? 1 : sweep_number("FAULTS_STRIDE", 1));
    uint64_t calls = UINT64_MAX;
    for (int i = 0; i < 3; i++) { /* the log's checkpoint, now and then, is not of each release */
        release_once(class, 0, 0, &tally);
        const uint64_t counted = atomic_load(&inject->calls);
        calls = counted < calls ? counted : calls;
    }
    /* How many pages are written differs from one release to the next; the sync comes last. */
    const uint64_t last = class == INJECT_FILE ? calls + 12 : calls;
    for (unsigned variant = 0; variant < ways_of(class); variant++) {
        for (uint64_t at = sweep_first(seed + variant, by, calls); at <= last; at += by) {
            release_once(class, at, variant, &tally);
            tally.tried += at <= calls;
            if (tally.failures % 32 == 0)
                release_once(0, 0, 0, &tally);
        }
    }
    release_once(0, 0, 0, &tally);
    tell(&tally, class, calls);
    sweep_enough(format, class, tally.tried, tally.failures, FAILURES_PERCENT);
    /* The agent would stop where it is to try again.  But d2i_PUBKEY, which reads RSA keys,
     * hides that a lock could not be made. */
    const unsigned percent = class == INJECT_SYSTEM && strncmp(format, "rsa", 3) == 0 ? 60 : 0;
    ck_assert_msg(tally.misnamed <= (tally.failures * percent + 99) / 100,
                  "%s: %u failures of ours blame the request", format, tally.misnamed);
}

/* Everything on record, the chain whole, and a start that believes it. */
static void expect_chain(void)
{
    json_auto_t *status = admin_do(&f, "status", NO_PARAMS);
    ck_assert_uint_eq(uint_at(status, "audit_sequence"), db_number(&f, RECORDS));
    fixture_close(&f);
    fixture_open(&f);
}

/* All of it for one format, a part for the others: they differ in the wrapping only. */
static void release_format(const char *format, unsigned stride, unsigned stride_of_alloc)
{
    begin();
    ck_ok(wrap_key_generate(format, &key));
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    put_marker("db/main");
    fixture_grant(&f, "db/main", "payments");
    release_once(0, 0, 0, &(struct tally){0});
    release_class(format, INJECT_SQLITE, stride);
    release_class(format, INJECT_OPENSSL, stride);
    release_class(format, INJECT_FILE, stride);
    release_class(format, INJECT_SYSTEM, stride);
    release_class(format, INJECT_ALLOC, stride_of_alloc);
    ck_assert_msg(stride > 1 || unsynced > 0, "no release waits for the disk");
    expect_chain();
    expect_no_copy("in the end");
    wrap_key_free(key);
    end();
}

START_TEST(release_x25519)
{
    release_format("hpke-x25519", 1, 4);
}
END_TEST

START_TEST(release_p256)
{
    release_format("hpke-p256", 3, 24);
}
END_TEST

START_TEST(release_p384)
{
    release_format("hpke-p384", 3, 24);
}
END_TEST

START_TEST(release_rsa)
{
    release_format("rsa-oaep-256", 3, 64);
}
END_TEST

UNIT_MAIN("fault_release", release_x25519, release_p256, release_p384, release_rsa)
