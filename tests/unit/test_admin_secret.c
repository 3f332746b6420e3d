/* Putting a secret through the admin operations (PROTOCOL section 6), and listing them. */
#include "admin_fixture.h"

#include "release_fixture.h"

#define PUT(p) CLEANUP(put_free) struct put p = {.version = 0}

static void put_refused(struct warden_fixture *f, const struct put *put, enum err code,
                        const char *field, int line)
{
    const uint64_t sequence = audit_sequence(f);
    admin_expect(f, line, code, field, "secret.put", PUT_PARAMS(put));
    ck_assert_uint_eq(audit_sequence(f), sequence);
}
#define PUT_REFUSED(f, put, code, field) put_refused((f), (put), (code), (field), __LINE__)

START_TEST(valid_put)
{
    FIXTURE(f);
    fixture_secret(&f, "db/main", "the first value");
    json_auto_t *record = audit_newest(&f);
    ck_assert_str_eq(text_at(record, "event"), "secret.put");
    ck_assert_str_eq(text_at(record, "object"), "db/main@1");
    ck_assert_str_eq(text_at(record, "person"), "ann");
    char *text = json_dumps(record, 0);
    ck_assert_ptr_null(strstr(text, "value"));
    free(text);
    advance_ms(1000);
    ck_assert_uint_eq(fixture_secret(&f, "db/main", "the second"), 2);
    json_auto_t *list = admin_do(&f, "secret.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "secrets")), 1);
    ck_assert_str_eq(text_at(list, "secrets.0.name"), "db/main");
    ck_assert_uint_eq(uint_at(list, "secrets.0.current_version"), 2);
    ck_assert_uint_eq(uint_at(list, "secrets.0.size"), strlen("the second"));
    ck_assert_str_eq(text_at(list, "secrets.0.state"), "usable");
    ck_assert_str_eq(text_at(list, "secrets.0.created"), "2026-11-23T00:00:00Z");
    ck_assert_str_eq(text_at(list, "secrets.0.updated"), "2026-11-23T00:00:01Z");
}
END_TEST

static bool contains(const struct buf *file, const char *text)
{
    const size_t len = strlen(text);
    for (size_t i = 0; i + len <= file->len; i++) {
        if (memcmp(file->ptr + i, text, len) == 0)
            return true;
    }
    return false;
}

/* Neither in the file nor in its log. */
START_TEST(valid_sealed_at_rest)
{
    FIXTURE(f);
    static const char *const suffixes[] = {"", "-wal"};
    unsigned seen = 0;
    fixture_secret(&f, "db/at-rest", "PLAINTEXT-THAT-NOBODY-MAY-FIND");
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        CLEANUP(buf_free) struct buf file = {0};
        char path[128];
        snprintf(path, sizeof path, "%s%s", f.database, suffixes[i]);
        read_file(path, &file);
        ck_assert(!contains(&file, "THAT-NOBODY"));
        seen += contains(&file, "db/at-rest");
    }
    ck_assert_uint_gt(seen, 0); /* what is not secret can be found: the search works */
}
END_TEST

START_TEST(wrong_names)
{
    FIXTURE(f);
    static const char *const bad[] = {"", "A", "/a", "a/", "a//b", ".a", "a b", "\xc3\xa9"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ADMIN_REFUSED(&f, ERR_MALFORMED, "name", "secret.put-challenge",
                      PARAMS(p_text("name", bad[i])));
    char name[PROTOCOL_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[PROTOCOL_NAME_MAX + 1] = '\0';
    ADMIN_REFUSED(&f, ERR_MALFORMED, "name", "secret.put-challenge", PARAMS(p_text("name", name)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "name", "secret.put-challenge", NO_PARAMS);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "name", "secret.put-challenge", PARAMS(p_uint("name", 1)));
    name[PROTOCOL_NAME_MAX] = '\0';
    fixture_secret(&f, name, "x");
}
END_TEST

START_TEST(wrong_single_use)
{
    FIXTURE(f);
    PUT(put);
    put_begin(&f, &put, "db/main", "v");
    json_decref(admin_do(&f, "secret.put", PUT_PARAMS(&put)));
    PUT_REFUSED(&f, &put, ERR_CHALLENGE_UNKNOWN, "challenge");
}
END_TEST

/* Whatever comes of a put, its challenge is spent. */
START_TEST(wrong_spent_by_failure)
{
    FIXTURE(f);
    PUT(put);
    put_begin(&f, &put, "db/main", "v");
    put.ciphertext.ptr[0] ^= 1;
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "ciphertext");
    put.ciphertext.ptr[0] ^= 1;
    PUT_REFUSED(&f, &put, ERR_CHALLENGE_UNKNOWN, "challenge");
}
END_TEST

START_TEST(wrong_challenge)
{
    FIXTURE(f);
    PUT(put);
    put_begin(&f, &put, "db/main", "v");
    put.challenge.ptr[31] ^= 1;
    PUT_REFUSED(&f, &put, ERR_CHALLENGE_UNKNOWN, "challenge");
    put.challenge.ptr[31] ^= 1;
    put.challenge.len--;
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "challenge");
    put.challenge.len++;
    json_decref(admin_do(&f, "secret.put", PUT_PARAMS(&put)));
    memset(put.challenge.ptr, 0, PROTOCOL_PUT_CHALLENGE_LEN); /* what a free place holds */
    PUT_REFUSED(&f, &put, ERR_CHALLENGE_UNKNOWN, "challenge");
}
END_TEST

