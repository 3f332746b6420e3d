/* Images and measurements through the admin operations. */
#include "admin_fixture.h"

#define SEED 7

struct build {
    struct mkdoc_fields fields;
    struct buf pcrs;
};

static void build_free(struct build *b)
{
    buf_free(&b->pcrs);
}

static void build_make(struct build *b, unsigned seed)
{
    mkdoc_fields_defaults(&b->fields, (int64_t)NOW_MS, MODULE, seed);
    b->pcrs.len = 0;
    pcr_map(&b->fields, 7, &b->pcrs);
}
#define BUILD(b, seed)                                  \
    CLEANUP(build_free) struct build b = {.pcrs = {0}}; \
    build_make(&(b), (seed))

#define PAYMENTS(version_, b) \
    p_text("image", "payments"), p_text("version", version_), p_map("pcrs", &(b).pcrs)

START_TEST(valid_add)
{
    FIXTURE(f);
    BUILD(b, SEED);
    CLEANUP(buf_free) struct buf labels = {0};
    struct cbor_writer w;
    char hex[2 * ATTDOC_PCR_LEN + 1];
    cbor_writer_init(&w, &labels);
    cbor_writer_map(&w, 2);
    cbor_writer_cstr(&w, "git");
    cbor_writer_cstr(&w, "0123abc");
    cbor_writer_cstr(&w, "team");
    cbor_writer_cstr(&w, "");
    json_auto_t *added = admin_do(&f, "measurement.add",
                                  PARAMS(PAYMENTS("1.4.2", b), p_map("labels", &labels),
                                         p_text("provenance", "build 17"),
                                         p_text("not_before", "2026-11-22T00:00:00Z"),
                                         p_text("not_after", "2027-11-22T00:00:00.500Z")));
    ck_assert_str_eq(text_at(added, "result"), "added");
    json_auto_t *shown = admin_do(&f, "measurement.show",
                                  PARAMS(p_text("image", "payments"), p_text("version", "1.4.2")));
    ck_assert(json_is_object(json_at(shown, "measurement.use")));
    json_object_del(json_object_get(shown, "measurement"), "use");
    ck_assert(json_equal(json_at(added, "measurement"), json_at(shown, "measurement")) == 1);
    ck_assert_uint_eq(uint_at(shown, "measurement.id"), 1);
    ck_assert_str_eq(text_at(shown, "measurement.image"), "payments");
    ck_assert_str_eq(text_at(shown, "measurement.version"), "1.4.2");
    ck_assert_str_eq(text_at(shown, "measurement.kind"), "enclave");
    ck_assert_str_eq(text_at(shown, "measurement.state"), "active");
    ck_assert(json_is_false(json_at(shown, "measurement.debug")));
    hex_encode(bytes_of(b.fields.pcr[2], ATTDOC_PCR_LEN), hex);
    ck_assert_str_eq(text_at(shown, "measurement.pcrs.2"), hex);
    ck_assert_uint_eq(json_object_size(json_at(shown, "measurement.pcrs")), 3);
    ck_assert_str_eq(text_at(shown, "measurement.labels.git"), "0123abc");
    ck_assert_uint_eq(json_object_size(json_at(shown, "measurement.labels")), 2);
    ck_assert_str_eq(text_at(shown, "measurement.provenance"), "build 17");
    ck_assert_str_eq(text_at(shown, "measurement.not_before"), "2026-11-22T00:00:00Z");
    ck_assert_str_eq(text_at(shown, "measurement.not_after"), "2027-11-22T00:00:00.500Z");
    ck_assert_str_eq(text_at(shown, "measurement.created"), "2026-11-23T00:00:00Z");
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "measurement.add");
    ck_assert_str_eq(text_at(record, "object"), "payments@1.4.2");
    ck_assert_str_eq(text_at(record, "person"), "ann");
    ck_assert_str_eq(text_at(record, "detail"), "added, active");
}
END_TEST

