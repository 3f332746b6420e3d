/* One full and one minimal row of every table, for test_policy_rows.c and
 * test_policy_snapshot.c; and the functions of every table behind one type. */
#ifndef VOUCHSAFE_POLICY_ROWS_H
#define VOUCHSAFE_POLICY_ROWS_H

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "policy_fixture.h"

#define X(T) ROWS_##T,
enum rows_table { POLICY_TABLES(X) ROWS_COUNT };
#undef X

/* Columns of a full row (which = 0) and of a minimal one (1). */
static inline void rows_setting(struct buf *out, unsigned which)
{
    struct policy_setting row = {.name = "kind"};
    if (which == 0)
        ck_ok(buf_append_text(&row.value, "development \xc3\xbc"));
    ck_ok(policy_setting_append(&row, out));
    policy_setting_free(&row);
}

static inline void rows_person(struct buf *out, unsigned which)
{
    struct policy_person row = {.name = "a", .state = POLICY_REMOVED};
    if (which == 0)
        row = (struct policy_person){
            .name = "Anna \xc3\x84.", .state = POLICY_ACTIVE, .created_ms = NOW_MS};
    ck_ok(policy_person_append(&row, out));
}

static inline void rows_token(struct buf *out, unsigned which)
{
    struct policy_token row = {.person_id = 1, .state = POLICY_ACTIVE};
    if (which == 0) {
        row.rights = RIGHTS_OF_IMAGES;
        row.created_ms = NOW_MS;
        row.expires_ms = NOW_MS + 1;
        SET_TEXT(row.label, "build pipeline");
        memcpy(row.hash, ones, sizeof row.hash);
        ck_ok(image_set_append(bytes_of_text("refunds,payments,refunds"), &row.images, NULL));
    }
    ck_ok(policy_token_append(&row, out));
    policy_token_free(&row);
}

static inline void rows_image(struct buf *out, unsigned which)
{
    struct policy_image row = {.name = "payments", .created_ms = which == 0 ? NOW_MS : 0};
    ck_ok(policy_image_append(&row, out));
}

static inline void rows_measurement(struct buf *out, unsigned which)
{
    static const uint8_t labels[] = {0xa2, 0x61, 'b', 0x61, '1', 0x62, 'a', 'a', 0x60};
    struct policy_measurement row = {.image_id = 1, .version = "1", .state = MEASUREMENT_DRAFT};
    struct pcr_set pcrs = code_of_seed(1);
    if (which == 0) {
        SET_TEXT(row.version, "1.4.2+b7");
        row.kind = ATTDOC_NITROTPM;
        row.state = MEASUREMENT_DEPRECATED;
        row.not_before_ms = NOW_MS;
        row.not_after_ms = NOW_MS + 1;
        row.created_ms = NOW_MS;
        row.added_by = 1;
        memcpy(row.root, ones, sizeof row.root);
        set_pcr(&pcrs, 4, ones);
        set_pcr(&pcrs, 7, ones);
        set_pcr(&pcrs, 31, zeros);
        ck_ok(buf_append_text(&row.provenance, "from measurements.json"));
    }
    ck_ok(pcr_set_append(&pcrs, &row.pcrs));
    ck_ok(buf_append(&row.labels, which == 0 ? bytes_of(labels, sizeof labels)
                                             : bytes_of(no_labels, sizeof no_labels)));
    ck_ok(policy_measurement_append(&row, out));
    policy_measurement_free(&row);
}

static inline void rows_secret(struct buf *out, unsigned which)
{
    struct policy_secret row = {.name = "db", .state = SECRET_USABLE};
    if (which == 0)
        row = (struct policy_secret){.name = "payments/db-password",
                                     .current_version = PROTOCOL_VERSION_MAX,
                                     .state = SECRET_DESTROYED,
                                     .created_ms = NOW_MS};
    ck_ok(policy_secret_append(&row, out));
}

static inline void rows_secret_version(struct buf *out, unsigned which)
{
    struct policy_secret_version row = {
        .secret_id = 1, .version = 1, .size_bytes = 1, .state = SECRET_USABLE};
    if (which == 0)
        row = (struct policy_secret_version){.secret_id = 70000,
                                             .version = PROTOCOL_VERSION_MAX,
                                             .size_bytes = PROTOCOL_SECRET_MAX,
                                             .state = SECRET_DESTROYED,
                                             .created_ms = NOW_MS};
    ck_ok(policy_secret_version_append(&row, out));
}

