/* The messages between front and warden: strict both ways, one form each. */
#include "hex.h"

#include <stdio.h>

#include "common/cbor_writer.h"
#include "verifier/warden/message.h"

static struct fault fault;

static const uint8_t token[WARDEN_TOKEN_LEN] = {1, 2, 3};
static const uint8_t map_bytes[] = {0xa2, 0x61, 'b', 0x61, '1', 0x62, 'a', 'a', 0x60};

static struct param param_of(const char *name, enum param_type type, uint64_t uint,
                             struct bytes data)
{
    return (struct param){.name = bytes_of_text(name), .type = type, .uint = uint, .data = data};
}

static void make_challenge(struct warden_request *r)
{
    *r = (struct warden_request){
        .op = WARDEN_CHALLENGE, .request_id = "req-1", .peer = "203.0.113.7:41234"};
}

static void make_release(struct warden_request *r)
{
    *r = (struct warden_request){.op = WARDEN_RELEASE,
                                 .request_id = "req-2",
                                 .peer = "unix:uid=0",
                                 .document = bytes_of_text("no document, but bytes")};
    ck_ok(wanted_add(&r->wanted, bytes_of_text("db/main"), 0, 0, &fault));
    ck_ok(wanted_add(&r->wanted, bytes_of_text("x"), 7, 3, &fault));
}

static void make_admin(struct warden_request *r)
{
    *r = (struct warden_request){.op = WARDEN_ADMIN, .request_id = "", .peer = ""};
    r->operation = bytes_of_text("measurement.add");
    r->token = bytes_of(token, sizeof token);
    r->param[0] = param_of("n", PARAM_UINT, UINT64_MAX, (struct bytes){0});
    r->param[1] = param_of("yes", PARAM_BOOL, 1, (struct bytes){0});
    r->param[2] = param_of("no", PARAM_BOOL, 0, (struct bytes){0});
    r->param[3] = param_of("t", PARAM_TEXT, 0, bytes_of_text("Grüße"));
    r->param[4] = param_of("b", PARAM_BYTES, 0, bytes_of("\0\xff", 2));
    r->param[5] = param_of("e", PARAM_BYTES, 0, bytes_of("", 0));
    r->param[6] = param_of("m", PARAM_TEXT_MAP, 0, bytes_of(map_bytes, sizeof map_bytes));
    r->param_count = 7;
}

static void expect_same_param(const struct param *a, const struct param *b)
{
    ck_assert(bytes_equal(a->name, b->name));
    ck_assert_int_eq(a->type, b->type);
    ck_assert_uint_eq(a->uint, b->uint);
    ck_assert(bytes_equal(a->data, b->data));
}

static void expect_same(const struct warden_request *a, const struct warden_request *b)
{
    ck_assert_int_eq(a->op, b->op);
    ck_assert_str_eq(a->request_id, b->request_id);
    ck_assert_str_eq(a->peer, b->peer);
    ck_assert(bytes_equal(a->document, b->document));
    ck_assert_uint_eq(a->wanted.count, b->wanted.count);
    for (size_t i = 0; i < a->wanted.count; i++) {
        ck_assert_str_eq(a->wanted.item[i].name, b->wanted.item[i].name);
        ck_assert_uint_eq(a->wanted.item[i].version, b->wanted.item[i].version);
        ck_assert_uint_eq(a->wanted.item[i].min_version, b->wanted.item[i].min_version);
    }
    ck_assert(bytes_equal(a->operation, b->operation));
    ck_assert(bytes_equal(a->token, b->token));
    ck_assert_uint_eq(a->param_count, b->param_count);
    for (size_t i = 0; i < a->param_count; i++)
        expect_same_param(&a->param[i], &b->param[i]);
}

typedef void make_fn(struct warden_request *r);
static make_fn *const makers[] = {make_challenge, make_release, make_admin};

START_TEST(valid_requests)
{
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        CLEANUP(buf_free) struct buf message = {0};
        struct warden_request made;
        struct warden_request back;
        makers[i](&made);
        ck_ok(warden_request_append(&made, &message));
        ck_ok(warden_request_parse(bytes_of_buf(&message), &back, &fault));
        expect_same(&made, &back);
    }
}
END_TEST

