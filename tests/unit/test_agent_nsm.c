/* The NSM's requests and replies: against the simulator's own functions, and replies
 * written by hand, each wrong in one way. */
#include "hex.h"

#include <openssl/rand.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cose_sign1.h"
#include "enclave-agent/nsm-sim/sim_nsm.h"
#include "enclave-agent/nsm.h"

#define NOW_MS    INT64_C(1795000000123)
#define MODULE_ID "i-0123456789abcdef0-enc0123456789abcdef"

static struct fault fault;

static void fill(struct buf *out, size_t len, uint8_t value)
{
    ck_ok(buf_reserve(out, len));
    memset(out->ptr + out->len, value, len);
    out->len += len;
}

/* The bytes that aws-nitro-enclaves-nsm-api makes. */
START_TEST(valid_requests)
{
    CLEANUP(buf_free) struct buf random = {0};
    ck_ok(nsm_request_random(&random));
    ck_hex(bytes_of_buf(&random), "6947657452616e646f6d");
    CLEANUP(buf_free) struct buf pcr = {0};
    ck_ok(nsm_request_pcr(16, &pcr));
    ck_hex(bytes_of_buf(&pcr), "a16b4465736372696265504352a165696e64657810");
    CLEANUP(buf_free) struct buf about = {0};
    ck_ok(nsm_request_about(&about));
    ck_hex(bytes_of_buf(&about), "6b44657363726962654e534d");
    CLEANUP(buf_free) struct buf extend = {0};
    ck_ok(nsm_request_extend(16, bytes_of("abc", 3), &extend));
    ck_hex(bytes_of_buf(&extend), "a169457874656e64504352a265696e646578106464617461"
                                  "43616263");
    CLEANUP(buf_free) struct buf lock = {0};
    ck_ok(nsm_request_lock(31, &lock));
    ck_hex(bytes_of_buf(&lock), "a1674c6f636b504352a165696e646578181f");
    CLEANUP(buf_free) struct buf document = {0};
    const struct nsm_question question = {
        .user_data = bytes_of("u", 1), .nonce = bytes_of("nn", 2), .public_key = bytes_of("k", 1)};
    ck_ok(nsm_request_document(&question, &document));
    ck_hex(bytes_of_buf(&document),
           "a16b4174746573746174696f6ea369757365725f646174614175656e6f6e6365426e6e"
           "6a7075626c69635f6b6579416b");
}
END_TEST

/* --- against the simulator --- */

static struct sim_nsm simulated;

static enum err exchange_simulated(const struct nsm *nsm, struct bytes request, struct buf *reply,
                                   struct fault *f)
{
    (void)nsm;
    (void)f;
    return sim_nsm_handle(&simulated, NOW_MS, request, reply);
}

static const struct nsm with_simulator = {.fd = -1, .exchange = exchange_simulated};

START_TEST(valid_conversation)
{
    CLEANUP(sim_chain_freep) struct sim_chain *chain = NULL;
    ck_ok(sim_chain_new(NULL, MODULE_ID, "us-east-1", NOW_MS, &chain, &fault));
    sim_nsm_init(&simulated, ATTDOC_ENCLAVE, MODULE_ID, chain);
    memset(simulated.pcr[2], 0x22, ATTDOC_PCR_LEN);

    ck_ok(nsm_mix_random(&with_simulator, &fault));
    struct nsm_pcr pcr;
    ck_ok(nsm_describe_pcr(&with_simulator, 2, &pcr, &fault));
    ck_assert(pcr.locked);
    ck_assert_mem_eq(pcr.value, simulated.pcr[2], ATTDOC_PCR_LEN);
    ck_ok(nsm_describe_pcr(&with_simulator, 31, &pcr, &fault));
    ck_assert(!pcr.locked);

    uint8_t value[ATTDOC_PCR_LEN];
    ck_ok(nsm_extend_pcr(&with_simulator, 31, bytes_of("x", 1), value, &fault));
    ck_assert_mem_eq(value, simulated.pcr[31], sizeof value);
    ck_ok(nsm_lock_pcr(&with_simulator, 31, &fault));
    ck_ok(nsm_describe_pcr(&with_simulator, 31, &pcr, &fault));
    ck_assert(pcr.locked);
    ck_assert_mem_eq(pcr.value, value, sizeof value);
    struct nsm_about about;
    ck_ok(nsm_describe(&with_simulator, &about, &fault));
    ck_assert_str_eq(about.module_id, MODULE_ID);
    ck_assert_uint_eq(about.locked, 0x8000ffff);
    ck_assert_uint_eq(about.pcr_count, 32);
    ck_assert_uint_eq(about.version[0], 1);
    ck_assert_uint_eq(about.version[1], 0);

    CLEANUP(buf_free) struct buf document = {0};
    const struct nsm_question question = {
        .user_data = bytes_of("u", 1), .nonce = bytes_of("nn", 2), .public_key = bytes_of("k", 1)};
    ck_ok(nsm_attest(&with_simulator, &question, &document, &fault));
    struct cose_sign1 message;
    struct attdoc doc;
    ck_ok(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(&document), &message, &fault));
    ck_ok(attdoc_parse(message.payload, 0, NULL, &doc, &fault));
    ck_assert(bytes_equal_text(doc.user_data.value, "u"));
    ck_assert(bytes_equal_text(doc.nonce.value, "nn"));
    ck_assert(bytes_equal_text(doc.public_key.value, "k"));
}
END_TEST

