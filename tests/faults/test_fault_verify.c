/* The verdict of `verify` under failure: what it says of a document, where it says anything,
 * is what it says without the failure, byte for byte.  So a genuine one is never called
 * invalid for want of memory, no other one valid, and none invalid for another reason. */
#define _GNU_SOURCE /* memmem */
#include "fault_warden.h"

#include "common/spki.h"

#define FAILURES_MAX 100 /* of one kind, for one document */

static struct warden_request request;
static struct buf document, expected;

static void add_param(struct param param)
{
    request.param[request.param_count++] = param;
}

/* The bytes of `part` in the document, with its last byte changed. */
static void change_last(const struct buf *part)
{
    uint8_t *at = memmem(document.ptr, document.len, part->ptr, part->len);
    ck_assert_ptr_nonnull(at);
    at[part->len - 1] ^= 1;
}

static void genuine(void)
{
}

static void forged(void)
{
    document.ptr[document.len - 1] ^= 1;
}

static void leaf_forged(void)
{
    change_last(&f.chain.der[f.chain.len - 1]);
}

/* Not a CA of the cached ones. */
static void ca_forged(void)
{
    change_last(&f.chain.der[1]);
}

/* y of the leaf's key: the rest of the certificate stays as it is. */
static void off_curve(void)
{
    CLEANUP(buf_free) struct buf spki = {0};
    ck_ok(spki_append(f.chain.key[f.chain.len - 1], &spki));
    change_last(&spki);
}

static void other_root(void)
{
    struct mkdoc_chain chain;
    struct mkdoc_fields fields;
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    ck_ok(mkdoc_chain_make(&f.spec, &chain));
    document.len = 0;
    ck_ok(mkdoc_document(&fields, &chain, &document));
    mkdoc_chain_free(&chain);
}

static void other_nonce(void)
{
    add_param(p_text("nonce", "00"));
}

static const struct kind {
    void (*make)(void);
    const char *code; /* "": valid */
} kinds[] = {
    {genuine, ""},
    {forged, "signature_invalid"},
    {leaf_forged, "certificate_signature_invalid"},
    {ca_forged, "certificate_signature_invalid"},
    {off_curve, "certificate_malformed"},
    {other_root, "document_untrusted"},
    {other_nonce, "nonce_mismatch"},
};

/* The time is the document's, so that one answer is like the other. */
static void ask(const struct kind *kind, struct buf *message)
{
    struct mkdoc_fields fields;
    fixture_request(&f, WARDEN_ADMIN, &request);
    request.operation = bytes_of_text("verify");
    request.token = bytes_of(f.token, sizeof f.token);
    mkdoc_fields_defaults(&fields, (int64_t)NOW_MS, MODULE, SEED);
    document.len = 0;
    ck_ok(mkdoc_document(&fields, &f.chain, &document));
    kind->make();
    add_param(p_buf("attestation_document", &document));
    add_param(p_text("at", "document"));
    ck_ok(warden_request_append(&request, message));
}

static void judge(struct bytes message, const char *code, unsigned class, uint64_t at,
                  unsigned variant, struct tally *tally)
{
    struct sent sent;
    send_message(message, class, at, variant, &sent);
    const bool failed = atomic_load(&inject->failed) > 0;
    tally->failures += failed;
    tally->lived += failed && sent.err == ERR_OK;
    ck_assert_msg(sent.err == ERR_OK || names_us(sent.err), "%s: %s, after %s", code,
                  err_wire(sent.err), inject->last);
    const struct bytes body = bytes_of_buf(&sent.reply.body);
    ck_assert_msg(sent.err != ERR_OK || bytes_equal(body, bytes_of_buf(&expected)),
                  "\"%s\" became %.*s after %s", code, (int)(body.len < 400 ? body.len : 400),
                  (const char *)body.ptr, inject->last);
    warden_reply_free(&sent.reply);
}

/* What is said without a failure. */
static void expect(struct bytes message, const char *code)
{
    struct sent sent;
    send_message(message, 0, 0, 0, &sent);
    ck_err(sent.err, ERR_OK);
    json_auto_t *verdict =
        json_loadb((const char *)sent.reply.body.ptr, sent.reply.body.len, 0, NULL);
    ck_assert(json_is_true(json_object_get(verdict, "valid")) == (code[0] == '\0'));
    ck_assert_str_eq(text_at(verdict, "error.code"), code);
    expected.len = 0;
    ck_ok(buf_append(&expected, bytes_of_buf(&sent.reply.body)));
    warden_reply_free(&sent.reply);
}

static void sweep_kind(const struct kind *kind)
{
    static const unsigned classes[] = {INJECT_OPENSSL, INJECT_ALLOC};
    CLEANUP(buf_free) struct buf buf = {0};
    const uint64_t seed = sweep_number("FAULTS_SEED", 0);
    ask(kind, &buf);
    const struct bytes message = bytes_of_buf(&buf);
    expect(message, kind->code);
    for (size_t c = 0; c < ARRAY_LEN(classes); c++) {
        struct tally tally = {.what = kind->code[0] == '\0' ? "valid" : kind->code};
        judge(message, kind->code, classes[c], 0, 0, &tally);
        const uint64_t calls = atomic_load(&inject->calls);
        const uint64_t by = (calls / FAILURES_MAX + 1) * sweep_number("FAULTS_STRIDE", 1);
        for (unsigned variant = 0; variant < ways_of(classes[c]); variant++) {
            for (uint64_t at = sweep_first(seed + variant, by, calls); at <= calls; at += by) {
                judge(message, kind->code, classes[c], at, variant, &tally);
                tally.tried++;
            }
        }
        judge(message, kind->code, 0, 0, 0, &tally);
        tell(&tally, classes[c], calls);
        sweep_enough(tally.what, classes[c], tally.tried, tally.failures, FAILURES_PERCENT);
    }
}

START_TEST(verdicts)
{
    begin();
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        sweep_kind(&kinds[i]);
    expect_sound(&(struct tally){.what = "verify"});
    buf_free(&document);
    buf_free(&expected);
    end();
}
END_TEST

UNIT_MAIN("fault_verify", verdicts)
