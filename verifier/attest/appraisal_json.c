/* The one JSON text of an appraisal.  Every member is set through put(): the first
 * allocation that fails spoils the whole, and nothing is written then. */
#include <jansson.h>
#include <openssl/bio.h>
#include <openssl/err.h>

#include "appraisal.h"
#include "cert.h"
#include "common/codec.h"
#include "common/json_reader.h"
#include "common/openssl_cleanup.h"

struct writer {
    bool out_of_memory;
};

/* Takes over `value`; NULL is what jansson's constructors return without memory. */
static void put(struct writer *w, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        w->out_of_memory = true;
}

static void put_text(struct writer *w, json_t *object, const char *name, struct bytes text)
{
    put(w, object, name, json_stringn((const char *)text.ptr, text.len));
}

static void put_hex(struct writer *w, json_t *object, const char *name, struct bytes value)
{
    CLEANUP(buf_free) struct buf hex = {0};
    if (hex_append(&hex, value) != ERR_OK)
        w->out_of_memory = true;
    else
        put_text(w, object, name, bytes_of_buf(&hex));
}

static void put_time(struct writer *w, json_t *object, const char *name, int64_t unix_ms)
{
    char text[TIME_TEXT_MAX];
    time_format(unix_ms, text);
    put(w, object, name, json_string(text));
}

/* Absent fields stay absent; null and empty, which differ, are told apart. */
static void put_optional(struct writer *w, json_t *object, const char *name,
                         const struct attdoc_optional *field)
{
    if (field->state == ATTDOC_ABSENT)
        return;
    if (field->state == ATTDOC_NULL) {
        put(w, object, name, json_null());
        return;
    }
    CLEANUP(buf_free) struct buf text = {0};
    if (base64_append(&text, field->value) != ERR_OK)
        w->out_of_memory = true;
    else if (text.len == 0)
        put(w, object, name, json_string(""));
    else
        put_text(w, object, name, bytes_of_buf(&text));
}

static void put_pcrs(struct writer *w, json_t *object, const struct attdoc *doc)
{
    json_t *pcrs = json_object();
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if (doc->pcr[i] == NULL)
            continue;
        char index[4];
        snprintf(index, sizeof index, "%u", i);
        put_hex(w, pcrs, index, bytes_of(doc->pcr[i], ATTDOC_PCR_LEN));
    }
    put(w, object, "pcrs", pcrs);
}

/* RFC 4514 text, everything outside printable ASCII escaped. */
static void put_name(struct writer *w, json_t *object, const char *name, const X509_NAME *value)
{
    CLEANUP(bio_freep) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    if (bio == NULL || X509_NAME_print_ex(bio, value, 0, XN_FLAG_RFC2253) < 0) {
        ERR_clear_error();
        w->out_of_memory = true;
        return;
    }
    const long len = BIO_get_mem_data(bio, &text);
    put_text(w, object, name, bytes_of(text, len > 0 ? (size_t)len : 0));
}

/* DER puts a zero byte before a first bit that is set; people and tools do not. */
static struct bytes serial_digits(struct bytes serial)
{
    const size_t skip = serial.len > 1 && serial.ptr[0] == 0 ? 1 : 0;
    return bytes_of(serial.ptr + skip, serial.len - skip);
}

/* Only what passes cert_parse reaches OpenSSL: others are shown by their hash and the
 * rule they break. */
static json_t *certificate_json(struct writer *w, struct bytes der)
{
    json_t *object = json_object();
    struct fault fault = FAULT_NONE;
    CLEANUP(cert_free) struct cert cert = {0};
    const enum err err = cert_parse(der, "certificate", &cert, &fault);
    if (err_is_verdict(err)) {
        put(w, object, "error", json_string(err_wire(err)));
    } else if (err != ERR_OK) {
        w->out_of_memory = true;
    } else {
        put_name(w, object, "subject", X509_get_subject_name(cert.x509));
        put_name(w, object, "issuer", X509_get_issuer_name(cert.x509));
        put_hex(w, object, "serial", serial_digits(cert.serial));
        put_time(w, object, "not_before", cert.from_ms);
        put_time(w, object, "not_after", cert.until_ms);
    }
    uint8_t sha256[SHA256_LEN];
    if (digest_sha256(der, sha256) != ERR_OK)
        w->out_of_memory = true;
    else
        put_hex(w, object, "sha256", bytes_of(sha256, sizeof sha256));
    return object;
}