START_TEST(valid_again)
{
    FIXTURE(f);
    BUILD(b, SEED);
    json_decref(admin_do(&f, "measurement.add", PARAMS(PAYMENTS("1.4.2", b))));
    const uint64_t sequence = audit_sequence(&f);
    json_auto_t *again = admin_do(&f, "measurement.add", PARAMS(PAYMENTS("1.4.2", b)));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
    ck_assert_uint_eq(uint_at(again, "measurement.id"), 1);
    ck_assert_uint_eq(audit_sequence(&f), sequence); /* nothing changed, nothing recorded */
}
END_TEST

START_TEST(wrong_exists)
{
    FIXTURE(f);
    BUILD(b, SEED);
    BUILD(other, SEED);
    json_decref(admin_do(&f, "measurement.add", PARAMS(PAYMENTS("1.4.2", b))));
    other.fields.pcr[1][0] ^= 1;
    other.pcrs.len = 0;
    pcr_map(&other.fields, 7 | 1u << 4, &other.pcrs);
    ADMIN_REFUSED(&f, ERR_EXISTS, "pcrs", "measurement.add", PARAMS(PAYMENTS("1.4.2", other)));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "payments@1.4.2"));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "PCR1 is "));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "PCR4 is absent"));
    ck_assert_ptr_null(strstr(f.fault.detail, "PCR0"));
    ck_assert_ptr_null(strstr(f.fault.detail, "PCR2"));
    ADMIN_REFUSED(&f, ERR_EXISTS, "pcrs", "measurement.add", PARAMS(PAYMENTS("1.4.3", b)));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "payments@1.4.2"));
    ADMIN_REFUSED(
        &f, ERR_EXISTS, "pcrs", "measurement.add",
        PARAMS(p_text("image", "refunds"), p_text("version", "1"), p_map("pcrs", &b.pcrs)));
    json_auto_t *images = admin_do(&f, "image.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(images, "images")), 1); /* no image was made */
}
END_TEST

/* A text map of one pair. */
static void one_pair(struct buf *out, const char *key, const char *value)
{
    struct cbor_writer w;
    out->len = 0;
    cbor_writer_init(&w, out);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, key);
    cbor_writer_cstr(&w, value);
    ck_ok(cbor_writer_finish(&w));
}

