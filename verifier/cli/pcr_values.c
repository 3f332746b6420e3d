#include "pcr_values.h"

#include "common/codec.h"
#include "common/cose_sign1.h"
#include "output.h"
#include "verifier/measure/pcr_of.h"

void pcr_values_free(struct pcr_values *values)
{
    buf_free(&values->derived);
}

enum err pcr_values_set(struct pcr_values *values, unsigned index,
                        const uint8_t value[static ATTDOC_PCR_LEN], const char *source,
                        struct fault *fault)
{
    const bool known = (values->present >> index & 1) != 0;
    if (known && memcmp(values->value[index], value, ATTDOC_PCR_LEN) != 0) {
        char was[13];
        char is[13];
        hex_encode(bytes_of(values->value[index], 6), was);
        hex_encode(bytes_of(value, 6), is);
        FAIL(fault_at(fault, FAULT_NO_OFFSET, "PCR%u", index), ERR_MEASUREMENT_INPUT,
             "%s gives %s.., %s gives %s..: they must agree", values->source[index], was, source,
             is);
    }
    memcpy(values->value[index], value, ATTDOC_PCR_LEN);
    values->present |= UINT32_C(1) << index;
    values->source[index] = source;
    return ERR_OK;
}

static enum err note(struct pcr_values *values, unsigned index, const char *of, const char *what)
{
    return buf_append_format(&values->derived, "%sPCR%u of %s %s",
                             values->derived.len == 0 ? "" : "; ", index, of, what);
}

/* Which file it was, by its digest: a path says nothing on another machine. */
static enum err derive_signer(struct pcr_values *values, const char *path, struct fault *fault)
{
    CLEANUP(buf_free) struct buf file = {0};
    uint8_t pcr[ATTDOC_PCR_LEN];
    uint8_t digest[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    TRY(cli_read_file(path, PCR_OF_CERTIFICATE_MAX + 1, &file, fault));
    TRY(pcr_of_certificate(bytes_of_buf(&file), pcr, fault));
    TRY(pcr_values_set(values, 8, pcr, "--signing-cert", fault));
    TRY(digest_sha256(bytes_of_buf(&file), digest));
    hex_encode(bytes_of(digest, sizeof digest), hex);
    return note(values, 8, "signing certificate, file SHA-256", hex);
}

enum err pcr_values_derive(struct pcr_values *values, const struct cli_args *args,
                           struct fault *fault)
{
    const char *role = cli_args_value(args, "role-arn");
    const char *instance = cli_args_value(args, "instance-id");
    const char *signer = cli_args_value(args, "signing-cert");
    uint8_t pcr[ATTDOC_PCR_LEN];
    if (role != NULL) {
        TRY(pcr_of_role(role, pcr, fault));
        TRY(pcr_values_set(values, 3, pcr, "--role-arn", fault));
        TRY(note(values, 3, "role", role));
    }
    if (instance != NULL) {
        TRY(pcr_of_instance(instance, pcr, fault));
        TRY(pcr_values_set(values, 4, pcr, "--instance-id", fault));
        TRY(note(values, 4, "instance", instance));
    }
    return signer == NULL ? ERR_OK : derive_signer(values, signer, fault);
}
