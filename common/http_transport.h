/* A non-blocking byte stream under one deadline: TCP, Unix socket or vsock, and TLS over any.
 * For http_client.c, and for what is no HTTP: the journal of the enclave's agent.
 *
 * http_transport.c owns addresses, connecting, waiting and plain sockets;
 * http_tls.c, behind the functions at the end, owns everything of OpenSSL's. */
#ifndef VOUCHSAFE_HTTP_TRANSPORT_H
#define VOUCHSAFE_HTTP_TRANSPORT_H

#include "http_client.h"

struct http_tls;

struct http_transport {
    int fd;
    struct http_tls *tls; /* NULL: plain */
    /* poll events that the last read and the last write still wait for */
    short read_wants;
    short write_wants;
    int error; /* errno of the failure behind HTTP_IO_CLOSED; 0: closed by the peer */
};

enum http_io {
    HTTP_IO_DONE,   /* at least one byte moved */
    HTTP_IO_WAIT,   /* nothing moved; http_transport_wait says when to try again */
    HTTP_IO_CLOSED, /* never again in this direction */
};

/* An absolute moment of CLOCK_MONOTONIC, in milliseconds. */
MUST_CHECK enum err http_deadline_after(int64_t timeout_ms, int64_t *deadline_ms,
                                        struct fault *fault);
/* ERR_TIMEOUT once the moment has come. */
MUST_CHECK enum err http_deadline_check(int64_t deadline_ms, struct fault *fault);

/* Connects and, for TLS, shakes hands; errors as http_client_send's.  An address
 * that does not answer gets a fair share of the time, not all of it. */
MUST_CHECK enum err http_transport_open(const struct http_target *target, const char *ca_file,
                                        int64_t deadline_ms, struct http_transport **out,
                                        struct fault *fault);
enum http_io http_transport_write(struct http_transport *transport, struct bytes from,
                                  size_t *moved);
enum http_io http_transport_read(struct http_transport *transport, uint8_t *to, size_t len,
                                 size_t *moved);
/* Until what the last read or write waits for may have come; ERR_TIMEOUT. */
MUST_CHECK enum err http_transport_wait(struct http_transport *transport, int64_t deadline_ms,
                                        struct fault *fault);
void http_transport_free(struct http_transport *transport);
CLEANUP_PTR(struct http_transport, http_transport_free, http_transport_freep)

/* Plain socket, SIGPIPE never raised; what http_tls.c builds on too. */
enum http_io http_socket_write(struct http_transport *transport, struct bytes from, size_t *moved);
enum http_io http_socket_read(struct http_transport *transport, uint8_t *to, size_t len,
                              size_t *moved);

/* The TLS half: sets transport->tls after a whole handshake with a verified peer. */
MUST_CHECK enum err http_tls_connect(struct http_transport *transport,
                                     const struct http_target *target, const char *ca_file,
                                     int64_t deadline_ms, struct fault *fault);
enum http_io http_tls_write(struct http_transport *transport, struct bytes from, size_t *moved);
enum http_io http_tls_read(struct http_transport *transport, uint8_t *to, size_t len,
                           size_t *moved);
/* Says goodbye, without waiting, where the session is whole; accepts NULL. */
void http_tls_free(struct http_tls *tls);

#endif
