#include "attdoc.h"

#include <inttypes.h>

#include "cbor_reader.h"

/* How deep the value of a tolerated key may nest: it is passed over, not read. */
#define TOLERATED_DEPTH 4

#define DIGEST_NAME   "SHA384"
#define KEY_SHOWN_MAX 64 /* bytes of an unknown key that an error shows */

struct parser {
    struct cbor_reader r;
    struct attdoc doc;
    bool have_pcrs;
    uint32_t seen;           /* bit i: row i of fields[] */
    uint64_t seen_tolerated; /* bit i: tolerate->keys[i] */
};

/* The fault at the field that is being read. */
static struct fault *at(const struct parser *p, size_t offset)
{
    return cbor_reader_fault(&p->r, offset);
}

/* A byte string of min..max bytes. */
static enum err read_bytes(struct parser *p, size_t min, size_t max, struct bytes *out)
{
    const size_t offset = p->r.pos;
    struct bytes value;
    TRY(cbor_reader_bytes(&p->r, &value));
    if (value.len < min || value.len > max) /* DOC-12 */
        FAIL(at(p, offset), ERR_DOC_MALFORMED, "%zu byte%s where %zu to %zu are allowed", value.len,
             plural(value.len), min, max);
    *out = value;
    return ERR_OK;
}

static enum err check_count(struct parser *p, size_t offset, uint64_t count, unsigned max)
{
    if (count < 1 || count > max) /* DOC-9 */
        FAIL(at(p, offset), ERR_DOC_MALFORMED, "%" PRIu64 " entries where 1 to %u are allowed",
             count, max);
    return ERR_OK;
}

/* ---- one function per field ---- */

static enum err read_module_id(struct parser *p)
{
    const size_t offset = p->r.pos;
    TRY(cbor_reader_text(&p->r, &p->doc.module_id));
    if (p->doc.module_id.len == 0) /* DOC-5 */
        FAIL(at(p, offset), ERR_DOC_MALFORMED, "the module's id is empty");
    return ERR_OK;
}

static enum err read_digest(struct parser *p)
{
    const size_t offset = p->r.pos;
    struct bytes digest;
    TRY(cbor_reader_text(&p->r, &digest));
    if (!bytes_equal_text(digest, DIGEST_NAME)) /* DOC-6 */
        FAIL(at(p, offset), ERR_DOC_MALFORMED, "expected \"" DIGEST_NAME "\", found \"%.*s\"",
             (int)(digest.len < 32 ? digest.len : 32), (const char *)digest.ptr);
    return ERR_OK;
}

/* At most INT64_MAX, so that it can be set against a clock without overflow. */
static enum err read_timestamp(struct parser *p)
{
    const size_t offset = p->r.pos;
    TRY(cbor_reader_uint(&p->r, &p->doc.timestamp_ms));
    if (p->doc.timestamp_ms == 0 || p->doc.timestamp_ms > INT64_MAX) /* DOC-7 */
        FAIL(at(p, offset), ERR_DOC_MALFORMED, "%" PRIu64 " is no time in milliseconds",
             p->doc.timestamp_ms);
    return ERR_OK;
}

static enum err read_pcr(struct parser *p, const char *name)
{
    const size_t offset = p->r.pos;
    cbor_reader_at(&p->r, name);
    uint64_t index;
    TRY(cbor_reader_uint(&p->r, &index));
    cbor_reader_at_entry(&p->r, name, index);
    if (index >= ATTDOC_PCR_COUNT) /* DOC-10 */
        FAIL(at(p, offset), ERR_DOC_MALFORMED, "the index of a PCR is 0 to %d",
             ATTDOC_PCR_COUNT - 1);
    if (p->doc.pcr[index] != NULL) /* DOC-11 */
        FAIL(at(p, offset), ERR_CBOR_DUPLICATE, "the PCR is there twice");
    struct bytes value;
    TRY(read_bytes(p, ATTDOC_PCR_LEN, ATTDOC_PCR_LEN, &value));
    p->doc.pcr[index] = value.ptr;
    p->doc.pcr_present |= UINT32_C(1) << index;
    return ERR_OK;
}

