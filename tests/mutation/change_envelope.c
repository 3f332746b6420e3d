/* The COSE_Sign1 around an intact payload.  What leaves the signed content intact must
 * verify: no tag or tag 18, and (r, n - s) for (r, s).  Recorded documents keep their
 * signature through all of it. */
#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <stdarg.h>
#include <stdio.h>

#include "common/openssl_cleanup.h"
#include "draft.h"

enum { COORDINATE = 48, SIGNATURE = 96 };

/* SEC 2, secp384r1: the order n. */
static const uint8_t order[COORDINATE] = {
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73};

/* The message's pieces, each as it is encoded. */
enum piece { TAG, HEAD, PROTECTED, UNPROTECTED, PAYLOAD, SIGNED, TRAILING, PIECES };

struct envelope {
    struct run *run;
    const struct subject *s;
    const char *group;
    size_t n;
    struct bytes piece[PIECES];
    struct bytes payload; /* its content */
    const uint8_t *signature;
};

#define ITEM(text)                                \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }
#define BYTES(text) ((struct bytes)ITEM(text))

static struct envelope envelope_of(struct run *run, const struct task *task)
{
    const struct subject *s = task->s;
    const uint8_t *in = s->document.ptr;
    const struct part *head = map_find(&s->map, PART_PAYLOAD_HEAD, 0, 0);
    return (struct envelope){
        .run = run,
        .s = s,
        .group = task->what,
        .piece = {[HEAD] = BYTES("\x84"),
                  [PROTECTED] = BYTES("\x44\xa1\x01\x38\x22"),
                  [UNPROTECTED] = BYTES("\xa0"),
                  [PAYLOAD] = {in + head->at, s->map.payload_end - head->at},
                  [SIGNED] = {in + s->map.payload_end, SIGNATURE + 2}},
        .payload = {in + s->map.payload_at, s->map.payload_end - s->map.payload_at},
        .signature = in + s->document.len - SIGNATURE,
    };
}

static size_t piece_at(const struct envelope *v, enum piece piece)
{
    size_t at = 0;
    for (unsigned i = 0; i < piece; i++)
        at += v->piece[i].len;
    return at;
}

PRINTF_LIKE(3, 4)
static void check(struct envelope *v, const struct expectation *e, const char *what, ...)
{
    CLEANUP(buf_free) struct buf document = {0};
    char text[96];
    if (!run_selects(v->run, v->s, v->group, v->n++))
        return;
    va_list args;
    va_start(args, what);
    vsnprintf(text, sizeof text, what, args);
    va_end(args);
    for (unsigned i = 0; i < PIECES; i++)
        MUST(buf_append(&document, v->piece[i]));
    run_check(v->run, v->s, bytes_of_buf(&document), e, "envelope: %s", text);
}

/* One piece is another: refused with that code, `by` bytes into the piece. */
static void replace(const struct envelope *v, enum piece piece, struct bytes with, enum err code,
                    size_t by, const char *field, struct envelope *changed, struct expectation *e)
{
    *changed = *v;
    changed->piece[piece] = with;
    expect_syntax(e, code, ATTEST_COSE, piece_at(changed, piece) + by, "%s", field);
}

static void check_replaced(struct envelope *v, enum piece piece, struct bytes with, enum err code,
                           size_t by, const char *field, const char *what)
{
    struct envelope changed;
    struct expectation e;
    replace(v, piece, with, code, by, field, &changed, &e);
    check(&changed, &e, "%s", what);
    v->n = changed.n;
}

/* ---- tables: pieces that no reader may take ---- */

struct wrong_piece {
    const char *what;
    struct bytes with;
    enum err code;
    size_t by; /* where in the piece the fault is */
};

