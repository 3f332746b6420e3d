#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/nearest.h"

enum kind { KIND_PATH, KIND_ADDRESS, KIND_UINT, KIND_KEYS, KIND_LEVEL };

/* One row per setting: its name, how it is read, where it goes, its limits. */
static const struct row {
    const char *key;
    enum kind kind;
    size_t offset;
    uint64_t min;
    uint64_t max;
} rows[] = {
    {"state", KIND_PATH, offsetof(struct config, state), 0, 0},
    {"listen", KIND_ADDRESS, offsetof(struct config, listen), 0, 0},
    {"tls_cert", KIND_PATH, offsetof(struct config, tls_cert), 0, 0},
    {"tls_key", KIND_PATH, offsetof(struct config, tls_key), 0, 0},
    {"admin_socket", KIND_PATH, offsetof(struct config, admin_socket), 0, 0},
    {"admin_listen", KIND_ADDRESS, offsetof(struct config, admin_listen), 0, 0},
    {"admin_tls_cert", KIND_PATH, offsetof(struct config, admin_tls_cert), 0, 0},
    {"admin_tls_key", KIND_PATH, offsetof(struct config, admin_tls_key), 0, 0},
    {"master_key", KIND_PATH, offsetof(struct config, master_key), 0, 0},
    {"anchor_file", KIND_PATH, offsetof(struct config, anchor_file), 0, 0},
    {"connections", KIND_UINT, offsetof(struct config, connections), 16, 4096},
    {"connections_per_address", KIND_UINT, offsetof(struct config, connections_per_address), 0,
     4096},
    {"threads", KIND_UINT, offsetof(struct config, threads), 2, 256},
    {"rate_per_s", KIND_UINT, offsetof(struct config, rate_per_s), 0, 1000000},
    {"rate_burst", KIND_UINT, offsetof(struct config, rate_burst), 1, 1000000},
    {"tolerate_payload_keys", KIND_KEYS, 0, 0, 0},
    {"log_level", KIND_LEVEL, 0, 0, 0},
};
_Static_assert(ARRAY_LEN(rows) <= 64, "`given` has a bit for each");

const char *config_key(size_t i)
{
    return i < ARRAY_LEN(rows) ? rows[i].key : NULL;
}

void config_init(struct config *config)
{
    *config = (struct config){.threads = CONFIG_THREADS_DEFAULT,
                              .connections = CONFIG_CONNECTIONS_DEFAULT,
                              .connections_per_address = CONFIG_PER_ADDRESS_DEFAULT,
                              .rate_per_s = CONFIG_RATE_PER_S_DEFAULT,
                              .rate_burst = CONFIG_RATE_BURST_DEFAULT,
                              .log_level = LOG_LEVEL_INFO};
}

/* ---- values ---- */

static enum err set_path(char *out, const char *key, const char *value, struct fault *fault)
{
    if (value[0] == '\0' || strlen(value) >= CONFIG_PATH_SIZE)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", key), ERR_CONFIG,
             "a path of 1..%d bytes is expected", CONFIG_PATH_SIZE - 1);
    memcpy(out, value, strlen(value) + 1);
    return ERR_OK;
}

static bool uint_parse(const char *text, uint64_t max, uint64_t *out)
{
    uint64_t value = 0;
    const size_t len = strlen(text);
    if (len < 1 || len > 18 || strspn(text, "0123456789") != len || (len > 1 && text[0] == '0'))
        return false;
    for (size_t i = 0; i < len; i++)
        value = value * 10 + (uint64_t)(text[i] - '0');
    *out = value;
    return value <= max;
}

static enum err set_uint(uint64_t *out, const struct row *row, const char *value,
                         struct fault *fault)
{
    uint64_t number = 0;
    if (!uint_parse(value, row->max, &number) || number < row->min)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", row->key), ERR_CONFIG,
             "a number from %llu to %llu is expected, not \"%.40s\"", (unsigned long long)row->min,
             (unsigned long long)row->max, value);
    *out = number;
    return ERR_OK;
}

