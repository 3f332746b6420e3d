#include "eif.h"

#include <inttypes.h>
#include <stdlib.h>
#include <zlib.h>

#include "eif_digest.h"
#include "eif_metadata.h"
#include "eif_signature.h"

#define HEADER_LEN       548
#define HEADER_COUNT_AT  26 /* num_sections, 16 bits */
#define HEADER_PLACES_AT 28 /* section_offsets, 64 bits each */
#define HEADER_SIZES_AT  (HEADER_PLACES_AT + 8 * EIF_SECTIONS_MAX)
#define HEADER_CRC_AT    (HEADER_LEN - 4) /* the CRC covers all but itself */
#define SECTION_HEAD_LEN 12

enum state { IN_HEADER, IN_SECTION_HEAD, IN_SECTION, AT_END };

/* EIF Specification, "section_type". */
enum kind { NONE, KERNEL, CMDLINE, RAMDISK, SIGNATURE, METADATA, KIND_COUNT };

static const struct kind_rule {
    const char *name;
    bool repeated;
    uint64_t size_max;
} kinds[KIND_COUNT] = {
    [KERNEL] = {"kernel", false, EIF_LEN_MAX},
    [CMDLINE] = {"cmdline", false, EIF_LEN_MAX},
    [RAMDISK] = {"ramdisk", true, EIF_LEN_MAX},
    [SIGNATURE] = {"signature", false, EIF_SIGNATURE_MAX},
    [METADATA] = {"metadata", false, EIF_METADATA_MAX},
};

struct section {
    uint64_t offset; /* of its head, in the file */
    uint64_t size;   /* of its content */
    enum kind kind;  /* once its head was read */
};

struct eif {
    enum state state;
    uint64_t at; /* bytes fed so far */
    uint8_t head[HEADER_LEN];
    size_t head_len; /* how much of a head is there */
    unsigned version;
    uint32_t crc_stated;
    uint32_t crc;
    unsigned count;
    unsigned current;
    struct section sections[EIF_SECTIONS_MAX];
    uint64_t left;                            /* of the current section's content */
    const struct section *unique[KIND_COUNT]; /* by kind, the first */
    struct eif_digest digest;
    struct buf signature;
    struct buf metadata;
};

void eif_free(struct eif *eif)
{
    eif_digest_free(&eif->digest);
    buf_free(&eif->signature);
    buf_free(&eif->metadata);
    free(eif);
}

enum err eif_new(struct eif **out)
{
    CLEANUP(eif_freep) struct eif *eif = calloc(1, sizeof *eif);
    if (eif == NULL)
        return ERR_NO_MEMORY;
    TRY(eif_digest_init(&eif->digest));
    *out = TAKE(eif);
    return ERR_OK;
}

void eif_description_free(struct eif_description *description)
{
    buf_free(&description->certificate);
    json_decref(description->metadata);
    *description = (struct eif_description){0};
}

/* ---- numbers and places ---- */

