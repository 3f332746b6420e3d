/* The settings file: what it takes, and that every mistake is named with its line. */
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "verifier/config.h"

static struct config config;
static struct fault fault;

static enum err parse(const char *text)
{
    fault = (struct fault)FAULT_NONE;
    config_init(&config);
    const enum err err = config_parse(&config, bytes_of_text(text), "vs.conf", &fault);
    ck_assert_int_eq(fault.code, err);
    return err;
}

static void refused(const char *text, const char *field, const char *says)
{
    ck_err(parse(text), ERR_CONFIG);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.detail, says) != NULL, "%s", fault.detail);
}

static void unfinished(const char *text, const char *field, const char *says)
{
    ck_ok(parse(text));
    ck_err(config_finish(&config, &fault), ERR_CONFIG);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.detail, says) != NULL, "%s", fault.detail);
}

START_TEST(valid_defaults)
{
    ck_ok(parse(""));
    ck_ok(config_finish(&config, &fault));
    ck_assert_str_eq(config.state, "/var/lib/vouchsafe");
    ck_assert_str_eq(config.listen, "127.0.0.1:8443");
    ck_assert_str_eq(config.admin_socket, "/var/lib/vouchsafe/admin.sock");
    ck_assert_str_eq(config.master_key, "/var/lib/vouchsafe/master.key");
    ck_assert_str_eq(config.admin_listen, "");
    ck_assert_str_eq(config.tls_cert, "");
    ck_assert_uint_eq(config.threads, 8);
    ck_assert_uint_eq(config.connections, 512);
    ck_assert_uint_eq(config.connections_per_address, 64);
    ck_assert_str_eq(config.anchor_file, "");
    ck_assert_uint_eq(config.rate_per_s, 50);
    ck_assert_uint_eq(config.rate_burst, 200);
    ck_assert_uint_eq(config.tolerate_count, 0);
    ck_assert_int_eq(config.log_level, LOG_LEVEL_INFO);
    ck_assert_uint_eq(config.given, 0);
}
END_TEST

START_TEST(valid_everything)
{
    ck_ok(parse("# a comment\n; another\n\n"
                "state = /srv/vs\n"
                "listen=0.0.0.0:443\n"
                "\ttls_cert\t=  /etc/a b.pem \t\r\n"
                "tls_key = /etc/k=1#2.pem\n"
                "admin_socket = /run/a.sock\n"
                "admin_listen = [::1]:9443\n"
                "admin_tls_cert = /c\nadmin_tls_key = /k\n"
                "master_key = credential:master\n"
                "threads = 2\nrate_per_s = 0\nrate_burst = 1000000\n"
                "tolerate_payload_keys = new_field, other\n"
                "log_level = debug"));
    ck_ok(config_finish(&config, &fault));
    ck_assert_str_eq(config.state, "/srv/vs");
    ck_assert_str_eq(config.listen, "0.0.0.0:443");
    ck_assert_str_eq(config.tls_cert, "/etc/a b.pem");
    ck_assert_str_eq(config.tls_key, "/etc/k=1#2.pem");
    ck_assert_str_eq(config.admin_socket, "/run/a.sock");
    ck_assert_str_eq(config.admin_listen, "[::1]:9443");
    ck_assert_str_eq(config.admin_tls_cert, "/c");
    ck_assert_str_eq(config.admin_tls_key, "/k");
    ck_assert_str_eq(config.master_key, "credential:master");
    ck_assert_uint_eq(config.threads, 2);
    ck_assert_uint_eq(config.rate_per_s, 0);
    ck_assert_uint_eq(config.rate_burst, 1000000);
    ck_assert_uint_eq(config.tolerate_count, 2);
    ck_assert_str_eq(config.tolerate[0], "new_field");
    ck_assert_str_eq(config.tolerate[1], "other");
    ck_assert_int_eq(config.log_level, LOG_LEVEL_DEBUG);
}
END_TEST

/* Each row can be set, and is then marked as given. */
START_TEST(valid_rows)
{
    static const char *const values[] = {"/a", "127.0.0.1:1", "16", "debug"};
    size_t count = 0;
    for (const char *key; (key = config_key(count)) != NULL; count++) {
        enum err err = ERR_CONFIG;
        for (size_t i = 0; i < ARRAY_LEN(values) && err != ERR_OK; i++) {
            config_init(&config);
            err = config_set(&config, key, values[i], NULL);
        }
        ck_ok(err);
        ck_assert_uint_eq(config.given, UINT64_C(1) << count);
    }
    ck_assert_uint_eq(count, 17);
}
END_TEST

