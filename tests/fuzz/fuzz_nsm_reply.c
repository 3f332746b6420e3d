/* A reply of the Nitro Secure Module to each of the three requests, and the document in it
 * as the agent reads its own.  The first byte says what was asked. */
#include "common/cbor_writer.h"
#include "enclave-agent/document.h"
#include "enclave-agent/nsm.h"
#include "fixed_chain.h"

static const uint8_t some[] = {1, 2, 3, 4, 5, 6, 7, 8};
static const struct nsm_question question = {
    .public_key = {some, 8}, .user_data = {some, 4}, .nonce = {some, 0}};

/* What is asked fits, and is no answer. */
static void check_questions(void)
{
    struct buf request[3] = {{0}, {0}, {0}};
    FUZZ_OK(nsm_request_random(&request[0]));
    FUZZ_OK(nsm_request_pcr(3, &request[1]));
    FUZZ_OK(nsm_request_document(&question, &request[2]));
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

static enum err read_reply(unsigned kind, struct bytes in, struct fault *fault)
{
    struct bytes view;
    struct nsm_pcr pcr;
    FUZZ_FILL(&view);
    FUZZ_FILL(&pcr);
    if (kind == 1) {
        const enum err err = nsm_reply_pcr(in, &pcr, fault);
        FUZZ_CHECK(err, fault, in, &pcr);
        FUZZ_HOLDS(err != ERR_OK || answers(in, "DescribePCR"));
        return err;
    }
    const enum err err =
        kind == 0 ? nsm_reply_random(in, &view, fault) : nsm_reply_document(in, &view, fault);
    FUZZ_CHECK(err, fault, in, &view);
    if (err == ERR_OK) {
        FUZZ_HOLDS(fuzz_within(view, in));
        FUZZ_HOLDS(answers(in, kind == 0 ? "GetRandom" : "Attestation"));
        FUZZ_HOLDS(kind == 0 ? view.len >= NSM_RANDOM_MIN
                             : view.len >= 1 && view.len <= ATTDOC_LEN_MAX);
        if (kind == 2)
            check_document(view);
    }
    return err;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const unsigned kind = fuzz_take_byte(&in) % 4;
    struct fault fault = FAULT_NONE;
    if (kind == 3) {
        check_questions();
        check_document(in);
        return 0;
    }
    const enum err err = read_reply(kind, in, &fault);
    FUZZ_HOLDS(err == ERR_OK || err == ERR_NSM);
    for (unsigned other = 0; other < 3; other++)
        FUZZ_HOLDS(err != ERR_OK || other == kind || read_reply(other, in, &fault) == ERR_NSM);
    return 0;
}

/* {"DescribePCR": {"lock": false, "data": ...}} and its like. */
static void put_sample(uint8_t kind, bool refusal, struct buf *out)
{
    static const uint8_t zeros[ATTDOC_PCR_LEN];
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf document = {0};
    struct cbor_writer w;
    fuzz_payload(true, &payload);
    FUZZ_OK(mkdoc_sign(fuzz_chain(), bytes_of_buf(&payload), &document));
    FUZZ_OK(buf_append(out, bytes_of(&kind, 1)));
    if (kind == 3) {
        FUZZ_OK(buf_append(out, bytes_of_buf(&document)));
        return;
    }
    cbor_writer_init(&w, out);
    cbor_writer_map(&w, 1);
    if (refusal) {
        cbor_writer_cstr(&w, "Error");
        cbor_writer_cstr(&w, "InvalidOperation");
        FUZZ_OK(cbor_writer_finish(&w));
        return;
    }
    cbor_writer_cstr(&w, kind == 0 ? "GetRandom" : kind == 1 ? "DescribePCR" : "Attestation");
    cbor_writer_map(&w, kind == 1 ? 2 : 1);
    if (kind == 1) {
        cbor_writer_cstr(&w, "lock");
        cbor_writer_bool(&w, true);
    }
    cbor_writer_cstr(&w, kind == 0 ? "random" : kind == 1 ? "data" : "document");
    cbor_writer_bytes(&w, kind == 2 ? bytes_of_buf(&document) : bytes_of(zeros, sizeof zeros));
    FUZZ_OK(cbor_writer_finish(&w));
}

/* The bytes of a payload are changed inside of the document, which nothing signs here. */
static size_t change_document(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static uint8_t payload[2 * ATTDOC_PAYLOAD_MAX];
    struct cose_sign1 msg;
    struct bytes in = bytes_of(data + 1, size - 1);
    CLEANUP(buf_free) struct buf whole = {0};
    if (data[0] % 4 != 3 || fuzz_choose(&seed, 2) == 0 ||
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
    put_sample((uint8_t)fuzz_choose(&seed, 4), fuzz_choose(&seed, 4) == 0, &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
