/* The steps that are not a warden's, under failure: judging a document, reading and writing
 * the protocol's JSON, the keyring, the enclave's check of an answer, the delivery, and a signed
 * registration file. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sweep.h"

#include "common/protocol.h"
#include "common/registration.h"
#include "common/sshsig.h"
#include "enclave-agent/deliver.h"
#include "enclave-agent/template.h"
#include "tests/lib/mkdoc.h"
#include "tests/unit/answer_world.h"
#include "verifier/attest/attest.h"
#include "verifier/keyring/keyring_internal.h"

#define LIBRARIES (INJECT_ALLOC | INJECT_OPENSSL)
#define DOC_MS    INT64_C(1795392000000)
#define MODULE    "i-0123456789abcdef0-enc0123456789abcdef"
#define REGION    "eu-west-1"

static void nothing(void)
{
}

/* ---- a document: every certificate new, then from the cache ---- */

static struct buf document, root_pem;
static struct attest_trust *trust;
static struct verified_doc *doc;

static enum err judge(void)
{
    CLEANUP(attest_trust_freep) struct attest_trust *fresh = NULL;
    if (trust == NULL)
        TRY(attest_trust_new((const char *)root_pem.ptr, 0, NULL, &fresh, NULL));
    return attest_verify(trust == NULL ? fresh : trust, bytes_of_buf(&document), ATTDOC_ENCLAVE,
                         DOC_MS, &doc, NULL, NULL);
}

static void judged(void)
{
    ck_assert(bytes_equal_text(verified_doc_fields(doc)->module_id, MODULE));
    /* Grants ask for it: one that got lost would be a refusal, and on record. */
    ck_assert(bytes_equal_text(verified_doc_region(doc), REGION));
}

static void not_judged(void)
{
    ck_assert_ptr_null(doc);
}

static void forget(void)
{
    verified_doc_free(doc);
    doc = NULL;
}

START_TEST(documents)
{
    struct mkdoc_chain_spec spec;
    struct mkdoc_chain chain;
    struct mkdoc_fields fields;
    sweep_begin();
    mkdoc_chain_defaults(&spec, DOC_MS, MODULE, REGION);
    ck_ok(mkdoc_chain_make(&spec, &chain));
    mkdoc_fields_defaults(&fields, DOC_MS, MODULE, 7);
    ck_ok(mkdoc_document(&fields, &chain, &document));
    ck_ok(mkdoc_root_pem(&chain, &root_pem));
    ck_assert_ptr_nonnull(buf_text(&root_pem));
    sweep_run(&(const struct sweep){"document", INJECT_OPENSSL, judge, judged, not_judged, forget,
                                    NULL, 0});
    sweep_run(&(const struct sweep){"document", INJECT_ALLOC, judge, judged, not_judged, forget,
                                    NULL, 8});
    ck_ok(attest_trust_new((const char *)root_pem.ptr, 64, NULL, &trust, NULL));
    sweep_run(&(const struct sweep){"document, cached", INJECT_OPENSSL, judge, judged, not_judged,
                                    forget, NULL, 0});
    sweep_run(&(const struct sweep){"document, cached", INJECT_ALLOC, judge, judged, not_judged,
                                    forget, NULL, 4});
    attest_trust_free(trust);
    mkdoc_chain_free(&chain);
    buf_free(&document);
    buf_free(&root_pem);
}
END_TEST

/* ---- an answer, as the enclave takes it ---- */

static enum err take(void)
{
    return answer_open(&w.answer, &w.expected, &opened, &fault);
}

static void taken(void)
{
    ck_assert_uint_eq(opened.count, 2);
    ck_assert(bytes_equal_text(secret_view(opened.item[0].value), "open sesame"));
    ck_assert(bytes_equal_text(secret_view(opened.item[1].value), "42"));
}

static void not_taken(void)
{
    ck_assert_uint_eq(opened.count, 0);
}

static void give_back(void)
{
    answer_opened_free(&opened);
}

static struct buf json;
static struct release_answer parsed;

static enum err answer_round(void)
{
    struct release_answer made = {.count = 0};
    TRY(release_answer_append(&w.answer, &json));
    const enum err err = release_answer_parse(&json, &made, NULL);
    parsed = made;
    return err;
}

static void answer_same(void)
{
    ck_assert_uint_eq(parsed.count, w.answer.count);
    ck_assert(bytes_equal(bytes_of_buf(&parsed.receipt), bytes_of_buf(&w.answer.receipt)));
    ck_assert(bytes_equal(bytes_of_buf(&parsed.enc), bytes_of_buf(&w.answer.enc)));
}

static void answer_none(void)
{
    ck_assert_uint_eq(parsed.count, 0);
    ck_assert_uint_eq(parsed.receipt.len, 0);
}

static void answer_forget(void)
{
    release_answer_free(&parsed);
    parsed = (struct release_answer){.count = 0};
    buf_free(&json);
}

