/* The routes: who reaches which, and how JSON and queries become parameters. */
#include "front_fixture.h"

#include "common/cbor_writer.h"
#include "verifier/front/routes.h"

static struct warden stand_in = WARDEN_STAND_IN;

static const struct route *route_of(const char *method, const char *path)
{
    for (size_t i = 0; i < routes_count; i++) {
        if (strcmp(routes[i].method, method) == 0 && strcmp(routes[i].path, path) == 0)
            return &routes[i];
    }
    ck_abort_msg("no route %s %s", method, path);
    return NULL;
}

/* One request by method and path; what it came to. */
static enum err ask(const char *method, const char *path, const char *input, struct fault *fault)
{
    static const uint8_t token[WARDEN_TOKEN_LEN] = {0xaa};
    CLEANUP(buf_free) struct buf body = {0};
    const bool is_get = strcmp(method, "GET") == 0;
    struct route_call call = {
        .route = route_of(method, path),
        .warden = &stand_in,
        .request_id = "0123456789ABCDEF",
        .peer = "192.0.2.1:4711",
        .query = is_get ? bytes_of_text(input) : bytes_of(NULL, 0),
        .body = is_get ? bytes_of(NULL, 0) : bytes_of_text(input),
        .token = bytes_of(token, sizeof token),
    };
    const unsigned before = stand_in.calls;
    *fault = (struct fault)FAULT_NONE;
    const enum err err = call.route->answer(&call, &body, fault);
    ck_assert_uint_eq(stand_in.calls - before, call.asked ? 1 : 0);
    if (err == ERR_OK)
        ck_assert(bytes_equal_text(bytes_of_buf(&body), JSON_OK));
    else
        ck_assert_int_eq(fault->code, err);
    return err;
}

/* Refused by front itself, at this place. */
static void ck_refuses(const char *method, const char *path, const char *input, enum err code,
                       const char *field)
{
    struct fault fault;
    const unsigned before = stand_in.calls;
    const enum err err = ask(method, path, input, &fault);
    ck_assert_msg(err == code, "%s: %s, expected %s", input, err_wire(err), err_wire(code));
    ck_assert_str_eq(fault.field, field);
    ck_assert_uint_eq(stand_in.calls, before);
}

#define MEASUREMENTS "/v1/admin/measurements"

START_TEST(valid_find)
{
    const struct route *route = NULL;
    char allow[32];
    ck_ok(routes_find("POST", bytes_of_text("/v1/release"), FRONT_PUBLIC, &route, allow, NULL));
    ck_assert_uint_eq(route->body_max, PROTOCOL_BODY_RELEASE);
    ck_assert_ptr_null(route->operation);
    ck_ok(routes_find("GET", bytes_of_text("/v1/health"), FRONT_PUBLIC, &route, allow, NULL));
    ck_ok(routes_find("GET", bytes_of_text("/v1/health"), FRONT_ADMIN, &route, allow, NULL));
    ck_ok(routes_find("GET", bytes_of_text(MEASUREMENTS), FRONT_ADMIN, &route, allow, NULL));
    ck_assert_str_eq(route->operation, "measurement.list");
}
END_TEST

/* Another listener's routes do not exist, nor do other spellings. */
START_TEST(no_route)
{
    static const char *const paths[] = {
        "",
        "/",
        "/v1",
        "/v1/release/",
        "//v1/release",
        "/V1/release",
        "/v1/releas",
        "/v1/%72elease",
        "/v1/./release",
        "/v1/releasex",
        "/v1/verify",
        "/v1/admin/status",
    };
    const struct route *route = NULL;
    struct fault fault = FAULT_NONE;
    char allow[32] = "";
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        ck_err(routes_find("POST", bytes_of_text(paths[i]), FRONT_PUBLIC, &route, allow, &fault),
               ERR_NO_ROUTE);
    ck_err(routes_find("POST", bytes_of_text("/v1/release"), FRONT_ADMIN, &route, allow, &fault),
           ERR_NO_ROUTE);
    ck_err(routes_find("POST", bytes_of_text("/v1/challenge"), FRONT_ADMIN, &route, allow, &fault),
           ERR_NO_ROUTE);
    ck_assert_ptr_null(route);
    ck_assert_str_eq(allow, "");
}
END_TEST

