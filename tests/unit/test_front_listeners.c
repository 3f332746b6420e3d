/* Listeners: addresses, Unix sockets and their files, TLS. */
#include "front_fixture.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>

#include "verifier/front/listener.h"

#define HEALTH "GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static struct setup setup;

static void ck_start_fails(enum err code, const char *detail)
{
    struct fault fault = FAULT_NONE;
    struct front *front = NULL;
    ck_err(front_start(&setup.options, &setup.warden, &front, &fault), code);
    ck_assert_ptr_null(front);
    ck_assert_int_eq(fault.code, code);
    ck_assert_msg(strstr(fault.detail, detail) != NULL, "%s", fault.detail);
}

/* --- Addresses --- */

START_TEST(valid_address)
{
    static const char *const addresses[] = {"127.0.0.1:0", "[127.0.0.1]:0", "localhost:0",
                                            "[::1]:0", "0.0.0.0:0"};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct listener l = {.fd = -1};
        struct fault fault = FAULT_NONE;
        const enum err err = listener_open(addresses[i], &l, &fault);
        /* A machine may have no IPv6. */
        ck_assert_msg(err == ERR_OK || strchr(addresses[i], '[') != NULL, "%s: %s", addresses[i],
                      fault.detail);
        if (err == ERR_OK)
            ck_assert_uint_ne(l.port, 0);
        listener_close(&l);
    }
}
END_TEST

START_TEST(junk_address)
{
    static const char *const addresses[] = {
        "",
        "8443",
        ":8443",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:08443",
        "127.0.0.1:+80",
        "127.0.0.1:84x",
        "127.0.0.1:-1",
        "::1:8443",
        "[]:8443",
        "unix:",
        "unix:relative.sock",
        "127.0.0.1:00008443",
        "256.0.0.1:8443",
    };
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct listener l = {.fd = -1};
        struct fault fault = FAULT_NONE;
        ck_err(listener_open(addresses[i], &l, &fault), ERR_CONFIG);
        ck_assert_str_eq(fault.field, addresses[i]);
        ck_assert_int_eq(l.fd, -1);
    }
}
END_TEST

START_TEST(long_address)
{
    char path[160] = "unix:/";
    struct listener l = {.fd = -1};
    memset(path + 6, 'x', 120);
    ck_err(listener_open(path, &l, NULL), ERR_CONFIG);
}
END_TEST

START_TEST(wrong_address_in_use)
{
    struct listener first = {.fd = -1};
    struct listener second = {.fd = -1};
    char address[32];
    ck_ok(listener_open("127.0.0.1:0", &first, NULL));
    snprintf(address, sizeof address, "127.0.0.1:%u", first.port);
    ck_err(listener_open(address, &second, NULL), ERR_BUSY);
    listener_close(&first);
    ck_ok(listener_open(address, &second, NULL));
    listener_close(&second);
}
END_TEST

/* --- Options --- */

START_TEST(wrong_options)
{
    const struct front_options good = FRONT_OPTIONS_DEFAULT;
    setup_init(&setup);
    const struct front_options two = setup.options;
    setup.options.listener_count = 0;
    ck_start_fails(ERR_CONFIG, "listeners");
    setup.options = two;
    setup.options.threads = 1;
    ck_start_fails(ERR_CONFIG, "threads");
    setup.options = two;
    setup.options.header_timeout_ms = 0;
    ck_start_fails(ERR_CONFIG, "timeout");
    setup.options = two;
    setup.options.listener[0].audience = (enum front_audience)3;
    ck_start_fails(ERR_CONFIG, "either public or admin");
    setup.options = two;
    setup.options.listener[0].audience = FRONT_ADMIN;
    ck_start_fails(ERR_CONFIG, "in the clear");
    setup.options = two;
    setup.options.listener[0].tls_key = "/x";
    ck_start_fails(ERR_CONFIG, "together");
    setup.options = two;
    setup.options.listener[1].tls_key = "/x";
    setup.options.listener[1].tls_certificate = "/x";
    ck_start_fails(ERR_CONFIG, "no TLS");
    ck_assert_uint_ge(good.threads, 2);
    setup_stop(&setup);
}
END_TEST

