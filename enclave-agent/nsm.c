#include "nsm.h"

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"

#define SKIP_DEPTH 4 /* of members that a newer module may add */

/* A module's numbers are small; they are told from junk by this. */
#define NUMBER_MAX 65535

enum member_kind {
    MEMBER_BYTES,
    MEMBER_BOOL,
    MEMBER_NUMBER,
    MEMBER_TEXT,
    MEMBER_INDICES, /* an array of PCR numbers */
};

#define MEMBERS_MAX 7

/* The reply to one operation: its name alone, or around a map with at least these members. */
struct reply_form {
    const char *operation;
    size_t count; /* 0: the bare name */
    struct {
        const char *key;
        enum member_kind kind;
    } member[MEMBERS_MAX];
};

static const struct reply_form form_random = {"GetRandom", 1, {{"random", MEMBER_BYTES}}};
static const struct reply_form form_about = {"DescribeNSM",
                                             7,
                                             {{"version_major", MEMBER_NUMBER},
                                              {"version_minor", MEMBER_NUMBER},
                                              {"version_patch", MEMBER_NUMBER},
                                              {"module_id", MEMBER_TEXT},
                                              {"max_pcrs", MEMBER_NUMBER},
                                              {"locked_pcrs", MEMBER_INDICES},
                                              {"digest", MEMBER_TEXT}}};
static const struct reply_form form_pcr = {
    "DescribePCR", 2, {{"data", MEMBER_BYTES}, {"lock", MEMBER_BOOL}}};
static const struct reply_form form_extend = {"ExtendPCR", 1, {{"data", MEMBER_BYTES}}};
static const struct reply_form form_lock = {"LockPCR", 0, {{0}}};
static const struct reply_form form_document = {"Attestation", 1, {{"document", MEMBER_BYTES}}};

/* The members of a reply, as its form has them. */
struct reply {
    struct {
        bool there;
        struct bytes string; /* bytes, text */
        uint64_t number;     /* number, bool, a set of indices */
    } member[MEMBERS_MAX];
};

enum err nsm_request_random(struct buf *request)
{
    struct cbor_writer w;
    cbor_writer_init(&w, request);
    cbor_writer_cstr(&w, form_random.operation);
    return cbor_writer_finish(&w);
}

enum err nsm_request_about(struct buf *request)
{
    struct cbor_writer w;
    cbor_writer_init(&w, request);
    cbor_writer_cstr(&w, form_about.operation);
    return cbor_writer_finish(&w);
}

/* {operation: {"index": index, ...}}, to be continued where `count` is more than one. */
static void begin_of_pcr(struct cbor_writer *w, const struct reply_form *form, size_t count,
                         unsigned index)
{
    cbor_writer_map(w, 1);
    cbor_writer_cstr(w, form->operation);
    cbor_writer_map(w, count);
    cbor_writer_cstr(w, "index");
    cbor_writer_uint(w, index);
}

enum err nsm_request_pcr(unsigned index, struct buf *request)
{
    struct cbor_writer w;
    cbor_writer_init(&w, request);
    begin_of_pcr(&w, &form_pcr, 1, index);
    return cbor_writer_finish(&w);
}

enum err nsm_request_extend(unsigned index, struct bytes data, struct buf *request)
{
    struct cbor_writer w;
    cbor_writer_init(&w, request);
    begin_of_pcr(&w, &form_extend, 2, index);
    cbor_writer_cstr(&w, "data");
    cbor_writer_bytes(&w, data);
    return cbor_writer_finish(&w);
}

