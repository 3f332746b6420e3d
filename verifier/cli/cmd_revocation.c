/* `vouchsafe revocation ...`: certificates and instances that are denied. */
#include <openssl/pem.h>
#include <stdio.h>

#include "api_command.h"
#include "command.h"
#include "common/attdoc.h"
#include "common/codec.h"
#include "common/cose_sign1.h"
#include "common/openssl_cleanup.h"
#include "verifier/attest/cert.h"

#define PATH_REVOCATIONS "/v1/admin/revocations"
#define PEM_MAX          65536

/* ---- what is asked ---- */

/* How a certificate is named: by itself, by its place in a document, or outright. */
static enum err set_certificate(json_t *params, struct bytes der, struct fault *fault)
{
    struct bytes issuer;
    struct bytes serial;
    if (!cert_find_issuer(der, &issuer, &serial))
        FAIL(fault, ERR_CERT_MALFORMED,
             "its issuer and serial number cannot be read: no certificate of a Nitro chain");
    TRY(api_set_base64(params, "issuer", issuer));
    CLEANUP(buf_free) struct buf hex = {0};
    TRY(hex_append(&hex, serial));
    return api_set(params, "serial", json_stringn((const char *)hex.ptr, hex.len));
}

static enum err set_from_pem(json_t *params, const char *path, struct fault *fault)
{
    CLEANUP(buf_free) struct buf pem = {0};
    TRY(cli_read_file(path, PEM_MAX, &pem, fault));
    const char *text = buf_text(&pem);
    if (text == NULL)
        return ERR_NO_MEMORY;
    CLEANUP(bio_freep) BIO *in = BIO_new_mem_buf(text, -1);
    char *name = NULL;
    char *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    if (in == NULL)
        return crypto_no_memory();
    crypto_begin();
    if (PEM_read_bio(in, &name, &header, &der, &len) != 1) {
        TRY(crypto_own_fault());
        FAIL(fault, ERR_USAGE, "%s holds no PEM certificate", path);
    }
    const bool certificate = strcmp(name, PEM_STRING_X509) == 0;
    const enum err err =
        certificate ? set_certificate(params, bytes_of(der, (size_t)len), fault) : ERR_OK;
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    if (!certificate)
        FAIL(fault, ERR_USAGE, "%s holds no PEM certificate", path);
    return err;
}

/* Of a document as it is, verified or not: what it names is only denied. */
static enum err set_from_document(json_t *params, const char *path, uint64_t position,
                                  struct fault *fault)
{
    CLEANUP(buf_free) struct buf document = {0};
    struct cose_sign1 cose;
    struct attdoc doc;
    TRY(cli_read_document(path, &document, fault));
    TRY(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(&document), &cose, fault));
    TRY(attdoc_parse(cose.payload, cose.payload_offset, NULL, &doc, fault));
    if (position > doc.cabundle_len)
        FAIL(fault, ERR_USAGE, "--position %llu: the document has certificates 0 to %zu",
             (unsigned long long)position, doc.cabundle_len);
    return set_certificate(
        params, position < doc.cabundle_len ? doc.cabundle[position] : doc.certificate, fault);
}

static enum err set_issuer(json_t *params, const struct cli_args *args, struct fault *fault)
{
    const char *hex = cli_args_value(args, "issuer");
    CLEANUP(buf_free) struct buf der = {0};
    const size_t len = strlen(hex) / 2;
    TRY(buf_reserve(&der, len + 1));
    if (len == 0 || hex_decode(bytes_of_text(hex), der.ptr, len) != ERR_OK)
        FAIL(fault, ERR_USAGE, "--issuer takes the DER of the issuer's name in hex digits");
    der.len = len;
    TRY(api_set_base64(params, "issuer", bytes_of_buf(&der)));
    return api_set_option(params, "serial", args, "serial");
}

static enum err set_subject(json_t *params, const struct cli_args *args, struct fault *fault)
{
    static const char *const ways[] = {"instance-id", "certificate", "document", "issuer"};
    uint64_t position = 0;
    unsigned given = 0;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        given += cli_args_has(args, ways[i]);
    if (given != 1)
        FAIL(fault, ERR_USAGE, "give one of --instance-id, --certificate, --document and --issuer");
    if (cli_args_has(args, "document") != cli_args_has(args, "position"))
        FAIL(fault, ERR_USAGE, "--document and --position belong together");
    if (cli_args_has(args, "issuer") != cli_args_has(args, "serial"))
        FAIL(fault, ERR_USAGE, "--issuer and --serial belong together");
    if (cli_args_has(args, "issuer"))
        return set_issuer(params, args, fault);
    if (cli_args_has(args, "certificate"))
        return set_from_pem(params, cli_args_value(args, "certificate"), fault);
    if (cli_args_has(args, "instance-id"))
        return api_set_option(params, "instance_id", args, "instance-id");
    TRY(cli_args_uint(args, "position", 0, ATTDOC_BUNDLE_MAX, &position, fault));
    return set_from_document(params, cli_args_value(args, "document"), position, fault);
}