/* What fails at the second listener closes the first. */
START_TEST(wrong_second)
{
    struct stat st;
    setup_init(&setup);
    setup.options.listener[0].address = setup.admin;
    setup.options.listener[1] = (struct front_listener){FRONT_PUBLIC, "256.0.0.1:1", NULL, NULL};
    ck_start_fails(ERR_CONFIG, "256.0.0.1");
    ck_assert_int_ne(lstat(setup.admin + 5, &st), 0);
    setup_stop(&setup);
}
END_TEST

/* --- Unix sockets --- */

START_TEST(valid_unix_mode)
{
    struct stat st;
    umask(0);
    setup_init(&setup);
    setup_start(&setup);
    ck_assert_int_eq(lstat(setup.admin + 5, &st), 0);
    ck_assert(S_ISSOCK(st.st_mode));
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_uint_eq(front_port(setup.front, 1), 0);
    ck_assert_uint_eq(umask(0), 0);
    setup_stop(&setup);
    ck_assert_int_ne(lstat(setup.admin + 5, &st), 0);
}
END_TEST

/* A socket left by a crash is replaced. */
START_TEST(valid_unix_stale)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    setup_init(&setup);
    strcpy(to.sun_path, setup.admin + 5);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    close(fd);
    setup_start(&setup);
    struct got got = exchange_on(dial_admin(&setup), HEALTH, strlen(HEALTH));
    ck_json(&got, "{\"status\":\"ok\"}");
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_unix_live)
{
    setup_init(&setup);
    setup_start(&setup);
    ck_start_fails(ERR_BUSY, "another program serves");
    struct got got = exchange_on(dial_admin(&setup), HEALTH, strlen(HEALTH));
    ck_json(&got, "{\"status\":\"ok\"}");
    got_free(&got);
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_unix_file)
{
    setup_init(&setup);
    FILE *file = fopen(setup.admin + 5, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    ck_start_fails(ERR_FILE, "is no socket");
    ck_assert_int_eq(unlink(setup.admin + 5), 0); /* it is still there */
    setup_stop(&setup);
}
END_TEST

/* A socket that another server has put there meanwhile is not ours to remove. */
START_TEST(valid_unix_replaced)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    setup_init(&setup);
    setup_start(&setup);
    strcpy(to.sun_path, setup.admin + 5);
    ck_assert_int_eq(unlink(to.sun_path), 0);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&to, sizeof to), 0);
    ck_ok(front_stop(setup.front, 1000));
    setup.front = NULL;
    ck_assert_int_eq(unlink(to.sun_path), 0);
    close(fd);
    setup_stop(&setup);
}
END_TEST

/* A client that has bound its own end to a path: its address is a long one. */
START_TEST(valid_unix_named_client)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct sockaddr_un own = {.sun_family = AF_UNIX};
    setup_init(&setup);
    setup_start(&setup);
    strcpy(to.sun_path, setup.admin + 5);
    snprintf(own.sun_path, sizeof own.sun_path, "%s/%070d", setup.dir, 1);
    const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&own, sizeof own), 0);
    ck_assert_int_eq(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    struct got got = exchange_on(fd, HEALTH, strlen(HEALTH));
    ck_json(&got, "{\"status\":\"ok\"}");
    got_free(&got);
    ck_assert_int_eq(unlink(own.sun_path), 0);
    setup_stop(&setup);
}
END_TEST

/* --- TLS --- */

struct pem {
    char certificate[80];
    char key[80];
};

