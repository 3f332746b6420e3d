/* The HTTP client over TLS, with certificates made here. */
#include "http_peer.h"

#include <openssl/x509v3.h>
#include <signal.h>

struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static void identity_free(struct identity *id)
{
    X509_free(id->cert);
    EVP_PKEY_free(id->key);
}

/* `san` as openssl.cnf writes it, or NULL for a CA; `issuer` NULL: self-signed. */
static struct identity identity_new(const char *cn, const char *san, const struct identity *issuer,
                                    long until_s)
{
    struct identity id = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
    const struct identity *by = issuer != NULL ? issuer : &id;
    ck_assert(id.key != NULL && id.cert != NULL);
    X509_NAME *name = X509_get_subject_name(id.cert);
    ck_assert(X509_set_version(id.cert, X509_VERSION_3) == 1 &&
              ASN1_INTEGER_set(X509_get_serialNumber(id.cert), 7) == 1 &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1,
                                         -1, 0) == 1 &&
              X509_set_issuer_name(id.cert, X509_get_subject_name(by->cert)) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(id.cert), -7200) != NULL &&
              X509_gmtime_adj(X509_getm_notAfter(id.cert), until_s) != NULL &&
              X509_set_pubkey(id.cert, id.key) == 1);
    X509_EXTENSION *ext =
        san != NULL ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san)
                    : X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
    ck_assert(ext != NULL && X509_add_ext(id.cert, ext, -1) == 1);
    X509_EXTENSION_free(ext);
    ck_assert_int_gt(X509_sign(id.cert, by->key, EVP_sha256()), 0);
    return id;
}

struct tls_case {
    struct identity ca;
    struct server server;
    char ca_file[40];
};

static void write_ca(struct tls_case *c, const struct identity *ca)
{
    strcpy(c->ca_file, "/tmp/vouchsafe-ca-XXXXXX");
    FILE *f = fdopen(mkstemp(c->ca_file), "w");
    ck_assert(f != NULL && PEM_write_X509(f, ca->cert) == 1);
    ck_assert_int_eq(fclose(f), 0);
}

/* A server whose certificate says `san`, under a CA that c->ca_file holds; without a host at
 * a Unix socket. */
static void tls_start(struct tls_case *c, const char *host, const char *san, long until_s)
{
    c->ca = identity_new("Test CA", NULL, NULL, 86400);
    write_ca(c, &c->ca);
    struct identity leaf = identity_new("server", san, &c->ca, until_s);
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    ck_assert(ctx != NULL && SSL_CTX_use_certificate(ctx, leaf.cert) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, leaf.key) == 1);
    identity_free(&leaf);
    c->server.tls = ctx;
    /* SSL_write of the server has no MSG_NOSIGNAL; the client must not need this. */
    sigset_t pipe;
    sigset_t old;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &old);
    if (host == NULL)
        server_start_unix(&c->server);
    else
        server_start(&c->server, host);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void tls_stop(struct tls_case *c)
{
    server_stop(&c->server);
    identity_free(&c->ca);
    unlink(c->ca_file);
}

