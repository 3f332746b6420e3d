/* A warden over a store of its own, and an administrator: everything goes in and comes out
 * through warden_handle, as the front would send it.
 *
 * The store is a development one that trusts a root made here: a production store trusts
 * AWS's root alone, and no genuine document carries a challenge of ours; what only such a
 * store refuses (debug mode) is policy_decide's to show (test_policy_checks.c).
 * The clock is the test's: this definition of clock_now_ms wins over the library's. */
#ifndef VOUCHSAFE_WARDEN_FIXTURE_H
#define VOUCHSAFE_WARDEN_FIXTURE_H

#include <dirent.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "common/cbor_writer.h"
#include "common/codec.h"
#include "common/file.h"
#include "common/log.h"
#include "common/receipt.h"
#include "common/wrap.h"
#include "tests/lib/mkdoc.h"
#include "unit.h"
#include "verifier/clock.h"
#include "verifier/warden/found.h"
#include "verifier/warden/warden.h"

#define NOW_MS UINT64_C(1795392000000) /* 2026-11-23T00:00:00Z */
#define MODULE "i-0123456789abcdef0-enc0123456789abcdef"
#define REGION "eu-west-1"
#define DAY_MS UINT64_C(86400000)

static _Atomic int64_t test_now_ms = (int64_t)NOW_MS;

int64_t clock_now_ms(void)
{
    return atomic_load(&test_now_ms);
}

static inline void advance_ms(int64_t by_ms)
{
    atomic_fetch_add(&test_now_ms, by_ms);
}

struct warden_fixture {
    char dir[64];
    char database[96];
    char master[96];
    struct mkdoc_chain_spec spec;
    struct mkdoc_chain chain;
    struct founded founded;
    struct issuer_pins pins; /* what an image would carry */
    uint8_t token[WARDEN_TOKEN_LEN];
    struct warden *warden;
    unsigned requests;
    struct fault fault; /* of the last request */
};

/* --- Files --- */

static inline void read_file(const char *path, struct buf *out)
{
    struct fault fault = FAULT_NONE;
    ck_assert_msg(file_read(path, SIZE_MAX, out, &fault) == ERR_OK, "%s", fault.detail);
}

static inline void write_file(const char *path, struct bytes content)
{
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s cannot be opened", path);
    ck_assert_uint_eq(fwrite(content.ptr, 1, content.len, file), content.len);
    ck_assert_int_eq(fclose(file), 0);
}

static inline void state_path(const struct warden_fixture *f, const char *name,
                              char out[static 128])
{
    const int len = snprintf(out, 128, "%s/%s", f->dir, name);
    ck_assert(len > 0 && len < 128);
}

/* A directory and all that is in it. */
static inline void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL) {
        unlink(path);
        return;
    }
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char inner[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        const int len = snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name);
        if (len > 0 && (size_t)len < sizeof inner && unlink(inner) != 0)
            remove_tree(inner);
    }
    closedir(dir);
    rmdir(path);
}

/* --- Opening and closing --- */

/* Asserts nothing: Check allocates for it, and memory may be about to fail. */
static inline enum err fixture_try_open(struct warden_fixture *f)
{
    const struct warden_options options = {.database = f->database, .master_key = f->master};
    f->fault = (struct fault)FAULT_NONE;
    return warden_open(&options, clock_now_ms(), &f->warden, &f->fault);
}

static inline void fixture_open(struct warden_fixture *f)
{
    ck_assert_ptr_null(f->warden);
    const enum err err = fixture_try_open(f);
    ck_assert_msg(err == ERR_OK, "%s [%s]: %s", err_wire(err), f->fault.field, f->fault.detail);
}

static inline void fixture_close(struct warden_fixture *f)
{
    ck_ok(warden_stop(f->warden, clock_now_ms(), &f->fault));
    warden_free(TAKE(f->warden));
}

static inline void fixture_read_client(struct warden_fixture *f)
{
    char path[128];
    CLEANUP(buf_free) struct buf token = {0};
    CLEANUP(buf_free) struct buf pem = {0};
    state_path(f, "client/token", path);
    read_file(path, &token);
    ck_assert_uint_eq(token.len, 2 * WARDEN_TOKEN_LEN + 1);
    ck_ok(hex_decode(bytes_of(token.ptr, token.len - 1), f->token, sizeof f->token));
    state_path(f, "issuer.pem", path);
    read_file(path, &pem);
    ck_ok(issuer_pins_parse(bytes_of_buf(&pem), &f->pins, &f->fault));
}

