/* A reply of the Nitro Secure Module to each of the requests, and the document in it as the agent
 * reads its own.  The first byte says what was asked. */
#include "common/cbor_writer.h"
#include "enclave-agent/document.h"
#include "enclave-agent/nsm.h"
#include "fixed_chain.h"

enum kind {
    KIND_RANDOM,
    KIND_PCR,
    KIND_DOCUMENT,
    KIND_OWN_DOCUMENT, /* without a reply around it */
    KIND_ABOUT,
    KIND_EXTEND,
    KIND_LOCK,
    KIND_COUNT,
};

static const uint8_t some[] = {1, 2, 3, 4, 5, 6, 7, 8};
static const struct nsm_question question = {
    .public_key = {some, 8}, .user_data = {some, 4}, .nonce = {some, 0}};

/* What is asked fits, and is no answer. */
static void check_questions(void)
{
    struct buf request[6] = {{0}};
    FUZZ_OK(nsm_request_random(&request[0]));
    FUZZ_OK(nsm_request_pcr(3, &request[1]));
    FUZZ_OK(nsm_request_document(&question, &request[2]));
    FUZZ_OK(nsm_request_about(&request[3]));
    FUZZ_OK(nsm_request_extend(31, question.public_key, &request[4]));
    FUZZ_OK(nsm_request_lock(31, &request[5]));
    for (size_t i = 0; i < ARRAY_LEN(request); i++) {
        struct bytes view;
        FUZZ_HOLDS(request[i].len <= NSM_REQUEST_MAX);
        FUZZ_HOLDS(nsm_reply_document(bytes_of_buf(&request[i]), &view, NULL) == ERR_NSM);
        buf_free(&request[i]);
    }
}

static void check_document(struct bytes document)
{
    uint8_t root[SHA256_LEN];
    struct own_document own;
    struct fault fault = FAULT_NONE;
    FUZZ_OK(digest_sha256(bytes_of_buf(&fuzz_chain()->der[0]), root));
    FUZZ_FILL(&own);
    const enum err err = own_document_read(document, &question, root, &own, &fault);
    FUZZ_CHECK(err, &fault, document, &own);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_NSM);
    FUZZ_HOLDS(err != ERR_OK || memcmp(own.root, root, sizeof root) == 0);
}

/* {"GetRandom": ...: the operation stands right behind the head of the map. */
static bool answers(struct bytes in, const char *operation)
{
    return in.len > 2 + strlen(operation) && in.ptr[1] == (0x60 | strlen(operation)) &&
           memcmp(in.ptr + 2, operation, strlen(operation)) == 0;
}

static enum err read_about(struct bytes in, struct fault *fault)
{
    struct nsm_about about;
    FUZZ_FILL(&about);
    const enum err err = nsm_reply_about(in, &about, fault);
    FUZZ_CHECK(err, fault, in, &about);
    if (err != ERR_OK)
        return err;
    const size_t len = strlen(about.module_id);
    FUZZ_HOLDS(answers(in, "DescribeNSM"));
    FUZZ_HOLDS(len >= 1 && len <= NSM_MODULE_ID_MAX);
    for (size_t i = 0; i < len; i++)
        FUZZ_HOLDS(about.module_id[i] > 0x20 && about.module_id[i] < 0x7f);
    return err;
}

static enum err read_pcr(struct bytes in, struct fault *fault)
{
    struct nsm_pcr pcr;
    FUZZ_FILL(&pcr);
    const enum err err = nsm_reply_pcr(in, &pcr, fault);
    FUZZ_CHECK(err, fault, in, &pcr);
    FUZZ_HOLDS(err != ERR_OK || answers(in, "DescribePCR"));
    return err;
}

static enum err read_extend(struct bytes in, struct fault *fault)
{
    uint8_t value[ATTDOC_PCR_LEN];
    FUZZ_FILL(&value);
    const enum err err = nsm_reply_extend(in, value, fault);
    FUZZ_CHECK(err, fault, in, &value);
    FUZZ_HOLDS(err != ERR_OK || answers(in, "ExtendPCR"));
    return err;
}

/* One text and no other. */
static enum err read_lock(struct bytes in, struct fault *fault)
{
    uint8_t nothing[1];
    FUZZ_FILL(&nothing);
    const enum err err = nsm_reply_lock(in, fault);
    FUZZ_CHECK(err, fault, in, &nothing);
    FUZZ_HOLDS((err == ERR_OK) == bytes_equal_text(in, "\x67LockPCR"));
    return err;
}

static enum err read_view(enum kind kind, struct bytes in, struct fault *fault)
{
    struct bytes view;
    FUZZ_FILL(&view);
    const enum err err = kind == KIND_RANDOM ? nsm_reply_random(in, &view, fault)
                                             : nsm_reply_document(in, &view, fault);
    FUZZ_CHECK(err, fault, in, &view);
    if (err == ERR_OK) {
        FUZZ_HOLDS(fuzz_within(view, in));
        FUZZ_HOLDS(answers(in, kind == KIND_RANDOM ? "GetRandom" : "Attestation"));
        FUZZ_HOLDS(kind == KIND_RANDOM ? view.len >= NSM_RANDOM_MIN
                                       : view.len >= 1 && view.len <= ATTDOC_LEN_MAX);
        if (kind == KIND_DOCUMENT)
            check_document(view);
    }
    return err;
}

