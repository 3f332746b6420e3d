/* Compiler attributes: ownership is visible in the declaration.  DESIGN section 9. */
#ifndef VOUCHSAFE_CLEANUP_H
#define VOUCHSAFE_CLEANUP_H

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* CLEANUP(buf_free) struct buf body = {0};  -- runs when the variable leaves scope.
 * The function takes a pointer to the variable and accepts an empty one. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

/* Moves a pointer out of its owner: `*out = TAKE(p);` leaves p NULL. */
#define TAKE(p)                        \
    __extension__({                    \
        __typeof__(p) take_ptr_ = (p); \
        (p) = NULL;                    \
        take_ptr_;                     \
    })

/* Defines `static void fnp(type **p)` around a destructor that takes the pointer,
 * for CLEANUP on pointers to library objects. */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type takes none */
#define CLEANUP_PTR(type, fn, fnp)   \
    static inline void fnp(type **p) \
    {                                \
        if (*p != NULL)              \
            fn(*p);                  \
        *p = NULL;                   \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
