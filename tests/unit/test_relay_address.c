/* Where the relay listens and connects to. */
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <linux/vm_sockets.h>

#include "enclave-agent/relay/address.h"

START_TEST(valid_listen)
{
    struct address a;
    const char *const vsock[] = {"vsock:8443", "8443"};
    for (size_t i = 0; i < ARRAY_LEN(vsock); i++) {
        struct sockaddr_vm vm;
        ck_ok(address_parse_listen(vsock[i], &a, NULL));
        memcpy(&vm, &a.sockaddr, sizeof vm);
        ck_assert(a.len == sizeof vm && vm.svm_family == AF_VSOCK && vm.svm_port == 8443 &&
                  vm.svm_cid == VMADDR_CID_ANY);
    }
    struct sockaddr_un un;
    ck_ok(address_parse_listen("unix:/run/a b", &a, NULL));
    memcpy(&un, &a.sockaddr, sizeof un);
    ck_assert(un.sun_family == AF_UNIX && strcmp(un.sun_path, "/run/a b") == 0);
    struct sockaddr_in in;
    ck_ok(address_parse_listen("127.0.0.1:65535", &a, NULL));
    memcpy(&in, &a.sockaddr, sizeof in);
    ck_assert(in.sin_family == AF_INET && ntohs(in.sin_port) == 65535 &&
              ntohl(in.sin_addr.s_addr) == INADDR_LOOPBACK);
}
END_TEST

START_TEST(junk_listen)
{
    static const struct {
        const char *text;
        const char *detail;
    } rows[] = {
        {"", "not vsock:PORT"},
        {"vsock:", "\"\" is not a port"},
        {"vsock:0", "\"0\" is not a port"},
        {"vsock:4294967295", "1 to 4294967294"},
        {"vsock://3:1", "is not a port"},
        {"0", "is not a port"},
        {"08443", "is not a port"},
        {"8443x", "not vsock:PORT"},
        {"unix:s", "begins with /"},
        {"localhost:80", "not vsock:PORT"},
        {"127.0.0.1", "not vsock:PORT"},
        {"127.0.0.1:", "is not a port"},
        {"127.0.0.1:65536", "1 to 65535"},
        {"1111111111111111:1", "not vsock:PORT"},
        {"[::1]:80", "not vsock:PORT"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address a;
        struct fault fault = FAULT_NONE;
        ck_err(address_parse_listen(rows[i].text, &a, &fault), ERR_USAGE);
        ck_assert_msg(strstr(fault.detail, rows[i].detail) != NULL, "%s: %s", rows[i].text,
                      fault.detail);
    }
}
END_TEST

START_TEST(valid_target)
{
    static const struct {
        const char *text;
        const char *host;
        const char *port;
    } rows[] = {
        {"verifier.example:8443", "verifier.example", "8443"},
        {"10.0.0.1:1", "10.0.0.1", "1"},
        {"[::1]:65535", "::1", "65535"},
    };
    struct address_target t;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_ok(address_parse_target(rows[i].text, &t, NULL));
        ck_assert(!t.is_unix);
        ck_assert_str_eq(t.host, rows[i].host);
        ck_assert_str_eq(t.port, rows[i].port);
    }
    ck_ok(address_parse_target("unix:/s", &t, NULL));
    ck_assert(t.is_unix);
}
END_TEST

START_TEST(junk_target)
{
    static const char *const rows[] = {
        "",       "a",      ":1",          "a:",      "a:0",    "a:65536",
        "a:1x",   "a:1:2",  "[::1]",       "[::1:80", "[]:80",  "[::1]80",
        "a b:80", "a/b:80", "http://a:80", "unix:s",  "a\n:80", "vsock:3:80",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct address_target t;
        struct fault fault = FAULT_NONE;
        ck_assert_msg(address_parse_target(rows[i], &t, &fault) == ERR_USAGE, "%s", rows[i]);
        ck_assert_str_ne(fault.detail, "");
    }
    char long_host[300];
    struct address_target t;
    memset(long_host, 'a', sizeof long_host);
    memcpy(long_host + 255, ":80", 4);
    ck_ok(address_parse_target(long_host, &t, NULL));
    memcpy(long_host + 255, "a:80", 5);
    ck_err(address_parse_target(long_host, &t, NULL), ERR_USAGE);
}
END_TEST

START_TEST(valid_peer)
{
    char text[PEER_TEXT_SIZE];
    struct address a = {0};
    const struct sockaddr_vm vm = {.svm_family = AF_VSOCK, .svm_cid = 4294967295u};
    memcpy(&a.sockaddr, &vm, sizeof vm);
    ck_assert_str_eq(peer_text(address_peer(&a), text), "cid=4294967295");
    const struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0a80a01)};
    memcpy(&a.sockaddr, &in, sizeof in);
    ck_assert_str_eq(peer_text(address_peer(&a), text), "peer=192.168.10.1");
    a = (struct address){.sockaddr.ss_family = AF_UNIX};
    ck_assert_str_eq(peer_text(address_peer(&a), text), "peer=local");
}
END_TEST

UNIT_MAIN("relay_address", valid_listen, junk_listen, valid_target, junk_target, valid_peer)