static enum err set_reason(json_t *params, const struct cli_args *args, struct fault *fault)
{
    if (!cli_args_has(args, "reason"))
        FAIL(fault, ERR_USAGE, "--reason TEXT is missing: it is what people will find later");
    return api_set_option(params, "reason", args, "reason");
}

/* ---- what is shown ---- */

/* One text for what is revoked. */
static enum err describe(json_t *revocation, struct buf *out)
{
    const char *instance = show_text(revocation, "instance_id");
    if (instance[0] != '\0')
        return buf_append_format(out, "instance %s", instance);
    return buf_append_format(out, "certificate %s of %s", show_text(revocation, "serial"),
                             show_text(revocation, "issuer_cn"));
}

static enum err describe_row(json_t *row)
{
    CLEANUP(buf_free) struct buf what = {0};
    TRY(describe(row, &what));
    return api_set(row, "what", json_stringn((const char *)what.ptr, what.len));
}

static enum err print_result(const struct cli_args *args, const json_t *answer)
{
    if (cli_args_has(args, "json"))
        return cli_print_json(answer);
    json_t *revocation = json_object_get(answer, "revocation");
    CLEANUP(buf_free) struct buf line = {0};
    TRY(buf_append_format(&line, "%s revocation %lld: ", show_text(answer, "result"),
                          (long long)json_integer_value(json_object_get(revocation, "id"))));
    TRY(describe(revocation, &line));
    cli_print_text(bytes_of_buf(&line), stdout);
    putchar('\n');
    return ERR_OK;
}

/* ---- the commands ---- */

static enum err add_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(set_reason(params, args, fault));
    TRY(set_subject(params, args, fault));
    TRY(api_post(args, PATH_REVOCATIONS, params, &answer, fault));
    return print_result(args, answer);
}

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"ID", "id"},         {"WHAT", "what"},     {"STATE", "state"},
        {"REASON", "reason"}, {"PERSON", "person"}, {"CREATED", "created"},
    };
    CLEANUP(json_decrefp) json_t *params = json_object();
    const struct api_listing listing = {PATH_REVOCATIONS, "revocations", columns,
                                        ARRAY_LEN(columns), describe_row};
    return api_print_list(args, params, &listing, fault);
}

static enum err remove_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(api_set_id(params, args, "revocation", fault));
    TRY(set_reason(params, args, fault));
    TRY(api_post(args, PATH_REVOCATIONS "/remove", params, &answer, fault));
    return print_result(args, answer);
}

static const struct cli_option add_options[] = {
    {.name = "instance-id", .arg = "ID", .help = "an EC2 instance, with all its enclaves: i-..."},
    {.name = "certificate", .arg = "FILE", .help = "this certificate, PEM"},
    {.name = "document", .arg = "FILE", .help = "a certificate of this attestation document: ..."},
    {.name = "position",
     .arg = "N",
     .help = "... the N-th as verify --json lists them: 0 the root, the last the leaf"},
    {.name = "issuer",
     .arg = "HEX",
     .help = "the certificate of this issuer (DER of the name, in hex), with --serial"},
    {.name = "serial", .arg = "HEX", .help = "... and this serial number"},
    {.name = "reason", .arg = "TEXT", .help = "why; required"},
    API_OPTIONS};

static const struct cli_option list_options[] = {API_OPTIONS};

static const struct cli_option remove_options[] = {
    {.name = "reason", .arg = "TEXT", .help = "why; required"}, API_OPTIONS};

const struct cli_command cmd_revocation_add = {
    .name = "revocation add",
    .operands = "",
    .summary = "deny a certificate or an EC2 instance",
    .details = "From then on no document gets anything that has this certificate in its chain, or\n"
               "comes from this instance. What was released before is not taken back.",
    .options = add_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = add_run,
};

const struct cli_command cmd_revocation_list = {
    .name = "revocation list",
    .operands = "",
    .summary = "list revocations, removed ones too",
    .options = list_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};

const struct cli_command cmd_revocation_remove = {
    .name = "revocation remove",
    .operands = "ID",
    .summary = "take a revocation back",
    .details = "Needs the right people: who may revoke in an emergency may not undo it.",
    .options = remove_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = remove_run,
};
