/* PCRs of a role, an instance, a certificate, a file: AWS's published examples, every recorded
 * genuine document, and one deviation at a time from what is accepted. */
#include "hex.h"
#include "shared.h"
#include "verifier/measure/pcr_of.h"

#define DOCUMENTS "attestation-docs"

SHARED_DEMAND(DOCUMENTS "/manifest.json")

/* Made with openssl req; its PCR8 computed by Python's hashlib. */
#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"
#define CERTIFICATE                                                      \
    "MIIBxzCCAU6gAwIBAgIUCcAMOFN7aOGIdGQk1MKqhg1YlrYwCgYIKoZIzj0EAwMw\n" \
    "GzEZMBcGA1UEAwwQcGF5bWVudHMgc2lnbmluZzAeFw0yNjExMjkwOTEzNDhaFw0z\n" \
    "NjExMjYwOTEzNDhaMBsxGTAXBgNVBAMMEHBheW1lbnRzIHNpZ25pbmcwdjAQBgcq\n" \
    "hkjOPQIBBgUrgQQAIgNiAATrg9pQ1Xajqpcl1BeBaCGU1COgGwK79FcCG6fEt1SP\n" \
    "u4EMYEGirlwS+MVW1K7ojwkI8uzg4oR9xwiz7G48zwTPIveKOwCsdl93P422KHtK\n" \
    "t2xRxEMU1yDAiPRb3Zdmx1GjUzBRMB0GA1UdDgQWBBTFYMe5vtUFPYC+C23Ga/+O\n" \
    "w+wnpjAfBgNVHSMEGDAWgBTFYMe5vtUFPYC+C23Ga/+Ow+wnpjAPBgNVHRMBAf8E\n" \
    "BTADAQH/MAoGCCqGSM49BAMDA2cAMGQCMBCDw3rkgeU20knJxuTCh3MZqLvm3s3A\n" \
    "P1+sO5o1X3nMDdGZNlQ5nUvETTB3DBAbqQIwJ0178mQXghI6CzEsXmwuZzq4ET3+\n" \
    "cov4gPhhWDkBB2R+UKp47ePOEXtLKNIhsOO6\n"
#define CERTIFICATE_PCR8                                                                           \
    "ff2ab7d01a00dd6b70e0b98bb3d522dbd5da536c6ad45f4c1435f4cfd9c97426a75de9ee58974785926adb06ae01" \
    "9fc5"

static uint8_t pcr[ATTDOC_PCR_LEN];
static struct fault fault;

static void before(void)
{
    memset(pcr, 0xee, sizeof pcr);
    fault = (struct fault)FAULT_NONE;
}

static void refused(enum err err, enum err expected, const char *field, const char *says)
{
    static uint8_t untouched[ATTDOC_PCR_LEN];
    memset(untouched, 0xee, sizeof untouched);
    ck_err(err, expected);
    ck_assert_int_eq(fault.code, expected);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.detail, says) != NULL, "%s", fault.detail);
    ck_assert_mem_eq(pcr, untouched, sizeof pcr);
}

/* ---- roles ---- */

static void role_refused(const char *arn, const char *says)
{
    before();
    refused(pcr_of_role(arn, pcr, &fault), ERR_USAGE, "role-arn", says);
}

/* The example in AWS's user guide. */
START_TEST(valid_role)
{
    ck_ok(pcr_of_role("arn:aws:iam::123456789012:role/Webserver", pcr, NULL));
    ck_hex(
        bytes_of(pcr, sizeof pcr),
        "78fce75db17cd4e0a3fb8dad3ad128ca5e77edbb2b2c7f75329dccd99aa5f6ef4fc1f1a452e315b9e98f9e312e"
        "6921e6");
}
END_TEST

START_TEST(valid_role_forms)
{
    static const char *const arns[] = {
        "arn:aws-cn:iam::123456789012:role/a",
        "arn:aws-us-gov:iam::123456789012:role/a",
        "arn:aws-eusc:iam::123456789012:role/a",
        "arn:aws:iam::000000000000:role/path/of/it/A+=,.@_-z",
        "arn:aws:iam::123456789012:role/aws-service-role/x.amazonaws.com/Name",
        "arn:aws:iam::123456789012:role/with:colon/name",
    };
    for (size_t i = 0; i < ARRAY_LEN(arns); i++)
        ck_ok(pcr_of_role(arns[i], pcr, NULL));
    ck_ok(pcr_of_role("arn:aws:iam::123456789012:role/"
                      "0123456789012345678901234567890123456789012345678901234567890123",
                      pcr, NULL));
}
END_TEST