START_TEST(valid_longest)
{
    struct warden_request made;
    struct warden_request back;
    CLEANUP(buf_free) struct buf message = {0};
    make_challenge(&made);
    memset(made.request_id, 'r', PROTOCOL_REQUEST_ID_MAX);
    memset(made.peer, 'p', WARDEN_PEER_MAX);
    ck_ok(warden_request_append(&made, &message));
    ck_ok(warden_request_parse(bytes_of_buf(&message), &back, &fault));
    expect_same(&made, &back);
}
END_TEST

START_TEST(short_requests)
{
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        CLEANUP(buf_free) struct buf message = {0};
        struct warden_request made;
        struct warden_request back;
        makers[i](&made);
        ck_ok(warden_request_append(&made, &message));
        for (size_t len = 0; len < message.len; len++) {
            /* A copy of exactly that size: the sanitizer sees a byte too far. */
            uint8_t *copy = malloc(len == 0 ? 1 : len);
            ck_assert(copy != NULL);
            memcpy(copy, message.ptr, len);
            ck_err(warden_request_parse(bytes_of(copy, len), &back, &fault), ERR_CBOR_MALFORMED);
            free(copy);
        }
        ck_ok(buf_append(&message, bytes_of("", 1)));
        ck_err(warden_request_parse(bytes_of_buf(&message), &back, &fault), ERR_CBOR_TRAILING);
    }
}
END_TEST

/* What is taken is written again byte for byte: so there is one form of each message. */
static unsigned mutate(struct buf *message)
{
    unsigned taken = 0;
    for (size_t i = 0; i < message->len; i++) {
        for (unsigned value = 0; value < 256; value++) {
            const uint8_t was = message->ptr[i];
            struct warden_request back;
            message->ptr[i] = (uint8_t)value;
            if (value != was &&
                warden_request_parse(bytes_of_buf(message), &back, NULL) == ERR_OK) {
                CLEANUP(buf_free) struct buf again = {0};
                ck_ok(warden_request_append(&back, &again));
                ck_assert(bytes_equal(bytes_of_buf(&again), bytes_of_buf(message)));
                taken++;
            }
            message->ptr[i] = was;
        }
    }
    return taken;
}

START_TEST(junk_requests)
{
    for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
        CLEANUP(buf_free) struct buf message = {0};
        struct warden_request made;
        makers[i](&made);
        ck_ok(warden_request_append(&made, &message));
        ck_assert_uint_gt(mutate(&message), 100); /* other letters in texts */
    }
}
END_TEST

static void refuse_named(const char *hex, enum err code, const char *field, int line)
{
    CLEANUP(buf_free) struct buf message = {0};
    struct warden_request back;
    from_hex(hex, &message);
    fault = (struct fault)FAULT_NONE;
    const enum err err = warden_request_parse(bytes_of_buf(&message), &back, &fault);
    ck_assert_msg(err == code, "line %d: got %s [%s], expected %s", line, err_wire(err),
                  fault.field, err_wire(code));
    ck_assert_msg(strcmp(fault.field, field) == 0, "line %d: field %s", line, fault.field);
}
#define refuse(hex, code, field) refuse_named(hex, code, field, __LINE__)

#define HEAD_ADMIN "84036161616183" /* [3, "a", "a", [3 items */
#define OPERATION  "6173"           /* "s" */
#define NO_TOKEN   "40"
#define NAME_A     "6161"

START_TEST(wrong_requests)
{
    refuse("84006161616100f6", ERR_MALFORMED, "op"); /* op 0 */
    refuse("840461616161f6", ERR_MALFORMED, "op");
    refuse("841bffffffffffffffff61616161f6", ERR_MALFORMED, "op");
    refuse("830161616161", ERR_CBOR_TYPE, "message");
    refuse("850161616161f600", ERR_CBOR_TYPE, "message");
    refuse("84016161616100", ERR_MALFORMED, ""); /* a body that is 0 */
    refuse("840161616161f5", ERR_MALFORMED, "");
    refuse("840161006161f6", ERR_MALFORMED, "message"); /* NUL in the request id */
    refuse("840141616161f6", ERR_CBOR_TYPE, "message"); /* bytes for text */
    refuse("84180161616161f6", ERR_CBOR_NOT_STRICT, "message");
    refuse("9f0161616161f6ff", ERR_CBOR_NOT_STRICT, "message");
}
END_TEST

