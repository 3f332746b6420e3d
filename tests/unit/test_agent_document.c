/* The agent reads its own document: time, digest, root; and refuses what is not its own. */
#include "unit.h"

#include <openssl/pem.h>
#include <stdio.h>

#include "enclave-agent/document.h"
#include "tests/lib/mkdoc.h"

#define NOW_MS    INT64_C(1795000000123)
#define MODULE_ID "i-0123456789abcdef0-enc0123456789abcdef"

static struct fault fault;
static struct mkdoc_chain chain;
static struct mkdoc_fields fields;
static uint8_t root[SHA256_LEN];
static struct nsm_question asked;

static struct attdoc_optional says(struct bytes value)
{
    return (struct attdoc_optional){.state = ATTDOC_PRESENT, .value = value};
}

static void setup(void)
{
    struct mkdoc_chain_spec spec;
    mkdoc_chain_defaults(&spec, NOW_MS, MODULE_ID, "us-east-1");
    ck_ok(mkdoc_chain_make(&spec, &chain));
    ck_ok(digest_sha256(bytes_of_buf(&chain.der[0]), root));
    asked = (struct nsm_question){.user_data = bytes_of_text("user data"),
                                  .nonce = bytes_of_text("nonce"),
                                  .public_key = bytes_of_text("key")};
    mkdoc_fields_defaults(&fields, NOW_MS, MODULE_ID, 1);
    fields.user_data = says(asked.user_data);
    fields.nonce = says(asked.nonce);
    fields.public_key = says(asked.public_key);
}

static enum err read_made(struct own_document *out)
{
    CLEANUP(buf_free) struct buf document = {0};
    ck_ok(mkdoc_document(&fields, &chain, &document));
    return own_document_read(bytes_of_buf(&document), &asked, root, out, &fault);
}

START_TEST(valid_document)
{
    setup();
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf document = {0};
    uint8_t digest[SHA384_LEN];
    ck_ok(mkdoc_payload(&fields, &chain, &payload));
    ck_ok(mkdoc_sign(&chain, bytes_of_buf(&payload), &document));
    ck_ok(digest_sha384(bytes_of_buf(&payload), digest));
    struct own_document own;
    ck_ok(own_document_read(bytes_of_buf(&document), &asked, root, &own, &fault));
    ck_assert_uint_eq(own.time_ms, NOW_MS);
    ck_assert_mem_eq(own.digest, digest, sizeof digest);
    ck_assert_mem_eq(own.root, root, sizeof root);
    mkdoc_chain_free(&chain);
}
END_TEST

/* The compiled-in constant is the hash of the certificate that the tree pins. */
START_TEST(valid_aws_root)
{
    const char *source = getenv("VOUCHSAFE_SOURCE");
    ck_assert_ptr_nonnull(source);
    char path[4096];
    snprintf(path, sizeof path, "%s/certs/aws-nitro-root/root.pem", source);
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    X509 *cert = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    ck_assert_ptr_nonnull(cert);
    uint8_t digest[SHA256_LEN];
    unsigned len = sizeof digest;
    ck_assert_int_eq(X509_digest(cert, EVP_sha256(), digest, &len), 1);
    ck_assert_mem_eq(digest, own_document_aws_root, sizeof digest);
    X509_free(cert);
}
END_TEST

static void ck_refused(const char *field, const char *detail)
{
    struct own_document own = {.time_ms = 7};
    fault = (struct fault)FAULT_NONE;
    ck_err(read_made(&own), ERR_NSM);
    ck_assert_str_eq(fault.field, field);
    ck_assert_msg(strstr(fault.detail, detail) != NULL, "%s", fault.detail);
    ck_assert_uint_eq(own.time_ms, 7);
    mkdoc_chain_free(&chain);
}

START_TEST(wrong_root)
{
    setup();
    root[31] ^= 1;
    ck_refused("document", "and this agent trusts only that of --root");
}
END_TEST

START_TEST(wrong_root_aws)
{
    setup();
    memcpy(root, own_document_aws_root, sizeof root);
    ck_refused("document", "and this agent trusts AWS's only; a simulator's is named with --root");
}
END_TEST

#define NOT_ASKED "the NSM's document does not say what it was asked to"

START_TEST(wrong_nonce)
{
    setup();
    fields.nonce = says(bytes_of_text("nonsense"));
    ck_refused("document.nonce", NOT_ASKED);
}
END_TEST

START_TEST(no_user_data)
{
    setup();
    fields.user_data = (struct attdoc_optional){.state = ATTDOC_NULL};
    ck_refused("document.user_data", NOT_ASKED);
}
END_TEST

START_TEST(wrong_public_key)
{
    setup();
    fields.public_key = says(bytes_of_text("kex"));
    ck_refused("document.public_key", NOT_ASKED);
}
END_TEST

START_TEST(junk_document)
{
    setup();
    struct own_document own;
    ck_err(own_document_read(bytes_of_text("junk"), &asked, root, &own, &fault), ERR_NSM);
    ck_assert_msg(strstr(fault.detail, "the NSM's own document cannot be read: ") != NULL, "%s",
                  fault.detail);
    mkdoc_chain_free(&chain);
}
END_TEST

/* The payload with one key more, in front. */
static enum err read_with_key(const char *key)
{
    CLEANUP(buf_free) struct buf payload = {0};
    CLEANUP(buf_free) struct buf longer = {0};
    CLEANUP(buf_free) struct buf document = {0};
    ck_ok(mkdoc_payload(&fields, &chain, &payload));
    ck_assert_uint_eq(payload.ptr[0], 0xbf);
    const uint8_t head[] = {0xbf, (uint8_t)(0x60 | strlen(key))};
    ck_ok(buf_append(&longer, bytes_of(head, sizeof head)));
    ck_ok(buf_append_text(&longer, key));
    ck_ok(buf_append(&longer, bytes_of("\x01", 1)));
    ck_ok(buf_append(&longer, bytes_of(payload.ptr + 1, payload.len - 1)));
    ck_ok(mkdoc_sign(&chain, bytes_of_buf(&longer), &document));
    struct own_document own;
    return own_document_read(bytes_of_buf(&document), &asked, root, &own, &fault);
}

/* A field that AWS adds one day must not stop images that are in use. */
START_TEST(valid_unknown_key)
{
    setup();
    ck_ok(read_with_key("new_field"));
    mkdoc_chain_free(&chain);
}
END_TEST

START_TEST(wrong_unknown_key)
{
    setup();
    ck_err(read_with_key("other_pcrs"), ERR_NSM);
    ck_assert_str_eq(fault.field, "document: other_pcrs");
    mkdoc_chain_free(&chain);
}
END_TEST

UNIT_MAIN("agent_document", valid_document, valid_aws_root, wrong_root, wrong_root_aws, wrong_nonce,
          no_user_data, wrong_public_key, junk_document, valid_unknown_key, wrong_unknown_key)