START_TEST(wrong_role)
{
    role_refused("arn:aws:iam::123456789012:role/*", "wildcards");
    role_refused("arn:aws:iam::*:role/Webserver", "wildcards");
    role_refused("arn:aws:iam::123456789012:role/Web?erver", "wildcards");
    role_refused("arn:aws:sts::123456789012:assumed-role/Webserver/i-0123", "assumed role");
    role_refused("arn:aws:iam::123456789012:instance-profile/Webserver", "instance profile");
    role_refused("arn:aws:iam::123456789012:user/ann", "not an IAM role");
    role_refused("arn:aws:iam::123456789012:root", "not an IAM role");
    role_refused("arn:aws:iam::123456789012:role", "not an IAM role");
    role_refused("arn:aws:sts::123456789012:role/Webserver", "IAM's");
    role_refused("arn:aws:iam:us-east-1:123456789012:role/Webserver", "no region");
    role_refused("arn:amazon:iam::123456789012:role/Webserver", "\"amazon\" is no partition");
    role_refused("arn::iam::123456789012:role/Webserver", "partition");
    role_refused("Webserver", "an ARN is expected");
    role_refused("", "an ARN is expected");
    role_refused("urn:aws:iam::123456789012:role/Webserver", "an ARN is expected");
    role_refused("arn:aws:iam:123456789012:role/Webserver", "an ARN is expected");
}
END_TEST

START_TEST(wrong_role_account)
{
    role_refused("arn:aws:iam:::role/Webserver", "12 digits");
    role_refused("arn:aws:iam::12345678901:role/Webserver", "12 digits");
    role_refused("arn:aws:iam::1234567890123:role/Webserver", "12 digits");
    role_refused("arn:aws:iam::12345678901x:role/Webserver", "12 digits");
    role_refused("arn:aws:iam::ACCOUNT:role/Webserver", "12 digits");
}
END_TEST

START_TEST(wrong_role_name)
{
    char arn[700] = "arn:aws:iam::123456789012:role/";
    role_refused(arn, "a role's name");
    role_refused("arn:aws:iam::123456789012:role/path/", "a role's name");
    role_refused("arn:aws:iam::123456789012:role/a#b", "a role's name");
    role_refused("arn:aws:iam::123456789012:role/a:b", "a role's name");
    role_refused("arn:aws:iam::123456789012:role/"
                 "01234567890123456789012345678901234567890123456789012345678901234",
                 "a role's name");
    role_refused("arn:aws:iam::123456789012:role/a b", "place 33");
    role_refused("arn:aws:iam::123456789012:role/Webserver\n", "place 41");
    role_refused(" arn:aws:iam::123456789012:role/Webserver", "place 1");
    role_refused("arn:aws:iam::123456789012:role/\xc3\xa9", "place 32");
    /* The path, with both of its slashes, has 512 characters, and then 513. */
    const size_t prefix = strlen(arn);
    memset(arn + prefix, 'p', 511);
    memcpy(arn + prefix + 510, "/n", 3);
    ck_ok(pcr_of_role(arn, pcr, NULL));
    memcpy(arn + prefix + 510, "p/n", 4);
    role_refused(arn, "a role's path");
}
END_TEST

/* ---- instances ---- */

static void instance_refused(const char *id, const char *says)
{
    before();
    refused(pcr_of_instance(id, pcr, &fault), ERR_USAGE, "instance-id", says);
}

/* The example in AWS's user guide. */
START_TEST(valid_instance)
{
    ck_ok(pcr_of_instance("i-1234567890abcdef0", pcr, NULL));
    ck_hex(
        bytes_of(pcr, sizeof pcr),
        "08f996b5d43e047a9eb51e7f548bfee7e164fd7dc8f65541f2ac09d6545ac812719327281c401a67a10fcba87a"
        "e79ce0");
    ck_ok(pcr_of_instance("i-12345678", pcr, NULL));
}
END_TEST

START_TEST(wrong_instance)
{
    static const char *const ids[] = {
        "",
        "i-",
        "i",
        "i-1234567",
        "i-123456789",
        "i-1234567890abcdef",
        "i-1234567890abcdef01",
        "i-1234567890ABCDEF0",
        "i-1234567890abcdeg0",
        "m-1234567890abcdef0",
        "1234567890abcdef0",
        " i-1234567890abcdef0",
        "i-1234567890abcdef0\n",
        "i-*",
    };
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        instance_refused(ids[i], "instance id");
    instance_refused("i-1234567890abcdef0-enc0123456789abcdef", "an enclave's id");
}
END_TEST

/* Hardware agrees: PCR4 of each genuine document is that of the instance it names. */
START_TEST(valid_recorded_instances)
{
    CLEANUP(json_decrefp) json_t *manifest = shared_json(DOCUMENTS "/manifest.json");
    size_t i;
    size_t checked = 0;
    json_t *entry;
    json_array_foreach(manifest, i, entry)
    {
        char id[64];
        if (!json_is_true(json_object_get(entry, "expect_accept_at_own_timestamp")))
            continue;
        snprintf(id, sizeof id, "%s", shared_text(entry, "module_id"));
        ck_assert_ptr_nonnull(strstr(id, "-enc"));
        *strstr(id, "-enc") = '\0';
        ck_ok(pcr_of_instance(id, pcr, NULL));
        ck_hex(bytes_of(pcr, sizeof pcr), shared_text(json_object_get(entry, "pcrs"), "4"));
        checked++;
    }
    printf("%zu recorded documents\n", checked);
    ck_assert_uint_gt(checked, 70);
}
END_TEST

/* ---- certificates ---- */