/* The same name and values, and something else: what, and how it differs, is said. */
START_TEST(wrong_conflict)
{
    FIXTURE(f);
    BUILD(b, SEED);
    CLEANUP(buf_free) struct buf labels = {0};
    const struct param from = p_text("not_before", "2026-11-23T00:00:00Z");
    const struct param until = p_text("not_after", "2026-11-24T00:00:00Z");
    one_pair(&labels, "git", "0123abc");
    const struct param git = p_map("labels", &labels);
    json_decref(admin_do(&f, "measurement.add", PARAMS(PAYMENTS("1", b), from, git)));
#define CONFLICT(field, says, ...)                                                   \
    do {                                                                             \
        ADMIN_REFUSED(&f, ERR_EXISTS, (field), "measurement.add",                    \
                      PARAMS(PAYMENTS("1", b), __VA_ARGS__));                        \
        ck_assert_msg(strstr(f.fault.detail, (says)) != NULL, "%s", f.fault.detail); \
    } while (0)
    CONFLICT("not_before", "2026-11-23T00:00:00Z, not none; it never changes", git);
    CONFLICT("not_after", "none, not 2026-11-24T00:00:00Z", from, until, git);
    CLEANUP(buf_free) struct buf other = {0};
    one_pair(&other, "git", "0123abd");
    CONFLICT("labels", "\"git\" differs", from, p_map("labels", &other));
    one_pair(&other, "team", "0123abc");
    CONFLICT("labels", "\"git\" differs", from, p_map("labels", &other));
    one_pair(&other, "a", "x");
    CONFLICT("labels", "\"a\" differs; labels never change", from, p_map("labels", &other));
    other.len = 0;
    ck_ok(buf_append(&other, bytes_of("\xa0", 1)));
    CONFLICT("labels", "\"git\" differs", from, p_map("labels", &other));
    /* Of another kind: what the row holds would be looked for in other documents. */
    memset(b.fields.pcr[7], 1, ATTDOC_PCR_LEN);
    memset(b.fields.pcr[4], 1, ATTDOC_PCR_LEN);
    b.pcrs.len = 0;
    pcr_map(&b.fields, 1u << 4 | 1u << 7, &b.pcrs);
    CONFLICT("kind", "of kind enclave", p_text("kind", "nitrotpm"));
    /* Many differences: the first few, and how many more. */
    build_make(&b, SEED + 1);
    b.pcrs.len = 0;
    for (unsigned i = 16; i < 32; i++)
        memset(b.fields.pcr[i], (int)i, ATTDOC_PCR_LEN);
    pcr_map(&b.fields, 7 | 0xffff0000u, &b.pcrs);
    CONFLICT("pcrs", "more; a new build needs a new version", from);
    json_auto_t *list = admin_do(&f, "measurement.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "measurements")), 1);
}
END_TEST

START_TEST(wrong_names)
{
    FIXTURE(f);
    BUILD(b, SEED);
#define ADD_REFUSED(code, field, ...) \
    ADMIN_REFUSED(&f, (code), (field), "measurement.add", PARAMS(__VA_ARGS__))
#define PCRS p_map("pcrs", &b.pcrs)
    char text[65];
    memset(text, 'a', 64);
    text[64] = '\0';
    ADD_REFUSED(ERR_MALFORMED, "image", p_text("version", "1"), PCRS);
    ADD_REFUSED(ERR_MALFORMED, "version", p_text("image", "a"), PCRS);
    ADD_REFUSED(ERR_MALFORMED, "image", p_uint("image", 1), p_text("version", "1"), PCRS);
    static const char *const bad[] = {"", "A", ".a", "a/b", "a@b", "a b", "\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ADD_REFUSED(ERR_MALFORMED, "image", p_text("image", bad[i]), p_text("version", "1"), PCRS);
        if (strcmp(bad[i], "A") != 0)
            ADD_REFUSED(ERR_MALFORMED, "version", p_text("image", "a"), p_text("version", bad[i]),
                        PCRS);
    }
    ADD_REFUSED(ERR_MALFORMED, "image", p_text("image", text), p_text("version", "1"), PCRS);
    ADD_REFUSED(ERR_MALFORMED, "version", p_text("image", "a"), p_text("version", text), PCRS);
    const struct param nul = {
        .name = bytes_of_text("image"), .type = PARAM_TEXT, .data = bytes_of("a\0b", 3)};
    ADD_REFUSED(ERR_MALFORMED, "image", nul, p_text("version", "1"), PCRS);
    text[63] = '\0';
    json_decref(admin_do(&f, "measurement.add",
                         PARAMS(p_text("image", text), p_text("version", text), PCRS)));
}
END_TEST

START_TEST(wrong_pcrs)
{
    FIXTURE(f);
    BUILD(b, SEED);
    static const char *const keys[] = {"32", "01", "x", "", "-1", "100"};
    const struct param image = p_text("image", "payments");
    const struct param version = p_text("version", "1");
    ADD_REFUSED(ERR_MEASUREMENT_INPUT, "pcrs[0]", image, version);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        one_pair(&b.pcrs, keys[i], "00");
        ADD_REFUSED(ERR_MALFORMED, "pcrs", image, version, PCRS);
    }
    one_pair(&b.pcrs, "0", "00");
    ADD_REFUSED(ERR_HEX, "pcrs[0]", image, version, PCRS);
    for (unsigned i = 0; i <= 2; i++) {
        char field[16];
        snprintf(field, sizeof field, "pcrs[%u]", i);
        build_make(&b, SEED);
        b.pcrs.len = 0;
        pcr_map(&b.fields, 7 & ~(1u << i), &b.pcrs);
        ADD_REFUSED(ERR_MEASUREMENT_INPUT, field, image, version, PCRS);
        memset(b.fields.pcr[i], 0, ATTDOC_PCR_LEN);
        b.pcrs.len = 0;
        pcr_map(&b.fields, 7, &b.pcrs);
        ADD_REFUSED(ERR_PCRS_ZERO, field, image, version, PCRS);
        ck_assert_ptr_nonnull(strstr(f.fault.detail, "these are the values of a debug enclave"));
    }
    build_make(&b, SEED);
    b.pcrs.len = 0;
    pcr_map(&b.fields, 7 | 1u << 5, &b.pcrs);
    ADD_REFUSED(ERR_MEASUREMENT_INPUT, "pcrs[5]", image, version, PCRS);
    b.pcrs.len = 0;
    pcr_map(&b.fields, 7 | 1u << 8, &b.pcrs); /* zero: unsigned */
    ADD_REFUSED(ERR_PCRS_ZERO, "pcrs[8]", image, version, PCRS);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "these are the values of a debug enclave"));
    json_auto_t *images = admin_do(&f, "image.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(images, "images")), 0); /* nor a half of it */
}
END_TEST