enum err nsm_request_lock(unsigned index, struct buf *request)
{
    struct cbor_writer w;
    cbor_writer_init(&w, request);
    begin_of_pcr(&w, &form_lock, 1, index);
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

/* A number of whatever width: nothing says that the module writes the shortest form. */
static enum err read_number(struct cbor_reader *r, uint64_t max, uint64_t *out)
{
    const size_t left = r->in.len - r->pos;
    const uint8_t head = left == 0 ? 0xff : r->in.ptr[r->pos];
    const size_t width = head < 0x18 ? 0 : head <= 0x1b ? (size_t)1 << (head - 0x18) : left;
    if (width >= left)
        FAIL(cbor_reader_fault(r, r->pos), ERR_NSM, "not a number");
    uint64_t value = width == 0 ? head : 0;
    for (size_t i = 1; i <= width; i++)
        value = value << 8 | r->in.ptr[r->pos + i];
    if (value > max)
        FAIL(cbor_reader_fault(r, r->pos), ERR_NSM, "%llu is more than %llu",
             (unsigned long long)value, (unsigned long long)max);
    r->pos += 1 + width;
    *out = value;
    return ERR_OK;
}

static enum err read_indices(struct cbor_reader *r, uint64_t *set)
{
    uint64_t count = 0;
    uint64_t indices = 0;
    TRY(cbor_reader_array(r, &count));
    for (; count > 0; count--) {
        uint64_t index = 0;
        TRY(read_number(r, ATTDOC_PCR_COUNT - 1, &index));
        indices |= UINT64_C(1) << index;
    }
    *set = indices;
    return ERR_OK;
}

/* Either of {"Error": name}, which is ERR_REFUSED, and {operation: ... */
static enum err read_operation(struct cbor_reader *r, const struct reply_form *form)
{
    struct cbor_item first;
    struct bytes name;
    TRY(cbor_reader_peek(r, &first));
    if (first.kind == CBOR_KIND_MAP || form->count > 0) {
        struct cbor_map outer;
        TRY(cbor_reader_map(r, false, &outer));
        if (outer.left != 1)
            FAIL(r->fault, ERR_NSM, "a map of %llu entries, not of one",
                 (unsigned long long)outer.left);
    }
    TRY(cbor_reader_text(r, &name));
    if (first.kind == CBOR_KIND_MAP && bytes_equal_text(name, "Error")) {
        struct bytes error;
        TRY(cbor_reader_text(r, &error));
        FAIL(r->fault, ERR_REFUSED, "the module refuses: %.*s: %s",
             error.len < 40 ? (int)error.len : 40, (const char *)error.ptr,
             nsm_error_advice(error));
    }
    if (!bytes_equal_text(name, form->operation))
        FAIL(r->fault, ERR_NSM, "it answers another operation: %.*s",
             name.len < 40 ? (int)name.len : 40, (const char *)name.ptr);
    if (first.kind == CBOR_KIND_MAP && form->count == 0)
        FAIL(r->fault, ERR_NSM, "a map, where the name alone is expected");
    return ERR_OK;
}

static enum err read_value(struct cbor_reader *r, enum member_kind kind, struct bytes *string,
                           uint64_t *number)
{
    bool flag = false;
    switch (kind) {
    case MEMBER_BYTES:
        return cbor_reader_bytes(r, string);
    case MEMBER_TEXT:
        return cbor_reader_text(r, string);
    case MEMBER_NUMBER:
        return read_number(r, NUMBER_MAX, number);
    case MEMBER_INDICES:
        return read_indices(r, number);
    case MEMBER_BOOL:
        break;
    }
    TRY(cbor_reader_bool(r, &flag));
    *number = flag;
    return ERR_OK;
}

static enum err read_member(struct cbor_reader *r, const struct reply_form *form, struct reply *out)
{
    struct bytes key;
    cbor_reader_at(r, "");
    TRY(cbor_reader_text(r, &key));
    for (size_t i = 0; i < form->count; i++) {
        if (!bytes_equal_text(key, form->member[i].key))
            continue;
        cbor_reader_at(r, form->member[i].key);
        if (out->member[i].there)
            FAIL(cbor_reader_fault(r, r->pos), ERR_NSM, "it is there twice");
        out->member[i].there = true;
        return read_value(r, form->member[i].kind, &out->member[i].string, &out->member[i].number);
    }
    return cbor_reader_skip(r, SKIP_DEPTH);
}

static enum err read_members(struct cbor_reader *r, const struct reply_form *form,
                             struct reply *out)
{
    struct cbor_map map;
    bool more = false;
    TRY(cbor_reader_map(r, false, &map));
    TRY(cbor_reader_map_more(r, &map, &more));
    while (more) {
        TRY(read_member(r, form, out));
        TRY(cbor_reader_map_more(r, &map, &more));
    }
    for (size_t i = 0; i < form->count; i++) {
        cbor_reader_at(r, form->member[i].key);
        if (!out->member[i].there)
            FAIL(cbor_reader_fault(r, r->pos), ERR_NSM, "it is missing");
    }
    return ERR_OK;
}

static enum err read_reply(struct cbor_reader *r, const struct reply_form *form, struct reply *out)
{
    TRY(read_operation(r, form));
    if (form->count > 0)
        TRY(read_members(r, form, out));
    cbor_reader_at(r, "");
    return cbor_reader_end(r);
}

/* The place of a failure: "DescribePCR.data". */
static struct fault *at_member(struct fault *fault, const struct reply_form *form, const char *key)
{
    return fault_at(fault, FAULT_NO_OFFSET, "%s%s%.40s", form->operation, key[0] == '\0' ? "" : ".",
                    key);
}

/* The same for a reply that is none, with an offset: so that it can be told from a refusal
 * (advice.c).  Which byte it was helps nobody. */
static struct fault *in_reply(struct fault *fault, const struct reply_form *form, const char *key)
{
    return fault_at(fault, 0, "%s%s%.40s", form->operation, key[0] == '\0' ? "" : ".", key);
}

/* As read_reply, with every failure as ERR_NSM and its place named. */
static enum err parse_reply(const struct reply_form *form, struct bytes in, struct reply *out,
                            struct fault *fault)
{
    struct fault inner = FAULT_NONE;
    struct cbor_reader r;
    struct reply reply = {0};
    cbor_reader_init(&r, in, 0, "", &inner);
    if (in.len == 0)
        FAIL(at_member(fault, form, ""), ERR_NSM, "an empty reply: start the enclave again");
    const enum err err = read_reply(&r, form, &reply);
    if (err == ERR_REFUSED)
        FAIL(at_member(fault, form, inner.field), ERR_NSM, "%s", inner.detail);
    if (err != ERR_OK)
        FAIL(in_reply(fault, form, inner.field), ERR_NSM, "%s",
             inner.detail[0] == '\0' ? err_sentence(inner.code) : inner.detail);
    *out = reply;
    return ERR_OK;
}

static enum err copy_pcr(const struct reply_form *form, struct bytes value,
                         uint8_t out[static ATTDOC_PCR_LEN], struct fault *fault)
{
    if (value.len != ATTDOC_PCR_LEN)
        FAIL(in_reply(fault, form, "data"), ERR_NSM, "a PCR of %zu byte%s, must be %d", value.len,
             plural(value.len), ATTDOC_PCR_LEN);
    memcpy(out, value.ptr, ATTDOC_PCR_LEN);
    return ERR_OK;
}

enum err nsm_reply_random(struct bytes in, struct bytes *random, struct fault *fault)
{
    struct reply reply;
    TRY(parse_reply(&form_random, in, &reply, fault));
    const struct bytes found = reply.member[0].string;
    if (found.len < NSM_RANDOM_MIN)
        FAIL(in_reply(fault, &form_random, "random"), ERR_NSM,
             "%zu random byte%s, at least %d are needed", found.len, plural(found.len),
             NSM_RANDOM_MIN);
    *random = found;
    return ERR_OK;
}

enum err nsm_reply_about(struct bytes in, struct nsm_about *out, struct fault *fault)
{
    struct reply reply;
    TRY(parse_reply(&form_about, in, &reply, fault));
    const struct bytes id = reply.member[3].string;
    const struct bytes digest = reply.member[6].string;
    if (id.len == 0 || id.len > NSM_MODULE_ID_MAX)
        FAIL(in_reply(fault, &form_about, "module_id"), ERR_NSM,
             "a module id of %zu bytes, must be 1 to %d", id.len, NSM_MODULE_ID_MAX);
    if (!bytes_equal_text(digest, "SHA384"))
        FAIL(in_reply(fault, &form_about, "digest"), ERR_NSM,
             "SHA384 is expected, found %.*s: this agent knows no other",
             digest.len < 40 ? (int)digest.len : 40, (const char *)digest.ptr);
    struct nsm_about about = {.pcr_count = (unsigned)reply.member[4].number,
                              .locked = (uint32_t)reply.member[5].number};
    for (size_t i = 0; i < ARRAY_LEN(about.version); i++)
        about.version[i] = (unsigned)reply.member[i].number;
    for (size_t i = 0; i < id.len; i++)
        about.module_id[i] = (char)(id.ptr[i] < 0x21 || id.ptr[i] > 0x7e ? '?' : id.ptr[i]);
    *out = about;
    return ERR_OK;
}

enum err nsm_reply_pcr(struct bytes in, struct nsm_pcr *out, struct fault *fault)
{
    struct reply reply;
    struct nsm_pcr pcr;
    TRY(parse_reply(&form_pcr, in, &reply, fault));
    TRY(copy_pcr(&form_pcr, reply.member[0].string, pcr.value, fault));
    pcr.locked = reply.member[1].number != 0;
    *out = pcr;
    return ERR_OK;
}

enum err nsm_reply_extend(struct bytes in, uint8_t value[static ATTDOC_PCR_LEN],
                          struct fault *fault)
{
    struct reply reply;
    TRY(parse_reply(&form_extend, in, &reply, fault));
    return copy_pcr(&form_extend, reply.member[0].string, value, fault);
}

enum err nsm_reply_lock(struct bytes in, struct fault *fault)
{
    struct reply reply;
    return parse_reply(&form_lock, in, &reply, fault);
}

enum err nsm_reply_document(struct bytes in, struct bytes *document, struct fault *fault)
{
    struct reply reply;
    TRY(parse_reply(&form_document, in, &reply, fault));
    const struct bytes found = reply.member[0].string;
    if (found.len == 0 || found.len > ATTDOC_LEN_MAX)
        FAIL(in_reply(fault, &form_document, "document"), ERR_NSM,
             "a document of %zu bytes, must be 1 to %d", found.len, ATTDOC_LEN_MAX);
    *document = found;
    return ERR_OK;
}
