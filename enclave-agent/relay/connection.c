#include "connection.h"

#include <stdlib.h>

#include "common/fd_cleanup.h"

struct connection *connection_new(int fd, struct quota *quota, bool logs)
{
    struct connection *c = calloc(1, sizeof *c);
    struct line *line = logs ? calloc(1, sizeof *line) : NULL;
    if (c == NULL || (logs && line == NULL)) {
        free(c);
        free(line);
        fd_close(&fd);
        return NULL;
    }
    c->quota = quota;
    c->line = line;
    c->watch[SIDE_ENCLAVE] = (struct watch){.fd = fd, .kind = SIDE_ENCLAVE, .owner = c};
    c->watch[SIDE_VERIFIER] = (struct watch){.fd = -1, .kind = SIDE_VERIFIER, .owner = c};
    return c;
}

void connection_free(struct connection *connection)
{
    if (connection == NULL)
        return;
    fd_close(&connection->watch[SIDE_ENCLAVE].fd);
    fd_close(&connection->watch[SIDE_VERIFIER].fd);
    flows_free(&connection->flows);
    free(connection->line);
    free(connection);
}

void connection_link(struct connection *head, struct connection *connection)
{
    connection->next = head->next;
    connection->previous = head;
    head->next->previous = connection;
    head->next = connection;
}

void connection_unlink(struct connection *connection)
{
    connection->previous->next = connection->next;
    connection->next->previous = connection->previous;
}
