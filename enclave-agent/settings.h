/* What the agent is told: options, and a configuration file with the same names.
 *
 * Both are part of the measured image or of its start, so they are trusted; mistakes in
 * them are refused with the nearest known word.  An option given on the command line
 * replaces all that the file says under its name.  DESIGN section 8. */
#ifndef VOUCHSAFE_AGENT_SETTINGS_H
#define VOUCHSAFE_AGENT_SETTINGS_H

#include "common/options.h"
#include "delivery_plan.h"
#include "measure.h"
#include "memory_fs.h"
#include "refresh.h"
#include "session.h"

#define SETTINGS_ENTRIES_MAX 128
#define SETTINGS_FILE_MAX    65536

/* `key = value` lines; the strings live in `text`. */
struct settings_file {
    struct buf text;
    size_t count;
    struct {
        const char *key;
        const char *value;
    } entry[SETTINGS_ENTRIES_MAX];
};
void settings_file_free(struct settings_file *file);
/* Lines of `key = value`, blank ones, and comments that begin with # or ;.  Keys are the
 * options of `keys`; the value of a flag is yes or no.  ERR_CONFIG with the line's number. */
MUST_CHECK enum err settings_file_parse(struct bytes text, const struct cli_option *keys,
                                        struct settings_file *out, struct fault *fault);

/* Appends the value of the first line of that key, however wrong the others are; nothing where
 * there is none.  ERR_NO_MEMORY. */
MUST_CHECK enum err settings_file_find(struct bytes text, const char *key, struct buf *out);

/* What `run` and `fetch` need.  Strings are borrowed from argv and `file`. */
struct settings {
    struct settings_file file;
    struct session_plan plan; /* points into this struct: do not copy it */
    struct issuer_pins pins;
    uint8_t root[SHA256_LEN];
    struct wanted_list wanted;
    struct measure_plan measure;
    struct buf application;
    const char *dir; /* or NULL */
    const char *out; /* or NULL */
    /* Of `run` alone (settings_run.c). */
    const char **program;     /* at least its name, and NULL after its arguments */
    const char **environment; /* NAME=VALUE, and NULL after the last */
    struct delivery_plan deliveries;
    size_t memory_fs_count;
    struct memory_fs memory_fs[MEMORY_FS_MAX];
    struct refresh_plan refresh;
    int refresh_signal; /* 0: none */
    uint32_t parent_cid;
};
void settings_free(struct settings *settings);

extern const struct cli_option settings_options_run[];
extern const struct cli_option settings_options_fetch[];
extern const struct cli_option settings_options_pcrs[];

/* `only` is fetch's operand, NAME[@VERSION]; NULL: the secrets of --secret, and then a
 * floor for any other secret is a mistake.  ERR_USAGE, ERR_CONFIG, ERR_FILE.  `out` must
 * be empty, and is the caller's to free after a failure too. */
MUST_CHECK enum err settings_load(const struct cli_args *args, const char *only,
                                  struct settings *out, struct fault *fault);
/* The part of `run` alone; settings_load calls it. */
MUST_CHECK enum err settings_load_run(const struct cli_args *args, struct settings *out,
                                      struct fault *fault);
/* The values under a name one by one, from the command line where it is there at all; begin
 * with *next = 0.  NULL after the last.  settings_value: the first, or NULL. */
const char *settings_next(const struct cli_args *args, const struct settings_file *file,
                          const char *name, size_t *next);
const char *settings_value(const struct cli_args *args, const struct settings_file *file,
                           const char *name);
/* An option that takes no value: given, or `yes` in the file. */
bool settings_flag(const struct cli_args *args, const struct settings_file *file, const char *name);
/* Where the journal goes, or nothing in `where`; `program`: its output too.  Read before anything
 * else is judged, and from a file that may be wrong, so that what is wrong is seen from outside.
 * ERR_USAGE, ERR_NO_MEMORY. */
MUST_CHECK enum err settings_log(const struct cli_args *args, struct buf *where, bool *program,
                                 struct fault *fault);
/* Where the NSM is, for `pcrs`: from the option or the file; valid as long as both. */
MUST_CHECK enum err settings_nsm(const struct cli_args *args, struct settings_file *file,
                                 const char **out, struct fault *fault);

#endif
