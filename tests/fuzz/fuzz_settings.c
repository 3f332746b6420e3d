/* The settings files of server and agent: an operator's, and so trusted; a mistake in them
 * must be named all the same.  What is taken can be written again line by line, and read. */
#include "enclave-agent/settings.h"
#include "fuzz.h"
#include "verifier/config.h"

/* Where the journal goes is found before the file is judged: what a good one says, no other. */
static void check_log(struct bytes in, const struct settings_file *file)
{
    CLEANUP(buf_free) struct buf found = {0};
    const char *expected = "";
    for (size_t i = 0; i < file->count && expected[0] == '\0'; i++) {
        if (strcmp(file->entry[i].key, "log") == 0)
            expected = file->entry[i].value;
    }
    FUZZ_OK(settings_file_find(in, "log", &found));
    FUZZ_HOLDS(bytes_equal_text(bytes_of_buf(&found), expected));
}

static void check_agent(struct bytes in)
{
    struct settings_file file = {0};
    struct settings_file again = {0};
    CLEANUP(buf_free) struct buf text = {0};
    struct fault fault = FAULT_NONE;
    const enum err err = settings_file_parse(in, settings_options_run, &file, &fault);
    fuzz_check(err, &fault, 0, in.len, NULL, 0);
    if (err == ERR_OK) {
        for (size_t i = 0; i < file.count; i++)
            FUZZ_OK(buf_append_format(&text, "%s=%s\n", file.entry[i].key, file.entry[i].value));
        FUZZ_OK(settings_file_parse(bytes_of_buf(&text), settings_options_run, &again, NULL));
        FUZZ_HOLDS(again.count == file.count);
        check_log(in, &file);
        for (size_t i = 0; i < file.count; i++)
            FUZZ_HOLDS(strcmp(again.entry[i].value, file.entry[i].value) == 0);
    }
    settings_file_free(&file);
    settings_file_free(&again);
}

static void check_server(struct bytes in)
{
    struct config config;
    struct fault fault = FAULT_NONE;
    config_init(&config);
    enum err err = config_parse(&config, in, "a file", &fault);
    fuzz_check(err, &fault, 0, in.len, NULL, 0);
    if (err != ERR_OK)
        return;
    err = config_finish(&config, &fault);
    fuzz_check(err, &fault, 0, in.len, NULL, 0);
    FUZZ_HOLDS(err != ERR_OK || (config.state[0] == '/' && config.threads >= 2));
    FUZZ_HOLDS(config.tolerate_count <= CONFIG_TOLERATE_MAX);
    FUZZ_HOLDS(!config_is_loopback(config.listen) || strchr(config.listen, ':') != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_agent(bytes_of(data, size));
    check_server(bytes_of(data, size));
    return 0;
}
