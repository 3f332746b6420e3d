#include "approval.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/protocol.h"
#include "show.h"

#define PATH_SHOW   "/v1/admin/measurement"
#define PAUSE_MAX_S 15

static enum err ask(const struct api *api, const json_t *build, json_t **answer,
                    struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    TRY(api_set(params, "image", json_incref(json_object_get(build, "image"))));
    TRY(api_set(params, "version", json_incref(json_object_get(build, "version"))));
    return api_call(api, "GET", PATH_SHOW, params, answer, fault);
}

enum err approval_check(const struct api *api, const json_t *build, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const enum err err = ask(api, build, &answer, fault);
    if (err == ERR_NOT_FOUND) { /* it will be registered */
        fault_clear(fault);
        return ERR_OK;
    }
    if (err == ERR_FORBIDDEN)
        FAIL(fault, err, "--wait asks how the build is: this token needs the right view");
    return err;
}

static enum err read_clock(uint64_t *out_ms, struct fault *fault)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0)
        FAIL(fault, ERR_INTERNAL, "there is no clock: %s", strerror(errno));
    *out_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
    return ERR_OK;
}

/* On a terminal one line, written over and over.  In a pipeline's log the first alone, with what
 * to do: whoever reads it wants to know what the job waits for. */
static void say(const char *build, const char *state, uint64_t left_s, bool first)
{
    if (isatty(STDERR_FILENO) != 1) {
        if (first)
            fprintf(stderr,
                    "%s: %s; waiting, %llu min at most, for somebody to run "
                    "`vouchsafe measurement activate %s`\n",
                    build, state, (unsigned long long)(left_s + 59) / 60, build);
        (void)fflush(stderr);
        return;
    }
    fprintf(stderr, "\r\033[K");
    if (state != NULL)
        fprintf(stderr, "%s: %s; waiting for somebody to activate it, %llu min left", build, state,
                (unsigned long long)(left_s + 59) / 60);
    (void)fflush(stderr);
}

static bool is_passing(enum err err)
{
    return err == ERR_UNREACHABLE || err == ERR_TIMEOUT || err == ERR_BUSY || err == ERR_TOO_FAST;
}

/* Looks once: whether the wait is over. */
static enum err look(const struct api *api, const json_t *build, const char *name,
                     json_t **measurement, char state[static 16], struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const enum err err = ask(api, build, &answer, fault);
    snprintf(state, 16, "%s", "not answered");
    if (is_passing(err)) {
        fault_clear(fault);
        return ERR_OK;
    }
    TRY(err);
    json_t *m = json_object_get(answer, "measurement");
    snprintf(state, 16, "%s", show_text(m, "state"));
    if (strcmp(state, "draft") == 0)
        return ERR_OK;
    if (strcmp(state, "active") != 0 && strcmp(state, "deprecated") != 0)
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "state"), ERR_WRONG_STATE,
             "%s is %s: it was not approved", name, state);
    *measurement = json_incref(m);
    return ERR_OK;
}

enum err approval_wait(const struct api *api, const json_t *build, uint64_t timeout_s,
                       json_t **measurement, struct fault *fault)
{
    char name[PROTOCOL_BUILD_MAX + 1];
    char state[16];
    uint64_t begin_ms;
    uint64_t now_ms;
    unsigned pause_s = 1;
    snprintf(name, sizeof name, "%s@%s", show_text(build, "image"), show_text(build, "version"));
    TRY(read_clock(&begin_ms, fault));
    *measurement = NULL;
    for (;;) {
        const enum err err = look(api, build, name, measurement, state, fault);
        if (err != ERR_OK || *measurement != NULL) {
            say(name, NULL, 0, false);
            return err;
        }
        TRY(read_clock(&now_ms, fault));
        if (now_ms - begin_ms >= timeout_s * 1000) {
            say(name, NULL, 0, false);
            FAIL(fault, ERR_TIMEOUT, "%s is still %s; the same command again goes on waiting", name,
                 strcmp(state, "draft") == 0 ? "a draft" : state);
        }
        const uint64_t left_ms = timeout_s * 1000 - (now_ms - begin_ms);
        const uint64_t pause_ms = left_ms < pause_s * 1000 ? left_ms : pause_s * 1000;
        say(name, state, (left_ms + 999) / 1000, pause_s == 1);
        const struct timespec pause = {.tv_sec = (time_t)(pause_ms / 1000),
                                       .tv_nsec = (long)(pause_ms % 1000) * 1000000};
        nanosleep(&pause, NULL); /* cut short by a signal: asks sooner */
        pause_s = pause_s * 2 > PAUSE_MAX_S ? PAUSE_MAX_S : pause_s * 2;
    }
}
