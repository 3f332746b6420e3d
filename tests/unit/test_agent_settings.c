/* The agent's settings: file and command line, and what is refused in both. */
#include "unit.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "enclave-agent/settings.h"

static struct fault fault;
static char path[64];
static char issuer[80];

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void setup(const char *text)
{
    snprintf(path, sizeof path, "/tmp/test_agent_settings.XXXXXX");
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    close(fd);
    write_file(path, text);
    snprintf(issuer, sizeof issuer, "%s.issuer", path);
    FILE *file = fopen(issuer, "w");
    EVP_PKEY *key = EVP_EC_gen("P-384");
    ck_assert_int_eq(PEM_write_PUBKEY(file, key), 1);
    EVP_PKEY_free(key);
    fclose(file);
}

static void teardown(void)
{
    unlink(path);
    unlink(issuer);
}

static enum err parse(const char *text, struct settings_file *out)
{
    fault = (struct fault)FAULT_NONE;
    return settings_file_parse(bytes_of_text(text), settings_options_run, out, &fault);
}

START_TEST(valid_file)
{
    CLEANUP(settings_file_free) struct settings_file file = {0};
    ck_ok(parse("# a comment\n; and one\r\n\n  secret=db/main\nsecret =  x@2  \r\n"
                "verifier = https://v = w\ntimeout=5",
                &file));
    ck_assert_uint_eq(file.count, 4);
    ck_assert_str_eq(file.entry[0].value, "db/main");
    ck_assert_str_eq(file.entry[1].value, "x@2");
    ck_assert_str_eq(file.entry[2].key, "verifier");
    ck_assert_str_eq(file.entry[2].value, "https://v = w");
    ck_assert_str_eq(file.entry[3].value, "5");
}
END_TEST