START_TEST(long_texts)
{
    /* 33 bytes of request id, 97 of peer. */
    refuse("840178216161616161616161616161616161616161616161616161616161616161616161616161f6",
           ERR_MALFORMED, "message");
    struct warden_request made;
    struct warden_request back;
    CLEANUP(buf_free) struct buf message = {0};
    struct cbor_writer w;
    char peer[WARDEN_PEER_MAX + 2];
    make_challenge(&made);
    memset(peer, 'p', sizeof peer);
    peer[WARDEN_PEER_MAX + 1] = '\0';
    cbor_writer_init(&w, &message);
    cbor_writer_array(&w, 4);
    cbor_writer_uint(&w, WARDEN_CHALLENGE);
    cbor_writer_cstr(&w, "a");
    cbor_writer_cstr(&w, peer);
    cbor_writer_null(&w);
    ck_ok(cbor_writer_finish(&w));
    ck_err(warden_request_parse(bytes_of_buf(&message), &back, &fault), ERR_MALFORMED);
}
END_TEST

#define HEAD_RELEASE \
    "840261616161"   \
    "8241ff" /* [2, "a", "a", [h'ff', */

START_TEST(wrong_wanted)
{
    refuse(HEAD_RELEASE "80", ERR_MALFORMED, "secrets");         /* none */
    refuse(HEAD_RELEASE "91", ERR_CBOR_MALFORMED, "message");    /* 17 that are not there */
    refuse(HEAD_RELEASE "8182616100", ERR_CBOR_TYPE, "message"); /* a pair */
    refuse(HEAD_RELEASE "818361410000", ERR_MALFORMED, "");      /* "A" */
    refuse(HEAD_RELEASE "8283616100008361610000", ERR_MALFORMED, "");
    refuse(HEAD_RELEASE "818361611a8000000000", ERR_MALFORMED, "");
    refuse(HEAD_RELEASE "81836161001a80000000", ERR_MALFORMED, "");
    refuse(HEAD_RELEASE "818361612000", ERR_CBOR_TYPE, "message"); /* -1 */
    refuse("84026161616183404080", ERR_CBOR_TYPE, "message");
    refuse("8402616161618261ff80", ERR_UTF8, "message"); /* text for the document */
    refuse("84026161616182616180", ERR_CBOR_TYPE, "message");
}
END_TEST

START_TEST(long_wanted)
{
    CLEANUP(buf_free) struct buf message = {0};
    struct warden_request back;
    struct cbor_writer w;
    cbor_writer_init(&w, &message);
    cbor_writer_array(&w, 4);
    cbor_writer_uint(&w, WARDEN_RELEASE);
    cbor_writer_cstr(&w, "a");
    cbor_writer_cstr(&w, "a");
    cbor_writer_array(&w, 2);
    cbor_writer_bytes(&w, bytes_of_text("d"));
    cbor_writer_array(&w, PROTOCOL_SECRETS_MAX + 1);
    for (unsigned i = 0; i <= PROTOCOL_SECRETS_MAX; i++) {
        char name[8];
        snprintf(name, sizeof name, "s%u", i);
        cbor_writer_array(&w, 3);
        cbor_writer_cstr(&w, name);
        cbor_writer_uint(&w, 0);
        cbor_writer_uint(&w, 0);
    }
    ck_ok(cbor_writer_finish(&w));
    fault = (struct fault)FAULT_NONE;
    ck_err(warden_request_parse(bytes_of_buf(&message), &back, &fault), ERR_MALFORMED);
    ck_assert_str_eq(fault.field, "secrets");
}
END_TEST

