/* What the fuzz targets share: how a property is stated, and the rules that the outcome of
 * every parser keeps (common/err.h).
 *
 * A target is one file, fuzz_<name>.c, with libFuzzer's entry point; a property that does
 * not hold aborts, so that libFuzzer keeps the input.  Without libFuzzer, replay.c runs the
 * committed corpus through the same entry point. */
#ifndef VOUCHSAFE_FUZZ_H
#define VOUCHSAFE_FUZZ_H

#include "common/bytes.h"

/* libFuzzer's; the last one it provides, or replay.c. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#define FUZZ_HOLDS(property)                               \
    do {                                                   \
        if (!(property))                                   \
            fuzz_broken(__FILE__, __LINE__, "" #property); \
    } while (0)
#define FUZZ_OK(call) FUZZ_HOLDS((call) == ERR_OK)

_Noreturn void fuzz_broken(const char *file, int line, const char *property);

/* Inputs that something took: replay.c demands that a corpus has some. */
extern size_t fuzz_accepted;

/* The result of a parser: filled before, untouched after a failure. */
#define FUZZ_FILL(out) memset((out), 0xa5, sizeof *(out))
bool fuzz_filled(const void *out, size_t size);
/* After a failure: the code is the fault's, its offset lies in base..base+len or is none,
 * field and detail are printable, `out` (size bytes, may be NULL) is still filled.  After a
 * success: counts. */
void fuzz_check(enum err err, const struct fault *fault, size_t base, size_t len, const void *out,
                size_t size);
#define FUZZ_CHECK(err, fault, in, out) fuzz_check(err, fault, 0, (in).len, (out), sizeof *(out))

/* Whether a view lies inside the input, or is empty. */
bool fuzz_within(struct bytes view, struct bytes in);

/* Takes the first byte off (0 where there is none), or up to `len` bytes. */
uint8_t fuzz_take_byte(struct bytes *in);
struct bytes fuzz_take(struct bytes *in, size_t len);
/* Takes a length of two bytes, and as many bytes; fewer where the input ends. */
struct bytes fuzz_take_chunk(struct bytes *in);
void fuzz_put_chunk(struct buf *out, struct bytes chunk);

/* For mutators: 0..below-1; `below` is not 0. */
uint32_t fuzz_choose(unsigned *seed, uint32_t below);
/* Puts `bytes` in place of data[at..end); nothing where it does not fit.  The new size. */
size_t fuzz_splice(uint8_t *data, size_t size, size_t max_size, size_t at, size_t end,
                   struct bytes bytes);
/* Puts `whole` in place of everything. */
size_t fuzz_replace(uint8_t *data, size_t size, size_t max_size, const struct buf *whole);

/* Changes one item of a CBOR sequence, heads and counts kept right: a string's content, a
 * number, an item replaced by another, dropped, doubled, two exchanged (mutate_cbor.c). */
size_t fuzz_mutate_cbor(uint8_t *data, size_t size, size_t max_size, unsigned seed);
/* Appends `in` with one element of DER changed, and every length around it (mutate_der.c). */
void fuzz_mutate_der(struct bytes in, unsigned *seed, struct buf *out);
/* Changes one value of a JSON text (mutate_json.c). */
size_t fuzz_mutate_json(uint8_t *data, size_t size, size_t max_size, unsigned seed);

#endif