static inline void rows_grant(struct buf *out, unsigned which)
{
    struct policy_grant row = {.secret_id = 1, .image_id = 1, .state = POLICY_ACTIVE};
    if (which == 0) {
        row.measurement_id = 3;
        set_pcr(&row.pcr, 3, ones);
        set_pcr(&row.pcr, 4, twos);
        SET_TEXT(row.region, REGION);
        row.has_application = true;
        ck_ok(buf_append_text(&row.application, "tenant-1"));
        row.version_count = 2;
        row.version[0] = 1;
        row.version[1] = 300;
        row.quota = 5;
        row.not_before_ms = NOW_MS;
        row.not_after_ms = NOW_MS + 1;
        row.created_ms = NOW_MS;
        set_choices(&row, 16, ones, twos);
    }
    ck_ok(policy_grant_append(&row, out));
    policy_grant_free(&row);
}

static inline void rows_own_key(struct buf *out, unsigned which)
{
    struct policy_own_key row = {.kind = which == 0 ? OWN_KEY_RECEIPT : OWN_KEY_ISSUER,
                                 .version = 1,
                                 .state = POLICY_ACTIVE};
    ck_ok(buf_append_text(&row.spki, "spki"));
    if (which == 0) {
        ck_ok(buf_append_text(&row.sealed, "sealed"));
        ck_ok(buf_append_text(&row.delegation, "delegation"));
        row.created_ms = NOW_MS;
    }
    ck_ok(policy_own_key_append(&row, out));
    policy_own_key_free(&row);
}

static inline void rows_revocation(struct buf *out, unsigned which)
{
    static const uint8_t issuer[] = {0x30, 0x0f, 0x31, 0x0d, 0x30, 0x0b, 0x06, 0x03, 0x55,
                                     0x04, 0x03, 0x0c, 0x04, 'n',  'a',  'm',  'e'};
    struct policy_revocation row = {
        .kind = REVOCATION_INSTANCE, .state = POLICY_REMOVED, .person_id = 1};
    if (which == 0) {
        row.kind = REVOCATION_CERTIFICATE;
        row.state = POLICY_ACTIVE;
        row.created_ms = NOW_MS;
        ck_ok(buf_append(&row.issuer, bytes_of(issuer, sizeof issuer)));
        ck_ok(buf_append(&row.serial, bytes_of("\0\x80\x01", 3)));
    } else {
        SET_TEXT(row.instance, "i-0123456789abcdef0");
    }
    ck_ok(buf_append_text(&row.reason, "stolen"));
    ck_ok(policy_revocation_append(&row, out));
    policy_revocation_free(&row);
}

static inline void rows_enrolled_key(struct buf *out, unsigned which)
{
    struct policy_enrolled_key row = {.person_id = 1, .state = POLICY_ACTIVE};
    ck_ok(
        image_set_append(bytes_of_text(which == 0 ? "payments,refunds" : "a"), &row.images, NULL));
    if (which == 0) {
        SET_TEXT(row.label, "ci@build");
        memcpy(row.public_key, ones, sizeof row.public_key);
        memcpy(row.last_file, twos, sizeof row.last_file);
        row.last_serial = 70000;
        row.created_ms = NOW_MS;
    }
    ck_ok(policy_enrolled_key_append(&row, out));
    policy_enrolled_key_free(&row);
}

/* Parses, and appends what was parsed. */
#define X(T)                                                                  \
    static inline enum err rows_##T##_again(struct bytes in, struct buf *out) \
    {                                                                         \
        struct policy_##T row = {0};                                          \
        TRY(policy_##T##_parse(in, &row));                                    \
        ck_ok(policy_##T##_append(&row, out));                                \
        policy_##T##_free(&row);                                              \
        return ERR_OK;                                                        \
    }
POLICY_TABLES(X)
#undef X

static const struct {
    const char *sql_name;
    void (*make)(struct buf *out, unsigned which);
    enum err (*again)(struct bytes in, struct buf *out);
    enum err (*load)(struct policy *policy, uint64_t id, struct bytes columns);
    uint64_t (*count)(const struct policy *policy);
} rows_of[ROWS_COUNT] = {
#define X(T)                                                                                \
    [ROWS_##T] = {ROWS_##T == ROWS_grant ? "secret_grant" : #T, rows_##T, rows_##T##_again, \
                  policy_##T##_load, policy_##T##_count},
    POLICY_TABLES(X)
#undef X
};

#endif
