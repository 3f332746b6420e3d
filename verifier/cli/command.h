/* The commands of `vouchsafe`: one row each, one file per group.
 *
 * To add one: define a `const struct cli_command` in cmd_<group>.c, declare it here,
 * add its row in main.c and its text in docs/man.  main.c parses the options, counts
 * the operands, prints help, and turns what `run` returns into one line on standard
 * error and the exit status (DESIGN section 8). */
#ifndef VOUCHSAFE_CLI_COMMAND_H
#define VOUCHSAFE_CLI_COMMAND_H

#include "common/options.h"

struct cli_command {
    const char *name;                 /* "verify"; with a group, "measurement add" */
    const char *operands;             /* as shown in the usage line: "FILE|-" */
    const char *summary;              /* one line of `vouchsafe help` */
    const char *details;              /* paragraphs of `vouchsafe help NAME`, or NULL */
    const struct cli_option *options; /* ends with an empty row */
    size_t operands_min;
    size_t operands_max;
    /* Prints its result on standard output.  ERR_OK: exit 0.  Otherwise the fault is
     * printed by main, and the error's class gives the exit status. */
    enum err (*run)(const struct cli_args *args, struct fault *fault);
};

extern const struct cli_command cmd_verify, cmd_describe_eif, cmd_init, cmd_serve, cmd_status;
extern const struct cli_command cmd_measurement_add, cmd_measurement_list, cmd_measurement_show,
    cmd_measurement_activate, cmd_measurement_deprecate, cmd_measurement_revoke,
    cmd_measurement_discard, cmd_measurement_enclaves, cmd_image_list;
extern const struct cli_command cmd_secret_put, cmd_secret_list;
extern const struct cli_command cmd_grant_add, cmd_grant_list, cmd_grant_remove;
extern const struct cli_command cmd_revocation_add, cmd_revocation_list, cmd_revocation_remove;
extern const struct cli_command cmd_issuer_show, cmd_issuer_delegate;
extern const struct cli_command cmd_audit_list, cmd_audit_verify;
extern const struct cli_command cmd_explain;
extern const struct cli_command cmd_person_add, cmd_person_list, cmd_person_remove;
extern const struct cli_command cmd_token_create, cmd_token_list, cmd_token_revoke;
extern const struct cli_command cmd_signer_add, cmd_signer_list, cmd_signer_remove;
extern const struct cli_command cmd_registration_make, cmd_registration_sign,
    cmd_registration_submit;

#endif
