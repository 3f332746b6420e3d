/* `vouchsafe audit ...`: what was decided, and whether the log of it is whole. */
#include <stdio.h>

#include "auditor.h"
#include "command.h"
#include "common/codec.h"
#include "show.h"
#include "trust.h"

#define EXPORT_LIMIT   500 /* records a page: well below API_ANSWER_MAX */
#define CHECKPOINT_MAX 4096

/* ---- list ---- */

/* A decision has no one object: what was asked for, and what came of each; and whose
 * enclave asked. */
static enum err describe_decision(json_t *record)
{
    CLEANUP(buf_free) struct buf object = {0};
    size_t i;
    const json_t *item;
    const json_t *items = json_object_get(record, "secrets");
    if (items == NULL)
        return ERR_OK;
    json_array_foreach(items, i, item)
    {
        const char *build = show_text(item, "measurement");
        const char *reason = show_text(item, "reason");
        TRY(buf_append_format(&object, "%s%s", i == 0 ? "" : ", ", show_text(item, "name")));
        const json_int_t version = json_integer_value(json_object_get(item, "version"));
        if (version != 0)
            TRY(buf_append_format(&object, "@%lld", (long long)version));
        if (build[0] != '\0')
            TRY(buf_append_format(&object, " to %s", build));
        else if (reason[0] != '\0')
            TRY(buf_append_format(&object, " (%s)", reason));
    }
    TRY(api_set(record, "object", json_stringn((const char *)object.ptr, object.len)));
    /* Of a policy's refusal the detail says the first item's reason once more. */
    if (show_text(record, "detail")[0] != '\0' &&
        strcmp(show_text(record, "code"), err_wire(ERR_REFUSED)) != 0)
        return ERR_OK;
    const char *module = show_text(json_object_get(record, "document"), "module_id");
    return api_set(record, "detail", json_string(module));
}

static enum err list_run(const struct cli_args *args, struct fault *fault)
{
    static const struct show_column columns[] = {
        {"NUMBER", "sequence"},    {"TIME", "time"},     {"EVENT", "event"},
        {"CODE", "code"},          {"PERSON", "person"}, {"OBJECT", "object"},
        {"REQUEST", "request_id"}, {"DETAIL", "detail"},
    };
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(json_decrefp) json_t *params = json_object();
    CLEANUP(json_decrefp) json_t *answer = NULL;
    uint64_t limit = 100;
    uint64_t from = 0;
    TRY(cli_args_uint(args, "limit", 1, 1000, &limit, fault));
    TRY(cli_args_uint(args, "from", 1, INT64_MAX, &from, fault));
    TRY(api_set_option(params, "request", args, "request"));
    TRY(api_set_option(params, "event", args, "event"));
    TRY(api_set(params, "limit", json_integer((json_int_t)limit)));
    if (from != 0)
        TRY(api_set(params, "from", json_integer((json_int_t)from)));
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(api_call(&api, "GET", "/v1/admin/audit", params, &answer, fault));
    json_t *records = json_object_get(answer, "records");
    if (cli_args_has(args, "json"))
        return cli_print_json(records);
    size_t i;
    json_t *record;
    json_array_foreach(records, i, record) TRY(describe_decision(record));
    return show_table(records, columns, ARRAY_LEN(columns));
}

/* ---- verify ---- */

/* A checkpoint that the auditor kept: hex on the command line; in a file, hex, base64 or
 * the message itself, which begins with tag 18. */
static enum err decode_checkpoint(struct bytes text, struct buf *out, struct fault *fault)
{
    while (text.len > 0 && strchr(" \t\r\n", text.ptr[text.len - 1]) != NULL)
        text.len--;
    if (text.len > 0 && text.ptr[0] == 0xd2)
        return buf_append(out, text);
    TRY(buf_reserve(out, text.len / 2 + 1));
    if (text.len > 0 && hex_decode(text, out->ptr, text.len / 2) == ERR_OK) {
        out->len = text.len / 2;
        return ERR_OK;
    }
    if (text.len == 0 || base64_decode(text, out) != ERR_OK)
        FAIL(fault, ERR_USAGE, "--expect-checkpoint takes a checkpoint as the server logged it");
    return ERR_OK;
}

static bool is_hex(const char *text)
{
    return text[0] != '\0' && strspn(text, "0123456789abcdefABCDEF") == strlen(text);
}

static enum err load_checkpoint(const char *given, struct buf *out, struct fault *fault)
{
    CLEANUP(buf_free) struct buf content = {0};
    if (is_hex(given))
        return decode_checkpoint(bytes_of_text(given), out, fault);
    TRY(cli_read_file(given, CHECKPOINT_MAX, &content, fault));
    return decode_checkpoint(bytes_of_buf(&content), out, fault);
}

