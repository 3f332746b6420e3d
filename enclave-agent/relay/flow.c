#include "flow.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

static int other(int side)
{
    return side == SIDE_ENCLAVE ? SIDE_VERIFIER : SIDE_ENCLAVE;
}

static void let_go(struct flow *flow)
{
    free(flow->held);
    flow->held = NULL;
    flow->held_len = flow->held_at = 0;
}

/* As much as the other side takes; the number of bytes that are done with. */
static size_t send_on(struct flow *flow, int to, struct bytes bytes)
{
    const ssize_t n = send(to, bytes.ptr, bytes.len, MSG_NOSIGNAL);
    if (n >= 0)
        return (size_t)n;
    if (errno == EAGAIN || errno == EINTR)
        return 0;
    flow->refused = true;
    return bytes.len;
}

static void pass_end_on(struct flow *flow, int to)
{
    if (!flow->ended || flow->held != NULL || flow->passed_on)
        return;
    flow->passed_on = true;
    (void)shutdown(to, SHUT_WR); /* a side that is gone needs no end */
}

static bool hold(struct flow *flow, struct bytes rest)
{
    flow->held = malloc(rest.len);
    if (flow->held == NULL)
        return false;
    memcpy(flow->held, rest.ptr, rest.len);
    flow->held_len = rest.len;
    return true;
}

bool flows_readable(struct flows *flows, int side)
{
    static uint8_t bytes[FLOW_READ_MAX]; /* one thread; nothing stays here */
    struct flow *flow = &flows->from[side];
    const int to = flows->fd[other(side)];
    if (!flows_wants_read(flows, side))
        return true;
    const ssize_t n = recv(flows->fd[side], bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n > 0 && !flow->refused) {
        const size_t sent = send_on(flow, to, bytes_of(bytes, (size_t)n));
        if (sent < (size_t)n && !hold(flow, bytes_of(bytes + sent, (size_t)n - sent)))
            return false;
    }
    flow->ended = n <= 0;
    pass_end_on(flow, to);
    return true;
}

void flows_writable(struct flows *flows, int side)
{
    struct flow *flow = &flows->from[other(side)];
    if (flow->held == NULL)
        return;
    flow->held_at += send_on(flow, flows->fd[side],
                             bytes_of(flow->held + flow->held_at, flow->held_len - flow->held_at));
    if (flow->held_at == flow->held_len)
        let_go(flow);
    pass_end_on(flow, flows->fd[side]);
}

bool flows_wants_read(const struct flows *flows, int side)
{
    return !flows->from[side].ended && flows->from[side].held == NULL;
}

bool flows_wants_write(const struct flows *flows, int side)
{
    return flows->from[other(side)].held != NULL;
}

static bool is_done(const struct flow *flow)
{
    return flow->ended && flow->held == NULL;
}

bool flows_over(const struct flows *flows)
{
    return is_done(&flows->from[SIDE_ENCLAVE]) && is_done(&flows->from[SIDE_VERIFIER]);
}

bool flows_lingering(const struct flows *flows)
{
    const struct flow *from = flows->from;
    return (from[SIDE_ENCLAVE].refused && is_done(&from[SIDE_VERIFIER])) ||
           (from[SIDE_VERIFIER].refused && is_done(&from[SIDE_ENCLAVE]));
}

void flows_free(struct flows *flows)
{
    let_go(&flows->from[SIDE_ENCLAVE]);
    let_go(&flows->from[SIDE_VERIFIER]);
}
