#include "sim_nsm.h"

#include <openssl/rand.h>

#include "common/cbor_reader.h"
#include "common/cbor_writer.h"
#include "common/cose_sign1.h"

/* nsm-api's ErrorCode; only the names travel. */
enum nsm_error {
    NSM_SUCCESS,
    NSM_INVALID_ARGUMENT,
    NSM_INVALID_INDEX,
    NSM_READ_ONLY_INDEX,
    NSM_INVALID_OPERATION,
    NSM_BUFFER_TOO_SMALL,
    NSM_INPUT_TOO_LARGE,
    NSM_INTERNAL_ERROR,
};

static const char *const error_names[] = {
    [NSM_SUCCESS] = "Success",
    [NSM_INVALID_ARGUMENT] = "InvalidArgument",
    [NSM_INVALID_INDEX] = "InvalidIndex",
    [NSM_READ_ONLY_INDEX] = "ReadOnlyIndex",
    [NSM_INVALID_OPERATION] = "InvalidOperation",
    [NSM_BUFFER_TOO_SMALL] = "BufferTooSmall",
    [NSM_INPUT_TOO_LARGE] = "InputTooLarge",
    [NSM_INTERNAL_ERROR] = "InternalError",
};

/* The members that a request can have; a bit each. */
enum member {
    MEMBER_INDEX = 1 << 0,
    MEMBER_RANGE = 1 << 1,
    MEMBER_DATA = 1 << 2,
    MEMBER_USER_DATA = 1 << 3,
    MEMBER_NONCE = 1 << 4,
    MEMBER_PUBLIC_KEY = 1 << 5,
};

struct request {
    unsigned seen; /* which members it has */
    uint64_t index;
    uint64_t range;
    struct bytes data;
    struct attdoc_optional user_data;
    struct attdoc_optional nonce;
    struct attdoc_optional public_key;
};

struct call {
    struct sim_nsm *nsm;
    int64_t now_ms;
    const struct request *request;
    struct cbor_writer reply;
};

/* A request that is one bare name has no members; the others are {name: {members}}. */
struct operation {
    const char *name;
    bool bare;
    unsigned required;
    enum nsm_error (*run)(struct call *call);
};

void sim_nsm_init(struct sim_nsm *nsm, enum attdoc_kind kind, const char *module_id,
                  struct sim_chain *chain)
{
    const unsigned locked = kind == ATTDOC_NITROTPM ? SIM_TPM_PCRS : SIM_PCR_FIRST_USER;
    *nsm = (struct sim_nsm){
        .kind = kind,
        .module_id = module_id,
        .chain = chain,
        .locked = (UINT32_C(1) << locked) - 1,
    };
}

static bool is_locked(const struct sim_nsm *nsm, uint64_t index)
{
    return ((nsm->locked >> index) & 1) != 0;
}

/* {name: {..count members..}}, as serde tags an enum from outside. */
static void begin_reply(struct call *call, const char *name, size_t count)
{
    cbor_writer_map(&call->reply, 1);
    cbor_writer_cstr(&call->reply, name);
    cbor_writer_map(&call->reply, count);
}

static enum nsm_error run_describe_nsm(struct call *call)
{
    const struct sim_nsm *nsm = call->nsm;
    struct cbor_writer *const w = &call->reply;
    size_t locked = 0;
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++)
        locked += is_locked(nsm, i);
    begin_reply(call, "DescribeNSM", 7);
    cbor_writer_cstr(w, "version_major");
    cbor_writer_uint(w, 1);
    cbor_writer_cstr(w, "version_minor");
    cbor_writer_uint(w, 0);
    cbor_writer_cstr(w, "version_patch");
    cbor_writer_uint(w, 0);
    cbor_writer_cstr(w, "module_id");
    cbor_writer_cstr(w, nsm->module_id);
    cbor_writer_cstr(w, "max_pcrs");
    cbor_writer_uint(w, ATTDOC_PCR_COUNT);
    cbor_writer_cstr(w, "locked_pcrs");
    cbor_writer_array(w, locked);
    for (unsigned i = 0; i < ATTDOC_PCR_COUNT; i++) {
        if (is_locked(nsm, i))
            cbor_writer_uint(w, i);
    }
    cbor_writer_cstr(w, "digest");
    cbor_writer_cstr(w, "SHA384");
    return NSM_SUCCESS;
}

static enum nsm_error run_describe_pcr(struct call *call)
{
    const uint64_t index = call->request->index;
    if (index >= ATTDOC_PCR_COUNT)
        return NSM_INVALID_INDEX;
    begin_reply(call, "DescribePCR", 2);
    cbor_writer_cstr(&call->reply, "lock");
    cbor_writer_bool(&call->reply, is_locked(call->nsm, index));
    cbor_writer_cstr(&call->reply, "data");
    cbor_writer_bytes(&call->reply, bytes_of(call->nsm->pcr[index], ATTDOC_PCR_LEN));
    return NSM_SUCCESS;
}

