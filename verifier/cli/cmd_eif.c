/* `vouchsafe describe-eif`: the measurements of an enclave image file, computed here. */
#include "command.h"
#include "eif_file.h"
#include "output.h"

static enum err describe_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(eif_description_free) struct eif_description description = {0};
    CLEANUP(json_decrefp) json_t *json = NULL;
    TRY(eif_file_read(args->operands[0], &description, NULL, fault));
    TRY(eif_describe(&description, &json));
    return cli_print_json(json);
}

static const struct cli_option describe_options[] = {{0}};

const struct cli_command cmd_describe_eif = {
    .name = "describe-eif",
    .operands = "FILE|-",
    .summary = "measure an enclave image file",
    .details = "Reads an enclave image file (EIF) once, checks its form, its CRC and, where it is\n"
               "signed, its signature, and prints what nitro-cli describe-eif prints: PCR0, PCR1,\n"
               "PCR2 and PCR8 computed from the file's bytes. It asks no server. The metadata is\n"
               "what the builder says: it is in no PCR.\n"
               "Exit status: 0 done, 1 not a whole and undamaged EIF, 2 wrong usage, 3 could not\n"
               "be read.",
    .options = describe_options,
    .operands_min = 1,
    .operands_max = 1,
    .run = describe_run,
};
