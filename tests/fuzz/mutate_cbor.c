/* The mutator of CBOR: it reads items by itself, leniently, so that what the reader under
 * test refuses is changed as well. */
#include "fuzz.h"

#define ITEMS_MAX 512
#define DEPTH_MAX 12

enum { MAJOR_UINT, MAJOR_NINT, MAJOR_BYTES, MAJOR_TEXT, MAJOR_ARRAY, MAJOR_MAP, MAJOR_TAG };

struct item {
    size_t at;
    size_t content; /* where the head ends */
    size_t end;     /* of all that is inside */
    unsigned major;
    bool indefinite;
    uint64_t value;
    size_t parent; /* in the list; ITEMS_MAX: none */
};

struct items {
    const uint8_t *data;
    size_t size;
    size_t count;
    struct item item[ITEMS_MAX];
};

/* The head at `at`; false where the input ends first. */
static bool read_head(const struct items *items, size_t at, struct item *out)
{
    if (at >= items->size)
        return false;
    const uint8_t initial = items->data[at];
    const unsigned info = initial & 0x1f;
    const size_t len = info < 24 || info > 27 ? 0 : (size_t)1 << (info - 24);
    if (len >= items->size - at)
        return false;
    *out = (struct item){.at = at, .major = initial >> 5, .indefinite = info == 31, .value = info};
    if (len > 0)
        out->value = 0;
    for (size_t i = 0; i < len; i++)
        out->value = out->value << 8 | items->data[at + 1 + i];
    out->content = out->end = at + 1 + len;
    return true;
}

/* One item and all inside it; false where it is not whole. */
static bool read_item(struct items *items, size_t at, size_t parent, unsigned depth, size_t *end)
{
    struct item item;
    if (items->count == ITEMS_MAX || depth == 0 || !read_head(items, at, &item))
        return false;
    const size_t place = items->count++;
    item.parent = parent;
    const bool string = item.major == MAJOR_BYTES || item.major == MAJOR_TEXT;
    const bool container = item.major == MAJOR_ARRAY || item.major == MAJOR_MAP;
    if (string && (item.indefinite || item.value > items->size - item.content))
        return false;
    if (string)
        item.end += item.value;
    uint64_t inside = item.major == MAJOR_TAG ? 1 : 0;
    if (container)
        inside = item.indefinite ? UINT64_MAX : item.value * (item.major == MAJOR_MAP ? 2 : 1);
    for (; inside > 0; inside--) {
        if (item.indefinite && item.end < items->size && items->data[item.end] == 0xff) {
            item.end++;
            break;
        }
        if (!read_item(items, item.end, place, depth - 1, &item.end))
            return false;
    }
    items->item[place] = item;
    *end = item.end;
    return true;
}

static size_t write_head(uint8_t out[static 9], unsigned major, uint64_t value)
{
    const unsigned info = value < 24            ? (unsigned)value
                          : value <= UINT8_MAX  ? 24
                          : value <= UINT16_MAX ? 25
                          : value <= UINT32_MAX ? 26
                                                : 27;
    const size_t len = info < 24 ? 0 : (size_t)1 << (info - 24);
    out[0] = (uint8_t)(major << 5 | info);
    for (size_t i = 0; i < len; i++)
        out[1 + i] = (uint8_t)(value >> (8 * (len - 1 - i)));
    return 1 + len;
}

static size_t put_head(uint8_t *data, size_t size, size_t max_size, const struct item *item,
                       uint64_t value)
{
    uint8_t head[9];
    const size_t len = write_head(head, item->major, value);
    return fuzz_splice(data, size, max_size, item->at, item->content, bytes_of(head, len));
}

static size_t change_string(uint8_t *data, size_t size, size_t max_size, const struct item *item)
{
    uint8_t content[4096];
    const size_t len = item->end - item->content;
    if (len > sizeof content)
        return LLVMFuzzerMutate(data, size, max_size);
    memcpy(content, data + item->content, len);
    const size_t most = 2 * len + 16 < sizeof content ? 2 * len + 16 : sizeof content;
    const size_t new_len = LLVMFuzzerMutate(content, len, most);
    const size_t new_size =
        fuzz_splice(data, size, max_size, item->content, item->end, bytes_of(content, new_len));
    if (new_size - new_len != size - len) /* it did not fit */
        return size;
    return put_head(data, new_size, max_size, item, new_len);
}