START_TEST(wrong_method)
{
    static const char *const methods[] = {"HEAD", "get", "PUT", "OPTIONS", "DELETE", "TRACE"};
    const struct route *route = NULL;
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char allow[32] = "";
        ck_err(
            routes_find(methods[i], bytes_of_text("/v1/health"), FRONT_PUBLIC, &route, allow, NULL),
            ERR_METHOD);
        ck_assert_str_eq(allow, "GET");
        ck_err(
            routes_find(methods[i], bytes_of_text(MEASUREMENTS), FRONT_ADMIN, &route, allow, NULL),
            ERR_METHOD);
        ck_assert_str_eq(allow, "POST, GET");
    }
}
END_TEST

/* What the table must hold for the code around it. */
START_TEST(valid_table)
{
    for (size_t i = 0; i < routes_count; i++) {
        const struct route *r = &routes[i];
        const bool is_get = strcmp(r->method, "GET") == 0;
        const bool is_admin_path = strncmp(r->path, "/v1/admin/", 10) == 0;
        ck_assert(r->answer != NULL && r->path[0] == '/');
        ck_assert_msg(!is_get || r->body_max == 0, "%s", r->path);
        ck_assert_msg(!is_admin_path || (r->operation != NULL && r->audiences == FRONT_ADMIN), "%s",
                      r->path);
        ck_assert_msg((r->operation != NULL) == (r->answer == route_admin), "%s", r->path);
        for (size_t k = 0; k < ROUTE_PARAMS_MAX && r->param[k].name != NULL; k++) {
            const enum param_type type = r->param[k].type;
            ck_assert_msg(!is_get || (type != PARAM_BYTES && type != PARAM_TEXT_MAP), "%s",
                          r->path);
            for (size_t m = 0; m < k; m++)
                ck_assert_str_ne(r->param[k].name, r->param[m].name);
        }
        for (size_t k = 0; k < i; k++) {
            ck_assert(strcmp(r->path, routes[k].path) != 0 ||
                      strcmp(r->method, routes[k].method) != 0);
            ck_assert(r->operation == NULL || routes[k].operation == NULL ||
                      strcmp(r->operation, routes[k].operation) != 0);
        }
    }
}
END_TEST

START_TEST(valid_body_params)
{
    struct fault fault;
    ck_ok(ask("POST", MEASUREMENTS,
              "{\"image\":\"payments\",\"version\":\"1.4.2\",\"debug\":true,\"draft\":false,"
              "\"labels\":{},\"pcrs\":{\"10\":\"cc\",\"2\":\"bb\",\"0\":\"aa\"}}",
              &fault));
    const struct warden_request *r = &stand_in.request;
    ck_assert_int_eq(r->op, WARDEN_ADMIN);
    ck_assert(bytes_equal_text(r->operation, "measurement.add"));
    ck_assert_str_eq(r->request_id, "0123456789ABCDEF");
    ck_assert_str_eq(r->peer, "192.0.2.1:4711");
    ck_assert_uint_eq(r->token.len, WARDEN_TOKEN_LEN);
    ck_assert_uint_eq(r->token.ptr[0], 0xaa);
    ck_assert_uint_eq(r->param_count, 6);
    ck_assert(bytes_equal_text(param_of(&stand_in, "version")->data, "1.4.2"));
    ck_assert_int_eq(param_of(&stand_in, "debug")->type, PARAM_BOOL);
    ck_assert_uint_eq(param_of(&stand_in, "debug")->uint, 1);
    ck_assert_uint_eq(param_of(&stand_in, "draft")->uint, 0);
    ck_assert(bytes_equal(param_of(&stand_in, "labels")->data, bytes_of("\xa0", 1)));
    /* Shorter keys first, then by their bytes. */
    ck_assert(bytes_equal_text(param_of(&stand_in, "pcrs")->data, "\xa3\x61"
                                                                  "0\x62"
                                                                  "aa\x61"
                                                                  "2\x62"
                                                                  "bb\x62"
                                                                  "10\x62"
                                                                  "cc"));
}
END_TEST

