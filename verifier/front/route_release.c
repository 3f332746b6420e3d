/* What an enclave asks for: PROTOCOL sections 2 and 3. */
#include "routes.h"

enum err route_challenge(struct route_call *call, struct buf *body, struct fault *fault)
{
    struct warden_request request = {.op = WARDEN_CHALLENGE};
    return route_ask(call, &request, body, fault);
}

enum err route_release(struct route_call *call, struct buf *body, struct fault *fault)
{
    CLEANUP(release_request_free) struct release_request release = {0};
    TRY(release_request_parse(call->body, &release, fault));
    struct warden_request request = {
        .op = WARDEN_RELEASE,
        .document = bytes_of_buf(&release.document),
        .wanted = release.wanted,
    };
    return route_ask(call, &request, body, fault);
}