START_TEST(wrong_expired)
{
    FIXTURE(f);
    PUT(late);
    PUT(in_time);
    put_begin(&f, &late, "db/main", "v");
    put_begin(&f, &in_time, "db/main", "v");
    advance_ms(119999);
    json_decref(admin_do(&f, "secret.put", PUT_PARAMS(&in_time)));
    advance_ms(1);
    PUT_REFUSED(&f, &late, ERR_CHALLENGE_UNKNOWN, "challenge");
}
END_TEST

/* Given for one name or version, used for another: refused before anything is opened. */
START_TEST(wrong_other_name)
{
    FIXTURE(f);
    PUT(name);
    PUT(version);
    put_begin(&f, &name, "db/main", "v");
    strcpy(name.name, "db/other");
    put_seal(&f, &name, "v", 1); /* sealed for the other name, even */
    PUT_REFUSED(&f, &name, ERR_CHALLENGE_UNKNOWN, "challenge");
    put_begin(&f, &version, "db/main", "v");
    version.version = 2;
    put_seal(&f, &version, "v", 1);
    PUT_REFUSED(&f, &version, ERR_CHALLENGE_UNKNOWN, "challenge");
}
END_TEST

START_TEST(wrong_other_person)
{
    FIXTURE(f);
    PUT(put);
    uint8_t token[WARDEN_TOKEN_LEN];
    fixture_token(&f, TOKEN_OF("bob", RIGHT_ALL), token);
    put_begin(&f, &put, "db/main", "v");
    ck_err(admin_as(&f, bytes_of(token, sizeof token), "secret.put", PUT_PARAMS(&put), NULL),
           ERR_CHALLENGE_UNKNOWN);
    uint8_t second[WARDEN_TOKEN_LEN]; /* another token of the same person will do */
    fixture_token(&f, TOKEN_OF("ann", RIGHT_CUSTODY), second);
    put_begin(&f, &put, "db/main", "v");
    ck_ok(admin_as(&f, bytes_of(second, sizeof second), "secret.put", PUT_PARAMS(&put), NULL));
}
END_TEST

/* A ciphertext made for another name, version, challenge or store does not open, whatever
 * the request says. */
START_TEST(wrong_ciphertext)
{
    FIXTURE(f);
    FIXTURE(g);
    PUT(put);
    PUT(other);
    put_begin(&f, &other, "db/other", "v");
    put_begin(&f, &put, "db/main", "v");
    buf_free(&put.ciphertext);
    buf_free(&put.enc);
    buf_move(&put.ciphertext, &other.ciphertext);
    buf_move(&put.enc, &other.enc);
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "ciphertext");

    put_begin(&f, &put, "db/main", "v");
    const uint32_t version = put.version;
    put.version = 2;
    put_seal(&f, &put, "v", 1);
    put.version = version;
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "ciphertext");

    put_begin(&f, &put, "db/main", "v");
    put.challenge.ptr[0] ^= 1;
    put_seal(&f, &put, "v", 1);
    put.challenge.ptr[0] ^= 1;
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "ciphertext");

    put_begin(&f, &put, "db/main", "v");
    put_seal(&g, &put, "v", 1); /* to another store's key */
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "ciphertext");

    put_begin(&f, &put, "db/main", "v");
    put.enc.ptr[0] ^= 1;
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "ciphertext");
    put_begin(&f, &put, "db/main", "v");
    put.enc.len--;
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "ciphertext");
    json_auto_t *list = admin_do(&f, "secret.list", NO_PARAMS);
    ck_assert_uint_eq(json_array_size(json_at(list, "secrets")), 0);
}
END_TEST