START_TEST(valid_tls)
{
    struct tls_case c = {.server = {.answers = {OK2, OK2}}};
    tls_start(&c, "localhost", "DNS:localhost", 3600);
    struct fault fault = FAULT_NONE;
    struct http_connection *connection = open_to(&c.server, c.ca_file);
    ck_ok(send_on(connection, &fault));
    ck_ok(send_on(connection, &fault));
    sleep_ms(50);
    ck_err(send_on(connection, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "has closed the connection");
    http_connection_close(connection);
    tls_stop(&c);
    ck_assert_ptr_nonnull(strstr(c.server.got[0], "\r\n\r\n[1]"));
}
END_TEST

START_TEST(valid_tls_address)
{
    struct tls_case c = {.server = {.answers = {OK2}, .dribble_ms = 1}};
    tls_start(&c, "127.0.0.1", "IP:127.0.0.1", 3600);
    struct http_request request = request_of();
    struct fault fault;
    request.ca_file = c.ca_file;
    ck_ok(send_to(&c.server, &request, &fault));
    tls_stop(&c);
}
END_TEST

/* The name that is expected, not the place that is connected to. */
START_TEST(valid_tls_over_unix)
{
    struct tls_case c = {.server = {.answers = {OK2}, .expect = "verifier.example"}};
    tls_start(&c, NULL, "DNS:verifier.example", 3600);
    struct http_request request = request_of();
    struct fault fault;
    request.ca_file = c.ca_file;
    ck_ok(send_to(&c.server, &request, &fault));
    tls_stop(&c);
    ck_assert_ptr_nonnull(strstr(c.server.got[0], "\r\nHost: verifier.example\r\n"));
}
END_TEST

START_TEST(valid_tls_other_name)
{
    struct tls_case c = {.server = {.answers = {OK2}, .expect = "verifier.example"}};
    tls_start(&c, "127.0.0.1", "DNS:verifier.example", 3600);
    struct http_request request = request_of();
    struct fault fault;
    request.ca_file = c.ca_file;
    ck_ok(send_to(&c.server, &request, &fault));
    tls_stop(&c);
    ck_assert_ptr_nonnull(strstr(c.server.got[0], "\r\nHost: verifier.example:"));
}
END_TEST

static void check_refused(struct tls_case *c, const char *detail)
{
    struct http_request request = request_of();
    struct fault fault;
    request.ca_file = c->ca_file;
    request.bearer = "secret";
    ck_err(send_to(&c->server, &request, &fault), ERR_UNREACHABLE);
    ck_detail(fault, detail);
    tls_stop(c);
    ck_assert_str_eq(c->server.got[0], ""); /* the token never left */
}

START_TEST(wrong_tls_name)
{
    static const char *const sans[] = {"DNS:other.example", "DNS:*", "DNS:localhost.example",
                                       "IP:127.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(sans); i++) {
        struct tls_case c = {.server = {.answers = {OK2}}};
        tls_start(&c, "localhost", sans[i], 3600);
        check_refused(&c, "ostname mismatch");
    }
}
END_TEST

START_TEST(wrong_tls_over_unix)
{
    static const char *const sans[] = {"DNS:other.example", "DNS:localhost", "IP:127.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(sans); i++) {
        struct tls_case c = {.server = {.answers = {OK2}, .expect = "verifier.example"}};
        tls_start(&c, NULL, sans[i], 3600);
        check_refused(&c, "ostname mismatch");
    }
    struct tls_case c = {.server = {.answers = {OK2}, .expect = "verifier.example"}};
    tls_start(&c, NULL, "DNS:verifier.example", 3600);
    struct identity other = identity_new("Other CA", NULL, NULL, 3600);
    unlink(c.ca_file);
    write_ca(&c, &other);
    identity_free(&other);
    check_refused(&c, "unable to get local issuer certificate");
}
END_TEST

/* https://HOST with another name: the URL's own counts no more. */
START_TEST(wrong_tls_other_name)
{
    struct tls_case c = {.server = {.answers = {OK2}, .expect = "verifier.example"}};
    tls_start(&c, "localhost", "DNS:localhost", 3600);
    check_refused(&c, "ostname mismatch");
}
END_TEST

START_TEST(wrong_tls_address)
{
    struct tls_case c = {.server = {.answers = {OK2}}};
    tls_start(&c, "127.0.0.1", "IP:127.0.0.2, DNS:127.0.0.1", 3600);
    check_refused(&c, "IP address mismatch");
}
END_TEST

START_TEST(wrong_tls_ca)
{
    struct tls_case c = {.server = {.answers = {OK2}}};
    tls_start(&c, "localhost", "DNS:localhost", 3600);
    struct identity other = identity_new("Other CA", NULL, NULL, 3600);
    unlink(c.ca_file);
    write_ca(&c, &other);
    identity_free(&other);
    check_refused(&c, "unable to get local issuer certificate");
}
END_TEST

/* Without a CA file the system's count, and this CA is not among them. */
START_TEST(no_tls_ca)
{
    struct tls_case c = {.server = {.answers = {OK2}}};
    tls_start(&c, "localhost", "DNS:localhost", 3600);
    struct http_request request = request_of();
    struct fault fault;
    ck_err(send_to(&c.server, &request, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "certificate was refused");
    request.ca_file = "/nonexistent/ca.pem";
    ck_err(send_to(&c.server, &request, &fault), ERR_FILE);
    ck_detail(fault, "/nonexistent/ca.pem");
    tls_stop(&c);
}
END_TEST

START_TEST(wrong_tls_expired)
{
    struct tls_case c = {.server = {.answers = {OK2}}};
    tls_start(&c, "localhost", "DNS:localhost", -3600);
    check_refused(&c, "expired");
}
END_TEST

START_TEST(wrong_tls_version)
{
    struct tls_case c = {.server = {.answers = {OK2}}};
    tls_start(&c, "localhost", "DNS:localhost", 3600);
    SSL_CTX_set_security_level(c.server.tls, 0);
    ck_assert_int_eq(SSL_CTX_set_min_proto_version(c.server.tls, TLS1_VERSION), 1);
    ck_assert_int_eq(SSL_CTX_set_max_proto_version(c.server.tls, TLS1_1_VERSION), 1);
    check_refused(&c, "protocol version");
}
END_TEST

START_TEST(no_tls)
{
    struct server s = {.answers = {"HTTP/1.1 400 Bad\r\n\r\n"}, .deaf = true};
    server_start(&s, "127.0.0.1");
    memmove(s.url + 5, s.url + 4, strlen(s.url + 4) + 1);
    memcpy(s.url, "https", 5);
    struct http_request request = request_of();
    struct fault fault;
    ck_err(send_to(&s, &request, &fault), ERR_UNREACHABLE);
    ck_detail(fault, "the TLS handshake failed");
    server_stop(&s);
}
END_TEST

/* A server that is no TLS server and says nothing: the handshake is under the deadline. */
START_TEST(slow_handshake)
{
    struct server s = {.answers = {""}, .delay_ms = 1200, .deaf = true};
    server_start(&s, "127.0.0.1");
    memmove(s.url + 5, s.url + 4, strlen(s.url + 4) + 1);
    memcpy(s.url, "https", 5);
    check_timeout(&s, NULL);
    server_stop(&s);
}
END_TEST

START_TEST(early_close_tls)
{
    struct tls_case c = {.server = {.answers = {NULL}}};
    tls_start(&c, "127.0.0.1", "IP:127.0.0.1", 3600);
    struct http_request request = request_of();
    struct fault fault;
    request.ca_file = c.ca_file;
    uint8_t *body = large_body(&request);
    ck_err(send_to(&c.server, &request, &fault), ERR_UNREACHABLE);
    free(body);
    check_no_signal(&c.server, c.ca_file);
    tls_stop(&c);
}
END_TEST

UNIT_MAIN("http_tls", valid_tls, valid_tls_address, valid_tls_over_unix, valid_tls_other_name,
          wrong_tls_name, wrong_tls_over_unix, wrong_tls_other_name, wrong_tls_address,
          wrong_tls_ca, no_tls_ca, wrong_tls_expired, wrong_tls_version, no_tls, slow_handshake,
          early_close_tls)
