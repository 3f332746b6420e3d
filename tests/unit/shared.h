/* Test data that others recorded or published: read where it lies, never copied.
 *
 * It lies in $VOUCHSAFE_SHARED, or in ../shared beside the source tree.  A test file
 * that needs some of it says so once, SHARED_DEMAND("vectors/cose"): without it the
 * whole binary is skipped (exit 77) and says so, and fails where CI is set. */
#ifndef VOUCHSAFE_SHARED_H
#define VOUCHSAFE_SHARED_H

#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

#define SHARED_PATH_MAX 4096

static inline void shared_path(const char *name, char out[static SHARED_PATH_MAX])
{
    const char *shared = getenv("VOUCHSAFE_SHARED");
    const char *source = getenv("VOUCHSAFE_SOURCE");
    int len = -1;
    if (shared != NULL)
        len = snprintf(out, SHARED_PATH_MAX, "%s/%s", shared, name);
    else if (source != NULL)
        len = snprintf(out, SHARED_PATH_MAX, "%s/../shared/%s", source, name);
    if (len < 0 || len >= SHARED_PATH_MAX)
        out[0] = '\0';
}

static inline void shared_demand(const char *name)
{
    char path[SHARED_PATH_MAX];
    shared_path(name, path);
    if (access(path, R_OK) == 0)
        return;
    const char *ci = getenv("CI");
    const bool must = ci != NULL && strcmp(ci, "true") == 0;
    fprintf(stderr, "%s: no test data at \"%s\" (set VOUCHSAFE_SHARED)\n",
            must ? "FAILED" : "SKIPPED", path);
    exit(must ? EXIT_FAILURE : 77);
}

#define SHARED_DEMAND(name)                                               \
    __attribute__((constructor)) static void shared_demand_at_start(void) \
    {                                                                     \
        shared_demand(name);                                              \
    }

/* A whole file; the caller frees. */
static inline void shared_read(const char *name, struct buf *out)
{
    char path[SHARED_PATH_MAX];
    shared_path(name, path);
    struct fault fault = FAULT_NONE;
    ck_assert_msg(file_read(path, SIZE_MAX, out, &fault) == ERR_OK, "%s", fault.detail);
}

/* The caller owns the result. */
static inline json_t *shared_json(const char *name)
{
    char path[SHARED_PATH_MAX];
    shared_path(name, path);
    json_error_t error;
    json_t *json = json_load_file(path, 0, &error);
    ck_assert_msg(json != NULL, "%s:%d: %s", path, error.line, error.text);
    return json;
}

/* A text member; the test fails where it is missing. */
static inline const char *shared_text(const json_t *object, const char *member)
{
    const char *text = json_string_value(json_object_get(object, member));
    ck_assert_msg(text != NULL, "no text member %s", member);
    return text;
}

#endif