START_TEST(answers)
{
    sweep_begin();
    begin();
    sign_all();
    sweep_run(&(const struct sweep){"answer", INJECT_OPENSSL, take, taken, not_taken, give_back,
                                    NULL, 0});
    sweep_run(
        &(const struct sweep){"answer", INJECT_ALLOC, take, taken, not_taken, give_back, NULL, 2});
    sweep_run(&(const struct sweep){"answer's JSON", INJECT_ALLOC, answer_round, answer_same,
                                    answer_none, answer_forget, NULL, 0});
    end();
}
END_TEST

/* ---- the keyring ---- */

static struct marker value;
static struct secret *plaintext, *unsealed;
static struct keyring *keyring;
static struct buf sealed;

static const uint8_t store_id[PROTOCOL_STORE_ID_LEN] = {1, 2, 3};

static enum err seal_and_open(void)
{
    TRY(keyring_seal(keyring, KEYRING_SECRET, 1, 1, plaintext, &sealed));
    return keyring_unseal(keyring, KEYRING_SECRET, 1, 1, bytes_of_buf(&sealed), &unsealed);
}

static void sealed_and_opened(void)
{
    ck_assert(marker_holds(&value, unsealed));
}

static void not_opened(void)
{
    ck_assert_ptr_null(unsealed);
}

static void seal_clear(void)
{
    secret_freep(&unsealed);
    buf_free(&sealed);
}

static struct keyring *made;
static struct buf signature;

/* A keyring of the marker's key, with a receipt key, which signs. */
static enum err whole_keyring(void)
{
    CLEANUP(keyring_freep) struct keyring *ring = NULL;
    CLEANUP(buf_free) struct buf own = {0};
    CLEANUP(buf_free) struct buf spki = {0};
    TRY(keyring_open(plaintext, store_id, 1, &ring));
    TRY(keyring_own_key_make(ring, KEYRING_RECEIPT_KEY, 1, &own, &spki));
    TRY(keyring_own_key_load(ring, KEYRING_RECEIPT_KEY, 1, bytes_of_buf(&own)));
    TRY(keyring_sign(ring, COSE_RECEIPT, bytes_of_text("a payload"), &signature));
    made = TAKE(ring);
    return ERR_OK;
}

static void keyring_made(void)
{
    struct cose_sign1 cose;
    ck_ok(cose_sign1_parse(COSE_RECEIPT, bytes_of_buf(&signature), &cose, NULL));
    ck_ok(cose_sign1_verify(&cose, made->receipt_key, NULL));
}

static void keyring_not_made(void)
{
    ck_assert_ptr_null(made);
    ck_assert_uint_eq(signature.len, 0);
}

static void keyring_clear(void)
{
    keyring_free(made);
    made = NULL;
    buf_free(&signature);
}

START_TEST(keyrings)
{
    sweep_begin();
    struct marker master = marker_random();
    master.len = KEYRING_MASTER_LEN;
    value = master;
    plaintext = marker_secret(&master);
    ck_ok(keyring_open(plaintext, store_id, 1, &keyring));
    sweep_run(&(const struct sweep){"seal", LIBRARIES, seal_and_open, sealed_and_opened, not_opened,
                                    seal_clear, &value, 0});
    sweep_run(&(const struct sweep){"keyring", INJECT_OPENSSL, whole_keyring, keyring_made,
                                    keyring_not_made, keyring_clear, &master, 0});
    sweep_run(&(const struct sweep){"keyring", INJECT_ALLOC, whole_keyring, keyring_made,
                                    keyring_not_made, keyring_clear, &master, 2});
    keyring_free(keyring);
    secret_freep(&plaintext);
}
END_TEST

/* ---- delivery ---- */

static char folder[] = "/tmp/vouchsafe-deliver-XXXXXX";
static int delivered = -1;

static enum err into_memory(void)
{
    TRY(deliver_memfd("db/main", plaintext, &delivered, NULL));
    return deliver_inherit(delivered, NULL);
}

static void expect_content(int fd)
{
    char content[MARKER_LEN + 1];
    ck_assert_int_eq(pread(fd, content, sizeof content, 0), MARKER_LEN);
    for (size_t i = 0; i < MARKER_LEN; i++)
        ck_assert_int_eq((uint8_t)content[i], value.masked[i] ^ MARKER_MASK);
    OPENSSL_cleanse(content, sizeof content);
}

static void in_memory(void)
{
    expect_content(delivered);
}

static void close_delivered(void)
{
    if (delivered >= 0)
        close(delivered);
    delivered = -1;
}

static enum err into_file(void)
{
    return deliver_file(folder, "db/main", plaintext, NULL);
}

static void in_file(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/db/main", folder);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    expect_content(fd);
    close(fd);
}

/* Nothing, not even beside the target. */
static void not_in_file(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/db", folder);
    ck_assert_msg(rmdir(path) == 0 || access(path, F_OK) != 0, "something is left in %s: %s", path,
                  inject->last);
}