static enum err read_reply(enum kind kind, struct bytes in, struct fault *fault)
{
    switch (kind) {
    case KIND_PCR:
        return read_pcr(in, fault);
    case KIND_ABOUT:
        return read_about(in, fault);
    case KIND_EXTEND:
        return read_extend(in, fault);
    case KIND_LOCK:
        return read_lock(in, fault);
    default:
        return read_view(kind, in, fault);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const enum kind kind = (enum kind)(fuzz_take_byte(&in) % KIND_COUNT);
    struct fault fault = FAULT_NONE;
    if (kind == KIND_OWN_DOCUMENT) {
        check_questions();
        check_document(in);
        return 0;
    }
    const enum err err = read_reply(kind, in, &fault);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_NSM);
    for (enum kind other = 0; other < KIND_COUNT; other++)
        FUZZ_HOLDS(err != ERR_OK || other == kind || other == KIND_OWN_DOCUMENT ||
                   read_reply(other, in, &fault) == ERR_NSM);
    return 0;
}

static void put_about(struct cbor_writer *w)
{
    cbor_writer_map(w, 7);
    cbor_writer_cstr(w, "version_major");
    cbor_writer_uint(w, 1);
    cbor_writer_cstr(w, "version_minor");
    cbor_writer_uint(w, 0);
    cbor_writer_cstr(w, "version_patch");
    cbor_writer_uint(w, 300);
    cbor_writer_cstr(w, "module_id");
    cbor_writer_cstr(w, "i-0123456789abcdef0-enc0123456789abcdef");
    cbor_writer_cstr(w, "max_pcrs");
    cbor_writer_uint(w, 32);
    cbor_writer_cstr(w, "locked_pcrs");
    cbor_writer_array(w, 2);
    cbor_writer_uint(w, 0);
    cbor_writer_uint(w, 31);
    cbor_writer_cstr(w, "digest");
    cbor_writer_cstr(w, "SHA384");
}

/* {"DescribePCR": {"lock": false, "data": ...}} and its like. */
static void put_reply(struct cbor_writer *w, enum kind kind, struct bytes document)
{
    static const char *const names[] = {"GetRandom",   "DescribePCR", "Attestation", "",
                                        "DescribeNSM", "ExtendPCR",   "LockPCR"};
    static const uint8_t zeros[ATTDOC_PCR_LEN];
    if (kind != KIND_LOCK)
        cbor_writer_map(w, 1);
    cbor_writer_cstr(w, names[kind]);
    if (kind == KIND_LOCK)
        return;
    if (kind == KIND_ABOUT) {
        put_about(w);
        return;
    }
    cbor_writer_map(w, kind == KIND_PCR ? 2 : 1);
    if (kind == KIND_PCR) {
        cbor_writer_cstr(w, "lock");
        cbor_writer_bool(w, true);
    }
    cbor_writer_cstr(w, kind == KIND_RANDOM     ? "random"
                        : kind == KIND_DOCUMENT ? "document"
                                                : "data");
    cbor_writer_bytes(w, kind == KIND_DOCUMENT ? document : bytes_of(zeros, sizeof zeros));
}

static void put_sample(enum kind kind, bool refusal, struct buf *out)
{
    const uint8_t first = (uint8_t)kind;
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf document = {0};
    struct cbor_writer w;
    fuzz_payload(true, &payload);
    FUZZ_OK(mkdoc_sign(fuzz_chain(), bytes_of_buf(&payload), &document));
    FUZZ_OK(buf_append(out, bytes_of(&first, 1)));
    if (kind == KIND_OWN_DOCUMENT) {
        FUZZ_OK(buf_append(out, bytes_of_buf(&document)));
        return;
    }
    cbor_writer_init(&w, out);
    if (refusal) {
        cbor_writer_map(&w, 1);
        cbor_writer_cstr(&w, "Error");
        cbor_writer_cstr(&w, "InvalidOperation");
    } else {
        put_reply(&w, kind, bytes_of_buf(&document));
    }
    FUZZ_OK(cbor_writer_finish(&w));
}

/* The bytes of a payload are changed inside of the document, which nothing signs here. */
static size_t change_document(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static uint8_t payload[2 * ATTDOC_PAYLOAD_MAX];
    struct cose_sign1 msg;
    struct bytes in = bytes_of(data + 1, size - 1);
    CLEANUP(buf_free) struct buf whole = {0};
    if (data[0] % KIND_COUNT != KIND_OWN_DOCUMENT || fuzz_choose(&seed, 2) == 0 ||
        cose_sign1_parse(COSE_ATTESTATION, in, &msg, NULL) != ERR_OK)
        return 1 + fuzz_mutate_cbor(data + 1, size - 1, max_size - 1, seed);
    memcpy(payload, msg.payload.ptr, msg.payload.len);
    const size_t len = fuzz_mutate_cbor(payload, msg.payload.len, sizeof payload, seed);
    if (len == 0)
        return size;
    FUZZ_OK(buf_append(&whole, bytes_of(data, 1)));
    FUZZ_OK(mkdoc_sign(fuzz_chain(), bytes_of(payload, len), &whole));
    return fuzz_replace(data, size, max_size, &whole);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size > 1 && fuzz_choose(&seed, 64) > 0)
        return change_document(data, size, max_size, seed);
    CLEANUP(buf_free) struct buf whole = {0};
    const enum kind kind = (enum kind)fuzz_choose(&seed, KIND_COUNT);
    put_sample(kind, fuzz_choose(&seed, 4) == 0, &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
