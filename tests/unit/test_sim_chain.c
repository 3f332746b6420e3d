/* The simulator's certificates: renewal, the directory that keeps the root; and the PCRs
 * that it derives. */
#include "common/openssl_cleanup.h"
#include "enclave-agent/nsm-sim/sim_chain.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enclave-agent/nsm-sim/sim_measure.h"
#include "unit.h"

#define MODULE "i-0e7a38c68f4acde83-enc019d88dad36ca2ab"
#define NOW_MS INT64_C(1780000000000)
#define HOUR   (INT64_C(3600) * 1000)

/* Each certificate under the one before it, the first under itself; names in order. */
static void check_chain(const struct mkdoc_chain *made)
{
    CLEANUP(evp_pkey_freep) EVP_PKEY *issuer = NULL;
    for (size_t i = 0; i < made->len; i++) {
        const uint8_t *der = made->der[i].ptr;
        CLEANUP(x509_freep) X509 *cert = d2i_X509(NULL, &der, (long)made->der[i].len);
        ck_assert_ptr_nonnull(cert);
        ck_assert_uint_le(made->der[i].len, ATTDOC_CERT_MAX);
        ck_assert_int_eq(X509_verify(cert, issuer == NULL ? X509_get0_pubkey(cert) : issuer), 1);
        EVP_PKEY_free(issuer);
        issuer = X509_get_pubkey(cert);
    }
}

START_TEST(valid_chain_renewal)
{
    CLEANUP(sim_chain_freep) struct sim_chain *chain = NULL;
    const struct mkdoc_chain *at = NULL;
    ck_ok(sim_chain_new(NULL, MODULE, "eu-west-1", NOW_MS, &chain, NULL));
    CLEANUP(buf_free) struct buf root = {0};
    CLEANUP(buf_free) struct buf instance = {0};
    CLEANUP(buf_free) struct buf leaf = {0};
    ck_ok(sim_chain_current(chain, NOW_MS, &at));
    check_chain(at);
    ck_ok(buf_append(&root, bytes_of_buf(&at->der[0])));
    ck_ok(buf_append(&instance, bytes_of_buf(&at->der[3])));
    ck_ok(buf_append(&leaf, bytes_of_buf(&at->der[4])));
    ck_ok(sim_chain_current(chain, NOW_MS + HOUR, &at)); /* more than half is left */
    ck_assert(bytes_equal(bytes_of_buf(&at->der[4]), bytes_of_buf(&leaf)));
    ck_ok(sim_chain_current(chain, NOW_MS + 2 * HOUR, &at)); /* less */
    ck_assert(!bytes_equal(bytes_of_buf(&at->der[4]), bytes_of_buf(&leaf)));
    ck_assert(bytes_equal(bytes_of_buf(&at->der[3]), bytes_of_buf(&instance)));
    check_chain(at);
    ck_ok(sim_chain_current(chain, NOW_MS + 100 * 24 * HOUR, &at)); /* every CA has expired */
    ck_assert(!bytes_equal(bytes_of_buf(&at->der[3]), bytes_of_buf(&instance)));
    ck_assert(bytes_equal(bytes_of_buf(&at->der[0]), bytes_of_buf(&root)));
    check_chain(at);
    ck_ok(sim_chain_current(chain, NOW_MS, &at)); /* a clock set back */
    check_chain(at);
}
END_TEST

static char root_dir[64];
static char root_key[96];

static enum err open_root(struct sim_chain **out)
{
    return sim_chain_new(root_dir, MODULE, "eu-west-1", NOW_MS, out, NULL);
}

START_TEST(valid_root_dir)
{
    CLEANUP(sim_chain_freep) struct sim_chain *a = NULL;
    CLEANUP(sim_chain_freep) struct sim_chain *b = NULL;
    CLEANUP(sim_chain_freep) struct sim_chain *c = NULL;
    CLEANUP(buf_free) struct buf pem_a = {0};
    CLEANUP(buf_free) struct buf pem_b = {0};
    struct stat st;
    snprintf(root_dir, sizeof root_dir, "/tmp/test_sim_nsm.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root_dir));
    snprintf(root_key, sizeof root_key, "%s/root.key", root_dir);
    char cert[96];
    snprintf(cert, sizeof cert, "%s/root.pem", root_dir);
    ck_ok(open_root(&a));
    ck_ok(open_root(&b));
    ck_ok(sim_chain_root_pem(a, &pem_a));
    ck_ok(sim_chain_root_pem(b, &pem_b));
    ck_assert(bytes_equal(bytes_of_buf(&pem_a), bytes_of_buf(&pem_b)));
    const struct mkdoc_chain *at = NULL;
    ck_ok(sim_chain_current(b, NOW_MS, &at));
    check_chain(at);
    ck_assert_int_eq(stat(root_key, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(chmod(root_key, 0640), 0);
    ck_err(open_root(&c), ERR_CONFIG);
    ck_assert_int_eq(unlink(root_key), 0); /* half a root is no reason to make another */
    ck_err(open_root(&c), ERR_FILE);
    ck_assert_int_eq(unlink(cert), 0);
    ck_ok(open_root(&c));
    unlink(cert);
    unlink(root_key);
    rmdir(root_dir);
}
END_TEST

START_TEST(valid_measurements)
{
    uint8_t digest[SHA384_LEN];
    uint8_t pcr[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN] = {{0}};
    uint8_t other[ATTDOC_PCR_COUNT][ATTDOC_PCR_LEN] = {{0}};
    ck_ok(digest_sha384(bytes_of_text("an image"), digest));
    ck_ok(sim_measure_image(digest, pcr));
    digest[0] ^= 1;
    ck_ok(sim_measure_image(digest, other));
    ck_assert_mem_ne(pcr[0], other[0], ATTDOC_PCR_LEN);
    ck_assert_mem_eq(pcr[1], other[1], ATTDOC_PCR_LEN);
    ck_assert_mem_ne(pcr[2], other[2], ATTDOC_PCR_LEN);
    ck_assert_mem_ne(pcr[0], pcr[2], ATTDOC_PCR_LEN);
    ck_ok(sim_measure_instance(MODULE, pcr[4]));
    ck_ok(sim_measure_instance("i-0e7a38c68f4acde83-enc0000000000000000", other[4]));
    ck_assert_mem_eq(pcr[4], other[4], ATTDOC_PCR_LEN); /* the instance, not the enclave */
    ck_ok(sim_measure_instance("i-0e7a38c68f4acde84-enc019d88dad36ca2ab", other[4]));
    ck_assert_mem_ne(pcr[4], other[4], ATTDOC_PCR_LEN);
}
END_TEST

UNIT_MAIN("sim_chain", valid_chain_renewal, valid_root_dir, valid_measurements)