static const struct wrong_piece tags[] = {
    {"tag 17 (COSE_Mac0)", ITEM("\xd1"), ERR_COSE_MALFORMED, 0},
    {"tag 16 (COSE_Encrypt0)", ITEM("\xd0"), ERR_COSE_MALFORMED, 0},
    {"tag 98 (COSE_Sign)", ITEM("\xd8\x62"), ERR_COSE_MALFORMED, 0},
    {"tag 61 (CWT)", ITEM("\xd8\x3d"), ERR_COSE_MALFORMED, 0},
    {"tag 61 and tag 18", ITEM("\xd8\x3d\xd2"), ERR_COSE_MALFORMED, 0},
    {"tag 18 and tag 61", ITEM("\xd2\xd8\x3d"), ERR_COSE_MALFORMED, 1},
    {"tag 18 twice", ITEM("\xd2\xd2"), ERR_COSE_MALFORMED, 1},
    {"tag 55799 (CBOR)", ITEM("\xd9\xd9\xf7"), ERR_COSE_MALFORMED, 0},
    {"tag 24 (encoded CBOR)", ITEM("\xd8\x18"), ERR_COSE_MALFORMED, 0},
    {"tag 998", ITEM("\xd9\x03\xe6"), ERR_COSE_MALFORMED, 0},
    {"tag 18 in two bytes", ITEM("\xd8\x12"), ERR_CBOR_NOT_STRICT, 0},
    {"tag 18 in three bytes", ITEM("\xd9\x00\x12"), ERR_CBOR_NOT_STRICT, 0},
    {"a null in front", ITEM("\xf6"), ERR_COSE_MALFORMED, 0},
    {"a break in front", ITEM("\xff"), ERR_CBOR_MALFORMED, 0},
};

static const struct wrong_piece heads[] = {
    {"an array of three", ITEM("\x83"), ERR_COSE_MALFORMED, 0},
    {"an array of five", ITEM("\x85"), ERR_COSE_MALFORMED, 0},
    {"an empty array", ITEM("\x80"), ERR_COSE_MALFORMED, 0},
    {"an array of indefinite length", ITEM("\x9f"), ERR_CBOR_NOT_STRICT, 0},
    {"an array's length in two bytes", ITEM("\x98\x04"), ERR_CBOR_NOT_STRICT, 0},
    {"an array's length in nine bytes", ITEM("\x9b\0\0\0\0\0\0\0\x04"), ERR_CBOR_NOT_STRICT, 0},
    {"a map of two", ITEM("\xa2"), ERR_COSE_MALFORMED, 0},
};

/* `by` is where the content begins: a header is shown there, or 0 for the item itself. */
static const struct wrong_piece protecteds[] = {
    {"no algorithm", ITEM("\x40"), ERR_COSE_ALG, 1},
    {"an empty map", ITEM("\x41\xa0"), ERR_COSE_ALG, 1},
    {"ES256", ITEM("\x43\xa1\x01\x26"), ERR_COSE_ALG, 1},
    {"ES512", ITEM("\x44\xa1\x01\x38\x23"), ERR_COSE_ALG, 1},
    {"EdDSA", ITEM("\x43\xa1\x01\x27"), ERR_COSE_ALG, 1},
    {"RS384", ITEM("\x46\xa1\x01\x39\x01\x01\x00"), ERR_COSE_ALG, 1},
    {"HMAC 384", ITEM("\x43\xa1\x01\x06"), ERR_COSE_ALG, 1},
    {"an algorithm by name",
     ITEM("\x48\xa1\x01\x65"
          "ES384"),
     ERR_COSE_ALG, 1},
    {"-35 in three bytes", ITEM("\x45\xa1\x01\x39\x00\x22"), ERR_COSE_ALG, 1},
    {"-35 in five bytes", ITEM("\x47\xa1\x01\x3a\0\0\0\x22"), ERR_COSE_ALG, 1},
    {"the label in two bytes", ITEM("\x45\xa1\x18\x01\x38\x22"), ERR_COSE_ALG, 1},
    {"the map's count in two bytes", ITEM("\x45\xb8\x01\x01\x38\x22"), ERR_COSE_ALG, 1},
    {"a map of indefinite length", ITEM("\x45\xbf\x01\x38\x22\xff"), ERR_COSE_ALG, 1},
    {"a kid besides", ITEM("\x47\xa2\x01\x38\x22\x04\x41k"), ERR_COSE_ALG, 1},
    {"a kid in front", ITEM("\x47\xa2\x04\x41k\x01\x38\x22"), ERR_COSE_ALG, 1},
    {"crit besides", ITEM("\x48\xa2\x01\x38\x22\x02\x81\x01"), ERR_COSE_ALG, 1},
    {"the algorithm twice", ITEM("\x47\xa2\x01\x38\x22\x01\x38\x22"), ERR_COSE_ALG, 1},
    {"a byte behind the map", ITEM("\x45\xa1\x01\x38\x22\x00"), ERR_COSE_ALG, 1},
    {"a length in two bytes", ITEM("\x58\x04\xa1\x01\x38\x22"), ERR_CBOR_NOT_STRICT, 0},
    {"in chunks", ITEM("\x5f\x44\xa1\x01\x38\x22\xff"), ERR_CBOR_NOT_STRICT, 0},
    {"the map itself", ITEM("\xa1\x01\x38\x22"), ERR_CBOR_TYPE, 0},
    {"null", ITEM("\xf6"), ERR_CBOR_TYPE, 0},
    {"tagged", ITEM("\xd8\x18\x44\xa1\x01\x38\x22"), ERR_CBOR_TYPE, 0},
};