static enum nsm_error run_extend_pcr(struct call *call)
{
    const uint64_t index = call->request->index;
    if (index >= ATTDOC_PCR_COUNT)
        return NSM_INVALID_INDEX;
    if (is_locked(call->nsm, index))
        return NSM_READ_ONLY_INDEX;
    uint8_t *const pcr = call->nsm->pcr[index];
    CLEANUP(buf_free) struct buf both = {0};
    uint8_t extended[SHA384_LEN];
    if (buf_append(&both, bytes_of(pcr, ATTDOC_PCR_LEN)) != ERR_OK ||
        buf_append(&both, call->request->data) != ERR_OK ||
        digest_sha384(bytes_of_buf(&both), extended) != ERR_OK)
        return NSM_INTERNAL_ERROR;
    memcpy(pcr, extended, ATTDOC_PCR_LEN);
    begin_reply(call, "ExtendPCR", 1);
    cbor_writer_cstr(&call->reply, "data");
    cbor_writer_bytes(&call->reply, bytes_of(pcr, ATTDOC_PCR_LEN));
    return NSM_SUCCESS;
}

static enum nsm_error run_lock_pcr(struct call *call)
{
    const uint64_t index = call->request->index;
    if (index >= ATTDOC_PCR_COUNT)
        return NSM_INVALID_INDEX;
    if (is_locked(call->nsm, index))
        return NSM_READ_ONLY_INDEX;
    call->nsm->locked |= UINT32_C(1) << index;
    cbor_writer_cstr(&call->reply, "LockPCR");
    return NSM_SUCCESS;
}

/* Locks 0..range-1; that some of them are locked already is no error. */
static enum nsm_error run_lock_pcrs(struct call *call)
{
    const uint64_t range = call->request->range;
    if (range > ATTDOC_PCR_COUNT)
        return NSM_INVALID_INDEX;
    call->nsm->locked |= (uint32_t)((UINT64_C(1) << range) - 1);
    cbor_writer_cstr(&call->reply, "LockPCRs");
    return NSM_SUCCESS;
}

static enum nsm_error run_get_random(struct call *call)
{
    uint8_t random[SIM_RANDOM_LEN];
    if (RAND_bytes(random, sizeof random) != 1)
        return NSM_INTERNAL_ERROR;
    begin_reply(call, "GetRandom", 1);
    cbor_writer_cstr(&call->reply, "random");
    cbor_writer_bytes(&call->reply, bytes_of(random, sizeof random));
    return NSM_SUCCESS;
}

/* Today's genuine documents: indefinite outer map, all three optionals always there,
 * null where unused; the locked PCRs and no others. */
static enum err make_document(struct call *call, struct buf *document)
{
    const struct sim_nsm *nsm = call->nsm;
    const struct mkdoc_chain *chain = NULL;
    TRY(sim_chain_current(nsm->chain, call->now_ms, &chain));
    struct mkdoc_fields fields;
    mkdoc_fields_defaults(&fields, call->now_ms + nsm->skew_ms, nsm->module_id, 0);
    fields.nitrotpm = nsm->kind == ATTDOC_NITROTPM;
    fields.pcr_present = nsm->locked;
    memcpy(fields.pcr, nsm->pcr, sizeof fields.pcr);
    fields.public_key = call->request->public_key;
    fields.user_data = call->request->user_data;
    fields.nonce = call->request->nonce;
    return mkdoc_document(&fields, chain, document);
}

static bool is_too_long(const struct attdoc_optional *optional)
{
    return optional->state == ATTDOC_PRESENT && optional->value.len > ATTDOC_OPTIONAL_MAX;
}

static enum nsm_error run_attestation(struct call *call)
{
    const struct request *request = call->request;
    if (is_too_long(&request->public_key) || is_too_long(&request->user_data) ||
        is_too_long(&request->nonce))
        return NSM_INVALID_ARGUMENT;
    CLEANUP(buf_free) struct buf document = {0};
    if (make_document(call, &document) != ERR_OK)
        return NSM_INTERNAL_ERROR;
    begin_reply(call, "Attestation", 1);
    cbor_writer_cstr(&call->reply, "document");
    cbor_writer_bytes(&call->reply, bytes_of_buf(&document));
    return NSM_SUCCESS;
}

static const struct operation operations[] = {
    {"DescribePCR", false, MEMBER_INDEX, run_describe_pcr},
    {"ExtendPCR", false, MEMBER_INDEX | MEMBER_DATA, run_extend_pcr},
    {"LockPCR", false, MEMBER_INDEX, run_lock_pcr},
    {"LockPCRs", false, MEMBER_RANGE, run_lock_pcrs},
    {"DescribeNSM", true, 0, run_describe_nsm},
    {"Attestation", false, 0, run_attestation},
    {"GetRandom", true, 0, run_get_random},
};

static const struct operation *operation_find(struct bytes name)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        if (bytes_equal_text(name, operations[i].name))
            return &operations[i];
    }
    return NULL;
}

static enum err read_optional(struct cbor_reader *r, struct attdoc_optional *out)
{
    struct cbor_item item;
    TRY(cbor_reader_next(r, &item));
    if (item.kind != CBOR_KIND_NULL && item.kind != CBOR_KIND_BYTES)
        return ERR_CBOR_TYPE;
    out->state = item.kind == CBOR_KIND_NULL ? ATTDOC_NULL : ATTDOC_PRESENT;
    if (item.kind == CBOR_KIND_BYTES)
        out->value = item.string;
    return ERR_OK;
}

