/* An HTTP answer as a client reads it, behind two bytes: the rules, and how it arrives in
 * pieces.  The outcome does not depend on the pieces. */
#include <strings.h>

#include "common/http_answer.h"
#include "fuzz.h"

/* Everything received so far, from call to call, in exact copies. */
static enum err read_in_pieces(struct bytes in, const struct http_answer_rules *rules, size_t piece,
                               struct http_answer_reader *reader, struct fault *fault)
{
    http_answer_reader_init(reader, rules);
    for (size_t len = 0; len < in.len;) {
        len = piece < in.len - len ? len + piece : in.len;
        TRY(http_answer_advance(reader, bytes_of(in.ptr, len), fault));
    }
    return reader->done ? ERR_OK : ERR_UNREACHABLE;
}

/* Lines of the head that begin with `name`, in any case. */
static unsigned count_lines(struct bytes head, const char *name)
{
    const size_t len = strlen(name);
    unsigned count = 0;
    for (size_t i = 0; i + len < head.len; i++)
        count += (i == 0 || head.ptr[i - 1] == '\n') &&
                 strncasecmp((const char *)head.ptr + i, name, len) == 0;
    return count;
}

/* Of the one answer that is no interim one: where its body ends is said once. */
static void check_head(struct bytes head)
{
    FUZZ_HOLDS(head.len > 4 && memcmp(head.ptr + head.len - 4, "\r\n\r\n", 4) == 0);
    FUZZ_HOLDS(count_lines(head, "transfer-encoding:") == 0);
    FUZZ_HOLDS(count_lines(head, "content-length:") <= 1);
    FUZZ_HOLDS(count_lines(head, " ") == 0 && count_lines(head, "\t") == 0);
}

static void check_answer(const struct http_answer *answer, const struct http_answer_rules *rules,
                         struct bytes in)
{
    FUZZ_HOLDS(answer->status >= 200 && answer->status <= 599);
    FUZZ_HOLDS(answer->retry_after_s >= -1);
    FUZZ_HOLDS(answer->body.len <= rules->body_max && answer->body.len <= in.len);
    FUZZ_HOLDS(!rules->no_body || answer->body.len == 0);
    FUZZ_HOLDS(answer->body.len == 0 ||
               memcmp(answer->body.ptr, in.ptr + in.len - answer->body.len, answer->body.len) == 0);
    FUZZ_HOLDS(strnlen(answer->content_type, sizeof answer->content_type) <
               sizeof answer->content_type);
    check_head(bytes_of(in.ptr, in.len - answer->body.len));
    for (const char *c = answer->content_type; *c != '\0'; c++)
        FUZZ_HOLDS(*c > 0x20 && *c < 0x7f && !(*c >= 'A' && *c <= 'Z'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const uint8_t flags = fuzz_take_byte(&in);
    const size_t piece = 1 + fuzz_take_byte(&in);
    const struct http_answer_rules rules = {.no_body = (flags & 1) != 0,
                                            .body_max = (flags & 2) != 0 ? 16 : 65536};
    CLEANUP(http_answer_free) struct http_answer answer = {0};
    struct http_answer_reader reader;
    struct fault fault = FAULT_NONE, fault_pieces = FAULT_NONE;
    const enum err err = http_answer_parse(in, &rules, &answer, &fault);
    fuzz_check(err, &fault, 0, in.len, NULL, 0);
    FUZZ_HOLDS(err == ERR_OK || answer.body.ptr == NULL);
    const enum err pieces = read_in_pieces(in, &rules, piece, &reader, &fault_pieces);
    FUZZ_HOLDS(pieces == err);
    if (err == ERR_OK) {
        check_answer(&answer, &rules, in);
        FUZZ_HOLDS(reader.status == answer.status && reader.body_len == answer.body.len);
        FUZZ_HOLDS(strcmp(reader.content_type, answer.content_type) == 0);
    } else if (err != ERR_UNREACHABLE) {
        FUZZ_HOLDS(fault.offset == fault_pieces.offset);
        FUZZ_HOLDS(strcmp(fault.field, fault_pieces.field) == 0);
    }
    return 0;
}
