/* Every truncation, to nothing, too: of the document, of its payload inside an intact
 * envelope, and of each certificate inside an intact payload. */
#include <stdio.h>

#include "run.h"

/* Of the certificates' truncations a seeded one of so many: each costs the parsing of the
 * certificates before it, and their forms are the same in all documents. */
#define CERT_CUTS 4

/* ---- the document and its payload ---- */

/* What an appraisal reads when it comes to `part`: the fault's field. */
static void field_of(const struct map *map, const struct part *part, char out[static 48])
{
    const char *name = field_name(part->field);
    switch (part->kind) {
    case PART_TAG:
    case PART_ARRAY_HEAD:
        snprintf(out, 48, "cose");
        return;
    case PART_PROTECTED_HEAD:
    case PART_PROTECTED:
        snprintf(out, 48, "cose.protected");
        return;
    case PART_UNPROTECTED:
        snprintf(out, 48, "cose.unprotected");
        return;
    case PART_PAYLOAD_HEAD:
        snprintf(out, 48, "cose.payload");
        return;
    case PART_SIGNATURE_HEAD:
    case PART_R:
    case PART_S:
        snprintf(out, 48, "cose.signature");
        return;
    case PART_MAP_HEAD:
    case PART_KEY_HEAD:
    case PART_KEY:
    case PART_BREAK:
        snprintf(out, 48, "payload");
        return;
    case PART_PCR_HEAD:
    case PART_PCR:
        snprintf(out, 48, "%s[%zu]", name, part->index);
        return;
    case PART_CERT_HEAD:
    case PART_CERT:
        subject_cert_field(map->bundle_len,
                           part->field == FIELD_CERTIFICATE ? map->bundle_len : part->index, out);
        return;
    default:
        snprintf(out, 48, "%s", name);
        return;
    }
}

/* RFC 8949: a container whose announced entries, of a byte at least each, have no room
 * is refused at its own head, before what is cut off. */
static const struct part *too_short_container(const struct map *map, const uint8_t *in, size_t from,
                                              size_t to)
{
    for (size_t i = 0; i < map->count; i++) {
        const struct part *part = &map->part[i];
        const bool container = part->kind == PART_ARRAY_HEAD || part->kind == PART_BUNDLE_HEAD ||
                               part->kind == PART_PCRS_HEAD ||
                               (part->kind == PART_MAP_HEAD && !map->indefinite);
        struct item item;
        if (container && part->at >= from && part->at + part->len <= to &&
            item_rule(in, part->at, to, &item) != ERR_OK)
            return part;
    }
    return NULL;
}

/* The input, of which a part begins at `from`, ends before `to`. */
static void expect_cut(const struct map *map, const uint8_t *in, size_t from, size_t to,
                       enum attest_check syntax, struct expectation *e)
{
    const struct part *part = too_short_container(map, in, from, to);
    if (part == NULL)
        part = map_part(map, to);
    char field[48];
    field_of(map, part, field);
    /* Inside an item: at its head.  Between two: where the next should be. */
    const size_t at = part->kind == PART_TAG ? 0 : part->item;
    expect_syntax(e, ERR_CBOR_MALFORMED, syntax, at, "%s", field);
}

static void cut_document(struct run *run, const struct subject *s)
{
    const struct map *map = &s->map;
    const uint8_t *in = s->document.ptr;
    for (size_t len = 0; len < s->document.len; len++) {
        if (!run_selects(run, s, "cut", len))
            continue;
        struct expectation e;
        /* The payload is one item of the envelope. */
        if (len >= map->payload_at && len < map->payload_end)
            expect_syntax(&e, ERR_CBOR_MALFORMED, ATTEST_COSE,
                          map_find(map, PART_PAYLOAD_HEAD, 0, 0)->at, "cose.payload");
        else
            expect_cut(map, in, 0, len, ATTEST_COSE, &e);
        if (len == 1 && map->part[0].kind == PART_TAG) /* a tag of nothing */
            e.offset_from = e.offset_to = 0;
        /* An exact copy, so that a sanitizer sees any reading behind its end. */
        CLEANUP(buf_free) struct buf copy = {0};
        MUST(buf_append(&copy, bytes_of(in, len)));
        run_check(run, s, bytes_of_buf(&copy), &e, "cut to %zu of %zu bytes", len, s->document.len);
    }
}

