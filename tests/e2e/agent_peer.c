/* For agent.py: an honest answer to each request of one agent, or one that is honest but
 * for a single thing.  It verifies nothing, so it is no verifier; it signs and wraps as
 * one does.
 *
 *     agent_peer SOCKET ISSUER-FILE [MODE]
 *
 * Serves HTTP at the Unix socket until it is killed; writes its issuer key's PEM to
 * ISSUER-FILE once it listens, and says so.  A secret's value is its name, repeated to 1000
 * bytes; its version is the one asked for, or 7.  Modes of an answer to a release:
 *
 *     flip-ciphertext  one bit of the first secret is another
 *     wrong-challenge  the receipt is of another challenge
 *     swapped          the first two secrets' ciphertexts have changed places
 *     falling          the version is one less each time
 *     other-store      the store is another one each time
 *     deprecated       granted by a deprecated measurement
 *     oversized        more than an agent takes
 *     half             the connection ends in the middle
 *     dripping         a byte now and then
 *
 * and of challenges: short-challenge; silent: nothing, and the connection stays. */
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/attdoc.h"
#include "common/receipt.h"
#include "common/wrap.h"

#define REQUEST_MAX  131072
#define VALUE_LEN    1000
#define OPEN_VERSION 7
#define DAY_MS       UINT64_C(86400000)

struct peer {
    const char *mode;
    EVP_PKEY *issuer;
    EVP_PKEY *receipt_key;
    uint8_t store_id[PROTOCOL_STORE_ID_LEN];
    uint8_t challenge[PROTOCOL_CHALLENGE_LEN];
    uint32_t releases;
};

static bool is_mode(const struct peer *peer, const char *mode)
{
    return strcmp(peer->mode, mode) == 0;
}

/* One secret, wrapped, into the answer and the receipt. */
static enum err add_secret(const struct peer *peer, const struct wanted *wanted, const char *format,
                           struct wrap_sealer *sealer, struct release_answer *answer,
                           struct receipt *receipt)
{
    struct released *item = &answer->item[answer->count++];
    struct receipt_item *listed = &receipt->item[receipt->count++];
    CLEANUP(buf_free) struct buf aad = {0};
    CLEANUP(buf_free) struct buf both = {0};
    CLEANUP(secret_freep) struct secret *value = NULL;
    item->version = wanted->version == 0 ? OPEN_VERSION : wanted->version;
    if (is_mode(peer, "falling"))
        item->version -= peer->releases;
    snprintf(item->name, sizeof item->name, "%s", wanted->name);
    TRY(secret_new(VALUE_LEN, &value));
    for (size_t i = 0; i < VALUE_LEN; i++)
        secret_ptr(value)[i] = (uint8_t)wanted->name[i % strlen(wanted->name)];
    TRY(protocol_wrap_aad(format, receipt->document_digest, item->name, item->version, &aad));
    TRY(wrap_seal(sealer, bytes_of_buf(&aad), value, &item->ciphertext));
    TRY(buf_append(&both, bytes_of_buf(&answer->enc)));
    TRY(buf_append(&both, bytes_of_buf(&item->ciphertext)));
    memcpy(listed->name, item->name, sizeof listed->name);
    listed->version = item->version;
    listed->flags = is_mode(peer, "deprecated") ? RECEIPT_FLAG_DEPRECATED : 0;
    return digest_sha256(bytes_of_buf(&both), listed->content);
}

static enum err sign(const struct peer *peer, uint64_t now_ms, const struct receipt *receipt,
                     struct release_answer *answer)
{
    CLEANUP(buf_free) struct buf payload = {0};
    uint8_t kid[COSE_KID_LEN];
    uint8_t *der = NULL;
    const int len = i2d_PUBKEY(peer->receipt_key, &der);
    if (len <= 0)
        return ERR_CRYPTO;
    const enum err err = delegation_sign(peer->issuer, bytes_of(der, (size_t)len), peer->store_id,
                                         now_ms, DAY_MS, &answer->delegation);
    OPENSSL_free(der);
    TRY(err);
    TRY(receipt_append(receipt, &payload));
    TRY(cose_key_id(peer->receipt_key, kid));
    return cose_sign1_sign(COSE_RECEIPT, kid, bytes_of_buf(&payload), peer->receipt_key,
                           &answer->receipt);
}