/* A self-signed certificate for localhost, in the setup's folder. */
static struct pem make_pem(const char *name)
{
    struct pem pem;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    ck_assert(key != NULL && cert != NULL);
    X509_NAME *subject = X509_get_subject_name(cert);
    X509_EXTENSION *san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "DNS:localhost");
    ck_assert(X509_set_version(cert, X509_VERSION_3) == 1 &&
              ASN1_INTEGER_set(X509_get_serialNumber(cert), 7) == 1 &&
              X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                                         (const unsigned char *)"localhost", -1, -1, 0) == 1 &&
              X509_set_issuer_name(cert, subject) == 1 &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -7200) != NULL &&
              X509_gmtime_adj(X509_getm_notAfter(cert), 86400) != NULL &&
              X509_set_pubkey(cert, key) == 1 && san != NULL && X509_add_ext(cert, san, -1) == 1 &&
              X509_sign(cert, key, EVP_sha256()) > 0);
    X509_EXTENSION_free(san);
    snprintf(pem.certificate, sizeof pem.certificate, "%s/%s.crt", setup.dir, name);
    snprintf(pem.key, sizeof pem.key, "%s/%s.key", setup.dir, name);
    FILE *file = fopen(pem.certificate, "w");
    ck_assert(file != NULL && PEM_write_X509(file, cert) == 1 && fclose(file) == 0);
    file = fopen(pem.key, "w");
    ck_assert(file != NULL && PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1 &&
              fclose(file) == 0);
    X509_free(cert);
    EVP_PKEY_free(key);
    return pem;
}

static void remove_pem(const struct pem *pem)
{
    ck_assert_int_eq(unlink(pem->certificate), 0);
    ck_assert_int_eq(unlink(pem->key), 0);
}

/* The version that a client of exactly `version` gets, 0 where the server refuses. */
static int handshake(int version)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    ck_assert_ptr_nonnull(ctx);
    SSL_CTX_set_security_level(ctx, 0); /* so that this end would offer old versions */
    ck_assert(SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
              SSL_CTX_set_max_proto_version(ctx, version) == 1);
    SSL *ssl = SSL_new(ctx);
    const int fd = dial(&setup);
    ck_assert(ssl != NULL && SSL_set_fd(ssl, fd) == 1);
    const int got = SSL_connect(ssl) == 1 ? SSL_version(ssl) : 0;
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    close(fd);
    return got;
}

static void ck_tls_status(size_t listener, const struct pem *pem, const char *path,
                          const char *body, int status)
{
    struct http_target target;
    CLEANUP(http_answer_free) struct http_answer answer = {0};
    struct fault fault = FAULT_NONE;
    char url[64];
    snprintf(url, sizeof url, "https://localhost:%u", front_port(setup.front, listener));
    ck_ok(http_target_parse(url, &target, NULL));
    const struct http_request request = {
        .method = body[0] == '\0' ? "GET" : "POST",
        .path = path,
        .bearer = TOKEN_HEX,
        .body = bytes_of_text(body),
        .ca_file = pem->certificate,
        .timeout_ms = 5000,
        .answer_max = 10000,
    };
    const enum err err = http_client_send(&target, &request, &answer, &fault);
    ck_assert_msg(err == ERR_OK, "%s", fault.detail);
    ck_assert_int_eq(answer.status, status);
}

START_TEST(valid_tls)
{
    setup_init(&setup);
    const struct pem pem = make_pem("a");
    setup.options.listener[0].tls_certificate = pem.certificate;
    setup.options.listener[0].tls_key = pem.key;
    setup_start(&setup);
    ck_tls_status(0, &pem, "/v1/release",
                  "{\"attestation_document\":\"AQID\",\"secrets\":[{\"name\":\"a\"}]}", 200);
    ck_assert_int_eq(setup.warden.request.op, WARDEN_RELEASE);
    remove_pem(&pem);
    setup_stop(&setup);
}
END_TEST