START_TEST(wrong_file)
{
    static const char *const rows[][3] = {
        {"\nverifer = x\n", "line 2", "unknown setting \"verifer\"; did you mean \"verifier\"?"},
        {"elephants = 2\n", "line 1", "unknown setting \"elephants\""},
        {"config = x\n", "line 1", "unknown setting \"config\""}, /* no file names another */
        {"nsm\n", "line 1", "not of the form key = value"},
        {"nsm =\n", "line 1", "nsm has no value"},
        {"nsm = a\nnsm = b\n", "line 2", "nsm is there twice"},
        {"[agent]\n", "line 1", "this file has no sections"},
        {"log-program = 1\n", "line 1", "log-program is yes or no, not \"1\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct settings_file file = {.count = 77};
        ck_err(parse(rows[i][0], &file), ERR_CONFIG);
        ck_assert_str_eq(fault.field, rows[i][1]);
        ck_assert_str_eq(fault.detail, rows[i][2]);
        ck_assert_uint_eq(file.count, 77);
    }
    struct settings_file file = {0};
    ck_err(settings_file_parse(bytes_of("nsm = a\0b", 9), settings_options_run, &file, &fault),
           ERR_CONFIG);
}
END_TEST

START_TEST(long_file)
{
    CLEANUP(buf_free) struct buf text = {0};
    for (unsigned i = 0; i <= SETTINGS_ENTRIES_MAX; i++)
        ck_ok(buf_append_format(&text, "secret = s%u\n", i));
    ck_assert_ptr_nonnull(buf_text(&text));
    struct settings_file file = {0};
    ck_err(parse((const char *)text.ptr, &file), ERR_CONFIG);
    ck_assert_str_eq(fault.detail, "more than 128 settings");
}
END_TEST

#define ARGS_MAX 24

/* `words` ends with NULL.  `out` is freed where loading fails. */
static enum err load(const struct cli_option *options, const char *const *words, const char *only,
                     struct settings *out)
{
    int argc = 0;
    while (words[argc] != NULL)
        argc++;
    CLEANUP(cli_args_free) struct cli_args args = {0};
    ck_ok(cli_args_parse(options, argc, words, &args, &fault));
    fault = (struct fault)FAULT_NONE;
    const enum err err = settings_load(&args, only, out, &fault);
    if (err != ERR_OK)
        settings_free(out);
    return err;
}

#define LOAD_RUN(out, ...) \
    load(settings_options_run, (const char *const[]){__VA_ARGS__, "--", "program", NULL}, NULL, out)
#define LOAD_FETCH(only, out, ...) \
    load(settings_options_fetch, (const char *const[]){__VA_ARGS__, NULL}, only, out)

START_TEST(valid_defaults)
{
    setup("");
    struct settings s = {0};
    ck_ok(LOAD_RUN(&s, "--secret", "db/main", "--secret", "x@3", "--verifier", "http://v:8",
                   "--issuer", issuer, "--min-version", "db/main=4", "--min-version", "x=3"));
    ck_assert_uint_eq(s.wanted.count, 2);
    ck_assert_str_eq(s.wanted.item[0].name, "db/main");
    ck_assert_uint_eq(s.wanted.item[0].version, 0);
    ck_assert_uint_eq(s.wanted.item[0].min_version, 4);
    ck_assert_str_eq(s.wanted.item[1].name, "x");
    ck_assert_uint_eq(s.wanted.item[1].version, 3);
    ck_assert_uint_eq(s.wanted.item[1].min_version, 3);
    ck_assert_str_eq(s.plan.format, "hpke-x25519");
    ck_assert_str_eq(s.plan.nsm, "/dev/nsm");
    ck_assert_int_eq(s.plan.timeout_ms, 120000);
    ck_assert_uint_eq(s.plan.pins->count, 1);
    ck_assert_mem_eq(s.plan.trusted_root, own_document_aws_root, SHA256_LEN);
    ck_assert_uint_eq(s.plan.application.len, 0);
    ck_assert_ptr_null(s.dir);
    ck_assert_str_eq(s.program[0], "program");
    ck_assert_ptr_null(s.program[1]);
    ck_assert_ptr_null(s.environment[0]);
    ck_assert(!s.refresh.on);
    ck_assert_uint_eq(s.parent_cid, 3);
    settings_free(&s);
    teardown();
}
END_TEST

START_TEST(valid_file_and_options)
{
    setup("secret = a\nsecret = b\ntimeout = 5\nformat = hpke-p384\napplication = 0aff\n"
          "dir = /run/secrets\nnsm = unix:/s\nmin-version = a=2\nverifier = vsock://3:8000\n"
          "tls-name = v.example\n");
    struct settings s = {0};
    ck_ok(LOAD_RUN(&s, "--config", path, "--issuer", issuer, "--timeout", "7"));
    ck_assert_uint_eq(s.wanted.count, 2);
    ck_assert_uint_eq(s.wanted.item[0].min_version, 2);
    ck_assert_int_eq(s.plan.timeout_ms, 7000);
    ck_assert_str_eq(s.plan.format, "hpke-p384");
    ck_assert_str_eq(s.plan.nsm, "unix:/s");
    ck_assert_str_eq(s.dir, "/run/secrets");
    ck_assert(bytes_equal(s.plan.application, bytes_of("\x0a\xff", 2)));
    ck_assert_int_eq(s.plan.verifier.kind, HTTP_TARGET_VSOCK);
    ck_assert_str_eq(s.plan.verifier.tls_name, "v.example");
    settings_free(&s);

    /* The command line replaces the whole list; a floor for another is then a mistake. */
    ck_err(LOAD_RUN(&s, "--config", path, "--issuer", issuer, "--secret", "c"), ERR_USAGE);
    ck_assert_str_eq(fault.detail, "min-version \"a=2\": no such secret is asked for");
    ck_ok(LOAD_RUN(&s, "--config", path, "--issuer", issuer, "--secret", "a"));
    ck_assert_uint_eq(s.wanted.count, 1);
    settings_free(&s);

    /* fetch takes one secret, whatever the file lists. */
    ck_ok(LOAD_FETCH("c@9", &s, "--config", path, "--issuer", issuer, "--out", "-"));
    ck_assert_uint_eq(s.wanted.count, 1);
    ck_assert_uint_eq(s.wanted.item[0].version, 9);
    ck_assert_str_eq(s.out, "-");
    ck_assert_ptr_null(s.dir); /* the command line's place, not the file's */
    settings_free(&s);
    teardown();
}
END_TEST

START_TEST(valid_program)
{
    setup("secret = a\nverifier = http://v\nexec = /usr/bin/server\nexec = --port\nexec = 80 = x\n"
          "env = A=\nenv = B=c=d\nparent-cid = 1\nrefresh = 12h\nmax-staleness = 7d\n"
          "refresh-signal = USR2\ndir = /run/secrets\n");
    const char *const words[] = {"--config", path, "--issuer", issuer, NULL};
    struct settings s = {0};
    ck_ok(load(settings_options_run, words, NULL, &s));
    ck_assert_str_eq(s.program[0], "/usr/bin/server");
    ck_assert_str_eq(s.program[1], "--port");
    ck_assert_str_eq(s.program[2], "80 = x");
    ck_assert_ptr_null(s.program[3]);
    ck_assert_str_eq(s.environment[0], "A=");
    ck_assert_str_eq(s.environment[1], "B=c=d");
    ck_assert_ptr_null(s.environment[2]);
    ck_assert_uint_eq(s.parent_cid, 1);
    ck_assert(s.refresh.on);
    ck_assert_int_eq(s.refresh.period_ms, INT64_C(12) * 3600 * 1000);
    ck_assert_int_eq(s.refresh.max_staleness_ms, INT64_C(7) * 86400 * 1000);
    ck_assert_int_eq(s.refresh_signal, SIGUSR2);
    settings_free(&s);

    /* What follows -- replaces all of exec. */
    ck_ok(LOAD_RUN(&s, "--config", path, "--issuer", issuer));
    ck_assert_str_eq(s.program[0], "program");
    ck_assert_ptr_null(s.program[1]);
    settings_free(&s);

    /* fetch has no program, and passes over what is run's. */
    ck_ok(LOAD_FETCH("c", &s, "--config", path, "--issuer", issuer, "--out", "-"));
    ck_assert_ptr_null(s.program);
    ck_assert(!s.refresh.on);
    settings_free(&s);
    teardown();
}
END_TEST

START_TEST(valid_refresh)
{
    static const struct {
        const char *when, *name;
        int64_t period_ms;
        int number;
    } rows[] = {{"hup", "HUP", 0, SIGHUP},
                {"1s", "USR1", 1000, SIGUSR1},
                {"30m", "USR2", 1800000, SIGUSR2},
                {"hup", "none", 0, 0}};
    setup("");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct settings s = {0};
        ck_ok(LOAD_RUN(&s, "--secret", "a", "--verifier", "http://v", "--issuer", issuer, "--dir",
                       "/d", "--refresh", rows[i].when, "--refresh-signal", rows[i].name));
        ck_assert(s.refresh.on);
        ck_assert_int_eq(s.refresh.period_ms, rows[i].period_ms);
        ck_assert_int_eq(s.refresh.max_staleness_ms, 0);
        ck_assert_int_eq(s.refresh_signal, rows[i].number);
        settings_free(&s);
    }
    teardown();
}
END_TEST

