/* An answer of a verifier, as an agent opens it: delegation, receipt, encapsulation and two
 * ciphertexts in pieces, then the versions listed.  Whatever is accepted, the secrets are the
 * two that were sealed, under their names, and the receipt is signed for this document and
 * this challenge: also where the mutator signs for the verifier, as one that was broken
 * into might. */
#include <openssl/crypto.h>
#include <stdio.h>

#include "enclave-agent/answer.h"
#include "fixed_keys.h"

static const char *const names[] = {"db/main", "x"};
static const char *const values[] = {"open sesame", "42"};

/* The agent's side, and the verifier's honest answer. */
static struct {
    struct wrap_key *key;
    struct wanted_list wanted, held;
    struct own_document document;
    struct answer_expected expected;
    struct release_answer honest;
    struct receipt receipt;
} world;

static void sign(struct bytes payload, struct buf *message)
{
    message->len = 0;
    fuzz_sign(COSE_RECEIPT, fuzz_keys()->receipt, payload, message);
}

/* PROTOCOL section 5, key 8. */
static void digest_contents(const struct release_answer *answer, struct receipt *receipt)
{
    for (size_t i = 0; i < answer->count; i++) {
        CLEANUP(buf_free) struct buf both = {0};
        FUZZ_OK(buf_append(&both, bytes_of_buf(&answer->enc)));
        FUZZ_OK(buf_append(&both, bytes_of_buf(&answer->item[i].ciphertext)));
        FUZZ_OK(digest_sha256(bytes_of_buf(&both), receipt->item[i].content));
    }
}

/* Both secrets, in the versions of the receipt. */
static void seal(struct release_answer *answer, const struct receipt *receipt)
{
    CLEANUP(buf_free) struct buf spki = {0};
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    FUZZ_OK(wrap_key_spki(world.key, &spki));
    FUZZ_OK(wrap_recipient_parse(bytes_of_buf(&spki), &recipient, NULL));
    snprintf(answer->format, sizeof answer->format, "%s", wrap_recipient_format(recipient));
    FUZZ_OK(wrap_sealer_new(recipient, bytes_of_text(PROTOCOL_WRAP_INFO), &sealer, &answer->enc));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct released *item = &answer->item[answer->count++];
        CLEANUP(buf_free) struct buf aad = {0};
        CLEANUP(secret_freep) struct secret *value = NULL;
        FUZZ_OK(secret_new(strlen(values[i]), &value));
        memcpy(secret_ptr(value), values[i], strlen(values[i]));
        snprintf(item->name, sizeof item->name, "%s", names[i]);
        item->version = receipt->item[i].version;
        FUZZ_OK(protocol_wrap_aad(answer->format, world.document.digest, names[i], item->version,
                                  &aad));
        FUZZ_OK(wrap_seal(sealer, bytes_of_buf(&aad), value, &item->ciphertext));
    }
}

static void make_world(void)
{
    const struct fuzz_keys *keys = fuzz_keys();
    CLEANUP(buf_free) struct buf payload = {0};
    fuzz_receipt(&world.receipt);
    FUZZ_OK(wrap_key_generate("hpke-x25519", &world.key));
    FUZZ_OK(wanted_add(&world.wanted, bytes_of_text(names[0]), 0, 3, NULL));
    FUZZ_OK(wanted_add(&world.wanted, bytes_of_text(names[1]), 2, 0, NULL));
    FUZZ_OK(wanted_add(&world.held, bytes_of_text(names[0]), 5, 0, NULL));
    world.document.time_ms = FUZZ_TIME_MS;
    memcpy(world.document.digest, world.receipt.document_digest, sizeof world.document.digest);
    memcpy(world.document.root, world.receipt.root, sizeof world.document.root);
    world.expected = (struct answer_expected){.wanted = &world.wanted,
                                              .pins = &keys->pins,
                                              .key = world.key,
                                              .document = &world.document,
                                              .held = &world.held};
    memcpy(world.expected.challenge, world.receipt.challenge, sizeof world.expected.challenge);
    seal(&world.honest, &world.receipt);
    digest_contents(&world.honest, &world.receipt);
    FUZZ_OK(receipt_append(&world.receipt, &payload));
    sign(bytes_of_buf(&payload), &world.honest.receipt);
    fuzz_delegation(&world.honest.delegation);
}

/* What the last byte makes odd about an answer, or about who asked. */
enum { ODD_FORMAT = 1, ODD_NAME = 2, ODD_COUNT = 4, ODD_NOTHING_HELD = 8 };

