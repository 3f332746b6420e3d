#include "cbor_reader.h"

#include <inttypes.h>

#include "cbor_head.h"
#include "codec.h"

#define SIMPLE_MIN 32 /* RFC 8949 section 3.3: the least that takes two bytes */

/* What is not a strict item, and yet allowed at this one place. */
enum allowance { ALLOW_NOTHING, ALLOW_INDEFINITE_MAP, ALLOW_BREAK };

/* One head as it is being read. */
struct head {
    size_t offset; /* into the reader's input */
    size_t len;    /* without a string's content */
    unsigned major;
    unsigned info; /* additional information */
};

/* An item whose head was read. */
struct decoded {
    enum cbor_kind kind;
    uint64_t value;
    struct bytes string;
};

struct fault *cbor_reader_fault(const struct cbor_reader *r, size_t offset)
{
    const char *field = r->field != NULL ? r->field : "";
    if (r->indexed)
        return fault_at(r->fault, r->base + offset, "%s[%" PRIu64 "]", field, r->index);
    return fault_at(r->fault, r->base + offset, "%s", field);
}

static const char *kind_name(enum cbor_kind kind)
{
    static const char *const names[] = {
        [CBOR_KIND_UINT] = "an unsigned integer",
        [CBOR_KIND_NINT] = "a negative integer",
        [CBOR_KIND_BYTES] = "a byte string",
        [CBOR_KIND_TEXT] = "a text string",
        [CBOR_KIND_ARRAY] = "an array",
        [CBOR_KIND_MAP] = "a map",
        [CBOR_KIND_TAG] = "a tag",
        [CBOR_KIND_FALSE] = "false",
        [CBOR_KIND_TRUE] = "true",
        [CBOR_KIND_NULL] = "null",
        [CBOR_KIND_UNDEFINED] = "undefined",
        [CBOR_KIND_SIMPLE] = "a simple value",
        [CBOR_KIND_FLOAT] = "a float",
        [CBOR_KIND_BREAK] = "a break",
    };
    return names[kind];
}

/* The initial byte and how long the head is; says nothing yet about lengths of
 * content.  RFC 8949 section 3. */
static enum err split_head(const struct cbor_reader *r, struct head *out)
{
    if (r->pos >= r->in.len) /* CBOR-1 */
        FAIL(cbor_reader_fault(r, r->pos), ERR_CBOR_MALFORMED,
             "the input ends where an item is expected");
    const uint8_t initial = r->in.ptr[r->pos];
    struct head head = {.offset = r->pos, .len = 1, .major = initial >> 5, .info = initial & 0x1f};
    if (head.info > CBOR_AI_EIGHT_BYTES && head.info < CBOR_AI_INDEFINITE) /* CBOR-2 */
        FAIL(cbor_reader_fault(r, r->pos), ERR_CBOR_MALFORMED, "0x%02x is a reserved initial byte",
             initial);
    if (head.info >= CBOR_AI_ONE_BYTE && head.info <= CBOR_AI_EIGHT_BYTES)
        head.len += (size_t)1 << (head.info - CBOR_AI_ONE_BYTE);
    if (head.len > r->in.len - r->pos) /* CBOR-3 */
        FAIL(cbor_reader_fault(r, r->pos), ERR_CBOR_MALFORMED,
             "the input ends inside an item's head");
    *out = head;
    return ERR_OK;
}

/* Heads of indefinite length, and the break, which looks like one. */
static enum err read_indefinite(const struct cbor_reader *r, const struct head *head,
                                enum allowance allow, struct cbor_item *out)
{
    switch (head->major) {
    case CBOR_MAJOR_BYTES:
    case CBOR_MAJOR_TEXT: /* CBOR-4 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_NOT_STRICT,
             "a string of indefinite length");
    case CBOR_MAJOR_ARRAY: /* CBOR-4 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_NOT_STRICT,
             "an array of indefinite length");
    case CBOR_MAJOR_MAP:
        if (allow != ALLOW_INDEFINITE_MAP) /* CBOR-4 */
            FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_NOT_STRICT,
                 "a map of indefinite length");
        *out = (struct cbor_item){.kind = CBOR_KIND_MAP, .indefinite = true};
        return ERR_OK;
    case CBOR_MAJOR_SIMPLE:
        if (allow != ALLOW_BREAK) /* CBOR-5 */
            FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_MALFORMED,
                 "a break where an item is expected");
        *out = (struct cbor_item){.kind = CBOR_KIND_BREAK};
        return ERR_OK;
    default: /* CBOR-6 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_MALFORMED,
             "a number or a tag cannot be of indefinite length");
    }
}

/* A simple value, which classify_simple is to look at. */
static bool is_simple(const struct head *head)
{
    return head->major == CBOR_MAJOR_SIMPLE && head->info <= CBOR_AI_ONE_BYTE;
}