static char page[200000];

/* As docs/PROTOCOL.md, section 3, has them, for whoever writes another client. */
static void ck_in_page(struct buf *request)
{
    char hex[200];
    const size_t len = request->len < 60 ? request->len : request->len - ATTDOC_PCR_LEN;
    hex_encode(bytes_of(request->ptr, len), hex);
    ck_assert_msg(strstr(page, hex) != NULL, "PROTOCOL.md has not: %s", hex);
    buf_free(request);
}

START_TEST(valid_requests_of_the_page)
{
    const uint8_t digest[ATTDOC_PCR_LEN] = {0};
    char path[4096];
    struct buf request = {0};
    snprintf(path, sizeof path, "%s/docs/PROTOCOL.md", getenv("VOUCHSAFE_SOURCE"));
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    page[fread(page, 1, sizeof page - 1, file)] = '\0';
    fclose(file);
    ck_ok(nsm_request_pcr(16, &request));
    ck_in_page(&request);
    ck_ok(nsm_request_extend(16, bytes_of(digest, sizeof digest), &request));
    ck_in_page(&request);
    ck_ok(nsm_request_lock(16, &request));
    ck_in_page(&request);
}
END_TEST

static void ck_detail(enum err got, const char *field, const char *detail)
{
    ck_err(got, ERR_NSM);
    ck_assert_str_eq(fault.field, field);
    ck_assert_str_eq(fault.detail, detail);
}

START_TEST(wrong_index)
{
    CLEANUP(sim_chain_freep) struct sim_chain *chain = NULL;
    ck_ok(sim_chain_new(NULL, MODULE_ID, "us-east-1", NOW_MS, &chain, &fault));
    sim_nsm_init(&simulated, ATTDOC_ENCLAVE, MODULE_ID, chain);
    struct nsm_pcr pcr = {.locked = true};
    ck_detail(nsm_describe_pcr(&with_simulator, 32, &pcr, &fault), "DescribePCR",
              "the module refuses: InvalidIndex: it has no PCR of that number: an enclave's "
              "own are 16 to 31");
    ck_assert(pcr.locked);
    uint8_t value[ATTDOC_PCR_LEN] = {1};
    ck_detail(nsm_extend_pcr(&with_simulator, 3, bytes_of("x", 1), value, &fault), "ExtendPCR",
              "the module refuses: ReadOnlyIndex: the PCR is locked until the enclave is "
              "started again: let nothing lock it before this agent runs, or extend another one");
    ck_assert_uint_eq(value[0], 1);
    ck_err(nsm_lock_pcr(&with_simulator, 3, &fault), ERR_NSM);
    ck_assert_str_eq(fault.field, "LockPCR");
}
END_TEST

START_TEST(long_question)
{
    CLEANUP(buf_free) struct buf long_data = {0};
    fill(&long_data, NSM_REQUEST_MAX, 0);
    const struct nsm_question question = {.user_data = bytes_of_buf(&long_data)};
    CLEANUP(buf_free) struct buf document = {0};
    ck_err(nsm_attest(&with_simulator, &question, &document, &fault), ERR_NSM);
    ck_assert_str_eq(fault.detail, "a request of 4142 bytes, at most 4096");
    ck_assert_uint_eq(document.len, 0);
}
END_TEST

/* --- replies by hand --- */

