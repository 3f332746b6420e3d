#include "request_id.h"

#include <openssl/rand.h>

#include "common/openssl_cleanup.h"

#define BITS 5

enum err request_id_new(char out[static REQUEST_ID_LEN + 1])
{
    static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint8_t random[REQUEST_ID_LEN];
    if (RAND_bytes(random, sizeof random) != 1)
        return crypto_failed();
    for (size_t i = 0; i < REQUEST_ID_LEN; i++)
        out[i] = alphabet[random[i] >> (8 - BITS)];
    out[REQUEST_ID_LEN] = '\0';
    return ERR_OK;
}
