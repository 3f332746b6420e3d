#include "pcr_of.h"

#include <openssl/pem.h>
#include <string.h>

#include "common/cose_sign1.h"
#include "common/openssl_cleanup.h"

/* As the hypervisor has it: a PCR that was zero, extended once. */
static enum err extend(struct bytes data, uint8_t out[static ATTDOC_PCR_LEN])
{
    static const uint8_t zeros[ATTDOC_PCR_LEN];
    CLEANUP(buf_free) struct buf both = {0};
    TRY(buf_append(&both, bytes_of(zeros, sizeof zeros)));
    TRY(buf_append(&both, data));
    return digest_sha384(bytes_of_buf(&both), out);
}

/* ---- PCR3: a role's ARN ---- */

#define ROLE_FORM "arn:aws:iam::ACCOUNT:role/NAME"

#define ALNUM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* IAM's limits: "IAM and AWS STS quotas". */
#define ROLE_NAME_MAX 64
#define ROLE_PATH_MAX 512

/* "arn", partition, service, region, account, and the rest. */
#define ARN_PARTS 6

static bool known_partition(struct bytes name)
{
    static const char *const known[] = {"aws",     "aws-cn",    "aws-us-gov", "aws-eusc",
                                        "aws-iso", "aws-iso-b", "aws-iso-e",  "aws-iso-f"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (bytes_equal_text(name, known[i]))
            return true;
    }
    return false;
}

/* Views of the parts; fewer than there are to be where colons are missing. */
static size_t split_arn(const char *arn, struct bytes part[static ARN_PARTS])
{
    size_t count = 0;
    while (count < ARN_PARTS - 1) {
        const size_t len = strcspn(arn, ":");
        part[count++] = bytes_of(arn, len);
        if (arn[len] == '\0')
            return count;
        arn += len + 1;
    }
    part[count++] = bytes_of_text(arn);
    return count;
}

static bool is_account(struct bytes part)
{
    return part.len == 12 && strspn((const char *)part.ptr, "0123456789") >= 12;
}

/* What is often taken for a role's ARN, and where the role's is found. */
static enum err check_mistaken(const struct bytes part[static ARN_PARTS], struct fault *fault)
{
    const char *resource = (const char *)part[5].ptr;
    if (strncmp(resource, "assumed-role/", strlen("assumed-role/")) == 0)
        FAIL(fault, ERR_USAGE,
             "this is a session of an assumed role; PCR3 is of the role itself, " ROLE_FORM
             ", with its path where it has one");
    if (strncmp(resource, "instance-profile/", strlen("instance-profile/")) == 0)
        FAIL(fault, ERR_USAGE,
             "this is an instance profile; PCR3 is of the role in it, " ROLE_FORM
             ": `aws iam get-instance-profile` shows it");
    if (strncmp(resource, "role/", strlen("role/")) != 0)
        FAIL(fault, ERR_USAGE, "this is not an IAM role; PCR3 is of a role, " ROLE_FORM);
    return ERR_OK;
}

/* "role/PATH/NAME" */
static enum err check_role_name(const char *resource, struct fault *fault)
{
    const char *name = strrchr(resource, '/') + 1;
    const size_t len = strlen(name);
    if (len < 1 || len > ROLE_NAME_MAX || strspn(name, ALNUM "+=,.@_-") != len)
        FAIL(fault, ERR_USAGE, "a role's name has 1..%d of letters, digits and +=,.@_-",
             ROLE_NAME_MAX);
    if ((size_t)(name - resource) - strlen("role") > ROLE_PATH_MAX)
        FAIL(fault, ERR_USAGE, "a role's path has at most %d characters", ROLE_PATH_MAX);
    return ERR_OK;
}

static enum err check_role(const char *arn, struct fault *fault)
{
    struct bytes part[ARN_PARTS] = {0};
    for (const char *c = arn; *c != '\0'; c++) {
        if (*c < 0x21 || *c > 0x7e)
            FAIL(fault, ERR_USAGE, "a blank, or a character that no ARN has, at place %zu",
                 (size_t)(c - arn) + 1);
    }
    if (strpbrk(arn, "*?") != NULL)
        FAIL(fault, ERR_USAGE,
             "PCR3 is a hash of one role's ARN: there are no wildcards; a grant for each role");
    if (split_arn(arn, part) != ARN_PARTS || !bytes_equal_text(part[0], "arn"))
        FAIL(fault, ERR_USAGE, "an ARN is expected: " ROLE_FORM);
    if (!known_partition(part[1]))
        FAIL(fault, ERR_USAGE, "\"%.*s\" is no partition of AWS: aws, aws-cn, aws-us-gov, ...",
             part[1].len < 32 ? (int)part[1].len : 32, (const char *)part[1].ptr);
    TRY(check_mistaken(part, fault));
    if (!bytes_equal_text(part[2], "iam") || part[3].len != 0)
        FAIL(fault, ERR_USAGE, "a role is IAM's, and of no region: " ROLE_FORM);
    if (!is_account(part[4]))
        FAIL(fault, ERR_USAGE, "an account has exactly 12 digits: " ROLE_FORM);
    return check_role_name((const char *)part[5].ptr, fault);
}

