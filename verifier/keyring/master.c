#include <stdlib.h>

#include "common/codec.h"
#include "key_file.h"
#include "keyring.h"

static const char what[] = "master key";
static const char credential_prefix[] = "credential:";

#define HEX_LEN ((size_t)2 * KEYRING_MASTER_LEN)

/* "credential:NAME" gives NAME; NULL for a path. */
static const char *credential_name(const char *path)
{
    const size_t len = sizeof credential_prefix - 1;
    return strncmp(path, credential_prefix, len) == 0 ? path + len : NULL;
}

/* Where systemd keeps it: a directory that it makes for this service alone. */
static enum err credential_path(const char *name, struct buf *out, struct fault *fault)
{
    if (name[0] == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 ||
        strcmp(name, "..") == 0)
        FAIL(fault, ERR_CONFIG, "credential:NAME takes the name of a credential, not \"%s\"", name);
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (directory == NULL || directory[0] != '/')
        FAIL(fault, ERR_CONFIG,
             "$CREDENTIALS_DIRECTORY is not set: the unit needs LoadCredential=%s:PATH or "
             "LoadCredentialEncrypted=",
             name);
    return buf_append_format(out, "%s/%s", directory, name);
}

static enum err read_file(const char *path, struct secret **out, struct fault *fault)
{
    const size_t max_len = HEX_LEN + 1;
    const char *credential = credential_name(path);
    if (credential == NULL)
        return key_file_read(what, path, KEY_FILE_PRIVATE, max_len, out, fault);
    CLEANUP(buf_free) struct buf full = {0};
    TRY(credential_path(credential, &full, fault));
    const char *text = buf_text(&full);
    if (text == NULL)
        return ERR_NO_MEMORY;
    return key_file_read(what, text, KEY_FILE_CREDENTIAL, max_len, out, fault);
}

/* Raw bytes or digits: the lengths tell them apart. */
static enum err decode(const char *path, struct secret **file, struct secret **out,
                       struct fault *fault)
{
    struct bytes text = secret_view(*file);
    if (text.len == KEYRING_MASTER_LEN) {
        *out = TAKE(*file);
        return ERR_OK;
    }
    if (text.len == HEX_LEN + 1 && text.ptr[HEX_LEN] == '\n')
        text.len = HEX_LEN;
    if (text.len != HEX_LEN)
        FAIL(fault, ERR_CONFIG,
             "a master key is %d raw bytes, or %zu hex digits and at most a newline; %s has "
             "%zu byte%s",
             KEYRING_MASTER_LEN, HEX_LEN, path, text.len, plural(text.len));
    CLEANUP(secret_freep) struct secret *key = NULL;
    TRY(secret_new(KEYRING_MASTER_LEN, &key));
    if (hex_decode(text, secret_ptr(key), KEYRING_MASTER_LEN) != ERR_OK)
        FAIL(fault, ERR_CONFIG, "the %zu bytes of the master key file are not all hex digits: %s",
             HEX_LEN, path);
    *out = TAKE(key);
    return ERR_OK;
}

enum err keyring_master_load(const char *path, struct secret **out, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *file = NULL;
    CLEANUP(secret_freep) struct secret *key = NULL;
    TRY(read_file(path, &file, fault));
    TRY(decode(path, &file, &key, fault));
    /* What a crash or a copy of a sparse file leaves: nobody's random key. */
    if (bytes_all_zero(secret_view(key)))
        FAIL(fault, ERR_CONFIG, "the master key is all zeros; restore the right one: %s", path);
    *out = TAKE(key);
    return ERR_OK;
}

enum err keyring_master_create(const char *path, struct secret **out, struct fault *fault)
{
    CLEANUP(secret_freep) struct secret *key = NULL;
    if (credential_name(path) != NULL)
        FAIL(fault, ERR_CONFIG, "a credential is systemd's to make (systemd-creds encrypt): %s",
             path);
    TRY(secret_new_random(KEYRING_MASTER_LEN, &key));
    TRY(key_file_create(what, path, secret_view(key), fault));
    *out = TAKE(key);
    return ERR_OK;
}
