/* Who may do what: the rights by name, which tokens count, and sets of images. */
#include <stdlib.h>

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "policy.h"
#include "row_form.h"

/* --- Rights --- */

const struct policy_right_name policy_rights[POLICY_RIGHTS] = {
    {RIGHT_VIEW, "view"},       {RIGHT_DRAFT, "draft"},   {RIGHT_ACTIVATE, "activate"},
    {RIGHT_CUSTODY, "custody"}, {RIGHT_PEOPLE, "people"},
};

/* The names in a list joined by commas, one after the other. */
static bool next_name(struct bytes *list, struct bytes *name)
{
    if (list->ptr == NULL)
        return false;
    const uint8_t *comma = list->len == 0 ? NULL : memchr(list->ptr, ',', list->len);
    *name = bytes_of(list->ptr, comma == NULL ? list->len : (size_t)(comma - list->ptr));
    *list = comma == NULL ? bytes_of(NULL, 0) : bytes_of(comma + 1, list->len - name->len - 1);
    return true;
}

enum err policy_rights_parse(struct bytes list, uint32_t *out, struct fault *fault)
{
    uint32_t rights = 0;
    for (struct bytes name; next_name(&list, &name);) {
        uint32_t bit = 0;
        for (size_t i = 0; i < POLICY_RIGHTS; i++)
            bit |= bytes_equal_text(name, policy_rights[i].name) ? policy_rights[i].right : 0;
        if (bit == 0)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "rights"), ERR_MALFORMED,
                 "view, draft, activate, custody or people is expected, joined by commas");
        rights |= bit;
    }
    *out = rights;
    return ERR_OK;
}

/* --- Tokens --- */

enum token_life policy_token_life(const struct policy *policy, const struct policy_token *token,
                                  uint64_t now_ms)
{
    const struct policy_person *person = policy_person_get(policy, token->person_id);
    if (person == NULL || person->state != POLICY_ACTIVE)
        return TOKEN_PERSON_REMOVED;
    if (token->state != POLICY_ACTIVE)
        return TOKEN_REVOKED;
    return token->expires_ms == POLICY_NO_TIME || now_ms < token->expires_ms ? TOKEN_COUNTS
                                                                             : TOKEN_EXPIRED;
}

/* --- Sets of images --- */

static int compare_names(const void *a, const void *b)
{
    const struct bytes x = *(const struct bytes *)a;
    const struct bytes y = *(const struct bytes *)b;
    const int order = memcmp(x.ptr, y.ptr, x.len < y.len ? x.len : y.len);
    return order != 0 ? order : (x.len > y.len) - (x.len < y.len);
}

enum err image_set_append(struct bytes list, struct buf *out, struct fault *fault)
{
    struct bytes name[IMAGE_SET_MAX];
    struct cbor_writer w;
    size_t count = 0;
    size_t distinct = 0;
    for (struct bytes next; next_name(&list, &next);) {
        if (!protocol_image_valid(next) || count == IMAGE_SET_MAX)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "images"), ERR_MALFORMED,
                 "1..%d images joined by commas are expected, each 1..63 of a-z 0-9 . _ - that "
                 "begin with a letter or digit",
                 IMAGE_SET_MAX);
        name[count++] = next;
    }
    if (count == 0)
        return ERR_INTERNAL; /* no images would come back as all of them */
    qsort(name, count, sizeof name[0], compare_names);
    for (size_t i = 0; i < count; i++) {
        if (distinct == 0 || compare_names(&name[distinct - 1], &name[i]) != 0)
            name[distinct++] = name[i];
    }
    cbor_writer_init(&w, out);
    cbor_writer_array(&w, distinct);
    for (size_t i = 0; i < distinct; i++)
        cbor_writer_text(&w, name[i]);
    return cbor_writer_finish(&w);
}

enum err image_set_parse(struct bytes encoded, struct image_set *out)
{
    struct image_set set;
    struct cbor_reader r;
    uint64_t count;
    cbor_reader_init(&r, encoded, 0, "images", NULL);
    if (cbor_reader_array(&r, &count) != ERR_OK || count < 1 || count > IMAGE_SET_MAX)
        return ERR_STORE_TAMPERED;
    for (size_t i = 0; i < count; i++) {
        if (cbor_reader_text(&r, &set.name[i]) != ERR_OK || !protocol_image_valid(set.name[i]) ||
            (i > 0 && compare_names(&set.name[i - 1], &set.name[i]) >= 0))
            return ERR_STORE_TAMPERED;
    }
    if (cbor_reader_end(&r) != ERR_OK)
        return ERR_STORE_TAMPERED;
    set.count = (size_t)count;
    *out = set;
    return ERR_OK;
}

bool image_set_valid(struct bytes encoded)
{
    struct image_set set;
    return image_set_parse(encoded, &set) == ERR_OK;
}

bool image_set_has(struct bytes encoded, struct bytes image)
{
    struct image_set set;
    if (image_set_parse(encoded, &set) != ERR_OK)
        return false;
    for (size_t i = 0; i < set.count; i++) {
        if (bytes_equal(set.name[i], image))
            return true;
    }
    return false;
}
