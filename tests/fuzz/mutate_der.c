/* The mutator of DER: one element is changed, and every length around it follows. */
#include "fuzz.h"

#define DEPTH_MAX 12

enum { TAG_OCTET_STRING = 0x04, TAG_CONSTRUCTED = 0x20 };

/* Which element changes, in the order in which they begin, and how. */
struct edit {
    size_t count; /* so many have been met */
    size_t target;
    unsigned seed;
};

/* One element off the front; lengths of at most two bytes, shortest form or not. */
static bool take_element(struct bytes *in, uint8_t *tag, struct bytes *content)
{
    struct bytes rest = *in;
    *tag = fuzz_take_byte(&rest);
    size_t len = fuzz_take_byte(&rest);
    if (in->len < 2 || (len >= 0x80 && len != 0x81 && len != 0x82) || (len > 0x80 && rest.len < 2))
        return false;
    if (len == 0x81) {
        len = fuzz_take_byte(&rest);
    } else if (len == 0x82) {
        len = (size_t)fuzz_take_byte(&rest) << 8;
        len |= fuzz_take_byte(&rest);
    }
    if (len > rest.len)
        return false;
    *content = fuzz_take(&rest, len);
    *in = rest;
    return true;
}

static void put_element(struct buf *out, uint8_t tag, struct bytes content)
{
    uint8_t head[4] = {tag, (uint8_t)content.len};
    size_t len = 2;
    if (content.len > 0xff) {
        head[1] = 0x82;
        head[2] = (uint8_t)(content.len >> 8);
        head[3] = (uint8_t)content.len;
        len = 4;
    } else if (content.len >= 0x80) {
        head[1] = 0x81;
        head[2] = (uint8_t)content.len;
        len = 3;
    }
    FUZZ_OK(buf_append(out, bytes_of(head, len)));
    FUZZ_OK(buf_append(out, content));
}

/* The values of extensions are DER inside of octet strings. */
static bool holds_elements(uint8_t tag, struct bytes content)
{
    if ((tag & TAG_CONSTRUCTED) != 0)
        return true;
    if (tag != TAG_OCTET_STRING || content.len < 2)
        return false;
    while (content.len > 0) {
        struct bytes inner;
        if (!take_element(&content, &tag, &inner))
            return false;
    }
    return true;
}

static void put_changed(struct buf *out, struct edit *edit, uint8_t tag, struct bytes content)
{
    uint8_t changed[2048];
    size_t len = content.len;
    switch (fuzz_choose(&edit->seed, 8)) {
    case 0: /* dropped */
        return;
    case 1: /* twice */
        put_element(out, tag, content);
        break;
    case 2:
        tag ^= (uint8_t)(1u << fuzz_choose(&edit->seed, 8));
        break;
    default:
        if (len > sizeof changed / 2)
            break;
        if (len > 0)
            memcpy(changed, content.ptr, len);
        len = LLVMFuzzerMutate(changed, len, len + 8);
        content = bytes_of(changed, len);
        break;
    }
    put_element(out, tag, content);
}

static void put_all(struct buf *out, struct edit *edit, struct bytes in, unsigned depth)
{
    while (in.len > 0) {
        uint8_t tag;
        struct bytes content;
        if (depth == 0 || !take_element(&in, &tag, &content)) {
            FUZZ_OK(buf_append(out, in));
            return;
        }
        CLEANUP(buf_free) struct buf inner = {0};
        const size_t place = edit->count++;
        if (holds_elements(tag, content)) {
            put_all(&inner, edit, content, depth - 1);
            content = bytes_of_buf(&inner);
        }
        if (place == edit->target)
            put_changed(out, edit, tag, content);
        else
            put_element(out, tag, content);
    }
}

void fuzz_mutate_der(struct bytes in, unsigned *seed, struct buf *out)
{
    CLEANUP(buf_free) struct buf same = {0};
    struct edit edit = {.target = SIZE_MAX};
    put_all(&same, &edit, in, DEPTH_MAX);
    if (edit.count == 0)
        return;
    edit = (struct edit){.target = fuzz_choose(seed, (uint32_t)edit.count),
                         .seed = fuzz_choose(seed, UINT32_MAX)};
    put_all(out, &edit, in, DEPTH_MAX);
}