static inline void fixture_found(struct warden_fixture *f)
{
    CLEANUP(buf_free) struct buf root = {0};
    log_set_level(LOG_LEVEL_ERROR);
    snprintf(f->dir, sizeof f->dir, "/tmp/vouchsafe-warden-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(f->dir));
    snprintf(f->database, sizeof f->database, "%s/vouchsafe.db", f->dir);
    snprintf(f->master, sizeof f->master, "%s/master.key", f->dir);
    mkdoc_chain_defaults(&f->spec, (int64_t)NOW_MS, MODULE, REGION);
    ck_ok(mkdoc_chain_make(&f->spec, &f->chain));
    ck_ok(mkdoc_root_pem(&f->chain, &root));
    const struct founding founding = {
        .state_dir = f->dir, .development = true, .root_pem = buf_text(&root), .person = "ann"};
    const enum err err = warden_found(&founding, clock_now_ms(), &f->founded, &f->fault);
    ck_assert_msg(err == ERR_OK, "%s: %s", err_wire(err), f->fault.detail);
    fixture_read_client(f);
}

static inline void fixture_free(struct warden_fixture *f)
{
    warden_free(f->warden);
    mkdoc_chain_free(&f->chain);
    issuer_pins_free(&f->pins);
    remove_tree(f->dir);
}
#define FIXTURE(f)                                                   \
    CLEANUP(fixture_free) struct warden_fixture f = {.requests = 0}; \
    fixture_found(&f);                                               \
    fixture_open(&f)

/* --- Messages --- */

/* Sends one request; the reply's fault goes to f->fault.  `body` may be NULL. */
static inline enum err fixture_send(struct warden_fixture *f, const struct warden_request *request,
                                    struct buf *body)
{
    CLEANUP(buf_free) struct buf message = {0};
    CLEANUP(buf_free) struct buf answer = {0};
    CLEANUP(warden_reply_free) struct warden_reply reply = {0};
    ck_ok(warden_request_append(request, &message));
    ck_ok(warden_handle(f->warden, bytes_of_buf(&message), &answer));
    ck_ok(warden_reply_parse(bytes_of_buf(&answer), &reply, NULL));
    f->fault = reply.fault;
    ck_assert((reply.fault.code == ERR_OK) == (reply.body.len > 0));
    if (body != NULL)
        ck_ok(buf_append(body, bytes_of_buf(&reply.body)));
    return reply.fault.code;
}

static inline void fixture_request(struct warden_fixture *f, enum warden_op op,
                                   struct warden_request *out)
{
    *out = (struct warden_request){.op = op, .peer = "203.0.113.7:41234"};
    snprintf(out->request_id, sizeof out->request_id, "req-%u", ++f->requests);
}

/* --- The administrator --- */

static inline struct param p_text(const char *name, const char *value)
{
    return (struct param){
        .name = bytes_of_text(name), .type = PARAM_TEXT, .data = bytes_of_text(value)};
}

static inline struct param p_uint(const char *name, uint64_t value)
{
    return (struct param){.name = bytes_of_text(name), .type = PARAM_UINT, .uint = value};
}

static inline struct param p_bool(const char *name, bool value)
{
    return (struct param){.name = bytes_of_text(name), .type = PARAM_BOOL, .uint = value};
}

static inline struct param p_bytes(const char *name, const void *ptr, size_t len)
{
    return (struct param){
        .name = bytes_of_text(name), .type = PARAM_BYTES, .data = bytes_of(ptr, len)};
}

static inline struct param p_buf(const char *name, const struct buf *buf)
{
    return p_bytes(name, buf->ptr, buf->len);
}

/* A map of texts whose CBOR the caller holds. */
static inline struct param p_map(const char *name, const struct buf *cbor)
{
    return (struct param){
        .name = bytes_of_text(name), .type = PARAM_TEXT_MAP, .data = bytes_of_buf(cbor)};
}

#define PARAMS(...)                      \
    (const struct param[]){__VA_ARGS__}, \
        sizeof((const struct param[]){__VA_ARGS__}) / sizeof(struct param)
#define NO_PARAMS NULL, 0

/* `*out` (may be NULL) is the answer, the caller's; NULL on an error. */
static inline enum err admin_as(struct warden_fixture *f, struct bytes token, const char *operation,
                                const struct param *params, size_t count, json_t **out)
{
    CLEANUP(buf_free) struct buf body = {0};
    struct warden_request request;
    fixture_request(f, WARDEN_ADMIN, &request);
    request.operation = bytes_of_text(operation);
    request.token = token;
    request.param_count = count;
    for (size_t i = 0; i < count; i++)
        request.param[i] = params[i];
    const enum err err = fixture_send(f, &request, &body);
    if (out != NULL)
        *out = err == ERR_OK ? json_loadb((const char *)body.ptr, body.len, 0, NULL) : NULL;
    return err;
}

static inline enum err admin_try(struct warden_fixture *f, const char *operation,
                                 const struct param *params, size_t count, json_t **out)
{
    return admin_as(f, bytes_of(f->token, sizeof f->token), operation, params, count, out);
}

/* Must succeed. */
static inline json_t *admin_do(struct warden_fixture *f, const char *operation,
                               const struct param *params, size_t count)
{
    json_t *out = NULL;
    const enum err err = admin_try(f, operation, params, count, &out);
    ck_assert_msg(err == ERR_OK && out != NULL, "%s: %s [%s] %s", operation, err_wire(err),
                  f->fault.field, f->fault.detail);
    return out;
}

static inline void admin_expect(struct warden_fixture *f, int line, enum err code,
                                const char *field, const char *operation,
                                const struct param *params, size_t count)
{
    const enum err err = admin_try(f, operation, params, count, NULL);
    ck_assert_msg(err == code, "line %d: got %s [%s] %s, expected %s", line, err_wire(err),
                  f->fault.field, f->fault.detail, err_wire(code));
    ck_assert_msg(strcmp(f->fault.field, field) == 0, "line %d: got field \"%s\" (%s)", line,
                  f->fault.field, f->fault.detail);
}
#define ADMIN_REFUSED(f, code, field, operation, ...) \
    admin_expect((f), __LINE__, (code), (field), (operation), __VA_ARGS__)

/* A member by path: "measurement.state", "grants.0.id". */
static inline const json_t *json_at(const json_t *json, const char *path)
{
    char copy[128];
    char *rest = copy;
    snprintf(copy, sizeof copy, "%s", path);
    for (char *name = strsep(&rest, "."); name != NULL && json != NULL; name = strsep(&rest, "."))
        json = json_is_array(json) ? json_array_get(json, (size_t)atoi(name))
                                   : json_object_get(json, name);
    return json;
}

static inline const char *text_at(const json_t *json, const char *path)
{
    const char *text = json_string_value(json_at(json, path));
    return text == NULL ? "" : text;
}

static inline uint64_t uint_at(const json_t *json, const char *path)
{
    ck_assert_msg(json_is_integer(json_at(json, path)), "no integer %s", path);
    return (uint64_t)json_integer_value(json_at(json, path));
}

static inline void bytes_at(const json_t *json, const char *path, struct buf *out)
{
    ck_ok(base64_decode(bytes_of_text(text_at(json, path)), out));
}

static inline uint64_t audit_sequence(struct warden_fixture *f)
{
    json_auto_t *status = admin_do(f, "status", NO_PARAMS);
    return uint_at(status, "audit_sequence");
}

/* The newest audit record; the caller's. */
static inline json_t *audit_newest(struct warden_fixture *f)
{
    json_auto_t *page = admin_do(f, "audit.list", PARAMS(p_uint("limit", 1)));
    ck_assert_uint_eq(json_array_size(json_at(page, "records")), 1);
    return json_incref(json_array_get(json_object_get(page, "records"), 0));
}

/* --- The database, from outside --- */

static inline void db_run(const struct warden_fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    char *error = NULL;
    ck_assert_int_eq(sqlite3_open(f->database, &db), SQLITE_OK);
    const int result = sqlite3_exec(db, sql, NULL, NULL, &error);
    ck_assert_msg(result == SQLITE_OK, "%s: %s", sql, error);
    sqlite3_close(db);
}

static inline uint64_t db_number(const struct warden_fixture *f, const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *query = NULL;
    ck_assert_int_eq(sqlite3_open_v2(f->database, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_prepare_v2(db, sql, -1, &query, NULL), SQLITE_OK);
    ck_assert_int_eq(sqlite3_step(query), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64(query, 0);
    sqlite3_finalize(query);
    sqlite3_close(db);
    return (uint64_t)number;
}

/* --- Policy --- */

/* The text map of the PCRs in `present`. */
static inline void pcr_map(const struct mkdoc_fields *fields, uint32_t present, struct buf *out)
{
    struct cbor_writer w;
    size_t count = 0;
    cbor_writer_init(&w, out);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++)
        count += present >> i & 1;
    cbor_writer_map(&w, count);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        char key[4];
        char hex[2 * ATTDOC_PCR_LEN + 1];
        if ((present >> i & 1) == 0)
            continue;
        snprintf(key, sizeof key, "%u", i);
        hex_encode(bytes_of(fields->pcr[i], ATTDOC_PCR_LEN), hex);
        cbor_writer_cstr(&w, key);
        cbor_writer_cstr(&w, hex);
    }
    ck_ok(cbor_writer_finish(&w));
}

/* Registers the build whose PCR0..2 mkdoc_fields_defaults makes of `seed`. */
static inline void fixture_measurement(struct warden_fixture *f, const char *image,
                                       const char *version, unsigned seed)
{
    struct mkdoc_fields fields;
    CLEANUP(buf_free) struct buf pcrs = {0};
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, seed);
    pcr_map(&fields, 7, &pcrs);
    json_auto_t *added =
        admin_do(f, "measurement.add",
                 PARAMS(p_text("image", image), p_text("version", version), p_map("pcrs", &pcrs)));
    ck_assert_str_eq(text_at(added, "result"), "added");
}