START_TEST(valid_body_bytes)
{
    struct fault fault;
    ck_ok(ask("POST", "/v1/admin/secrets",
              "{\"name\":\"db/main\",\"version\":9007199254740991,\"challenge\":\"AAEC\","
              "\"enc\":\"\",\"ciphertext\":\"/w==\"}",
              &fault));
    ck_assert_int_eq(param_of(&stand_in, "version")->type, PARAM_UINT);
    ck_assert_uint_eq(param_of(&stand_in, "version")->uint, 9007199254740991);
    ck_assert_int_eq(param_of(&stand_in, "challenge")->type, PARAM_BYTES);
    ck_assert(bytes_equal(param_of(&stand_in, "challenge")->data, bytes_of("\0\1\2", 3)));
    ck_assert_uint_eq(param_of(&stand_in, "enc")->data.len, 0);
    ck_assert(bytes_equal_text(param_of(&stand_in, "ciphertext")->data, "\xff"));
}
END_TEST

START_TEST(junk_body)
{
    ck_refuses("POST", "/v1/admin/grants/remove", "", ERR_MALFORMED, "");
    ck_refuses("POST", "/v1/admin/grants/remove", "[]", ERR_MALFORMED, "");
    ck_refuses("POST", "/v1/admin/grants/remove", "{\"id\":1}x", ERR_MALFORMED, "");
    ck_refuses("POST", "/v1/admin/grants/remove", "{\"id\":1,\"id\":1}", ERR_MALFORMED, "");
    ck_refuses("POST", "/v1/admin/grants/remove", "{}", ERR_MALFORMED, "id");
    ck_refuses("POST", "/v1/admin/grants/remove", "{\"id\":1,\"Id\":1}", ERR_UNKNOWN_MEMBER, "Id");
    ck_refuses("POST", "/v1/admin/grants/remove", "{\"id\":\"1\"}", ERR_MALFORMED, "id");
    ck_refuses("POST", "/v1/admin/grants/remove", "{\"id\":-1}", ERR_MALFORMED, "id");
    ck_refuses("POST", "/v1/admin/grants/remove", "{\"id\":1.0}", ERR_MALFORMED, "id");
    ck_refuses("POST", "/v1/admin/grants/remove", "{\"id\":null}", ERR_MALFORMED, "id");
    ck_refuses("POST", "/v1/admin/delegations", "{\"delegation\":\"AA\"}", ERR_BASE64,
               "delegation");
    ck_refuses("POST", "/v1/admin/grants", "{\"secret\":\"a\\u0000b\"}", ERR_MALFORMED, "");
}
END_TEST