static const struct wrong_piece unprotecteds[] = {
    {"the algorithm, unprotected", ITEM("\xa1\x01\x38\x22"), ERR_COSE_MALFORMED, 0},
    {"another algorithm, unprotected", ITEM("\xa1\x01\x26"), ERR_COSE_MALFORMED, 0},
    {"a kid", ITEM("\xa1\x04\x41k"), ERR_COSE_MALFORMED, 0},
    {"an x5chain", ITEM("\xa1\x18\x21\x41x"), ERR_COSE_MALFORMED, 0},
    {"a map that hides the payload", ITEM("\xa1\x20\x41\x00"), ERR_COSE_MALFORMED, 0},
    {"a count in two bytes", ITEM("\xb8\x00"), ERR_CBOR_NOT_STRICT, 0},
    {"a map of indefinite length", ITEM("\xbf\xff"), ERR_CBOR_NOT_STRICT, 0},
    {"an empty array", ITEM("\x80"), ERR_CBOR_TYPE, 0},
    {"empty bytes", ITEM("\x40"), ERR_CBOR_TYPE, 0},
    {"null", ITEM("\xf6"), ERR_CBOR_TYPE, 0},
    {"a tagged map", ITEM("\xc1\xa0"), ERR_CBOR_TYPE, 0},
};

static const struct wrong_piece payloads[] = {
    {"nil: detached", ITEM("\xf6"), ERR_COSE_MALFORMED, 0},
    {"nil in two bytes", ITEM("\xf8\x16"), ERR_CBOR_MALFORMED, 0},
    {"undefined", ITEM("\xf7"), ERR_CBOR_TYPE, 0},
    {"no bytes", ITEM("\x40"), ERR_COSE_MALFORMED, 0},
    {"an array", ITEM("\x80"), ERR_CBOR_TYPE, 0},
    {"a map", ITEM("\xa0"), ERR_CBOR_TYPE, 0},
    {"text", ITEM("\x61x"), ERR_CBOR_TYPE, 0},
};

static void check_table(struct envelope *v, enum piece piece, const char *field,
                        const struct wrong_piece *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_replaced(v, piece, rows[i].with, rows[i].code, rows[i].by, field, rows[i].what);
}

/* ---- the payload in another form ---- */

static void other_payload_forms(struct envelope *v)
{
    static const struct {
        const char *what;
        struct bytes head;
        struct bytes end;
        enum err code;
    } forms[] = {
        {"the payload in chunks", ITEM("\x5f"), ITEM("\xff"), ERR_CBOR_NOT_STRICT},
        {"the payload tagged as encoded CBOR", ITEM("\xd8\x18"), ITEM(""), ERR_CBOR_TYPE},
        {"the payload in an array", ITEM("\x81"), ITEM(""), ERR_CBOR_TYPE},
    };
    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        CLEANUP(buf_free) struct buf with = {0};
        MUST(buf_append(&with, forms[i].head));
        MUST(buf_append(&with, v->piece[PAYLOAD]));
        MUST(buf_append(&with, forms[i].end));
        check_replaced(v, PAYLOAD, bytes_of_buf(&with), forms[i].code, 0, "cose.payload",
                       forms[i].what);
    }
    CLEANUP(buf_free) struct buf longer = {0};
    const uint8_t head[] = {0x5a, 0, 0, (uint8_t)(v->payload.len >> 8), (uint8_t)v->payload.len};
    MUST(buf_append(&longer, bytes_of(head, sizeof head)));
    MUST(buf_append(&longer, v->payload));
    check_replaced(v, PAYLOAD, bytes_of_buf(&longer), ERR_CBOR_NOT_STRICT, 0, "cose.payload",
                   "the payload's length in five bytes");
    /* The map itself, not in a byte string; libcbor's types are ours to tell apart. */
    check_replaced(v, PAYLOAD, v->payload,
                   v->s->map.indefinite ? ERR_CBOR_NOT_STRICT : ERR_CBOR_TYPE, 0, "cose.payload",
                   "the payload's map itself");
}

