#include "handover.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal.h"

extern char **environ; /* POSIX has it in no header */

static void remove_file(const char *path)
{
    struct fault fault = FAULT_NONE;
    if (deliver_remove(path, &fault) != ERR_OK)
        journal_say("a secret stays behind: %s", fault.detail);
}

void handover_undo(struct handover *handover)
{
    for (size_t i = 0; i < handover->fd_count; i++)
        close(handover->fd[i]);
    for (size_t i = 0; i < handover->file_count; i++)
        remove_file(handover->file[i]);
    for (size_t i = 0; i < handover->variable_count; i++)
        secret_free(handover->variable[i]);
    *handover = (struct handover){0};
}

/* --- before --- */

PRINTF_LIKE(2, 3)
static void warn(void (*say)(const char *sentence), const char *fmt, ...)
{
    char sentence[400];
    va_list args;
    va_start(args, fmt);
    vsnprintf(sentence, sizeof sentence, fmt, args);
    va_end(args);
    say(sentence);
}

/* A release that could not be delivered would be counted all the same. */
static enum err look(const struct delivery *d, struct fault *fault)
{
    if (!delivery_is_file(d))
        return ERR_OK;
    return d->dir != NULL ? deliver_look_dir(d->dir, fault) : deliver_look(d->place, fault);
}

enum err handover_prepare(const struct settings *settings, void (*say)(const char *sentence),
                          struct fault *fault)
{
    for (size_t i = 0; i < settings->memory_fs_count; i++)
        TRY(memory_fs_mount(&settings->memory_fs[i], fault));
    for (size_t i = 0; i < settings->deliveries.count; i++) {
        const struct delivery *delivery = &settings->deliveries.item[i];
        TRY(look(delivery, fault));
        if (delivery->kind == DELIVERY_ENV)
            warn(say,
                 "warning: %.128s goes into the environment, as %.60s: /proc/PID/environ shows it, "
                 "every child inherits it, and reports of crashes hold it",
                 delivery->secret, delivery->place);
        if (delivery_is_file(delivery) && !memory_fs_holds(delivery->place))
            warn(say, "warning: %.200s is not in memory but on a disk; --tmpfs DIR mounts memory",
                 delivery->place);
    }
    return ERR_OK;
}

/* --- one delivery --- */

struct giving {
    const struct delivery *delivery;
    const struct answer_opened *opened;
    struct handover *made;
};

static const struct secret *find_value(const struct giving *g, struct fault *fault)
{
    for (size_t i = 0; i < g->opened->count; i++) {
        if (strcmp(g->opened->item[i].name, g->delivery->secret) == 0)
            return g->opened->item[i].value;
    }
    fault_set(fault, ERR_INTERNAL, "%.128s is to be delivered and was not asked for",
              g->delivery->secret);
    return NULL;
}

static enum err set_variable(const struct delivery *delivery, const char *value,
                             struct fault *fault)
{
    char variable[DELIVER_VARIABLE_MAX];
    if (delivery_variable(delivery, variable) && setenv(variable, value, 1) != 0)
        FAIL(fault, ERR_DELIVER, "the variable %s could not be set", variable);
    return ERR_OK;
}

static enum err give_memfd(const struct giving *g, struct fault *fault)
{
    const struct secret *value = find_value(g, fault);
    int fd = -1;
    if (value == NULL)
        return ERR_INTERNAL;
    TRY(deliver_memfd(g->delivery->secret, value, &fd, fault));
    g->made->fd[g->made->fd_count++] = fd;
    TRY(deliver_inherit(fd, fault));
    char path[sizeof "/proc/self/fd/" + 12];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return set_variable(g->delivery, path, fault);
}

/* What belongs into the file: the value, or `rendered`, which is the caller's. */
static enum err content(const struct giving *g, struct secret **rendered, const struct secret **out,
                        struct fault *fault)
{
    if (g->delivery->template_file != NULL) {
        TRY(template_render(g->delivery->template_file, g->opened, rendered, fault));
        *out = *rendered;
        return ERR_OK;
    }
    *out = find_value(g, fault);
    return *out == NULL ? ERR_INTERNAL : ERR_OK;
}

static enum err write_file(const struct delivery *d, const struct secret *value,
                           struct fault *fault)
{
    if (d->dir != NULL)
        return deliver_file(d->dir, d->secret, value, fault);
    return deliver_path(d->place, value, &d->access, fault);
}