START_TEST(wrong_map)
{
    static const char *const head = "{\"image\":\"a\",\"version\":\"1\",\"pcrs\":";
    static const struct {
        const char *map;
        const char *field;
    } cases[] = {
        {"[]}", "pcrs"},           {"\"x\"}", "pcrs"},
        {"{\"0\":1}}", "pcrs.0"},  {"{\"0\":null}}", "pcrs.0"},
        {"{\"a\":{}}}", "pcrs.a"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[128];
        snprintf(text, sizeof text, "%s%s", head, cases[i].map);
        ck_refuses("POST", MEASUREMENTS, text, ERR_MALFORMED, cases[i].field);
    }
}
END_TEST

START_TEST(long_map)
{
    CLEANUP(buf_free) struct buf text = {0};
    struct fault fault;
    ck_ok(buf_append_text(&text, "{\"image\":\"a\",\"version\":\"1\",\"pcrs\":{"));
    for (int i = 0; i < 256; i++)
        ck_ok(buf_append_format(&text, "%s\"%d\":\"\"", i == 0 ? "" : ",", i));
    const size_t at = text.len;
    ck_ok(buf_append_text(&text, "}}"));
    ck_ok(ask("POST", MEASUREMENTS, buf_text(&text), &fault));
    text.len = at;
    ck_ok(buf_append_text(&text, ",\"256\":\"\"}}"));
    ck_refuses("POST", MEASUREMENTS, buf_text(&text), ERR_MALFORMED, "pcrs");
}
END_TEST

START_TEST(valid_query_params)
{
    struct fault fault;
    ck_ok(ask("GET", MEASUREMENTS, "image=pay%6dents&limit=0&after=9007199254740991", &fault));
    ck_assert_uint_eq(stand_in.request.param_count, 3);
    ck_assert(bytes_equal_text(param_of(&stand_in, "image")->data, "payments"));
    ck_assert_int_eq(param_of(&stand_in, "limit")->type, PARAM_UINT);
    ck_assert_uint_eq(param_of(&stand_in, "limit")->uint, 0);
    ck_assert_uint_eq(param_of(&stand_in, "after")->uint, 9007199254740991);
    ck_ok(ask("GET", MEASUREMENTS, "", &fault));
    ck_assert_uint_eq(stand_in.request.param_count, 0);
    ck_ok(ask("GET", "/v1/admin/measurement", "image=%c3%a9&version=1+b%2B", &fault));
    ck_assert(bytes_equal_text(param_of(&stand_in, "image")->data, "\xc3\xa9"));
    ck_assert(bytes_equal_text(param_of(&stand_in, "version")->data, "1+b+"));
}
END_TEST

START_TEST(junk_query)
{
    static const char *const numbers[] = {
        "",   "-1", "+1", "01", "1x", "0x1", "%31.", "9007199254740992", "99999999999999999999",
        "1e3"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        char text[64];
        snprintf(text, sizeof text, "limit=%s", numbers[i]);
        ck_refuses("GET", MEASUREMENTS, text, ERR_MALFORMED, "limit");
    }
    ck_refuses("GET", MEASUREMENTS, "limit", ERR_MALFORMED, "query");
    ck_refuses("GET", MEASUREMENTS, "image=%zz", ERR_MALFORMED, "query");
    ck_refuses("GET", MEASUREMENTS, "image=a&image=b", ERR_MALFORMED, "query");
    ck_refuses("GET", MEASUREMENTS, "colour=red", ERR_UNKNOWN_MEMBER, "colour");
    ck_refuses("GET", MEASUREMENTS, "=red", ERR_UNKNOWN_MEMBER, "");
    ck_refuses("GET", "/v1/admin/status", "x=1", ERR_UNKNOWN_MEMBER, "x");
    ck_refuses("GET", "/v1/admin/measurement", "image=a", ERR_MALFORMED, "version");
    ck_refuses("GET", "/v1/admin/measurement", "version=a", ERR_MALFORMED, "image");
}
END_TEST

/* The largest request still fits into one message: every parameter at once. */
START_TEST(valid_every_param)
{
    for (size_t i = 0; i < routes_count; i++) {
        CLEANUP(buf_free) struct buf text = {0};
        struct fault fault;
        const struct route *r = &routes[i];
        const bool is_get = strcmp(r->method, "GET") == 0;
        size_t count = 0;
        if (r->operation == NULL)
            continue;
        ck_ok(buf_append_text(&text, is_get ? "" : "{"));
        for (; count < ROUTE_PARAMS_MAX && r->param[count].name != NULL; count++) {
            static const char *const json[] = {[PARAM_TEXT] = "\"x\"",
                                               [PARAM_UINT] = "1",
                                               [PARAM_BOOL] = "true",
                                               [PARAM_BYTES] = "\"AA==\"",
                                               [PARAM_TEXT_MAP] = "{\"k\":\"v\"}"};
            ck_ok(buf_append_format(&text, is_get ? "%s%s=%s" : "%s\"%s\":%s",
                                    count == 0 ? ""
                                    : is_get   ? "&"
                                               : ",",
                                    r->param[count].name,
                                    is_get ? "1" : json[r->param[count].type]));
        }
        ck_ok(buf_append_text(&text, is_get ? "" : "}"));
        ck_ok(ask(r->method, r->path, buf_text(&text), &fault));
        ck_assert(bytes_equal_text(stand_in.request.operation, r->operation));
        ck_assert_uint_eq(stand_in.request.param_count, count);
        for (size_t k = 0; k < count; k++)
            ck_assert_int_eq(param_of(&stand_in, r->param[k].name)->type, r->param[k].type);
    }
}
END_TEST

START_TEST(valid_release)
{
    struct fault fault;
    ck_ok(ask("POST", "/v1/release",
              "{\"attestation_document\":\"AQID\",\"secrets\":[{\"name\":\"a/b\",\"version\":7},"
              "{\"name\":\"c\",\"min_version\":2}]}",
              &fault));
    const struct warden_request *r = &stand_in.request;
    ck_assert_int_eq(r->op, WARDEN_RELEASE);
    ck_assert(bytes_equal(r->document, bytes_of("\1\2\3", 3)));
    ck_assert_uint_eq(r->wanted.count, 2);
    ck_assert_str_eq(r->wanted.item[0].name, "a/b");
    ck_assert_uint_eq(r->wanted.item[0].version, 7);
    ck_assert_uint_eq(r->wanted.item[1].min_version, 2);
    ck_assert_uint_eq(r->token.len, 0);
    ck_refuses("POST", "/v1/release", "{\"attestation_document\":\"AQID\"}", ERR_MALFORMED,
               "secrets");
}
END_TEST

START_TEST(valid_challenge)
{
    struct fault fault;
    ck_ok(ask("POST", "/v1/challenge", "", &fault));
    ck_assert_int_eq(stand_in.request.op, WARDEN_CHALLENGE);
}
END_TEST

/* Who balances load sees the end come on a connection that it keeps. */
START_TEST(valid_health)
{
    CLEANUP(buf_free) struct buf body = {0};
    struct fault fault = FAULT_NONE;
    struct route_call call = {.route = route_of("GET", "/v1/health"), .warden = &stand_in};
    ck_ok(route_health(&call, &body, &fault));
    ck_assert(bytes_equal_text(bytes_of_buf(&body), "{\"status\":\"ok\"}"));
    call.stopping = true;
    ck_err(route_health(&call, &body, &fault), ERR_BUSY);
    ck_assert(!call.asked);
}
END_TEST

START_TEST(wrong_reply)
{
    struct fault fault;
    fault_set(fault_at(&stand_in.fault, 3, "pcrs[%d]", 8), ERR_EXISTS, "other values");
    ck_err(ask("POST", "/v1/challenge", "", &fault), ERR_EXISTS);
    ck_assert_str_eq(fault.field, "pcrs[8]");
    ck_assert_uint_eq(fault.offset, 3);
    ck_assert_str_eq(fault.detail, "other values");
    stand_in.garbage = true;
    ck_err(ask("POST", "/v1/challenge", "", &fault), ERR_INTERNAL);
}
END_TEST

UNIT_MAIN("front_routes", valid_find, no_route, wrong_method, valid_table, valid_body_params,
          valid_body_bytes, junk_body, wrong_map, long_map, valid_query_params, junk_query,
          valid_every_param, valid_release, valid_challenge, valid_health, wrong_reply)