/* ---- signatures ---- */

static void check_signature(struct envelope *v, const uint8_t *signature, bool intact,
                            const char *what)
{
    uint8_t item[2 + SIGNATURE] = {0x58, SIGNATURE};
    struct envelope changed = *v;
    struct expectation e;
    memcpy(item + 2, signature, SIGNATURE);
    changed.piece[SIGNED] = bytes_of(item, sizeof item);
    if (intact)
        expect_ok(&e, v->payload);
    else
        expect_signature(&e);
    check(&changed, &e, "%s", what);
    if (intact) { /* both freedoms at once */
        changed.piece[TAG] = BYTES("\xd2");
        check(&changed, &e, "%s, and tag 18", what);
    }
    v->n = changed.n;
}

/* out = a - b, of COORDINATE bytes each. */
static void subtract(const uint8_t *a, const uint8_t *b, uint8_t *out)
{
    unsigned borrow = 0;
    for (size_t i = COORDINATE; i-- > 0;) {
        const unsigned d = 256u + a[i] - b[i] - borrow;
        borrow = d < 256;
        out[i] = (uint8_t)d;
    }
}

static void other_signatures(struct envelope *v)
{
    uint8_t changed[SIGNATURE];
    uint8_t *const r = changed;
    uint8_t *const s = changed + COORDINATE;
    const uint8_t *good = v->signature;
    check_signature(v, good, true, "(r, s), no tag");
    memcpy(changed, good, SIGNATURE);
    subtract(order, good + COORDINATE, s);
    check_signature(v, changed, true, "(r, n - s)");
    memcpy(changed, good, SIGNATURE);
    subtract(order, good, r);
    check_signature(v, changed, false, "(n - r, s)");
    memcpy(r, good + COORDINATE, COORDINATE);
    memcpy(s, good, COORDINATE);
    check_signature(v, changed, false, "(s, r)");
    memset(changed, 0, SIGNATURE);
    check_signature(v, changed, false, "(0, 0)");
    memset(changed, 0xff, SIGNATURE);
    check_signature(v, changed, false, "all ones");
    memcpy(r, order, COORDINATE);
    memcpy(s, order, COORDINATE);
    check_signature(v, changed, false, "(n, n)");
    for (unsigned which = 0; which < 2; which++) {
        uint8_t *const number = which == 0 ? r : s;
        memcpy(changed, good, SIGNATURE);
        memset(number, 0, COORDINATE);
        check_signature(v, changed, false, which == 0 ? "(0, s)" : "(r, 0)");
        number[COORDINATE - 1] = 1;
        check_signature(v, changed, false, which == 0 ? "(1, s)" : "(r, 1)");
        memcpy(number, order, COORDINATE);
        check_signature(v, changed, false, which == 0 ? "(n, s)" : "(r, n)");
        number[COORDINATE - 1] -= 1;
        check_signature(v, changed, false, which == 0 ? "(n - 1, s)" : "(r, n - 1)");
    }
}

/* Of any other length or type: DER, too (RFC 9053 section 2.1 has r | s). */
static void other_signature_items(struct envelope *v)
{
    static const size_t lens[] = {0, 1, 48, 64, 95, 97, 104, 132};
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        uint8_t item[2 + 132] = {0x58, (uint8_t)lens[i]};
        const size_t head = lens[i] < 24 ? 1 : 2;
        if (head == 1)
            item[0] = (uint8_t)(0x40 | lens[i]);
        memcpy(item + head, v->signature, lens[i] < SIGNATURE ? lens[i] : SIGNATURE);
        check_replaced(v, SIGNED, bytes_of(item, head + lens[i]), ERR_COSE_MALFORMED, 0,
                       "cose.signature", "a signature of another length");
    }
    uint8_t der[2 + 128] = {0x58};
    uint8_t *end = der + 2;
    CLEANUP(ecdsa_sig_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(v->signature, COORDINATE, NULL);
    BIGNUM *s = BN_bin2bn(v->signature + COORDINATE, COORDINATE, NULL);
    if (sig == NULL || ECDSA_SIG_set0(sig, r, s) != 1)
        die("no signature can be encoded");
    der[1] = (uint8_t)i2d_ECDSA_SIG(sig, &end);
    if (der[1] != SIGNATURE) /* which it is for one in 2^60 */
        check_replaced(v, SIGNED, bytes_of(der, (size_t)(end - der)), ERR_COSE_MALFORMED, 0,
                       "cose.signature", "the signature in DER");
    for (size_t k = 0; k < odd_items_count; k++) {
        if (odd_items[k].own != OWN_BYTES)
            check_replaced(v, SIGNED, odd_items[k].encoded, odd_items[k].code, 0, "cose.signature",
                           odd_items[k].what);
    }
    uint8_t text[2 + SIGNATURE] = {0x78, SIGNATURE};
    memset(text + 2, 'a', SIGNATURE);
    check_replaced(v, SIGNED, bytes_of(text, sizeof text), ERR_CBOR_TYPE, 0, "cose.signature",
                   "the signature as text");
}