static size_t change_number(uint8_t *data, size_t size, size_t max_size, const struct item *item,
                            unsigned *seed)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     15,
                                     16,
                                     17,
                                     23,
                                     24,
                                     31,
                                     32,
                                     48,
                                     255,
                                     256,
                                     1024,
                                     65535,
                                     65536,
                                     INT32_MAX,
                                     UINT32_MAX,
                                     1000000000,
                                     UINT64_C(1) << 53,
                                     INT64_MAX,
                                     UINT64_MAX,
                                     UINT64_MAX - 1};
    const uint32_t choice = fuzz_choose(seed, ARRAY_LEN(edges) + 4);
    const uint64_t value = choice < ARRAY_LEN(edges) ? edges[choice]
                           : choice % 2 == 0         ? item->value + 1
                                                     : item->value - 1;
    return put_head(data, size, max_size, item, value);
}

/* An entry of a definite container, dropped or doubled, and the count with it.  In a map
 * that is a key with its value. */
static size_t change_entry(uint8_t *data, size_t size, size_t max_size, const struct items *items,
                           size_t place, unsigned *seed)
{
    const struct item *container = &items->item[place];
    const size_t width = container->major == MAJOR_MAP ? 2 : 1;
    size_t entry[ITEMS_MAX];
    size_t count = 0;
    for (size_t i = place + 1; i < items->count; i++) {
        if (items->item[i].parent == place)
            entry[count++] = i;
    }
    if (count < width)
        return LLVMFuzzerMutate(data, size, max_size);
    const size_t first = fuzz_choose(seed, (uint32_t)(count / width)) * width;
    const size_t at = items->item[entry[first]].at;
    const size_t end = items->item[entry[first + width - 1]].end;
    uint8_t copy[4096];
    const bool twice = fuzz_choose(seed, 2) == 0 && end - at <= sizeof copy;
    if (twice)
        memcpy(copy, data + at, end - at);
    const size_t new_size =
        twice ? fuzz_splice(data, size, max_size, end, end, bytes_of(copy, end - at))
              : fuzz_splice(data, size, max_size, at, end, bytes_of(copy, 0));
    if (new_size == size || container->indefinite)
        return new_size;
    return put_head(data, new_size, max_size, container,
                    twice ? container->value + 1 : container->value - 1);
}

/* One item in place of another; or both exchanged, where neither is inside the other. */
static size_t move_item(uint8_t *data, size_t size, size_t max_size, const struct items *items,
                        unsigned *seed)
{
    uint8_t one[4096], two[4096];
    const struct item *a = &items->item[fuzz_choose(seed, (uint32_t)items->count)];
    const struct item *b = &items->item[fuzz_choose(seed, (uint32_t)items->count)];
    if (a->at > b->at) {
        const struct item *swap = a;
        a = b;
        b = swap;
    }
    const struct bytes from_a = bytes_of(one, a->end - a->at);
    const struct bytes from_b = bytes_of(two, b->end - b->at);
    if (from_a.len > sizeof one || from_b.len > sizeof two)
        return LLVMFuzzerMutate(data, size, max_size);
    memcpy(one, data + a->at, from_a.len);
    memcpy(two, data + b->at, from_b.len);
    if (a->end <= b->at && fuzz_choose(seed, 2) == 0)
        size = fuzz_splice(data, size, max_size, b->at, b->end, from_a);
    return fuzz_splice(data, size, max_size, a->at, a->end, from_b);
}

size_t fuzz_mutate_cbor(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static struct items items;
    items = (struct items){.data = data, .size = size};
    size_t end = 0;
    while (end < size && read_item(&items, end, ITEMS_MAX, DEPTH_MAX, &end))
        ;
    /* What is not whole has unfinished entries in the list. */
    if (end < size || items.count == 0 || fuzz_choose(&seed, 8) == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    const size_t place = fuzz_choose(&seed, (uint32_t)items.count);
    const struct item *item = &items.item[place];
    if (fuzz_choose(&seed, 4) == 0)
        return move_item(data, size, max_size, &items, &seed);
    switch (item->major) {
    case MAJOR_BYTES:
    case MAJOR_TEXT:
        return change_string(data, size, max_size, item);
    case MAJOR_ARRAY:
    case MAJOR_MAP:
        return change_entry(data, size, max_size, &items, place, &seed);
    case MAJOR_UINT:
    case MAJOR_NINT:
    case MAJOR_TAG:
        return change_number(data, size, max_size, item, &seed);
    default:
        return LLVMFuzzerMutate(data, size, max_size);
    }
}