START_TEST(wrong_rest)
{
    FIXTURE(f);
    BUILD(b, SEED);
    CLEANUP(buf_free) struct buf labels = {0};
    char long_text[4098];
    memset(long_text, 'x', sizeof long_text);
    long_text[4097] = '\0';
#define REST_REFUSED(code, field, param) \
    ADMIN_REFUSED(&f, (code), (field), "measurement.add", PARAMS(PAYMENTS("1", b), (param)))
    REST_REFUSED(ERR_MALFORMED, "kind", p_text("kind", "tpm"));
    REST_REFUSED(ERR_MALFORMED, "kind", p_uint("kind", 0));
    REST_REFUSED(ERR_MALFORMED, "debug", p_text("debug", "true"));
    REST_REFUSED(ERR_MALFORMED, "draft", p_uint("draft", 1));
    REST_REFUSED(ERR_MALFORMED, "provenance", p_text("provenance", long_text));
    REST_REFUSED(ERR_MALFORMED, "not_before", p_text("not_before", "tomorrow"));
    REST_REFUSED(ERR_MALFORMED, "not_before", p_text("not_before", "1970-01-01T00:00:00Z"));
    REST_REFUSED(ERR_MALFORMED, "not_after", p_uint("not_after", 1));
    ADD_REFUSED(ERR_MALFORMED, "not_after", PAYMENTS("1", b),
                p_text("not_before", "2026-11-23T00:00:01Z"),
                p_text("not_after", "2026-11-23T00:00:00Z"));
    REST_REFUSED(ERR_MALFORMED, "labels", p_text("labels", "a=b"));
    one_pair(&labels, "", "x");
    REST_REFUSED(ERR_MALFORMED, "labels", p_map("labels", &labels));
    long_text[POLICY_LABEL_MAX] = '\0';
    one_pair(&labels, long_text, "x");
    REST_REFUSED(ERR_MALFORMED, "labels", p_map("labels", &labels));
    long_text[POLICY_LABEL_MAX] = 'x';
    long_text[1025] = '\0';
    one_pair(&labels, "x", long_text);
    REST_REFUSED(ERR_MALFORMED, "labels", p_map("labels", &labels));
    long_text[1024] = '\0';
    one_pair(&labels, "x", long_text);
    json_decref(
        admin_do(&f, "measurement.add", PARAMS(PAYMENTS("1", b), p_map("labels", &labels))));
}
END_TEST

