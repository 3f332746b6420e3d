#include "line_print.h"

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

/* A pipe that is ready has room for PIPE_BUF bytes, more than a line has: this blocks on
 * nothing.  False where the line is lost. */
static bool write_line(const struct line *line, struct peer peer)
{
    char who[PEER_TEXT_SIZE];
    char text[PEER_TEXT_SIZE + LINE_MAX_LEN + 3];
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    const int len = snprintf(text, sizeof text, "%s %s\n", peer_text(peer, who), line->text);
    if (poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0)
        return false;
    return write(STDOUT_FILENO, text, (size_t)len) == len;
}

static void write_or_count(const struct line *line, struct quota *quota, int64_t now_ms)
{
    if (quota_line(quota, now_ms) && !write_line(line, quota->peer))
        quota->dropped++;
}

void line_print_whole(struct line *line, struct quota *quota, struct bytes bytes, int64_t now_ms)
{
    while (line_take(line, &bytes)) {
        write_or_count(line, quota, now_ms);
        line_begin(line);
    }
}

void line_print_rest(struct line *line, struct quota *quota, int64_t now_ms)
{
    if (line_end(line))
        write_or_count(line, quota, now_ms);
    line_begin(line);
}