static enum err release(const struct peer *peer, struct bytes body, struct buf *json)
{
    CLEANUP(release_request_free) struct release_request request = {0};
    CLEANUP(release_answer_free) struct release_answer answer = {0};
    CLEANUP(wrap_recipient_freep) struct wrap_recipient *recipient = NULL;
    CLEANUP(wrap_sealer_freep) struct wrap_sealer *sealer = NULL;
    struct cose_sign1 message;
    struct attdoc doc;
    struct bytes application;
    TRY(release_request_parse(body, &request, NULL));
    TRY(cose_sign1_parse(COSE_ATTESTATION, bytes_of_buf(&request.document), &message, NULL));
    TRY(attdoc_parse(message.payload, 0, NULL, &doc, NULL));
    TRY(protocol_user_data_check(&request.wanted, doc.user_data.value, &application, NULL));
    TRY(wrap_recipient_parse(doc.public_key.value, &recipient, NULL));
    TRY(wrap_sealer_new(recipient, bytes_of_text(PROTOCOL_WRAP_INFO), &sealer, &answer.enc));
    const char *format = wrap_recipient_format(recipient);
    snprintf(answer.format, sizeof answer.format, "%s", format);
    struct receipt receipt = {.time_ms = doc.timestamp_ms, .audit_sequence = 1};
    memcpy(receipt.challenge, peer->challenge, sizeof receipt.challenge);
    receipt.challenge[0] ^= is_mode(peer, "wrong-challenge");
    memcpy(receipt.store_id, peer->store_id, sizeof receipt.store_id);
    TRY(digest_sha384(message.payload, receipt.document_digest));
    TRY(digest_sha256(doc.cabundle[0], receipt.root));
    for (size_t i = 0; i < request.wanted.count; i++)
        TRY(add_secret(peer, &request.wanted.item[i], format, sealer, &answer, &receipt));
    TRY(sign(peer, doc.timestamp_ms, &receipt, &answer));
    if (is_mode(peer, "flip-ciphertext"))
        answer.item[0].ciphertext.ptr[0] ^= 1;
    if (is_mode(peer, "swapped")) {
        struct buf first = answer.item[0].ciphertext;
        answer.item[0].ciphertext = answer.item[1].ciphertext;
        answer.item[1].ciphertext = first;
    }
    return release_answer_append(&answer, json);
}

static enum err challenge(struct peer *peer, struct buf *json)
{
    if (is_mode(peer, "short-challenge"))
        return buf_append_text(json, "{\"challenge\":\"AAAA\",\"expires_in_s\":120}");
    if (RAND_bytes(peer->challenge, sizeof peer->challenge) != 1)
        return ERR_CRYPTO;
    return challenge_answer_append(peer->challenge, PROTOCOL_CHALLENGE_TTL_S, json);
}

/* One whole request: the length of its head, and its body; false where it ends early. */
static bool read_request(int fd, char *to, struct bytes *body)
{
    size_t len = 0;
    for (;;) {
        const ssize_t got = read(fd, to + len, REQUEST_MAX - 1 - len);
        if (got <= 0)
            return false;
        len += (size_t)got;
        to[len] = '\0';
        const char *end = strstr(to, "\r\n\r\n");
        const char *length = strstr(to, "Content-Length: ");
        const size_t body_len = length == NULL ? 0 : strtoul(length + 16, NULL, 10);
        if (end != NULL && len >= (size_t)(end + 4 - to) + body_len) {
            *body = bytes_of(end + 4, body_len);
            return true;
        }
    }
}

static void write_head(int fd, enum err err, size_t len)
{
    CLEANUP(buf_free) struct buf head = {0};
    if (buf_append_format(&head,
                          "HTTP/1.1 %d -\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                          err == ERR_OK ? 200 : 400, len) == ERR_OK)
        (void)!write(fd, head.ptr, head.len);
}

/* Until the other side goes. */
static void drip(int fd, const struct buf *json)
{
    const struct timespec pause = {.tv_nsec = 200000000};
    for (size_t i = 0; i < json->len && send(fd, json->ptr + i, 1, MSG_NOSIGNAL) == 1; i++)
        nanosleep(&pause, NULL);
}

static void wait_for_end(int fd)
{
    char byte = 0;
    while (read(fd, &byte, 1) > 0)
        ;
}

static void serve(struct peer *peer, int fd)
{
    static char request[REQUEST_MAX];
    struct bytes body;
    CLEANUP(buf_free) struct buf json = {0};
    if (!read_request(fd, request, &body))
        return;
    if (is_mode(peer, "silent")) {
        wait_for_end(fd);
        return;
    }
    const bool asks = strncmp(request, "POST /v1/challenge ", 19) == 0;
    const enum err err = asks ? challenge(peer, &json) : release(peer, body, &json);
    peer->releases += !asks;
    if (!asks && is_mode(peer, "other-store"))
        peer->store_id[0]++;
    if (err != ERR_OK)
        fprintf(stderr, "agent_peer: %s\n", err_wire(err));
    const char *const mode = asks ? "honest" : peer->mode;
    write_head(fd, err, strcmp(mode, "oversized") == 0 ? PROTOCOL_ANSWER_MAX + 1 : json.len);
    if (strcmp(mode, "dripping") == 0)
        drip(fd, &json);
    else
        (void)!write(fd, json.ptr, strcmp(mode, "half") == 0 ? json.len / 2 : json.len);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    struct peer peer = {
        .mode = argc > 3 ? argv[3] : "honest",
        .issuer = EVP_EC_gen("P-384"),
        .receipt_key = EVP_EC_gen("P-256"),
        .store_id = {1, 2, 3},
    };
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", argv[1]);
    const int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (const struct sockaddr *)&addr, sizeof addr) != 0 ||
        listen(listener, 8) != 0)
        return 1;
    FILE *pem = fopen(argv[2], "w");
    if (pem == NULL || PEM_write_PUBKEY(pem, peer.issuer) != 1 || fclose(pem) != 0)
        return 1;
    fputs("agent_peer: ready\n", stderr);
    for (;;) {
        const int fd = accept(listener, NULL, NULL);
        if (fd < 0)
            continue;
        serve(&peer, fd);
        close(fd);
    }
}