START_TEST(wrong_refresh)
{
    static const char *const rows[][5] = {
        {"refresh replaces files", "--refresh", "1h"},
        {"refresh takes a duration such as 90s, 30m, 12h or 7d, not \"HUP\"", "--refresh", "HUP"},
        {"refresh takes a duration", "--refresh", "0s"},
        {"refresh takes a duration", "--refresh", "60"},
        {"max-staleness takes a duration", "--max-staleness", "x", "--refresh", "1h"},
        {"max-staleness 1h needs a refresh", "--max-staleness", "1h"},
        {"max-staleness 1h needs a refresh", "--max-staleness", "1h", "--refresh", "hup"},
        {"max-staleness 1h needs a refresh that is due earlier, such as --refresh 1h",
         "--max-staleness", "1h", "--refresh", "60m"},
        {"refresh-signal USR1: without --refresh there is none", "--refresh-signal", "USR1"},
        {"refresh-signal takes HUP, USR1, USR2 or none, not \"KILL\"", "--refresh-signal", "KILL",
         "--refresh", "1h"},
        {"parent-cid takes a CID, a number such as 3, not \"-1\"", "--parent-cid", "-1"},
        {"parent-cid takes a CID", "--parent-cid", "4294967295"}, /* whoever is there */
        {"\"yes\" is no option and no option's value; PROGRAM stands behind --", "--log-program",
         "yes"},
        {"env \"A\" is not NAME=VALUE", "--env", "A"},
        {"env \"=A\" is not NAME=VALUE", "--env", "=A"},
    };
    setup("");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *words[14] = {"--secret", "a", "--verifier", "http://v", "--issuer", issuer};
        size_t count = 6;
        for (size_t k = 1; k < ARRAY_LEN(rows[i]) && rows[i][k] != NULL; k++)
            words[count++] = rows[i][k];
        words[count++] = "--";
        words[count] = "program";
        struct settings s = {0};
        ck_err(load(settings_options_run, words, NULL, &s), ERR_USAGE);
        ck_assert_msg(strstr(fault.detail, rows[i][0]) == fault.detail, "%s", fault.detail);
    }
    const char *const words[] = {"--secret", "a",    "--verifier", "http://v",
                                 "--issuer", issuer, NULL};
    struct settings s = {0};
    ck_err(load(settings_options_run, words, NULL, &s), ERR_USAGE);
    ck_assert_msg(strstr(fault.detail, "which program? ") == fault.detail, "%s", fault.detail);
    teardown();
}
END_TEST