static enum err read_pcrs(struct parser *p, enum attdoc_kind kind)
{
    const char *name = p->r.field;
    const size_t offset = p->r.pos;
    if (p->have_pcrs) /* DOC-8 */
        FAIL(at(p, offset), ERR_DOC_MALFORMED, "both pcrs and nitrotpm_pcrs");
    p->have_pcrs = true;
    p->doc.kind = kind;
    struct cbor_map map;
    TRY(cbor_reader_map(&p->r, false, &map));
    TRY(check_count(p, offset, map.left, ATTDOC_PCR_COUNT));
    for (;;) {
        bool more;
        TRY(cbor_reader_map_more(&p->r, &map, &more));
        if (!more)
            return ERR_OK;
        TRY(read_pcr(p, name));
    }
}

static enum err read_enclave_pcrs(struct parser *p)
{
    return read_pcrs(p, ATTDOC_ENCLAVE);
}

static enum err read_nitrotpm_pcrs(struct parser *p)
{
    return read_pcrs(p, ATTDOC_NITROTPM);
}

static enum err read_certificate(struct parser *p)
{
    return read_bytes(p, 1, ATTDOC_CERT_MAX, &p->doc.certificate);
}

static enum err read_cabundle(struct parser *p)
{
    const char *name = p->r.field;
    const size_t offset = p->r.pos;
    uint64_t count;
    TRY(cbor_reader_array(&p->r, &count));
    TRY(check_count(p, offset, count, ATTDOC_BUNDLE_MAX));
    for (size_t i = 0; i < count; i++) {
        cbor_reader_at_entry(&p->r, name, i);
        TRY(read_bytes(p, 1, ATTDOC_CERT_MAX, &p->doc.cabundle[i]));
    }
    p->doc.cabundle_len = (size_t)count;
    return ERR_OK;
}

static enum err read_optional(struct parser *p, struct attdoc_optional *out)
{
    struct cbor_item item;
    TRY(cbor_reader_peek(&p->r, &item));
    if (item.kind == CBOR_KIND_NULL) {
        out->state = ATTDOC_NULL;
        return cbor_reader_next(&p->r, &item);
    }
    out->state = ATTDOC_PRESENT;
    return read_bytes(p, 0, ATTDOC_OPTIONAL_MAX, &out->value);
}

static enum err read_public_key(struct parser *p)
{
    return read_optional(p, &p->doc.public_key);
}

static enum err read_user_data(struct parser *p)
{
    return read_optional(p, &p->doc.user_data);
}

static enum err read_nonce(struct parser *p)
{
    return read_optional(p, &p->doc.nonce);
}

/* attestation_process.md section 3.2.2.  Of the two kinds of PCRs exactly one is
 * required, which a row cannot say: attdoc_parse does. */
static const struct field {
    const char *name;
    enum err (*read)(struct parser *p);
    bool required;
} fields[] = {
    {"module_id", read_module_id, true},
    {"digest", read_digest, true},
    {"timestamp", read_timestamp, true},
    {"pcrs", read_enclave_pcrs, false},
    {"nitrotpm_pcrs", read_nitrotpm_pcrs, false},
    {"certificate", read_certificate, true},
    {"cabundle", read_cabundle, true},
    {"public_key", read_public_key, false},
    {"user_data", read_user_data, false},
    {"nonce", read_nonce, false},
};

/* ---- unknown keys ---- */

