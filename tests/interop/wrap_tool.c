/* Our half of the interop test: seals and opens on request of wrap_interop.py.
 *
 * One JSON object in, one out, each a line; binary as hex.  It holds the key that it
 * generated last.  What it opens is the test's own, so it may be printed. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/codec.h"
#include "common/wrap.h"

static struct wrap_key *own_key;

static enum err hex_take(const json_t *object, const char *member, struct buf *out)
{
    const char *text = json_string_value(json_object_get(object, member));
    if (text == NULL)
        return ERR_MALFORMED;
    const size_t len = strlen(text) / 2;
    TRY(buf_reserve(out, len));
    TRY(hex_decode(bytes_of_text(text), out->ptr, len));
    out->len = len;
    return ERR_OK;
}

static enum err hex_put(json_t *object, const char *member, struct bytes value)
{
    CLEANUP(buf_free) struct buf text = {0};
    TRY(hex_append(&text, value));
    return json_object_set_new(object, member, json_stringn((const char *)text.ptr, text.len)) == 0
               ? ERR_OK
               : ERR_NO_MEMORY;
}

/* {"do": "generate", "format"} -> {"spki"} */
static enum err do_generate(const json_t *in, json_t *out)
{
    const char *format = json_string_value(json_object_get(in, "format"));
    if (format == NULL)
        return ERR_MALFORMED;
    wrap_key_free(TAKE(own_key));
    TRY(wrap_key_generate(format, &own_key));
    CLEANUP(buf_free) struct buf spki = {0};
    TRY(wrap_key_spki(own_key, &spki));
    return hex_put(out, "spki", bytes_of_buf(&spki));
}

static enum err seal_one(struct wrap_sealer *sealer, const json_t *message, json_t *out)
{
    CLEANUP(buf_free) struct buf aad = {0};
    CLEANUP(buf_free) struct buf text = {0};
    CLEANUP(buf_free) struct buf ciphertext = {0};
    CLEANUP(secret_freep) struct secret *plain = NULL;
    TRY(hex_take(message, "aad", &aad));
    TRY(hex_take(message, "plaintext", &text));
    TRY(secret_new(text.len, &plain));
    if (text.len > 0)
        memcpy(secret_ptr(plain), text.ptr, text.len);
    TRY(wrap_seal(sealer, bytes_of_buf(&aad), plain, &ciphertext));
    json_t *row = json_object();
    if (json_array_append_new(out, row) != 0)
        return ERR_NO_MEMORY;
    return hex_put(row, "ciphertext", bytes_of_buf(&ciphertext));
}

/* {"do": "seal", "spki", "info", "messages": [{"aad", "plaintext"}]}
 * -> {"format", "enc", "messages": [{"ciphertext"}]} */
static enum err do_seal(const json_t *in, json_t *out)
{
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(buf_free) struct buf info = {0};
    CLEANUP(buf_free) struct buf enc = {0};
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    TRY(hex_take(in, "spki", &spki));
    TRY(hex_take(in, "info", &info));
    TRY(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL));
    TRY(wrap_sealer_new(recipient, bytes_of_buf(&info), &sealer, &enc));
    TRY(hex_put(out, "enc", bytes_of_buf(&enc)));
    json_t *rows = json_array();
    if (json_object_set_new(out, "format", json_string(wrap_recipient_format(recipient))) != 0 ||
        json_object_set_new(out, "messages", rows) != 0)
        return ERR_NO_MEMORY;
    const json_t *messages = json_object_get(in, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++)
        TRY(seal_one(sealer, json_array_get(messages, i), rows));
    return ERR_OK;
}

/* {"do": "open", "enc", "info", "messages": [{"aad", "ciphertext"}]}
 * -> {"messages": [{"plaintext"} or {"error"}]} */
static enum err open_one(struct wrap_opener *opener, const json_t *message, json_t *out)
{
    CLEANUP(buf_free) struct buf aad = {0};
    CLEANUP(buf_free) struct buf ciphertext = {0};
    CLEANUP(secret_freep) struct secret *plain = NULL;
    TRY(hex_take(message, "aad", &aad));
    TRY(hex_take(message, "ciphertext", &ciphertext));
    json_t *row = json_object();
    if (json_array_append_new(out, row) != 0)
        return ERR_NO_MEMORY;
    const enum err err = wrap_open(opener, bytes_of_buf(&aad), bytes_of_buf(&ciphertext), &plain);
    if (err == ERR_OK)
        return hex_put(row, "plaintext", secret_view(plain));
    return json_object_set_new(row, "error", json_string(err_wire(err))) == 0 ? ERR_OK
                                                                              : ERR_NO_MEMORY;
}

static enum err do_open(const json_t *in, json_t *out)
{
    CLEANUP(buf_free) struct buf enc = {0};
    CLEANUP(buf_free) struct buf info = {0};
    CLEANUP(wrap_opener_freep) struct wrap_opener *opener = NULL;
    if (own_key == NULL)
        return ERR_USAGE;
    TRY(hex_take(in, "enc", &enc));
    TRY(hex_take(in, "info", &info));
    TRY(wrap_opener_new(own_key, bytes_of_buf(&enc), bytes_of_buf(&info), &opener));
    json_t *rows = json_array();
    if (json_object_set_new(out, "messages", rows) != 0)
        return ERR_NO_MEMORY;
    const json_t *messages = json_object_get(in, "messages");
    for (size_t i = 0; i < json_array_size(messages); i++)
        TRY(open_one(opener, json_array_get(messages, i), rows));
    return ERR_OK;
}

static enum err answer(const json_t *in, json_t *out)
{
    static const struct {
        const char *name;
        enum err (*run)(const json_t *in, json_t *out);
    } commands[] = {{"generate", do_generate}, {"seal", do_seal}, {"open", do_open}};
    const char *name = json_string_value(json_object_get(in, "do"));
    for (size_t i = 0; name != NULL && i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(in, out);
    }
    return ERR_USAGE;
}

int main(void)
{
    json_error_t error;
    json_t *in = NULL;
    while ((in = json_loadf(stdin, JSON_DISABLE_EOF_CHECK, &error)) != NULL) {
        json_t *out = json_object();
        const enum err err = answer(in, out);
        if (err != ERR_OK)
            json_object_set_new(out, "error", json_string(err_wire(err)));
        if (json_dumpf(out, stdout, JSON_COMPACT) != 0 || puts("") < 0 || fflush(stdout) != 0)
            return EXIT_FAILURE;
        json_decref(out);
        json_decref(in);
    }
    wrap_key_free(own_key);
    return feof(stdin) ? EXIT_SUCCESS : EXIT_FAILURE;
}
