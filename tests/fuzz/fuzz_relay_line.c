/* What an enclave logs, behind a byte that says how it arrives in pieces.  The lines do not
 * depend on the pieces, and are those of a second reading, of all at once. */
#include "enclave-agent/relay/line.h"
#include "fuzz.h"

static void put(struct buf *out, struct bytes line)
{
    FUZZ_OK(buf_append(out, line));
    FUZZ_OK(buf_append_text(out, "\n"));
}

/* What goes to the journal, and nothing else of it counts. */
static void put_taken(struct buf *out, const struct line *line)
{
    FUZZ_HOLDS(line->len > 0 && line->len <= LINE_MAX_LEN);
    FUZZ_HOLDS(strnlen(line->text, sizeof line->text) == line->len);
    for (size_t i = 0; i < line->len; i++)
        FUZZ_HOLDS(line->text[i] >= ' ' && line->text[i] <= '~');
    put(out, bytes_of(line->text, line->len));
}

static void take_in_pieces(struct bytes in, size_t piece, struct buf *out)
{
    struct line line;
    line_begin(&line);
    while (in.len > 0) {
        const struct bytes given = fuzz_take(&in, piece);
        struct bytes part = given;
        while (line_take(&line, &part)) {
            FUZZ_HOLDS(part.ptr > given.ptr && part.ptr[-1] == '\n');
            FUZZ_HOLDS(part.ptr + part.len == given.ptr + given.len);
            put_taken(out, &line);
            line_begin(&line);
        }
        FUZZ_HOLDS(part.len == 0);
    }
    if (line_end(&line))
        put_taken(out, &line);
}

static void put_read(struct buf *out, struct bytes raw)
{
    uint8_t text[LINE_MAX_LEN];
    if (raw.len > 0 && raw.ptr[raw.len - 1] == '\r')
        raw.len--;
    const struct bytes kept = bytes_of(raw.ptr, raw.len < sizeof text ? raw.len : sizeof text);
    for (size_t i = 0; i < kept.len; i++)
        text[i] = kept.ptr[i] == '\t'                           ? ' '
                  : kept.ptr[i] < ' ' || kept.ptr[i] > (int)'~' ? '?'
                                                                : kept.ptr[i];
    if (raw.len > sizeof text)
        memset(text + sizeof text - 3, '.', 3);
    if (kept.len > 0)
        put(out, bytes_of(text, kept.len));
}

/* The second reading: each line is there as a whole. */
static void read_whole(struct bytes in, struct buf *out)
{
    while (in.len > 0) {
        const uint8_t *end = memchr(in.ptr, '\n', in.len);
        put_read(out, fuzz_take(&in, end == NULL ? in.len : (size_t)(end - in.ptr)));
        (void)fuzz_take_byte(&in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes in = bytes_of(data, size);
    const size_t piece = 1 + fuzz_take_byte(&in);
    CLEANUP(buf_free) struct buf expected = {0};
    read_whole(in, &expected);
    const size_t pieces[] = {piece, 1, size + 1};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        CLEANUP(buf_free) struct buf taken = {0};
        take_in_pieces(in, pieces[i], &taken);
        FUZZ_HOLDS(bytes_equal(bytes_of_buf(&taken), bytes_of_buf(&expected)));
    }
    fuzz_accepted += expected.len > 0;
    return 0;
}

/* Much of one byte, as nobody would draw it: lines about as long as they may be. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    static const uint8_t filler[2] = {'x', '\r'};
    uint8_t run[LINE_MAX_LEN + 2];
    if (fuzz_choose(&seed, 8) > 0)
        return LLVMFuzzerMutate(data, size, max_size);
    memset(run, filler[fuzz_choose(&seed, 2)], sizeof run);
    const size_t at = fuzz_choose(&seed, (uint32_t)size + 1);
    return fuzz_splice(data, size, max_size, at, at,
                       bytes_of(run, sizeof run - fuzz_choose(&seed, 6)));
}