/* ---- the payload ---- */

static void append_bytes_head(struct buf *out, size_t len)
{
    uint8_t head[3] = {(uint8_t)(0x40 | len)};
    size_t head_len = 1;
    if (len > 0xff) {
        head[0] = 0x59;
        head[head_len++] = (uint8_t)(len >> 8);
        head[head_len++] = (uint8_t)len;
    } else if (len >= 24) {
        head[0] = 0x58;
        head[head_len++] = (uint8_t)len;
    }
    MUST(buf_append(out, bytes_of(head, head_len)));
}

static void cut_payload(struct run *run, const struct subject *s)
{
    const struct map *map = &s->map;
    const uint8_t *in = s->document.ptr;
    const struct part *head = map_find(map, PART_PAYLOAD_HEAD, 0, 0);
    for (size_t len = 0; len < map->payload_end - map->payload_at; len++) {
        if (!run_selects(run, s, "payload cut", len))
            continue;
        CLEANUP(buf_free) struct buf copy = {0};
        MUST(buf_append(&copy, bytes_of(in, head->at)));
        append_bytes_head(&copy, len);
        const size_t moved = map->payload_at - copy.len; /* a shorter head */
        MUST(buf_append(&copy, bytes_of(in + map->payload_at, len)));
        MUST(
            buf_append(&copy, bytes_of(in + map->payload_end, s->document.len - map->payload_end)));
        struct expectation e;
        if (len == 0) {
            expect_syntax(&e, ERR_COSE_MALFORMED, ATTEST_COSE, head->at, "cose.payload");
        } else {
            expect_cut(map, in, map->payload_at, map->payload_at + len, ATTEST_PAYLOAD, &e);
            e.offset_from -= moved;
            e.offset_to -= moved;
        }
        run_check(run, s, bytes_of_buf(&copy), &e, "payload cut to %zu bytes", len);
    }
}

/* ---- certificates ---- */

/* The lengths of what holds the certificate follow; the signature does not matter, for
 * the rules come first. */
static void cut_certificate(struct run *run, const struct subject *s, size_t i)
{
    const struct map *map = &s->map;
    const bool leaf = i == map->bundle_len;
    const struct part *cert =
        map_find(map, PART_CERT, leaf ? FIELD_CERTIFICATE : FIELD_CABUNDLE, leaf ? 0 : i);
    const struct part *head = map_find(map, PART_PAYLOAD_HEAD, 0, 0);
    const uint8_t *in = s->document.ptr;
    for (size_t len = 0; len < cert->len; len++) {
        const size_t n = i << 16 | len;
        if (!run_selects(run, s, "certificate cut", n) ||
            run_random(run, s, "certificate part", n) % CERT_CUTS != 0)
            continue;
        CLEANUP(buf_free) struct buf payload = {0};
        CLEANUP(buf_free) struct buf copy = {0};
        MUST(buf_append(&payload, bytes_of(in + map->payload_at, cert->item - map->payload_at)));
        append_bytes_head(&payload, len);
        MUST(buf_append(&payload, bytes_of(in + cert->at, len)));
        const size_t behind = cert->at + cert->len;
        MUST(buf_append(&payload, bytes_of(in + behind, map->payload_end - behind)));
        MUST(buf_append(&copy, bytes_of(in, head->at)));
        append_bytes_head(&copy, payload.len);
        MUST(buf_append(&copy, bytes_of_buf(&payload)));
        MUST(
            buf_append(&copy, bytes_of(in + map->payload_end, s->document.len - map->payload_end)));
        struct expectation e;
        char field[32];
        subject_cert_field(map->bundle_len, i, field);
        if (len == 0)
            expect_syntax(&e, ERR_DOC_MALFORMED, ATTEST_PAYLOAD, cert->item, "%s", field);
        else
            expect_cert(&e, i == 0 ? ERR_UNTRUSTED : ERR_CERT_MALFORMED, map->bundle_len, i);
        run_check(run, s, bytes_of_buf(&copy), &e, "%s cut to %zu bytes", field, len);
    }
}

void truncate_document(struct run *run, const struct task *task)
{
    cut_document(run, task->s);
    cut_payload(run, task->s);
    for (size_t i = 0; i <= task->s->map.bundle_len; i++)
        cut_certificate(run, task->s, i);
}
