#include "subject.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/cbor_writer.h"
#include "common/file.h"

#define PATH_MAX_LEN  4096
#define SUBJECTS_MAX  512
#define CACHE_ENTRIES 4
#define TWIN_REGION   "eu-west-1"
#define SKIPPED       77 /* meson's exit status for it */

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(stderr, "mutate_documents: ");
    vfprintf(stderr, fmt, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(EXIT_FAILURE);
}

/* ---- files ---- */

static void join(char out[static PATH_MAX_LEN], const char *folder, const char *file)
{
    const int len = snprintf(out, PATH_MAX_LEN, "%s/%s", folder, file);
    if (len < 0 || len >= PATH_MAX_LEN)
        die("%s/%s: the path is too long", folder, file);
}

static void read_file(const char *path, struct buf *out)
{
    struct fault fault = FAULT_NONE;
    if (file_read(path, SIZE_MAX, out, &fault) != ERR_OK)
        die("%s", fault.detail);
}

static json_t *read_manifest(const char *folder)
{
    char path[PATH_MAX_LEN];
    json_error_t error;
    join(path, folder, "manifest.json");
    json_t *manifest = json_load_file(path, 0, &error);
    if (manifest == NULL)
        die("%s:%d: %s", path, error.line, error.text);
    return manifest;
}

static const char *text_member(const json_t *entry, const char *member)
{
    const char *text = json_string_value(json_object_get(entry, member));
    return text != NULL ? text : "";
}

/* ---- one document ---- */

struct bytes subject_cert(const struct subject *s, size_t i)
{
    const bool leaf = i == s->map.bundle_len;
    const struct part *part =
        map_find(&s->map, PART_CERT, leaf ? FIELD_CERTIFICATE : FIELD_CABUNDLE, leaf ? 0 : i);
    return bytes_of(s->document.ptr + part->at, part->len);
}

void subject_cert_field(size_t bundle_len, size_t i, char out[static 32])
{
    if (i == bundle_len)
        snprintf(out, 32, "certificate");
    else
        snprintf(out, 32, "cabundle[%zu]", i);
}

/* Its maps, and that it verifies as it is: what is changed must have been good. */
static void finish(struct subject *s)
{
    const struct bytes document = bytes_of_buf(&s->document);
    if (!map_make(document, &s->map))
        die("%s: no map can be made", s->name);
    s->kind = s->map.pcrs == FIELD_PCRS ? ATTDOC_ENCLAVE : ATTDOC_NITROTPM;
    for (size_t i = 0; i <= s->map.bundle_len; i++) {
        if (!cert_map_make(subject_cert(s, i), &s->cert[i]))
            die("%s: no map of certificate %zu can be made", s->name, i);
    }
    const struct part *time = map_find(&s->map, PART_TIMESTAMP, FIELD_TIMESTAMP, 0);
    for (size_t i = 0; time != NULL && i < time->len; i++)
        s->now_ms = s->now_ms << 8 | s->document.ptr[time->at + i];
    struct fault fault = FAULT_NONE;
    const enum err err = attest_verify(s->trust, document, s->kind, s->now_ms, NULL, NULL, &fault);
    if (err != ERR_OK)
        die("%s: %s [%s] %s", s->name, err_wire(err), fault.field, fault.detail);
}

static struct subject *new_subject(struct subjects *all)
{
    struct subject *s = calloc(1, sizeof *s);
    if (s == NULL || all->count == SUBJECTS_MAX)
        die("too many documents, or no memory");
    all->subject[all->count++] = s;
    return s;
}

/* The payload of `s` with the chain's certificates in place of its own. */
static void twin_payload(const struct subject *s, const struct mkdoc_chain *chain,
                         struct buf *payload)
{
    const struct map *map = &s->map;
    struct cbor_writer w;
    cbor_writer_init(&w, payload);
    for (size_t i = 0; i < map->count; i++) {
        const struct part *part = &map->part[i];
        if (part->at < map->payload_at || part->at >= map->payload_end)
            continue;
        if (part->kind == PART_CERT_HEAD && part->field == FIELD_CERTIFICATE) {
            cbor_writer_bytes(&w, bytes_of_buf(&chain->der[chain->len - 1]));
        } else if (part->kind == PART_BUNDLE_HEAD) {
            cbor_writer_array(&w, chain->len - 1);
            for (size_t c = 0; c + 1 < chain->len; c++)
                cbor_writer_bytes(&w, bytes_of_buf(&chain->der[c]));
        } else if (part->kind != PART_CERT_HEAD && part->kind != PART_CERT) {
            cbor_writer_raw(&w, bytes_of(s->document.ptr + part->at, part->len));
        }
    }
    MUST(cbor_writer_finish(&w));
}

void subject_chain_spec(const struct subject *s, struct mkdoc_chain_spec *out)
{
    char module_id[128];
    const struct part *id = map_find(&s->map, PART_TEXT, FIELD_MODULE_ID, 0);
    snprintf(module_id, sizeof module_id, "%.*s", (int)id->len,
             (const char *)s->document.ptr + id->at);
    mkdoc_chain_defaults(out, s->now_ms, module_id, TWIN_REGION);
}

