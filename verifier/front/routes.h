/* The table of routes, and what their functions share.
 *
 * A row is the whole of a route: who may reach it, how large its body may be, which
 * operation of the warden it is, and its parameters with their types.
 * docs/openapi.yaml says the same to others; tests/house/check-openapi compares them. */
#ifndef VOUCHSAFE_FRONT_ROUTES_H
#define VOUCHSAFE_FRONT_ROUTES_H

#include "front.h"
#include "problem.h"
#include "verifier/warden/message.h"

#define ROUTE_PARAMS_MAX WARDEN_PARAMS_MAX /* a route asks the warden for no more */

struct route_call;
/* Appends the answer's JSON, or says why not: a fault with the code it returns. */
typedef enum err route_fn(struct route_call *call, struct buf *body, struct fault *fault);

struct route_param {
    const char *name;
    enum param_type type;
    bool required;
};

struct route {
    const char *method;
    const char *path;
    unsigned audiences; /* of enum front_audience; where it is none of them there is no route */
    size_t body_max;    /* 0: takes none */
    route_fn *answer;
    const char *operation; /* the warden's name for it; NULL: takes no token either */
    struct route_param param[ROUTE_PARAMS_MAX]; /* to the first without a name */
};

/* One request that has passed everything which does not depend on the route. */
struct route_call {
    const struct route *route;
    struct warden *warden;
    const char *request_id;
    const char *peer;
    struct bytes query; /* as it came, nothing decoded; ptr NULL without a '?' */
    struct bytes body;
    struct bytes token; /* WARDEN_TOKEN_LEN bytes where the route needs one */
    bool stopping;
    bool asked; /* set once the warden has the request: it logs its own refusals */
};

extern const struct route routes[];
extern const size_t routes_count;

/* `path` without its query, as it came: nothing of it is decoded, no other spelling
 * is the same route.  ERR_NO_ROUTE, or ERR_METHOD with the methods in `allow`. */
MUST_CHECK enum err routes_find(const char *method, struct bytes path, enum front_audience audience,
                                const struct route **out, char allow[static 32],
                                struct fault *fault);

/* One message to the warden and back, for the functions below: completes `request`
 * with id and peer, appends the reply's body.  The message held a token: wiped. */
MUST_CHECK enum err route_ask(struct route_call *call, struct warden_request *request,
                              struct buf *body, struct fault *fault);

route_fn route_health;
route_fn route_challenge, route_release; /* route_release.c */
route_fn route_admin;                    /* route_admin.c: every row with parameters */

#endif