static enum err give_file(const struct giving *g, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *rendered = NULL;
    const struct secret *value = NULL;
    TRY(content(g, &rendered, &value, fault));
    TRY(write_file(g->delivery, value, fault));
    g->made->file[g->made->file_count++] = g->delivery->place;
    return set_variable(g->delivery, g->delivery->place, fault);
}

static enum err give_env(const struct giving *g, struct fault *fault)
{
    const struct secret *value = find_value(g, fault);
    if (value == NULL)
        return ERR_INTERNAL;
    const struct bytes view = secret_view(value);
    const size_t name_len = strlen(g->delivery->place);
    if (view.len > 0 && memchr(view.ptr, '\0', view.len) != NULL)
        FAIL(fault, ERR_DELIVER,
             "%.100s has a NUL in it, which no environment can hold: deliver it as memfd or file",
             g->delivery->secret);
    struct secret *variable = NULL;
    if (secret_new(name_len + 1 + view.len + 1, &variable) != ERR_OK)
        FAIL(fault, ERR_NO_MEMORY, "no locked memory for a variable");
    g->made->variable[g->made->variable_count++] = variable;
    uint8_t *out = secret_ptr(variable); /* all zero */
    memcpy(out, g->delivery->place, name_len);
    out[name_len] = '=';
    secret_copy(out + name_len + 1, view);
    return ERR_OK;
}

static enum err (*const give[])(const struct giving *g, struct fault *fault) = {
    [DELIVERY_MEMFD] = give_memfd,
    [DELIVERY_FILE] = give_file,
    [DELIVERY_TEMPLATE] = give_file,
    [DELIVERY_ENV] = give_env,
};

/* --- all of them --- */

enum err hand_over(const struct settings *settings, const struct answer_opened *opened,
                   struct handover *handover, struct fault *fault)
{
    for (size_t i = 0; i < settings->deliveries.count; i++) {
        const struct giving g = {&settings->deliveries.item[i], opened, handover};
        TRY(give[g.delivery->kind](&g, fault));
    }
    return ERR_OK;
}

static const char *variable_text(const struct secret *variable)
{
    return (const char *)secret_view(variable).ptr;
}

/* Whether a variable with a value has the name of this one. */
static bool is_replaced(const struct handover *handover, const char *item)
{
    const size_t len = strcspn(item, "=") + 1;
    for (size_t i = 0; i < handover->variable_count; i++) {
        if (strncmp(variable_text(handover->variable[i]), item, len) == 0)
            return true;
    }
    return false;
}

enum err handover_environment(const struct handover *handover, const char ***out,
                              struct fault *fault)
{
    size_t count = 0;
    for (char **item = environ; item != NULL && *item != NULL; item++)
        count++;
    const char **list = calloc(count + handover->variable_count + 1, sizeof list[0]);
    if (list == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the program's environment");
    const char **end = list;
    for (size_t i = 0; i < count; i++) {
        if (!is_replaced(handover, environ[i]))
            *end++ = environ[i];
    }
    for (size_t i = 0; i < handover->variable_count; i++)
        *end++ = variable_text(handover->variable[i]);
    *out = list;
    return ERR_OK;
}

enum err hand_over_again(const struct settings *settings, const struct answer_opened *opened,
                         enum err (*replaced)(int to, struct fault *fault), int to,
                         struct fault *fault)
{
    for (size_t i = 0; i < settings->deliveries.count; i++) {
        const struct giving g = {.delivery = &settings->deliveries.item[i], .opened = opened};
        CLEANUP(secret_freep) struct secret *rendered = NULL;
        const struct secret *value = NULL;
        TRY(content(&g, &rendered, &value, fault));
        if (deliver_holds(g.delivery->place, value))
            continue;
        /* Told first: a file that is new and that nobody was told of would never be seen. */
        TRY(replaced(to, fault));
        TRY(write_file(g.delivery, value, fault));
    }
    return ERR_OK;
}

void handover_withdraw(const struct settings *settings)
{
    for (size_t i = 0; i < settings->deliveries.count; i++) {
        if (delivery_is_file(&settings->deliveries.item[i]))
            remove_file(settings->deliveries.item[i].place);
    }
}
