/* Looks for a value in all of this process's memory: what was to be wiped and was not.
 *
 * The value itself is never kept as it is: a marker holds it masked, so that the search
 * does not find its own needle.  What lies inside OpenSSL's locked arena is counted apart:
 * there a secret may be, for as long as it lives. */
#ifndef VOUCHSAFE_SCAN_H
#define VOUCHSAFE_SCAN_H

#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/secret.h"
#include "tests/unit/unit.h"

#define MARKER_LEN  48 /* bytes at most */
#define MARKER_PART 16 /* a part as long as this is a find: AES's block */
#define MARKER_MASK 0x5a

struct marker {
    size_t len;
    uint8_t masked[MARKER_LEN];
};

struct found {
    unsigned in_arena;
    unsigned elsewhere;
    char where[160]; /* the line of /proc/self/maps of the first one elsewhere */
};

/* Takes note of a value: `len` at least MARKER_PART. */
static inline void marker_of(const uint8_t *value, size_t len, struct marker *out)
{
    ck_assert_uint_ge(len, MARKER_PART);
    out->len = len < MARKER_LEN ? len : MARKER_LEN;
    for (size_t i = 0; i < out->len; i++)
        out->masked[i] = value[i] ^ MARKER_MASK;
}

/* A random value of MARKER_LEN bytes; its first byte is one that is rare in memory. */
static inline struct marker marker_random(void)
{
    struct marker marker = {.len = MARKER_LEN};
    ck_assert_int_eq(RAND_bytes(marker.masked, MARKER_LEN), 1);
    for (size_t i = 0; i < MARKER_LEN; i += MARKER_PART)
        marker.masked[i] |= 0x80;
    return marker;
}

/* The value, into a secret of the caller's. */
static inline struct secret *marker_secret(const struct marker *marker)
{
    struct secret *secret = NULL;
    ck_ok(secret_new(marker->len, &secret));
    for (size_t i = 0; i < marker->len; i++)
        secret_ptr(secret)[i] = marker->masked[i] ^ MARKER_MASK;
    return secret;
}

static inline bool marker_holds(const struct marker *marker, const struct secret *secret)
{
    bool same = secret_len(secret) == marker->len;
    for (size_t i = 0; same && i < marker->len; i++)
        same = secret_view(secret).ptr[i] == (marker->masked[i] ^ MARKER_MASK);
    return same;
}

/* How often one of the marker's parts occurs between two addresses. */
__attribute__((no_sanitize("address"))) static inline unsigned
scan_range(const struct marker *marker, const uint8_t *from, const uint8_t *to)
{
    unsigned count = 0;
    for (size_t part = 0; part + MARKER_PART <= marker->len; part += MARKER_PART) {
        const uint8_t *masked = marker->masked + part;
        const uint8_t *p = from;
        while ((size_t)(to - p) >= MARKER_PART &&
               (p = memchr(p, masked[0] ^ MARKER_MASK, (size_t)(to - p) - MARKER_PART + 1)) !=
                   NULL) {
            size_t same = 1;
            while (same < MARKER_PART && p[same] == (masked[same] ^ MARKER_MASK))
                same++;
            count += same == MARKER_PART;
            p++;
        }
    }
    return count;
}

/* All writable memory of this process. */
static inline struct found scan_process(const struct marker *marker)
{
    struct found found = {0};
    char line[512];
    CLEANUP(secret_freep) struct secret *inside = NULL; /* shows where the arena is */
    ck_ok(secret_new(1, &inside));
    const uintptr_t arena = (uintptr_t)secret_ptr(inside);
    FILE *maps = fopen("/proc/self/maps", "r");
    ck_assert_ptr_nonnull(maps);
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char mode[5];
        if (sscanf(line, "%lx-%lx %4s", &from, &to, mode) != 3 || strncmp(mode, "rw", 2) != 0)
            continue;
        const unsigned count = scan_range(marker, (const uint8_t *)from, (const uint8_t *)to);
        if (from <= arena && arena < to)
            found.in_arena += count;
        else if (count > 0 && found.elsewhere == 0)
            snprintf(found.where, sizeof found.where, "%.150s", line);
        if (!(from <= arena && arena < to))
            found.elsewhere += count;
    }
    fclose(maps);
    return found;
}

#endif