/* Every page from record 1; the last one has no `next`. */
static enum err take_pages(const struct api *api, struct auditor *auditor, struct fault *fault)
{
    CLEANUP(json_decrefp) json_t *params = json_object();
    TRY(api_set(params, "limit", json_integer(EXPORT_LIMIT)));
    for (;;) {
        CLEANUP(json_decrefp) json_t *page = NULL;
        const uint64_t before = auditor->sequence;
        TRY(api_set(params, "from", json_integer((json_int_t)before + 1)));
        TRY(api_call(api, "GET", "/v1/admin/audit/export", params, &page, fault));
        TRY(auditor_page(auditor, page, fault));
        if (json_object_get(page, "next") == NULL)
            return auditor_finish(auditor, fault);
        if (auditor->sequence == before)
            FAIL(fault_at(fault, FAULT_NO_OFFSET, "record %llu", (unsigned long long)before + 1),
                 ERR_ANSWER, "the server says that there is more, and sends none of it");
    }
}

static enum err print_verdict(const struct auditor *a, bool as_json)
{
    char hash[2 * SHA384_LEN + 1];
    char store[2 * PROTOCOL_STORE_ID_LEN + 1];
    char time[TIME_TEXT_MAX] = "";
    CLEANUP(json_decrefp) json_t *shown = json_object();
    hex_encode(bytes_of(a->hash, sizeof a->hash), hash);
    hex_encode(bytes_of(a->store_id, sizeof a->store_id), store);
    TRY(api_set(shown, "valid", json_true()));
    TRY(api_set(shown, "store_id", json_string(store)));
    TRY(api_set(shown, "records", json_integer((json_int_t)a->sequence)));
    TRY(api_set(shown, "hash", json_string(hash)));
    TRY(api_set(shown, "checkpoints", json_integer((json_int_t)a->checkpoints)));
    TRY(api_set(shown, "checkpoints_out_of_time", json_integer((json_int_t)a->out_of_time)));
    TRY(api_set(shown, "complete_to", json_integer((json_int_t)a->complete_to)));
    if (a->complete_to != 0) {
        time_format(a->complete_time, time);
        TRY(api_set(shown, "complete_time", json_string(time)));
    }
    if (a->expecting)
        TRY(api_set(shown, "expected", json_integer((json_int_t)a->expected.sequence)));
    if (as_json)
        return cli_print_json(shown);
    printf("VALID: %llu record%s and %llu checkpoint%s\n", (unsigned long long)a->sequence,
           plural(a->sequence), (unsigned long long)a->checkpoints, plural(a->checkpoints));
    if (a->complete_to == 0)
        puts("no checkpoint shows that nothing was cut off the end");
    else
        printf("complete up to record %llu, signed %s\n", (unsigned long long)a->complete_to, time);
    if (a->expecting)
        printf("and it holds the expected checkpoint, of record %llu\n",
               (unsigned long long)a->expected.sequence);
    if (a->out_of_time != 0)
        printf("also in agreement, but of a time for which the server has no delegation any more: "
               "%llu checkpoint%s\n",
               (unsigned long long)a->out_of_time, plural(a->out_of_time));
    return ERR_OK;
}

static enum err verify_run(const struct cli_args *args, struct fault *fault)
{
    CLEANUP(api_free) struct api api = {0};
    CLEANUP(issuer_pins_free) struct issuer_pins pins = {0};
    CLEANUP(buf_free) struct buf checkpoint = {0};
    CLEANUP(auditor_free) struct auditor auditor;
    const char *expected = cli_args_value(args, "expect-checkpoint");
    auditor_init(&auditor, &pins);
    if (expected != NULL) {
        TRY(load_checkpoint(expected, &checkpoint, fault));
        TRY(auditor_expect(&auditor, bytes_of_buf(&checkpoint), fault));
    }
    TRY(api_open(args, API_ARENA_TOKEN, &api, fault));
    TRY(trust_load(&api, args, &pins, fault));
    TRY(take_pages(&api, &auditor, fault));
    return print_verdict(&auditor, cli_args_has(args, "json"));
}

static const struct cli_option list_options[] = {
    {.name = "request", .arg = "ID", .help = "the records of this request"},
    {.name = "event", .arg = "EVENT", .help = "of this event only, such as release.refused"},
    {.name = "from", .arg = "N", .help = "from this record on, instead of the newest"},
    {.name = "limit", .arg = "N", .help = "look at N records (default 100, at most 1000)"},
    API_OPTIONS};

static const struct cli_option verify_options[] = {
    {.name = "expect-checkpoint",
     .arg = "HEX|FILE",
     .help = "a checkpoint from the server's log, kept elsewhere: the audit log must hold it"},
    TRUST_PIN_OPTION,
    API_OPTIONS};

const struct cli_command cmd_audit_list = {
    .name = "audit list",
    .operands = "",
    .summary = "list audit records",
    .options = list_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = list_run,
};

const struct cli_command cmd_audit_verify = {
    .name = "audit verify",
    .operands = "",
    .summary = "recompute the audit log and check its signatures",
    .details = "Reads the whole log, computes its hash chain and checks every signed checkpoint\n"
               "against it, trusting the pinned issuer key and not the server.\n"
               "Exit status: 0 it holds, 1 it does not (the first wrong record is named).",
    .options = verify_options,
    .operands_min = 0,
    .operands_max = 0,
    .run = verify_run,
};
