#include "nsm.h"

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"

#define SKIP_DEPTH 4 /* of members that a newer module may add */

/* What the reply to one operation holds: a byte string, and perhaps a bool. */
struct reply_form {
    const char *operation;
    const char *bytes_key;
    const char *bool_key; /* or NULL */
};

static const struct reply_form form_random = {"GetRandom", "random", NULL};
static const struct reply_form form_pcr = {"DescribePCR", "data", "lock"};
static const struct reply_form form_document = {"Attestation", "document", NULL};

struct reply {
    bool has_bytes;
    bool has_flag;
    struct bytes bytes;
    bool flag;
};

enum err nsm_request_random(struct buf *request)
{
    struct cbor_writer w;
    cbor_writer_init(&w, request);
    cbor_writer_cstr(&w, form_random.operation);
    return cbor_writer_finish(&w);
}

enum err nsm_request_pcr(unsigned index, struct buf *request)
{
    struct cbor_writer w;
    cbor_writer_init(&w, request);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, form_pcr.operation);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, "index");
    cbor_writer_uint(&w, index);
    return cbor_writer_finish(&w);
}

enum err nsm_request_document(const struct nsm_question *question, struct buf *request)
{
    struct cbor_writer w;
    cbor_writer_init(&w, request);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, form_document.operation);
    cbor_writer_map(&w, 3);
    cbor_writer_cstr(&w, "user_data");
    cbor_writer_bytes(&w, question->user_data);
    cbor_writer_cstr(&w, "nonce");
    cbor_writer_bytes(&w, question->nonce);
    cbor_writer_cstr(&w, "public_key");
    cbor_writer_bytes(&w, question->public_key);
    return cbor_writer_finish(&w);
}

/* The operation's name around what follows, or the module's refusal. */
static enum err read_operation(struct cbor_reader *r, const struct reply_form *form)
{
    struct cbor_map outer;
    struct bytes name;
    TRY(cbor_reader_map(r, false, &outer));
    if (outer.left != 1)
        FAIL(r->fault, ERR_NSM, "a map of %llu entries, not of one",
             (unsigned long long)outer.left);
    TRY(cbor_reader_text(r, &name));
    if (bytes_equal_text(name, "Error")) {
        struct bytes error;
        TRY(cbor_reader_text(r, &error));
        FAIL(r->fault, ERR_NSM, "the module refuses: %.*s", (int)error.len,
             (const char *)error.ptr);
    }
    if (!bytes_equal_text(name, form->operation))
        FAIL(r->fault, ERR_NSM, "it answers another operation: %.*s", (int)name.len,
             (const char *)name.ptr);
    return ERR_OK;
}

static enum err read_member(struct cbor_reader *r, const struct reply_form *form, struct reply *out)
{
    struct bytes key;
    TRY(cbor_reader_text(r, &key));
    const bool is_bytes = bytes_equal_text(key, form->bytes_key);
    const bool is_flag = form->bool_key != NULL && bytes_equal_text(key, form->bool_key);
    if ((is_bytes && out->has_bytes) || (is_flag && out->has_flag))
        FAIL(r->fault, ERR_NSM, "\"%.*s\" is there twice", (int)key.len, (const char *)key.ptr);
    if (is_bytes) {
        out->has_bytes = true;
        return cbor_reader_bytes(r, &out->bytes);
    }
    if (is_flag) {
        out->has_flag = true;
        return cbor_reader_bool(r, &out->flag);
    }
    return cbor_reader_skip(r, SKIP_DEPTH);
}

static enum err read_reply(struct cbor_reader *r, const struct reply_form *form, struct reply *out)
{
    struct cbor_map map;
    bool more = false;
    TRY(read_operation(r, form));
    TRY(cbor_reader_map(r, false, &map));
    TRY(cbor_reader_map_more(r, &map, &more));
    while (more) {
        TRY(read_member(r, form, out));
        TRY(cbor_reader_map_more(r, &map, &more));
    }
    TRY(cbor_reader_end(r));
    if (!out->has_bytes)
        FAIL(r->fault, ERR_NSM, "\"%s\" is missing", form->bytes_key);
    if (form->bool_key != NULL && !out->has_flag)
        FAIL(r->fault, ERR_NSM, "\"%s\" is missing", form->bool_key);
    return ERR_OK;
}

/* As read_reply, with every failure as ERR_NSM and the operation named. */
static enum err parse_reply(const struct reply_form *form, struct bytes in, struct reply *out,
                            struct fault *fault)
{
    struct fault inner = FAULT_NONE;
    struct cbor_reader r;
    struct reply reply = {0};
    cbor_reader_init(&r, in, 0, "reply", &inner);
    if (read_reply(&r, form, &reply) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", form->operation), ERR_NSM, "%s",
             inner.detail[0] == '\0' ? err_sentence(inner.code) : inner.detail);
    *out = reply;
    return ERR_OK;
}

enum err nsm_reply_random(struct bytes in, struct bytes *random, struct fault *fault)
{
    struct reply reply;
    TRY(parse_reply(&form_random, in, &reply, fault));
    if (reply.bytes.len < NSM_RANDOM_MIN)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", form_random.operation), ERR_NSM,
             "%zu random byte%s, at least %d are needed", reply.bytes.len, plural(reply.bytes.len),
             NSM_RANDOM_MIN);
    *random = reply.bytes;
    return ERR_OK;
}

enum err nsm_reply_pcr(struct bytes in, struct nsm_pcr *out, struct fault *fault)
{
    struct reply reply;
    TRY(parse_reply(&form_pcr, in, &reply, fault));
    if (reply.bytes.len != ATTDOC_PCR_LEN)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", form_pcr.operation), ERR_NSM,
             "a PCR of %zu byte%s, must be %d", reply.bytes.len, plural(reply.bytes.len),
             ATTDOC_PCR_LEN);
    out->locked = reply.flag;
    memcpy(out->value, reply.bytes.ptr, ATTDOC_PCR_LEN);
    return ERR_OK;
}

enum err nsm_reply_document(struct bytes in, struct bytes *document, struct fault *fault)
{
    struct reply reply;
    TRY(parse_reply(&form_document, in, &reply, fault));
    if (reply.bytes.len == 0 || reply.bytes.len > ATTDOC_LEN_MAX)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", form_document.operation), ERR_NSM,
             "a document of %zu bytes, must be 1 to %d", reply.bytes.len, ATTDOC_LEN_MAX);
    *document = reply.bytes;
    return ERR_OK;
}