static inline uint64_t fixture_grant(struct warden_fixture *f, const char *secret,
                                     const char *image)
{
    json_auto_t *added =
        admin_do(f, "grant.add", PARAMS(p_text("secret", secret), p_text("image", image)));
    ck_assert_str_eq(text_at(added, "result"), "added");
    return uint_at(added, "grant.id");
}

/* --- Putting a secret, as a client does (PROTOCOL section 6) --- */

struct put {
    char name[PROTOCOL_NAME_MAX + 1];
    uint32_t version;
    struct buf challenge;
    struct buf enc;
    struct buf ciphertext;
};

static inline void put_free(struct put *put)
{
    buf_free(&put->challenge);
    buf_free(&put->enc);
    buf_free(&put->ciphertext);
}

/* The server's sealing key, once everything about it has been verified. */
static inline void put_recipient(struct warden_fixture *f, struct sealing_key *key,
                                 struct wrap_recipient **out)
{
    CLEANUP(buf_free) struct buf delegation = {0};
    CLEANUP(buf_free) struct buf message = {0};
    struct delegation named;
    struct cose_sign1 cose;
    EVP_PKEY *receipt_key = NULL;
    json_auto_t *answer = admin_do(f, "sealing-key", NO_PARAMS);
    bytes_at(answer, "delegation", &delegation);
    bytes_at(answer, "sealing_key", &message);
    ck_ok(delegation_verify(bytes_of_buf(&delegation), &f->pins, (uint64_t)clock_now_ms(), &named,
                            &receipt_key, NULL));
    ck_assert_mem_eq(named.store_id, f->founded.store_id, PROTOCOL_STORE_ID_LEN);
    ck_ok(cose_sign1_parse(COSE_SEALING_KEY, bytes_of_buf(&message), &cose, NULL));
    ck_ok(cose_sign1_verify(&cose, receipt_key, NULL));
    EVP_PKEY_free(receipt_key);
    ck_ok(sealing_key_parse(cose.payload, key, NULL));
    ck_assert_mem_eq(key->store_id, f->founded.store_id, PROTOCOL_STORE_ID_LEN);
    ck_ok(wrap_recipient_parse(bytes_of(key->spki, key->spki_len), out, NULL));
}

