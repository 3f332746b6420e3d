/* The body or the query of every route: the first byte says which.  Where front asks the
 * warden, the message is one that the warden reads, with the parameters that the route's row
 * names, each of its type, no required one missing; the warden here answers for itself. */
#include "fuzz.h"
#include "verifier/front/routes.h"

struct warden {
    const struct route *route;
    bool refuses;
    unsigned asked;
};

static void check_params(const struct warden_request *request, const struct route *route)
{
    for (size_t i = 0; i < request->param_count; i++) {
        const struct param *param = &request->param[i];
        bool known = false;
        for (size_t k = 0; k < ROUTE_PARAMS_MAX && route->param[k].name != NULL; k++)
            known = known || (bytes_equal_text(param->name, route->param[k].name) &&
                              param->type == route->param[k].type);
        FUZZ_HOLDS(known);
    }
    for (size_t k = 0; k < ROUTE_PARAMS_MAX && route->param[k].name != NULL; k++) {
        bool given = !route->param[k].required;
        for (size_t i = 0; i < request->param_count; i++)
            given = given || bytes_equal_text(request->param[i].name, route->param[k].name);
        FUZZ_HOLDS(given);
    }
}

/* The warden's door, as front's library calls it. */
enum err warden_handle(struct warden *warden, struct bytes message, struct buf *reply)
{
    static const uint8_t ok[] = {0x86, 0x62, 'o', 'k', 0x60, 0xf6, 0x00, 0x60, 0x42, '{', '}'};
    static const uint8_t busy[] = {0x86, 0x64, 'b',  'u',  's', 'y',
                                   0x60, 0xf6, 0x05, 0x61, '-', 0x40};
    const struct route *route = warden->route;
    struct warden_request request;
    FUZZ_OK(warden_request_parse(message, &request, NULL));
    warden->asked++;
    if (route->operation == NULL) {
        FUZZ_HOLDS(request.op != WARDEN_ADMIN);
    } else {
        FUZZ_HOLDS(request.op == WARDEN_ADMIN && request.token.len == WARDEN_TOKEN_LEN);
        FUZZ_HOLDS(bytes_equal_text(request.operation, route->operation));
        check_params(&request, route);
    }
    return buf_append(reply,
                      warden->refuses ? bytes_of(busy, sizeof busy) : bytes_of(ok, sizeof ok));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t token[WARDEN_TOKEN_LEN] = {1};
    struct bytes in = bytes_of(data, size);
    const uint8_t choice = fuzz_take_byte(&in);
    const struct route *route = &routes[choice % routes_count];
    struct warden warden = {.route = route, .refuses = choice >= 5 * routes_count};
    struct fault fault = FAULT_NONE;
    CLEANUP(buf_free) struct buf body = {0};
    const bool get = strcmp(route->method, "GET") == 0;
    struct route_call call = {
        .route = route,
        .warden = &warden,
        .request_id = "0123456789ABCDEF",
        .peer = "203.0.113.7:41234",
        .query = get ? in : bytes_of(NULL, 0),
        .body = get ? bytes_of(NULL, 0) : in,
        .token = bytes_of(token, route->operation == NULL ? 0 : sizeof token),
    };
    const enum err err = route->answer(&call, &body, &fault);
    fuzz_check(err, &fault, 0, in.len, NULL, 0);
    FUZZ_HOLDS(call.asked == (warden.asked == 1) && warden.asked <= 1);
    FUZZ_HOLDS(err == ERR_OK ? body.len > 0 : body.len == 0 && call.asked == (err == ERR_BUSY));
    FUZZ_HOLDS(err == ERR_OK || err_class(err) != ERR_CLASS_INTERNAL);
    /* Found by its path, under no method but its own. */
    const struct route *found = NULL;
    char allow[32];
    const enum front_audience audience =
        (route->audiences & FRONT_PUBLIC) != 0 ? FRONT_PUBLIC : FRONT_ADMIN;
    FUZZ_OK(routes_find(route->method, bytes_of_text(route->path), audience, &found, allow, NULL));
    FUZZ_HOLDS(found == route);
    FUZZ_HOLDS(routes_find("PUT", bytes_of_text(route->path), audience, &found, allow, NULL) ==
               ERR_METHOD);
    FUZZ_HOLDS(strstr(allow, route->method) != NULL);
    FUZZ_HOLDS(routes_find(route->method, bytes_of(route->path, strlen(route->path) + 1), audience,
                           &found, allow, NULL) == ERR_NO_ROUTE);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size < 2 || fuzz_choose(&seed, 16) == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    if (strcmp(routes[data[0] % routes_count].method, "GET") == 0)
        return 1 + LLVMFuzzerMutate(data + 1, size - 1, max_size - 1);
    return 1 + fuzz_mutate_json(data + 1, size - 1, max_size - 1, seed);
}