static void put_certificates(struct writer *w, json_t *object, const struct attdoc *doc)
{
    json_t *array = json_array();
    for (size_t i = 0; i <= doc->cabundle_len; i++) {
        const struct bytes der = i < doc->cabundle_len ? doc->cabundle[i] : doc->certificate;
        if (json_array_append_new(array, certificate_json(w, der)) != 0)
            w->out_of_memory = true;
    }
    put(w, object, "certificates", array);
}

static json_t *document_json(struct writer *w, const struct appraisal *a)
{
    const struct attdoc *doc = &a->report.doc;
    json_t *object = json_object();
    put(w, object, "verified", json_boolean(a->authentic));
    put_text(w, object, "module_id", doc->module_id);
    put_time(w, object, "timestamp", (int64_t)doc->timestamp_ms);
    put(w, object, "timestamp_ms", json_integer((json_int_t)doc->timestamp_ms));
    put(w, object, "digest", json_string("SHA384"));
    put_hex(w, object, "document_digest", bytes_of(a->report.digest, SHA384_LEN));
    put_pcrs(w, object, doc);
    put_optional(w, object, "public_key", &doc->public_key);
    put_optional(w, object, "user_data", &doc->user_data);
    put_optional(w, object, "nonce", &doc->nonce);
    if (a->region[0] != '\0')
        put(w, object, "region", json_string(a->region));
    if (a->authentic) {
        put_time(w, object, "valid_from", a->report.validity.from_ms);
        put_time(w, object, "valid_until", a->report.validity.until_ms);
    }
    put_certificates(w, object, doc);
    put(w, object, "map", json_string(doc->map_indefinite ? "indefinite" : "definite"));
    return object;
}

static json_t *error_json(struct writer *w, const struct fault *fault)
{
    json_t *object = json_object();
    put(w, object, "code", json_string(err_wire(fault->code)));
    if (fault->field[0] != '\0')
        put(w, object, "field", json_string(fault->field));
    if (fault->offset != FAULT_NO_OFFSET)
        put(w, object, "offset", json_integer((json_int_t)fault->offset));
    put(w, object, "detail",
        json_string(fault->detail[0] == '\0' ? err_sentence(fault->code) : fault->detail));
    return object;
}

static json_t *checks_json(struct writer *w, const struct appraisal *a)
{
    json_t *array = json_array();
    for (size_t i = 0; i < a->check_count; i++) {
        const struct appraisal_check *check = &a->check[i];
        json_t *object = json_object();
        put(w, object, "name", json_string(check->name));
        put(w, object, "result", json_string(appraisal_result_name(check->result)));
        if (check->result == APPRAISAL_FAILED)
            put(w, object, "detail",
                json_string(a->fault.detail[0] == '\0' ? err_sentence(a->fault.code)
                                                       : a->fault.detail));
        if (json_array_append_new(array, object) != 0)
            w->out_of_memory = true;
    }
    return array;
}

enum err appraisal_json(const struct appraisal *a, struct buf *json)
{
    static const char *const time_names[] = {
        [APPRAISAL_TIME_CLOCK] = "clock",
        [APPRAISAL_TIME_GIVEN] = "given",
        [APPRAISAL_TIME_DOCUMENT] = "document",
    };
    struct writer w = {0};
    CLEANUP(json_decrefp) json_t *object = json_object();
    put(&w, object, "valid", json_boolean(a->valid));
    if (!a->valid)
        put(&w, object, "error", error_json(&w, &a->fault));
    if (a->report.parsed) {
        put(&w, object, "debug", json_boolean(attdoc_is_debug(&a->report.doc)));
        put(&w, object, "kind", json_string(attdoc_kind_name(a->report.doc.kind)));
    }
    put(&w, object, "time_source", json_string(time_names[a->time]));
    if (a->time_known)
        put_time(&w, object, "time", a->report.now_ms);
    put_hex(&w, object, "root_sha256", bytes_of(a->root_sha256, sizeof a->root_sha256));
    if (a->report.parsed)
        put(&w, object, "document", document_json(&w, a));
    put(&w, object, "checks", checks_json(&w, a));
    if (w.out_of_memory)
        return ERR_NO_MEMORY;
    const size_t before = json->len;
    TRY(json_append_lines(json, object));
    const enum err err = buf_append_text(json, "\n");
    if (err != ERR_OK)
        json->len = before;
    return err;
}