enum err pcr_of_role(const char *arn, uint8_t out[static ATTDOC_PCR_LEN], struct fault *fault)
{
    TRY(check_role(arn, fault_at(fault, FAULT_NO_OFFSET, "role-arn")));
    return extend(bytes_of_text(arn), out);
}

/* ---- PCR4: an instance's id ---- */

enum err pcr_of_instance(const char *id, uint8_t out[static ATTDOC_PCR_LEN], struct fault *fault)
{
    (void)fault_at(fault, FAULT_NO_OFFSET, "instance-id");
    if (strncmp(id, "i-", 2) == 0 && strstr(id, "-enc") != NULL)
        FAIL(fault, ERR_USAGE,
             "this is an enclave's id; PCR4 is of its parent instance, what stands before -enc");
    const size_t digits = strncmp(id, "i-", 2) == 0 ? strspn(id + 2, "0123456789abcdef") : 0;
    if ((digits != 8 && digits != 17) || id[2 + digits] != '\0')
        FAIL(fault, ERR_USAGE,
             "an instance id is expected: i- and 17 (or 8) hexadecimal digits in lower case");
    return extend(bytes_of_text(id), out);
}

/* ---- PCR8: a signing certificate ---- */

/* Nobody is asked for a passphrase.
 * NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's pem_password_cb */
static int no_password(char *buf, int size, int writing, void *context)
{
    (void)buf;
    (void)size;
    (void)writing;
    (void)context;
    return -1;
}

/* A SEQUENCE of more than 127 bytes; PEM is text. */
static bool is_der(struct bytes file)
{
    return file.len > 1 && file.ptr[0] == 0x30 && file.ptr[1] >= 0x80;
}

/* `*out` stays NULL where there is none in it. */
static enum err read_certificate(struct bytes file, X509 **out)
{
    if (is_der(file)) {
        const uint8_t *end = file.ptr;
        *out = d2i_X509(NULL, &end, (long)file.len);
        return ERR_OK;
    }
    CLEANUP(bio_freep) BIO *in = BIO_new_mem_buf(file.ptr, (int)file.len);
    if (in == NULL)
        return crypto_no_memory();
    *out = PEM_read_bio_X509(in, NULL, no_password, NULL);
    return ERR_OK;
}

static enum err write_der(const X509 *cert, struct buf *der)
{
    CLEANUP(openssl_freep) uint8_t *bytes = NULL;
    const int len = i2d_X509(cert, &bytes);
    if (len <= 0)
        return crypto_failed();
    return buf_append(der, bytes_of(bytes, (size_t)len));
}

enum err pcr_of_certificate(struct bytes file, uint8_t out[static ATTDOC_PCR_LEN],
                            struct fault *fault)
{
    CLEANUP(x509_freep) X509 *cert = NULL;
    CLEANUP(buf_free) struct buf der = {0};
    uint8_t digest[SHA384_LEN];
    (void)fault_at(fault, FAULT_NO_OFFSET, "signing-cert");
    if (file.len > PCR_OF_CERTIFICATE_MAX)
        FAIL(fault, ERR_TOO_LARGE, "more than %d bytes: that is no certificate",
             PCR_OF_CERTIFICATE_MAX);
    if (file.len < 1)
        FAIL(fault, ERR_MEASUREMENT_INPUT, "the file is empty; a certificate is expected");
    crypto_begin();
    TRY(read_certificate(file, &cert));
    if (cert == NULL)
        TRY(crypto_own_fault());
    ERR_clear_error(); /* what stood before the certificate in a PEM file */
    if (cert == NULL)
        FAIL(fault, ERR_MEASUREMENT_INPUT,
             "no certificate in it: PEM, as nitro-cli takes it, or DER is expected");
    TRY(write_der(cert, &der));
    if (is_der(file) && !bytes_equal(bytes_of_buf(&der), file))
        FAIL(fault, ERR_MEASUREMENT_INPUT, "bytes follow the certificate, or it is no strict DER");
    TRY(digest_sha384(bytes_of_buf(&der), digest));
    return extend(bytes_of(digest, sizeof digest), out);
}

/* ---- PCR16..31: what an enclave extends by itself ---- */

enum err pcr_of_extension(struct bytes file, uint8_t out[static ATTDOC_PCR_LEN],
                          struct fault *fault)
{
    uint8_t digest[SHA384_LEN];
    if (file.len > PCR_OF_EXTENSION_MAX)
        FAIL(fault, ERR_TOO_LARGE, "more than %d bytes", PCR_OF_EXTENSION_MAX);
    if (file.len < 1)
        FAIL(fault, ERR_MEASUREMENT_INPUT, "the file is empty");
    TRY(digest_sha384(file, digest));
    return extend(bytes_of(digest, sizeof digest), out);
}
