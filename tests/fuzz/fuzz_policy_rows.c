/* A row of the policy as it comes out of a database that somebody may have written to (its
 * MAC is the warden's to check before; this is what stands behind it): the first byte says of
 * which table.  What is read is written again byte for byte. */
#include <stdio.h>

#include "fuzz.h"
#include "verifier/policy/policy.h"

#define X(T)                                                                   \
    static void check_##T(struct bytes in, struct policy *policy)              \
    {                                                                          \
        struct policy_##T row;                                                 \
        CLEANUP(buf_free) struct buf again = {0};                              \
        FUZZ_FILL(&row);                                                       \
        const enum err err = policy_##T##_parse(in, &row);                     \
        FUZZ_HOLDS(err == ERR_OK || err == ERR_STORE_TAMPERED);                \
        if (err == ERR_OK) {                                                   \
            fuzz_accepted++;                                                   \
            FUZZ_OK(policy_##T##_append(&row, &again));                        \
            FUZZ_HOLDS(bytes_equal(bytes_of_buf(&again), in));                 \
            policy_##T##_free(&row);                                           \
        } else {                                                               \
            FUZZ_HOLDS(fuzz_filled(&row, sizeof row));                         \
        }                                                                      \
        const enum err load = policy_##T##_load(policy, 1, in);                \
        FUZZ_HOLDS(load == ERR_OK || load == ERR_STORE_TAMPERED);              \
        FUZZ_HOLDS(load != ERR_OK || err == ERR_OK);                           \
        FUZZ_HOLDS((policy_##T##_get(policy, 1) != NULL) == (load == ERR_OK)); \
        FUZZ_HOLDS(policy_##T##_count(policy) == (load == ERR_OK));            \
    }
POLICY_TABLES(X)
#undef X

static void (*const tables[])(struct bytes, struct policy *) = {
#define X(T) check_##T,
    POLICY_TABLES(X)
#undef X
};

/* What is no table counts from the other end: a new table gives no input another meaning. */
enum { VALUES = 0xff, LABELS = 0xfe };

static void check_pcrs(struct bytes in)
{
    CLEANUP(buf_free) struct buf again = {0};
    struct pcr_set set;
    const enum err err = pcr_set_parse(in, &set);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_STORE_TAMPERED);
    if (err != ERR_OK)
        return;
    FUZZ_HOLDS(set.present != 0);
    FUZZ_OK(pcr_set_append(&set, &again));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&again), in));
}

/* What a row keeps as it is has one encoding, too. */
static void check_choices(struct bytes in)
{
    CLEANUP(buf_free) struct buf again = {0};
    const uint8_t *pcr[ATTDOC_PCR_COUNT] = {NULL};
    struct pcr_choices choices;
    const bool valid = pcr_choices_valid(in);
    FUZZ_HOLDS((pcr_choices_parse(in, &choices) == ERR_OK) == valid);
    FUZZ_HOLDS(!pcr_choices_match(in, pcr));
    if (!valid)
        return;
    fuzz_accepted++;
    FUZZ_OK(pcr_choices_append(&choices, &again));
    FUZZ_HOLDS(bytes_equal(bytes_of_buf(&again), in));
    for (size_t i = 0; i < ARRAY_LEN(choices.count); i++)
        pcr[PCR_CHOICES_FIRST + i] = choices.value[i][0];
    FUZZ_HOLDS(pcr_choices_match(in, pcr));
}