static uint64_t read_be(const uint8_t *at, size_t len)
{
    uint64_t value = 0;
    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

/* "sections[3] (ramdisk)", or without the kind where it is not known yet. */
static struct fault *at_section(const struct eif *eif, const struct section *section,
                                uint64_t offset, struct fault *fault)
{
    const unsigned index = (unsigned)(section - eif->sections);
    if (section->kind == NONE)
        return fault_at(fault, (size_t)offset, "sections[%u]", index);
    return fault_at(fault, (size_t)offset, "sections[%u] (%s)", index, kinds[section->kind].name);
}

/* What went wrong inside of a section's content, in the terms of the file. */
static enum err within_section(const struct eif *eif, const struct section *section, enum err err,
                               struct fault *fault)
{
    if (err == ERR_OK || fault == NULL || fault->code != err)
        return err;
    char inside[sizeof fault->field];
    memcpy(inside, fault->field, sizeof inside);
    at_section(eif, section, fault->offset, fault);
    const size_t len = strlen(fault->field);
    snprintf(fault->field + len, sizeof fault->field - len, "%s%s", inside[0] == '\0' ? "" : ".",
             inside);
    return err;
}

/* ---- the header ---- */

/* Each section begins where the one before it ends: a reader that goes by the table and one
 * that goes from head to head (nitro-cli) then see the same sections. */
static enum err read_place(struct eif *eif, unsigned i, uint64_t *end, struct fault *fault)
{
    struct section *section = &eif->sections[i];
    const size_t place_at = HEADER_PLACES_AT + 8 * (size_t)i;
    const size_t size_at = HEADER_SIZES_AT + 8 * (size_t)i;
    section->offset = read_be(eif->head + place_at, 8);
    section->size = read_be(eif->head + size_at, 8);
    if (section->offset != *end)
        FAIL(at_section(eif, section, place_at, fault), ERR_EIF,
             "begins at %" PRIu64 " by the header, its place is %" PRIu64
             ": sections follow each other without gap or overlap",
             section->offset, *end);
    if (*end > EIF_LEN_MAX - SECTION_HEAD_LEN ||
        section->size > EIF_LEN_MAX - SECTION_HEAD_LEN - *end)
        FAIL(at_section(eif, section, size_at, fault), ERR_EIF,
             "has %" PRIu64 " bytes by the header: the file would have more than 2^40",
             section->size);
    *end += SECTION_HEAD_LEN + section->size;
    return ERR_OK;
}

static enum err read_header(struct eif *eif, struct fault *fault)
{
    if (memcmp(eif->head, ".eif", 4) != 0)
        FAIL(fault_at(fault, 0, "header"), ERR_EIF,
             "does not begin with \".eif\": this is no enclave image file");
    eif->version = (unsigned)read_be(eif->head + 4, 2);
    if (eif->version < 2 || eif->version > 4)
        FAIL(fault_at(fault, 4, "header"), ERR_EIF, "version %u; 2, 3 and 4 are known",
             eif->version);
    eif->count = (unsigned)read_be(eif->head + HEADER_COUNT_AT, 2);
    if (eif->count < EIF_SECTIONS_MIN || eif->count > EIF_SECTIONS_MAX)
        FAIL(fault_at(fault, HEADER_COUNT_AT, "header"), ERR_EIF,
             "%u section%s; %d to %d are possible", eif->count, plural(eif->count),
             EIF_SECTIONS_MIN, EIF_SECTIONS_MAX);
    uint64_t end = HEADER_LEN;
    for (unsigned i = 0; i < eif->count; i++)
        TRY(read_place(eif, i, &end, fault));
    eif->crc_stated = (uint32_t)read_be(eif->head + HEADER_CRC_AT, 4);
    eif->crc = (uint32_t)crc32_z(0, eif->head, HEADER_CRC_AT);
    eif->state = IN_SECTION_HEAD;
    return ERR_OK;
}

/* ---- sections ---- */

static void end_section(struct eif *eif)
{
    eif->current++;
    eif->state = eif->current < eif->count ? IN_SECTION_HEAD : AT_END;
}

static enum err check_kind(struct eif *eif, struct section *section, uint64_t type,
                           struct fault *fault)
{
    if (type == NONE || type >= KIND_COUNT)
        FAIL(at_section(eif, section, section->offset, fault), ERR_EIF,
             "type %" PRIu64 "; 1 to %d are known", type, KIND_COUNT - 1);
    section->kind = (enum kind)type;
    const struct kind_rule *rule = &kinds[section->kind];
    if (eif->unique[section->kind] != NULL && !rule->repeated)
        FAIL(at_section(eif, section, section->offset, fault), ERR_EIF,
             "a second one: an image has one %s", rule->name);
    if (section->kind == RAMDISK && eif->unique[KERNEL] == NULL)
        FAIL(at_section(eif, section, section->offset, fault), ERR_EIF,
             "ramdisks come after the kernel");
    if (section->kind == KERNEL && section->size == 0)
        FAIL(at_section(eif, section, section->offset, fault), ERR_EIF,
             "empty: without a kernel nothing starts");
    if (section->size > rule->size_max)
        FAIL(at_section(eif, section, section->offset, fault), ERR_EIF,
             "%" PRIu64 " bytes, at most %" PRIu64 " are possible", section->size, rule->size_max);
    if (eif->unique[section->kind] == NULL)
        eif->unique[section->kind] = section;
    return ERR_OK;
}

static enum err read_section_head(struct eif *eif, struct fault *fault)
{
    struct section *section = &eif->sections[eif->current];
    const uint64_t size = read_be(eif->head + 4, 8);
    TRY(check_kind(eif, section, read_be(eif->head, 2), fault));
    if (size != section->size)
        FAIL(at_section(eif, section, section->offset + 4, fault), ERR_EIF,
             "has %" PRIu64 " bytes by its own head and %" PRIu64 " by the header: build the image "
             "anew, and sign it when it is built",
             size, section->size);
    eif->crc = (uint32_t)crc32_z(eif->crc, eif->head, SECTION_HEAD_LEN);
    if (section->kind == KERNEL || section->kind == CMDLINE)
        TRY(eif_digest_section(&eif->digest, EIF_BOOT));
    else if (section->kind == RAMDISK)
        TRY(eif_digest_section(&eif->digest, EIF_RAMDISK));
    eif->left = size;
    eif->state = IN_SECTION;
    if (size == 0)
        end_section(eif);
    return ERR_OK;
}

static enum err take_content(struct eif *eif, struct bytes *piece)
{
    const size_t len = eif->left < piece->len ? (size_t)eif->left : piece->len;
    const struct bytes content = bytes_of(piece->ptr, len);
    switch (eif->sections[eif->current].kind) {
    case SIGNATURE:
        TRY(buf_append(&eif->signature, content));
        break;
    case METADATA:
        TRY(buf_append(&eif->metadata, content));
        break;
    default:
        TRY(eif_digest_update(&eif->digest, content));
    }
    eif->crc = (uint32_t)crc32_z(eif->crc, content.ptr, content.len);
    *piece = bytes_of(piece->ptr + len, piece->len - len);
    eif->at += len;
    eif->left -= len;
    if (eif->left == 0)
        end_section(eif);
    return ERR_OK;
}

/* ---- the stream ---- */

/* Whether `len` bytes of a head are there; then they are taken for read. */
static bool collect_head(struct eif *eif, size_t len, struct bytes *piece)
{
    const size_t missing = len - eif->head_len;
    const size_t taken = missing < piece->len ? missing : piece->len;
    memcpy(eif->head + eif->head_len, piece->ptr, taken);
    eif->head_len += taken;
    eif->at += taken;
    *piece = bytes_of(piece->ptr + taken, piece->len - taken);
    if (eif->head_len < len)
        return false;
    eif->head_len = 0;
    return true;
}

enum err eif_feed(struct eif *eif, struct bytes piece, struct fault *fault)
{
    while (piece.len > 0) {
        switch (eif->state) {
        case IN_HEADER:
            if (collect_head(eif, HEADER_LEN, &piece))
                TRY(read_header(eif, fault));
            break;
        case IN_SECTION_HEAD:
            if (collect_head(eif, SECTION_HEAD_LEN, &piece))
                TRY(read_section_head(eif, fault));
            break;
        case IN_SECTION:
            TRY(take_content(eif, &piece));
            break;
        case AT_END:
            FAIL(fault_at(fault, (size_t)eif->at, "%s", ""), ERR_EIF,
                 "bytes follow the last of the %u sections", eif->count);
        }
    }
    return ERR_OK;
}

/* ---- the end ---- */

static enum err check_whole(const struct eif *eif, struct fault *fault)
{
    if (eif->state == IN_HEADER)
        FAIL(fault_at(fault, (size_t)eif->at, "header"), ERR_EIF,
             "the file ends after %" PRIu64 " byte%s, the header has %d", eif->at, plural(eif->at),
             HEADER_LEN);
    if (eif->state == AT_END)
        return ERR_OK;
    const struct section *section = &eif->sections[eif->current];
    const uint64_t missing = section->offset + SECTION_HEAD_LEN + section->size - eif->at;
    FAIL(at_section(eif, section, eif->at, fault), ERR_EIF,
         "the file ends %" PRIu64 " byte%s before this section does, %u of %u: copy it again",
         missing, plural(missing), eif->current + 1, eif->count);
}

static enum err check_sections(const struct eif *eif, struct fault *fault)
{
    static const enum kind needed[] = {KERNEL, CMDLINE, METADATA};
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        if (eif->unique[needed[i]] == NULL && (needed[i] != METADATA || eif->version >= 4))
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", ""), ERR_EIF,
                 "an image of version %u has a %s, this has none", eif->version,
                 kinds[needed[i]].name);
    }
    return ERR_OK;
}

