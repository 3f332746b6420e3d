/* The CBOR map inside a grant's row: PCRs that an enclave extends, and the values they may have. */
#include <openssl/crypto.h>
#include <stdlib.h>

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "policy.h"

/* --- Writing --- */

static int compare_values(const void *a, const void *b)
{
    return memcmp(a, b, ATTDOC_PCR_LEN);
}

/* A set: ascending and each once. */
static void append_values(struct cbor_writer *w, const uint8_t (*value)[ATTDOC_PCR_LEN],
                          size_t given)
{
    uint8_t sorted[PCR_CHOICES_MAX][ATTDOC_PCR_LEN];
    size_t count = 0;
    memcpy(sorted, value, given * sizeof sorted[0]);
    qsort(sorted, given, sizeof sorted[0], compare_values);
    for (size_t i = 0; i < given; i++) {
        if (count == 0 || memcmp(sorted[count - 1], sorted[i], sizeof sorted[0]) != 0)
            memmove(sorted[count++], sorted[i], sizeof sorted[0]);
    }
    cbor_writer_array(w, count);
    for (size_t i = 0; i < count; i++)
        cbor_writer_bytes(w, bytes_of(sorted[i], sizeof sorted[i]));
}

enum err pcr_choices_append(const struct pcr_choices *choices, struct buf *out)
{
    const size_t before = out->len;
    struct cbor_writer w;
    size_t indexes = 0;
    size_t all = 0;
    for (size_t i = 0; i < ARRAY_LEN(choices->count); i++) {
        if (choices->count[i] > PCR_CHOICES_MAX)
            return ERR_TOO_LARGE;
        indexes += choices->count[i] > 0;
        all += choices->count[i];
    }
    if (all > PCR_CHOICES_ALL)
        return ERR_TOO_LARGE;
    if (indexes == 0)
        return ERR_OK;
    cbor_writer_init(&w, out);
    cbor_writer_map(&w, indexes);
    for (size_t i = 0; i < ARRAY_LEN(choices->count); i++) {
        if (choices->count[i] == 0)
            continue;
        cbor_writer_uint(&w, PCR_CHOICES_FIRST + i);
        append_values(&w, choices->value[i], choices->count[i]);
    }
    const enum err err = cbor_writer_finish(&w);
    if (err != ERR_OK)
        out->len = before;
    return err;
}

/* --- Reading --- */

static enum err read_values(struct cbor_reader *r, uint8_t (*out)[ATTDOC_PCR_LEN], size_t *count)
{
    uint64_t given;
    TRY(cbor_reader_array(r, &given));
    if (given < 1 || given > PCR_CHOICES_MAX)
        return ERR_STORE_TAMPERED;
    for (size_t i = 0; i < given; i++) {
        struct bytes value;
        TRY(cbor_reader_bytes(r, &value));
        if (value.len != ATTDOC_PCR_LEN || bytes_all_zero(value) ||
            (i > 0 && memcmp(out[i - 1], value.ptr, ATTDOC_PCR_LEN) >= 0))
            return ERR_STORE_TAMPERED;
        memcpy(out[i], value.ptr, ATTDOC_PCR_LEN);
    }
    *count = (size_t)given;
    return ERR_OK;
}

static enum err read_choices(struct bytes encoded, struct pcr_choices *choices)
{
    struct cbor_reader r;
    struct cbor_map map;
    uint64_t lowest = PCR_CHOICES_FIRST;
    size_t all = 0;
    cbor_reader_init(&r, encoded, 0, "accepted", NULL);
    TRY(cbor_reader_map(&r, false, &map));
    if (map.left < 1)
        return ERR_STORE_TAMPERED;
    for (;;) {
        uint64_t index;
        bool more;
        TRY(cbor_reader_map_more(&r, &map, &more));
        if (!more)
            return cbor_reader_end(&r);
        TRY(cbor_reader_uint(&r, &index));
        if (index < lowest || index >= ATTDOC_PCR_COUNT)
            return ERR_STORE_TAMPERED;
        const size_t i = (size_t)index - PCR_CHOICES_FIRST;
        TRY(read_values(&r, choices->value[i], &choices->count[i]));
        lowest = index + 1;
        all += choices->count[i];
        if (all > PCR_CHOICES_ALL)
            return ERR_STORE_TAMPERED;
    }
}

enum err pcr_choices_parse(struct bytes encoded, struct pcr_choices *out)
{
    memset(out->count, 0, sizeof out->count);
    return read_choices(encoded, out) == ERR_OK ? ERR_OK : ERR_STORE_TAMPERED;
}

bool pcr_choices_valid(struct bytes encoded)
{
    struct pcr_choices choices;
    return pcr_choices_parse(encoded, &choices) == ERR_OK;
}

/* --- Matching --- */

static bool is_choice(const struct pcr_choices *choices, size_t i, const uint8_t *found)
{
    for (size_t n = 0; n < choices->count[i]; n++) {
        if (CRYPTO_memcmp(choices->value[i][n], found, ATTDOC_PCR_LEN) == 0)
            return true;
    }
    return false;
}

bool pcr_choices_match(struct bytes encoded, const uint8_t *const pcr[static ATTDOC_PCR_COUNT])
{
    struct pcr_choices choices;
    if (pcr_choices_parse(encoded, &choices) != ERR_OK)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(choices.count); i++) {
        const uint8_t *found = pcr[PCR_CHOICES_FIRST + i];
        if (choices.count[i] > 0 && (found == NULL || !is_choice(&choices, i, found)))
            return false;
    }
    return true;
}