static uint8_t read_answer(struct bytes in, struct release_answer *out)
{
    snprintf(out->format, sizeof out->format, "%s", world.honest.format);
    FUZZ_OK(buf_append(&out->delegation, fuzz_take_chunk(&in)));
    FUZZ_OK(buf_append(&out->receipt, fuzz_take_chunk(&in)));
    FUZZ_OK(buf_append(&out->enc, fuzz_take_chunk(&in)));
    out->count = ARRAY_LEN(names);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(out->item[i].name, sizeof out->item[i].name, "%s", names[i]);
        FUZZ_OK(buf_append(&out->item[i].ciphertext, fuzz_take_chunk(&in)));
    }
    /* As release_answer_parse has them, from 1. */
    out->item[0].version = 1u + fuzz_take_byte(&in);
    out->item[1].version = 1u + fuzz_take_byte(&in);
    const uint8_t odd = fuzz_take_byte(&in);
    if ((odd & ODD_FORMAT) != 0)
        snprintf(out->format, sizeof out->format, "hpke-p256");
    if ((odd & ODD_NAME) != 0)
        snprintf(out->item[1].name, sizeof out->item[1].name, "y");
    if ((odd & ODD_COUNT) != 0)
        out->count = 1;
    return odd;
}

static void write_answer(const struct release_answer *answer, uint8_t odd, struct buf *out)
{
    fuzz_put_chunk(out, bytes_of_buf(&answer->delegation));
    fuzz_put_chunk(out, bytes_of_buf(&answer->receipt));
    fuzz_put_chunk(out, bytes_of_buf(&answer->enc));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        fuzz_put_chunk(out, bytes_of_buf(&answer->item[i].ciphertext));
    const uint8_t tail[] = {(uint8_t)(answer->item[0].version - 1),
                            (uint8_t)(answer->item[1].version - 1), odd};
    FUZZ_OK(buf_append(out, bytes_of(tail, sizeof tail)));
}

/* `oldest`: of the first secret, whose version was left open. */
static void check_opened(const struct release_answer *answer, const struct answer_opened *opened,
                         uint32_t oldest)
{
    struct cose_sign1 msg;
    struct receipt receipt;
    FUZZ_OK(cose_sign1_parse(COSE_RECEIPT, bytes_of_buf(&answer->receipt), &msg, NULL));
    FUZZ_HOLDS(fuzz_signature_holds(fuzz_keys()->receipt, "SHA256", msg.protected_header,
                                    "vouchsafe/1 receipt", msg.payload, msg.signature));
    FUZZ_OK(receipt_parse(msg.payload, &receipt, NULL));
    FUZZ_HOLDS(memcmp(receipt.challenge, world.receipt.challenge, sizeof receipt.challenge) == 0);
    FUZZ_HOLDS(memcmp(receipt.document_digest, world.document.digest,
                      sizeof receipt.document_digest) == 0);
    FUZZ_HOLDS(memcmp(receipt.root, world.document.root, sizeof receipt.root) == 0);
    FUZZ_HOLDS(memcmp(opened->store_id, receipt.store_id, sizeof receipt.store_id) == 0);
    FUZZ_HOLDS(opened->count == ARRAY_LEN(names));
    for (size_t i = 0; i < opened->count; i++) {
        FUZZ_HOLDS(strcmp(opened->item[i].name, names[i]) == 0);
        FUZZ_HOLDS(opened->item[i].version == answer->item[i].version);
        FUZZ_HOLDS(bytes_equal_text(secret_view(opened->item[i].value), values[i]));
    }
    FUZZ_HOLDS(opened->item[0].version >= oldest && opened->item[1].version == 2);
}

/* It binds later answers to its store and to no older versions, and what was had before stays. */
static void check_held(const struct answer_opened *opened)
{
    struct answer_held held = {.versions = {.count = 2,
                                            .item = {{.name = "not/asked", .version = 9},
                                                     {.name = "db/main", .version = 1}}}};
    answer_hold(&held, opened);
    const struct wanted_list *versions = &held.versions;
    FUZZ_HOLDS(held.any && memcmp(held.store_id, opened->store_id, sizeof held.store_id) == 0);
    FUZZ_HOLDS(versions->count == opened->count + 1);
    for (size_t i = 0; i < opened->count; i++) {
        FUZZ_HOLDS(strcmp(versions->item[i].name, opened->item[i].name) == 0);
        FUZZ_HOLDS(versions->item[i].version == opened->item[i].version);
    }
    FUZZ_HOLDS(strcmp(versions->item[opened->count].name, "not/asked") == 0);
    FUZZ_HOLDS(versions->item[opened->count].version == 9);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (world.key == NULL)
        make_world();
    CLEANUP(release_answer_free) struct release_answer answer = {0};
    struct answer_opened opened;
    struct fault fault = FAULT_NONE;
    struct answer_expected expected = world.expected;
    const bool nothing_held = (read_answer(bytes_of(data, size), &answer) & ODD_NOTHING_HELD) != 0;
    if (nothing_held)
        expected.held = NULL;
    FUZZ_FILL(&opened);
    const enum err err = answer_open(&answer, &expected, &opened, &fault);
    fuzz_check(err, &fault, 0, 0, &opened, sizeof opened);
    if (err != ERR_OK) {
        FUZZ_HOLDS(err == ERR_ANSWER);
        return 0;
    }
    check_opened(&answer, &opened, nothing_held ? 3 : 5);
    check_held(&opened);
    answer_opened_free(&opened);
    return 0;
}