/* ---- what follows, and what is missing ---- */

static void trailing(struct envelope *v)
{
    CLEANUP(buf_free) struct buf more = {0};
    for (unsigned byte = 0; byte <= 0xff; byte += 0x11) {
        const uint8_t one = (uint8_t)byte;
        check_replaced(v, TRAILING, bytes_of(&one, 1), ERR_CBOR_TRAILING, 0, "cose",
                       "a byte behind the end");
    }
    check_replaced(v, TRAILING, bytes_of_buf(&v->s->document), ERR_CBOR_TRAILING, 0, "cose",
                   "the document twice");
    /* Up to the largest document, and one byte beyond it. */
    const size_t len = piece_at(v, TRAILING);
    MUST(buf_reserve(&more, ATTDOC_LEN_MAX + 1 - len));
    memset(more.ptr, 0, ATTDOC_LEN_MAX + 1 - len);
    more.len = ATTDOC_LEN_MAX - len;
    check_replaced(v, TRAILING, bytes_of_buf(&more), ERR_CBOR_TRAILING, 0, "cose",
                   "zeros up to 32,768 bytes");
    more.len++;
    struct envelope changed = *v;
    struct expectation e;
    changed.piece[TRAILING] = bytes_of_buf(&more);
    expect_syntax(&e, ERR_TOO_LARGE, ATTEST_COSE, FAULT_NO_OFFSET, "%s", "");
    check(&changed, &e, "zeros up to 32,769 bytes");
    v->n = changed.n;
}

/* Pieces in another order: each pair of neighbours that are of different types. */
static void exchange(struct envelope *v)
{
    struct envelope changed = *v;
    struct expectation e;
    changed.piece[PROTECTED] = v->piece[UNPROTECTED];
    changed.piece[UNPROTECTED] = v->piece[PROTECTED];
    expect_syntax(&e, ERR_CBOR_TYPE, ATTEST_COSE, piece_at(&changed, PROTECTED), "cose.protected");
    check(&changed, &e, "the headers exchanged");
    changed.piece[PROTECTED] = v->piece[PROTECTED];
    changed.piece[UNPROTECTED] = v->piece[PAYLOAD];
    changed.piece[PAYLOAD] = v->piece[UNPROTECTED];
    expect_syntax(&e, ERR_CBOR_TYPE, ATTEST_COSE, piece_at(&changed, UNPROTECTED),
                  "cose.unprotected");
    check(&changed, &e, "the unprotected header and the payload exchanged");
    changed.piece[UNPROTECTED] = v->piece[UNPROTECTED];
    changed.piece[PAYLOAD] = v->piece[SIGNED];
    changed.piece[SIGNED] = v->piece[PAYLOAD];
    expect_syntax(&e, ERR_COSE_MALFORMED, ATTEST_COSE, piece_at(&changed, SIGNED),
                  "cose.signature");
    check(&changed, &e, "payload and signature exchanged");
    v->n = changed.n;
}

void change_envelope(struct run *run, const struct task *task)
{
    struct envelope v = envelope_of(run, task);
    other_signatures(&v);
    other_signature_items(&v);
    check_table(&v, TAG, "cose", tags, ARRAY_LEN(tags));
    check_table(&v, HEAD, "cose", heads, ARRAY_LEN(heads));
    check_table(&v, PROTECTED, "cose.protected", protecteds, ARRAY_LEN(protecteds));
    check_table(&v, UNPROTECTED, "cose.unprotected", unprotecteds, ARRAY_LEN(unprotecteds));
    check_table(&v, PAYLOAD, "cose.payload", payloads, ARRAY_LEN(payloads));
    other_payload_forms(&v);
    trailing(&v);
    exchange(&v);
}
