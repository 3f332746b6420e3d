#include "front.h"

#include <signal.h>
#include <stdlib.h>

#include "common/log.h"
#include "server.h"

#define THREADS_MAX     256
#define CONNECTIONS_MAX 65536

struct front {
    struct serving serving;
    size_t server_count;
    struct server *server[FRONT_LISTENERS_MAX];
};

static void front_free(struct front *front)
{
    /* All of them stop taking connections before the first one is ended. */
    for (size_t i = 0; i < front->server_count; i++)
        server_quiesce(front->server[i]);
    for (size_t i = 0; i < front->server_count; i++)
        server_free(front->server[i]);
    serving_free(&front->serving);
    free(front);
}
CLEANUP_PTR(struct front, front_free, front_freep)

static enum err check_listener(const struct front_listener *listener, struct fault *fault)
{
    const bool is_unix = listener->address != NULL && strncmp(listener->address, "unix:", 5) == 0;
    fault_at(fault, FAULT_NO_OFFSET, "%s", listener->address == NULL ? "" : listener->address);
    if (listener->address == NULL)
        FAIL(fault, ERR_CONFIG, "a listener without an address");
    if (listener->audience != FRONT_PUBLIC && listener->audience != FRONT_ADMIN)
        FAIL(fault, ERR_CONFIG, "a listener is either public or admin");
    if ((listener->tls_certificate == NULL) != (listener->tls_key == NULL))
        FAIL(fault, ERR_CONFIG, "a TLS certificate and its key are given together");
    if (is_unix && listener->tls_key != NULL)
        FAIL(fault, ERR_CONFIG, "a Unix socket takes no TLS");
    if (!is_unix && listener->audience == FRONT_ADMIN && listener->tls_key == NULL)
        FAIL(fault, ERR_CONFIG,
             "an admin listener on TCP needs a TLS certificate: its tokens would travel in the "
             "clear");
    return ERR_OK;
}

static enum err check_options(const struct front_options *options, struct fault *fault)
{
    if (options->listener_count < 1 || options->listener_count > FRONT_LISTENERS_MAX)
        FAIL(fault, ERR_CONFIG, "1..%d listeners are expected", FRONT_LISTENERS_MAX);
    if (options->threads < 2 || options->threads > THREADS_MAX)
        FAIL(fault, ERR_CONFIG, "2..%d threads are expected", THREADS_MAX);
    if (options->connections < 1 || options->connections > CONNECTIONS_MAX)
        FAIL(fault, ERR_CONFIG, "1..%d connections are expected", CONNECTIONS_MAX);
    if (options->header_timeout_ms == 0 || options->body_timeout_ms == 0 ||
        options->answer_timeout_ms == 0 || options->idle_timeout_ms == 0)
        FAIL(fault, ERR_CONFIG, "a timeout is at least one millisecond");
    for (size_t i = 0; i < options->listener_count; i++)
        TRY(check_listener(&options->listener[i], fault));
    fault_clear(fault);
    return ERR_OK;
}

static enum err start_servers(struct front *front, const struct front_options *options,
                              struct fault *fault)
{
    for (size_t i = 0; i < options->listener_count; i++) {
        const struct front_listener *listener = &options->listener[i];
        TRY(server_start(&front->serving, listener, &front->server[i], fault));
        front->server_count++;
        log_event(LOG_LEVEL_INFO, "http.listening", "for=%s address=%s port=%u tls=%s",
                  listener->audience == FRONT_PUBLIC ? "public" : "admin", LOG_Q(listener->address),
                  server_port(front->server[i]), listener->tls_key == NULL ? "no" : "yes");
    }
    fault_clear(fault);
    return ERR_OK;
}

enum err front_start(const struct front_options *options, struct warden *warden, struct front **out,
                     struct fault *fault)
{
    sigset_t all;
    sigset_t before;
    TRY(check_options(options, fault));
    struct front *made = calloc(1, sizeof *made);
    if (made == NULL)
        return ERR_NO_MEMORY;
    CLEANUP(front_freep) struct front *front = made;
    /* Signals are for the program's own thread: the ones made here inherit this mask. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    enum err err = serving_init(&front->serving, options, warden, fault);
    if (err == ERR_OK)
        err = start_servers(front, options, fault);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    TRY(err);
    *out = TAKE(front);
    return ERR_OK;
}

uint16_t front_port(const struct front *front, size_t listener)
{
    return listener < front->server_count ? server_port(front->server[listener]) : 0;
}

enum err front_stop(struct front *front, unsigned deadline_ms)
{
    atomic_store(&front->serving.stopping, true);
    for (size_t i = 0; i < front->server_count; i++)
        server_quiesce(front->server[i]);
    const bool idle = serving_wait_idle(&front->serving, deadline_ms);
    if (!idle)
        log_event(LOG_LEVEL_WARN, "http.stop", "running requests are cut off after %u ms",
                  deadline_ms);
    front_free(front);
    return idle ? ERR_OK : ERR_TIMEOUT;
}