/* What opens a door is said in so many words: the option, or `yes` in the file. */
START_TEST(valid_allow_env)
{
#define LOAD_ENV(s, ...)                                                                    \
    LOAD_RUN(s, "--issuer", issuer, "--verifier", "http://v", "--secret", "a", "--deliver", \
             "a=env:A", __VA_ARGS__)
    setup("allow-env = no\n");
    struct settings s = {0};
    ck_err(LOAD_ENV(&s, "--config", path), ERR_USAGE);
    ck_assert_ptr_nonnull(strstr(fault.detail, "--allow-env permits it"));
    settings_free(&s);
    ck_ok(LOAD_ENV(&s, "--config", path, "--allow-env"));
    settings_free(&s);
    write_file(path, "exec = yes\nallow-env = yes\n");
    ck_ok(LOAD_ENV(&s, "--config", path));
    settings_free(&s);
    write_file(path, "exec = yes\n");
    ck_err(LOAD_ENV(&s, "--config", path), ERR_USAGE);
    settings_free(&s);
    teardown();
#undef LOAD_ENV
}
END_TEST

START_TEST(valid_measure)
{
    setup("extend = 16=/etc/a\nextend = 31=/b\ncmdline = reboot=k panic=30\n");
    struct settings s = {0};
    ck_ok(LOAD_RUN(&s, "--config", path, "--issuer", issuer, "--secret", "a", "--verifier",
                   "http://v"));
    ck_assert_uint_eq(s.measure.count, 2);
    ck_assert_uint_eq(s.measure.extend[0].index, 16);
    ck_assert_str_eq(s.measure.extend[0].path, "/etc/a");
    ck_assert_uint_eq(s.measure.extend[1].index, 31);
    ck_assert_str_eq(s.measure.cmdline, "reboot=k panic=30");
    settings_free(&s);
    teardown();
}
END_TEST

/* --- where the journal goes --- */

static enum err load_log(const struct cli_option *options, const char *const *words,
                         struct buf *where, bool *program)
{
    int argc = 0;
    while (words[argc] != NULL)
        argc++;
    CLEANUP(cli_args_free) struct cli_args args = {0};
    ck_ok(cli_args_parse(options, argc, words, &args, &fault));
    where->len = 0;
    const enum err err = settings_log(&args, where, program, &fault);
    ck_assert_ptr_nonnull(buf_text(where));
    return err;
}

#define LOG(options, ...) \
    load_log(options, (const char *const[]){__VA_ARGS__, NULL}, &where, &program)

/* However wrong the rest of the file is. */
START_TEST(valid_log)
{
    CLEANUP(buf_free) struct buf where = {0};
    bool program = true;
    setup("[junk\n logger = no\n#log = no\nverifer\n log\t=  vsock://3:5000 \r\nlog = no\n"
          "log-program=yes");
    ck_ok(LOG(settings_options_fetch, "--config", path));
    ck_assert_str_eq((const char *)where.ptr, "vsock://3:5000");
    ck_assert(!program);
    ck_ok(LOG(settings_options_run, "--config", path));
    ck_assert(program);
    ck_ok(LOG(settings_options_run, "--config", path, "--log", "unix:/x"));
    ck_assert_str_eq((const char *)where.ptr, "unix:/x");
    write_file(path, "log-program = no\n");
    ck_ok(LOG(settings_options_run, "--config", path));
    ck_assert_uint_eq(where.len, 0);
    ck_assert(!program);
    ck_ok(LOG(settings_options_pcrs, "--log", "unix:/y"));
    ck_assert_str_eq((const char *)where.ptr, "unix:/y");
    ck_ok(LOG(settings_options_run, "--config", "/nonexistent"));
    ck_assert_uint_eq(where.len, 0);
    teardown();
}
END_TEST

