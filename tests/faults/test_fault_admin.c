/* Every operation of the admin API, and the challenge, under failure: done and on record, or
 * not done; what memory believes is what the file holds, which a start anew shows. */
#include "tests/unit/registration_fixture.h"

#include "fault_warden.h"
#include "verifier/attest/cert.h"
#include "verifier/keyring/keyring.h"

/* Failures of one kind in one operation; few where another goes the same way to the store. */
#define MANY 60
#define FEW  12

static unsigned unique; /* of this attempt */
static struct warden_request request;
static char name[64], version[32];
static struct buf pcrs, delegation, document;
static struct put put;
static EVP_PKEY *issuer;
static uint8_t fresh_key[32];
static struct signer signer; /* of registration files for payments */
static struct buf file, signature;

static struct param *add_param(struct param param)
{
    ck_assert_uint_lt(request.param_count, WARDEN_PARAMS_MAX);
    request.param[request.param_count] = param;
    return &request.param[request.param_count++];
}

/* A build that nobody has registered, and what registers it. */
static void fresh_build(void)
{
    struct mkdoc_fields fields;
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, 1000 + unique);
    pcrs.len = 0;
    pcr_map(&fields, 7, &pcrs);
    /* A seed gives few values: the number makes them new. */
    snprintf(version, sizeof version, "1.%u", unique);
}

static void ask_add(void)
{
    fresh_build();
    add_param(p_text("image", "payments"));
    add_param(p_text("version", version));
    add_param(p_map("pcrs", &pcrs));
}

static void ask_change(const char *unused)
{
    (void)unused;
    fresh_build();
    json_auto_t *added = admin_do(&f, "measurement.add",
                                  PARAMS(p_text("image", "payments"), p_text("version", version),
                                         p_map("pcrs", &pcrs), p_bool("draft", true)));
    ck_assert_str_eq(text_at(added, "result"), "added");
    add_param(p_text("image", "payments"));
    add_param(p_text("version", version));
}

static void ask_activate(void)
{
    ask_change("activate");
}

static void ask_discard(void)
{
    ask_change("discard");
}

/* What is deprecated or revoked was active before. */
static void ask_end(void)
{
    ask_change("end");
    json_auto_t *active = admin_do(&f, "measurement.activate",
                                   PARAMS(p_text("image", "payments"), p_text("version", version)));
    ck_assert_ptr_nonnull(active);
}

static void ask_show(void)
{
    add_param(p_text("image", "payments"));
    add_param(p_text("version", "1.4.2"));
}

static void ask_name(void)
{
    add_param(p_text("name", name));
}

static void ask_put(void)
{
    put_free(&put);
    put = (struct put){.version = 0};
    put_begin(&f, &put, name, "a value");
    add_param(p_text("name", name));
    add_param(p_uint("version", put.version));
    add_param(p_buf("challenge", &put.challenge));
    add_param(p_buf("enc", &put.enc));
    add_param(p_buf("ciphertext", &put.ciphertext));
}

static void ask_grant(void)
{
    add_param(p_text("secret", "db/main"));
    add_param(p_text("image", "payments"));
    add_param(p_uint("quota", unique));
}

/* What `ask` asks for is done already; its end is what is asked for now. */
static void ask_end_of(const char *operation, void (*ask)(void), const char *id)
{
    ask();
    json_auto_t *done = admin_do(&f, operation, request.param, request.param_count);
    request.param_count = 0;
    add_param(p_uint("id", uint_at(done, id)));
}

static void ask_remove(void)
{
    ask_end_of("grant.add", ask_grant, "grant.id");
}

static void ask_verify(void)
{
    document.len = 0;
    struct mkdoc_fields fields;
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    ck_ok(mkdoc_document(&fields, &f.chain, &document));
    add_param(p_buf("attestation_document", &document));
}

static void ask_explain(void)
{
    ask_verify();
    add_param(p_text("secrets", "db/main,db/none@2"));
}

/* Of a request that was refused, whatever was granted before: nobody registered its build. */
static void ask_explain_request(void)
{
    static char id[32];
    if (id[0] == '\0') {
        ck_err(attempt_unregistered(&f, MODULE), ERR_REFUSED);
        snprintf(id, sizeof id, "req-%u", f.requests);
    }
    add_param(p_text("request", id));
}

