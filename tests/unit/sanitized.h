/* SANITIZED: 1 under AddressSanitizer.  Its mlock does nothing, it finds leaks by itself and
 * needs ptrace for that, and its memory is too large to be searched. */
#ifndef VOUCHSAFE_SANITIZED_H
#define VOUCHSAFE_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
