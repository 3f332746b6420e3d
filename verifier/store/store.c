#include "store_backend.h"

/* The one without a scheme comes last. */
const struct store_backend *const store_backends[] = {&store_backend_sqlite, NULL};

static const char *const table_names[POLICY_TABLE_COUNT] = {
    [POLICY_SETTING] = "setting",
    [POLICY_PERSON] = "person",
    [POLICY_TOKEN] = "token",
    [POLICY_IMAGE] = "image",
    [POLICY_MEASUREMENT] = "measurement",
    [POLICY_SECRET] = "secret",
    [POLICY_SECRET_VERSION] = "secret_version",
    [POLICY_GRANT] = "secret_grant", /* GRANT is a word of SQL */
    [POLICY_OWN_KEY] = "own_key",
    [POLICY_REVOCATION] = "revocation",
    [POLICY_ENROLLED_KEY] = "enrolled_key",
};

const char *policy_table_name(enum policy_table table)
{
    return table_names[table];
}

static const struct store_backend *backend_of(const char *path)
{
    size_t i = 0;
    while (store_backends[i + 1] != NULL &&
           strncmp(path, store_backends[i]->scheme, strlen(store_backends[i]->scheme)) != 0)
        i++;
    return store_backends[i];
}

enum err store_create(const char *path, const struct store_identity *identity,
                      const struct store_change *first, struct fault *fault)
{
    return backend_of(path)->create(path, identity, first, fault);
}

enum err store_open(const char *path, struct store **out, struct fault *fault)
{
    return backend_of(path)->open(path, out, fault);
}

void store_close(struct store *store)
{
    if (store != NULL)
        store->backend->close(store);
}

const struct store_ops *store_ops(const struct store *store)
{
    return &store->backend->ops;
}

void store_outcome_free(struct store_outcome *outcome)
{
    for (size_t i = 0; i < outcome->sealed_count; i++)
        buf_free(&outcome->sealed[i]);
    *outcome = (struct store_outcome){0};
}