START_TEST(valid_replies)
{
    CLEANUP(buf_free) struct buf reply = {0};
    struct bytes view;
    /* {"GetRandom": {"random": 32 bytes}} */
    from_hex("a16947657452616e646f6da16672616e646f6d5820", &reply);
    fill(&reply, 32, 7);
    ck_ok(nsm_reply_random(bytes_of_buf(&reply), &view, &fault));
    ck_assert_uint_eq(view.len, 32);
    ck_assert_uint_eq(view.ptr[31], 7);

    /* {"DescribePCR": {"data": 48 bytes, "lock": false, "new": [1]}}: any order, more keys */
    reply.len = 0;
    from_hex("a16b4465736372696265504352a364646174615830", &reply);
    fill(&reply, 48, 9);
    from_hex("646c6f636bf4636e65778101", &reply);
    struct nsm_pcr pcr = {.locked = true};
    ck_ok(nsm_reply_pcr(bytes_of_buf(&reply), &pcr, &fault));
    ck_assert(!pcr.locked);
    ck_assert_uint_eq(pcr.value[47], 9);

    reply.len = 0;
    from_hex("a16b4174746573746174696f6ea168646f63756d656e744142", &reply);
    ck_ok(nsm_reply_document(bytes_of_buf(&reply), &view, &fault));
    ck_assert(bytes_equal_text(view, "B"));
}
END_TEST

struct refused {
    const char *hex;
    const char *detail;
    const char *field; /* NULL: the operation */
};

static void ck_replies(const struct refused *rows, size_t count, const char *field)
{
    for (size_t i = 0; i < count; i++) {
        CLEANUP(buf_free) struct buf reply = {0};
        from_hex(rows[i].hex, &reply);
        struct bytes view = bytes_of("untouched", 9);
        fault = (struct fault)FAULT_NONE;
        ck_detail(nsm_reply_document(bytes_of_buf(&reply), &view, &fault),
                  rows[i].field == NULL ? field : rows[i].field, rows[i].detail);
        ck_assert_uint_eq(view.len, 9);
    }
}

START_TEST(wrong_replies)
{
    static const struct refused rows[] = {
        {"a1654572726f726d496e7465726e616c4572726f72",
         "the module refuses: InternalError: it failed inside: start the enclave again, and "
         "where "
         "it stays, on another instance",
         NULL},
        {"a16947657452616e646f6da16672616e646f6d4100", "it answers another operation: GetRandom",
         NULL},
        {"a26b4174746573746174696f6ea168646f63756d656e7441426141a0",
         "a map of 2 entries, not of one", NULL},
        {"a0", "a map of 0 entries, not of one", NULL},
        {"", "an empty reply: start the enclave again", NULL},
        {"674c6f636b504352", "expected a map, found a text string", NULL},
        {"a16b4174746573746174696f6ea0", "it is missing", "Attestation.document"},
        {"a16b4174746573746174696f6ea268646f63756d656e74414268646f63756d656e744142",
         "it is there twice", "Attestation.document"},
        {"a16b4174746573746174696f6ea168646f63756d656e7440",
         "a document of 0 bytes, must be 1 to 32768", "Attestation.document"},
    };
    ck_replies(rows, ARRAY_LEN(rows), "Attestation");
}
END_TEST

/* What the strict reader refuses is the NSM's failure here, whatever it was. */
START_TEST(junk_replies)
{
    static const char *const rows[] = {
        "",                                                     /* nothing */
        "6b4174746573746174696f6e",                             /* the bare name */
        "a16b4174746573746174696f6ea168646f63756d656e746142",   /* a text */
        "a16b4174746573746174696f6ea168646f63756d656e7442",     /* short */
        "a16b4174746573746174696f6ea168646f63756d656e74414200", /* a byte more */
        "bf6b4174746573746174696f6ea168646f63756d656e744142ff", /* indefinite */
        "a16b4174746573746174696f6ea168646f63756d656e74580142", /* not shortest */
        "a16b4174746573746174696f6ea101a0",                     /* a key that is no text */
        "a1654572726f7205",                                     /* an error that is no name */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP(buf_free) struct buf reply = {0};
        from_hex(rows[i], &reply);
        struct bytes view = bytes_of("untouched", 9);
        fault = (struct fault)FAULT_NONE;
        const enum err got = nsm_reply_document(bytes_of_buf(&reply), &view, &fault);
        ck_assert_msg(got == ERR_NSM && fault.code == ERR_NSM, "%s: %s", rows[i], err_wire(got));
        ck_assert_msg(strncmp(fault.field, "Attestation", 11) == 0, "%s", fault.field);
        ck_assert(fault.detail[0] != '\0');
        ck_assert_uint_eq(view.len, 9);
    }
}
END_TEST

