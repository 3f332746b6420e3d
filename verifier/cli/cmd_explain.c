/* `vouchsafe explain`: why a document, or a request on record, gets what it asks for or not. */
#include <stdio.h>

#include "api.h"
#include "command.h"
#include "explain_advice.h"
#include "show.h"

#define PREFIX_LEN 8 /* of a PCR in a table: enough to compare by eye */

/* ---- what is asked ---- */

static enum err set_document(json_t *params, const char *path, struct fault *fault)
{
    CLEANUP(buf_free) struct buf document = {0};
    TRY(cli_read_document(path, &document, fault));
    return api_set_base64(params, "attestation_document", bytes_of_buf(&document));
}

static enum err set_secrets(json_t *params, const struct cli_args *args, struct fault *fault)
{
    CLEANUP(buf_free) struct buf names = {0};
    size_t next = 0;
    for (const char *name; (name = cli_args_next(args, "secret", &next)) != NULL;)
        TRY(buf_append_format(&names, "%s%s", names.len == 0 ? "" : ",", name));
    if (names.len == 0)
        FAIL(fault, ERR_USAGE, "which secrets? give --secret NAME[@VERSION], once for each");
    return api_set(params, "secrets", json_stringn((const char *)names.ptr, names.len));
}

static enum err set_question(json_t *params, const struct cli_args *args, struct fault *fault)
{
    const char *path = cli_args_value(args, "document");
    if ((path != NULL) == (args->operand_count == 1))
        FAIL(fault, ERR_USAGE, "give either --document FILE or the id of a request");
    if (path == NULL && (cli_args_has(args, "secret") || cli_args_has(args, "at")))
        FAIL(fault, ERR_USAGE,
             "--secret and --at go with --document: a request on record says "
             "itself what was asked for");
    if (path == NULL)
        return api_set(params, "request", json_string(args->operands[0]));
    TRY(set_secrets(params, args, fault));
    TRY(api_set_option(params, "at", args, "at"));
    return set_document(params, path, fault);
}

/* ---- what is shown ---- */

static void print_text(const char *text)
{
    cli_print_text(bytes_of_text(text), stdout);
}

/* "region_matches" -> "region matches", and what came of it. */
static void print_check(const char *name, const char *result)
{
    char label[48];
    snprintf(label, sizeof label, "%s", name);
    for (char *c = label; *c != '\0'; c++) {
        if (*c == '_')
            *c = ' ';
    }
    printf("  %-28s ", label);
    print_text(strcmp(result, "failed") == 0        ? "FAIL"
               : strcmp(result, "not reached") == 0 ? "-"
                                                    : result);
    putchar('\n');
}

static void print_checks(const json_t *checks)
{
    size_t i;
    const json_t *row;
    json_array_foreach(checks, i, row)
        print_check(show_text(row, "check"), show_text(row, "result"));
}

static enum err print_differences(const json_t *different)
{
    static const char *const headings[] = {"  PCR", "DOCUMENT", "DEMANDED", "MEANING"};
    CLEANUP(cli_table_free) struct cli_table table = {0};
    size_t i;
    const json_t *row;
    if (json_array_size(different) == 0)
        return ERR_OK;
    TRY(cli_table_init(&table, ARRAY_LEN(headings), headings));
    json_array_foreach(different, i, row)
    {
        char name[24];
        char found[PREFIX_LEN + 1];
        char demanded[PREFIX_LEN + 1];
        const char *value = show_text(row, "document");
        snprintf(name, sizeof name, "  PCR%" JSON_INTEGER_FORMAT,
                 json_integer_value(json_object_get(row, "pcr")));
        snprintf(found, sizeof found, "%s", value[0] == '\0' ? "absent" : value);
        snprintf(demanded, sizeof demanded, "%s", show_text(row, "demanded"));
        const char *const cells[] = {name, found, demanded, show_text(row, "meaning")};
        TRY(cli_table_row(&table, cells));
    }
    cli_table_print(&table, stdout);
    return ERR_OK;
}