static void ask_install(void)
{
    CLEANUP(buf_free) struct buf spki = {0};
    json_auto_t *key = admin_do(&f, "issuer.receipt-key", NO_PARAMS);
    bytes_at(key, "receipt_key", &spki);
    delegation.len = 0;
    ck_ok(delegation_sign(issuer, bytes_of_buf(&spki), f.founded.store_id, NOW_MS,
                          (100 + unique) * DAY_MS, &delegation));
    add_param(p_buf("delegation", &delegation));
}

/* --- Persons, and what they call and sign with --- */

static void ask_person_remove(void)
{
    json_auto_t *added = admin_do(&f, "person.add", PARAMS(p_text("name", name)));
    ck_assert_str_eq(text_at(added, "result"), "added");
    ask_name();
}

static void ask_key_of_ann(const char *param)
{
    memcpy(fresh_key, &unique, sizeof unique);
    add_param(p_bytes(param, fresh_key, sizeof fresh_key));
    add_param(p_text("person", "ann"));
    add_param(p_text("images", "payments,refunds"));
}

static void ask_token(void)
{
    ask_key_of_ann("hash");
    add_param(p_text("rights", "view,draft"));
    add_param(p_text("expires", "2027-11-24T00:00:00Z"));
}

static void ask_token_revoke(void)
{
    ask_end_of("token.create", ask_token, "token.id");
}

static void ask_signer(void)
{
    ask_key_of_ann("key");
}

static void ask_signer_remove(void)
{
    ask_end_of("signer.add", ask_signer, "signer.id");
}

/* A build that is new, under a number that is. */
static void ask_submit(void)
{
    char build[32];
    snprintf(build, sizeof build, "2.%u", unique);
    const struct spec spec = SPEC(unique, build, 100000 + unique);
    file.len = 0;
    signature.len = 0;
    file_text(&f, &spec, &file);
    ck_ok(sshsig_sign(signer.key, REGISTRATION_NAMESPACE, bytes_of_buf(&file), &signature));
    add_param(p_buf("file", &file));
    add_param(p_buf("signature", &signature));
}

/* --- What is denied --- */

static void ask_revoke_instance(void)
{
    snprintf(name, sizeof name, "i-%017x", unique);
    add_param(p_text("instance_id", name));
    add_param(p_text("reason", "stolen"));
}

static void ask_revoke_certificate(void)
{
    struct bytes of, serial;
    ck_assert(cert_find_issuer(bytes_of_buf(&f.chain.der[4]), &of, &serial));
    snprintf(name, sizeof name, "7f%08x", unique);
    add_param(p_bytes("issuer", of.ptr, of.len));
    add_param(p_text("serial", name));
    add_param(p_text("reason", "the key leaked"));
}

static void ask_revocation_remove(void)
{
    ask_end_of("revocation.add", ask_revoke_instance, "revocation.id");
    add_param(p_text("reason", "a false alarm"));
}

/* --- The rest --- */

static void ask_nothing(void)
{
}

static void ask_challenge_now(void)
{
    request.op = WARDEN_CHALLENGE;
}

struct operation {
    const char *operation;
    void (*ask)(void);
    bool changes;  /* on success there is a record of it */
    unsigned most; /* failures of one kind */
};

static const struct operation of_measurements[] = {
    {"challenge", ask_challenge_now, false, MANY},
    {"status", ask_nothing, false, MANY},
    {"verify", ask_verify, false, MANY},
    {"image.list", ask_nothing, false, MANY},
    {"measurement.add", ask_add, true, MANY},
    {"measurement.list", ask_nothing, false, MANY},
    {"measurement.show", ask_show, false, MANY},
    {"measurement.enclaves", ask_show, false, MANY},
    {"measurement.grants", ask_show, false, MANY},
    {"measurement.activate", ask_activate, true, MANY},
    {"measurement.deprecate", ask_end, true, FEW},
    {"measurement.revoke", ask_end, true, FEW},
    {"measurement.discard", ask_discard, true, FEW},
};

static const struct operation of_secrets[] = {
    {"sealing-key", ask_nothing, false, MANY}, {"secret.put-challenge", ask_name, false, MANY},
    {"secret.put", ask_put, true, MANY},       {"secret.list", ask_nothing, false, MANY},
    {"grant.add", ask_grant, true, MANY},      {"grant.list", ask_nothing, false, MANY},
    {"grant.remove", ask_remove, true, FEW},
};