/* Admins come over TCP too when asked for, and are not slowed down. */
START_TEST(valid_tls_admin)
{
    setup_init(&setup);
    const struct pem pem = make_pem("a");
    setup.options.rate_per_s = 1;
    setup.options.rate_burst = 1;
    setup.options.listener[1] =
        (struct front_listener){FRONT_ADMIN, "127.0.0.1:0", pem.certificate, pem.key};
    setup_start(&setup);
    for (int i = 0; i < 5; i++)
        ck_tls_status(1, &pem, "/v1/admin/status", "", 200);
    ck_assert(bytes_equal_text(setup.warden.request.operation, "status"));
    ck_assert_uint_eq(strncmp(setup.warden.request.peer, "127.0.0.1:", 10), 0);
    ck_tls_status(1, &pem, "/v1/release", "{}", 404);
    remove_pem(&pem);
    setup_stop(&setup);
}
END_TEST

START_TEST(wrong_tls_version)
{
    setup_init(&setup);
    const struct pem pem = make_pem("a");
    setup.options.listener[0].tls_certificate = pem.certificate;
    setup.options.listener[0].tls_key = pem.key;
    setup_start(&setup);
    ck_assert_int_eq(handshake(TLS1_3_VERSION), TLS1_3_VERSION);
    ck_assert_int_eq(handshake(TLS1_2_VERSION), TLS1_2_VERSION);
    ck_assert_int_eq(handshake(TLS1_1_VERSION), 0);
    ck_assert_int_eq(handshake(TLS1_VERSION), 0);
    remove_pem(&pem);
    setup_stop(&setup);
}
END_TEST

/* Plain HTTP to a TLS port, silence in the handshake: no answer, and an end. */
START_TEST(wrong_tls_client)
{
    CLEANUP(buf_free) struct buf text = {0};
    setup_init(&setup);
    setup.options.header_timeout_ms = 500;
    const struct pem pem = make_pem("a");
    setup.options.listener[0].tls_certificate = pem.certificate;
    setup.options.listener[0].tls_key = pem.key;
    setup_start(&setup);
    struct got got = exchange_raw(&setup, HEALTH);
    ck_assert_int_eq(got.status, 0);
    got_free(&got);
    const int64_t from_ms = now_ms();
    const int fd = dial(&setup);
    put_text(fd, "\x16\x03\x01");
    read_all(fd, &text);
    ck_assert_int_lt(now_ms() - from_ms, 3000);
    close(fd);
    remove_pem(&pem);
    setup_stop(&setup);
}
END_TEST

/* libmicrohttpd closes the socket of some failed starts and not of others: nothing may
 * be left open, and nothing closed twice. */
static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 256; fd++)
        count += fcntl(fd, F_GETFD) != -1;
    return count;
}

START_TEST(wrong_tls_files)
{
    setup_init(&setup);
    const struct pem a = make_pem("a");
    const struct pem b = make_pem("b");
    char absent[96];
    struct front_listener *l = &setup.options.listener[0];
    snprintf(absent, sizeof absent, "%s/absent", setup.dir);
    l->tls_certificate = absent;
    l->tls_key = a.key;
    ck_start_fails(ERR_FILE, "No such file");
    l->tls_certificate = a.certificate;
    l->tls_key = absent;
    ck_start_fails(ERR_FILE, "No such file");
    l->tls_key = setup.dir;
    ck_start_fails(ERR_FILE, "not to be read");
    const int before = open_descriptors();
    l->tls_key = b.key; /* of another certificate */
    ck_start_fails(ERR_FILE, "does not start with this certificate and key");
    l->tls_key = a.certificate; /* no key at all */
    ck_start_fails(ERR_FILE, "does not start with this certificate and key");
    ck_assert_int_eq(open_descriptors(), before);
    remove_pem(&a);
    remove_pem(&b);
    setup_stop(&setup);
}
END_TEST

UNIT_MAIN("front_listeners", valid_address, junk_address, long_address, wrong_address_in_use,
          wrong_options, wrong_second, valid_unix_mode, valid_unix_stale, wrong_unix_live,
          wrong_unix_file, valid_unix_replaced, valid_unix_named_client, valid_tls, valid_tls_admin,
          wrong_tls_version, wrong_tls_client, wrong_tls_files)
