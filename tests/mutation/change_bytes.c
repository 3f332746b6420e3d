/* Every byte, one at a time: to one other value by chance, or to each of the 255. */
#include "run.h"

/* How many of the telling bytes get all their telling values. */
#define TELLING_SHARE 4

static void change_byte(struct run *run, const struct subject *s, struct buf *changed, size_t at,
                        uint8_t value)
{
    const uint8_t was = changed->ptr[at];
    struct expectation e;
    changed->ptr[at] = value;
    const struct byte_change c = {s, changed->ptr, at, value};
    expect_byte(&c, &e);
    run_check(run, s, bytes_of_buf(changed), &e, "byte %zu from %02x to %02x", at, was, value);
    changed->ptr[at] = was;
}

/* Flags and small numbers of the extensions: one value by chance would seldom be the one
 * that lifts a rule. */
static bool is_telling(const struct subject *s, size_t at)
{
    const struct part *part = map_part(&s->map, at);
    if (part->kind != PART_CERT)
        return false;
    const size_t i = part->field == FIELD_CERTIFICATE ? s->map.bundle_len : part->index;
    const struct der_part *der = cert_map_part(&s->cert[i], at - part->at);
    return der->kind == DER_EXT_CRITICAL || (der->kind == DER_EXT_VALUE && der->len <= 8);
}

/* Zero, and each single bit. */
static void change_telling(struct run *run, const struct subject *s, struct buf *changed, size_t at)
{
    const uint8_t was = changed->ptr[at];
    if (was != 0)
        change_byte(run, s, changed, at, 0);
    for (unsigned bit = 1; bit <= 0x80; bit <<= 1)
        change_byte(run, s, changed, at, (uint8_t)(was ^ bit));
}

void change_bytes(struct run *run, const struct task *task)
{
    const struct subject *s = task->s;
    CLEANUP(buf_free) struct buf changed = {0};
    MUST(buf_append(&changed, bytes_of_buf(&s->document)));
    for (size_t at = task->from; at < task->to; at++) {
        if (!run_selects(run, s, "byte", at))
            continue;
        const uint8_t was = changed.ptr[at];
        if (!run->all_values) {
            const uint64_t by = 1 + run_random(run, s, "value", at) % 255;
            change_byte(run, s, &changed, at, (uint8_t)(was ^ by));
            if (is_telling(s, at) && run_random(run, s, "telling", at) % TELLING_SHARE == 0)
                change_telling(run, s, &changed, at);
            continue;
        }
        for (unsigned by = 1; by <= 255; by++)
            change_byte(run, s, &changed, at, (uint8_t)(was ^ by));
    }
}
