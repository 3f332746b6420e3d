/* The server's settings: /etc/vouchsafe/vouchsafe.conf and the flags of `serve`.
 *
 * One table names each setting, its limits and its place; a flag is the same name with
 * `-` for `_` and wins over the file.  The file is lines `key = value`; `#` or `;`
 * begins a comment line; a value goes to the end of its line as it stands.  Unknown
 * keys are refused with the nearest known one, a key given twice is refused.
 * Holds no secret: keys are named by path. */
#ifndef VOUCHSAFE_CONFIG_H
#define VOUCHSAFE_CONFIG_H

#include "common/bytes.h"
#include "common/log.h"

#define CONFIG_FILE_DEFAULT  "/etc/vouchsafe/vouchsafe.conf"
#define CONFIG_STATE_DEFAULT "/var/lib/vouchsafe"
#define CONFIG_FILE_MAX      65536
#define CONFIG_PATH_SIZE     1024
#define CONFIG_TOLERATE_MAX  16

#define CONFIG_ADDRESS_SIZE (256 + sizeof "[]:65535")

/* What holds where nothing is set; front.h and the help text take them from here. */
#define CONFIG_LISTEN_DEFAULT      "127.0.0.1:8443"
#define CONFIG_THREADS_DEFAULT     8
#define CONFIG_CONNECTIONS_DEFAULT 512
#define CONFIG_PER_ADDRESS_DEFAULT 64
#define CONFIG_RATE_PER_S_DEFAULT  50
#define CONFIG_RATE_BURST_DEFAULT  200

struct config {
    uint64_t given; /* bit i: row i was set, by file or flag */
    char state[CONFIG_PATH_SIZE];
    char listen[CONFIG_ADDRESS_SIZE]; /* "127.0.0.1:8443", "[::1]:8443"; port 0: any */
    char tls_cert[CONFIG_PATH_SIZE];  /* PEM chain; "" for plain HTTP */
    char tls_key[CONFIG_PATH_SIZE];
    char admin_socket[CONFIG_PATH_SIZE];
    char admin_listen[CONFIG_ADDRESS_SIZE]; /* TLS only; "" for none */
    char admin_tls_cert[CONFIG_PATH_SIZE];
    char admin_tls_key[CONFIG_PATH_SIZE];
    char master_key[CONFIG_PATH_SIZE];  /* a path, or "credential:NAME" */
    char anchor_file[CONFIG_PATH_SIZE]; /* "" for none */
    uint64_t threads;
    uint64_t connections;             /* of one listener */
    uint64_t connections_per_address; /* 0: no limit */
    uint64_t rate_per_s;              /* requests of one address; 0: no limit */
    uint64_t rate_burst;
    char tolerate_text[512];                   /* tolerate_payload_keys, cut at its commas */
    const char *tolerate[CONFIG_TOLERATE_MAX]; /* into the text: do not copy the struct */
    size_t tolerate_count;
    enum log_level log_level;
};

/* The i-th setting's name, "tls_cert"; NULL after the last. */
const char *config_key(size_t i);

/* Everything unset: begin with this. */
void config_init(struct config *config);
/* Sets one value; the last one wins.  ERR_CONFIG names the key and what it takes. */
MUST_CHECK enum err config_set(struct config *config, const char *key, const char *value,
                               struct fault *fault);
/* Reads a settings file; `name` stands for it in errors, which name the line.
 * ERR_CONFIG; ERR_NO_MEMORY. */
MUST_CHECK enum err config_parse(struct config *config, struct bytes text, const char *name,
                                 struct fault *fault);
/* Fills in what was left out, makes `state` and `admin_socket` absolute, and checks what
 * must go together.  ERR_CONFIG. */
MUST_CHECK enum err config_finish(struct config *config, struct fault *fault);

/* `path` as seen from the root, where it is a relative one: a Unix socket's address must be
 * (the directory that the program runs in may change, and a client's is another).
 * ERR_TOO_LARGE where `size` bytes do not hold it; ERR_FILE. */
MUST_CHECK enum err config_make_absolute(char *path, size_t size);

/* Whether the host of "host:port" is this machine's own: 127.0.0.0/8, ::1, localhost. */
bool config_is_loopback(const char *address);

#endif
