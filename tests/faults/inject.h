/* The fault injector: makes one call fail that does not fail by itself.
 *
 * A library that is loaded before all others (LD_PRELOAD), so that each function of
 * functions.def is first of all its own: it counts the call, and either fails it as its
 * row says or hands it on.  A test in the same process steers it by `inject`; a test of
 * whole programs by the same structure in a file ($INJECT_FILE, mapped by both sides), or
 * for a run by hand by $INJECT alone: docs/HACKING.md.
 * x86-64 only: it passes on arguments that it does not know the types of. */
#ifndef VOUCHSAFE_INJECT_H
#define VOUCHSAFE_INJECT_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Kinds of calls; a row of functions.def is of one. */
enum inject_class {
    INJECT_ALLOC = 1 << 0,   /* malloc and its like, OpenSSL's locked arena */
    INJECT_OPENSSL = 1 << 1, /* libcrypto and libssl, as we call them */
    INJECT_SQLITE = 1 << 2,  /* libsqlite3, as we call it */
    INJECT_FILE = 1 << 3,    /* files, ours and SQLite's */
    INJECT_NET = 1 << 4,     /* sockets, ours and libmicrohttpd's */
    INJECT_SYSTEM = 1 << 5,  /* locked memory, threads, process settings */
    INJECT_HTTP = 1 << 6,    /* libmicrohttpd, as we call it */
};

#define INJECT_LAST_LEN 256

/* tests/faults/injector.py knows these places by their offsets. */
struct inject_control {
    _Atomic uint64_t classes; /* what is counted and may fail; 0: nothing */
    _Atomic uint64_t at;      /* the call to fail, counted from 1; 0: none */
    _Atomic uint64_t rate;    /* or one in so many, by the seed; 0: none */
    _Atomic uint64_t seed;
    _Atomic uint64_t variant; /* which of a row's failures, modulo their number */
    _Atomic uint64_t own;    /* 1: no calls from libraries; never are those of library to library */
    _Atomic uint64_t stop;   /* 1: the call is not failed, the process stopped (SIGSTOP) at it */
    _Atomic uint64_t calls;  /* counted so far */
    _Atomic uint64_t failed; /* failed so far */
    char last[INJECT_LAST_LEN]; /* the last failure, in words */
};

extern struct inject_control *inject;

/* Begins anew: from here on call number `at` of `classes` fails (0: they are counted). */
void inject_arm(unsigned classes, uint64_t at, uint64_t variant);
/* Ends it; how many calls there were. */
uint64_t inject_disarm(void);

#endif
