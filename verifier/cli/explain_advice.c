#include "explain_advice.h"

#include "show.h"

typedef enum err advice_fn(const json_t *answer, const json_t *secret, struct buf *out);

static const json_t *first_tried(const json_t *secret)
{
    return json_array_get(json_object_get(secret, "tried"), 0);
}

/* The image of "web@1", as long as its text lives. */
static struct bytes image_of(const char *build)
{
    return bytes_of(build, strcspn(build, "@"));
}

/* "web", or what stands for a name where there is none. */
static enum err append_image(struct buf *out, const char *build)
{
    const struct bytes image = image_of(build);
    return image.len == 0 ? buf_append_text(out, "IMAGE") : buf_append(out, image);
}

static enum err append_pcr(struct buf *out, const json_t *document, const char *index)
{
    const char *value = show_text(json_object_get(document, "pcrs"), index);
    if (value[0] == '\0')
        return ERR_OK;
    return buf_append_format(out, " \\\n      --pcr %s=%s", index, value);
}

/* --- No measurement matches --- */

/* All that differs says where the enclave runs, or who signed it: its code is known. */
static bool is_known_code(const json_t *answer, const json_t *nearest)
{
    size_t i;
    const json_t *row;
    const bool nitrotpm =
        strcmp(show_text(json_object_get(answer, "document"), "kind"), "nitrotpm") == 0;
    json_array_foreach(json_object_get(nearest, "different"), i, row)
    {
        const json_int_t pcr = json_integer_value(json_object_get(row, "pcr"));
        if (pcr <= 2 || (nitrotpm && (pcr == 4 || pcr == 7)))
            return false;
    }
    return json_array_size(json_object_get(nearest, "different")) > 0;
}

static enum err advise_register(const json_t *answer, const json_t *secret, struct buf *out)
{
    static const char *const enclave[] = {"0", "1", "2"};
    static const char *const nitrotpm[] = {"4", "7", "12"};
    const json_t *document = json_object_get(answer, "document");
    const bool tpm = strcmp(show_text(document, "kind"), "nitrotpm") == 0;
    const json_t *nearest = json_object_get(secret, "nearest");
    const json_t *match = json_array_get(json_object_get(answer, "matches"), 0);
    if (match != NULL) {
        TRY(buf_append_format(out,
                              "it is %s, of an image that no grant names:\n  vouchsafe grant "
                              "add %s --image ",
                              show_text(match, "measurement"), show_text(secret, "name")));
        return append_image(out, show_text(match, "measurement"));
    }
    if (is_known_code(answer, nearest))
        return buf_append_format(out,
                                 "its code is that of %s, which demands the values above as well: "
                                 "run it where they hold, or\nregister the build without them",
                                 show_text(nearest, "measurement"));
    TRY(buf_append_text(out, "if this build is one of yours, register it (or, with --draft, have "
                             "it approved first):\n  vouchsafe measurement add "));
    TRY(append_image(out, json_is_true(json_object_get(nearest, "granted"))
                              ? show_text(nearest, "measurement")
                              : ""));
    TRY(buf_append_format(out, "@VERSION%s", tpm ? " --kind nitrotpm" : ""));
    for (size_t i = 0; i < 3; i++)
        TRY(append_pcr(out, document, tpm ? nitrotpm[i] : enclave[i]));
    return ERR_OK;
}

/* --- The rest --- */

static enum err advise_activate(const json_t *answer, const json_t *secret, struct buf *out)
{
    (void)answer;
    return buf_append_format(out, "if it has been approved:\n  vouchsafe measurement activate %s",
                             show_text(first_tried(secret), "measurement"));
}

static enum err advise_measurement(const json_t *answer, const json_t *secret, struct buf *out)
{
    (void)answer;
    return buf_append_format(out,
                             "its window is final, as its values are:\n  vouchsafe "
                             "measurement show %s",
                             show_text(first_tried(secret), "measurement"));
}

static enum err advise_revoked(const json_t *answer, const json_t *secret, struct buf *out)
{
    size_t i;
    const json_t *match;
    (void)secret;
    json_array_foreach(json_object_get(answer, "matches"), i, match)
    {
        if (strcmp(show_text(match, "state"), "revoked") == 0)
            TRY(buf_append_format(out, "it is %s, which was revoked\n",
                                  show_text(match, "measurement")));
    }
    return buf_append_text(out, "revoked is final: run another build");
}

