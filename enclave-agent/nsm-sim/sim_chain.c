#include "sim_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/fd_cleanup.h"
#include "common/openssl_cleanup.h"

#define ROOT_CERT "root.pem"
#define ROOT_KEY  "root.key"
#define LEAF      4 /* place in the chain: root, regional, zonal, instance, leaf */

struct sim_chain {
    const char *module_id;
    const char *region;
    struct mkdoc_chain root; /* one certificate and its key */
    struct mkdoc_chain_spec spec;
    struct mkdoc_chain current; /* empty until the first document */
};

/* Unbuffered: a BIO on the descriptor leaves no copy of the key in stdio's memory. */
static enum err write_key(int dir, EVP_PKEY *key, struct fault *fault)
{
    CLEANUP(fd_close)
    int fd = openat(dir, ROOT_KEY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s cannot be made: %s", ROOT_KEY, strerror(errno));
    CLEANUP(bio_freep) BIO *bio = BIO_new_fd(fd, BIO_NOCLOSE);
    if (bio == NULL || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
        FAIL(fault, ERR_FILE, "%s cannot be written", ROOT_KEY);
    return ERR_OK;
}

static enum err write_cert(int dir, struct bytes pem, struct fault *fault)
{
    CLEANUP(fd_close)
    int fd = openat(dir, ROOT_CERT, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s cannot be made: %s", ROOT_CERT, strerror(errno));
    if (write(fd, pem.ptr, pem.len) != (ssize_t)pem.len)
        FAIL(fault, ERR_FILE, "%s cannot be written: %s", ROOT_CERT, strerror(errno));
    return ERR_OK;
}

static enum err make_root(const struct sim_chain *chain, int64_t now_ms, struct mkdoc_chain *out)
{
    struct mkdoc_chain_spec spec;
    mkdoc_chain_defaults(&spec, now_ms, chain->module_id, chain->region);
    spec.len = 1;
    return mkdoc_chain_make(&spec, out);
}

static enum err open_pem(int dir, const char *name, mode_t forbidden, BIO **out,
                         struct fault *fault)
{
    struct stat st;
    const int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        FAIL(fault, ERR_FILE, "%s cannot be opened: %s", name, strerror(errno));
    BIO *bio = BIO_new_fd(fd, BIO_CLOSE);
    if (bio == NULL) {
        close(fd);
        return ERR_NO_MEMORY;
    }
    *out = bio; /* the caller's, whatever follows */
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        FAIL(fault, ERR_FILE, "%s is no file", name);
    if ((st.st_mode & forbidden) != 0)
        FAIL(fault, ERR_CONFIG, "%s is open to others; its mode must be 0600", name);
    return ERR_OK;
}

static enum err load_root(int dir, struct mkdoc_chain *out, struct fault *fault)
{
    CLEANUP(bio_freep) BIO *cert_bio = NULL;
    CLEANUP(bio_freep) BIO *key_bio = NULL;
    TRY(open_pem(dir, ROOT_CERT, 0, &cert_bio, fault));
    TRY(open_pem(dir, ROOT_KEY, 077, &key_bio, fault));
    CLEANUP(x509_freep) X509 *cert = PEM_read_bio_X509(cert_bio, NULL, NULL, NULL);
    if (cert == NULL)
        FAIL(fault, ERR_CONFIG, "%s holds no certificate", ROOT_CERT);
    /* An empty passphrase, so that an encrypted key is refused rather than asked for. */
    CLEANUP(evp_pkey_freep)
    EVP_PKEY *key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, (void *)(uintptr_t) "");
    if (key == NULL)
        FAIL(fault, ERR_CONFIG, "%s holds no private key", ROOT_KEY);
    if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC || EVP_PKEY_get_bits(key) != 384 ||
        X509_check_private_key(cert, key) != 1)
        FAIL(fault, ERR_CONFIG, "%s and %s do not belong together, or are not P-384", ROOT_CERT,
             ROOT_KEY);
    CLEANUP(mkdoc_chain_free) struct mkdoc_chain root = {.len = 1};
    const int len = i2d_X509(cert, NULL);
    if (len <= 0)
        return ERR_CRYPTO;
    TRY(buf_reserve(&root.der[0], (size_t)len));
    uint8_t *end = root.der[0].ptr;
    root.der[0].len = (size_t)i2d_X509(cert, &end);
    root.key[0] = TAKE(key);
    *out = root;
    root = (struct mkdoc_chain){0};
    return ERR_OK;
}

static bool is_there(int dir, const char *name)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* The directory's lock makes "look, then make" one step for simulators that start
 * together; it ends with the descriptor. */
static enum err keep_root(struct sim_chain *chain, const char *root_dir, int64_t now_ms,
                          struct fault *fault)
{
    if (mkdir(root_dir, 0700) != 0 && errno != EEXIST)
        FAIL(fault, ERR_FILE, "the directory %s cannot be made: %s", root_dir, strerror(errno));
    CLEANUP(fd_close) int dir = open(root_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || flock(dir, LOCK_EX) != 0)
        FAIL(fault, ERR_FILE, "the directory %s cannot be opened: %s", root_dir, strerror(errno));
    if (is_there(dir, ROOT_CERT) || is_there(dir, ROOT_KEY))
        return load_root(dir, &chain->root, fault);
    CLEANUP(buf_free) struct buf pem = {0};
    TRY(make_root(chain, now_ms, &chain->root));
    TRY(mkdoc_root_pem(&chain->root, &pem));
    TRY(write_key(dir, chain->root.key[0], fault));
    return write_cert(dir, bytes_of_buf(&pem), fault);
}

enum err sim_chain_new(const char *root_dir, const char *module_id, const char *region,
                       int64_t now_ms, struct sim_chain **out, struct fault *fault)
{
    CLEANUP(sim_chain_freep) struct sim_chain *chain = calloc(1, sizeof *chain);
    if (chain == NULL)
        return ERR_NO_MEMORY;
    chain->module_id = module_id;
    chain->region = region;
    if (root_dir != NULL)
        TRY(keep_root(chain, root_dir, now_ms, fault));
    else
        TRY(make_root(chain, now_ms, &chain->root));
    *out = TAKE(chain);
    return ERR_OK;
}

void sim_chain_free(struct sim_chain *chain)
{
    if (chain == NULL)
        return;
    mkdoc_chain_free(&chain->root);
    mkdoc_chain_free(&chain->current);
    free(chain);
}

/* Whether `cert` is valid from now until at least `until_ms`. */
static bool lasts(const struct mkdoc_cert *cert, int64_t now_ms, int64_t until_ms)
{
    return cert->from_ms <= now_ms && until_ms <= cert->until_ms;
}

static enum err renew(struct sim_chain *chain, int64_t now_ms)
{
    struct mkdoc_chain_spec spec;
    mkdoc_chain_defaults(&spec, now_ms, chain->module_id, chain->region);
    size_t keep = 1;
    if (chain->current.len > 0) {
        while (keep < LEAF && lasts(&chain->spec.cert[keep], now_ms, spec.cert[LEAF].until_ms)) {
            spec.cert[keep] = chain->spec.cert[keep];
            keep++;
        }
    }
    struct mkdoc_chain next;
    TRY(mkdoc_chain_extend(keep == 1 ? &chain->root : &chain->current, keep, &spec, &next));
    mkdoc_chain_free(&chain->current);
    chain->current = next;
    chain->spec = spec;
    return ERR_OK;
}

enum err sim_chain_current(struct sim_chain *chain, int64_t now_ms, const struct mkdoc_chain **out)
{
    const struct mkdoc_cert *leaf = &chain->spec.cert[LEAF];
    const int64_t half_ms = (leaf->until_ms - leaf->from_ms) / 2;
    if (chain->current.len == 0 || !lasts(leaf, now_ms, now_ms + half_ms))
        TRY(renew(chain, now_ms));
    *out = &chain->current;
    return ERR_OK;
}

enum err sim_chain_root_pem(const struct sim_chain *chain, struct buf *pem)
{
    return mkdoc_root_pem(&chain->root, pem);
}