static void remove_file(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/db/main", folder);
    unlink(path);
}

/* A template of that secret, with an owner where this process may give files away. */
static enum err into_template(void)
{
    CLEANUP(template_free) struct template_file t = {0};
    CLEANUP(secret_freep) struct secret *rendered = NULL;
    CLEANUP(answer_opened_free) struct answer_opened one = {.count = 1, .item = {{.name = "a"}}};
    const struct deliver_access access_own = {.mode = 0400, .uid = geteuid(), .gid = DELIVER_OWN};
    char path[64];
    snprintf(path, sizeof path, "%s/conf", folder);
    TRY(secret_new(MARKER_LEN, &one.item[0].value));
    memcpy(secret_ptr(one.item[0].value), secret_view(plaintext).ptr, MARKER_LEN);
    TRY(template_parse(bytes_of_text("{{secret a}}"), &t, NULL));
    TRY(template_render(&t, &one, &rendered, NULL));
    return deliver_path(path, rendered, &access_own, NULL);
}

static void in_template(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/conf", folder);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    expect_content(fd);
    close(fd);
}

/* Nothing, not even beside the target: then the folder could not be removed and made again. */
static void not_in_template(void)
{
    ck_assert_msg(rmdir(folder) == 0 && mkdir(folder, 0700) == 0, "something is left in %s: %s",
                  folder, inject->last);
}

static void remove_template(void)
{
    char path[64];
    snprintf(path, sizeof path, "%s/conf", folder);
    unlink(path);
}

START_TEST(deliveries)
{
    sweep_begin();
    value = marker_random();
    plaintext = marker_secret(&value);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    sweep_run(&(const struct sweep){"memfd", INJECT_FILE, into_memory, in_memory, nothing,
                                    close_delivered, &value, 0});
    sweep_run(&(const struct sweep){"file", INJECT_FILE | INJECT_OPENSSL, into_file, in_file,
                                    not_in_file, remove_file, &value, 0});
    char path[64];
    snprintf(path, sizeof path, "%s/db", folder);
    rmdir(path);
    sweep_run(&(const struct sweep){"template", INJECT_FILE | INJECT_OPENSSL | INJECT_ALLOC,
                                    into_template, in_template, not_in_template, remove_template,
                                    &value, 0});
    ck_assert_int_eq(rmdir(folder), 0);
    secret_freep(&plaintext);
}
END_TEST

/* ---- a registration file: written, signed, verified, read ---- */

static struct registration to_sign = {.store_id = {7}, .serial = 3, .expires_ms = DOC_MS};
static struct registration signed_file;
static EVP_PKEY *signing_key;

static enum err registration_round(void)
{
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf armored = {0};
    struct sshsig sig;
    TRY(registration_append(&to_sign, &text));
    TRY(sshsig_sign(signing_key, REGISTRATION_NAMESPACE, bytes_of_buf(&text), &armored));
    TRY(sshsig_parse(bytes_of_buf(&armored), REGISTRATION_NAMESPACE, &sig, NULL));
    TRY(sshsig_verify(&sig, REGISTRATION_NAMESPACE, bytes_of_buf(&text), NULL));
    return registration_parse(bytes_of_buf(&text), &signed_file, NULL);
}

static void registration_same(void)
{
    ck_assert_uint_eq(signed_file.serial, to_sign.serial);
    ck_assert_int_eq(signed_file.expires_ms, to_sign.expires_ms);
    ck_assert_mem_eq(signed_file.store_id, to_sign.store_id, sizeof to_sign.store_id);
    ck_assert(json_equal(signed_file.measurement, to_sign.measurement) == 1);
}

static void registration_none(void)
{
    ck_assert_uint_eq(signed_file.serial, 0);
    ck_assert_ptr_null(signed_file.measurement);
}

static void registration_forget(void)
{
    registration_free(&signed_file);
    signed_file = (struct registration){.serial = 0};
}

START_TEST(registrations)
{
    sweep_begin();
    signing_key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    ck_assert_ptr_nonnull(signing_key);
    to_sign.measurement = json_pack("{s:s, s:s, s:{s:s}}", "image", "payments", "version", "1.4.2",
                                    "labels", "commit", "5d5eab0");
    ck_assert_ptr_nonnull(to_sign.measurement);
    sweep_run(&(const struct sweep){"registration", INJECT_OPENSSL, registration_round,
                                    registration_same, registration_none, registration_forget, NULL,
                                    0});
    sweep_run(&(const struct sweep){"registration", INJECT_ALLOC, registration_round,
                                    registration_same, registration_none, registration_forget, NULL,
                                    2});
    registration_free(&to_sign);
    EVP_PKEY_free(signing_key);
}
END_TEST

UNIT_MAIN("fault_steps", documents, answers, keyrings, deliveries, registrations)