static enum err advise_revocation(const json_t *answer, const json_t *secret, struct buf *out)
{
    (void)answer;
    (void)secret;
    return buf_append_text(out, "if it is denied by mistake, whoever has the right people:\n"
                                "  vouchsafe revocation list\n"
                                "  vouchsafe revocation remove ID --reason TEXT");
}

static enum err advise_put(const json_t *answer, const json_t *secret, struct buf *out)
{
    (void)answer;
    return buf_append_format(out, "a new value makes a new version:\n  vouchsafe secret put %s",
                             show_text(secret, "name"));
}

static enum err advise_unknown(const json_t *answer, const json_t *secret, struct buf *out)
{
    (void)answer;
    return buf_append_format(out,
                             "if it has another name:\n  vouchsafe secret list\n"
                             "if it is new:\n  vouchsafe secret put %s",
                             show_text(secret, "name"));
}

static enum err advise_version(const json_t *answer, const json_t *secret, struct buf *out)
{
    (void)answer;
    (void)secret;
    return buf_append_text(out, "which versions there are:\n  vouchsafe secret list");
}

static enum err advise_old_version(const json_t *answer, const json_t *secret, struct buf *out)
{
    (void)answer;
    TRY(buf_append_format(out,
                          "ask for the current version, or name this one in a grant:\n"
                          "  vouchsafe grant add %s --image ",
                          show_text(secret, "name")));
    TRY(append_image(out, show_text(first_tried(secret), "measurement")));
    return buf_append_format(out, " --allow-version %" JSON_INTEGER_FORMAT,
                             json_integer_value(json_object_get(secret, "version")));
}

static enum err advise_grant(const json_t *answer, const json_t *secret, struct buf *out)
{
    const json_t *match = json_array_get(json_object_get(answer, "matches"), 0);
    TRY(buf_append_format(out, "if the enclave is to have it:\n  vouchsafe grant add %s --image ",
                          show_text(secret, "name")));
    return append_image(out, show_text(match, "measurement"));
}

static enum err advise_narrow(const json_t *answer, const json_t *secret, struct buf *out)
{
    (void)answer;
    return buf_append_format(out,
                             "a grant never changes; another one can be added, and this one "
                             "removed:\n  vouchsafe grant list --secret %s",
                             show_text(secret, "name"));
}

static const struct {
    const char *reason;
    advice_fn *fn;
} advice[] = {
    {"measurement_revoked", advise_revoked},
    {"instance_revoked", advise_revocation},
    {"certificate_revoked", advise_revocation},
    {"unknown_secret", advise_unknown},
    {"no_value", advise_put},
    {"below_minimum", advise_put},
    {"version_unknown", advise_version},
    {"version_not_granted", advise_old_version},
    {"not_granted", advise_grant},
    {"no_measurement", advise_register},
    {"measurement_state", advise_activate},
    {"measurement_window", advise_measurement},
    {"grant_window", advise_narrow},
    {"grant_build", advise_narrow},
    {"grant_pcr", advise_narrow},
    {"grant_registered", advise_register},
    {"grant_accepted", advise_narrow},
    {"grant_region", advise_narrow},
    {"grant_application", advise_narrow},
    {"over_quota", advise_narrow},
};

/* Line by line: the texts in it are the server's. */
static void print_lines(struct bytes text)
{
    while (text.len > 0) {
        const uint8_t *end = memchr(text.ptr, '\n', text.len);
        const size_t len = end == NULL ? text.len : (size_t)(end - text.ptr);
        fputs("  ", stdout);
        cli_print_text(bytes_of(text.ptr, len), stdout);
        putchar('\n');
        text = end == NULL ? bytes_of(text.ptr, 0) : bytes_of(end + 1, text.len - len - 1);
    }
}

enum err explain_advise(const json_t *answer, const json_t *secret)
{
    for (size_t i = 0; i < ARRAY_LEN(advice); i++) {
        CLEANUP(buf_free) struct buf text = {0};
        if (strcmp(show_text(secret, "reason"), advice[i].reason) != 0)
            continue;
        TRY(advice[i].fn(answer, secret, &text));
        puts("  what to do");
        print_lines(bytes_of_buf(&text));
        return ERR_OK;
    }
    return ERR_OK;
}