static size_t content_offset(const struct section *section)
{
    return (size_t)section->offset + SECTION_HEAD_LEN;
}

static enum err read_metadata(const struct eif *eif, struct eif_description *out,
                              struct fault *fault)
{
    const struct section *section = eif->unique[METADATA];
    if (section == NULL)
        return ERR_OK;
    return within_section(eif, section,
                          eif_metadata_parse(bytes_of_buf(&eif->metadata), content_offset(section),
                                             &out->metadata, fault),
                          fault);
}

/* PCR8 is worth something only where the signature covers this image. */
static enum err read_signature(const struct eif *eif, struct eif_description *out,
                               struct fault *fault)
{
    const struct section *section = eif->unique[SIGNATURE];
    if (section == NULL)
        return ERR_OK;
    TRY(within_section(eif, section,
                       eif_signature_verify(bytes_of_buf(&eif->signature), content_offset(section),
                                            out->measured.pcr[0], &out->certificate, fault),
                       fault));
    TRY(eif_digest_pcr(bytes_of_buf(&out->certificate), out->measured.pcr[8]));
    out->measured.present |= UINT32_C(1) << 8;
    return ERR_OK;
}

static enum err finish(struct eif *eif, struct eif_description *out, struct fault *fault)
{
    TRY(check_whole(eif, fault));
    if (eif->crc != eif->crc_stated)
        FAIL(fault_at(fault, HEADER_CRC_AT, "header"), ERR_EIF,
             "the CRC is %08" PRIx32 ", the file's bytes give %08" PRIx32
             ": it is damaged; copy or build it again",
             eif->crc_stated, eif->crc);
    TRY(check_sections(eif, fault));
    out->version = eif->version;
    TRY(eif_digest_finish(&eif->digest, out->measured.pcr));
    out->measured.present = 7;
    out->measured.kind = ATTDOC_ENCLAVE;
    TRY(read_metadata(eif, out, fault));
    TRY(read_signature(eif, out, fault));
    eif_metadata_provenance(out->metadata, &out->measured);
    return ERR_OK;
}

enum err eif_finish(struct eif *eif, struct eif_description *out, struct fault *fault)
{
    struct eif_description found = {0};
    const enum err err = finish(eif, &found, fault);
    if (err == ERR_OK)
        *out = found;
    else
        eif_description_free(&found);
    return err;
}
