#include "trust.h"

#include <stdio.h>

#include "common/codec.h"
#include "output.h"

#define PIN_FILE_MAX 4096
#define STORE_WORD   "store "

static bool has_prefix(struct bytes in, const char *prefix)
{
    const size_t len = strlen(prefix);
    return in.len >= len && memcmp(in.ptr, prefix, len) == 0;
}

static enum err take_store(struct bytes id, struct trust_pins *pins, struct fault *fault)
{
    if (pins->one_store)
        FAIL(fault, ERR_USAGE, "more than one store");
    if (hex_decode(id, pins->store_id, sizeof pins->store_id) != ERR_OK)
        FAIL(fault, ERR_USAGE, "the id of a store is %d hex digits", 2 * PROTOCOL_STORE_ID_LEN);
    pins->one_store = true;
    return ERR_OK;
}

static enum err take_pin(struct bytes line, struct trust_pins *pins, struct fault *fault)
{
    while (line.len > 0 && strchr(" \t\r", line.ptr[line.len - 1]) != NULL)
        line.len--;
    if (line.len == 0 || line.ptr[0] == '#')
        return ERR_OK;
    if (has_prefix(line, STORE_WORD))
        return take_store(bytes_of(line.ptr + strlen(STORE_WORD), line.len - strlen(STORE_WORD)),
                          pins, fault);
    if (pins->count == TRUST_PINS_MAX)
        FAIL(fault, ERR_USAGE, "more than %d fingerprints", TRUST_PINS_MAX);
    if (hex_decode(line, pins->fingerprint[pins->count], SHA256_LEN) != ERR_OK)
        FAIL(fault, ERR_USAGE, "fingerprints are expected: %d hex digits, one a line",
             2 * SHA256_LEN);
    pins->count++;
    return ERR_OK;
}

enum err trust_pins_parse(struct bytes text, struct trust_pins *out, struct fault *fault)
{
    struct trust_pins pins = {0};
    while (text.len > 0) {
        const uint8_t *newline = memchr(text.ptr, '\n', text.len);
        const size_t len = newline == NULL ? text.len : (size_t)(newline - text.ptr);
        TRY(take_pin(bytes_of(text.ptr, len), &pins, fault));
        const size_t used = newline == NULL ? len : len + 1;
        text = bytes_of(text.ptr + used, text.len - used);
    }
    *out = pins;
    return ERR_OK;
}

static bool is_pinned(const struct trust_pins *pins, const uint8_t fingerprint[static SHA256_LEN])
{
    for (size_t i = 0; i < pins->count; i++) {
        if (memcmp(pins->fingerprint[i], fingerprint, SHA256_LEN) == 0)
            return true;
    }
    return false;
}

/* What the server calls its fingerprint does not count: it is computed from the key. */
static enum err select_one(const json_t *issuer, const struct trust_pins *pins, struct buf *pem)
{
    CLEANUP(issuer_pins_free) struct issuer_pins key = {0};
    const char *text = json_string_value(json_object_get(issuer, "pem"));
    if (text == NULL)
        return ERR_OK;
    const enum err err = issuer_pins_parse(bytes_of_text(text), &key, NULL);
    if (err != ERR_OK && err != ERR_CONFIG) /* a key of which nothing is known is no other's */
        return err;
    if (err != ERR_OK || key.count != 1 || !is_pinned(pins, key.fingerprint[0]))
        return ERR_OK;
    return buf_append_text(pem, text);
}

enum err trust_select(const json_t *issuers, const struct trust_pins *pins, struct issuer_pins *out,
                      struct fault *fault)
{
    CLEANUP(buf_free) struct buf pem = {0};
    for (size_t i = 0; i < json_array_size(issuers); i++)
        TRY(select_one(json_array_get(issuers, i), pins, &pem));
    if (pem.len == 0)
        FAIL(
            fault, ERR_ANSWER,
            "none of the server's issuer keys is pinned: this is not the server that was enrolled, "
            "or its issuer key was replaced");
    TRY(issuer_pins_parse(bytes_of_buf(&pem), out, fault));
    out->one_store = pins->one_store;
    memcpy(out->store_id, pins->store_id, sizeof out->store_id);
    return ERR_OK;
}

static enum err load_pin_file(const struct api *api, const struct cli_args *args,
                              struct trust_pins *pins, struct fault *fault)
{
    CLEANUP(buf_free) struct buf text = {0};
    char path[API_PATH_SIZE + 16];
    const char *file = cli_args_value(args, "issuer-pin");
    if (file == NULL) {
        snprintf(path, sizeof path, "%s/client/issuer", api->state);
        file = path;
    }
    TRY(cli_read_file(file, PIN_FILE_MAX, &text, fault));
    const enum err err = trust_pins_parse(bytes_of_buf(&text), pins, fault);
    if (err != ERR_OK)
        fault_at(fault, FAULT_NO_OFFSET, "%s", file);
    return err;
}

enum err trust_load(const struct api *api, const struct cli_args *args, struct issuer_pins *out,
                    struct fault *fault)
{
    struct trust_pins pins = {0};
    CLEANUP(json_decrefp) json_t *answer = NULL;
    TRY(load_pin_file(api, args, &pins, fault));
    TRY(api_call(api, "GET", "/v1/admin/issuers", NULL, &answer, fault));
    return trust_select(json_object_get(answer, "issuers"), &pins, out, fault);
}
