/* The two CBOR maps inside a measurement's row: its PCRs and its labels. */
#include <stdlib.h>

#include "policy.h"
#include "row_form.h"

#define LABELS_MAX      64
#define LABEL_VALUE_MAX 1024

/* --- PCRs --- */

enum err pcr_set_append(const struct pcr_set *set, struct buf *out)
{
    const size_t before = out->len;
    struct cbor_writer w;
    if (set->present == 0)
        return ERR_INTERNAL; /* an empty set would match every document */
    cbor_writer_init(&w, out);
    cbor_writer_map(&w, (size_t)__builtin_popcount(set->present));
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if ((set->present >> i & 1) == 0)
            continue;
        cbor_writer_uint(&w, i);
        cbor_writer_bytes(&w, bytes_of(set->value[i], ATTDOC_PCR_LEN));
    }
    const enum err err = cbor_writer_finish(&w);
    if (err != ERR_OK)
        out->len = before;
    return err;
}

static enum err read_pcrs(struct bytes encoded, struct pcr_set *set)
{
    struct cbor_reader r;
    struct cbor_map map;
    uint64_t lowest = 0;
    cbor_reader_init(&r, encoded, 0, "pcrs", NULL);
    TRY(cbor_reader_map(&r, false, &map));
    if (map.left < 1)
        return ERR_STORE_TAMPERED;
    for (;;) {
        uint64_t index;
        struct bytes value;
        bool more;
        TRY(cbor_reader_map_more(&r, &map, &more));
        if (!more)
            return cbor_reader_end(&r);
        TRY(cbor_reader_uint(&r, &index));
        TRY(cbor_reader_bytes(&r, &value));
        if (index < lowest || index >= ATTDOC_PCR_COUNT || value.len != ATTDOC_PCR_LEN)
            return ERR_STORE_TAMPERED;
        memcpy(set->value[index], value.ptr, ATTDOC_PCR_LEN);
        set->present |= UINT32_C(1) << index;
        lowest = index + 1;
    }
}

enum err pcr_set_parse(struct bytes encoded, struct pcr_set *out)
{
    struct pcr_set set = {0};
    if (read_pcrs(encoded, &set) != ERR_OK)
        return ERR_STORE_TAMPERED;
    *out = set;
    return ERR_OK;
}

/* --- Labels --- */

struct label {
    struct bytes name;
    struct bytes value;
};

/* RFC 8949 section 4.2.1: shorter names first, then by bytes. */
static int compare_labels(const void *a, const void *b)
{
    const struct bytes x = ((const struct label *)a)->name;
    const struct bytes y = ((const struct label *)b)->name;
    if (x.len != y.len)
        return x.len < y.len ? -1 : 1;
    return memcmp(x.ptr, y.ptr, x.len);
}

static enum err read_labels(struct bytes encoded, struct label label[static LABELS_MAX],
                            size_t *count)
{
    struct cbor_reader r;
    struct cbor_map map;
    cbor_reader_init(&r, encoded, 0, "labels", NULL);
    TRY(cbor_reader_map(&r, false, &map));
    if (map.left > LABELS_MAX)
        return ERR_TOO_LARGE;
    for (*count = 0;; (*count)++) {
        struct label *l = &label[*count];
        bool more;
        TRY(cbor_reader_map_more(&r, &map, &more));
        if (!more)
            return cbor_reader_end(&r);
        TRY(cbor_reader_text(&r, &l->name));
        TRY(cbor_reader_text(&r, &l->value));
        if (l->name.len < 1 || l->name.len >= POLICY_LABEL_MAX || l->value.len > LABEL_VALUE_MAX ||
            memchr(l->name.ptr, '\0', l->name.len) != NULL)
            return ERR_MALFORMED;
    }
}

bool labels_valid(struct bytes encoded)
{
    struct label label[LABELS_MAX];
    size_t count;
    if (read_labels(encoded, label, &count) != ERR_OK)
        return false;
    for (size_t i = 1; i < count; i++) {
        if (compare_labels(&label[i - 1], &label[i]) >= 0)
            return false;
    }
    return true;
}

enum err labels_append(struct bytes given, struct buf *out)
{
    struct label label[LABELS_MAX];
    struct cbor_writer w;
    size_t count;
    TRY(read_labels(given, label, &count));
    qsort(label, count, sizeof label[0], compare_labels);
    cbor_writer_init(&w, out);
    cbor_writer_map(&w, count);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && compare_labels(&label[i - 1], &label[i]) == 0)
            return ERR_CBOR_DUPLICATE;
        cbor_writer_text(&w, label[i].name);
        cbor_writer_text(&w, label[i].value);
    }
    return cbor_writer_finish(&w);
}
