#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>

size_t fuzz_accepted;

void fuzz_broken(const char *file, int line, const char *property)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, property);
    abort();
}

static bool printable(const char *text, size_t size)
{
    const size_t len = strnlen(text, size);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x20 || text[i] > 0x7e)
            return false;
    }
    return len < size;
}

bool fuzz_filled(const void *out, size_t size)
{
    const uint8_t *byte = out;
    for (size_t i = 0; i < size; i++) {
        if (byte[i] != 0xa5)
            return false;
    }
    return true;
}

/* The rule that a failure breaks, or NULL. */
static const char *broken_rule(enum err err, const struct fault *fault, size_t base, size_t len)
{
    if (fault->code != err)
        return "the fault has the code that is returned";
    if (fault->detail[0] == '\0' || !printable(fault->detail, sizeof fault->detail))
        return "the detail is printable and not empty";
    if (!printable(fault->field, sizeof fault->field))
        return "the field is printable";
    if (fault->offset != FAULT_NO_OFFSET && (fault->offset < base || fault->offset - base > len))
        return "the offset lies inside of the input";
    return NULL;
}

void fuzz_check(enum err err, const struct fault *fault, size_t base, size_t len, const void *out,
                size_t size)
{
    if (err == ERR_OK) {
        fuzz_accepted++;
        return;
    }
    FUZZ_HOLDS(err > ERR_OK && err < ERR_COUNT);
    FUZZ_HOLDS(out == NULL || fuzz_filled(out, size));
    const char *rule = broken_rule(err, fault, base, len);
    if (rule == NULL)
        return;
    fprintf(stderr, "%s returned; the fault: %s [%.*s] at %zu: %.*s\n", err_wire(err),
            err_wire(fault->code), (int)sizeof fault->field, fault->field, fault->offset,
            (int)sizeof fault->detail, fault->detail);
    fuzz_broken(__FILE__, __LINE__, rule);
}

bool fuzz_within(struct bytes view, struct bytes in)
{
    return view.len == 0 || (view.ptr >= in.ptr && view.len <= in.len &&
                             (size_t)(view.ptr - in.ptr) <= in.len - view.len);
}

struct bytes fuzz_take(struct bytes *in, size_t len)
{
    const struct bytes taken = bytes_of(in->ptr, len < in->len ? len : in->len);
    *in = bytes_of(in->ptr + taken.len, in->len - taken.len);
    return taken;
}

uint8_t fuzz_take_byte(struct bytes *in)
{
    const struct bytes taken = fuzz_take(in, 1);
    return taken.len == 0 ? 0 : taken.ptr[0];
}

struct bytes fuzz_take_chunk(struct bytes *in)
{
    const size_t high = fuzz_take_byte(in);
    return fuzz_take(in, high << 8 | fuzz_take_byte(in));
}

void fuzz_put_chunk(struct buf *out, struct bytes chunk)
{
    const uint8_t len[] = {(uint8_t)(chunk.len >> 8), (uint8_t)chunk.len};
    FUZZ_HOLDS(chunk.len <= UINT16_MAX);
    FUZZ_OK(buf_append(out, bytes_of(len, sizeof len)));
    FUZZ_OK(buf_append(out, chunk));
}

/* SplitMix32: any seed will do, neighbours too. */
uint32_t fuzz_choose(unsigned *seed, uint32_t below)
{
    uint32_t x = *seed += UINT32_C(0x9e3779b9);
    x = (x ^ (x >> 16)) * UINT32_C(0x21f0aaad);
    x = (x ^ (x >> 15)) * UINT32_C(0x735a2d97);
    return (x ^ (x >> 15)) % below;
}

size_t fuzz_splice(uint8_t *data, size_t size, size_t max_size, size_t at, size_t end,
                   struct bytes bytes)
{
    const size_t tail = size - end;
    if (bytes.len > max_size || at + tail > max_size - bytes.len)
        return size;
    memmove(data + at + bytes.len, data + end, tail);
    if (bytes.len > 0)
        memcpy(data + at, bytes.ptr, bytes.len);
    return at + bytes.len + tail;
}

size_t fuzz_replace(uint8_t *data, size_t size, size_t max_size, const struct buf *whole)
{
    return fuzz_splice(data, size, max_size, 0, size, bytes_of_buf(whole));
}