/* HOST:PORT, with brackets around a host that holds colons itself.  Whether there is
 * such a host is found out where it is listened on. */
static bool address_valid(const char *text)
{
    uint64_t port;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || strlen(text) >= CONFIG_ADDRESS_SIZE ||
        !uint_parse(colon + 1, 65535, &port))
        return false;
    struct bytes host = bytes_of(text, (size_t)(colon - text));
    const bool bracketed = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (bracketed)
        host = bytes_of(host.ptr + 1, host.len - 2);
    const bool has_colon = memchr(host.ptr, ':', host.len) != NULL;
    const bool has_bracket =
        memchr(host.ptr, '[', host.len) != NULL || memchr(host.ptr, ']', host.len) != NULL;
    return host.len > 0 && bracketed == has_colon && !has_bracket &&
           strcspn(text, " \t/") == strlen(text);
}

static enum err set_address(char *out, const char *key, const char *value, struct fault *fault)
{
    if (!address_valid(value))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", key), ERR_CONFIG,
             "HOST:PORT is expected, such as 127.0.0.1:8443 or [::1]:8443, not \"%.80s\"", value);
    memcpy(out, value, strlen(value) + 1);
    return ERR_OK;
}

static bool holds_pcr(const char *key)
{
    for (; *key != '\0'; key++) {
        if ((key[0] == 'p' || key[0] == 'P') && (key[1] == 'c' || key[1] == 'C') &&
            (key[2] == 'r' || key[2] == 'R'))
            return true;
    }
    return false;
}

/* "a_new_field, another": cut at the commas, blanks around them dropped. */
static enum err set_tolerate(struct config *config, const char *key, const char *value,
                             struct fault *fault)
{
    if (strlen(value) >= sizeof config->tolerate_text)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", key), ERR_CONFIG, "longer than %zu bytes",
             sizeof config->tolerate_text - 1);
    memcpy(config->tolerate_text, value, strlen(value) + 1);
    config->tolerate_count = 0;
    char *rest = NULL;
    for (char *name = strtok_r(config->tolerate_text, ", \t", &rest); name != NULL;
         name = strtok_r(NULL, ", \t", &rest)) {
        /* DESIGN section 4: never one that looks like PCRs. */
        if (holds_pcr(name))
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", key), ERR_CONFIG,
                 "\"%.40s\" looks like PCRs, which are never passed over", name);
        if (config->tolerate_count == CONFIG_TOLERATE_MAX)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", key), ERR_CONFIG, "more than %d names",
                 CONFIG_TOLERATE_MAX);
        config->tolerate[config->tolerate_count++] = name;
    }
    return ERR_OK;
}

static enum err set_level(enum log_level *out, const char *key, const char *value,
                          struct fault *fault)
{
    static const char *const names[] = {
        [LOG_LEVEL_ERROR] = "error",
        [LOG_LEVEL_WARN] = "warn",
        [LOG_LEVEL_INFO] = "info",
        [LOG_LEVEL_DEBUG] = "debug",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(names[i], value) == 0) {
            *out = (enum log_level)i;
            return ERR_OK;
        }
    }
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", key), ERR_CONFIG,
         "error, warn, info or debug is expected, not \"%.40s\"", value);
}

static enum err set_value(struct config *config, const struct row *row, const char *value,
                          struct fault *fault)
{
    char *place = (char *)config + row->offset;
    switch (row->kind) {
    case KIND_PATH:
        return set_path(place, row->key, value, fault);
    case KIND_ADDRESS:
        return set_address(place, row->key, value, fault);
    case KIND_UINT:
        return set_uint((uint64_t *)(void *)place, row, value, fault);
    case KIND_KEYS:
        return set_tolerate(config, row->key, value, fault);
    case KIND_LEVEL:
        break;
    }
    return set_level(&config->log_level, row->key, value, fault);
}