static void add_twin(struct subjects *all, const struct subject *s)
{
    struct subject *twin = new_subject(all);
    struct mkdoc_chain_spec spec;
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf pem = {0};
    snprintf(twin->name, sizeof twin->name, "twin of %.100s", s->name);
    subject_chain_spec(s, &spec);
    MUST(mkdoc_chain_make(&spec, &twin->chain));
    MUST(mkdoc_root_pem(&twin->chain, &pem));
    MUST(attest_trust_new(buf_text(&pem), CACHE_ENTRIES, NULL, &twin->own, NULL));
    twin->trust = twin->own;
    twin->twin = true;
    twin_payload(s, &twin->chain, &payload);
    MUST(mkdoc_sign(&twin->chain, bytes_of_buf(&payload), &twin->document));
    finish(twin);
}

static void add_document(struct subjects *all, const char *folder, const char *file,
                         struct attest_trust *trust)
{
    char path[PATH_MAX_LEN];
    join(path, folder, file);
    struct subject *s = new_subject(all);
    snprintf(s->name, sizeof s->name, "%s", file);
    s->trust = trust;
    read_file(path, &s->document);
    finish(s);
    add_twin(all, s);
}

/* ---- all of them ---- */

/* Files to read, in the manifests' order. */
struct listed {
    const char *folder;
    const char *file;
    struct attest_trust *trust;
};

static size_t list(const json_t *manifest, bool (*accepted)(const json_t *), const char *folder,
                   struct attest_trust *trust, struct listed *out, size_t count)
{
    size_t i;
    const json_t *entry;
    json_array_foreach(manifest, i, entry)
    {
        if (!accepted(entry))
            continue;
        if (count == SUBJECTS_MAX / 2)
            die("%s: too many documents", folder);
        out[count++] = (struct listed){folder, text_member(entry, "file"), trust};
    }
    return count;
}

/* The one of a NitroTPM is good for what it is: it is only no enclave's. */
static bool accepted_recorded(const json_t *entry)
{
    return json_is_true(json_object_get(entry, "expect_accept_at_own_timestamp")) ||
           strcmp(text_member(entry, "reject_class"), "nitrotpm_document") == 0;
}

static bool accepted_vector(const json_t *entry)
{
    return strcmp(text_member(entry, "code"), "ok") == 0;
}

/* $VOUCHSAFE_SHARED/attestation-docs and tests/vectors/documents. */
static void find_folders(char recorded[static PATH_MAX_LEN], char vectors[static PATH_MAX_LEN])
{
    const char *shared = getenv("VOUCHSAFE_SHARED");
    const char *source = getenv("VOUCHSAFE_SOURCE");
    const char *ci = getenv("CI");
    char manifest[PATH_MAX_LEN];
    join(vectors, source != NULL ? source : ".", "tests/vectors/documents");
    if (shared != NULL)
        join(recorded, shared, "attestation-docs");
    else
        join(recorded, source != NULL ? source : ".", "../shared/attestation-docs");
    join(manifest, recorded, "manifest.json");
    FILE *file = fopen(manifest, "rb");
    if (file != NULL) {
        fclose(file);
        return;
    }
    const bool must = ci != NULL && strcmp(ci, "true") == 0;
    fprintf(stderr, "%s: no test data at \"%s\" (set VOUCHSAFE_SHARED)\n",
            must ? "FAILED" : "SKIPPED", manifest);
    exit(must ? EXIT_FAILURE : SKIPPED);
}

void subjects_load(size_t most, struct subjects *out)
{
    char recorded[PATH_MAX_LEN];
    char vectors[PATH_MAX_LEN];
    char path[PATH_MAX_LEN];
    CLEANUP(buf_free) struct buf pem = {0};
    find_folders(recorded, vectors);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): it is an array of pointers */
    *out = (struct subjects){.subject = calloc(SUBJECTS_MAX, sizeof *out->subject)};
    struct listed *listed = calloc(SUBJECTS_MAX, sizeof *listed);
    if (out->subject == NULL || listed == NULL)
        die("no memory");
    join(path, vectors, "root.pem");
    read_file(path, &pem);
    MUST(attest_trust_new(NULL, CACHE_ENTRIES, NULL, &out->aws, NULL));
    MUST(attest_trust_new(buf_text(&pem), CACHE_ENTRIES, NULL, &out->vectors, NULL));

    json_t *genuine = read_manifest(recorded);
    json_t *own = read_manifest(vectors);
    size_t count = list(genuine, accepted_recorded, recorded, out->aws, listed, 0);
    if (count < 82)
        die("%s: %zu accepted documents, at least 82 are known", recorded, count);
    count = list(own, accepted_vector, vectors, out->vectors, listed, count);
    const size_t wanted = most == 0 || most > count ? count : most;
    for (size_t i = 0; i < wanted; i++) {
        const struct listed *l = &listed[(2 * i + 1) * count / (2 * wanted)];
        add_document(out, l->folder, l->file, l->trust);
    }
    json_decref(own);
    json_decref(genuine);
    free(listed);
}

void subjects_free(struct subjects *subjects)
{
    for (size_t i = 0; i < subjects->count; i++) {
        struct subject *s = subjects->subject[i];
        buf_free(&s->document);
        mkdoc_chain_free(&s->chain);
        attest_trust_free(s->own);
        free(s);
    }
    free(subjects->subject);
    attest_trust_free(subjects->vectors);
    attest_trust_free(subjects->aws);
}