static enum err decode_head(const struct cbor_reader *r, const struct head *head,
                            struct decoded *out)
{
    static const enum cbor_kind kinds[] = {
        [CBOR_MAJOR_UINT] = CBOR_KIND_UINT,   [CBOR_MAJOR_NINT] = CBOR_KIND_NINT,
        [CBOR_MAJOR_BYTES] = CBOR_KIND_BYTES, [CBOR_MAJOR_TEXT] = CBOR_KIND_TEXT,
        [CBOR_MAJOR_ARRAY] = CBOR_KIND_ARRAY, [CBOR_MAJOR_MAP] = CBOR_KIND_MAP,
        [CBOR_MAJOR_TAG] = CBOR_KIND_TAG,     [CBOR_MAJOR_SIMPLE] = CBOR_KIND_FLOAT,
    };
    const struct cbor_head split = {.len = head->len, .major = head->major, .info = head->info};
    struct cbor_content content = {0};
    const enum cbor_head_result result = cbor_head_read(
        bytes_of(r->in.ptr + head->offset, r->in.len - head->offset), &split, &content);
    if (result == CBOR_HEAD_SHORT) /* CBOR-7 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_MALFORMED,
             "the input ends inside a string");
    if (result != CBOR_HEAD_READ) /* CBOR-8 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_MALFORMED, "not a CBOR item");
    *out = (struct decoded){
        .kind = kinds[head->major], .value = content.argument, .string = content.string};
    return ERR_OK;
}

/* False and its kin: RFC 8949 section 3.3. */
static enum err classify_simple(const struct cbor_reader *r, const struct head *head,
                                struct decoded *decoded)
{
    static const enum cbor_kind named[] = {
        [20] = CBOR_KIND_FALSE,
        [21] = CBOR_KIND_TRUE,
        [22] = CBOR_KIND_NULL,
        [23] = CBOR_KIND_UNDEFINED,
    };
    if (head->info == CBOR_AI_ONE_BYTE && decoded->value < SIMPLE_MIN) /* CBOR-9 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_MALFORMED,
             "simple value %" PRIu64 " in two bytes", decoded->value);
    const bool is_named = decoded->value >= 20 && decoded->value < ARRAY_LEN(named);
    decoded->kind = is_named ? named[decoded->value] : CBOR_KIND_SIMPLE;
    return ERR_OK;
}

/* Whether what is announced can be there at all: an entry takes a byte at least. */
static enum err check_count(const struct cbor_reader *r, const struct head *head,
                            const struct decoded *decoded)
{
    const size_t left = r->in.len - head->offset - head->len;
    if (decoded->kind == CBOR_KIND_ARRAY && decoded->value > left) /* CBOR-10 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_MALFORMED,
             "an array of length %" PRIu64 " in %zu byte%s", decoded->value, left, plural(left));
    if (decoded->kind == CBOR_KIND_MAP && decoded->value > left / 2) /* CBOR-10 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_MALFORMED,
             "a map of size %" PRIu64 " in %zu byte%s", decoded->value, left, plural(left));
    if (decoded->kind == CBOR_KIND_TAG && left == 0) /* CBOR-10 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_MALFORMED, "the input ends after a tag");
    return ERR_OK;
}

/* RFC 8949 section 4.2.1: the argument as short as it can be.  (A float's length says
 * how precise it is; a simple value's was checked.) */
static enum err check_shortest(const struct cbor_reader *r, const struct head *head,
                               const struct decoded *decoded)
{
    if (head->major == CBOR_MAJOR_SIMPLE)
        return ERR_OK;
    const uint64_t value = decoded->value;
    const size_t shortest = value < CBOR_AI_ONE_BYTE ? 1
                            : value <= UINT8_MAX     ? 2
                            : value <= UINT16_MAX    ? 3
                            : value <= UINT32_MAX    ? 5
                                                     : CBOR_HEAD_LEN_MAX;
    if (head->len != shortest) /* CBOR-11 */
        FAIL(cbor_reader_fault(r, head->offset), ERR_CBOR_NOT_STRICT,
             "%" PRIu64 " written in %zu bytes instead of %zu", value, head->len, shortest);
    return ERR_OK;
}

/* The item at the reader's position, which stays; `*next` is where it ends. */
static enum err read_item(const struct cbor_reader *r, enum allowance allow, struct cbor_item *out,
                          size_t *next)
{
    struct head head = {0};
    TRY(split_head(r, &head));
    struct cbor_item item = {0};
    if (head.info == CBOR_AI_INDEFINITE) {
        TRY(read_indefinite(r, &head, allow, &item));
    } else {
        struct decoded decoded = {0};
        TRY(decode_head(r, &head, &decoded));
        if (is_simple(&head))
            TRY(classify_simple(r, &head, &decoded));
        TRY(check_count(r, &head, &decoded));
        TRY(check_shortest(r, &head, &decoded));
        if (decoded.kind == CBOR_KIND_TEXT && !utf8_valid(decoded.string)) /* CBOR-12 */
            FAIL(cbor_reader_fault(r, head.offset), ERR_UTF8,
                 "a text string of %zu byte%s is not UTF-8", decoded.string.len,
                 plural(decoded.string.len));
        item = (struct cbor_item){
            .kind = decoded.kind, .value = decoded.value, .string = decoded.string};
    }
    item.offset = r->base + head.offset;
    *out = item;
    *next = head.offset + head.len + item.string.len;
    return ERR_OK;
}

/* As read_item, but only of that kind; passes over it. */
static enum err read_kind(struct cbor_reader *r, enum cbor_kind kind, enum allowance allow,
                          struct cbor_item *out)
{
    size_t next = 0;
    struct cbor_item item = {0};
    TRY(read_item(r, allow, &item, &next));
    if (item.kind != kind) /* CBOR-13 */
        FAIL(cbor_reader_fault(r, r->pos), ERR_CBOR_TYPE, "expected %s, found %s", kind_name(kind),
             kind_name(item.kind));
    r->pos = next;
    *out = item;
    return ERR_OK;
}

void cbor_reader_init(struct cbor_reader *r, struct bytes in, size_t base, const char *field,
                      struct fault *fault)
{
    *r = (struct cbor_reader){.in = in, .base = base, .field = field, .fault = fault};
}

void cbor_reader_at(struct cbor_reader *r, const char *field)
{
    r->field = field;
    r->indexed = false;
}

void cbor_reader_at_entry(struct cbor_reader *r, const char *field, uint64_t index)
{
    r->field = field;
    r->indexed = true;
    r->index = index;
}

enum err cbor_reader_next(struct cbor_reader *r, struct cbor_item *out)
{
    return read_item(r, ALLOW_NOTHING, out, &r->pos);
}

enum err cbor_reader_peek(struct cbor_reader *r, struct cbor_item *out)
{
    size_t next = 0;
    return read_item(r, ALLOW_NOTHING, out, &next);
}

enum err cbor_reader_uint(struct cbor_reader *r, uint64_t *out)
{
    struct cbor_item item = {0};
    TRY(read_kind(r, CBOR_KIND_UINT, ALLOW_NOTHING, &item));
    *out = item.value;
    return ERR_OK;
}

enum err cbor_reader_bool(struct cbor_reader *r, bool *out)
{
    size_t next = 0;
    struct cbor_item item = {0};
    TRY(read_item(r, ALLOW_NOTHING, &item, &next));
    if (item.kind != CBOR_KIND_TRUE && item.kind != CBOR_KIND_FALSE)
        FAIL(cbor_reader_fault(r, r->pos), ERR_CBOR_TYPE, "expected true or false, found %s",
             kind_name(item.kind));
    r->pos = next;
    *out = item.kind == CBOR_KIND_TRUE;
    return ERR_OK;
}

enum err cbor_reader_bytes(struct cbor_reader *r, struct bytes *out)
{
    struct cbor_item item = {0};
    TRY(read_kind(r, CBOR_KIND_BYTES, ALLOW_NOTHING, &item));
    *out = item.string;
    return ERR_OK;
}

enum err cbor_reader_text(struct cbor_reader *r, struct bytes *out)
{
    struct cbor_item item = {0};
    TRY(read_kind(r, CBOR_KIND_TEXT, ALLOW_NOTHING, &item));
    *out = item.string;
    return ERR_OK;
}

enum err cbor_reader_array(struct cbor_reader *r, uint64_t *count)
{
    struct cbor_item item = {0};
    TRY(read_kind(r, CBOR_KIND_ARRAY, ALLOW_NOTHING, &item));
    *count = item.value;
    return ERR_OK;
}

enum err cbor_reader_map(struct cbor_reader *r, bool allow_indefinite, struct cbor_map *out)
{
    const enum allowance allow = allow_indefinite ? ALLOW_INDEFINITE_MAP : ALLOW_NOTHING;
    struct cbor_item item = {0};
    TRY(read_kind(r, CBOR_KIND_MAP, allow, &item));
    *out = (struct cbor_map){.indefinite = item.indefinite, .left = item.value};
    return ERR_OK;
}

enum err cbor_reader_map_more(struct cbor_reader *r, struct cbor_map *map, bool *more)
{
    if (!map->indefinite) {
        *more = map->left > 0;
        map->left -= *more ? 1 : 0;
        return ERR_OK;
    }
    size_t next = 0;
    struct cbor_item item = {0};
    TRY(read_item(r, ALLOW_BREAK, &item, &next));
    if (item.kind == CBOR_KIND_BREAK)
        r->pos = next;
    *more = item.kind != CBOR_KIND_BREAK;
    return ERR_OK;
}

enum err cbor_reader_expect_array(struct cbor_reader *r, uint64_t count)
{
    struct cbor_reader ahead = *r;
    uint64_t found = 0;
    TRY(cbor_reader_array(&ahead, &found));
    if (found != count)
        FAIL(cbor_reader_fault(r, r->pos), ERR_CBOR_TYPE,
             "expected an array of %" PRIu64 " entries, found one of %" PRIu64, count, found);
    r->pos = ahead.pos;
    return ERR_OK;
}

enum err cbor_reader_expect_uint(struct cbor_reader *r, uint64_t value)
{
    struct cbor_reader ahead = *r;
    uint64_t found = 0;
    TRY(cbor_reader_uint(&ahead, &found));
    if (found != value)
        FAIL(cbor_reader_fault(r, r->pos), ERR_CBOR_TYPE, "expected %" PRIu64 ", found %" PRIu64,
             value, found);
    r->pos = ahead.pos;
    return ERR_OK;
}

/* Recursion as deep as the caller's own constant allows.  NOLINTNEXTLINE(misc-no-recursion) */
static enum err skip_items(struct cbor_reader *r, uint64_t count, unsigned depth)
{
    while (count > 0) {
        struct cbor_item item = {0};
        const size_t offset = r->pos;
        TRY(cbor_reader_next(r, &item));
        if (item.kind == CBOR_KIND_TAG)
            continue; /* the item that it belongs to follows */
        count--;
        if (item.kind != CBOR_KIND_ARRAY && item.kind != CBOR_KIND_MAP)
            continue;
        if (depth == 0) /* CBOR-14 */
            FAIL(cbor_reader_fault(r, offset), ERR_CBOR_NOT_STRICT,
                 "containers are nested too deep");
        TRY(skip_items(r, item.kind == CBOR_KIND_MAP ? 2 * item.value : item.value, depth - 1));
    }
    return ERR_OK;
}

enum err cbor_reader_skip(struct cbor_reader *r, unsigned depth)
{
    struct cbor_reader ahead = *r;
    TRY(skip_items(&ahead, 1, depth));
    r->pos = ahead.pos;
    return ERR_OK;
}

enum err cbor_reader_end(struct cbor_reader *r)
{
    if (r->pos != r->in.len) /* CBOR-15 */
        FAIL(cbor_reader_fault(r, r->pos), ERR_CBOR_TRAILING, "%zu byte%s after the end",
             r->in.len - r->pos, plural(r->in.len - r->pos));
    return ERR_OK;
}