static enum err print_nearest(const json_t *nearest)
{
    if (nearest == NULL)
        return ERR_OK;
    const json_t *different = json_object_get(nearest, "different");
    const json_int_t equal = json_integer_value(json_object_get(nearest, "equal"));
    fputs("  nearest measurement: ", stdout);
    print_text(show_text(nearest, "measurement"));
    fputs(" (", stdout);
    print_text(show_text(nearest, "state"));
    printf(json_is_true(json_object_get(nearest, "granted"))
               ? "), %" JSON_INTEGER_FORMAT " of %zu PCRs are equal\n"
               : ", of an image that no grant names), %" JSON_INTEGER_FORMAT
                 " of %zu PCRs are equal\n",
           equal, (size_t)equal + json_array_size(different));
    return print_differences(different);
}

/* The candidate that came furthest whole, the others by what they failed at. */
static enum err print_tried(const json_t *tried)
{
    static const struct show_column columns[] = {
        {"  grant", "grant"},           {"  measurement", "measurement"}, {"  state", "state"},
        {"  not before", "not_before"}, {"  not after", "not_after"},
    };
    const json_t *first = json_array_get(tried, 0);
    print_checks(json_object_get(first, "checks"));
    TRY(show_object(first, columns, ARRAY_LEN(columns)));
    TRY(print_differences(json_object_get(first, "different")));
    for (size_t i = 1; i < json_array_size(tried); i++) {
        const json_t *other = json_array_get(tried, i);
        const json_t *grant = json_object_get(other, "grant");
        printf("  also grant %" JSON_INTEGER_FORMAT " ",
               json_integer_value(json_object_get(grant, "id")));
        print_text(show_text(other, "measurement")[0] == '\0' ? show_text(grant, "image")
                                                              : show_text(other, "measurement"));
        fputs(": ", stdout);
        print_text(show_text(other, "reason"));
        putchar('\n');
    }
    return ERR_OK;
}

/* "secret db/main, version 2: there is no grant of this secret (not_granted)" */
static enum err print_secret(const json_t *answer, const json_t *secret)
{
    static const struct show_column quota[] = {{"  quota", "quota"}};
    const json_int_t version = json_integer_value(json_object_get(secret, "version"));
    const char *then = show_text(json_object_get(secret, "then"), "reason");
    fputs("\nsecret ", stdout);
    print_text(show_text(secret, "name"));
    if (version != 0)
        printf(", version %" JSON_INTEGER_FORMAT, version);
    fputs(": ", stdout);
    print_text(show_text(secret, "sentence"));
    fputs(" (", stdout);
    print_text(show_text(secret, "reason"));
    puts(")");
    if (json_object_get(secret, "then") != NULL) {
        fputs("  then: ", stdout);
        print_text(then[0] == '\0' ? "not decided" : then);
        fputs("; now: ", stdout);
        print_text(show_text(secret, "reason"));
        puts(strcmp(then, show_text(secret, "reason")) == 0 ? " (as then)" : "");
    }
    if (json_object_get(secret, "then") != NULL &&
        json_object_get(json_object_get(secret, "then"), "asked") == NULL)
        puts("  which version was asked for is not on record: judged for the current one");
    TRY(print_tried(json_object_get(secret, "tried")));
    TRY(show_object(secret, quota, ARRAY_LEN(quota)));
    TRY(print_nearest(json_object_get(secret, "nearest")));
    return explain_advise(answer, secret);
}

static enum err print_document(const json_t *answer)
{
    static const struct show_column columns[] = {
        {"judged at", "judged_at"},       {"policy revision", "policy_revision"},
        {"module", "document.module_id"}, {"kind", "document.kind"},
        {"debug", "document.debug"},      {"region", "document.region"},
        {"made", "document.timestamp"},
    };
    TRY(show_object(answer, columns, ARRAY_LEN(columns)));
    puts("\ndocument");
    print_checks(json_object_get(answer, "checks"));
    if (json_object_get(answer, "binding") != NULL) {
        puts("what a release asks of the request besides, which is not judged here");
        print_checks(json_object_get(answer, "binding"));
    }
    return ERR_OK;
}