START_TEST(wrong_admin)
{
    refuse(HEAD_ADMIN OPERATION "4100a0", ERR_UNAUTHENTICATED, "token"); /* one byte */
    refuse(HEAD_ADMIN OPERATION
           "581f00000000000000000000000000000000000000000000000000000000000000a0",
           ERR_UNAUTHENTICATED, "token"); /* 31 */
    refuse(HEAD_ADMIN OPERATION "60a0", ERR_CBOR_TYPE, "message");
    refuse(HEAD_ADMIN OPERATION NO_TOKEN "80", ERR_CBOR_TYPE, "message");
    refuse(HEAD_ADMIN OPERATION NO_TOKEN "a1" NAME_A "f6", ERR_MALFORMED, "params"); /* null */
    refuse(HEAD_ADMIN OPERATION NO_TOKEN "a1" NAME_A "20", ERR_MALFORMED, "params"); /* -1 */
    refuse(HEAD_ADMIN OPERATION NO_TOKEN "a1" NAME_A "8100", ERR_MALFORMED, "params");
    refuse(HEAD_ADMIN OPERATION NO_TOKEN "a1" NAME_A "f90000", ERR_MALFORMED, "params");
    refuse(HEAD_ADMIN OPERATION NO_TOKEN "a10000", ERR_CBOR_TYPE, "message");
    refuse(HEAD_ADMIN OPERATION NO_TOKEN "a2" NAME_A "00" NAME_A "6178", ERR_MALFORMED, "params");
}
END_TEST

START_TEST(wrong_maps)
{
#define MAP HEAD_ADMIN OPERATION NO_TOKEN "a1" NAME_A
    refuse(MAP "a1616200", ERR_CBOR_TYPE, "message"); /* a value that is no text */
    refuse(MAP "a1006162", ERR_CBOR_TYPE, "message");
    refuse(MAP "a261626061626131", ERR_CBOR_NOT_STRICT, "params"); /* a key twice */
    refuse(MAP "a2616260616160", ERR_CBOR_NOT_STRICT, "params");   /* out of order */
    refuse(MAP "a262616160616260", ERR_CBOR_NOT_STRICT, "params"); /* the longer first */
    refuse(MAP "a260606060", ERR_CBOR_NOT_STRICT, "params");
    refuse(MAP "bf616260ff", ERR_CBOR_NOT_STRICT, "message");
#undef MAP
}
END_TEST

START_TEST(long_params)
{
    for (unsigned count = WARDEN_PARAMS_MAX; count <= WARDEN_PARAMS_MAX + 1; count++) {
        CLEANUP(buf_free) struct buf message = {0};
        struct warden_request back;
        struct cbor_writer w;
        cbor_writer_init(&w, &message);
        cbor_writer_array(&w, 4);
        cbor_writer_uint(&w, WARDEN_ADMIN);
        cbor_writer_cstr(&w, "a");
        cbor_writer_cstr(&w, "a");
        cbor_writer_array(&w, 3);
        cbor_writer_cstr(&w, "status");
        cbor_writer_bytes(&w, bytes_of("", 0));
        cbor_writer_map(&w, count);
        for (unsigned i = 0; i < count; i++) {
            char name[8];
            snprintf(name, sizeof name, "p%02u", i);
            cbor_writer_cstr(&w, name);
            cbor_writer_uint(&w, i);
        }
        ck_ok(cbor_writer_finish(&w));
        fault = (struct fault)FAULT_NONE;
        ck_err(warden_request_parse(bytes_of_buf(&message), &back, &fault),
               count > WARDEN_PARAMS_MAX ? ERR_MALFORMED : ERR_OK);
        ck_assert_str_eq(fault.field, count > WARDEN_PARAMS_MAX ? "params" : "");
    }
}
END_TEST

/* --- Replies --- */

static void make_reply(struct warden_reply *reply, enum err code)
{
    *reply = (struct warden_reply){.fault = FAULT_NONE};
    if (code != ERR_OK)
        (void)fault_set(fault_at(&reply->fault, 17, "secrets[%d]", 2), code, "what was wrong");
    reply->fault.retry_after_s = code == ERR_TOO_FAST ? 3600 : 0;
    if (code == ERR_OK)
        ck_ok(buf_append_text(&reply->body, "{\"a\":1}"));
}

