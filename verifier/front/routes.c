#include "routes.h"

#include <openssl/crypto.h>
#include <stdio.h>

#define BOTH (FRONT_PUBLIC | FRONT_ADMIN)

/* A parameter: required, optional, none at all. */
#define NEED(type_, name_)         \
    {                              \
        name_, PARAM_##type_, true \
    }
#define MAY(type_, name_)           \
    {                               \
        name_, PARAM_##type_, false \
    }
#define NONE \
    {        \
        0    \
    }

#define ADMIN_GET(path_, operation_, ...)                      \
    {                                                          \
        "GET", path_, FRONT_ADMIN, 0, route_admin, operation_, \
        {                                                      \
            __VA_ARGS__                                        \
        }                                                      \
    }
#define ADMIN_POST(path_, operation_, ...)                                        \
    {                                                                             \
        "POST", path_, FRONT_ADMIN, PROTOCOL_BODY_ADMIN, route_admin, operation_, \
        {                                                                         \
            __VA_ARGS__                                                           \
        }                                                                         \
    }

const struct route routes[] = {
    {"GET", "/v1/health", BOTH, 0, route_health, NULL, {NONE}},
    {"POST", "/v1/challenge", FRONT_PUBLIC, 0, route_challenge, NULL, {NONE}},
    {"POST", "/v1/release", FRONT_PUBLIC, PROTOCOL_BODY_RELEASE, route_release, NULL, {NONE}},
    ADMIN_GET("/v1/admin/status", "status", NONE),
    ADMIN_POST("/v1/verify", "verify", NEED(BYTES, "attestation_document"), MAY(TEXT, "at"),
               MAY(TEXT, "kind"), MAY(TEXT, "nonce"), MAY(TEXT_MAP, "pcrs"),
               MAY(UINT, "max_age_s")),
    ADMIN_GET("/v1/admin/images", "image.list", MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_POST("/v1/admin/measurements", "measurement.add", NEED(TEXT, "image"),
               NEED(TEXT, "version"), NEED(TEXT_MAP, "pcrs"), MAY(TEXT, "kind"), MAY(BOOL, "debug"),
               MAY(BOOL, "draft"), MAY(TEXT_MAP, "labels"), MAY(TEXT, "provenance"),
               MAY(TEXT, "not_before"), MAY(TEXT, "not_after")),
    ADMIN_GET("/v1/admin/measurements", "measurement.list", MAY(TEXT, "image"), MAY(TEXT, "state"),
              MAY(TEXT, "unused_since"), MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_GET("/v1/admin/measurement", "measurement.show", NEED(TEXT, "image"),
              NEED(TEXT, "version")),
    ADMIN_GET("/v1/admin/measurement/enclaves", "measurement.enclaves", NEED(TEXT, "image"),
              NEED(TEXT, "version"), MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_GET("/v1/admin/measurement/grants", "measurement.grants", NEED(TEXT, "image"),
              NEED(TEXT, "version"), MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_POST("/v1/admin/measurements/activate", "measurement.activate", NEED(TEXT, "image"),
               NEED(TEXT, "version"), MAY(TEXT, "reason")),
    ADMIN_POST("/v1/admin/measurements/deprecate", "measurement.deprecate", NEED(TEXT, "image"),
               NEED(TEXT, "version"), MAY(TEXT, "reason"), MAY(BOOL, "dry_run")),
    ADMIN_POST("/v1/admin/measurements/revoke", "measurement.revoke", NEED(TEXT, "image"),
               NEED(TEXT, "version"), MAY(TEXT, "reason"), MAY(BOOL, "dry_run")),
    ADMIN_POST("/v1/admin/measurements/discard", "measurement.discard", NEED(TEXT, "image"),
               NEED(TEXT, "version"), MAY(TEXT, "reason")),
    ADMIN_GET("/v1/admin/sealing-key", "sealing-key", NONE),
    ADMIN_POST("/v1/admin/put-challenges", "secret.put-challenge", NEED(TEXT, "name")),
    ADMIN_POST("/v1/admin/secrets", "secret.put", NEED(TEXT, "name"), NEED(UINT, "version"),
               NEED(BYTES, "challenge"), NEED(BYTES, "enc"), NEED(BYTES, "ciphertext")),
    ADMIN_GET("/v1/admin/secrets", "secret.list", MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_POST("/v1/admin/grants", "grant.add", NEED(TEXT, "secret"), MAY(TEXT, "image"),
               MAY(TEXT, "measurement"), MAY(BYTES, "role_pcr3"), MAY(BYTES, "instance_pcr4"),
               MAY(BYTES, "signer_pcr8"), MAY(BYTES, "signer_pcr1"), MAY(TEXT, "region"),
               MAY(BYTES, "application"), MAY(TEXT, "versions"), MAY(UINT, "quota"),
               MAY(TEXT, "not_before"), MAY(TEXT, "not_after"), MAY(BOOL, "registered"),
               MAY(TEXT_MAP, "accepted")),
    ADMIN_GET("/v1/admin/grants", "grant.list", MAY(TEXT, "secret"), MAY(TEXT, "image"),
              MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_POST("/v1/admin/grants/remove", "grant.remove", NEED(UINT, "id")),
    ADMIN_GET("/v1/admin/audit", "audit.list", MAY(TEXT, "request"), MAY(TEXT, "event"),
              MAY(UINT, "from"), MAY(UINT, "limit")),
    ADMIN_GET("/v1/admin/audit/export", "audit.export", MAY(UINT, "from"), MAY(UINT, "limit")),
    ADMIN_GET("/v1/admin/issuers", "issuer.show", NONE),
    ADMIN_GET("/v1/admin/receipt-key", "issuer.receipt-key", NONE),
    ADMIN_POST("/v1/admin/delegations", "issuer.install", NEED(BYTES, "delegation")),
    ADMIN_POST("/v1/admin/explain", "explain", MAY(BYTES, "attestation_document"),
               MAY(TEXT, "secrets"), MAY(TEXT, "at"), MAY(TEXT, "request")),
    ADMIN_POST("/v1/admin/revocations", "revocation.add", MAY(TEXT, "instance_id"),
               MAY(BYTES, "issuer"), MAY(TEXT, "serial"), NEED(TEXT, "reason")),
    ADMIN_GET("/v1/admin/revocations", "revocation.list", MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_POST("/v1/admin/revocations/remove", "revocation.remove", NEED(UINT, "id"),
               NEED(TEXT, "reason")),
    ADMIN_POST("/v1/admin/persons", "person.add", NEED(TEXT, "name")),
    ADMIN_GET("/v1/admin/persons", "person.list", MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_POST("/v1/admin/persons/remove", "person.remove", NEED(TEXT, "name")),
    ADMIN_POST("/v1/admin/tokens", "token.create", NEED(TEXT, "person"), NEED(BYTES, "hash"),
               NEED(TEXT, "rights"), MAY(TEXT, "images"), MAY(TEXT, "expires"), MAY(TEXT, "label")),
    ADMIN_GET("/v1/admin/tokens", "token.list", MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_POST("/v1/admin/tokens/revoke", "token.revoke", NEED(UINT, "id")),
    ADMIN_POST("/v1/admin/signers", "signer.add", NEED(TEXT, "person"), NEED(BYTES, "key"),
               NEED(TEXT, "images"), MAY(TEXT, "label")),
    ADMIN_GET("/v1/admin/signers", "signer.list", MAY(UINT, "after"), MAY(UINT, "limit")),
    ADMIN_POST("/v1/admin/signers/remove", "signer.remove", NEED(UINT, "id")),
    ADMIN_POST("/v1/admin/registrations", "registration.submit", NEED(BYTES, "file"),
               NEED(BYTES, "signature")),
};
const size_t routes_count = ARRAY_LEN(routes);

static bool reachable(const struct route *route, struct bytes path, enum front_audience audience)
{
    return (route->audiences & audience) != 0 && bytes_equal_text(path, route->path);
}

enum err routes_find(const char *method, struct bytes path, enum front_audience audience,
                     const struct route **out, char allow[static 32], struct fault *fault)
{
    char known[32] = "";
    size_t used = 0;
    for (size_t i = 0; i < routes_count; i++) {
        if (!reachable(&routes[i], path, audience))
            continue;
        if (strcmp(method, routes[i].method) == 0) {
            *out = &routes[i];
            return ERR_OK;
        }
        const int n = snprintf(known + used, sizeof known - used, "%s%s", used == 0 ? "" : ", ",
                               routes[i].method);
        used += n > 0 && (size_t)n < sizeof known - used ? (size_t)n : 0;
    }
    if (used == 0)
        FAIL(fault, ERR_NO_ROUTE, "this listener has no such path");
    memcpy(allow, known, sizeof known);
    FAIL(fault, ERR_METHOD, "this path takes %s", known);
}

static void message_free(struct buf *message)
{
    OPENSSL_cleanse(message->ptr, message->cap);
    buf_free(message);
}

/* More than the message's frame, its names and the token take besides what came. */
#define MESSAGE_FRAME 2048

enum err route_ask(struct route_call *call, struct warden_request *request, struct buf *body,
                   struct fault *fault)
{
    CLEANUP(message_free) struct buf message = {0};
    CLEANUP(buf_free) struct buf answer = {0};
    CLEANUP(warden_reply_free) struct warden_reply reply = {.fault = FAULT_NONE};
    snprintf(request->request_id, sizeof request->request_id, "%s", call->request_id);
    snprintf(request->peer, sizeof request->peer, "%s", call->peer);
    /* All at once: a buffer that grows leaves copies of the token behind. */
    TRY(buf_reserve(&message, call->body.len + call->query.len + MESSAGE_FRAME));
    TRY(warden_request_append(request, &message));
    call->asked = true;
    TRY(warden_handle(call->warden, bytes_of_buf(&message), &answer));
    if (warden_reply_parse(bytes_of_buf(&answer), &reply, fault) != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", ""), ERR_INTERNAL,
             "the warden's reply is unreadable");
    if (reply.fault.code != ERR_OK) {
        *fault = reply.fault;
        return reply.fault.code;
    }
    return buf_append(body, bytes_of_buf(&reply.body));
}

enum err route_health(struct route_call *call, struct buf *body, struct fault *fault)
{
    if (call->stopping)
        FAIL(fault, ERR_BUSY, "the server is stopping");
    return buf_append_text(body, "{\"status\":\"ok\"}");
}