static void certificate_refused(struct bytes file, const char *says)
{
    before();
    refused(pcr_of_certificate(file, pcr, &fault), ERR_MEASUREMENT_INPUT, "signing-cert", says);
}

static void certificate_accepted(struct bytes file)
{
    before();
    ck_ok(pcr_of_certificate(file, pcr, &fault));
    ck_hex(bytes_of(pcr, sizeof pcr), CERTIFICATE_PCR8);
}

/* The bytes that the PEM block holds. */
static void make_der(struct buf *der)
{
    CLEANUP(buf_free) struct buf joined = {0};
    for (const char *c = CERTIFICATE; *c != '\0'; c++) {
        if (*c != '\n')
            ck_ok(buf_append(&joined, bytes_of(c, 1)));
    }
    ck_ok(base64_decode(bytes_of_buf(&joined), der));
}

START_TEST(valid_certificate)
{
    CLEANUP(buf_free) struct buf der = {0};
    certificate_accepted(bytes_of_text(BEGIN CERTIFICATE END));
    certificate_accepted(bytes_of_text("subject=payments\n\n" BEGIN CERTIFICATE END "\n"));
    make_der(&der);
    certificate_accepted(bytes_of_buf(&der));
}
END_TEST

/* As nitro-cli has it: the first certificate signs; what else the file holds is not looked at. */
START_TEST(valid_certificate_first)
{
    certificate_accepted(bytes_of_text(BEGIN CERTIFICATE END BEGIN "MAA=\n" END));
    certificate_accepted(bytes_of_text("-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n"
                                       "-----END EC PARAMETERS-----\n" BEGIN CERTIFICATE END));
}
END_TEST

START_TEST(junk_certificate)
{
    CLEANUP(buf_free) struct buf der = {0};
    certificate_refused(bytes_of("", 0), "empty");
    certificate_refused(bytes_of_text("0"), "no certificate");
    certificate_refused(bytes_of_text("a certificate"), "no certificate");
    certificate_refused(bytes_of_text(BEGIN CERTIFICATE), "no certificate");
    certificate_refused(bytes_of_text(BEGIN "MAA=\n" END), "no certificate");
    certificate_refused(bytes_of_text("-----BEGIN PUBLIC KEY-----\nMAA=\n"
                                      "-----END PUBLIC KEY-----\n"),
                        "no certificate");
    certificate_refused(bytes_of_text("-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n"
                                      "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n"
                                      "AAAA\n" END),
                        "no certificate");
    make_der(&der);
    for (size_t len = 1; len < der.len; len += 7)
        certificate_refused(bytes_of(der.ptr, len), "no certificate");
    ck_ok(buf_append(&der, bytes_of("\0", 1)));
    certificate_refused(bytes_of_buf(&der), "bytes follow");
}
END_TEST

START_TEST(long_certificate)
{
    CLEANUP(buf_free) struct buf file = {0};
    ck_ok(buf_append_text(&file, BEGIN CERTIFICATE END));
    ck_ok(buf_reserve(&file, PCR_OF_CERTIFICATE_MAX));
    memset(file.ptr + file.len, '\n', PCR_OF_CERTIFICATE_MAX - file.len + 1);
    certificate_accepted(bytes_of(file.ptr, PCR_OF_CERTIFICATE_MAX));
    before();
    refused(pcr_of_certificate(bytes_of(file.ptr, PCR_OF_CERTIFICATE_MAX + 1), pcr, &fault),
            ERR_TOO_LARGE, "signing-cert", "no certificate");
}
END_TEST

/* ---- what an enclave extends ---- */

START_TEST(valid_extension)
{
    ck_ok(pcr_of_extension(bytes_of_text("security-version = 3\n"), pcr, NULL));
    ck_hex(
        bytes_of(pcr, sizeof pcr),
        "788f11adf5bdb5fd11b0cdea7e4109914eca2276e93d2dc03322810ae05bfb34ab410ba11759062285fd6150f7"
        "f1979d");
}
END_TEST

START_TEST(long_extension)
{
    CLEANUP(buf_free) struct buf file = {0};
    before();
    refused(pcr_of_extension(bytes_of("", 0), pcr, &fault), ERR_MEASUREMENT_INPUT, "", "empty");
    ck_ok(buf_reserve(&file, PCR_OF_EXTENSION_MAX + 1));
    memset(file.ptr, 'x', PCR_OF_EXTENSION_MAX + 1);
    ck_ok(pcr_of_extension(bytes_of(file.ptr, PCR_OF_EXTENSION_MAX), pcr, NULL));
    before();
    refused(pcr_of_extension(bytes_of(file.ptr, PCR_OF_EXTENSION_MAX + 1), pcr, &fault),
            ERR_TOO_LARGE, "", "1048576");
}
END_TEST

UNIT_MAIN("pcr_of", valid_role, valid_role_forms, wrong_role, wrong_role_account, wrong_role_name,
          valid_instance, wrong_instance, valid_recorded_instances, valid_certificate,
          valid_certificate_first, junk_certificate, long_certificate, valid_extension,
          long_extension)