/* The receipt's payload changed and signed again, with or without the digests put right. */
static void remake_receipt(struct release_answer *answer, unsigned *seed)
{
    uint8_t payload[4096];
    struct cose_sign1 msg;
    struct receipt receipt;
    CLEANUP(buf_free) struct buf content = {0};
    if (cose_sign1_parse(COSE_RECEIPT, bytes_of_buf(&answer->receipt), &msg, NULL) != ERR_OK ||
        msg.payload.len > sizeof payload / 2)
        return;
    memcpy(payload, msg.payload.ptr, msg.payload.len);
    size_t len = msg.payload.len;
    if (fuzz_choose(seed, 4) > 0)
        len = fuzz_mutate_cbor(payload, len, sizeof payload, fuzz_choose(seed, UINT32_MAX));
    FUZZ_OK(buf_append(&content, bytes_of(payload, len)));
    if (receipt_parse(bytes_of_buf(&content), &receipt, NULL) == ERR_OK &&
        receipt.count == answer->count && fuzz_choose(seed, 2) == 0) {
        digest_contents(answer, &receipt);
        content.len = 0;
        FUZZ_OK(receipt_append(&receipt, &content));
    }
    sign(bytes_of_buf(&content), &answer->receipt);
}

/* In the listing only; or sealed and signed, as by a verifier that went back to an older one. */
static void change_version(struct release_answer *answer, unsigned *seed)
{
    struct receipt receipt = world.receipt;
    CLEANUP(buf_free) struct buf payload = {0};
    const size_t i = fuzz_choose(seed, ARRAY_LEN(names));
    answer->item[i].version = 1 + fuzz_choose(seed, 9);
    if (fuzz_choose(seed, 2) == 0)
        return;
    receipt.item[i].version = answer->item[i].version;
    answer->count = 0;
    answer->enc.len = 0;
    for (size_t k = 0; k < ARRAY_LEN(names); k++)
        answer->item[k].ciphertext.len = 0;
    seal(answer, &receipt);
    digest_contents(answer, &receipt);
    FUZZ_OK(receipt_append(&receipt, &payload));
    sign(bytes_of_buf(&payload), &answer->receipt);
}

static void change_piece(struct buf *piece, bool cbor, unsigned *seed)
{
    uint8_t content[4096];
    if (piece->len == 0 || piece->len > sizeof content / 2)
        return;
    memcpy(content, piece->ptr, piece->len);
    const size_t len =
        cbor ? fuzz_mutate_cbor(content, piece->len, sizeof content, fuzz_choose(seed, UINT32_MAX))
             : LLVMFuzzerMutate(content, piece->len, piece->len + 16);
    piece->len = 0;
    FUZZ_OK(buf_append(piece, bytes_of(content, len)));
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (world.key == NULL)
        make_world();
    CLEANUP(release_answer_free) struct release_answer answer = {0};
    CLEANUP(buf_free) struct buf whole = {0};
    (void)read_answer(bytes_of(data, size), &answer);
    answer.count = ARRAY_LEN(names);
    switch (fuzz_choose(&seed, 10)) {
    case 0:
        return LLVMFuzzerMutate(data, size, max_size);
    case 1:
        write_answer(&world.honest, 0, &whole);
        return fuzz_replace(data, size, max_size, &whole);
    case 2:
        change_piece(&answer.delegation, true, &seed);
        break;
    case 3:
        change_piece(&answer.receipt, true, &seed);
        break;
    case 4:
        change_piece(&answer.enc, false, &seed);
        break;
    case 5:
        change_piece(&answer.item[fuzz_choose(&seed, 2)].ciphertext, false, &seed);
        break;
    case 6:
        change_version(&answer, &seed);
        break;
    default:
        remake_receipt(&answer, &seed);
        break;
    }
    write_answer(&answer, (uint8_t)(fuzz_choose(&seed, 8) == 0 ? fuzz_choose(&seed, 16) : 0),
                 &whole);
    return fuzz_replace(data, size, max_size, &whole);
}