/* More labels than a row holds. */
START_TEST(long_labels)
{
    FIXTURE(f);
    BUILD(b, SEED);
    CLEANUP(buf_free) struct buf labels = {0};
    struct cbor_writer w;
    cbor_writer_init(&w, &labels);
    cbor_writer_map(&w, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        char name[16];
        snprintf(name, sizeof name, "l%03u", i);
        cbor_writer_cstr(&w, name);
        cbor_writer_cstr(&w, "x");
    }
    REST_REFUSED(ERR_TOO_LARGE, "labels", p_map("labels", &labels));
    /* The row of a new image was in the change already: nothing of it is left. */
    json_auto_t *images = admin_do(&f, "image.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(images, "images")), 0);
}
END_TEST

START_TEST(wrong_debug)
{
    FIXTURE(f);
    BUILD(b, SEED);
    REST_REFUSED(ERR_MEASUREMENT_INPUT, "pcrs[0]", p_bool("debug", true));
    b.pcrs.len = 0;
    pcr_map(&b.fields, 0, &b.pcrs);
    REST_REFUSED(ERR_MEASUREMENT_INPUT, "pcrs[4]", p_bool("debug", true));
    pcr_map(&b.fields, 1u << 4, &b.pcrs);
}
END_TEST

/* --- Drafting --- */

START_TEST(wrong_drafter)
{
    FIXTURE(f);
    BUILD(b, SEED);
    uint8_t token[WARDEN_TOKEN_LEN];
    const struct bytes drafter = bytes_of(token, sizeof token);
    json_t *out = NULL;
    fixture_token(&f, TOKEN_OF("bob", RIGHT_DRAFT), token);
    ck_err(admin_as(&f, drafter, "measurement.add", PARAMS(PAYMENTS("1", b)), NULL), ERR_FORBIDDEN);
    ck_assert_str_eq(f.fault.field, "draft");
    ck_err(admin_as(&f, drafter, "measurement.add",
                    PARAMS(PAYMENTS("1", b), p_bool("draft", false)), NULL),
           ERR_FORBIDDEN);
    ck_ok(admin_as(&f, drafter, "measurement.add", PARAMS(PAYMENTS("1", b), p_bool("draft", true)),
                   &out));
    ck_assert_str_eq(text_at(out, "measurement.state"), "draft");
    json_decref(out);
    /* Nor does adding it again, as active, make it so: it says what would. */
    ADMIN_REFUSED(&f, ERR_WRONG_STATE, "state", "measurement.add", PARAMS(PAYMENTS("1", b)));
    ck_ok(admin_as(&f, drafter, "measurement.add", PARAMS(PAYMENTS("1", b), p_bool("draft", true)),
                   &out));
    ck_assert_str_eq(text_at(out, "result"), "unchanged");
    json_decref(out);
}
END_TEST

/* --- States --- */

static enum err become(struct warden_fixture *f, const char *operation, const char *version,
                       char *result)
{
    json_t *out = NULL;
    const enum err err = admin_try(f, operation,
                                   PARAMS(p_text("image", "payments"), p_text("version", version),
                                          p_text("reason", "because")),
                                   &out);
    strcpy(result, err == ERR_OK ? text_at(out, "result") : "");
    json_decref(out);
    return err;
}

/* Each state from each other one: those that may not be are refused, at `state`. */
START_TEST(valid_states)
{
    static const char *const operation[] = {[MEASUREMENT_ACTIVE] = "measurement.activate",
                                            [MEASUREMENT_DEPRECATED] = "measurement.deprecate",
                                            [MEASUREMENT_REVOKED] = "measurement.revoke",
                                            [MEASUREMENT_DISCARDED] = "measurement.discard"};
    static const char *const may[] = {[MEASUREMENT_DRAFT] = "active revoked discarded",
                                      [MEASUREMENT_ACTIVE] = "deprecated revoked",
                                      [MEASUREMENT_DEPRECATED] = "active revoked",
                                      [MEASUREMENT_REVOKED] = "",
                                      [MEASUREMENT_DISCARDED] = ""};
    FIXTURE(f);
    for (unsigned from = MEASUREMENT_DRAFT; from <= MEASUREMENT_DISCARDED; from++) {
        for (unsigned to = MEASUREMENT_ACTIVE; to <= MEASUREMENT_DISCARDED; to++) {
            char version[16];
            char result[16];
            const unsigned seed = 100 + 10 * from + to;
            BUILD(b, seed);
            snprintf(version, sizeof version, "%u-%u", from, to);
            json_decref(admin_do(&f, "measurement.add",
                                 PARAMS(PAYMENTS(version, b), p_bool("draft", true))));
            if (from >= MEASUREMENT_ACTIVE && from != MEASUREMENT_DISCARDED)
                ck_ok(become(&f, operation[MEASUREMENT_ACTIVE], version, result));
            if (from >= MEASUREMENT_DEPRECATED)
                ck_ok(become(&f, operation[from], version, result));
            const char *name = measurement_state_name((enum measurement_state)to);
            const bool barred = from != to && strstr(may[from], name) == NULL;
            const uint64_t sequence = audit_sequence(&f);
            ck_err(become(&f, operation[to], version, result), barred ? ERR_WRONG_STATE : ERR_OK);
            if (barred)
                ck_assert_str_eq(f.fault.field, "state");
            ck_assert_str_eq(result, barred ? "" : from == to ? "unchanged" : "changed");
            ck_assert_uint_eq(audit_sequence(&f), sequence + (!barred && from != to));
        }
    }
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "measurement.discard");
    ck_assert(strstr("because", text_at(record, "detail")) != NULL);
}
END_TEST