static unsigned member_find(struct bytes key)
{
    static const char *const names[] = {"index",     "range", "data",
                                        "user_data", "nonce", "public_key"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        if (bytes_equal_text(key, names[i]))
            return 1U << i;
    }
    return 0;
}

/* One member, whatever the order; what no operation knows is passed over, as serde does. */
static enum err read_member(struct cbor_reader *r, struct request *request)
{
    struct bytes key;
    TRY(cbor_reader_text(r, &key));
    const unsigned member = member_find(key);
    if ((request->seen & member) != 0)
        return ERR_CBOR_DUPLICATE;
    request->seen |= member;
    switch (member) {
    case MEMBER_INDEX:
        return cbor_reader_uint(r, &request->index);
    case MEMBER_RANGE:
        return cbor_reader_uint(r, &request->range);
    case MEMBER_DATA:
        return cbor_reader_bytes(r, &request->data);
    case MEMBER_USER_DATA:
        return read_optional(r, &request->user_data);
    case MEMBER_NONCE:
        return read_optional(r, &request->nonce);
    case MEMBER_PUBLIC_KEY:
        return read_optional(r, &request->public_key);
    default:
        return cbor_reader_skip(r, 4);
    }
}

static enum err read_members(struct cbor_reader *r, struct request *request)
{
    struct cbor_map map;
    bool more = false;
    TRY(cbor_reader_map(r, false, &map));
    TRY(cbor_reader_map_more(r, &map, &more));
    while (more) {
        TRY(read_member(r, request));
        TRY(cbor_reader_map_more(r, &map, &more));
    }
    return ERR_OK;
}

/* The name of a request, bare or as the one key of a map. */
static enum err read_name(struct cbor_reader *r, struct bytes *name, bool *bare)
{
    struct cbor_item item;
    TRY(cbor_reader_peek(r, &item));
    if (item.kind == CBOR_KIND_MAP) {
        TRY(cbor_reader_next(r, &item));
        if (item.value != 1)
            return ERR_CBOR_TYPE;
        *bare = false;
    } else {
        *bare = true;
    }
    return cbor_reader_text(r, name);
}

/* nsm-api: InvalidOperation is a request "that cannot be fulfilled due to missing
 * capabilities", so a name that the module does not have; anything else that is wrong
 * with the bytes is InvalidArgument. */
static enum nsm_error parse(struct bytes in, struct request *request, const struct operation **out)
{
    struct cbor_reader r;
    struct bytes name;
    bool bare = false;
    cbor_reader_init(&r, in, 0, "request", NULL);
    if (read_name(&r, &name, &bare) != ERR_OK)
        return NSM_INVALID_ARGUMENT;
    const struct operation *operation = operation_find(name);
    if (operation == NULL)
        return NSM_INVALID_OPERATION;
    if (operation->bare != bare || (!bare && read_members(&r, request) != ERR_OK) ||
        cbor_reader_end(&r) != ERR_OK)
        return NSM_INVALID_ARGUMENT;
    if ((request->seen & operation->required) != operation->required)
        return NSM_INVALID_ARGUMENT;
    *out = operation;
    return NSM_SUCCESS;
}

/* Writes the answer to `out`, which holds nothing of use unless NSM_SUCCESS. */
static enum nsm_error answer(struct sim_nsm *nsm, int64_t now_ms, struct bytes in, struct buf *out)
{
    if (in.len > SIM_REQUEST_MAX)
        return NSM_INPUT_TOO_LARGE;
    struct request request = {
        .user_data.state = ATTDOC_NULL,
        .nonce.state = ATTDOC_NULL,
        .public_key.state = ATTDOC_NULL,
    };
    const struct operation *operation = NULL;
    const enum nsm_error parsed = parse(in, &request, &operation);
    if (parsed != NSM_SUCCESS)
        return parsed;
    struct call call = {.nsm = nsm, .now_ms = now_ms, .request = &request};
    cbor_writer_init(&call.reply, out);
    const enum nsm_error done = operation->run(&call);
    if (done == NSM_SUCCESS && cbor_writer_finish(&call.reply) != ERR_OK)
        return NSM_INTERNAL_ERROR;
    return done;
}

enum err sim_nsm_handle(struct sim_nsm *nsm, int64_t now_ms, struct bytes request,
                        struct buf *reply)
{
    CLEANUP(buf_free) struct buf out = {0};
    enum nsm_error error = answer(nsm, now_ms, request, &out);
    if (error == NSM_SUCCESS && out.len > SIM_REPLY_MAX)
        error = NSM_BUFFER_TOO_SMALL;
    if (error == NSM_SUCCESS)
        return buf_append(reply, bytes_of_buf(&out));
    struct cbor_writer w;
    cbor_writer_init(&w, reply);
    cbor_writer_map(&w, 1);
    cbor_writer_cstr(&w, "Error");
    cbor_writer_cstr(&w, error_names[error]);
    return cbor_writer_finish(&w);
}
