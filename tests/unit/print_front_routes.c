/* Prints front's table of routes as JSON, for tests/house/check-openapi. */
#include <stdio.h>

#include "verifier/front/routes.h"

static const char *const type_names[] = {
    [PARAM_TEXT] = "text",   [PARAM_UINT] = "uint",        [PARAM_BOOL] = "bool",
    [PARAM_BYTES] = "bytes", [PARAM_TEXT_MAP] = "textmap",
};

/* Nothing is asked here; the table's functions want it linked. */
enum err warden_handle(struct warden *warden, struct bytes message, struct buf *reply)
{
    (void)warden;
    (void)message;
    (void)reply;
    return ERR_INTERNAL;
}

static void print_route(const struct route *route)
{
    printf("{\"method\":\"%s\",\"path\":\"%s\",\"public\":%s,\"admin\":%s,\"body_max\":%zu,"
           "\"operation\":\"%s\",\"params\":[",
           route->method, route->path, (route->audiences & FRONT_PUBLIC) != 0 ? "true" : "false",
           (route->audiences & FRONT_ADMIN) != 0 ? "true" : "false", route->body_max,
           route->operation == NULL ? "" : route->operation);
    for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->param[i].name != NULL; i++)
        printf("%s{\"name\":\"%s\",\"type\":\"%s\",\"required\":%s}", i == 0 ? "" : ",",
               route->param[i].name, type_names[route->param[i].type],
               route->param[i].required ? "true" : "false");
    printf("]}");
}

int main(void)
{
    printf("[");
    for (size_t i = 0; i < routes_count; i++) {
        printf("%s", i == 0 ? "" : ",\n");
        print_route(&routes[i]);
    }
    printf("]\n");
    return fflush(stdout) == 0 ? 0 : 1;
}