static const struct operation of_people[] = {
    {"person.add", ask_name, true, FEW},
    {"person.list", ask_nothing, false, FEW},
    {"person.remove", ask_person_remove, true, FEW},
    {"token.create", ask_token, true, FEW},
    {"token.list", ask_nothing, false, FEW},
    {"token.revoke", ask_token_revoke, true, FEW},
    {"signer.add", ask_signer, true, FEW},
    {"signer.list", ask_nothing, false, FEW},
    {"signer.remove", ask_signer_remove, true, FEW},
    {"registration.submit", ask_submit, true, MANY},
    {"revocation.add", ask_revoke_instance, true, FEW},
    {"revocation.add", ask_revoke_certificate, true, FEW},
    {"revocation.list", ask_nothing, false, FEW},
    {"revocation.remove", ask_revocation_remove, true, FEW},
};

static const struct operation of_the_rest[] = {
    {"audit.list", ask_nothing, false, MANY},    {"audit.export", ask_nothing, false, MANY},
    {"explain", ask_explain, false, MANY},       {"explain", ask_explain_request, false, MANY},
    {"issuer.show", ask_nothing, false, MANY},   {"issuer.receipt-key", ask_nothing, false, MANY},
    {"issuer.install", ask_install, true, MANY},
};

static void operate(const struct operation *o, unsigned class, uint64_t at, unsigned variant,
                    struct tally *tally)
{
    CLEANUP(buf_free) struct buf message = {0};
    unique++;
    snprintf(name, sizeof name, "secret-%u", unique);
    fixture_request(&f, WARDEN_ADMIN, &request);
    request.operation = bytes_of_text(o->operation);
    request.token = bytes_of(f.token, sizeof f.token);
    o->ask();
    ck_ok(warden_request_append(&request, &message));
    const uint64_t before = db_number(&f, RECORDS);
    struct sent sent;
    send_message(bytes_of_buf(&message), class, at, variant, &sent);
    const bool failed = atomic_load(&inject->failed) > 0;
    const uint64_t records = db_number(&f, RECORDS) - before;
    ck_assert_uint_le(records, o->changes ? 1 : 0);
    ck_assert_msg(sent.err != ERR_OK || records == o->changes, "%s: done without a record: %s",
                  o->operation, inject->last);
    tally->failures += failed;
    tally->lived += failed && sent.err == ERR_OK;
    tally->recorded += sent.err != ERR_OK && records == 1;
    tally->misnamed += failed && sent.err != ERR_OK && !names_us(sent.err);
    warden_reply_free(&sent.reply);
    expect_sound(tally);
}

/* The fewer of two times: SQLite's checkpoint, now and then, is not of each operation. */
static uint64_t count_calls(const struct operation *o, unsigned class, struct tally *tally)
{
    operate(o, class, 0, 0, tally);
    const uint64_t first = atomic_load(&inject->calls);
    operate(o, class, 0, 0, tally);
    const uint64_t second = atomic_load(&inject->calls);
    return first < second ? first : second;
}

static void sweep_operation(const struct operation *o)
{
    static const unsigned classes[] = {INJECT_SQLITE, INJECT_OPENSSL, INJECT_FILE, INJECT_ALLOC};
    const uint64_t seed = sweep_number("FAULTS_SEED", 0);
    for (size_t c = 0; c < ARRAY_LEN(classes); c++) {
        struct tally tally = {.what = o->operation};
        const uint64_t calls = count_calls(o, classes[c], &tally);
        const uint64_t by = (calls / o->most + 1) * sweep_number("FAULTS_STRIDE", 1);
        const unsigned ways = classes[c] == INJECT_ALLOC ? 1 : 2;
        for (unsigned variant = 0; variant < ways; variant++) {
            for (uint64_t at = sweep_first(seed + variant, by, calls); at <= calls; at += by) {
                operate(o, classes[c], at, variant, &tally);
                tally.tried++;
            }
        }
        tell(&tally, classes[c], calls);
        /* Policy is in memory: what only reads it needs no database and no file. */
        if (calls > 0 || o->changes || classes[c] == INJECT_ALLOC)
            sweep_enough(o->operation, classes[c], tally.tried, tally.failures, FAILURES_PERCENT);
        /* What a put's value does not open by says no more than that (wrap.h). */
        const bool told = classes[c] != INJECT_OPENSSL || strcmp(o->operation, "secret.put") != 0;
        ck_assert_msg(!told || tally.misnamed == 0, "%s: %u failures of ours blame the request",
                      o->operation, tally.misnamed);
    }
}

