#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdlib.h>

#include "http_transport.h"

CLEANUP_PTR(SSL_CTX, SSL_CTX_free, SSL_CTX_freep)

struct http_tls {
    BIO_METHOD *method;
    SSL *ssl;
    bool whole; /* handshake done and no fatal error since: may say goodbye */
};

/* OpenSSL's socket BIO writes without MSG_NOSIGNAL: a peer that closes early would
 * kill the process.  This one goes through http_socket_write instead. */
static int bio_write(BIO *bio, const char *from, size_t len, size_t *written)
{
    BIO_clear_retry_flags(bio);
    const enum http_io io = http_socket_write(BIO_get_data(bio), bytes_of(from, len), written);
    if (io == HTTP_IO_WAIT)
        BIO_set_retry_write(bio);
    return io == HTTP_IO_DONE;
}

static int bio_read(BIO *bio, char *to, size_t len, size_t *got)
{
    BIO_clear_retry_flags(bio);
    const enum http_io io = http_socket_read(BIO_get_data(bio), (uint8_t *)to, len, got);
    if (io == HTTP_IO_WAIT)
        BIO_set_retry_read(bio);
    return io == HTTP_IO_DONE;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/* What OpenSSL says last, for people; its queue is empty afterwards. */
static const char *last_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    ERR_clear_error();
    return reason != NULL ? reason : "the connection closed";
}

static enum err context_new(const char *ca_file, SSL_CTX **out, struct fault *fault)
{
    static const unsigned char alpn[] = "\x08http/1.1";
    CLEANUP(SSL_CTX_freep) SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_alpn_protos(ctx, alpn, sizeof alpn - 1) != 0)
        FAIL(fault, ERR_CRYPTO, "TLS: %s", last_reason());
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (ca_file == NULL && SSL_CTX_set_default_verify_paths(ctx) != 1)
        FAIL(fault, ERR_CRYPTO, "the system's CA certificates: %s", last_reason());
    if (ca_file != NULL && SSL_CTX_load_verify_file(ctx, ca_file) != 1)
        FAIL(fault, ERR_FILE, "no CA certificates could be read from %s: %s", ca_file,
             last_reason());
    *out = TAKE(ctx);
    return ERR_OK;
}

/* The certificate must name whom the target expects: RFC 6125; addresses as iPAddress, and
 * without SNI (RFC 6066 section 3). */
static bool expect_name(SSL *ssl, char *name)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    struct in6_addr scratch;
    if (inet_pton(AF_INET, name, &scratch) == 1 || inet_pton(AF_INET6, name, &scratch) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, name, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* Attaches `ssl` to the transport's socket. */
static bool attach(struct http_transport *transport, struct http_tls *tls)
{
    tls->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "http socket");
    if (tls->method == NULL || BIO_meth_set_write_ex(tls->method, bio_write) != 1 ||
        BIO_meth_set_read_ex(tls->method, bio_read) != 1 ||
        BIO_meth_set_ctrl(tls->method, bio_ctrl) != 1)
        return false;
    BIO *bio = BIO_new(tls->method);
    if (bio == NULL)
        return false;
    BIO_set_data(bio, transport);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

/* What an operation that did not succeed waits for, or that it never will. */
static enum http_io not_done(struct http_transport *t, int rc, short *wants)
{
    switch (SSL_get_error(t->tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        *wants = POLLIN;
        return HTTP_IO_WAIT;
    case SSL_ERROR_WANT_WRITE:
        *wants = POLLOUT;
        return HTTP_IO_WAIT;
    case SSL_ERROR_ZERO_RETURN:
        t->error = 0;
        return HTTP_IO_CLOSED;
    default:
        /* t->error is what bio_read or bio_write left; 0 for a broken record. */
        t->tls->whole = false;
        return HTTP_IO_CLOSED;
    }
}

static struct fault *tls_fault(struct fault *fault)
{
    return fault_at(fault, FAULT_NO_OFFSET, "%s", HTTP_FIELD_TLS);
}

static enum err shake_hands(struct http_transport *t, int64_t deadline_ms, struct fault *fault)
{
    for (;;) {
        ERR_clear_error();
        const int rc = SSL_connect(t->tls->ssl);
        if (rc == 1)
            return ERR_OK;
        t->read_wants = t->write_wants = 0;
        if (not_done(t, rc, &t->read_wants) == HTTP_IO_CLOSED)
            break;
        TRY(http_transport_wait(t, deadline_ms, fault));
    }
    const long verified = SSL_get_verify_result(t->tls->ssl);
    if (verified != X509_V_OK) {
        ERR_clear_error();
        FAIL(tls_fault(fault), ERR_UNREACHABLE, "the server's certificate was refused: %s",
             X509_verify_cert_error_string(verified));
    }
    FAIL(tls_fault(fault), ERR_UNREACHABLE, "the TLS handshake failed: %s",
         t->error != 0 ? strerror(t->error) : last_reason());
}

enum err http_tls_connect(struct http_transport *transport, const struct http_target *target,
                          const char *ca_file, int64_t deadline_ms, struct fault *fault)
{
    CLEANUP(SSL_CTX_freep) SSL_CTX *ctx = NULL;
    TRY(context_new(ca_file, &ctx, fault));
    struct http_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL)
        return ERR_NO_MEMORY;
    char name[sizeof target->tls_name]; /* OpenSSL's macro for SNI takes no const */
    memcpy(name, target->tls_name, sizeof name);
    transport->tls = tls; /* from here on the transport's owner frees it */
    tls->ssl = SSL_new(ctx);
    if (tls->ssl == NULL || !attach(transport, tls) || !expect_name(tls->ssl, name))
        FAIL(fault, ERR_CRYPTO, "TLS: %s", last_reason());
    TRY(shake_hands(transport, deadline_ms, fault));
    /* SSL_VERIFY_PEER has seen to both already; nothing is sent without them. */
    if (SSL_get0_peer_certificate(tls->ssl) == NULL || SSL_get_verify_result(tls->ssl) != X509_V_OK)
        FAIL(tls_fault(fault), ERR_UNREACHABLE, "the server's certificate was not verified");
    tls->whole = true;
    return ERR_OK;
}

enum http_io http_tls_write(struct http_transport *transport, struct bytes from, size_t *moved)
{
    if (!transport->tls->whole)
        return HTTP_IO_CLOSED;
    ERR_clear_error();
    if (SSL_write_ex(transport->tls->ssl, from.ptr, from.len, moved) == 1)
        return HTTP_IO_DONE;
    return not_done(transport, 0, &transport->write_wants);
}

enum http_io http_tls_read(struct http_transport *transport, uint8_t *to, size_t len, size_t *moved)
{
    if (!transport->tls->whole)
        return HTTP_IO_CLOSED;
    ERR_clear_error();
    if (SSL_read_ex(transport->tls->ssl, to, len, moved) == 1)
        return HTTP_IO_DONE;
    return not_done(transport, 0, &transport->read_wants);
}

void http_tls_free(struct http_tls *tls)
{
    if (tls == NULL)
        return;
    if (tls->whole)
        (void)SSL_shutdown(tls->ssl); /* close_notify, as far as the socket takes it */
    SSL_free(tls->ssl);
    BIO_meth_free(tls->method);
    ERR_clear_error();
    free(tls);
}