static char lower(uint8_t c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* A new map of PCRs is never passed over: whoever tolerated it would judge a
 * document without looking at its measurements. */
static bool looks_like_pcrs(struct bytes key)
{
    for (size_t i = 0; i + 3 <= key.len; i++) {
        if (lower(key.ptr[i]) == 'p' && lower(key.ptr[i + 1]) == 'c' &&
            lower(key.ptr[i + 2]) == 'r')
            return true;
    }
    return false;
}

/* The field is the key itself; a NUL in it must not hide what follows. */
static enum err fail_key(struct parser *p, size_t offset, struct bytes key, enum err code,
                         const char *what)
{
    char name[KEY_SHOWN_MAX + 1];
    size_t len = 0;
    for (; len < key.len && len < KEY_SHOWN_MAX; len++) {
        name[len] = (char)key.ptr[len];
        if (name[len] == '\0')
            name[len] = '?';
    }
    name[len] = '\0';
    FAIL(fault_at(p->r.fault, p->r.base + offset, "%s", name), code, "%s", what);
}

static enum err read_unknown(struct parser *p, size_t offset, struct bytes key,
                             const struct attdoc_tolerate *tolerate)
{
    if (looks_like_pcrs(key)) /* DOC-2 */
        return fail_key(p, offset, key, ERR_DOC_UNKNOWN_FIELD,
                        "an unknown key that looks like PCRs is never tolerated");
    const size_t count = tolerate == NULL ? 0 : tolerate->count;
    for (size_t i = 0; i < count && i < ATTDOC_TOLERATE_MAX; i++) {
        if (!bytes_equal_text(key, tolerate->keys[i]))
            continue;
        const uint64_t bit = UINT64_C(1) << i;
        if ((p->seen_tolerated & bit) != 0) /* DOC-3 */
            return fail_key(p, offset, key, ERR_CBOR_DUPLICATE, "the key is there twice");
        p->seen_tolerated |= bit;
        cbor_reader_at(&p->r, tolerate->keys[i]);
        return cbor_reader_skip(&p->r, TOLERATED_DEPTH);
    }
    /* DOC-4 */
    return fail_key(p, offset, key, ERR_DOC_UNKNOWN_FIELD,
                    "a key that attestation documents are not known to have");
}

/* ---- the whole ---- */

static enum err read_entry(struct parser *p, const struct attdoc_tolerate *tolerate)
{
    const size_t offset = p->r.pos;
    cbor_reader_at(&p->r, "payload");
    struct bytes key;
    TRY(cbor_reader_text(&p->r, &key));
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!bytes_equal_text(key, fields[i].name))
            continue;
        const uint32_t bit = UINT32_C(1) << i;
        if ((p->seen & bit) != 0) /* DOC-1 */
            return fail_key(p, offset, key, ERR_CBOR_DUPLICATE, "the key is there twice");
        p->seen |= bit;
        cbor_reader_at(&p->r, fields[i].name);
        return fields[i].read(p);
    }
    return read_unknown(p, offset, key, tolerate);
}

static enum err check_complete(struct parser *p)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (fields[i].required && (p->seen & (UINT32_C(1) << i)) == 0) /* DOC-13 */
            FAIL(fault_at(p->r.fault, p->r.base, "%s", fields[i].name), ERR_DOC_MALFORMED,
                 "the field is missing");
    }
    if (!p->have_pcrs) /* DOC-14 */
        FAIL(fault_at(p->r.fault, p->r.base, "pcrs"), ERR_DOC_MALFORMED,
             "neither pcrs nor nitrotpm_pcrs");
    return ERR_OK;
}

enum err attdoc_parse(struct bytes payload, size_t offset, const struct attdoc_tolerate *tolerate,
                      struct attdoc *out, struct fault *fault)
{
    struct parser p = {0};
    cbor_reader_init(&p.r, payload, offset, "payload", fault);
    struct cbor_map map;
    TRY(cbor_reader_map(&p.r, true, &map));
    p.doc.map_indefinite = map.indefinite;
    for (;;) {
        cbor_reader_at(&p.r, "payload");
        bool more;
        TRY(cbor_reader_map_more(&p.r, &map, &more));
        if (!more)
            break;
        TRY(read_entry(&p, tolerate));
    }
    cbor_reader_at(&p.r, "payload");
    TRY(cbor_reader_end(&p.r));
    TRY(check_complete(&p));
    *out = p.doc;
    return ERR_OK;
}

bool attdoc_is_debug(const struct attdoc *doc)
{
    if (doc->kind != ATTDOC_ENCLAVE)
        return false;
    for (size_t i = 0; i <= 2; i++) {
        if (doc->pcr[i] == NULL || bytes_all_zero(bytes_of(doc->pcr[i], ATTDOC_PCR_LEN)))
            return true;
    }
    return false;
}

const char *attdoc_kind_name(enum attdoc_kind kind)
{
    return kind == ATTDOC_NITROTPM ? "nitrotpm" : "enclave";
}

struct bytes attdoc_instance(struct bytes module_id)
{
    static const char *const marks[] = {"-enc", "-tpm"};
    for (size_t i = 1; i < module_id.len; i++) {
        const struct bytes rest = bytes_of(module_id.ptr + i, module_id.len - i);
        for (size_t m = 0; m < ARRAY_LEN(marks); m++) {
            if (rest.len >= strlen(marks[m]) && memcmp(rest.ptr, marks[m], strlen(marks[m])) == 0)
                return bytes_of(module_id.ptr, i);
        }
    }
    return module_id;
}
