/* The head of a request as libmicrohttpd hands it over: lines of the input.  What passes has
 * one end: counted here once more, by other means. */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "fuzz.h"
#include "verifier/front/guard.h"

/* Up to the line feed; copied with a NUL at the end, cut at one inside. */
static char *take_line(struct bytes *in)
{
    const uint8_t *end = in->len == 0 ? NULL : memchr(in->ptr, '\n', in->len);
    const struct bytes line = fuzz_take(in, end == NULL ? in->len : (size_t)(end - in->ptr));
    char *text = malloc(line.len + 1);
    FUZZ_HOLDS(text != NULL);
    if (line.len > 0)
        memcpy(text, line.ptr, line.len);
    text[line.len] = '\0';
    (void)fuzz_take_byte(in);
    return text;
}

static unsigned count_field(const struct guard_head *head, const char *name, struct bytes *value)
{
    unsigned count = 0;
    for (size_t i = 0; i < head->field_count && i < GUARD_FIELDS_MAX; i++) {
        const struct guard_field *field = &head->field[i];
        if (field->name.len == strlen(name) &&
            strncasecmp((const char *)field->name.ptr, name, field->name.len) == 0) {
            *value = field->value;
            count++;
        }
    }
    return count;
}

static void check_end(const struct guard_head *head, const struct guard_facts *facts)
{
    struct bytes length = {0}, coding = {0}, host = {0}, none = {0};
    const unsigned lengths = count_field(head, "content-length", &length);
    const unsigned codings = count_field(head, "transfer-encoding", &coding);
    FUZZ_HOLDS(lengths + codings <= 1);
    FUZZ_HOLDS(count_field(head, "host", &host) == 1 || strcmp(head->version, "HTTP/1.0") == 0);
    FUZZ_HOLDS(count_field(head, "authorization", &none) <= 1);
    FUZZ_HOLDS(count_field(head, "content-type", &none) <= 1);
    FUZZ_HOLDS(head->field_count <= GUARD_FIELDS_MAX);
    FUZZ_HOLDS(facts->chunked == (codings == 1));
    FUZZ_HOLDS(codings == 0 || (coding.len == 7 && strcmp(head->version, "HTTP/1.1") == 0));
    FUZZ_HOLDS(lengths == 1 || facts->content_length == 0);
    if (lengths == 1) {
        char text[32] = "";
        FUZZ_HOLDS(length.len >= 1 && length.len < sizeof text);
        memcpy(text, length.ptr, length.len);
        FUZZ_HOLDS(strspn(text, "0123456789") == length.len);
        FUZZ_HOLDS(facts->content_length == strtoull(text, NULL, 10));
    }
    FUZZ_HOLDS(facts->has_body == (facts->chunked || facts->content_length > 0));
    for (const char *c = head->target; *c != '\0'; c++)
        FUZZ_HOLDS(isgraph((unsigned char)*c) && *c != '#');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    char *method = take_line(&in);
    char *target = take_line(&in);
    char *version = take_line(&in);
    /* A method with a dash in front stands for a head that had more than its fields. */
    struct guard_head head = {
        .method = method, .target = target, .version = version, .whole = method[0] != '-'};
    struct guard_facts facts;
    struct fault fault = FAULT_NONE;
    while (in.len > 0) {
        const uint8_t *end = memchr(in.ptr, '\n', in.len);
        struct bytes line = fuzz_take(&in, end == NULL ? in.len : (size_t)(end - in.ptr));
        const uint8_t *colon = line.len == 0 ? NULL : memchr(line.ptr, ':', line.len);
        (void)fuzz_take_byte(&in);
        const struct bytes name =
            fuzz_take(&line, colon == NULL ? line.len : (size_t)(colon - line.ptr));
        (void)fuzz_take_byte(&line);
        if (head.field_count < GUARD_FIELDS_MAX)
            head.field[head.field_count] = (struct guard_field){name, line};
        head.field_count++;
    }
    FUZZ_FILL(&facts);
    const enum err err = guard_check(&head, &facts, &fault);
    FUZZ_CHECK(err, &fault, bytes_of(data, size), &facts);
    FUZZ_HOLDS(err == ERR_OK ? head.whole : err == ERR_HTTP_MALFORMED);
    if (err == ERR_OK)
        check_end(&head, &facts);
    free(method);
    free(target);
    free(version);
    return 0;
}