/* The lists, as an administrator sees them. */
static char *lists(void)
{
    static const char *const all[] = {"image.list",  "measurement.list", "secret.list",
                                      "grant.list",  "person.list",      "token.list",
                                      "signer.list", "revocation.list"};
    json_auto_t *pages = json_array();
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        json_array_append_new(pages, admin_do(&f, all[i], PARAMS(p_uint("limit", 1000))));
    return json_dumps(pages, JSON_SORT_KEYS);
}

static void every_operation(const struct operation *operations, size_t count)
{
    char path[128];
    begin();
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    fixture_secret(&f, "db/main", "the first value");
    fixture_grant(&f, "db/main", "payments");
    db_run(&f, "INSERT INTO measurement_use VALUES (1, NULL, 1795392000000, 1795392000000, 1, 1);"
               "INSERT INTO measurement_day VALUES (1, 20780, 1);"
               "INSERT INTO enclave_use VALUES (1, 1, 'i-1-enc1', 1, 1, 1795392000000,"
               " 1795392000000, 1)");
    state_path(&f, "issuer.key", path);
    ck_ok(issuer_key_load(path, &issuer, NULL));
    signer_make(&signer);
    json_decref(admin_do(&f, "signer.add",
                         PARAMS(p_text("person", "ann"), p_text("images", "payments"),
                                p_bytes("key", signer.public_key, sizeof signer.public_key))));
    for (size_t i = 0; i < count; i++) {
        sweep_operation(&operations[i]);
        /* What memory believes is what a start reads. */
        char *believed = lists();
        warden_free(TAKE(f.warden));
        fixture_open(&f);
        char *stored = lists();
        ck_assert_msg(strcmp(believed, stored) == 0, "after %s memory and file differ",
                      operations[i].operation);
        free(believed);
        free(stored);
    }
    EVP_PKEY_free(issuer);
    signer_free(&signer);
    buf_free(&file);
    buf_free(&signature);
    buf_free(&pcrs);
    buf_free(&delegation);
    buf_free(&document);
    put_free(&put);
    end();
}

START_TEST(measurements)
{
    every_operation(of_measurements, ARRAY_LEN(of_measurements));
}
END_TEST

START_TEST(secrets_and_grants)
{
    every_operation(of_secrets, ARRAY_LEN(of_secrets));
}
END_TEST

START_TEST(people_and_revocations)
{
    every_operation(of_people, ARRAY_LEN(of_people));
}
END_TEST

START_TEST(audit_and_issuer)
{
    every_operation(of_the_rest, ARRAY_LEN(of_the_rest));
}
END_TEST

/* What cannot be looked at was not tampered with: an operator would restore a backup, or look
 * for an intruder. */
static void start_once(unsigned class, uint64_t at, struct tally *tally)
{
    warden_free(TAKE(f.warden));
    inject_arm(class, at, 0);
    const enum err err = fixture_try_open(&f);
    inject_disarm();
    const bool failed = atomic_load(&inject->failed) > 0;
    tally->failures += failed;
    tally->lived += failed && err == ERR_OK;
    ck_assert_msg(failed || err == ERR_OK, "%s: %s", err_wire(err), f.fault.detail);
    ck_assert_msg(err == ERR_OK || names_us(err), "%s: %s", err_wire(err), inject->last);
    ck_assert_msg(err != ERR_STORE_TAMPERED && err != ERR_KEY_WRONG, "%s: %s, after %s",
                  err_wire(err), f.fault.detail, inject->last);
}

START_TEST(starts)
{
    static const unsigned classes[] = {INJECT_OPENSSL, INJECT_ALLOC};
    begin();
    fixture_measurement(&f, "payments", "1.4.2", SEED);
    for (size_t c = 0; c < ARRAY_LEN(classes); c++) {
        struct tally tally = {.what = "start"};
        start_once(classes[c], 0, &tally);
        const uint64_t calls = atomic_load(&inject->calls);
        const uint64_t by = (calls / (2 * MANY) + 1) * sweep_number("FAULTS_STRIDE", 1);
        for (uint64_t at = 1 + sweep_number("FAULTS_SEED", 0) % by; at <= calls; at += by)
            start_once(classes[c], at, &tally);
        tell(&tally, classes[c], calls);
    }
    start_once(0, 0, &(struct tally){0});
    end();
}
END_TEST

UNIT_MAIN("fault_admin", measurements, secrets_and_grants, people_and_revocations, audit_and_issuer,
          starts)