START_TEST(wrong_size)
{
    FIXTURE(f);
    PUT(put);
    char *value = malloc(PROTOCOL_SECRET_MAX + 1);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', PROTOCOL_SECRET_MAX + 1);
    put_begin(&f, &put, "db/main", "");
    PUT_REFUSED(&f, &put, ERR_MALFORMED, "ciphertext");
    put_begin(&f, &put, "db/main", "v");
    put_seal(&f, &put, value, PROTOCOL_SECRET_MAX + 1);
    PUT_REFUSED(&f, &put, ERR_TOO_LARGE, "ciphertext");
    put_begin(&f, &put, "db/main", "v");
    put_seal(&f, &put, value, PROTOCOL_SECRET_MAX);
    json_decref(admin_do(&f, "secret.put", PUT_PARAMS(&put)));
    free(value);
}
END_TEST

/* Two were given the same version: the second to come is told so. */
START_TEST(wrong_overtaken)
{
    FIXTURE(f);
    PUT(first);
    PUT(second);
    put_begin(&f, &first, "db/main", "first");
    put_begin(&f, &second, "db/main", "second");
    ck_assert_uint_eq(first.version, second.version);
    json_decref(admin_do(&f, "secret.put", PUT_PARAMS(&second)));
    PUT_REFUSED(&f, &first, ERR_WRONG_STATE, "version");
}
END_TEST

START_TEST(no_parameters)
{
    FIXTURE(f);
    PUT(put);
    put_begin(&f, &put, "db/main", "v");
    const struct param name = p_text("name", put.name);
    const struct param version = p_uint("version", 1);
    const struct param challenge = p_buf("challenge", &put.challenge);
    const struct param enc = p_buf("enc", &put.enc);
    ADMIN_REFUSED(&f, ERR_MALFORMED, "name", "secret.put", PARAMS(version));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "version", "secret.put", PARAMS(name));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "version", "secret.put", PARAMS(name, p_text("version", "1")));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "version", "secret.put",
                  PARAMS(name, p_uint("version", UINT64_C(1) << 31)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "challenge", "secret.put", PARAMS(name, version));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "enc", "secret.put", PARAMS(name, version, challenge));
    put_begin(&f, &put, "db/main", "v");
    ADMIN_REFUSED(&f, ERR_MALFORMED, "ciphertext", "secret.put",
                  PARAMS(name, version, p_buf("challenge", &put.challenge), enc));
}
END_TEST

/* Only so many are remembered: the one that would expire first gives way, newer ones stay. */
START_TEST(long_flood)
{
    FIXTURE(f);
    PUT(oldest);
    PUT(newest);
    put_begin(&f, &oldest, "db/main", "v");
    advance_ms(1);
    put_begin(&f, &newest, "db/main", "v");
    advance_ms(1);
    for (unsigned i = 0; i < 255; i++)
        json_decref(admin_do(&f, "secret.put-challenge", PARAMS(p_text("name", "flood"))));
    PUT_REFUSED(&f, &oldest, ERR_CHALLENGE_UNKNOWN, "challenge");
    json_decref(admin_do(&f, "secret.put", PUT_PARAMS(&newest)));
}
END_TEST

/* They live in memory: after a restart a client begins again. */
START_TEST(wrong_restart)
{
    FIXTURE(f);
    PUT(put);
    put_begin(&f, &put, "db/main", "v");
    fixture_close(&f);
    fixture_open(&f);
    PUT_REFUSED(&f, &put, ERR_CHALLENGE_UNKNOWN, "challenge");
}
END_TEST

START_TEST(valid_list)
{
    FIXTURE(f);
    fixture_secret(&f, "b", "1");
    fixture_secret(&f, "a", "22");
    fixture_secret(&f, "c", "333");
    json_auto_t *first = admin_do(&f, "secret.list", PARAMS(p_uint("limit", 2)));
    ck_assert_uint_eq(json_array_size(json_at(first, "secrets")), 2);
    ck_assert_str_eq(text_at(first, "secrets.1.name"), "a");
    ck_assert_uint_eq(uint_at(first, "next"), 2);
    json_auto_t *rest = admin_do(&f, "secret.list", PARAMS(p_uint("after", 2)));
    ck_assert_str_eq(text_at(rest, "secrets.0.name"), "c");
    ck_assert_uint_eq(uint_at(rest, "secrets.0.size"), 3);
    ck_assert_ptr_null(json_at(rest, "next"));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "limit", "secret.list", PARAMS(p_uint("limit", 1001)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "limit", "secret.list", PARAMS(p_uint("limit", 0)));
    ADMIN_REFUSED(&f, ERR_MALFORMED, "after", "secret.list", PARAMS(p_text("after", "2")));
}
END_TEST

UNIT_MAIN("admin_secret", valid_put, valid_sealed_at_rest, wrong_names, wrong_single_use,
          wrong_spent_by_failure, wrong_challenge, wrong_expired, wrong_other_name,
          wrong_other_person, wrong_ciphertext, wrong_size, wrong_overtaken, no_parameters,
          long_flood, wrong_restart, valid_list)