START_TEST(wrong_log)
{
    CLEANUP(buf_free) struct buf where = {0};
    bool program = false;
    setup("log-program = yes\n");
    ck_err(LOG(settings_options_run, "--log-program"), ERR_USAGE);
    ck_assert_str_eq(fault.detail, "log-program: where to? --log URL is needed");
    ck_err(LOG(settings_options_run, "--config", path), ERR_USAGE);
    ck_assert(!program);
    teardown();
}
END_TEST

START_TEST(wrong_values)
{
    setup("");
    struct settings s = {0};
    const struct {
        const char *option;
        const char *value;
        const char *detail;
    } rows[] = {
        {"--secret", "DB", "secret \"DB\": "},
        {"--secret", "a", "secret \"a\": \"a\" is asked for twice"},
        {"--secret", "b@0", "\"b@0\": a version is 1 to 2147483647"},
        {"--secret", "b@", "\"b@\": a version is 1 to 2147483647"},
        {"--min-version", "a", "min-version \"a\" is not NAME=N"},
        {"--min-version", "a=0", "min-version \"a=0\" is not NAME=N"},
        {"--min-version", "b=1", "min-version \"b=1\": no such secret is asked for"},
        {"--format", "hpke-x25518", "unknown format \"hpke-x25518\"; did you mean hpke-x25519"},
        {"--store", "abc", "store \"abc\": the id of a store is 32 hexadecimal digits"},
        {"--extend", "15=/x", "extend \"15=/x\" is not N=FILE with N 16 to 31"},
        {"--application", "abc", "application takes 0 to 256 bytes in hexadecimal"},
        {"--timeout", "0", "timeout takes 1 to 3600 seconds, not \"0\""},
        {"--tls-name", "v", "tls-name \"v\": http: is without TLS"},
        {"--tls-name", "v:443", "tls-name \"v:443\": the host has a character"},
        {"--timeout", "3601", "timeout takes 1 to 3600 seconds, not \"3601\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        ck_err(LOAD_RUN(&s, "--secret", "a", "--verifier", "http://v", "--issuer", issuer,
                        rows[i].option, rows[i].value),
               ERR_USAGE);
        ck_assert_msg(strstr(fault.detail, rows[i].detail) == fault.detail, "%s", fault.detail);
    }
    ck_err(LOAD_RUN(&s, "--secret", "a@1", "--min-version", "a=2"), ERR_USAGE);
    ck_assert_str_eq(fault.detail, "version 1 of a is below its min-version");
    teardown();
}
END_TEST

START_TEST(wrong_needs)
{
    setup("");
    struct settings s = {0};
    ck_err(LOAD_RUN(&s, "--verifier", "http://v", "--issuer", issuer), ERR_USAGE);
    ck_assert_str_eq(fault.detail, "no secret is asked for: --secret NAME");
    ck_err(LOAD_RUN(&s, "--secret", "a", "--issuer", issuer), ERR_USAGE);
    ck_assert_str_eq(fault.detail, "--verifier URL is needed");
    ck_err(LOAD_RUN(&s, "--secret", "a", "--verifier", "http://v"), ERR_USAGE);
    ck_err(LOAD_RUN(&s, "--secret", "a", "--verifier", "gopher://v", "--issuer", issuer),
           ERR_USAGE);
    ck_err(LOAD_RUN(&s, "--secret", "a", "--verifier", "http://v", "--issuer", "/nonexistent"),
           ERR_FILE);
    ck_err(LOAD_RUN(&s, "--secret", "a", "--verifier", "http://v", "--issuer", path), ERR_CONFIG);
    ck_err(LOAD_RUN(&s, "--secret", "a", "--verifier", "http://v", "--issuer", issuer, "--root",
                    issuer),
           ERR_CONFIG);
    ck_err(LOAD_RUN(&s, "--secret", "db-main", "--secret", "db/main"), ERR_USAGE);
    ck_err(LOAD_RUN(&s, "--secret", "db", "--secret", "db/main", "--dir", "/x"), ERR_USAGE);
    teardown();
}
END_TEST

UNIT_MAIN("agent_settings", valid_file, wrong_file, long_file, valid_defaults,
          valid_file_and_options, valid_program, valid_refresh, wrong_refresh, valid_allow_env,
          valid_measure, valid_log, wrong_log, wrong_values, wrong_needs)
