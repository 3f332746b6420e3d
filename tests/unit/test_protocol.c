/* PROTOCOL sections 1, 3, 4 and 6: names, the request's binding, the AADs.
 *
 * The expected bytes were made apart from this code, with Python: hashlib for SHA-256
 * and heads of CBOR put together by hand (major type << 5 | argument). */
#include "hex.h"

#include <stdio.h>

#include "common/protocol.h"

static struct fault fault;

static void ck_text(const struct buf *got, const char *text)
{
    ck_assert_msg(bytes_equal_text(bytes_of_buf(got), text), "got %.*s", (int)got->len,
                  (const char *)got->ptr);
}

static void fill(uint8_t *out, size_t len, unsigned first)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(first + i);
}

/* `count` bytes of 'a'. */
static const char *long_text(size_t count)
{
    static char text[512];
    memset(text, 'a', count);
    text[count] = '\0';
    return text;
}

START_TEST(valid_names)
{
    static const char *const names[] = {"a", "0", "db/main", "a.b_c-d/0..9", "a-/b_"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert_msg(protocol_name_valid(bytes_of_text(names[i])), "%s", names[i]);
    ck_assert(protocol_name_valid(bytes_of_text(long_text(PROTOCOL_NAME_MAX))));
}
END_TEST

START_TEST(wrong_names)
{
    static const char *const names[] = {"",    "/",   "/a",  "a/",  "a//b", ".a",       "a/.b",
                                        "-a",  "_a",  "A",   "aB",  "a b",  "a\n",      "a@b",
                                        "a+b", "a,b", "a:b", "a`b", "a{b",  "\xc3\xa9", "a/../b"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        ck_assert_msg(!protocol_name_valid(bytes_of_text(names[i])), "%s", names[i]);
    ck_assert(!protocol_name_valid(bytes_of("a\0b", 3)));
    ck_assert(!protocol_name_valid(bytes_of(NULL, 0)));
    ck_assert(!protocol_name_valid(bytes_of_text(long_text(PROTOCOL_NAME_MAX + 1))));
}
END_TEST

START_TEST(valid_and_wrong_images)
{
    ck_assert(protocol_image_valid(bytes_of_text("payments")));
    ck_assert(protocol_image_valid(bytes_of_text("0.a_-")));
    ck_assert(protocol_image_valid(bytes_of_text(long_text(PROTOCOL_IMAGE_MAX))));
    static const char *const images[] = {"", "Payments", "pAy", ".a", "-a", "a+b", "a/b", "a@b"};
    for (size_t i = 0; i < ARRAY_LEN(images); i++)
        ck_assert_msg(!protocol_image_valid(bytes_of_text(images[i])), "%s", images[i]);
    ck_assert(!protocol_image_valid(bytes_of_text(long_text(PROTOCOL_IMAGE_MAX + 1))));
    ck_assert(protocol_image_version_valid(bytes_of_text("1.4.2-RC+b_7")));
    ck_assert(protocol_image_version_valid(bytes_of_text("V")));
    ck_assert(protocol_image_version_valid(bytes_of_text(long_text(PROTOCOL_IMAGE_MAX))));
    static const char *const versions[] = {"", "+1", ".1", "-1", "_1", "1/2", "1@2", "1 2", "1~"};
    for (size_t i = 0; i < ARRAY_LEN(versions); i++)
        ck_assert_msg(!protocol_image_version_valid(bytes_of_text(versions[i])), "%s", versions[i]);
    ck_assert(!protocol_image_version_valid(bytes_of_text(long_text(PROTOCOL_IMAGE_MAX + 1))));
}
END_TEST

START_TEST(valid_build)
{
    char image[PROTOCOL_IMAGE_MAX + 1];
    char version[PROTOCOL_IMAGE_MAX + 1];
    ck_ok(protocol_build_split("payments@1.4.2", image, version, &fault));
    ck_assert_str_eq(image, "payments");
    ck_assert_str_eq(version, "1.4.2");
    char text[2 * PROTOCOL_IMAGE_MAX + 2];
    snprintf(text, sizeof text, "%.63s@%.63s", long_text(PROTOCOL_IMAGE_MAX),
             long_text(PROTOCOL_IMAGE_MAX));
    ck_ok(protocol_build_split(text, image, version, &fault));
    ck_assert_str_eq(version, long_text(PROTOCOL_IMAGE_MAX));
    ck_assert(protocol_build_valid(bytes_of_text(text)));
}
END_TEST

START_TEST(wrong_build)
{
    static const char *const builds[] = {"", "@", "a", "a@", "@1", "a@1@2", "A@1", "a@1 ", "a @1"};
    for (size_t i = 0; i < ARRAY_LEN(builds); i++) {
        char image[PROTOCOL_IMAGE_MAX + 1] = "untouched";
        char version[PROTOCOL_IMAGE_MAX + 1];
        ck_err(protocol_build_split(builds[i], image, version, &fault), ERR_USAGE);
        ck_assert_str_eq(image, "untouched");
        ck_assert(!protocol_build_valid(bytes_of_text(builds[i])));
    }
}
END_TEST

/* The request of all the vectors: "db/main - -", "payments/key 7 3", "x 2147483647 -". */
static void sample_wanted(struct wanted_list *list)
{
    *list = (struct wanted_list){0};
    ck_ok(wanted_add(list, bytes_of_text("db/main"), 0, 0, &fault));
    ck_ok(wanted_add(list, bytes_of_text("payments/key"), 7, 3, &fault));
    ck_ok(wanted_add(list, bytes_of_text("x"), PROTOCOL_VERSION_MAX, 0, &fault));
}

START_TEST(wrong_wanted)
{
    struct wanted_list list;
    sample_wanted(&list);
    ck_err(wanted_add(&list, bytes_of_text("X"), 0, 0, &fault), ERR_MALFORMED);
    ck_err(wanted_add(&list, bytes_of_text("db/main"), 1, 0, &fault), ERR_MALFORMED);
    ck_err(wanted_add(&list, bytes_of_text("y"), PROTOCOL_VERSION_MAX + 1ull, 0, &fault),
           ERR_MALFORMED);
    ck_err(wanted_add(&list, bytes_of_text("y"), 0, PROTOCOL_VERSION_MAX + 1ull, &fault),
           ERR_MALFORMED);
    ck_assert_uint_eq(list.count, 3);
    /* A floor above the version is policy's to refuse. */
    ck_ok(wanted_add(&list, bytes_of_text("y"), 1, 2, &fault));
}
END_TEST

START_TEST(long_wanted)
{
    struct wanted_list list = {0};
    char name[8];
    for (unsigned i = 0; i < PROTOCOL_SECRETS_MAX; i++) {
        snprintf(name, sizeof name, "s%u", i);
        ck_ok(wanted_add(&list, bytes_of_text(name), 0, 0, &fault));
    }
    ck_err(wanted_add(&list, bytes_of_text("more"), 0, 0, &fault), ERR_MALFORMED);
    ck_assert_uint_eq(list.count, PROTOCOL_SECRETS_MAX);
}
END_TEST

START_TEST(valid_request_text)
{
    struct wanted_list list;
    sample_wanted(&list);
    CLEANUP(buf_free) struct buf text = {0};
    ck_ok(protocol_request_text(&list, &text));
    ck_text(&text, "db/main - -\npayments/key 7 3\nx 2147483647 -\n");
    /* hashlib.sha256(text).hexdigest() */
    CLEANUP(buf_free) struct buf hash = {0};
    ck_ok(buf_reserve(&hash, SHA256_LEN));
    ck_ok(digest_sha256(bytes_of_buf(&text), hash.ptr));
    hash.len = SHA256_LEN;
    ck_hex(bytes_of_buf(&hash), "6edd8e9372d726b0837f3562156fbaee0978f645303e0be8dbbeddec3c169b12");
}
END_TEST

/* b"vouchsafe/1 release" + sha256(text) + b"app" */
#define SAMPLE_BOUND                         \
    "766f756368736166652f312072656c65617365" \
    "6edd8e9372d726b0837f3562156fbaee0978f645303e0be8dbbeddec3c169b12"
#define SAMPLE_USER_DATA SAMPLE_BOUND "617070"

START_TEST(valid_user_data)
{
    struct wanted_list list;
    sample_wanted(&list);
    CLEANUP(buf_free) struct buf out = {0};
    ck_ok(protocol_user_data(&list, bytes_of_text("app"), &out));
    ck_hex(bytes_of_buf(&out), SAMPLE_USER_DATA);
    fault = (struct fault)FAULT_NONE;
    struct bytes application;
    ck_ok(protocol_user_data_check(&list, bytes_of_buf(&out), &application, &fault));
    ck_assert(bytes_equal_text(application, "app"));
    ck_assert_str_eq(fault.field, "");
    out.len = PROTOCOL_BOUND_LEN;
    ck_ok(protocol_user_data_check(&list, bytes_of_buf(&out), &application, &fault));
    ck_assert_uint_eq(application.len, 0);
}
END_TEST

START_TEST(long_user_data)
{
    struct wanted_list list;
    sample_wanted(&list);
    uint8_t more[PROTOCOL_APPLICATION_MAX + 1] = {0};
    CLEANUP(buf_free) struct buf out = {0};
    ck_err(protocol_user_data(&list, bytes_of(more, sizeof more), &out), ERR_TOO_LARGE);
    ck_assert_uint_eq(out.len, 0);
    ck_ok(protocol_user_data(&list, bytes_of(more, sizeof more - 1), &out));
    struct bytes application;
    ck_ok(protocol_user_data_check(&list, bytes_of_buf(&out), &application, &fault));
    ck_assert_uint_eq(application.len, PROTOCOL_APPLICATION_MAX);
    ck_ok(buf_append(&out, bytes_of(more, 1)));
    ck_err(protocol_user_data_check(&list, bytes_of_buf(&out), &application, &fault),
           ERR_NOT_BOUND);
}
END_TEST

START_TEST(wrong_user_data)
{
    struct wanted_list list;
    sample_wanted(&list);
    CLEANUP(buf_free) struct buf out = {0};
    ck_ok(protocol_user_data(&list, bytes_of(NULL, 0), &out));
    struct bytes application = {0};
    /* Every byte of label and hash counts, and so does every one that is missing. */
    for (size_t i = 0; i < PROTOCOL_BOUND_LEN; i++) {
        fault = (struct fault)FAULT_NONE;
        out.ptr[i] ^= 0x20;
        ck_err(protocol_user_data_check(&list, bytes_of_buf(&out), &application, &fault),
               ERR_NOT_BOUND);
        ck_assert_str_eq(fault.field, "user_data");
        out.ptr[i] ^= 0x20;
        ck_err(protocol_user_data_check(&list, bytes_of(out.ptr, i), &application, &fault),
               ERR_NOT_BOUND);
    }
    ck_err(protocol_user_data_check(&list, bytes_of(NULL, 0), &application, &fault), ERR_NOT_BOUND);
    /* A document bound to one request is bound to no other. */
    list.item[1].min_version = 4;
    ck_err(protocol_user_data_check(&list, bytes_of_buf(&out), &application, &fault),
           ERR_NOT_BOUND);
    sample_wanted(&list);
    list.count = 2;
    ck_err(protocol_user_data_check(&list, bytes_of_buf(&out), &application, &fault),
           ERR_NOT_BOUND);
    sample_wanted(&list);
    const struct wanted first = list.item[0];
    list.item[0] = list.item[1];
    list.item[1] = first;
    ck_err(protocol_user_data_check(&list, bytes_of_buf(&out), &application, &fault),
           ERR_NOT_BOUND);
}
END_TEST

/* Of whatever request it names; a document that was made for none has none. */
START_TEST(valid_application)
{
    struct wanted_list list;
    struct bytes application = bytes_of_text("untouched");
    CLEANUP(buf_free) struct buf out = {0};
    sample_wanted(&list);
    ck_ok(protocol_user_data(&list, bytes_of_text("app"), &out));
    ck_assert(!protocol_application(bytes_of(NULL, 0), &application));
    for (size_t len = 0; len < PROTOCOL_BOUND_LEN; len++)
        ck_assert(!protocol_application(bytes_of(out.ptr, len), &application));
    out.ptr[18] ^= 1; /* of the label */
    ck_assert(!protocol_application(bytes_of_buf(&out), &application));
    ck_assert(bytes_equal_text(application, "untouched"));
    out.ptr[18] ^= 1;
    out.ptr[19] ^= 1; /* of the hash: another request */
    ck_assert(protocol_application(bytes_of_buf(&out), &application));
    ck_assert(bytes_equal_text(application, "app"));
    ck_assert(protocol_application(bytes_of(out.ptr, PROTOCOL_BOUND_LEN), &application));
    ck_assert_uint_eq(application.len, 0);
}
END_TEST

START_TEST(valid_aads)
{
    uint8_t digest[SHA384_LEN];
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint8_t challenge[PROTOCOL_PUT_CHALLENGE_LEN];
    fill(digest, sizeof digest, 0);
    fill(store_id, sizeof store_id, 0xa0);
    fill(challenge, sizeof challenge, 0);
    /* 85, 70|"vouchsafe/1 wrap", 6b|"hpke-x25519", 5830|digest, 67|"db/main", 07 */
    CLEANUP(buf_free) struct buf aad = {0};
    ck_ok(protocol_wrap_aad("hpke-x25519", digest, "db/main", 7, &aad));
    ck_hex(bytes_of_buf(&aad),
           "8570766f756368736166652f3120777261706b68706b652d783235353139"
           "5830000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
           "202122232425262728292a2b2c2d2e2f6764622f6d61696e07");
    /* 85, 6f|"vouchsafe/1 put", 50|store id, 67|"db/main", 19012c, 5820|challenge */
    CLEANUP(buf_free) struct buf put = {0};
    ck_ok(protocol_put_aad(store_id, "db/main", 300, challenge, &put));
    ck_hex(bytes_of_buf(&put),
           "856f766f756368736166652f312070757450a0a1a2a3a4a5a6a7a8a9aaabacadaeaf"
           "6764622f6d61696e19012c"
           "5820000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
}
END_TEST

UNIT_MAIN("protocol", valid_names, wrong_names, valid_and_wrong_images, valid_build, wrong_build,
          wrong_wanted, long_wanted, valid_request_text, valid_user_data, long_user_data,
          wrong_user_data, valid_application, valid_aads)
