#include "handover.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver.h"

#define PATH_TEXT_MAX 4096

void handover_undo(struct handover *handover)
{
    for (size_t i = 0; i < handover->fd_count; i++)
        close(handover->fd[i]);
    for (size_t i = 0; i < handover->file_count; i++) {
        unlink(handover->file[i]);
        free(handover->file[i]);
    }
    *handover = (struct handover){0};
}

static enum err set_variable(const char *name, const char *value, struct fault *fault)
{
    char variable[DELIVER_VARIABLE_MAX];
    deliver_variable(name, variable);
    if (setenv(variable, value, 1) != 0)
        FAIL(fault, ERR_DELIVER, "the variable %s could not be set", variable);
    return ERR_OK;
}

static enum err as_file(const char *dir, const struct answer_secret *item,
                        struct handover *handover, struct fault *fault)
{
    char path[PATH_TEXT_MAX];
    if (snprintf(path, sizeof path, "%s/%s", dir, item->name) >= (int)sizeof path)
        FAIL(fault, ERR_DELIVER, "the path of %.60s is too long", item->name);
    char *copy = strdup(path);
    if (copy == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for a path");
    const enum err err = deliver_file(dir, item->name, item->value, fault);
    if (err != ERR_OK) {
        free(copy);
        return err;
    }
    handover->file[handover->file_count++] = copy;
    return set_variable(item->name, path, fault);
}

static enum err as_memfd(const struct answer_secret *item, struct handover *handover,
                         struct fault *fault)
{
    int fd = -1;
    TRY(deliver_memfd(item->name, item->value, &fd, fault));
    handover->fd[handover->fd_count++] = fd;
    TRY(deliver_inherit(fd, fault));
    char path[sizeof "/proc/self/fd/" + 12];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return set_variable(item->name, path, fault);
}

enum err hand_over(const struct settings *settings, const struct answer_opened *opened,
                   struct handover *handover, struct fault *fault)
{
    for (size_t i = 0; i < opened->count; i++) {
        const struct answer_secret *item = &opened->item[i];
        if (settings->dir != NULL)
            TRY(as_file(settings->dir, item, handover, fault));
        else
            TRY(as_memfd(item, handover, fault));
    }
    return ERR_OK;
}

enum err hand_over_again(const struct settings *settings, const struct answer_opened *opened,
                         enum err (*replaced)(int to, struct fault *fault), int to,
                         struct fault *fault)
{
    for (size_t i = 0; i < opened->count; i++) {
        const struct answer_secret *item = &opened->item[i];
        if (deliver_holds(settings->dir, item->name, item->value))
            continue;
        TRY(deliver_file(settings->dir, item->name, item->value, fault));
        TRY(replaced(to, fault));
    }
    return ERR_OK;
}

void handover_withdraw(const struct settings *settings)
{
    char path[PATH_TEXT_MAX];
    for (size_t i = 0; settings->dir != NULL && i < settings->wanted.count; i++) {
        snprintf(path, sizeof path, "%s/%s", settings->dir, settings->wanted.item[i].name);
        unlink(path);
    }
}