static enum err print_record(const json_t *answer)
{
    static const struct show_column columns[] = {
        {"why", "detail"},
        {"judged at", "judged_at"},
        {"policy revision", "policy_revision"},
        {"then", "record.time"},
        {"  code", "record.code"},
        {"  policy revision", "record.policy_revision"},
        {"  audit record", "record.sequence"},
        {"  detail", "record.detail"},
        {"module", "record.document.module_id"},
        {"region", "record.document.region"},
    };
    return show_object(answer, columns, ARRAY_LEN(columns));
}

/* What has changed the policy between then and now. */
static enum err print_changes(const json_t *answer)
{
    static const struct show_column columns[] = {
        {"NUMBER", "sequence"}, {"TIME", "time"},     {"EVENT", "event"},
        {"PERSON", "person"},   {"OBJECT", "object"},
    };
    const json_t *next = json_object_get(answer, "changes_next");
    const json_t *changes = json_object_get(answer, "changes");
    if (json_array_size(changes) > 0) {
        puts("\nchanges since then");
        TRY(show_table(changes, columns, ARRAY_LEN(columns)));
    }
    if (next != NULL)
        printf("there may be more: vouchsafe audit list --from %" JSON_INTEGER_FORMAT "\n",
               json_integer_value(next));
    return ERR_OK;
}

static enum err print_explanation(json_t *answer)
{
    const json_t *record = json_object_get(answer, "record");
    const bool released = strcmp(show_text(answer, "verdict"), "released") == 0;
    size_t i;
    const json_t *secret;
    fputs(released ? "WOULD BE RELEASED" : "WOULD BE REFUSED", stdout);
    if (record != NULL)
        printf(" now; was %s",
               strcmp(show_text(record, "event"), "release.granted") == 0 ? "released" : "refused");
    putchar('\n');
    TRY(record == NULL ? print_document(answer) : print_record(answer));
    TRY(print_nearest(json_object_get(answer, "nearest")));
    /* For the advice, which speaks of the document. */
    if (record != NULL)
        TRY(api_set(answer, "document", json_incref(json_object_get(record, "document"))));
    json_array_foreach(json_object_get(answer, "secrets"), i, secret)
        TRY(print_secret(answer, secret));
    return print_changes(answer);
}

/* ---- the command ---- */

/* The server's verdict as this command's: a code that is not known here is a refusal, too. */
static enum err take_verdict(const struct cli_args *args, const json_t *answer, struct fault *fault)
{
    const enum err code = err_from_wire(show_text(answer, "code"));
    if (strcmp(show_text(answer, "verdict"), "released") == 0)
        return ERR_OK;
    return fault_set(fault_at(fault, FAULT_NO_OFFSET, "%s", show_text(answer, "field")),
                     code == ERR_OK ? ERR_REFUSED : code, "%s%s", show_text(answer, "detail"),
                     code == ERR_CERT_EXPIRED && !cli_args_has(args, "at")
                         ? "; to judge a recorded document at its own time: --at document"
                         : "");
}

static enum err explain_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(set_question(params, args, fault));
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(api_call(&api, "POST", "/v1/admin/explain", params, &answer, fault));
    if (cli_args_has(args, "json"))
        TRY(cli_print_json(answer));
    else
        TRY(print_explanation(answer));
    return take_verdict(args, answer, fault);
}

static const struct cli_option explain_options[] = {
    {.name = "document",
     .arg = "FILE|-",
     .help = "explain what this attestation document would get, raw or as base64"},
    {.name = "secret",
     .arg = "NAME[@VERSION]",
     .help = "a secret it asks for; may be repeated",
     .repeated = true},
    {.name = "at",
     .arg = "TIME|document",
     .help = "judge at this time (RFC 3339, UTC) or at the document's own timestamp, instead of "
             "now"},
    API_OPTIONS};

const struct cli_command cmd_explain = {
    .name = "explain",
    .operands = "[REQUEST-ID]",
    .summary = "say why something is released to an enclave or not",
    .details =
        "Runs the checks of a release, every one shown, for --document FILE --secret NAME or\n"
        "for a request on record, with the measurement that comes nearest. It releases\n"
        "nothing, redeems no challenge and counts nothing.\n"
        "Exit status: 0 it would be released, 1 it would be refused, 2 wrong usage, 3 could\n"
        "not be decided.",
    .options = explain_options,
    .operands_min = 0,
    .operands_max = 1,
    .run = explain_run,
};