/* Labels as an administrator gives them are put in order when the row is written. */
static void check_labels(struct bytes in)
{
    CLEANUP(buf_free) struct buf columns = {0};
    struct policy_measurement row = {
        .image_id = 1, .version = "1", .state = MEASUREMENT_DRAFT, .created_ms = 1};
    struct policy_measurement read = {0};
    struct pcr_set pcrs = {.present = 7};
    FUZZ_OK(pcr_set_append(&pcrs, &row.pcrs));
    FUZZ_OK(buf_append(&row.labels, in));
    if (policy_measurement_append(&row, &columns) == ERR_OK) {
        FUZZ_OK(policy_measurement_parse(bytes_of_buf(&columns), &read));
        FUZZ_HOLDS(read.labels.len == in.len);
        policy_measurement_free(&read);
    } else {
        FUZZ_HOLDS(columns.len == 0);
    }
    policy_measurement_free(&row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const uint8_t what = fuzz_take_byte(&in);
    CLEANUP(policy_freep) struct policy *policy = NULL;
    FUZZ_OK(policy_new(&policy));
    if (what < ARRAY_LEN(tables))
        tables[what](in, policy);
    if (what == LABELS)
        check_labels(in);
    if (what != VALUES)
        return 0;
    check_pcrs(in);
    check_choices(in);
    return 0;
}

#define TEXT(out, text) FUZZ_OK(buf_append_text(out, text))

static void put_row(uint32_t table, struct buf *out)
{
    struct pcr_set pcrs = {.present = 7};
    struct policy_setting setting = {.name = "kind"};
    struct policy_person person = {.name = "anna", .state = POLICY_ACTIVE, .created_ms = 5};
    struct policy_token token = {
        .person_id = 1, .rights = RIGHTS_OF_IMAGES, .state = POLICY_ACTIVE};
    struct policy_image image = {.name = "payments", .created_ms = 5};
    struct policy_measurement measurement = {
        .image_id = 1, .version = "1", .state = MEASUREMENT_ACTIVE, .not_after_ms = 9};
    struct policy_secret secret = {.name = "db/main", .state = SECRET_USABLE};
    struct policy_secret_version version = {
        .secret_id = 1, .version = 1, .size_bytes = 1, .state = SECRET_USABLE};
    struct policy_grant grant = {.secret_id = 1,
                                 .image_id = 1,
                                 .measurement_id = 3,
                                 .pcr.present = 8,
                                 .region = "eu-west-1",
                                 .has_application = true,
                                 .version_count = 2,
                                 .version = {1, 300},
                                 .quota = 5,
                                 .state = POLICY_ACTIVE};
    struct policy_own_key own_key = {.kind = OWN_KEY_RECEIPT, .version = 1, .state = POLICY_ACTIVE};
    struct policy_revocation revocation = {
        .kind = REVOCATION_CERTIFICATE, .state = POLICY_ACTIVE, .person_id = 1};
    FUZZ_OK(buf_append(&revocation.issuer, bytes_of("0\x0d\x31\x0b"
                                                    "0\x09\x06\x03U\x04\x03\x0c\x02"
                                                    "cn",
                                                    15)));
    FUZZ_OK(buf_append(&revocation.serial, bytes_of("\0\x80", 2)));
    TEXT(&revocation.reason, "stolen");
    struct policy_enrolled_key enrolled_key = {
        .person_id = 1, .last_serial = 7, .state = POLICY_ACTIVE};
    TEXT(&enrolled_key.images, "\x81\x61\x61");
    TEXT(&setting.value, "development");
    TEXT(&token.images, "\x82\x61\x61\x61\x62");
    memset(pcrs.value, 3, sizeof pcrs.value);
    FUZZ_OK(pcr_set_append(&pcrs, &measurement.pcrs));
    TEXT(&measurement.labels, "\xa2\x61\x61\x61\x62\x61\x63\x60");
    TEXT(&measurement.provenance, "from a file");
    TEXT(&grant.application, "tenant");
    TEXT(&own_key.spki, "spki");
    TEXT(&own_key.sealed, "sealed");
    TEXT(&own_key.delegation, "delegation");
#define X(T)          \
    if (table-- == 0) \
        FUZZ_OK(policy_##T##_append(&T, out));
#define secret_version version
    POLICY_TABLES(X)
#undef secret_version
#undef X
    policy_setting_free(&setting);
    policy_token_free(&token);
    policy_enrolled_key_free(&enrolled_key);
    policy_measurement_free(&measurement);
    policy_grant_free(&grant);
    policy_own_key_free(&own_key);
    policy_revocation_free(&revocation);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size > 1 && fuzz_choose(&seed, 64) > 0)
        return 1 + fuzz_mutate_cbor(data + 1, size - 1, max_size - 1, seed);
    CLEANUP(buf_free) struct buf whole = {0};
    struct pcr_set pcrs = {.present = 0x10f};
    const uint32_t chosen = fuzz_choose(&seed, ARRAY_LEN(tables) + 2);
    const uint8_t what = chosen < ARRAY_LEN(tables)    ? (uint8_t)chosen
                         : chosen == ARRAY_LEN(tables) ? VALUES
                                                       : LABELS;
    FUZZ_OK(buf_append(&whole, bytes_of(&what, 1)));
    if (what < ARRAY_LEN(tables))
        put_row(what, &whole);
    else if (what == VALUES)
        FUZZ_OK(pcr_set_append(&pcrs, &whole));
    else
        TEXT(&whole, "\xa2\x62\x61\x61\x61\x62\x61\x63\x60");
    return fuzz_replace(data, size, max_size, &whole);
}
