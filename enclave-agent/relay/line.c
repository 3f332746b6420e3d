#include "line.h"

static char clean(uint8_t byte)
{
    if (byte == '\t')
        return ' ';
    return (char)(byte >= 0x20 && byte < 0x7f ? byte : '?');
}

void line_begin(struct line *line)
{
    line->len = 0;
    line->cut = line->returns = false;
}

static void add(struct line *line, uint8_t byte)
{
    if (line->len < LINE_MAX_LEN)
        line->text[line->len++] = clean(byte);
    else
        line->cut = true;
}

bool line_end(struct line *line)
{
    if (line->cut)
        memcpy(line->text + LINE_MAX_LEN - 3, "...", 3);
    line->text[line->len] = '\0';
    line->returns = false;
    return line->len > 0;
}

bool line_take(struct line *line, struct bytes *from)
{
    while (from->len > 0) {
        const uint8_t byte = *from->ptr++;
        from->len--;
        if (byte == '\n') {
            if (line_end(line))
                return true;
            continue;
        }
        if (line->returns)
            add(line, '\r');
        line->returns = byte == '\r';
        if (!line->returns)
            add(line, byte);
    }
    return false;
}