START_TEST(valid_replies)
{
    for (unsigned code = 0; code < ERR_COUNT; code++) {
        CLEANUP(warden_reply_free) struct warden_reply made;
        CLEANUP(warden_reply_free) struct warden_reply back = {0};
        CLEANUP(buf_free) struct buf message = {0};
        make_reply(&made, (enum err)code);
        ck_ok(warden_reply_append(&made, &message));
        ck_ok(warden_reply_parse(bytes_of_buf(&message), &back, &fault));
        ck_assert_int_eq(back.fault.code, (int)code);
        ck_assert_str_eq(back.fault.field, made.fault.field);
        ck_assert_str_eq(back.fault.detail, made.fault.detail);
        ck_assert_uint_eq(back.fault.offset, made.fault.offset);
        ck_assert_uint_eq(back.fault.retry_after_s, made.fault.retry_after_s);
        ck_assert(bytes_equal(bytes_of_buf(&back.body), bytes_of_buf(&made.body)));
    }
}
END_TEST

START_TEST(short_replies)
{
    CLEANUP(warden_reply_free) struct warden_reply made;
    CLEANUP(buf_free) struct buf message = {0};
    make_reply(&made, ERR_REFUSED);
    ck_ok(warden_reply_append(&made, &message));
    for (size_t len = 0; len < message.len; len++) {
        struct warden_reply back;
        uint8_t *copy = malloc(len == 0 ? 1 : len);
        ck_assert(copy != NULL);
        memcpy(copy, message.ptr, len);
        ck_err(warden_reply_parse(bytes_of(copy, len), &back, &fault), ERR_CBOR_MALFORMED);
        free(copy);
    }
}
END_TEST

START_TEST(junk_replies)
{
    CLEANUP(warden_reply_free) struct warden_reply made;
    CLEANUP(buf_free) struct buf message = {0};
    make_reply(&made, ERR_REFUSED);
    ck_ok(warden_reply_append(&made, &message));
    for (size_t i = 0; i < message.len; i++) {
        for (unsigned value = 0; value < 256; value++) {
            const uint8_t was = message.ptr[i];
            CLEANUP(warden_reply_free) struct warden_reply back = {0};
            message.ptr[i] = (uint8_t)value;
            if (warden_reply_parse(bytes_of_buf(&message), &back, NULL) == ERR_OK) {
                CLEANUP(buf_free) struct buf again = {0};
                ck_ok(warden_reply_append(&back, &again));
                ck_assert(bytes_equal(bytes_of_buf(&again), bytes_of_buf(&message)));
            }
            message.ptr[i] = was;
        }
    }
}
END_TEST

static void refuse_reply(const char *hex, enum err code)
{
    CLEANUP(buf_free) struct buf message = {0};
    CLEANUP(warden_reply_free) struct warden_reply back = {0};
    from_hex(hex, &message);
    ck_err(warden_reply_parse(bytes_of_buf(&message), &back, &fault), code);
}

START_TEST(wrong_replies)
{
    refuse_reply("86617860f6006040", ERR_MALFORMED); /* a code that nobody knows: "x" */
    refuse_reply("866060f6006040", ERR_MALFORMED);
    refuse_reply("86626f6b60f4006040", ERR_MALFORMED);                 /* an offset that is false */
    refuse_reply("86626f6b601bffffffffffffffff006040", ERR_MALFORMED); /* FAULT_NO_OFFSET */
    refuse_reply("86626f6b60f6f66040", ERR_CBOR_TYPE);                 /* a wait that is null */
    refuse_reply("86626f6b60f6190e116040", ERR_MALFORMED); /* one of an hour and a second */
    refuse_reply("86626f6b60f6006060", ERR_CBOR_TYPE);     /* a body that is text */
    refuse_reply("85626f6b60f60060", ERR_CBOR_TYPE);
    refuse_reply("86626f6b60f600604000", ERR_CBOR_TRAILING);
}
END_TEST

UNIT_MAIN("message", valid_requests, valid_longest, short_requests, junk_requests, wrong_requests,
          long_texts, wrong_wanted, long_wanted, wrong_admin, wrong_maps, long_params,
          valid_replies, short_replies, junk_replies, wrong_replies)