enum err config_set(struct config *config, const char *key, const char *value, struct fault *fault)
{
    struct nearest nearest = {.word = key};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (strcmp(rows[i].key, key) == 0) {
            TRY(set_value(config, &rows[i], value, fault));
            config->given |= UINT64_C(1) << i;
            return ERR_OK;
        }
        nearest_offer(&nearest, rows[i].key);
    }
    if (nearest.best != NULL)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%.60s", key), ERR_CONFIG,
             "unknown setting; did you mean \"%s\"?", nearest.best);
    FAIL(fault_at(fault, FAULT_NO_OFFSET, "%.60s", key), ERR_CONFIG, "unknown setting");
}

/* ---- the file ---- */

static struct bytes trim(struct bytes text)
{
    while (text.len > 0 && strchr(" \t\r", text.ptr[text.len - 1]) != NULL)
        text.len--;
    while (text.len > 0 && strchr(" \t", text.ptr[0]) != NULL)
        text = bytes_of(text.ptr + 1, text.len - 1);
    return text;
}

static enum err text_of(struct bytes from, struct buf *buf, const char **out)
{
    TRY(buf_append(buf, from));
    *out = buf_text(buf);
    return *out == NULL ? ERR_NO_MEMORY : ERR_OK;
}

static enum err parse_line(struct config *config, struct bytes line, uint64_t *seen,
                           struct fault *fault)
{
    CLEANUP(buf_free) struct buf key_buf = {0};
    CLEANUP(buf_free) struct buf value_buf = {0};
    const char *key;
    const char *value;
    if (line.len == 0 || line.ptr[0] == '#' || line.ptr[0] == ';')
        return ERR_OK;
    if (line.ptr[0] == '[')
        FAIL(fault, ERR_CONFIG, "there are no sections: lines are KEY = VALUE");
    const uint8_t *equals = memchr(line.ptr, '=', line.len);
    if (equals == NULL)
        FAIL(fault, ERR_CONFIG, "KEY = VALUE is expected");
    const size_t split = (size_t)(equals - line.ptr);
    TRY(text_of(trim(bytes_of(line.ptr, split)), &key_buf, &key));
    TRY(text_of(trim(bytes_of(equals + 1, line.len - split - 1)), &value_buf, &value));
    TRY(config_set(config, key, value, fault));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const uint64_t bit = UINT64_C(1) << i;
        if (strcmp(rows[i].key, key) != 0)
            continue;
        if ((*seen & bit) != 0)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", key), ERR_CONFIG, "given twice");
        *seen |= bit;
    }
    return ERR_OK;
}

/* The place goes in front of what is wrong: "vouchsafe.conf:3: tls_crt". */
static enum err name_line(enum err err, const char *name, unsigned number, struct fault *fault)
{
    if (fault == NULL || fault->code != err)
        return err;
    char field[sizeof fault->field];
    memcpy(field, fault->field, sizeof field);
    fault_at(fault, FAULT_NO_OFFSET, "%.40s:%u%s%.40s", name, number, field[0] == '\0' ? "" : ": ",
             field);
    return err;
}

enum err config_parse(struct config *config, struct bytes text, const char *name,
                      struct fault *fault)
{
    uint64_t seen = 0;
    unsigned number = 0;
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", name), ERR_CONFIG, "not a text file");
    while (text.len > 0) {
        const uint8_t *newline = memchr(text.ptr, '\n', text.len);
        const size_t len = newline == NULL ? text.len : (size_t)(newline - text.ptr);
        number++;
        const enum err err = parse_line(config, trim(bytes_of(text.ptr, len)), &seen, fault);
        if (err != ERR_OK)
            return name_line(err, name, number, fault);
        const size_t used = newline == NULL ? len : len + 1;
        text = bytes_of(text.ptr + used, text.len - used);
    }
    return ERR_OK;
}

/* ---- all of it ---- */

