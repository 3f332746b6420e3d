/* The tables of db/0001_initial.sql, column by column: what stands between `revision`
 * and `mac`, in that order.  What a migration adds goes at the end, optional and marked
 * `later`, here and in verifier/store/store_sqlite_policy.c. */
#include <stdlib.h>

#include "policy.h"
#include "row_form.h"
#include "verifier/attest/cert.h"

#define SETTING_VALUE_MAX 65536
#define PROVENANCE_MAX    65536
#define OWN_KEY_MAX       65536
#define PCRS_MAX          4096
#define LABELS_LEN_MAX    131072
#define ACCEPTED_MAX      4096
#define IMAGES_LEN_MAX    8192

#define FIELD(T, member)                           \
    .offset = offsetof(struct policy_##T, member), \
    .size = sizeof(((struct policy_##T *)NULL)->member)

#define UINT(T, member, lowest, highest)                                       \
    {                                                                          \
        .form = &row_uint, FIELD(T, member), .min = (lowest), .max = (highest) \
    }
#define LATER_ID(T, member)                                                             \
    {                                                                                   \
        .form = &row_optional_uint, FIELD(T, member), .min = 1, .max = ROW_INTEGER_MAX, \
        .later = true                                                                   \
    }
#define OPTIONAL_UINT(T, member)                                                       \
    {                                                                                  \
        .form = &row_optional_uint, FIELD(T, member), .min = 1, .max = ROW_INTEGER_MAX \
    }
#define TEXT(T, member, shortest, valid_)                                          \
    {                                                                              \
        .form = &row_text, FIELD(T, member), .min = (shortest), .max = UINT64_MAX, \
        .valid = (valid_)                                                          \
    }
#define FIXED(T, member)                     \
    {                                        \
        .form = &row_fixed, FIELD(T, member) \
    }
#define BUF(T, member, form_, shortest, longest)                                \
    {                                                                           \
        .form = &(form_), FIELD(T, member), .min = (shortest), .max = (longest) \
    }
#define ID(T, member)      UINT(T, member, 1, ROW_INTEGER_MAX)
#define TIME(T, member)    UINT(T, member, 0, ROW_INTEGER_MAX)
#define STATE(T)           UINT(T, state, POLICY_ACTIVE, POLICY_REMOVED)
#define VERSION(T, member) UINT(T, member, 1, PROTOCOL_VERSION_MAX)

#define SHAPE(T, check)                         \
    static const struct row_shape T##_shape = { \
        .count = ARRAY_LEN(T##_columns), .column = T##_columns, .consistent = (check)}

/* --- Settings and people --- */

static const struct column setting_columns[] = {
    TEXT(setting, name, 1, NULL),
    BUF(setting, value, row_text_buf, 0, SETTING_VALUE_MAX),
};
SHAPE(setting, NULL);

static const struct column person_columns[] = {
    TEXT(person, name, 1, NULL),
    STATE(person),
    TIME(person, created_ms),
};
SHAPE(person, NULL);

static const struct column token_columns[] = {
    ID(token, person_id),
    TEXT(token, label, 0, NULL),
    FIXED(token, hash),
    UINT(token, rights, 0, RIGHT_ALL),
    STATE(token),
    TIME(token, created_ms),
    OPTIONAL_UINT(token, expires_ms),
    {.form = &row_optional_buf,
     FIELD(token, images),
     .min = 1,
     .max = IMAGES_LEN_MAX,
     .valid = image_set_valid,
     .later = true},
};

/* Whoever is confined to images changes nothing that goes beyond one. */
static bool token_consistent(const void *row)
{
    const struct policy_token *token = row;
    return token->images.len == 0 || (token->rights & ~RIGHTS_OF_IMAGES) == 0;
}
SHAPE(token, token_consistent);

/* --- Builds --- */

static const struct column image_columns[] = {
    TEXT(image, name, 1, protocol_image_valid),
    TIME(image, created_ms),
};
SHAPE(image, NULL);

/* Labels come from an administrator in any order and are stored in one. */
static void write_labels(struct cbor_writer *w, const struct column *column, const void *field)
{
    CLEANUP(buf_free) struct buf sorted = {0};
    (void)column;
    if (w->err == ERR_OK)
        w->err = labels_append(bytes_of_buf(field), &sorted);
    cbor_writer_bytes(w, bytes_of_buf(&sorted));
}

static enum err read_labels(struct cbor_reader *r, const struct column *column, void *field)
{
    return row_buf.read(r, column, field);
}

static void release_labels(void *field)
{
    buf_free(field);
}

static const struct column_form labels_form = {
    .write = write_labels, .read = read_labels, .release = release_labels};

static const struct column measurement_columns[] = {
    ID(measurement, image_id),
    TEXT(measurement, version, 1, protocol_image_version_valid),
    UINT(measurement, kind, ATTDOC_ENCLAVE, ATTDOC_NITROTPM),
    UINT(measurement, debug, 0, 1),
    BUF(measurement, pcrs, row_buf, 1, PCRS_MAX),
    FIXED(measurement, root),
    UINT(measurement, state, MEASUREMENT_DRAFT, MEASUREMENT_STATE_LAST),
    OPTIONAL_UINT(measurement, not_before_ms),
    OPTIONAL_UINT(measurement, not_after_ms),
    {.form = &labels_form,
     FIELD(measurement, labels),
     .min = 1,
     .max = LABELS_LEN_MAX,
     .valid = labels_valid},
    BUF(measurement, provenance, row_text_buf, 0, PROVENANCE_MAX),
    TIME(measurement, created_ms),
    LATER_ID(measurement, added_by),
};

/* Whatever decides which documents it matches is whole: see snapshot.c, `struct code`. */
static bool measurement_consistent(const void *row)
{
    const struct policy_measurement *m = row;
    struct pcr_set pcrs;
    if (pcr_set_parse(bytes_of_buf(&m->pcrs), &pcrs) != ERR_OK)
        return false;
    if (m->kind == ATTDOC_NITROTPM)
        return !m->debug && (pcrs.present & PCR_BITS_NITROTPM) == PCR_BITS_NITROTPM;
    return (pcrs.present & PCR_BITS_CODE) == (m->debug ? 0 : PCR_BITS_CODE);
}
SHAPE(measurement, measurement_consistent);

/* --- Secrets --- */

static const struct column secret_columns[] = {
    TEXT(secret, name, 1, protocol_name_valid),
    UINT(secret, current_version, 0, PROTOCOL_VERSION_MAX),
    UINT(secret, state, SECRET_USABLE, SECRET_DESTROYED),
    TIME(secret, created_ms),
};
SHAPE(secret, NULL);

static const struct column secret_version_columns[] = {
    ID(secret_version, secret_id),
    VERSION(secret_version, version),
    UINT(secret_version, size_bytes, 1, PROTOCOL_SECRET_MAX),
    UINT(secret_version, state, SECRET_USABLE, SECRET_DESTROYED),
    TIME(secret_version, created_ms),
};
SHAPE(secret_version, NULL);

/* --- Grants --- */

/* One PCR of the grant's set, its index in `min`; null where it is not required. */
static void write_grant_pcr(struct cbor_writer *w, const struct column *column, const void *field)
{
    const struct pcr_set *set = field;
    if ((set->present >> column->min & 1) == 0)
        cbor_writer_null(w);
    else
        cbor_writer_bytes(w, bytes_of(set->value[column->min], ATTDOC_PCR_LEN));
}

static enum err read_grant_pcr(struct cbor_reader *r, const struct column *column, void *field)
{
    struct pcr_set *set = field;
    struct bytes value;
    bool absent;
    TRY(row_read_null(r, &absent));
    if (absent)
        return ERR_OK;
    TRY(cbor_reader_bytes(r, &value));
    if (value.len != ATTDOC_PCR_LEN)
        return ERR_STORE_TAMPERED;
    memcpy(set->value[column->min], value.ptr, ATTDOC_PCR_LEN);
    set->present |= UINT32_C(1) << column->min;
    return ERR_OK;
}

/* Application bytes: none demanded (null) and exactly none demanded (empty) differ. */
static void write_application(struct cbor_writer *w, const struct column *column, const void *field)
{
    const struct policy_grant *grant = field;
    (void)column;
    if (grant->has_application)
        cbor_writer_bytes(w, bytes_of_buf(&grant->application));
    else
        cbor_writer_null(w);
}

static enum err read_application(struct cbor_reader *r, const struct column *column, void *field)
{
    struct policy_grant *grant = field;
    bool absent;
    TRY(row_read_null(r, &absent));
    grant->has_application = !absent;
    return absent ? ERR_OK : row_buf.read(r, column, &grant->application);
}

static void release_application(void *field)
{
    struct policy_grant *grant = field;
    buf_free(&grant->application);
}

static int compare_versions(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* A set: ascending and each once, in whatever order they were given. */
static enum err encode_versions(const struct policy_grant *grant, struct buf *out)
{
    uint32_t sorted[GRANT_VERSIONS_MAX];
    size_t count = 0;
    struct cbor_writer w;
    if (grant->version_count > GRANT_VERSIONS_MAX)
        return ERR_INTERNAL;
    memcpy(sorted, grant->version, sizeof sorted);
    qsort(sorted, grant->version_count, sizeof sorted[0], compare_versions);
    for (size_t i = 0; i < grant->version_count; i++) {
        if (count == 0 || sorted[count - 1] != sorted[i])
            sorted[count++] = sorted[i];
    }
    cbor_writer_init(&w, out);
    cbor_writer_array(&w, count);
    for (size_t i = 0; i < count; i++)
        cbor_writer_uint(&w, sorted[i]);
    return cbor_writer_finish(&w);
}

static void write_versions(struct cbor_writer *w, const struct column *column, const void *field)
{
    CLEANUP(buf_free) struct buf encoded = {0};
    (void)column;
    if (w->err == ERR_OK)
        w->err = encode_versions(field, &encoded);
    cbor_writer_bytes(w, bytes_of_buf(&encoded));
}

static enum err read_versions(struct cbor_reader *r, const struct column *column, void *field)
{
    struct policy_grant *grant = field;
    struct bytes encoded;
    struct cbor_reader inner;
    uint64_t count;
    uint64_t last = 0;
    (void)column;
    TRY(cbor_reader_bytes(r, &encoded));
    cbor_reader_init(&inner, encoded, 0, "versions", NULL);
    TRY(cbor_reader_array(&inner, &count));
    if (count > GRANT_VERSIONS_MAX)
        return ERR_STORE_TAMPERED;
    for (size_t i = 0; i < count; i++) {
        uint64_t version;
        TRY(cbor_reader_uint(&inner, &version));
        if (version <= last || version > PROTOCOL_VERSION_MAX)
            return ERR_STORE_TAMPERED;
        grant->version[i] = (uint32_t)version;
        last = version;
    }
    grant->version_count = (size_t)count;
    return cbor_reader_end(&inner);
}

static const struct column_form grant_pcr_form = {.write = write_grant_pcr, .read = read_grant_pcr};
static const struct column_form application_form = {
    .write = write_application, .read = read_application, .release = release_application};
static const struct column_form versions_form = {.write = write_versions, .read = read_versions};

#define GRANT_PCR(index)                                           \
    {                                                              \
        .form = &grant_pcr_form, FIELD(grant, pcr), .min = (index) \
    }

static const struct column grant_columns[] = {
    ID(grant, secret_id),
    OPTIONAL_UINT(grant, image_id),
    OPTIONAL_UINT(grant, measurement_id),
    GRANT_PCR(8),
    GRANT_PCR(1),
    GRANT_PCR(3),
    GRANT_PCR(4),
    {.form = &row_optional_text, FIELD(grant, region), .min = 1, .max = UINT64_MAX},
    {.form = &application_form, .max = PROTOCOL_APPLICATION_MAX},
    {.form = &versions_form},
    OPTIONAL_UINT(grant, quota),
    OPTIONAL_UINT(grant, not_before_ms),
    OPTIONAL_UINT(grant, not_after_ms),
    STATE(grant),
    TIME(grant, created_ms),
    {.form = &row_optional_uint, FIELD(grant, registered), .min = 1, .max = 1, .later = true},
    {.form = &row_optional_uint,
     FIELD(grant, registered_image_id),
     .min = 1,
     .max = ROW_INTEGER_MAX,
     .later = true},
    {.form = &row_optional_buf,
     FIELD(grant, accepted),
     .min = 1,
     .max = ACCEPTED_MAX,
     .valid = pcr_choices_valid,
     .later = true},
};

/* To an image, maybe narrowed to a build of it; or to a signer, by PCR8 and PCR1, maybe only
 * where the build is registered. */
static bool grant_consistent(const void *row)
{
    const struct policy_grant *grant = row;
    const uint32_t signer = grant->pcr.present & PCR_BITS_SIGNER;
    if (grant->image_id != 0)
        return signer == 0 && !grant->registered && grant->registered_image_id == 0;
    if (grant->registered_image_id != 0 && !grant->registered)
        return false;
    return signer == PCR_BITS_SIGNER && grant->measurement_id == 0;
}
SHAPE(grant, grant_consistent);

/* --- The server's own keys --- */

static const struct column own_key_columns[] = {
    UINT(own_key, kind, OWN_KEY_RECEIPT, OWN_KEY_PAST_DELEGATION),
    UINT(own_key, version, 1, UINT32_MAX),
    BUF(own_key, spki, row_buf, 1, OWN_KEY_MAX),
    BUF(own_key, sealed, row_optional_buf, 1, OWN_KEY_MAX),
    BUF(own_key, delegation, row_optional_buf, 1, OWN_KEY_MAX),
    STATE(own_key),
    TIME(own_key, created_ms),
};

/* An issuer's private key is not here; only a receipt key is delegated to. */
static bool own_key_consistent(const void *row)
{
    const struct policy_own_key *key = row;
    const bool private = key->kind == OWN_KEY_RECEIPT || key->kind == OWN_KEY_SEALING;
    const bool delegated = key->kind == OWN_KEY_RECEIPT || key->kind == OWN_KEY_PAST_DELEGATION;
    return private == (key->sealed.len > 0) && (delegated || key->delegation.len == 0);
}
SHAPE(own_key, own_key_consistent);

/* --- What is revoked --- */

#define OPTIONAL_BUF(T, member, longest, valid_)                                                   \
    {                                                                                              \
        .form = &row_optional_buf, FIELD(T, member), .min = 1, .max = (longest), .valid = (valid_) \
    }

static const struct column revocation_columns[] = {
    UINT(revocation, kind, REVOCATION_CERTIFICATE, REVOCATION_INSTANCE),
    OPTIONAL_BUF(revocation, issuer, ATTDOC_CERT_MAX, revocation_issuer_valid),
    OPTIONAL_BUF(revocation, serial, CERT_SERIAL_MAX, revocation_serial_valid),
    {.form = &row_optional_text,
     FIELD(revocation, instance),
     .min = 1,
     .max = UINT64_MAX,
     .valid = revocation_instance_valid},
    BUF(revocation, reason, row_text_buf, 1, REVOCATION_REASON_MAX),
    STATE(revocation),
    TIME(revocation, created_ms),
    ID(revocation, person_id),
};

static bool revocation_consistent(const void *row)
{
    const struct policy_revocation *r = row;
    const bool certificate = r->kind == REVOCATION_CERTIFICATE;
    return certificate == (r->issuer.len > 0) && certificate == (r->serial.len > 0) &&
           certificate == (r->instance[0] == '\0');
}
SHAPE(revocation, revocation_consistent);

/* --- Keys that sign registration files --- */

static const struct column enrolled_key_columns[] = {
    ID(enrolled_key, person_id),
    TEXT(enrolled_key, label, 0, NULL),
    FIXED(enrolled_key, public_key),
    {.form = &row_buf,
     FIELD(enrolled_key, images),
     .min = 1,
     .max = IMAGES_LEN_MAX,
     .valid = image_set_valid},
    UINT(enrolled_key, last_serial, 0, ROW_INTEGER_MAX),
    FIXED(enrolled_key, last_file),
    STATE(enrolled_key),
    TIME(enrolled_key, created_ms),
};
SHAPE(enrolled_key, NULL);

/* --- The functions of every table --- */

#define X(T)                                                                        \
    enum err policy_##T##_append(const struct policy_##T *row, struct buf *columns) \
    {                                                                               \
        struct policy_##T scratch = {0};                                            \
        return row_append(&T##_shape, row, &scratch, columns);                      \
    }                                                                               \
    enum err policy_##T##_parse(struct bytes columns, struct policy_##T *out)       \
    {                                                                               \
        struct policy_##T row = {0};                                                \
        TRY(row_parse(&T##_shape, columns, &row));                                  \
        *out = row;                                                                 \
        return ERR_OK;                                                              \
    }                                                                               \
    void policy_##T##_free(struct policy_##T *row)                                  \
    {                                                                               \
        row_release(&T##_shape, row);                                               \
        *row = (struct policy_##T){0};                                              \
    }
POLICY_TABLES(X)
#undef X