START_TEST(valid_paths_follow_state)
{
    ck_ok(parse("state = /srv/vs\nmaster_key = /elsewhere\n"));
    ck_ok(config_finish(&config, &fault));
    ck_assert_str_eq(config.admin_socket, "/srv/vs/admin.sock");
    ck_assert_str_eq(config.master_key, "/elsewhere");
}
END_TEST

static void at(const char *path, const char *expected)
{
    char text[64];
    ck_assert_uint_lt(strlen(path), sizeof text);
    strcpy(text, path);
    ck_ok(config_make_absolute(text, sizeof text));
    ck_assert_str_eq(text, expected);
}

START_TEST(valid_relative)
{
    ck_assert_int_eq(chdir("/usr/bin"), 0);
    at("/state", "/state");
    at("./state", "/usr/bin/state");
    at("a/b", "/usr/bin/a/b");
    at("../b", "/usr/bin/../b");
    char exact[sizeof "/usr/bin/a"] = "a";
    ck_err(config_make_absolute(exact, sizeof exact - 1), ERR_TOO_LARGE);
    ck_assert_str_eq(exact, "a");
    ck_ok(config_make_absolute(exact, sizeof exact));
    ck_ok(parse("state = here\nadmin_socket = there.sock\ntls_cert = c\ntls_key = k\n"));
    ck_ok(config_finish(&config, &fault));
    ck_assert_str_eq(config.state, "/usr/bin/here");
    ck_assert_str_eq(config.master_key, "/usr/bin/here/master.key");
    ck_assert_str_eq(config.admin_socket, "/usr/bin/there.sock");
    ck_assert_str_eq(config.tls_cert, "c");
    ck_assert_int_eq(chdir("/"), 0);
    at("state", "/state");
}
END_TEST

/* A Unix socket's address has room for 107 bytes and a NUL. */
START_TEST(long_admin_socket)
{
    char text[256];
    snprintf(text, sizeof text, "admin_socket = /%0*d", 106, 0);
    ck_ok(parse(text));
    ck_ok(config_finish(&config, &fault));
    snprintf(text, sizeof text, "admin_socket = /%0*d", 107, 0);
    unfinished(text, "admin_socket", "107");
    snprintf(text, sizeof text, "state = /%0*d", 97, 0); /* .../admin.sock */
    unfinished(text, "admin_socket", "107");
}
END_TEST

START_TEST(valid_last_wins)
{
    ck_ok(parse("listen = 127.0.0.1:1\ntolerate_payload_keys = a, b\n"));
    ck_ok(config_set(&config, "listen", "127.0.0.1:2", &fault));
    ck_ok(config_set(&config, "tolerate_payload_keys", "c", &fault));
    ck_assert_str_eq(config.listen, "127.0.0.1:2");
    ck_assert_uint_eq(config.tolerate_count, 1);
    ck_assert_str_eq(config.tolerate[0], "c");
}
END_TEST

START_TEST(wrong_key)
{
    refused("state = /a\ntls_crt = /b\n", "vs.conf:2: tls_crt", "did you mean \"tls_cert\"?");
    refused("listen-on = /b\n", "vs.conf:1: listen-on", "unknown setting");
    refused("State = /a\n", "vs.conf:1: State", "did you mean \"state\"?");
    refused("utterly_unlike = /b\n", "vs.conf:1: utterly_unlike", "unknown setting");
    ck_assert_ptr_null(strstr(fault.detail, "mean"));
    refused(" = /b\n", "vs.conf:1", "unknown setting");
}
END_TEST

START_TEST(wrong_line)
{
    refused("state\n", "vs.conf:1", "KEY = VALUE");
    refused("\n[server]\n", "vs.conf:2", "no sections");
    refused("threads = 3\n\nthreads = 3\n", "vs.conf:3: threads", "given twice");
}
END_TEST

START_TEST(junk_file)
{
    static const char text[] = "state = /a\n\0threads = 3\n";
    config_init(&config);
    ck_err(config_parse(&config, bytes_of(text, sizeof text - 1), "vs.conf", &fault), ERR_CONFIG);
    ck_assert_str_eq(fault.field, "vs.conf");
}
END_TEST