START_TEST(wrong_lengths)
{
    CLEANUP(buf_free) struct buf reply = {0};
    struct bytes view = {0};
    from_hex("a16947657452616e646f6da16672616e646f6d581f", &reply);
    fill(&reply, 31, 7);
    ck_detail(nsm_reply_random(bytes_of_buf(&reply), &view, &fault), "GetRandom.random",
              "31 random bytes, at least 32 are needed");
    ck_assert_uint_ne(fault.offset, FAULT_NO_OFFSET); /* by which advice.c knows it */
    ck_assert_ptr_null(view.ptr);

    struct nsm_pcr pcr;
    reply.len = 0;
    from_hex("a16b4465736372696265504352a2646c6f636bf564646174615820", &reply);
    fill(&reply, 32, 9);
    ck_detail(nsm_reply_pcr(bytes_of_buf(&reply), &pcr, &fault), "DescribePCR.data",
              "a PCR of 32 bytes, must be 48");
    reply.len = 0;
    from_hex("a16b4465736372696265504352a164646174615830", &reply);
    fill(&reply, 48, 9);
    ck_detail(nsm_reply_pcr(bytes_of_buf(&reply), &pcr, &fault), "DescribePCR.lock",
              "it is missing");
    ck_assert_uint_ne(fault.offset, FAULT_NO_OFFSET);

    reply.len = 0;
    from_hex("a16b4174746573746174696f6ea168646f63756d656e74598001", &reply);
    fill(&reply, 32769, 1);
    ck_detail(nsm_reply_document(bytes_of_buf(&reply), &view, &fault), "Attestation.document",
              "a document of 32769 bytes, must be 1 to 32768");
}
END_TEST

/* --- transports --- */

START_TEST(wrong_places)
{
    struct nsm nsm = {.fd = -1};
    ck_err(nsm_open("nsm", &nsm, &fault), ERR_USAGE);
    ck_err(nsm_open("unix:relative", &nsm, &fault), ERR_USAGE);
    char long_path[256] = "unix:/";
    memset(long_path + 6, 'a', sizeof long_path - 7);
    ck_err(nsm_open(long_path, &nsm, &fault), ERR_USAGE);
    ck_err(nsm_open("/nonexistent/nsm", &nsm, &fault), ERR_NSM);
    ck_assert_str_eq(
        fault.detail,
        "/nonexistent/nsm: No such file or directory: is this an enclave? The driver is "
        "nsm.ko, or in the kernel from 6.8 on");
    ck_err(nsm_open("unix:/nonexistent/nsm", &nsm, &fault), ERR_NSM);
    ck_assert_int_eq(nsm.fd, -1);
    nsm_close(&nsm);
}
END_TEST

/* A device that is none: the ioctl itself is refused. */
START_TEST(no_ioctl)
{
    CLEANUP(nsm_close) struct nsm nsm = {.fd = -1};
    ck_ok(nsm_open("/dev/null", &nsm, &fault));
    ck_err(nsm_mix_random(&nsm, &fault), ERR_NSM);
    ck_assert_str_eq(fault.detail,
                     "the device: Inappropriate ioctl for device: this is no Nitro Secure "
                     "Module; see --nsm");
}
END_TEST

static int listen_at(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&addr, sizeof addr), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

/* One canned answer of `len` bytes, sent before the question is read. */
static enum err ask_canned(size_t len)
{
    char dir[] = "/tmp/test_agent_nsm.XXXXXX";
    char path[64];
    char where[80];
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/nsm", dir);
    snprintf(where, sizeof where, "unix:%s", path);
    const int listener = listen_at(path);
    struct nsm nsm = {.fd = -1};
    ck_ok(nsm_open(where, &nsm, &fault));
    const int peer = accept(listener, NULL, NULL);
    CLEANUP(buf_free) struct buf answer = {0};
    fill(&answer, len + 1, 0xa0);
    if (len > 0)
        ck_assert_int_eq(send(peer, answer.ptr, len, 0), (ssize_t)len);
    else
        ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
    const enum err err = nsm_mix_random(&nsm, &fault);
    nsm_close(&nsm);
    close(peer);
    close(listener);
    unlink(path);
    rmdir(dir);
    return err;
}

START_TEST(wrong_packets)
{
    ck_err(ask_canned(NSM_REPLY_MAX + 1), ERR_NSM);
    ck_assert_str_eq(fault.detail, "a reply of 12289 bytes, more than 12288");
    ck_err(ask_canned(0), ERR_NSM);
    ck_assert_str_eq(fault.detail, "the simulator closed the connection");
    ck_err(ask_canned(1), ERR_NSM);
    ck_assert_str_eq(fault.detail, "a map of 0 entries, not of one");
}
END_TEST

UNIT_MAIN("agent_nsm", valid_requests, valid_requests_of_the_page, valid_conversation, wrong_index,
          long_question, valid_replies, wrong_replies, junk_replies, wrong_lengths, wrong_places,
          no_ioctl, wrong_packets)
