/* The admin API: a JSON body or a query becomes the typed parameters that the route's
 * row names, and these a message.  What they mean is the warden's to say. */
#include <stdlib.h>

#include "common/codec.h"
#include "common/json_reader.h"
#include "query.h"
#include "routes.h"

#define UINT_VALUE_MAX 9007199254740991

/* What the parameters' views point into. */
struct values {
    struct query query;
    json_t *json;
    const char *text[ROUTE_PARAMS_MAX];
    uint64_t uint[ROUTE_PARAMS_MAX];
    bool flag[ROUTE_PARAMS_MAX];
    json_t *map[ROUTE_PARAMS_MAX];
    struct buf owned[ROUTE_PARAMS_MAX]; /* decoded base64, and maps as CBOR */
};

static void values_free(struct values *values)
{
    query_free(&values->query);
    json_decref(values->json);
    for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++)
        buf_free(&values->owned[i]);
}

static size_t param_count(const struct route *route)
{
    size_t count = 0;
    while (count < ROUTE_PARAMS_MAX && route->param[count].name != NULL)
        count++;
    return count;
}

static void add_param(struct warden_request *request, const struct route_param *row,
                      const struct param *value)
{
    struct param *out = &request->param[request->param_count++];
    *out = *value;
    out->name = bytes_of_text(row->name);
    out->type = row->type;
}

/* --- GET: the query --- */

static enum err parse_uint(const char *name, struct bytes text, uint64_t *out, struct fault *fault)
{
    if (decimal_parse(text, UINT_VALUE_MAX, out) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED,
             "must be an integer of 0..2^53-1");
    return ERR_OK;
}

static enum err parse_bool(const char *name, struct bytes text, uint64_t *out, struct fault *fault)
{
    const bool yes = bytes_equal_text(text, "true");
    if (!yes && !bytes_equal_text(text, "false"))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", name), ERR_MALFORMED, "must be true or false");
    *out = yes;
    return ERR_OK;
}

static enum err add_pair(const struct route *route, const struct query_pair *pair,
                         struct warden_request *request, struct fault *fault)
{
    struct param value = {.data = pair->value};
    for (size_t i = 0; i < param_count(route); i++) {
        const struct route_param *row = &route->param[i];
        if (!bytes_equal_text(pair->name, row->name))
            continue;
        if (row->type == PARAM_UINT)
            TRY(parse_uint(row->name, pair->value, &value.uint, fault));
        else if (row->type == PARAM_BOOL)
            TRY(parse_bool(row->name, pair->value, &value.uint, fault));
        else if (row->type != PARAM_TEXT)
            FAIL(fault, ERR_INTERNAL, "%s cannot be given in a query", row->name);
        add_param(request, row, &value);
        return ERR_OK;
    }
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "%.*s", (int)pair->name.len, pair->name.ptr),
         ERR_UNKNOWN_MEMBER, "this request has no such parameter");
}

static enum err check_required(const struct route *route, const struct warden_request *request,
                               struct fault *fault)
{
    for (size_t i = 0; i < param_count(route); i++) {
        bool given = !route->param[i].required;
        for (size_t k = 0; k < request->param_count; k++)
            given = given || bytes_equal_text(request->param[k].name, route->param[i].name);
        if (!given)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", route->param[i].name), ERR_MALFORMED,
                 "this parameter is required");
    }
    return ERR_OK;
}

static enum err read_query(const struct route_call *call, struct values *values,
                           struct warden_request *request, struct fault *fault)
{
    TRY(query_parse(call->query, &values->query, fault));
    for (size_t i = 0; i < values->query.count; i++)
        TRY(add_pair(call->route, &values->query.pair[i], request, fault));
    return check_required(call->route, request, fault);
}

/* --- POST: a JSON object --- */

static struct json_member member_of(const struct route_param *row, size_t i, struct values *values)
{
    struct json_member member = {.name = row->name, .required = row->required};
    switch (row->type) {
    case PARAM_TEXT:
        member.type = JSON_MEMBER_TEXT;
        member.out = &values->text[i];
        break;
    case PARAM_UINT:
        member.type = JSON_MEMBER_UINT;
        member.out = &values->uint[i];
        break;
    case PARAM_BOOL:
        member.type = JSON_MEMBER_BOOL;
        member.out = &values->flag[i];
        break;
    case PARAM_BYTES:
        member.type = JSON_MEMBER_BASE64;
        member.out = &values->owned[i];
        break;
    case PARAM_TEXT_MAP:
        member.type = JSON_MEMBER_OBJECT;
        member.out = &values->map[i];
        break;
    }
    return member;
}

static enum err add_member(const struct route_param *row, size_t i, struct values *values,
                           struct warden_request *request, struct fault *fault)
{
    struct param value = {0};
    if (json_object_get(values->json, row->name) == NULL)
        return ERR_OK;
    if (row->type == PARAM_TEXT_MAP)
        TRY(json_map_append(row->name, values->map[i], &values->owned[i], fault));
    if (row->type == PARAM_TEXT)
        value.data = bytes_of_text(values->text[i]);
    else if (row->type == PARAM_BYTES || row->type == PARAM_TEXT_MAP)
        value.data = bytes_of_buf(&values->owned[i]);
    else
        value.uint = row->type == PARAM_BOOL ? values->flag[i] : values->uint[i];
    add_param(request, row, &value);
    return ERR_OK;
}

static enum err read_body(const struct route_call *call, struct values *values,
                          struct warden_request *request, struct fault *fault)
{
    struct json_member members[ROUTE_PARAMS_MAX];
    const size_t count = param_count(call->route);
    TRY(json_reader_parse(call->body, &values->json, fault));
    for (size_t i = 0; i < count; i++)
        members[i] = member_of(&call->route->param[i], i, values);
    TRY(json_reader_object(values->json, "", JSON_REQUEST, members, count, fault));
    for (size_t i = 0; i < count; i++)
        TRY(add_member(&call->route->param[i], i, values, request, fault));
    return ERR_OK;
}

enum err route_admin(struct route_call *call, struct buf *body, struct fault *fault)
{
    CLEANUP(values_free) struct values values = {0};
    struct warden_request request = {
        .op = WARDEN_ADMIN,
        .operation = bytes_of_text(call->route->operation),
        .token = call->token,
    };
    if (strcmp(call->route->method, "GET") == 0)
        TRY(read_query(call, &values, &request, fault));
    else
        TRY(read_body(call, &values, &request, fault));
    return route_ask(call, &request, body, fault);
}
