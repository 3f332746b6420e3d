#include "protocol.h"

#include <inttypes.h>
#include <openssl/crypto.h>

#include "cbor_writer.h"
#include "codec.h"

_Static_assert(sizeof PROTOCOL_RELEASE_LABEL - 1 + SHA256_LEN == PROTOCOL_BOUND_LEN,
               "PROTOCOL section 3: V2 compares the label and the hash");

/* `[a-z0-9]`, the first byte of every name. */
static bool is_lower_or_digit(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_alphanumeric(uint8_t c)
{
    return is_lower_or_digit(c) || (c >= 'A' && c <= 'Z');
}

static bool is_mark(uint8_t c)
{
    return c == '.' || c == '_' || c == '-';
}

bool protocol_name_valid(struct bytes name)
{
    if (name.len > PROTOCOL_NAME_MAX)
        return false;
    bool at_start = true;
    for (size_t i = 0; i < name.len; i++) {
        const uint8_t c = name.ptr[i];
        if (at_start ? !is_lower_or_digit(c) : !(is_lower_or_digit(c) || is_mark(c) || c == '/'))
            return false;
        at_start = c == '/';
    }
    return !at_start;
}

bool protocol_image_valid(struct bytes image)
{
    if (image.len == 0 || image.len > PROTOCOL_IMAGE_MAX || !is_lower_or_digit(image.ptr[0]))
        return false;
    for (size_t i = 1; i < image.len; i++) {
        if (!is_lower_or_digit(image.ptr[i]) && !is_mark(image.ptr[i]))
            return false;
    }
    return true;
}

bool protocol_image_version_valid(struct bytes version)
{
    if (version.len == 0 || version.len > PROTOCOL_IMAGE_MAX || !is_alphanumeric(version.ptr[0]))
        return false;
    for (size_t i = 1; i < version.len; i++) {
        const uint8_t c = version.ptr[i];
        if (!is_alphanumeric(c) && !is_mark(c) && c != '+')
            return false;
    }
    return true;
}

bool protocol_person_valid(struct bytes person)
{
    if (person.len == 0 || person.len > PROTOCOL_PERSON_MAX || !utf8_valid(person))
        return false;
    for (size_t i = 0; i < person.len; i++) {
        if (person.ptr[i] <= 0x20 || person.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

/* Image and version around the first `@`; neither may hold one. */
static bool build_halves(struct bytes build, struct bytes *image, struct bytes *version)
{
    const uint8_t *at = build.len == 0 ? NULL : memchr(build.ptr, '@', build.len);
    if (at == NULL)
        return false;
    const size_t before = (size_t)(at - build.ptr);
    *image = bytes_of(build.ptr, before);
    *version = bytes_of(at + 1, build.len - before - 1);
    return true;
}

bool protocol_build_valid(struct bytes build)
{
    struct bytes image;
    struct bytes version;
    return build_halves(build, &image, &version) && protocol_image_valid(image) &&
           protocol_image_version_valid(version);
}

enum err protocol_build_split(const char *text, char image[static PROTOCOL_IMAGE_MAX + 1],
                              char version[static PROTOCOL_IMAGE_MAX + 1], struct fault *fault)
{
    struct bytes first;
    struct bytes second;
    if (!build_halves(bytes_of_text(text), &first, &second))
        FAIL(fault, ERR_USAGE, "\"%.140s\" is not IMAGE@VERSION: it has no @", text);
    if (!protocol_image_valid(first))
        FAIL(fault, ERR_USAGE, "the image in \"%.140s\" is not [a-z0-9][a-z0-9._-]{0,62}", text);
    if (!protocol_image_version_valid(second))
        FAIL(fault, ERR_USAGE, "the version in \"%.140s\" is not [A-Za-z0-9][A-Za-z0-9._+-]{0,62}",
             text);
    memcpy(image, first.ptr, first.len);
    image[first.len] = '\0';
    memcpy(version, second.ptr, second.len);
    version[second.len] = '\0';
    return ERR_OK;
}

enum err wanted_add(struct wanted_list *list, struct bytes name, uint64_t version,
                    uint64_t min_version, struct fault *fault)
{
    if (list->count >= PROTOCOL_SECRETS_MAX)
        FAIL(fault, ERR_MALFORMED, "more than %d secrets", PROTOCOL_SECRETS_MAX);
    if (!protocol_name_valid(name))
        FAIL(fault, ERR_MALFORMED,
             "a secret's name is [a-z0-9][a-z0-9._-]* segments joined by /, at most %d bytes",
             PROTOCOL_NAME_MAX);
    if (version > PROTOCOL_VERSION_MAX || min_version > PROTOCOL_VERSION_MAX)
        FAIL(fault, ERR_MALFORMED, "a version is 1..%d", PROTOCOL_VERSION_MAX);
    for (size_t i = 0; i < list->count; i++) {
        if (bytes_equal_text(name, list->item[i].name))
            FAIL(fault, ERR_MALFORMED, "\"%s\" is asked for twice", list->item[i].name);
    }
    struct wanted *item = &list->item[list->count++];
    *item = (struct wanted){.version = (uint32_t)version, .min_version = (uint32_t)min_version};
    memcpy(item->name, name.ptr, name.len);
    return ERR_OK;
}

/* " 7", or " -" where absent. */
static enum err append_version(struct buf *out, uint32_t version)
{
    if (version == 0)
        return buf_append_text(out, " -");
    return buf_append_format(out, " %" PRIu32, version);
}

enum err protocol_request_text(const struct wanted_list *wanted, struct buf *out)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const struct wanted *item = &wanted->item[i];
        TRY(buf_append_text(out, item->name));
        TRY(append_version(out, item->version));
        TRY(append_version(out, item->min_version));
        TRY(buf_append_text(out, "\n"));
    }
    return ERR_OK;
}

/* The first PROTOCOL_BOUND_LEN bytes of user_data. */
static enum err make_bound(const struct wanted_list *wanted, uint8_t out[static PROTOCOL_BOUND_LEN])
{
    CLEANUP(buf_free) struct buf text = {0};
    TRY(protocol_request_text(wanted, &text));
    TRY(digest_sha256(bytes_of_buf(&text), out + sizeof PROTOCOL_RELEASE_LABEL - 1));
    memcpy(out, PROTOCOL_RELEASE_LABEL, sizeof PROTOCOL_RELEASE_LABEL - 1);
    return ERR_OK;
}

enum err protocol_user_data(const struct wanted_list *wanted, struct bytes application,
                            struct buf *out)
{
    if (application.len > PROTOCOL_APPLICATION_MAX)
        return ERR_TOO_LARGE;
    uint8_t bound[PROTOCOL_BOUND_LEN];
    TRY(make_bound(wanted, bound));
    TRY(buf_reserve(out, sizeof bound + application.len));
    TRY(buf_append(out, bytes_of(bound, sizeof bound)));
    return buf_append(out, application);
}

static struct fault *at_user_data(struct fault *fault)
{
    return fault_at(fault, FAULT_NO_OFFSET, "user_data");
}

enum err protocol_user_data_check(const struct wanted_list *wanted, struct bytes user_data,
                                  struct bytes *application, struct fault *fault)
{
    if (user_data.len < PROTOCOL_BOUND_LEN) /* BIND-7 */
        FAIL(at_user_data(fault), ERR_NOT_BOUND, "%zu byte%s, too short for the label and the hash",
             user_data.len, plural(user_data.len));
    if (user_data.len > PROTOCOL_BOUND_LEN + PROTOCOL_APPLICATION_MAX) /* BIND-8 */
        FAIL(at_user_data(fault), ERR_NOT_BOUND, "more than %d application bytes",
             PROTOCOL_APPLICATION_MAX);
    uint8_t bound[PROTOCOL_BOUND_LEN];
    const enum err err = make_bound(wanted, bound);
    if (err != ERR_OK)
        FAIL(fault, err, "the request text could not be hashed");
    /* BIND-9 */
    if (memcmp(user_data.ptr, PROTOCOL_RELEASE_LABEL, sizeof PROTOCOL_RELEASE_LABEL - 1) != 0)
        FAIL(at_user_data(fault), ERR_NOT_BOUND, "does not begin with \"%s\"",
             PROTOCOL_RELEASE_LABEL);
    if (CRYPTO_memcmp(user_data.ptr, bound, sizeof bound) != 0) /* BIND-10 */
        FAIL(at_user_data(fault), ERR_NOT_BOUND,
             "the hash is not that of what the request asks for");
    *application = bytes_of(user_data.ptr + sizeof bound, user_data.len - sizeof bound);
    return ERR_OK;
}

bool protocol_application(struct bytes user_data, struct bytes *application)
{
    if (user_data.len < PROTOCOL_BOUND_LEN ||
        memcmp(user_data.ptr, PROTOCOL_RELEASE_LABEL, sizeof PROTOCOL_RELEASE_LABEL - 1) != 0)
        return false;
    *application = bytes_of(user_data.ptr + PROTOCOL_BOUND_LEN, user_data.len - PROTOCOL_BOUND_LEN);
    return true;
}

/* As it was before, where writing failed half-way. */
static enum err finish(const struct cbor_writer *w, size_t before)
{
    const enum err err = cbor_writer_finish(w);
    if (err != ERR_OK)
        w->out->len = before;
    return err;
}

enum err protocol_wrap_aad(const char *format, const uint8_t document_digest[static SHA384_LEN],
                           const char *name, uint32_t version, struct buf *out)
{
    const size_t before = out->len;
    struct cbor_writer w;
    cbor_writer_init(&w, out);
    cbor_writer_array(&w, 5);
    cbor_writer_cstr(&w, PROTOCOL_WRAP_INFO);
    cbor_writer_cstr(&w, format);
    cbor_writer_bytes(&w, bytes_of(document_digest, SHA384_LEN));
    cbor_writer_cstr(&w, name);
    cbor_writer_uint(&w, version);
    return finish(&w, before);
}

enum err protocol_put_aad(const uint8_t store_id[static PROTOCOL_STORE_ID_LEN], const char *name,
                          uint32_t version,
                          const uint8_t challenge[static PROTOCOL_PUT_CHALLENGE_LEN],
                          struct buf *out)
{
    const size_t before = out->len;
    struct cbor_writer w;
    cbor_writer_init(&w, out);
    cbor_writer_array(&w, 5);
    cbor_writer_cstr(&w, PROTOCOL_PUT_INFO);
    cbor_writer_bytes(&w, bytes_of(store_id, PROTOCOL_STORE_ID_LEN));
    cbor_writer_cstr(&w, name);
    cbor_writer_uint(&w, version);
    cbor_writer_bytes(&w, bytes_of(challenge, PROTOCOL_PUT_CHALLENGE_LEN));
    return finish(&w, before);
}