static enum err default_path(const struct config *config, char *path, const char *file,
                             struct fault *fault)
{
    if (path[0] != '\0')
        return ERR_OK;
    if (snprintf(path, CONFIG_PATH_SIZE, "%s/%s", config->state, file) >= CONFIG_PATH_SIZE)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "state"), ERR_CONFIG, "the path is too long");
    return ERR_OK;
}

enum err config_make_absolute(char *path, size_t size)
{
    char joined[2 * CONFIG_PATH_SIZE];
    if (path[0] == '/')
        return ERR_OK;
    if (getcwd(joined, sizeof joined) == NULL)
        return errno == ERANGE ? ERR_TOO_LARGE : ERR_FILE;
    /* "./state" and "state" are one name in the server's log, and shorter. */
    while (strncmp(path, "./", 2) == 0)
        memmove(path, path + 2, strlen(path + 2) + 1);
    size_t used = strlen(joined);
    if (used > 1)
        joined[used++] = '/'; /* in place of the NUL */
    const size_t len = strlen(path) + 1;
    if (used + len > size || used + len > sizeof joined)
        return ERR_TOO_LARGE;
    memcpy(joined + used, path, len);
    memcpy(path, joined, used + len);
    return ERR_OK;
}

static enum err set_absolute(char *path, const char *key, struct fault *fault)
{
    const enum err err = config_make_absolute(path, CONFIG_PATH_SIZE);
    if (err != ERR_OK)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", key), ERR_CONFIG,
             err == ERR_TOO_LARGE ? "the path is too long, seen from the root"
                                  : "relative to a directory that cannot be named");
    return ERR_OK;
}

/* The kernel's limit, told by the name of the setting. */
static enum err set_socket(struct config *config, struct fault *fault)
{
    TRY(set_absolute(config->admin_socket, "admin_socket", fault));
    if (strlen(config->admin_socket) >= sizeof((struct sockaddr_un *)0)->sun_path)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "admin_socket"), ERR_CONFIG,
             "a socket's path has at most %zu bytes, this one has %zu: %s",
             sizeof((struct sockaddr_un *)0)->sun_path - 1, strlen(config->admin_socket),
             config->admin_socket);
    return ERR_OK;
}

static enum err check_pair(const char *cert_key, const char *cert, const char *key_key,
                           const char *key, struct fault *fault)
{
    if ((cert[0] == '\0') != (key[0] == '\0'))
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "%s", cert[0] == '\0' ? cert_key : key_key),
             ERR_CONFIG, "%s and %s belong together", cert_key, key_key);
    return ERR_OK;
}

enum err config_finish(struct config *config, struct fault *fault)
{
    if (config->state[0] == '\0')
        strcpy(config->state, CONFIG_STATE_DEFAULT);
    if (config->listen[0] == '\0')
        strcpy(config->listen, CONFIG_LISTEN_DEFAULT);
    TRY(set_absolute(config->state, "state", fault));
    TRY(default_path(config, config->admin_socket, "admin.sock", fault));
    TRY(default_path(config, config->master_key, "master.key", fault));
    TRY(set_socket(config, fault));
    TRY(check_pair("tls_cert", config->tls_cert, "tls_key", config->tls_key, fault));
    TRY(check_pair("admin_tls_cert", config->admin_tls_cert, "admin_tls_key", config->admin_tls_key,
                   fault));
    if (config->admin_listen[0] != '\0' && config->admin_tls_cert[0] == '\0')
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "admin_listen"), ERR_CONFIG,
             "needs admin_tls_cert and admin_tls_key: tokens do not travel in the clear");
    if (config->admin_listen[0] == '\0' && config->admin_tls_cert[0] != '\0')
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "admin_tls_cert"), ERR_CONFIG,
             "is of no use without admin_listen");
    if (config->rate_per_s > config->rate_burst)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "rate_burst"), ERR_CONFIG,
             "must be at least rate_per_s, which is %llu", (unsigned long long)config->rate_per_s);
    return ERR_OK;
}

bool config_is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]:", 6) == 0 ||
           strncmp(address, "localhost:", 10) == 0;
}