static inline void put_seal(struct warden_fixture *f, struct put *put, const void *value,
                            size_t len)
{
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    CLEANUP(secret_freep) struct secret *plaintext = NULL;
    CLEANUP(buf_free) struct buf aad = {0};
    struct sealing_key key;
    put_recipient(f, &key, &recipient);
    put->enc.len = 0;
    put->ciphertext.len = 0;
    ck_ok(secret_new(len, &plaintext));
    if (len > 0)
        memcpy(secret_ptr(plaintext), value, len);
    ck_ok(wrap_sealer_new(recipient, bytes_of_text(PROTOCOL_PUT_INFO), &sealer, &put->enc));
    ck_ok(protocol_put_aad(key.store_id, put->name, put->version, put->challenge.ptr, &aad));
    ck_ok(wrap_seal(sealer, bytes_of_buf(&aad), plaintext, &put->ciphertext));
}

/* A challenge for `name`, and the value sealed under it. */
static inline void put_begin(struct warden_fixture *f, struct put *put, const char *name,
                             const char *value)
{
    json_auto_t *answer = admin_do(f, "secret.put-challenge", PARAMS(p_text("name", name)));
    snprintf(put->name, sizeof put->name, "%s", name);
    put->version = (uint32_t)uint_at(answer, "version");
    put->challenge.len = 0;
    bytes_at(answer, "challenge", &put->challenge);
    ck_assert_uint_eq(put->challenge.len, PROTOCOL_PUT_CHALLENGE_LEN);
    put_seal(f, put, value, strlen(value));
}

#define PUT_PARAMS(put)                                                      \
    PARAMS(p_text("name", (put)->name), p_uint("version", (put)->version),   \
           p_buf("challenge", &(put)->challenge), p_buf("enc", &(put)->enc), \
           p_buf("ciphertext", &(put)->ciphertext))

static inline uint32_t fixture_secret(struct warden_fixture *f, const char *name, const char *value)
{
    CLEANUP(put_free) struct put put = {.version = 0};
    put_begin(f, &put, name, value);
    json_auto_t *stored = admin_do(f, "secret.put", PUT_PARAMS(&put));
    ck_assert_str_eq(text_at(stored, "result"), "stored");
    ck_assert_uint_eq(uint_at(stored, "secret.version"), put.version);
    ck_assert_uint_eq(uint_at(stored, "secret.size"), strlen(value));
    return put.version;
}

#endif
