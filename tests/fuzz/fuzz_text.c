/* Small texts of requests and command lines: names, builds, PCRs, where to connect. */
#include <stdio.h>

#include "common/codec.h"
#include "common/http_client.h"
#include "common/pcr_text.h"
#include "common/protocol.h"
#include "fuzz.h"

static void check_names(struct bytes in, const char *text)
{
    char image[PROTOCOL_IMAGE_MAX + 1], version[PROTOCOL_IMAGE_MAX + 1];
    char joined[PROTOCOL_BUILD_MAX + 1];
    struct fault fault = FAULT_NONE;
    struct wanted_list wanted = {0};
    FUZZ_HOLDS(!protocol_name_valid(in) || (in.len >= 1 && in.len <= PROTOCOL_NAME_MAX));
    const enum err add = wanted_add(&wanted, in, 3, 0, &fault);
    FUZZ_HOLDS((add == ERR_OK) == protocol_name_valid(in));
    FUZZ_HOLDS(add != ERR_OK || wanted_add(&wanted, in, 0, 0, NULL) == ERR_MALFORMED);
    const enum err err = protocol_build_split(text, image, version, &fault);
    const struct bytes whole = bytes_of_text(text);
    FUZZ_HOLDS((err == ERR_OK) == protocol_build_valid(whole));
    if (err != ERR_OK)
        return;
    FUZZ_HOLDS(protocol_image_valid(bytes_of_text(image)));
    FUZZ_HOLDS(protocol_image_version_valid(bytes_of_text(version)));
    snprintf(joined, sizeof joined, "%s@%s", image, version);
    FUZZ_HOLDS(strcmp(joined, text) == 0);
    fuzz_accepted++;
}

/* What utf8_valid says, for a name that a terminal shows as one word. */
static void check_person(struct bytes in)
{
    bool blank = false;
    for (size_t i = 0; i < in.len; i++)
        blank = blank || in.ptr[i] <= ' ' || in.ptr[i] == 0x7f;
    FUZZ_HOLDS(protocol_person_valid(in) ==
               (!blank && in.len >= 1 && in.len <= PROTOCOL_PERSON_MAX && utf8_valid(in)));
}

static void check_pcrs(struct bytes in, const char *text)
{
    unsigned index = ATTDOC_PCR_COUNT;
    uint8_t value[ATTDOC_PCR_LEN], member[ATTDOC_PCR_LEN];
    char again[2 * ATTDOC_PCR_LEN + 8];
    struct fault fault = FAULT_NONE;
    FUZZ_HOLDS(pcr_index_parse(in, &index) != ERR_OK || index < ATTDOC_PCR_COUNT);
    FUZZ_FILL(&value);
    const enum err err = pcr_assignment_parse(text, &index, value, &fault);
    fuzz_check(err, &fault, 0, in.len, value, sizeof value);
    const char *equals = strchr(text, '=');
    if (equals == NULL)
        return;
    unsigned member_index = 0;
    const enum err as_member =
        pcr_member_parse(bytes_of(text, (size_t)(equals - text)), bytes_of_text(equals + 1),
                         &member_index, member, &fault);
    FUZZ_HOLDS((as_member == ERR_OK) == (err == ERR_OK));
    if (err != ERR_OK)
        return;
    FUZZ_HOLDS(member_index == index && memcmp(member, value, sizeof value) == 0);
    const int n = snprintf(again, sizeof again, "%u=", index);
    hex_encode(bytes_of(value, sizeof value), again + n);
    FUZZ_HOLDS(strcasecmp(again, text) == 0);
}

static void check_target(const char *text)
{
    struct http_target target;
    struct fault fault = FAULT_NONE;
    FUZZ_FILL(&target);
    const enum err err = http_target_parse(text, &target, &fault);
    fuzz_check(err, &fault, 0, strlen(text), &target, sizeof target);
    if (err != ERR_OK)
        return;
    FUZZ_HOLDS(target.host[0] != '\0');
    FUZZ_HOLDS(strnlen(target.host, sizeof target.host) < sizeof target.host);
    FUZZ_HOLDS(strspn(target.port, "0123456789") == strnlen(target.port, sizeof target.port));
    const bool https = strncmp(text, "https:", 6) == 0;
    FUZZ_HOLDS(strcmp(target.tls_name, https ? target.host : "") == 0);
    FUZZ_HOLDS(target.plain == (strncmp(text, "http:", 5) == 0));
}

static void check_tls_name(const char *text)
{
    struct http_target target;
    struct fault fault = FAULT_NONE;
    FUZZ_OK(http_target_parse("vsock://3:1", &target, NULL));
    const struct http_target before = target;
    if (http_target_expect(&target, text, &fault) == ERR_OK)
        FUZZ_HOLDS(text[0] != '\0' && strcmp(target.tls_name, text) == 0);
    else
        FUZZ_HOLDS(fault.code == ERR_USAGE && memcmp(&target, &before, sizeof target) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[1024];
    const struct bytes in = bytes_of(data, size);
    struct wanted_list wanted = {0};
    struct bytes application;
    CLEANUP(buf_free) struct buf user_data = {0};
    if (size >= sizeof text)
        return 0;
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    check_names(in, text);
    check_person(in);
    check_pcrs(in, text);
    check_target(text);
    check_tls_name(text);
    FUZZ_OK(wanted_add(&wanted, bytes_of_text("db/main"), 0, 3, NULL));
    enum err err = protocol_user_data_check(&wanted, in, &application, NULL);
    FUZZ_HOLDS(err == ERR_OK ? fuzz_within(application, in) : err == ERR_NOT_BOUND);
    /* What shows it, unchecked, finds it in all that the check lets pass. */
    FUZZ_HOLDS(!protocol_application(in, &application) || fuzz_within(application, in));
    /* Any application bytes come back, up to the limit. */
    err = protocol_user_data(&wanted, in, &user_data);
    FUZZ_HOLDS(err == (size <= PROTOCOL_APPLICATION_MAX ? ERR_OK : ERR_TOO_LARGE));
    if (err != ERR_OK)
        return 0;
    FUZZ_OK(protocol_user_data_check(&wanted, bytes_of_buf(&user_data), &application, NULL));
    FUZZ_HOLDS(bytes_equal(application, in));
    FUZZ_HOLDS(protocol_application(bytes_of_buf(&user_data), &application) &&
               bytes_equal(application, in));
    return 0;
}