START_TEST(wrong_path)
{
    refused("state =\n", "vs.conf:1: state", "a path");
    char text[CONFIG_PATH_SIZE + 16];
    snprintf(text, sizeof text, "state = /%0*d", CONFIG_PATH_SIZE - 2, 0);
    ck_ok(parse(text));
    ck_err(config_finish(&config, &fault), ERR_CONFIG); /* no room for its files */
    snprintf(text, sizeof text, "state = /%0*d", CONFIG_PATH_SIZE - 1, 0);
    refused(text, "vs.conf:1: state", "a path");
}
END_TEST

START_TEST(wrong_address)
{
    static const char *const wrong[] = {
        "8443",         "127.0.0.1",     ":8443",   "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:08", "::1:8443",      "[::1]",   "[]:8443",    "[localhost]:80",
        "a b:80",       "unix:/run/a:1", "[::1:80", "::1]:80",    "host:80:80"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char text[64];
        snprintf(text, sizeof text, "listen = %s", wrong[i]);
        refused(text, "vs.conf:1: listen", "HOST:PORT");
    }
    ck_ok(parse("listen = verifier.example.net:0"));
}
END_TEST

START_TEST(wrong_number)
{
    static const char *const wrong[] = {
        "1", "257", "08", "-1", "8 ", "8x", "", "99999999999999999999", "18446744073709551624"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        config_init(&config);
        ck_err(config_set(&config, "threads", wrong[i], &fault), ERR_CONFIG);
        ck_assert_str_eq(fault.field, "threads");
        ck_assert_uint_eq(config.threads, 8);
    }
    ck_ok(config_set(&config, "threads", "2", &fault));
    ck_ok(config_set(&config, "threads", "256", &fault));
    refused("rate_burst = 0", "vs.conf:1: rate_burst", "from 1 to 1000000");
}
END_TEST

START_TEST(wrong_tolerate)
{
    refused("tolerate_payload_keys = ok, nitro_PCRs", "vs.conf:1: tolerate_payload_keys", "PCRs");
    refused("tolerate_payload_keys = a a a a a a a a a a a a a a a a a",
            "vs.conf:1: tolerate_payload_keys", "more than 16");
    ck_ok(parse("tolerate_payload_keys = a a a a a a a a a a a a a a a a"));
}
END_TEST

START_TEST(long_tolerate)
{
    char text[600];
    snprintf(text, sizeof text, "tolerate_payload_keys = %0*d", 511, 0);
    ck_ok(parse(text));
    snprintf(text, sizeof text, "tolerate_payload_keys = %0*d", 512, 0);
    refused(text, "vs.conf:1: tolerate_payload_keys", "longer than 511");
}
END_TEST

START_TEST(wrong_level)
{
    refused("log_level = verbose", "vs.conf:1: log_level", "not \"verbose\"");
}
END_TEST

START_TEST(wrong_pairs)
{
    unfinished("tls_cert = /c", "tls_key", "belong together");
    unfinished("tls_key = /k", "tls_cert", "belong together");
    unfinished("admin_listen = 127.0.0.1:1\nadmin_tls_key = /k", "admin_tls_cert",
               "belong together");
    unfinished("admin_listen = 127.0.0.1:1", "admin_listen", "in the clear");
    unfinished("admin_tls_cert = /c\nadmin_tls_key = /k", "admin_tls_cert", "admin_listen");
    unfinished("rate_per_s = 201", "rate_burst", "at least");
    ck_ok(parse("rate_per_s = 200"));
    ck_ok(config_finish(&config, &fault));
}
END_TEST

START_TEST(valid_loopback)
{
    ck_assert(config_is_loopback("127.0.0.1:8443"));
    ck_assert(config_is_loopback("127.8.0.1:8443"));
    ck_assert(config_is_loopback("[::1]:8443"));
    ck_assert(config_is_loopback("localhost:8443"));
    ck_assert(!config_is_loopback("0.0.0.0:8443"));
    ck_assert(!config_is_loopback("[::]:8443"));
    ck_assert(!config_is_loopback("localhost.example.net:8443"));
    ck_assert(!config_is_loopback("10.127.0.1:8443"));
}
END_TEST

UNIT_MAIN("config", valid_defaults, valid_everything, valid_rows, valid_paths_follow_state,
          valid_last_wins, wrong_key, wrong_line, junk_file, wrong_path, wrong_address,
          wrong_number, wrong_tolerate, long_tolerate, wrong_level, wrong_pairs, valid_loopback,
          valid_relative, long_admin_socket)
