/* The one header between front and warden: messages, as bytes.
 *
 * Front parses strangers' HTTP and JSON and holds no keys; the warden decides and
 * holds them all.  What crosses is one CBOR message each way, so that the two can be
 * two processes (DESIGN section 2).  Both sides read strictly: the warden takes front
 * for a stranger.  Messages are only ever exchanged between the two halves of one
 * build: their shape may change freely. */
#ifndef VOUCHSAFE_WARDEN_MESSAGE_H
#define VOUCHSAFE_WARDEN_MESSAGE_H

#include "common/protocol.h"

#define WARDEN_PEER_MAX   96 /* "203.0.113.7:41234", "unix:uid=0" */
#define WARDEN_PARAMS_MAX 24
#define WARDEN_TOKEN_LEN  32

enum warden_op {
    WARDEN_CHALLENGE = 1, /* E1 */
    WARDEN_RELEASE = 2,   /* E3 */
    WARDEN_ADMIN = 3,     /* an operation by name, with a token */
};

/* Parameters of an admin operation: named, typed, flat. */
enum param_type { PARAM_TEXT, PARAM_UINT, PARAM_BOOL, PARAM_BYTES, PARAM_TEXT_MAP };
struct param {
    struct bytes name;
    enum param_type type;
    uint64_t uint;     /* PARAM_UINT; PARAM_BOOL: 0 or 1 */
    struct bytes data; /* text, bytes; for a text map its CBOR (text -> text) */
};

struct warden_request {
    enum warden_op op;
    char request_id[PROTOCOL_REQUEST_ID_MAX + 1];
    char peer[WARDEN_PEER_MAX + 1];
    /* WARDEN_RELEASE */
    struct bytes document;
    struct wanted_list wanted;
    /* WARDEN_ADMIN */
    struct bytes operation; /* "measurement.add" */
    struct bytes token;     /* WARDEN_TOKEN_LEN bytes, or empty */
    size_t param_count;
    struct param param[WARDEN_PARAMS_MAX];
};
MUST_CHECK enum err warden_request_append(const struct warden_request *request,
                                          struct buf *message);
/* Views in `out` point into `message`. */
MUST_CHECK enum err warden_request_parse(struct bytes message, struct warden_request *out,
                                         struct fault *fault);

/* ERR_OK with a JSON body, or a fault. */
struct warden_reply {
    struct fault fault;
    struct buf body;
};
void warden_reply_free(struct warden_reply *reply);
MUST_CHECK enum err warden_reply_append(const struct warden_reply *reply, struct buf *message);
MUST_CHECK enum err warden_reply_parse(struct bytes message, struct warden_reply *out,
                                       struct fault *fault);

/* The only door.  Always writes a reply message; ERR_NO_MEMORY alone where not even
 * that was possible.  Thread-safe. */
struct warden;
MUST_CHECK enum err warden_handle(struct warden *warden, struct bytes message, struct buf *reply);

#endif
