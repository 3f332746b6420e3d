/* What a backend is: one row, and a struct that begins with `struct store`.  Private to
 * the store and to the test that runs over all of them. */
#ifndef VOUCHSAFE_STORE_BACKEND_H
#define VOUCHSAFE_STORE_BACKEND_H

#include "store.h"

struct store_backend {
    const char *name;
    const char *scheme; /* a path that begins so is this backend's; "": what is left */
    enum err (*create)(const char *path, const struct store_identity *identity,
                       const struct store_change *first, struct fault *fault);
    enum err (*open)(const char *path, struct store **out, struct fault *fault);
    void (*close)(struct store *store);
    struct store_ops ops;
};

struct store {
    const struct store_backend *backend;
};

extern const struct store_backend store_backend_sqlite;

extern const struct store_backend *const store_backends[]; /* NULL-terminated */

#endif