/* A pipeline that drafted what is another's build gives it back; its name stays used. */
START_TEST(valid_discard)
{
    FIXTURE(f);
    BUILD(b, SEED);
    BUILD(other, SEED + 1);
    uint8_t token[WARDEN_TOKEN_LEN];
    const struct bytes drafter = bytes_of(token, sizeof token);
    const struct param draft = p_bool("draft", true);
    json_t *out = NULL;
    fixture_token(&f, TOKEN_OF("bob", RIGHT_DRAFT), token);
    ck_ok(admin_as(&f, drafter, "measurement.add", PARAMS(PAYMENTS("1", b), draft), NULL));
    ADMIN_REFUSED(&f, ERR_EXISTS, "pcrs", "measurement.add", PARAMS(PAYMENTS("2", b)));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "payments@1 (draft)"));
    ck_ok(admin_as(&f, drafter, "measurement.discard",
                   PARAMS(p_text("image", "payments"), p_text("version", "1")), &out));
    ck_assert_str_eq(text_at(out, "result"), "changed");
    ck_assert_str_eq(text_at(out, "measurement.state"), "discarded");
    json_decref(out);
    /* Neither with its own values nor with others. */
    ADMIN_REFUSED(&f, ERR_EXISTS, "version", "measurement.add", PARAMS(PAYMENTS("1", b)));
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "discarded"));
    ADMIN_REFUSED(&f, ERR_EXISTS, "version", "measurement.add", PARAMS(PAYMENTS("1", other)));
    json_decref(admin_do(&f, "measurement.add", PARAMS(PAYMENTS("2", b))));
    ck_err(admin_as(&f, drafter, "measurement.discard",
                    PARAMS(p_text("image", "payments"), p_text("version", "2")), NULL),
           ERR_WRONG_STATE);
    ck_assert_ptr_nonnull(strstr(f.fault.detail, "only a draft"));
    json_auto_t *all = admin_do(&f, "measurement.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(all, "measurements")), 1);
    json_auto_t *of = admin_do(&f, "measurement.list", PARAMS(p_text("image", "payments")));
    ck_assert(json_equal(of, all));
    json_auto_t *gone = admin_do(&f, "measurement.list", PARAMS(p_text("state", "discarded")));
    ck_assert_str_eq(text_at(gone, "measurements.0.version"), "1");
    json_auto_t *images = admin_do(&f, "image.list", NO_PARAMS);
    ck_assert_uint_eq(uint_at(images, "images.0.measurements.discarded"), 1);
    /* After a restart as before. */
    fixture_close(&f);
    fixture_open(&f);
    json_auto_t *again = admin_do(&f, "measurement.add", PARAMS(PAYMENTS("2", b)));
    ck_assert_str_eq(text_at(again, "result"), "unchanged");
}
END_TEST

