#include <ctype.h>

#include "common/nearest.h"
#include "settings.h"

void settings_file_free(struct settings_file *file)
{
    buf_free(&file->text);
    *file = (struct settings_file){0};
}

static struct fault *at_line(struct fault *fault, unsigned line)
{
    return fault_at(fault, FAULT_NO_OFFSET, "line %u", line);
}

static enum err find_key(const struct cli_option *keys, const char *key, unsigned line,
                         const struct cli_option **out, struct fault *fault)
{
    struct nearest nearest = {.word = key};
    for (; keys->name != NULL; keys++) {
        if (strcmp(keys->name, "config") == 0)
            continue;
        if (strcmp(keys->name, key) == 0) {
            *out = keys;
            return ERR_OK;
        }
        nearest_offer(&nearest, keys->name);
    }
    if (nearest.best == NULL)
        FAIL(at_line(fault, line), ERR_CONFIG, "unknown setting \"%.60s\"", key);
    FAIL(at_line(fault, line), ERR_CONFIG, "unknown setting \"%.60s\"; did you mean \"%s\"?", key,
         nearest.best);
}

/* Without blanks at both ends, in place. */
static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

static enum err take_line(char *text, const struct cli_option *keys, unsigned line,
                          struct settings_file *file, struct fault *fault)
{
    text = trim(text);
    if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
        return ERR_OK;
    if (text[0] == '[')
        FAIL(at_line(fault, line), ERR_CONFIG, "this file has no sections");
    char *equals = strchr(text, '=');
    if (equals == NULL)
        FAIL(at_line(fault, line), ERR_CONFIG, "not of the form key = value");
    *equals = '\0';
    const char *key = trim(text);
    const char *value = trim(equals + 1);
    const struct cli_option *option = NULL;
    TRY(find_key(keys, key, line, &option, fault));
    if (value[0] == '\0')
        FAIL(at_line(fault, line), ERR_CONFIG, "%s has no value", key);
    if (option->arg == NULL && strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
        FAIL(at_line(fault, line), ERR_CONFIG, "%s is yes or no, not \"%.60s\"", key, value);
    for (size_t i = 0; i < file->count; i++) {
        if (!option->repeated && strcmp(file->entry[i].key, key) == 0)
            FAIL(at_line(fault, line), ERR_CONFIG, "%s is there twice", key);
    }
    if (file->count == SETTINGS_ENTRIES_MAX)
        FAIL(at_line(fault, line), ERR_CONFIG, "more than %d settings", SETTINGS_ENTRIES_MAX);
    file->entry[file->count].key = key;
    file->entry[file->count++].value = value;
    return ERR_OK;
}

enum err settings_file_parse(struct bytes text, const struct cli_option *keys,
                             struct settings_file *out, struct fault *fault)
{
    CLEANUP(settings_file_free) struct settings_file file = {0};
    if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
        FAIL(fault, ERR_CONFIG, "a NUL byte: this is no text");
    TRY(buf_append(&file.text, text));
    if (buf_text(&file.text) == NULL)
        FAIL(fault, ERR_NO_MEMORY, "no memory for the settings");
    unsigned line = 1;
    for (char *next = (char *)file.text.ptr; next != NULL; line++) {
        char *current = next;
        next = strchr(current, '\n');
        if (next != NULL)
            *next++ = '\0';
        TRY(take_line(current, keys, line, &file, fault));
    }
    *out = file;
    file = (struct settings_file){0};
    return ERR_OK;
}

static struct bytes bytes_trim(struct bytes text)
{
    while (text.len > 0 && isspace(text.ptr[0]))
        text = bytes_of(text.ptr + 1, text.len - 1);
    while (text.len > 0 && isspace(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

enum err settings_file_find(struct bytes text, const char *key, struct buf *out)
{
    const size_t key_len = strlen(key);
    while (text.len > 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        struct bytes line = bytes_of(text.ptr, end == NULL ? text.len : (size_t)(end - text.ptr));
        text = bytes_of(text.ptr + line.len, text.len - line.len);
        if (text.len > 0)
            text = bytes_of(text.ptr + 1, text.len - 1);
        line = bytes_trim(line);
        if (line.len <= key_len || memcmp(line.ptr, key, key_len) != 0)
            continue;
        line = bytes_trim(bytes_of(line.ptr + key_len, line.len - key_len));
        if (line.len > 0 && line.ptr[0] == '=')
            return buf_append(out, bytes_trim(bytes_of(line.ptr + 1, line.len - 1)));
    }
    return ERR_OK;
}