START_TEST(no_measurement)
{
    FIXTURE(f);
    BUILD(b, SEED);
    json_decref(admin_do(&f, "measurement.add", PARAMS(PAYMENTS("1", b))));
    static const char *const names[] = {"measurement.show", "measurement.activate",
                                        "measurement.deprecate", "measurement.revoke",
                                        "measurement.discard"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ADMIN_REFUSED(&f, ERR_NOT_FOUND, "version", names[i],
                      PARAMS(p_text("image", "payments"), p_text("version", "2")));
        ADMIN_REFUSED(&f, ERR_NOT_FOUND, "image", names[i],
                      PARAMS(p_text("image", "refunds"), p_text("version", "1")));
        ADMIN_REFUSED(&f, ERR_MALFORMED, "version", names[i], PARAMS(p_text("image", "payments")));
    }
    char reason[257];
    memset(reason, 'r', 256);
    reason[256] = '\0';
    ADMIN_REFUSED(
        &f, ERR_MALFORMED, "reason", "measurement.revoke",
        PARAMS(p_text("image", "payments"), p_text("version", "1"), p_text("reason", reason)));
}
END_TEST

/* --- Lists --- */

START_TEST(valid_lists)
{
    FIXTURE(f);
    char version[8];
    for (unsigned i = 0; i < 5; i++) {
        snprintf(version, sizeof version, "%u", i);
        fixture_measurement(&f, i % 2 == 0 ? "even" : "odd", version, 50 + i);
    }
    json_decref(admin_do(&f, "measurement.revoke",
                         PARAMS(p_text("image", "even"), p_text("version", "2"))));
    json_auto_t *first = admin_do(&f, "measurement.list", PARAMS(p_uint("limit", 2)));
    ck_assert_uint_eq(json_array_size(json_at(first, "measurements")), 2);
    ck_assert_uint_eq(uint_at(first, "next"), 2);
    json_auto_t *rest = admin_do(&f, "measurement.list", PARAMS(p_uint("after", 2)));
    ck_assert_uint_eq(json_array_size(json_at(rest, "measurements")), 3);
    ck_assert_ptr_null(json_at(rest, "next"));
    ck_assert_uint_eq(uint_at(rest, "measurements.0.id"), 3);
    json_auto_t *exact =
        admin_do(&f, "measurement.list", PARAMS(p_uint("after", 2), p_uint("limit", 3)));
    ck_assert_ptr_null(json_at(exact, "next"));
    json_auto_t *even = admin_do(&f, "measurement.list", PARAMS(p_text("image", "even")));
    ck_assert_uint_eq(json_array_size(json_at(even, "measurements")), 3);
    json_auto_t *revoked = admin_do(&f, "measurement.list", PARAMS(p_text("state", "revoked")));
    ck_assert_uint_eq(json_array_size(json_at(revoked, "measurements")), 1);
    ck_assert_str_eq(text_at(revoked, "measurements.0.version"), "2");
    json_auto_t *images = admin_do(&f, "image.list", PARAMS(p_uint("limit", 1)));
    ck_assert_str_eq(text_at(images, "images.0.image"), "even");
    ck_assert_uint_eq(uint_at(images, "images.0.measurements.active"), 2);
    ck_assert_uint_eq(uint_at(images, "images.0.measurements.revoked"), 1);
    ck_assert_uint_eq(uint_at(images, "images.0.measurements.draft"), 0);
    ck_assert_uint_eq(uint_at(images, "next"), 1);
    ADMIN_REFUSED(&f, ERR_NOT_FOUND, "image", "measurement.list", PARAMS(p_text("image", "x")));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "state", "measurement.list", PARAMS(p_text("state", "x")));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "limit", "measurement.list", PARAMS(p_uint("limit", 0)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "limit", "image.list", PARAMS(p_uint("limit", 1001)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "after", "image.list", PARAMS(p_uint("after", UINT64_MAX)));
    json_auto_t *beyond = admin_do(&f, "image.list", PARAMS(p_uint("after", INT64_MAX)));
    ck_assert_uint_eq(json_array_size(json_at(beyond, "images")), 0);
}
END_TEST

UNIT_MAIN("admin_measurement", valid_add, valid_again, wrong_exists, wrong_conflict, wrong_names,
          wrong_pcrs, wrong_rest, long_labels, wrong_debug, wrong_drafter, valid_states,
          valid_discard, no_measurement, valid_lists)
